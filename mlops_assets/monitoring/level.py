"""The level: which error is to be expected of a version in a period, and how far it may lie above that.

What makes a period hard for a model makes it hard for the baseline, too, so errors are told as skill, the error over
the baseline's on the same rows, by its logarithm. What season is left in that is taken out by the past of the same
season. How far a few periods may stray together is how far past ones did, each from what the others let expect: as the
null in `mlops_assets.monitoring.period_null`, and so with a rate that is stated.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import exp, isfinite, log, nan

from mlops_assets.lakehouse.periods import Calendar
from mlops_assets.models.records import CandidateRecord
from mlops_assets.monitoring.performance import PerformanceRecord, newest_of
from mlops_assets.project.definition import ModelDefinition
from mlops_assets.project.model_parts import RetrainPolicy

RATE = 0.05
"""How often periods that are as past ones lie beyond the bar."""


@dataclass(frozen=True)
class Figure:
    """What one period came to.

    Args:
        period: Its key.
        season: Its season, as `mlops_assets.monitoring.period_null.season_of` numbers them.
        value: The figure, of which less is better.
        weight: How much it counts among periods, such as its rows.
    """

    period: str
    season: int
    value: float
    weight: float = 1.0


@dataclass(frozen=True)
class Strayed:
    """How far some periods lie together above what the past lets expect.

    Args:
        expected: Their mean, had each been as the past: of its season, where that has three periods, else of all.
        by: By how much their mean is more than that.
        bar: How much more is beyond it; NaN where fewer than 24 stretches of past periods are there.
        stretches: So many stretches of as many past periods the bar rests on.
    """

    expected: float
    by: float
    bar: float
    stretches: int

    @property
    def beyond(self) -> bool:
        """Whether it is more than the bar; never where there is none."""
        return self.by > self.bar


def strayed(past: Sequence[Figure], newest: Sequence[Figure]) -> Strayed:
    """Hold the newest periods together against past ones; both in the order of periods.

    Example:
        >>> past = [Figure(str(place), place % 2, place % 2 + 0.01 * (place % 3)) for place in range(40)]
        >>> strayed(past, [Figure("now", 1, 1.0)]).beyond, strayed(past, [Figure("now", 0, 1.0)]).beyond
        (False, True)
    """
    import numpy as np

    from mlops_assets.monitoring.period_null import MIN_PERIODS

    expect, together = _Expectation(past), np.ones(len(newest))
    weight = sum(one.weight for one in newest)
    expected = sum(expect.of(one) * one.weight for one in newest) / weight
    by = sum(one.value * one.weight for one in newest) / weight - expected
    away, weights = (
        np.array(of) for of in ([one.value - expect.of(one) for one in past], [one.weight for one in past])
    )
    if len(past) < len(newest):
        return Strayed(expected, by, nan, 0)
    means = np.convolve(away * weights, together, "valid") / np.convolve(weights, together, "valid")
    known = means[np.isfinite(means)]
    bar = float(np.quantile(known, 1 - RATE)) if len(known) >= MIN_PERIODS else nan
    return Strayed(expected, by, bar, len(known))


class _Expectation:
    """What all periods but itself let expect of one: the mean of its season, where three are of it, or of all."""

    def __init__(self, past: Iterable[Figure] = ()) -> None:
        self._own: dict[str, Figure] = {}
        self._sums: dict[int | None, tuple[int, float, float]] = {}
        for one in past:
            self.add(one)

    def add(self, one: Figure) -> None:
        """Add a period, in place of what it came to before."""
        before = self._own.get(one.period)
        for figure, sign in [(one, 1)] if before is None else [(before, -1), (one, 1)]:
            for season in (one.season, None):
                count, weight, total = self._sums.get(season, (0, 0.0, 0.0))
                weight, total = weight + sign * figure.weight, total + sign * figure.value * figure.weight
                self._sums[season] = (count + sign, weight, total)
        self._own[one.period] = one

    def of(self, one: Figure) -> float:
        """NaN where there is no other period."""
        from mlops_assets.monitoring.period_null import MIN_OF_A_SEASON

        own = self._own.get(one.period)
        for season, least in ((one.season, MIN_OF_A_SEASON), (None, 1)):
            count, weight, total = self._sums.get(season, (0, 0.0, 0.0))
            if own:
                count, weight, total = count - 1, weight - own.weight, total - own.value * own.weight
            if count >= least:
                return total / weight
        return nan


@dataclass(frozen=True)
class LevelVerdict:
    """Whether a version's newest periods are within its level.

    Args:
        judged: Whether enough past is known to say so at a stated rate.
        skill: Theirs together, the error over the baseline's; NaN where there are too few of them.
        level: The skill that is expected of their seasons; NaN likewise, or without any past.
        bar: The skill beyond which it is off; NaN likewise.
        words: All of that in a sentence.
    """

    judged: bool
    skill: float
    level: float
    bar: float
    words: str

    @property
    def above(self) -> bool:
        """Whether they are beyond the bar, at whichever rate."""
        return self.skill > self.bar

    @property
    def within(self) -> bool:
        """Whether they are within it, or that cannot be said at a stated rate."""
        return not (self.judged and self.above)


def level_of(
    history: Sequence[PerformanceRecord],
    trainings: Iterable[CandidateRecord],
    calendar: Calendar,
    policy: RetrainPolicy,
    version: int | None = None,
) -> LevelVerdict:
    """Judge a version's newest periods by the past before them.

    The past is, of each period, how the newest judged fit did in it, and where none was judged on it, how its
    champion did: a level is what a fresh fit can do, and not what became of an old one. The bar is as much above the
    level as `RATE` of past stretches of as many periods were beyond, and at least the policy's ``worse_by``.

    Args:
        history: All performance so far, in the order of periods.
        trainings: All so far, in the order of periods.
        calendar: The model's calendar.
        policy: Says how many of the newest periods are looked at together, and from which excess on.
        version: Which version; None for the one that the newest record is of.
    """
    from mlops_assets.monitoring.period_null import MIN_PERIODS

    newest, too_few = newest_of(history, policy.persistence, version)
    if too_few:
        return LevelVerdict(False, nan, nan, nan, too_few)
    known = _known(history, trainings, calendar)
    now = [_figure(calendar, one.about, one.rows, one.error, one.baseline_error) for one in newest]
    found = strayed([one for one in known if one.period < now[0].period], now)
    judged, skill, level = isfinite(found.bar), exp(found.expected + found.by), exp(found.expected)
    bar = level * max(1 + policy.worse_by, exp(found.bar) if judged else 0.0)
    over = f"{len(now)} periods" if len(now) > 1 else "period"
    words = f"version {newest[-1].version} errs by {skill:.3g} of the baseline over its newest {over}"
    if isfinite(level):
        words += f"; {level:.3g} is expected of the season, and {bar:.3g} is the bar"
    past = f"of {found.stretches} stretches of past periods"
    rate = f"{past} {RATE:.0%} or fewer were beyond" if judged else f"{past}, and {MIN_PERIODS} are needed to judge"
    return LevelVerdict(judged, skill, level, bar, f"{words} ({rate})")


def own_as_usual(model: ModelDefinition, history: Sequence[PerformanceRecord]) -> tuple[bool, str]:
    """Whether each of a model's own metrics is in the newest period as past ones let expect, and that in words.

    Args:
        model: The model.
        history: All performance so far, in the order of periods; at least one.
    """
    from mlops_assets.monitoring.period_null import MIN_PERIODS, season_of

    passed, told, calendar = True, [], model.schema.calendar
    for metric in model.own_metrics:
        text, values = metric.expression.canonical, list[Figure]()
        for record in history:
            expression, value = record.own_values.get(metric.name, ("", nan))
            if expression == text:
                values.append(Figure(record.about, season_of(calendar, record.about), value))
        if not values or values[-1].period != history[-1].about:
            told.append(f"{metric.name} has no value")
            continue
        found = strayed(values[:-1], values[-1:])
        words = f"{metric.name} is {values[-1].value:.4g}"
        if not isfinite(found.bar):
            told.append(f"{words}, not judged: of {found.stretches} past periods {MIN_PERIODS} are needed")
            continue
        passed = passed and not found.beyond
        bar = f"{RATE:.0%} of {found.stretches} past periods were beyond {found.expected + found.bar:.4g}"
        told.append(f"{words}, where {found.expected:.4g} is expected, and {bar}")
    return passed, "; ".join(told)


def with_levels(
    history: Sequence[PerformanceRecord], trainings: Sequence[CandidateRecord], calendar: Calendar
) -> list[PerformanceRecord]:
    """The records, each with the error as its level that its season let expect before: for who draws or lists them.

    Without any past before it, the level stays that of its version's training.
    """
    found, expect, waiting = [], _Expectation(), list(trainings)
    judged = set[str]()
    for record in history:
        while waiting and waiting[0].at < record.period:
            for figure in _known([], [waiting.pop(0)], calendar):
                expect.add(figure)
                judged.add(figure.period)
        mine = _figure(calendar, record.about, record.rows, record.error, record.baseline_error)
        level = exp(expect.of(mine)) * record.baseline_error
        found.append(replace(record, level=level) if isfinite(level) else record)
        if isfinite(mine.value) and mine.period not in judged:
            expect.add(mine)
    return found


def _known(
    history: Sequence[PerformanceRecord], trainings: Iterable[CandidateRecord], calendar: Calendar
) -> list[Figure]:
    """How each period turned out, in their order: by the newest fit that was judged on it, else by its champion."""
    errors = {one.about: (one.rows, one.error, one.baseline_error) for one in history}
    errors |= {one.period: (one.rows, one.error, one.baseline_error) for of in trainings for one in of.judged_periods}
    found = (_figure(calendar, about, *of) for about, of in sorted(errors.items()))
    return [one for one in found if isfinite(one.value)]


def _figure(calendar: Calendar, about: str, rows: int, error: float, baseline: float) -> Figure:
    from mlops_assets.monitoring.period_null import season_of

    skill = log(error / baseline) if error > 0 and baseline > 0 else nan
    return Figure(about, season_of(calendar, about), skill, rows)
