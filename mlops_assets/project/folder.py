"""Where a project lies: the folder with ``pyproject.toml``, and in it the package that holds ``defs``."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets.errors import DefinitionError, Location
from mlops_assets.project.text_files import read_settings

if TYPE_CHECKING:
    from mlops_assets.project.definition import ProjectDefinition


@dataclass(frozen=True)
class ProjectFolder:
    """A project on disk: the folder with ``pyproject.toml``, and the package that holds ``defs``."""

    folder: Path
    package: str

    @property
    def defs(self) -> Path:
        """The folder of the YAML files."""
        return self.folder / self.package / "defs"

    def read(self) -> "ProjectDefinition":
        """The project's definition."""
        from mlops_assets.project.load import load_project

        return load_project(self.defs)


def find_project(folder: Path) -> ProjectFolder:
    """The project in a folder.

    Raises:
        DefinitionError: There is none.
    """
    file = folder / "pyproject.toml"
    cure = "go to the project's folder, or make a project with `mlops-assets init DIR`"
    if not file.exists():
        raise DefinitionError(f"no {file}", "a project's folder", cure)
    package = read_settings(file, "tool", "dg", "project").written.get("root_module")
    if not isinstance(package, str) or not package.isidentifier() or not (folder / package / "defs").is_dir():
        raise DefinitionError(
            f"no package with a folder 'defs' named in [tool.dg.project] root_module (it says {package!r})",
            "a project with definitions",
            cure,
            where=Location(file),
        )
    return ProjectFolder(folder.resolve(), package)
