"""What commands begin with: platform and code location of the project in a folder, and who uses the command line."""

import importlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.project.folder import ProjectFolder, find_project

if TYPE_CHECKING:
    from mlops_assets.governance.access import Principal
    from mlops_assets.project.platform import Platform


def open_platform(folder: Path) -> "Platform":
    """The platform of the project in a folder, or around it, in its home."""
    from mlops_assets.lakehouse.home import Home
    from mlops_assets.project.platform import Platform

    project = find_project(folder)
    return Platform.of(project.read(), Home.find(project.folder))


def open_definitions(project: ProjectFolder) -> Any:
    """The code location of a project."""
    if str(project.folder) not in sys.path:
        sys.path.insert(0, str(project.folder))
    return importlib.import_module(f"{project.package}.definitions").defs()


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
