"""How a command ends that cannot do its work: with one message, not a stack."""

import functools
from collections.abc import Callable
from typing import Any

import click

from mlops_assets.errors import PlatformError
from mlops_assets.system_errors import of_the_system


def in_one_message(command: Callable[..., None]) -> Callable[..., None]:
    """Turn errors of ours, a full disk, and what cannot be read or written, into one message and exit code 1."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except PlatformError as error:
            raise click.ClickException(str(error)) from error
        except Exception as error:
            told = of_the_system(error)
            if told is None:
                raise
            raise click.ClickException(str(told)) from error

    return wrapped
