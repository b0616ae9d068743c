"""The one platform clock. Every rule that says "now" asks it, so that a replay can set it.

A home either follows the system's clock or holds a clock that stands still until somebody sets it; which of the two
is kept in the home itself, so that the user interface, opened on a replay, sees the replay's time.

The newest moment that something was written or decided at is kept beside it, for a clock that went back would open
expired tokens again, and let a model learn from labels that are not known yet.
"""

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Protocol

from mlops_assets.errors import DamagedStateError, UnusableEnvironmentError
from mlops_assets.lakehouse import formats
from mlops_assets.lakehouse.periods import in_utc
from mlops_assets.lakehouse.write_points import write_point
from mlops_assets.storage.files import write_atomically

MAX_STEP_BACK = timedelta(minutes=5)
"""So much the clocks of machines that share a home may differ, or be corrected."""

SECONDS_BETWEEN_NOTES = 60


class Clock(Protocol):
    """Tells the moment that the platform's rules call now."""

    def now(self) -> datetime:
        """The present moment, in UTC."""
        ...

    def note(self) -> datetime:
        """The present moment, of which is kept that it was: for what is written or decided at it."""
        ...


@dataclass(frozen=True)
class SystemClock:
    """The clock of the machine."""

    def now(self) -> datetime:
        """The present moment, in UTC."""
        return datetime.now(UTC)

    def note(self) -> datetime:
        """The present moment; nothing is kept."""
        return self.now()


@dataclass(frozen=True)
class StandingClock:
    """A clock that stands at one moment; for tests and for reading as of a moment."""

    moment: datetime

    def now(self) -> datetime:
        """The moment it stands at, in UTC."""
        return in_utc(self.moment)

    def note(self) -> datetime:
        """The moment it stands at; nothing is kept."""
        return self.now()


@dataclass(frozen=True)
class HomeClock:
    """The clock of a home: what its file says, or else the machine's time. The file is read at each question."""

    file: Path

    @cached_property
    def _name(self) -> str:
        return str(self.file)

    def now(self) -> datetime:
        """The present moment of this home, in UTC.

        Raises:
            DamagedStateError: It lies before one that was noted.
        """
        newest = self.newest()  # before the clock, which somebody may set in between: that is no clock that went back
        stands = self._standing()
        now = SystemClock().now() if stands is None else stands
        step_back = MAX_STEP_BACK if stands is None else timedelta(0)
        if newest is not None and now < newest - step_back:
            newest = self.newest()  # who sets it back says so here first
        if newest is not None and now < newest - step_back:
            raise self._gone_back(now, newest)
        return now

    def note(self) -> datetime:
        """The present moment, of which is kept that it was; of the machine's clock at most once a minute.

        Raises:
            DamagedStateError: It lies before one that was noted.
        """
        now, newest = self.now(), self.newest()
        begun = os.access(self.file.parent, os.F_OK)  # who only reads makes no home
        if begun and (newest is None or (now - newest).total_seconds() >= SECONDS_BETWEEN_NOTES):
            with suppress(OSError):  # a disk without room stops who writes, and not who reads
                self._keep(now)
        return now

    def newest(self) -> datetime | None:
        """The newest moment that was noted; None where none was."""
        try:
            status = os.stat(self._newest_name)
        except FileNotFoundError:
            return None
        return _read_newest(self._newest_name, status.st_ino, status.st_mtime_ns)

    @cached_property
    def _newest_name(self) -> str:
        return str(self.file.with_name("newest_moment.json"))

    def _standing(self) -> datetime | None:
        """The moment that the clock stands at; None where it follows the machine's."""
        if not self.stands:  # most homes have none, and features are read in microseconds
            return None
        try:
            content = json.loads(self.file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except ValueError:
            raise self._unreadable() from None
        try:
            stands = in_utc(datetime.fromisoformat(content["now"]))
        except (KeyError, TypeError, ValueError):
            raise self._unreadable() from None
        formats.require(content.get(formats.MEMBER), formats.CLOCK, f"the clock {self.file}")
        return stands

    def advance(self, moment: datetime) -> None:
        """Let the home's clock stand at a moment from now on.

        Raises:
            DamagedStateError: It lies before one that was noted.
        """
        newest = self.newest()
        if newest is not None and in_utc(moment) < newest:
            raise self._gone_back(in_utc(moment), newest)
        self.set(moment)

    @property
    def stands(self) -> bool:
        """Whether it stands at the moment that it was set to, and does not follow the machine's clock."""
        return os.access(self._name, os.F_OK)

    def set(self, moment: datetime) -> None:
        """Let the home's clock stand at a moment, also at an earlier one, atomically: whoever does it means it."""
        values = formats.numbered({"now": in_utc(moment).isoformat()}, formats.CLOCK)
        newest = self.newest()
        if newest is not None and in_utc(moment) < newest:  # who reads in between finds no clock that went back
            self._keep(in_utc(moment))
        write_atomically(self.file, json.dumps(values).encode())
        write_point("clock")
        self._keep(in_utc(moment))

    def _keep(self, moment: datetime) -> None:
        values = formats.numbered({"newest": moment.isoformat()}, formats.CLOCK)
        write_atomically(Path(self._newest_name), json.dumps(values).encode())
        write_point("newest moment")

    def _gone_back(self, now: datetime, newest: datetime) -> DamagedStateError:
        return DamagedStateError(
            f"a clock that went back to {now.isoformat()}: {newest.isoformat()} was noted before, in "
            f"{self._newest_name}",
            "a clock that goes forward, for tokens expire by it, and what is known is known from then on",
            "set the clock right (a replay of earlier days begins in an empty home); if what was noted is wrong, "
            f"delete {self._newest_name}",
        )

    def _unreadable(self) -> UnusableEnvironmentError:
        return UnusableEnvironmentError(
            f"the clock {self.file} cannot be read",
            'a file such as {"format": 1, "now": "2024-01-01T00:00:00+00:00"}',
            "set the clock again, or delete the file to follow the machine's clock",
        )


@lru_cache(maxsize=100)
def _read_newest(file: str, inode: int, changed_ns: int) -> datetime:
    what = f"the newest moment in {file}"
    content = formats.read_numbered(Path(file), formats.CLOCK, what)
    try:
        return in_utc(datetime.fromisoformat(content["newest"]))
    except (KeyError, TypeError, ValueError) as error:
        raise formats.damaged(what, str(error)) from None
