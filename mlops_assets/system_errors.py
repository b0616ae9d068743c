"""What the machine refuses, whichever library tells of it: a full disk, a lock, a closed file, a damaged database."""

import errno
import os
from collections.abc import Iterable, Iterator

from mlops_assets.errors import DamagedStateError, UnusableEnvironmentError, cannot_open

_FULL_DISK = UnusableEnvironmentError(
    "no space left on the disk that this command writes to",
    "room for what it writes",
    "make room and run it again; what was written before is whole",
)
_OF_PERMISSIONS = ("Permission denied", "readonly database", "unable to open database file", "Read-only file system")
"""What libraries say of what the system does not let them open; SQLite, Delta, Arrow and DuckDB have no errno."""
_OF_LOCKS = "database is locked"
_OF_DAMAGE = ("file is not a database", "database disk image is malformed")


def of_the_system(error: BaseException) -> UnusableEnvironmentError | None:
    """What the system refused, in our words, where that is what an error, or one that caused it, tells of."""
    return next((told for one in _chain(error) if (told := _told(one))), None)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _told(error: BaseException) -> UnusableEnvironmentError | None:
    words = str(error)
    if "disk is full" in words:  # SQLite's words, which reach us through several wrappers
        return _FULL_DISK
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return _FULL_DISK
    if _OF_LOCKS in words:
        return UnusableEnvironmentError(
            "a database in the home that another program has locked",
            "a database that can be read and written",
            "end that program, or wait for it, and run the command again",
        )
    if isinstance(error, OSError) and error.errno and error.filename is not None:
        return cannot_open(error.filename, error.strerror or os.strerror(error.errno))
    if said := _line(words, _OF_PERMISSIONS):
        return cannot_open("a file of the home or the project", said)
    if said := _line(words, _OF_DAMAGE):
        return DamagedStateError(
            f"a database in the home that is damaged ({said})",
            "the database as it was written",
            "have `mlops-assets verify` say which, restore it from a backup, and run the command again",
        )
    return None


def _line(words: str, told: Iterable[str]) -> str:
    """The first line that tells of something; empty where none does."""
    return next((line.strip()[:300] for line in words.splitlines() if any(one in line for one in told)), "")
