"""A small project to begin with: daily orders of a few regions and products, in YAML and SQL."""

import keyword
import re
import sys
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

from mlops_assets.errors import UnusableEnvironmentError

FILES = Path(__file__).parent / "files"
PACKAGE = "PACKAGE"
AS_TEXT = ".txt"


def write_project(target: Path) -> list[Path]:
    """Write the project into a folder, under a package that is named after the folder.

    Args:
        target: A folder that is empty or does not exist yet.

    Returns:
        The files written.

    Raises:
        UnusableEnvironmentError: The folder holds something, or cannot be written.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UnusableEnvironmentError(
            f"{target} is there already", "a folder that is empty or new", "name another folder"
        )
    package = _package_name(target.resolve().name)
    if package in _taken():
        raise UnusableEnvironmentError(
            f"'{package}', as a module of Python's or of an installed package is called",
            "a folder whose name no module has",
            f"name it, say, {package}_project",
        )
    written = []
    try:
        for file in sorted(FILES.rglob("*")):
            if file.is_dir():
                continue
            place = str(file.relative_to(FILES)).removesuffix(AS_TEXT).replace(PACKAGE, package)
            path = target / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(file.read_text(encoding="utf-8").replace(PACKAGE, package), encoding="utf-8")
            written.append(path)
    except OSError as error:
        raise UnusableEnvironmentError(
            f"{target} cannot be written ({error.strerror})", "a folder that this user can write", "name another folder"
        ) from error
    return written


@cache
def _taken() -> frozenset[str]:
    """What no package may be called; to know that of what is installed takes most of a second."""
    return frozenset((*sys.stdlib_module_names, *keyword.kwlist, *packages_distributions(), "mlops_assets"))


def _package_name(folder: str) -> str:
    """The folder's name as Python can import it."""
    name = re.sub(r"\W+", "_", folder.lower()).strip("_")
    return name if name and not name[0].isdigit() else f"project_{name}".rstrip("_")
