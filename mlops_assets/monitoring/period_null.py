"""Whether a period is off: judged by how far past periods lay from the rest of the reference.

Months differ from one another without drift, so rows that are drawn anew from the reference are the wrong null. Here
it is a past period against the other periods of the reference. Each statistic is centred by its median over past
periods and scaled by their median absolute deviation, and one bar stands on the largest over all columns: so a model
states one rate of false alarms, however many columns it has and however they hang together.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from math import nan
from typing import TYPE_CHECKING, Literal, Self

import numpy as np

from mlops_assets.lakehouse.periods import Calendar
from mlops_assets.monitoring.period_statistics import DISTANCE, OF_COLUMNS, Key, against, against_rest, deviation
from mlops_assets.monitoring.summaries import Summaries

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

ReferenceKind = Literal["all", "same_season", "previous"]
"""What a period is compared with: all of the reference, its periods of the same season, or the period before."""

MIN_PERIODS, MIN_OF_A_SEASON = 24, 3
"""With fewer periods a reference is shown, and not judged by."""

OF_A_NORMAL = 1.4826
"""The standard deviation of a normal distribution by its median absolute deviation."""

MIN_SCALE = 0.25
"""A scale is at least so much of the standard deviation: of many past values that are equal the median one is 0."""

TAIL = 2.5
"""One past value in twenty lies so many scales above the median at most.

A column that is off in each January, or lacks what looks back in the first year, would lift the bar for all others.
"""

SHIFT = 0.5
"""The shift, in deviations of the reference, whose power is told of each column of numbers."""


@dataclass(frozen=True)
class Finding:
    """One statistic of one column.

    Args:
        column: Its name; empty where it is of all rows.
        statistic: What was measured, as in `mlops_assets.monitoring.period_statistics`.
        value: What it came to.
        usual: What it comes to in past periods: their median.
        score: How many scales it lies above that; what the bar is compared with.
    """

    column: str
    statistic: str
    value: float
    usual: float
    score: float


@dataclass(frozen=True)
class Verdict:
    """What was found in a period.

    Args:
        findings: Every statistic that can be told, the largest score first.
        why_not: Why the period is not judged, in words; empty where it is.
        bar: Beyond it a score is an alarm; NaN where the period is not judged.
    """

    findings: tuple[Finding, ...]
    why_not: str
    bar: float

    @property
    def alarm(self) -> bool:
        """Whether the period is off."""
        return bool(self.beyond)

    @property
    def beyond(self) -> tuple[Finding, ...]:
        """What lies beyond the bar."""
        return tuple(finding for finding in self.findings if finding.score > self.bar)


@dataclass(frozen=True, eq=False)
class PeriodNull:
    """How past periods lie from the rest of a reference, and the bar that this gives.

    Args:
        reference: The past periods.
        calendar: How they are cut.
        kind: What a period is compared with.
        rate: How often a period without drift may alarm.
        centre: Of each statistic its median over past periods.
        scale: Of each statistic how far past periods lie from it.
        largest: The largest score of each past period that was compared.
    """

    reference: Summaries
    calendar: Calendar
    kind: ReferenceKind
    rate: float
    centre: Mapping[Key, float]
    scale: Mapping[Key, float]
    largest: "Floats"

    @classmethod
    def of(
        cls,
        reference: Summaries,
        calendar: Calendar,
        kind: ReferenceKind = "all",
        rate: float = 0.05,
        statistics: Collection[str] = OF_COLUMNS,
    ) -> Self:
        """From the past periods of a reference, such as those of a version's training set, by some statistics.

        Example:
            >>> from mlops_assets.monitoring.summaries import summarize
            >>> import pyarrow as pa
            >>> keys = [f"{year}-{month:02}" for year in (2001, 2002) for month in range(1, 13) for _ in range(200)]
            >>> random = np.random.default_rng(1)
            >>> past = summarize(pa.table({"x": random.normal(size=4800)}), keys, numbers=["x"], categories=[])
            >>> now = pa.table({"x": random.normal(loc=1.0, size=200)})
            >>> current = summarize(now, ["2003-01"] * 200, numbers=["x"], categories=[])
            >>> verdict = PeriodNull.of(past, Calendar("month")).judge(current)
            >>> verdict.beyond[0].column, verdict.beyond[0].statistic
            ('x', 'distance')
        """
        past, row = _past(reference, calendar, kind), 1 / float(np.median(reference.rows))
        past = {key: values for key, values in past.items() if key[1] in statistics}
        centre, scale, largest = _scaled(past, row)
        return cls(reference, calendar, kind, rate, centre, scale, largest)

    @cached_property
    def bar(self) -> float:
        """Beyond it a score is an alarm."""
        return float(np.quantile(self.largest, 1 - self.rate)) if len(self.largest) else nan

    @cached_property
    def alarms_in_past(self) -> int:
        """In how many past periods there would have been an alarm, had each been judged by the others."""
        others = (np.delete(self.largest, place) for place in range(len(self.largest)))
        bars = (np.quantile(rest, 1 - self.rate) for rest in others)
        return sum(bool(one > bar) for one, bar in zip(self.largest, bars, strict=True))

    @cached_property
    def power(self) -> Mapping[str, float]:
        """Of each column of numbers, in what share of past periods a shift by half a deviation would have alarmed."""
        shifted, power = _past(self.reference, self.calendar, self.kind, SHIFT), {}
        for column in self.reference.numbers:
            key = (column, DISTANCE)
            known = shifted[key][np.isfinite(shifted[key])] if key in shifted else np.zeros(0)
            if len(known) and key in self.scale:
                power[column] = float(np.mean((known - self.centre[key]) / self.scale[key] > self.bar))
        return power

    def judge(self, current: Summaries, before: Summaries | None = None) -> Verdict:
        """Judge one period.

        Args:
            current: The period.
            before: The period before it, which counts where ``kind`` is ``previous``.
        """
        (period,) = current.periods
        compared = against(self._compared_with(period, before), current)
        findings = [
            Finding(*key, float(value), self.centre[key], (float(value) - self.centre[key]) / self.scale[key])
            for key, (value,) in compared.items()
            if key in self.scale and np.isfinite(value)
        ]
        why_not = self._why_not(period, before)
        return Verdict(
            tuple(sorted(findings, key=lambda one: (-one.score, one.column, one.statistic))),
            why_not,
            nan if why_not else self.bar,
        )

    def _compared_with(self, period: str, before: Summaries | None) -> Summaries:
        if self.kind == "previous" and before is not None:
            return before
        if self.kind == "same_season" and (same := self._same_season(period)):
            return self.reference.at(same)
        return self.reference

    def _same_season(self, period: str) -> list[int]:
        return _seasons(self.reference, self.calendar).get(season_of(self.calendar, period), [])

    def _why_not(self, period: str, before: Summaries | None) -> str:
        """Why a period is shown and not judged; empty where it is judged."""
        if len(self.largest) < MIN_PERIODS:
            return f"there are {len(self.largest)} past periods to compare, and {MIN_PERIODS} are needed to judge"
        if self.kind == "previous" and before is None:
            return "the period before was not scored"
        if self.kind == "same_season" and (same := len(self._same_season(period))) < MIN_OF_A_SEASON:
            return f"there are {same} past periods of this season, and {MIN_OF_A_SEASON} are needed to judge"
        return ""


def _past(reference: Summaries, calendar: Calendar, kind: ReferenceKind, shift: float = 0.0) -> "dict[Key, Floats]":
    """Each statistic of past periods against what such a period is compared with, a value for each of them.

    Args:
        reference: Past periods.
        calendar: How they are cut.
        kind: What a period is compared with.
        shift: By how many deviations the numbers of the past period are shifted before.
    """
    if kind == "previous":
        parts = [
            against(reference.at([place - 1]), _shifted(reference.at([place]), reference.at([place - 1]), shift))
            for place in range(1, len(reference.periods))
        ]
    else:
        groups = _seasons(reference, calendar).values() if kind == "same_season" else [range(len(reference.periods))]
        of_group = [reference.at(list(places)) for places in groups if len(places) >= MIN_OF_A_SEASON]
        parts = [against(part, _shifted(part, part, shift)) if shift else against_rest(part) for part in of_group]
    keys = dict.fromkeys(key for part in parts for key in part)
    return {key: np.concatenate([part[key] for part in parts if key in part]) for key in keys}


def _shifted(periods: Summaries, by: Summaries, shift: float) -> Summaries:
    """Periods whose numbers are greater by so many deviations of a reference."""
    if not shift:
        return periods
    numbers = {}
    for name, column in periods.numbers.items():
        step = shift * deviation(by.numbers[name])
        numbers[name] = replace(column, points=tuple(points + step for points in column.points))
    return replace(periods, numbers=numbers)


def _seasons(reference: Summaries, calendar: Calendar) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for place, key in enumerate(reference.periods):
        found.setdefault(season_of(calendar, key), []).append(place)
    return found


@lru_cache(maxsize=10_000)
def season_of(calendar: Calendar, key: str) -> int:
    """The season of a period: the month in which it begins, and of a day the day of the week."""
    start = calendar.at_key(key).start
    return start.weekday() if calendar.unit == "day" else start.month


def _scaled(past: "Mapping[Key, Floats]", row: float) -> "tuple[dict[Key, float], dict[Key, float], Floats]":
    """Centre, scale and largest scores; one row more or less is at most one scale."""
    centre, scale, scores = {}, {}, []
    for key, values in past.items():
        known = values[np.isfinite(values)]
        if not len(known):
            continue
        centre[key] = float(np.median(known))
        spread = OF_A_NORMAL * float(np.median(np.abs(known - centre[key])))
        tail = float(np.quantile(known, 0.95)) - centre[key]
        scale[key] = max(spread, MIN_SCALE * float(known.std()), tail / TAIL, row)
        scores.append(np.where(np.isfinite(values), (values - centre[key]) / scale[key], -np.inf))
    largest = np.max(scores, axis=0) if scores else np.zeros(0)
    return centre, scale, largest[np.isfinite(largest)]
