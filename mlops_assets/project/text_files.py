"""Reading text that a user wrote: SQL, Python, YAML and settings, all refused in the same words."""

import tomllib
from pathlib import Path
from typing import Any

from mlops_assets.errors import DefinitionError, Location, cannot_open


def read_text(file: Path, expected: str, where: Location | None = None) -> str:
    """The text of a file that a user wrote.

    Raises:
        DefinitionError: There is none, it is no file (reading a pipe or a device may never end), or is not in UTF-8.
        SurroundingsError: This user may not read it.
    """
    try:
        if not file.is_file():
            raise FileNotFoundError(file)
        return file.read_text(encoding="utf-8")
    except PermissionError as error:
        raise cannot_open(file, error.strerror or "") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DefinitionError(
            f"no readable file {file}",
            expected,
            "write it, or correct the name",
            where=where or Location(file),
        ) from error


def read_toml(file: Path) -> dict[str, Any]:
    """What a file in TOML says.

    Raises:
        DefinitionError: It cannot be read, or is not TOML.
    """
    text = read_text(file, "a file in UTF-8 with the project's settings")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DefinitionError(
            f"a file that is not TOML ({error})", "the project's settings in TOML", "correct it", where=Location(file)
        ) from error
