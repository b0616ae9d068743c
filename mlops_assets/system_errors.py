"""What the system refused, whichever library tells of it: a full disk, a lock, a file that may not be read."""

import errno
import os
from collections.abc import Iterator

from mlops_assets.errors import SurroundingsError, cannot_open

_FULL_DISK = SurroundingsError(
    "no space left on the disk that this command writes to",
    "room for what it writes",
    "make room and run it again; what was written before is whole",
)
_OF_PERMISSIONS = ("Permission denied", "readonly database", "unable to open database file", "Read-only file system")
"""What libraries say of what the system does not let them open; SQLite, Delta, Arrow and DuckDB have no errno."""
_OF_LOCKS = "database is locked"


def of_the_system(error: BaseException) -> SurroundingsError | None:
    """What the system refused, in our words, where that is what an error, or one that caused it, tells of."""
    return next((told for one in _chain(error) if (told := _told(one))), None)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _told(error: BaseException) -> SurroundingsError | None:
    words = str(error)
    if "disk is full" in words:  # SQLite's words, which reach us through several wrappers
        return _FULL_DISK
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return _FULL_DISK
    if _OF_LOCKS in words:
        return SurroundingsError(
            "a database in the home that another program has locked",
            "a database that can be read and written",
            "end that program, or wait for it, and run the command again",
        )
    if isinstance(error, OSError) and error.errno and error.filename is not None:
        return cannot_open(error.filename, error.strerror or os.strerror(error.errno))
    said = [line.strip() for line in words.splitlines() if any(one in line for one in _OF_PERMISSIONS)]
    return cannot_open("a file of the home or the project", said[0][:300]) if said else None
