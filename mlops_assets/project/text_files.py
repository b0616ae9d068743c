"""Reading text that a user wrote: SQL, Python, YAML and settings, all refused in the same words."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops_assets.errors import DefinitionError, Location, cannot_open


def read_text(file: Path, expected: str, where: Location | None = None) -> str:
    """The text of a file that a user wrote.

    Raises:
        DefinitionError: There is none, it is no file (reading a pipe or a device may never end), or is not in UTF-8.
        UnusableEnvironmentError: This user may not read it.
    """
    try:
        if not file.is_file():
            raise FileNotFoundError(file)
        return file.read_text(encoding="utf-8")
    except PermissionError as error:
        raise cannot_open(file, error.strerror or "") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DefinitionError(
            f"no readable file {file}", expected, "write it, or correct the name", where=where or Location(file)
        ) from error


@dataclass(frozen=True)
class Settings:
    """A table of a file in TOML.

    Args:
        file: The file.
        text: All that it says.
        written: The table: values by name; empty where there is none.
    """

    file: Path
    text: str
    written: Mapping[str, Any]

    def place(self, name: str) -> Location:
        """The place of the first line that sets a name; TOML's reader does not tell lines."""
        found = re.search(rf"^\s*([\w.]+\.)?[\"']?{re.escape(name)}[\"']?\s*=", self.text, re.MULTILINE)
        return Location(self.file, self.text.count("\n", 0, found.end()) + 1 if found else None)


def read_settings(file: Path, *names: str) -> Settings:
    """A table of a file in TOML, by the names of the tables that it lies in and its own.

    Raises:
        DefinitionError: The file cannot be read, is not TOML, or one of the names is of no table.
    """
    text = read_text(file, "a file in UTF-8 with the project's settings")
    try:
        written = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise DefinitionError(
            f"a file that is not TOML ({error})", "the project's settings in TOML", "correct it", where=Location(file)
        ) from error
    for place, name in enumerate(names, start=1):
        written = written.get(name, {})
        if not isinstance(written, dict):
            raise DefinitionError(
                f"{'.'.join(names[:place])} = {written!r}",
                f"a table [{'.'.join(names)}]",
                "correct it",
                where=Settings(file, text, {}).place(name),
            )
    return Settings(file, text, written)


def project_settings(defs: Path) -> Settings:
    """``[tool.mlops_assets]`` of the project whose definitions lie in a folder.

    Args:
        defs: The folder ``defs``, in the project's package; without a pyproject.toml beside the package, there are no
            settings.

    Raises:
        DefinitionError: As `read_settings`.
    """
    file = defs.resolve().parent.parent / "pyproject.toml"
    return read_settings(file, "tool", "mlops_assets") if file.is_file() else Settings(file, "", {})
