"""What commands begin with: the platform of the project in a folder, and who uses the command line."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets.project.folder import find_project

if TYPE_CHECKING:
    from mlops_assets.governance.access import Principal
    from mlops_assets.project.platform import Platform


def open_platform(folder: Path) -> "Platform":
    """The platform of the project in a folder, or around it, in its home."""
    from mlops_assets.lakehouse.home import Home
    from mlops_assets.project.platform import Platform

    project = find_project(folder)
    return Platform.of(project.read(), Home.find(project.folder))


def principal_of_command(platform: "Platform") -> "Principal":
    """Who uses the command line, by the token in ``MLOPS_TOKEN``.

    Raises:
        ForbiddenError: The token is not valid.
    """
    from mlops_assets.governance.tokens import principal_of_environment

    return principal_of_environment(platform.tokens, os.environ, platform.clock.now())
