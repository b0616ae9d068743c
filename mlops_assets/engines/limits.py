"""How long the SQL of a user may take, and how much memory and disk; and work that is given up before it is done."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

from mlops_assets.errors import ContractError, Location


@dataclass(frozen=True)
class Limits:
    """What one evaluation may take, of a table over its rows or of the features of one request.

    Args:
        seconds: How long it may take.
        megabytes: How much memory it may have.
        spill_megabytes: How much it may put on the disk of the home meanwhile.
        kind: What the settings are called by.
    """

    seconds: int = 3_600
    megabytes: int = 4_000
    spill_megabytes: int = 10_000
    kind: Literal["evaluation", "request"] = "evaluation"

    def too_long(self, what: str, where: Location | None = None) -> "OverLimitError":
        """The error for work that took longer."""
        return self._over(f"{what}, which was ended after {self.seconds} s", f"{self.seconds} s", "seconds", where)

    def too_much(self, what: str, words: str, where: Location | None = None) -> "OverLimitError":
        """The error for work that needed more memory or disk, in words that say how that was seen."""
        given = f"{self.megabytes} MB of memory, and {self.spill_megabytes} MB of disk"
        return self._over(f"{what}, which needs more memory or disk than it may ({words})", given, "megabytes", where)

    def _over(self, found: str, given: str, unit: str, where: Location | None) -> "OverLimitError":
        smaller = "ask for fewer rows or smaller values" if self.kind == "request" else "have it make fewer rows"
        return OverLimitError(
            found,
            f"an answer within {given}",
            f"{smaller}, or raise {self.kind}_{unit} in [tool.mlops_assets.limits] of pyproject.toml",
            where=where,
        )


REQUEST_LIMITS = Limits(seconds=10, megabytes=1_000, kind="request")


class OverLimitError(ContractError):
    """Work took longer, or needed more, than its limits; it was ended, and nothing is left of it."""


@contextmanager
def told_of(name: str) -> Iterator[None]:
    """Let an error of limits say whose SQL it was."""
    try:
        yield
    except OverLimitError as error:
        raise OverLimitError(
            f"{name}: {error.found}", error.expected, error.cure, where=error.where
        ) from error.__cause__


class GivenUpError(Exception):
    """Nobody waits for the answer any more, or its time was over before it was begun."""


class Work:
    """Something that somebody waits for: until when, and how it is ended before.

    Args:
        seconds: From now on, with all that it waits for itself.
    """

    def __init__(self, seconds: float) -> None:
        self.until = time.monotonic() + seconds
        self.given_up = False
        self._end: Callable[[], None] | None = None
        self._lock = threading.Lock()

    def give_up(self) -> None:
        """End it, from any thread; what is at work raises `GivenUpError`."""
        with self._lock:
            self.given_up = True
            if self._end:
                self._end()

    @contextmanager
    def ended_by(self, end: Callable[[], None]) -> Iterator[None]:
        """Say how to end what is done inside."""
        with self._lock:
            self._end = end
            if self.given_up:
                raise GivenUpError
        try:
            yield
        finally:
            with self._lock:
                self._end = None

    @contextmanager
    def done_here(self) -> Iterator[None]:
        """Let what engines do inside be this work.

        Raises:
            GivenUpError: It was given up, or its time is over.
        """
        if self.given_up or time.monotonic() >= self.until:
            raise GivenUpError
        token = _PRESENT.set(self)
        try:
            yield
        finally:
            _PRESENT.reset(token)


_PRESENT: ContextVar[Work | None] = ContextVar("work", default=None)


def work_within(limits: Limits) -> Work:
    """The work that is being done here; where nobody said, one that begins now."""
    return _PRESENT.get() or Work(limits.seconds)
