"""How a command ends that cannot do its work: with one message, not a stack."""

import errno
import functools
import os
from collections.abc import Callable, Iterator
from typing import Any

import click

from mlops_assets.errors import PlatformError, SurroundingsError, cannot_open


def in_one_message(command: Callable[..., None]) -> Callable[..., None]:
    """Turn errors of ours, a full disk, and what cannot be read or written, into one message and exit code 1."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except PlatformError as error:
            raise click.ClickException(str(error)) from error
        except Exception as error:
            told = next((words for one in _chain(error) if (words := _of_files(one))), None)
            if told is None:
                raise
            raise click.ClickException(str(told)) from error

    return wrapped


_FULL_DISK = SurroundingsError(
    "no space left on the disk that this command writes to",
    "room for what it writes",
    "make room and run it again; what was written before is whole",
)
_OF_PERMISSIONS = ("Permission denied", "readonly database", "unable to open database file", "Read-only file system")
"""What libraries say of what the system does not let them open; SQLite, Delta, Arrow and DuckDB have no errno."""
_OF_LOCKS = "database is locked"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _of_files(error: BaseException) -> SurroundingsError | None:
    """What the system refused, in our words; None for another error."""
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
