"""The number of the format of each kind of state, and what is said to whoever opens state of another number.

A number rises with a change that the release before could not read; the change comes with a step of
``mlops-assets migrate`` (see docs/migration.md).
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mlops_assets.errors import DamagedStateError, UnusableEnvironmentError
from mlops_assets.storage.path import StoragePath

HOME = 3
"""Of the whole home; rises with any number below, and with what is not numbered by itself."""
TABLE = 1
"""Of a Delta table: its columns beside the user's, its partitions, its transactions."""
RECORDS = 1
"""Of records in a table, for kinds that have no number of their own."""
DELIVERY = 1
CLOCK = 1
REPLAY = 1
TRAIL = 1
EVIDENCE = 1
PUSHED = 1
ONLINE = 1

UNNUMBERED = 1
"""The format of all that was written before there were numbers."""

MEMBER = "format"
"""What the number is called in JSON."""

HOME_FILE = "format.json"
MIGRATE = "run `mlops-assets migrate`"

RESTORE = "restore it from a backup of the home"

_STATE = ("lakehouse", "trail", "mlflow", "clock.json", "replay.json", "online.sqlite")
"""What of a home is state; where something else lies alone (what arrived, Dagster's settings), it is still empty."""


def require(found: int | None, number: int, what: str) -> None:
    """See that state has the number that this release reads.

    Args:
        found: Its number; None where it has none.
        number: What this release reads.
        what: What it is, for the message.

    Raises:
        UnusableEnvironmentError: It has another.
    """
    if found == number:
        return
    if found is not None and found > number:
        raise UnusableEnvironmentError(
            f"{what} in format {found}",
            f"format {number} or an older one: this is mlops-assets {release()}",
            "use the release that wrote it, or a newer one",
        )
    raise UnusableEnvironmentError(
        f"{what} {'without the number of a format' if found is None else f'in format {found}'}",
        f"format {number}",
        f"{MIGRATE} in the home that it comes from; what is copied from one home into another is migrated there first",
    )


def numbered(values: Mapping[str, Any], number: int) -> dict[str, Any]:
    """Values for a JSON file, with the number of their format before them."""
    return {MEMBER: number, **values}


def unnumbered(content: Mapping[str, Any], number: int, what: str) -> dict[str, Any]:
    """What `numbered` was given.

    Raises:
        UnusableEnvironmentError: The number is another, or there is none.
    """
    require(content.get(MEMBER), number, what)
    return {name: value for name, value in content.items() if name != MEMBER}


def read_numbered(file: Path | StoragePath, number: int, what: str) -> dict[str, Any]:
    """What `numbered` was given, from a JSON file.

    Args:
        file: The file.
        number: The number that this release reads.
        what: What it is, for messages.

    Raises:
        DamagedStateError: The file cannot be read as that.
        FileNotFoundError: It is not there.
        UnusableEnvironmentError: The number is another, or there is none.
    """
    try:
        content = json.loads(file.read_bytes())
        if not isinstance(content, dict):
            raise TypeError(type(content).__name__)
    except (ValueError, TypeError) as error:
        raise damaged(what, str(error)) from None
    return unnumbered(content, number, what)


def damaged(what: str, why: str) -> DamagedStateError:
    """The error for a file of state that cannot be read."""
    return DamagedStateError(f"{what}, which cannot be read ({why})", "the file as it was written", RESTORE)


@dataclass(frozen=True)
class TableFormat:
    """The numbers of one Delta table, which it carries in its description.

    Args:
        table: Of the table.
        records: Of the records in it; None where it holds rows.
    """

    table: int
    records: int | None = None

    def __str__(self) -> str:
        return f"mlops-assets table {self.table}" + (f", records {self.records}" if self.records else "")

    @classmethod
    def parse(cls, description: str | None) -> "TableFormat | None":
        """What a table says of itself; None where it says nothing."""
        found = re.fullmatch(r"mlops-assets table (\d+)(?:, records (\d+))?", description or "")
        return cls(int(found[1]), int(found[2]) if found[2] else None) if found else None


@dataclass(frozen=True)
class HomeFormat:
    """What a home says of itself.

    Args:
        number: The number of its format.
        release: The release that brought it there.
    """

    number: int
    release: str

    def as_json(self) -> bytes:
        """As the home's file holds it."""
        return json.dumps(numbered({"release": self.release}, self.number)).encode()


def present() -> HomeFormat:
    """The format of homes that this release makes."""
    return HomeFormat(HOME, release())


def home_format(folder: Path) -> HomeFormat | None:
    """The format of a home; None where it holds nothing yet. A look at one small file, read when it changed.

    Raises:
        UnusableEnvironmentError: The file cannot be read.
    """
    file = folder / HOME_FILE
    try:
        status = file.stat()
    except (FileNotFoundError, NotADirectoryError):
        held = any((folder / name).exists() for name in _STATE)
        return HomeFormat(UNNUMBERED, "an earlier one") if held else None
    return _read(file, status.st_ino, status.st_mtime_ns)


@lru_cache(maxsize=1_000)
def _read(file: Path, inode: int, changed_ns: int) -> HomeFormat:
    try:
        content = json.loads(file.read_bytes())
        return HomeFormat(int(content[MEMBER]), str(content["release"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UnusableEnvironmentError(
            f"the file {file}, which cannot be read ({error})",
            f"a file such as {present().as_json().decode()}",
            RESTORE,
        ) from None


def require_home(folder: Path) -> None:
    """See that this release reads a home.

    Raises:
        UnusableEnvironmentError: It is older, and was not migrated; or newer.
    """
    found = home_format(folder)
    if found is None or found.number == HOME:
        return
    if found.number > HOME:
        raise UnusableEnvironmentError(
            f"the home {folder} in format {found.number}, written by mlops-assets {found.release}",
            f"a home up to format {HOME}: this is mlops-assets {release()}",
            f"use release {found.release} or a newer one",
        )
    raise UnusableEnvironmentError(
        f"the home {folder} in format {found.number}, of an earlier release",
        f"a home in format {HOME}",
        f"{MIGRATE}, with --dry-run to see what it will do; a backup is made first",
    )


@lru_cache(maxsize=1)
def release() -> str:
    """The number of this release."""
    return version("mlops-assets")
