"""Periods, and the two durations around them: lags (fixed) and lookbacks (fixed, or counted in months).

A period is [start, end) in UTC. Its key is what people and Dagster's partitions call it: ``2001-03`` for a month,
the first day (``2001-03-05``) for a day or a week.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal

from mlops_assets.errors import DefinitionError

Unit = Literal["day", "week", "month"]
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ONE_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, order=True)
class Period:
    """One period: the moments from ``start`` (included) to ``end`` (excluded), both in UTC."""

    start: datetime
    end: datetime
    key: str

    @property
    def anchor(self) -> datetime:
        """The last instant of the period: what a prediction about it may look at, and nothing later."""
        return self.end - ONE_MICROSECOND


@dataclass(frozen=True)
class Calendar:
    """How time is cut into periods.

    Args:
        unit: Length of a period.
        week_ends_on: Last day of a week; weeks of pharma data often end on a Friday.

    Example:
        >>> Calendar("week", week_ends_on="friday").of(datetime(2001, 3, 7, tzinfo=UTC)).key
        '2001-03-03'
    """

    unit: Unit
    week_ends_on: str = "sunday"

    def of(self, moment: datetime) -> Period:
        """The period that a moment lies in (without a zone: UTC)."""
        moment = in_utc(moment)
        midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
        if self.unit == "day":
            return self._starting(midnight)
        if self.unit == "month":
            return self._starting(midnight.replace(day=1))
        first_weekday = (WEEKDAYS.index(self.week_ends_on) + 1) % 7
        return self._starting(midnight - timedelta(days=(midnight.weekday() - first_weekday) % 7))

    def at_key(self, key: str) -> Period:
        """The period with a key.

        Raises:
            DefinitionError: The key is not one of this calendar's.
        """
        example = "a month such as 2001-03" if self.unit == "month" else "a day such as 2001-03-05"
        try:
            period = self.of(datetime.strptime(key, self.key_format).replace(tzinfo=UTC))
        except (ValueError, OverflowError):
            raise DefinitionError(f"period '{key}'", example, "correct the period") from None
        if period.key != key:
            raise DefinitionError(
                f"'{key}', which does not begin a {self.unit}", f"the first day, {period.key}", "use that"
            )
        return period

    @property
    def key_format(self) -> str:
        """The format of keys, for `datetime.strftime`."""
        return "%Y-%m" if self.unit == "month" else "%Y-%m-%d"

    def shift(self, period: Period, by: int) -> Period:
        """The period that lies ``by`` periods later (earlier where negative)."""
        if self.unit == "month":
            return self._starting(add_months(period.start, by))
        days = 7 if self.unit == "week" else 1
        return self._starting(period.start + timedelta(days=days * by))

    def newest_over(self, moment: datetime) -> Period:
        """The newest period that is over at a moment.

        Example:
            >>> Calendar("month").newest_over(datetime(2024, 3, 1, tzinfo=UTC)).key
            '2024-02'
        """
        return self.shift(self.of(moment), -1)

    def between(self, first: Period, last: Period) -> Iterator[Period]:
        """All periods from ``first`` to ``last``, both included; none where ``last`` is earlier."""
        period = first
        while period.start <= last.start:
            yield period
            period = self.shift(period, 1)

    def ending_within(self, first: Period, last: Period) -> tuple[Period, Period]:
        """The first and last of these periods that end within a span of periods of any calendar.

        Where none ends in it, the newest that ended before it, twice: what is known last about an earlier time still
        answers. A span of this calendar is given back as it is.

        Example:
            >>> wednesday = Calendar("day").at_key("2024-01-10")
            >>> [week.key for week in Calendar("week").ending_within(wednesday, wednesday)]
            ['2024-01-01', '2024-01-01']
        """
        newest = self.newest_over(last.end)
        return min(self.of(first.start), newest), newest

    def distance(self, first: Period, last: Period) -> int:
        """How many periods ``last`` lies after ``first``."""
        if self.unit == "month":
            return (last.start.year - first.start.year) * 12 + last.start.month - first.start.month
        return (last.start - first.start).days // (7 if self.unit == "week" else 1)

    def _starting(self, start: datetime) -> Period:
        days = 7 if self.unit == "week" else 1
        end = add_months(start, 1) if self.unit == "month" else start + timedelta(days=days)
        return Period(start, end, start.strftime(self.key_format))


def add_months(moment: datetime, months: int) -> datetime:
    """A moment so many months later; a day that the month does not have becomes its last day."""
    index = moment.year * 12 + moment.month - 1 + months
    year, month = divmod(index, 12)
    following = datetime(year + (month == 11), (month + 1) % 12 + 1, 1, tzinfo=UTC)
    last_day = (following - timedelta(days=1)).day
    return moment.replace(year=year, month=month + 1, day=min(moment.day, last_day))


MAX_YEARS = 100
"""Longer no duration is: the calendar ends, and moments are counted in microseconds."""

_PER_YEAR = {"hour": 8784, "day": 366, "week": 53, "month": 12, "year": 1}


@dataclass(frozen=True)
class Duration:
    """A length of time: months (of the calendar) and a fixed rest. One of the two is zero.

    Example:
        >>> Duration.parse("2 months"), Duration.parse("36 hours").rest
        (Duration(months=2, rest=datetime.timedelta(0)), datetime.timedelta(days=1, seconds=43200))
    """

    months: int = 0
    rest: timedelta = timedelta(0)

    @classmethod
    def parse(cls, text: str) -> "Duration":
        """Read ``N hours``, ``N days``, ``N weeks``, ``N months`` or ``N years``.

        Raises:
            DefinitionError: The text is not of that form.
        """
        match = re.fullmatch(r"\s*(\d+)\s*(hour|day|week|month|year)s?\s*", text)
        if not match:
            raise DefinitionError(
                f"duration '{text}'",
                "a number with hours, days, weeks, months or years",
                "write, say, '2 months'",
            )
        number, unit = int(match[1]), match[2]
        if number / _PER_YEAR[unit] > MAX_YEARS:
            raise DefinitionError(
                f"duration '{text}'",
                f"at most {MAX_YEARS} years",
                "shorten it; where any length will do, as in a lookback, leave it out",
            )
        if unit in ("month", "year"):
            return cls(months=number * (12 if unit == "year" else 1))
        hours = {"hour": 1, "day": 24, "week": 168}[unit]
        return cls(rest=timedelta(hours=number * hours))

    def periods(self, calendar: Calendar) -> int:
        """How many whole periods this is.

        Raises:
            DefinitionError: It is not a whole number of periods of the calendar.
        """
        if calendar.unit == "month" and not self.rest:
            return self.months
        length = timedelta(days=7 if calendar.unit == "week" else 1)
        if calendar.unit != "month" and not self.months and self.rest % length == timedelta(0):
            return self.rest // length
        raise DefinitionError(
            f"a duration of {self}", f"a whole number of {calendar.unit}s", f"give it in {calendar.unit}s"
        )

    def before(self, anchor: datetime) -> datetime:
        """The last instant outside the window (anchor − this, anchor].

        Anchors are last instants of periods, so months are counted from the instant after: two months before the
        end of February is the end of December, though December has more days.
        """
        if not self.months:
            return anchor - self.rest
        end = anchor + ONE_MICROSECOND
        return add_months(end, -self.months) - self.rest - ONE_MICROSECOND

    def __str__(self) -> str:
        if self.months:
            return f"{self.months} months"
        hours = self.rest // timedelta(hours=1)
        return f"{hours // 24} days" if hours % 24 == 0 else f"{hours} hours"


def parse_moment(text: str) -> datetime:
    """Read a date, a date with time (without a zone: UTC), or a month such as ``2001-03`` (its first instant).

    Raises:
        DefinitionError: The text is none of these, or tells parts of a microsecond, which nothing here can hold.
    """
    value = text.strip()
    if re.search(r"[.,]\d{6}\d*[1-9]", value):
        raise DefinitionError(
            f"time '{text}'", "microseconds: digits below them may only be zeros", "leave those digits out"
        )
    try:
        if re.fullmatch(r"\d{4}-\d{2}", value):
            return datetime.strptime(value, "%Y-%m").replace(tzinfo=UTC)
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
            return datetime.combine(date.fromisoformat(value), datetime.min.time(), UTC)
        return in_utc(datetime.fromisoformat(value))
    except (ValueError, OverflowError):
        raise DefinitionError(
            f"time '{text}'", "2001-03, 2001-03-05 or 2001-03-05T12:00:00+00:00", "correct the time"
        ) from None


def in_utc(moment: datetime) -> datetime:
    """A moment in UTC; one without a zone is UTC, whatever the machine's zone."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
