"""Who works on a home alone: a replay, a backfill or a migration, and nothing that writes beside it.

A lock of the operating system tells, which is gone when its process is; what the file says is for people.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from mlops_assets.errors import ConflictError
from mlops_assets.lakehouse.home import Home

LOCK = ".at_work"


@contextmanager
def working_alone(home: Home, work: str) -> Iterator[None]:
    """Let no other process work on a home meanwhile.

    Args:
        home: The home.
        work: What is done, in words, such as "a replay".

    Raises:
        ConflictError: Somebody works on it, alone or not.
    """
    with _locked(home, fcntl.LOCK_EX, work) as stream:
        stream.truncate(0)
        stream.write(json.dumps({"work": work, "process": os.getpid()}))
        stream.flush()
        try:
            yield
        finally:
            stream.truncate(0)


@contextmanager
def working_beside(home: Home, work: str) -> Iterator[None]:
    """Let nobody work on a home alone meanwhile; others may work beside this.

    Raises:
        ConflictError: Somebody works on it alone.
    """
    with _locked(home, fcntl.LOCK_SH, work):
        yield


def who_works_alone(home: Home) -> str:
    """What another process does on a home alone, in words; empty where none does."""
    try:
        with (home.folder / LOCK).open(encoding="utf-8") as stream:
            return "" if _try(stream, fcntl.LOCK_SH) else _told(stream)
    except FileNotFoundError:
        return ""


@contextmanager
def _locked(home: Home, how: int, work: str) -> Iterator[IO[str]]:
    home.folder.mkdir(parents=True, exist_ok=True)
    with (home.folder / LOCK).open("a+", encoding="utf-8") as stream:
        if not _try(stream, how):
            other = _told(stream) or "another command that writes"
            raise ConflictError(
                f"{other} at work in {home.folder}", f"a home that {work} has to itself", "wait until it has ended"
            )
        yield stream


def _try(stream: IO[str], how: int) -> bool:
    try:
        fcntl.flock(stream, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _told(stream: IO[str]) -> str:
    """What the holder wrote; empty where that is this process, or it has not written yet."""
    stream.seek(0)
    try:
        told = json.loads(stream.read())
    except ValueError:
        return ""
    return "" if told["process"] == os.getpid() else f"{told['work']} (process {told['process']})"
