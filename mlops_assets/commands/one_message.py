"""How a command ends that cannot do its work: with one message, not a stack."""

import errno
import functools
from collections.abc import Callable
from typing import Any

import click

from mlops_assets.errors import PlatformError, SurroundingsError


def in_one_message(command: Callable[..., None]) -> Callable[..., None]:
    """Turn errors of ours, and a full disk, into one message and a non-zero exit code."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except PlatformError as error:
            raise click.ClickException(str(error)) from error
        except Exception as error:
            if not _is_full_disk(error):
                raise
            raise click.ClickException(str(_FULL_DISK)) from error

    return wrapped


_FULL_DISK = SurroundingsError(
    "no space left on the disk that this command writes to",
    "room for what it writes",
    "make room and run it again; what was written before is whole",
)


def _is_full_disk(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if "disk is full" in str(error):  # SQLite's words, which reach us through several wrappers
            return True
        error = error.__cause__ or error.__context__
    return False
