"""What commands begin with: platform and code location of the project in a folder, and who uses the command line."""

import importlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import DefinitionError, Location, PlatformError
from mlops_assets.lakehouse.home import HOME_VARIABLE, Home
from mlops_assets.project.folder import ProjectFolder, find_project

if TYPE_CHECKING:
    from mlops_assets.governance.access import Principal
    from mlops_assets.platform import Platform


def open_platform(folder: Path) -> "Platform":
    """The platform of the project in a folder, or around it, in its home."""
    from mlops_assets.platform import Platform

    project = find_project(folder)
    return Platform.of(project.read(), Home.find(project.folder))


def open_definitions(project: ProjectFolder) -> Any:
    """The code location of a project."""
    if str(project.folder) not in sys.path:
        sys.path.insert(0, str(project.folder))
    return importlib.import_module(f"{project.package}.definitions").defs()


def require_loadable(project: ProjectFolder, home: Home) -> None:
    """See that Dagster loads the project: builds every asset, and resolves every job, sensor and schedule.

    Raises:
        DefinitionError: It does not; with Dagster's own words.
    """
    from mlops_assets.components.private_dagster import require_loadable as resolve

    os.environ[HOME_VARIABLE] = str(home.folder)
    quiet()
    try:
        resolve(open_definitions(project))
    except PlatformError:
        raise
    except Exception as error:  # whatever Dagster, or a module of the project's own, makes of it
        raise DefinitionError(
            f"definitions that Dagster does not load ({type(error).__name__}: {_first_line(error)})",
            "definitions that load",
            "correct what it names; `dg check defs` shows where it was found",
            where=Location(project.folder / project.package / "defs"),
        ) from error


def _first_line(error: Exception) -> str:
    """What an error says first; of one that another caused, what the first of them says."""
    while error.__cause__ and isinstance(error.__cause__, Exception):
        error = error.__cause__
    return (str(error).strip().splitlines() or ["no words"])[0]


def quiet() -> None:
    """Leave the terminal to the command; everything is in Dagster's event log."""
    import warnings

    import dagster as dg

    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    warnings.simplefilter("ignore", dg.BetaWarning)  # what Dagster calls beta inside itself


def principal_of_command(platform: "Platform") -> "Principal":
    """Who uses the command line, by the token in ``MLOPS_TOKEN``.

    Raises:
        ForbiddenError: The token is not valid.
    """
    from mlops_assets.governance.tokens import principal_of_environment

    return principal_of_environment(platform.tokens, os.environ, platform.clock.note())
