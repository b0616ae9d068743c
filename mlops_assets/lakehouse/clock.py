"""The one platform clock. Every rule that says "now" asks it, so that a replay can set it.

A home either follows the system's clock or holds a clock that stands still until somebody sets it; which of the two
is kept in the home itself, so that the user interface, opened on a replay, sees the replay's time.
"""

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Protocol

from mlops_assets.errors import SurroundingsError
from mlops_assets.lakehouse import formats
from mlops_assets.lakehouse.files import write_atomically
from mlops_assets.lakehouse.periods import in_utc
from mlops_assets.lakehouse.write_points import write_point


class Clock(Protocol):
    """Tells the moment that the platform's rules call now."""

    def now(self) -> datetime:
        """The present moment, in UTC."""
        ...


@dataclass(frozen=True)
class SystemClock:
    """The clock of the machine."""

    def now(self) -> datetime:
        """The present moment, in UTC."""
        return datetime.now(UTC)


@dataclass(frozen=True)
class StandingClock:
    """A clock that stands at one moment; for tests and for reading as of a moment."""

    moment: datetime

    def now(self) -> datetime:
        """The moment it stands at, in UTC."""
        return in_utc(self.moment)


@dataclass(frozen=True)
class HomeClock:
    """The clock of a home: what its file says, or else the machine's time. The file is read at each question."""

    file: Path

    @cached_property
    def _name(self) -> str:
        return str(self.file)

    def now(self) -> datetime:
        """The present moment of this home, in UTC."""
        if not self.stands:  # most homes have none, and features are read in microseconds
            return SystemClock().now()
        try:
            content = json.loads(self.file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return SystemClock().now()
        except ValueError:
            raise self._unreadable() from None
        try:
            now = in_utc(datetime.fromisoformat(content["now"]))
        except (KeyError, TypeError, ValueError):
            raise self._unreadable() from None
        formats.require(content.get(formats.MEMBER), formats.CLOCK, f"the clock {self.file}")
        return now

    @property
    def stands(self) -> bool:
        """Whether it stands at the moment that it was set to, and does not follow the machine's clock."""
        return os.access(self._name, os.F_OK)

    def set(self, moment: datetime) -> None:
        """Let the home's clock stand at a moment, atomically."""
        values = formats.numbered({"now": in_utc(moment).isoformat()}, formats.CLOCK)
        write_atomically(self.file, json.dumps(values).encode())
        write_point("clock")

    def _unreadable(self) -> SurroundingsError:
        return SurroundingsError(
            f"the clock {self.file} cannot be read",
            'a file such as {"format": 1, "now": "2024-01-01T00:00:00+00:00"}',
            "set the clock again, or delete the file to follow the machine's clock",
        )
