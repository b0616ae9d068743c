"""The drawings of a model's timeline, as measures in the units of their view boxes: errors by period, and drift."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from mlops_assets.monitoring.timeline import Timeline, TimelinePeriod
from mlops_assets.serving.pages.words import number

WIDTH, LEFT, RIGHT = 1080.0, 190.0, 12.0
"""Of both drawings, so that a period stands in the same place in each; names and legend stand on the left."""

TOP, HEIGHT = 26.0, 250.0
"""Of the errors: above them stand the versions, below them the periods and the trainings."""

ROW = 17.0
"""Height of a row of the heat map."""

MAX_PERIODS = 120
"""So many of the newest periods are drawn."""

MAX_LABELS, MAX_FEATURES, MAX_SEGMENTS = 12, 24, 12
SHADES = (0.25, 0.5, 0.75, 1.0)
"""From which shares of the bar on a score is drawn in the next shade; the last is beyond the bar."""


@dataclass(frozen=True)
class Axis:
    """The periods of a drawing, from left to right.

    Args:
        keys: All periods from the first to the last, also those of which nothing is known.
        unit: ``month``, ``week`` or ``day``.
    """

    keys: tuple[str, ...]
    unit: str

    @property
    def step(self) -> float:
        """The width of a period."""
        return (WIDTH - LEFT - RIGHT) / max(len(self.keys), 1)

    def x(self, key: str) -> float:
        """Where a period begins."""
        return round(LEFT + self.keys.index(key) * self.step, 1)

    def middle(self, key: str) -> float:
        """Where the middle of a period is."""
        return round(LEFT + (self.keys.index(key) + 0.5) * self.step, 1)

    @property
    def labels(self) -> list[tuple[float, str]]:
        """Where which periods are named; of months the Januaries, where these are enough."""
        if self.unit != "month":
            every = math.ceil(len(self.keys) / (MAX_LABELS / 2))
            return [(self.x(key), key) for key in self.keys[::every]]
        steps = (one for one in (1, 3, 6, 12, 24, 60) if len(self.keys) / one <= MAX_LABELS)
        every = next(steps, 120)
        months = [(key, int(key[:4]) * 12 + int(key[5:]) - 1) for key in self.keys]
        return [(self.x(key), key[:4] if every >= 12 else key) for key, month in months if month % every == 0]


def axis_of(timeline: Timeline) -> Axis:
    """The newest periods of a timeline, with those at which something was trained before or after them."""
    keys = [period.key for period in timeline.periods[-MAX_PERIODS:]]
    since = keys[0] if len(timeline.periods) > MAX_PERIODS else ""
    keys += [training.candidate.at for training in timeline.trainings if training.candidate.at > since]
    if not keys:
        return Axis((), timeline.model.schema.calendar.unit)
    calendar = timeline.model.schema.calendar
    between = calendar.between(calendar.at_key(min(keys)), calendar.at_key(max(keys)))
    return Axis(tuple(period.key for period in between), calendar.unit)


@dataclass(frozen=True)
class Point:
    """A period in the drawing of errors.

    Args:
        period: What is known of it.
        x: Its middle.
        y: Its error.
        words: All of it in a line.
    """

    period: TimelinePeriod
    x: float
    y: float
    words: str


@dataclass(frozen=True)
class ErrorChart:
    """The errors of a timeline.

    Args:
        axis: Its periods.
        bands: Of each version in turn: where it begins, how wide it is, and its number.
        ticks: Where which error is.
        level: The level of each period, as a path: what its season let expect.
        champion: The champions' errors, as lines that end where a period is missing.
        baseline: The baseline's on the same rows.
        never: Those of the first champion, had it never been retrained, where they differ.
        intervals: Of the error, by that of the skill: where it ends, where it begins, and the middle of its period.
        points: Each period with labels.
        trainings: Where each stands, right of the period whose labels it knew last, and its place in the timeline.
    """

    axis: Axis
    bands: tuple[tuple[float, float, int], ...]
    ticks: tuple[tuple[float, str], ...]
    level: str
    champion: tuple[str, ...]
    baseline: tuple[str, ...]
    never: tuple[str, ...]
    intervals: tuple[tuple[float, float, float], ...]
    points: tuple[Point, ...]
    trainings: tuple[tuple[float, int], ...]


def error_chart(timeline: Timeline, axis: Axis, words: Callable[[TimelinePeriod], str]) -> ErrorChart:
    """The errors of a timeline on one scale.

    Args:
        timeline: What to draw.
        axis: Its periods.
        words: What is said of a period.
    """
    shown = [period for period in timeline.periods if period.key in axis.keys]
    known = [(period, period.performance) for period in shown if period.performance]
    highest = (
        max((value for _, one in known for value in (one.error, one.baseline_error, one.level)), default=1.0) or 1.0
    )
    unit = _round_step(highest / 5)
    top = unit * math.ceil(highest / unit)

    def y(value: float) -> float:
        return round(TOP + HEIGHT * (1 - min(value, top) / top), 1)

    bands = []
    for version, periods in groupby(shown, key=lambda period: period.version):
        keys = [period.key for period in periods]
        bands.append((axis.x(keys[0]), round(axis.x(keys[-1]) + axis.step - axis.x(keys[0]), 1), version))
    level = "".join(f"M{axis.x(period.key)} {y(one.level)}h{axis.step:.2f}" for period, one in known)
    at = {period.key: one for period, one in known}
    return ErrorChart(
        axis,
        tuple(bands),
        tuple((y(unit * step), number(unit * step)) for step in range(round(top / unit) + 1)),
        level,
        _lines(axis, {key: y(one.error) for key, one in at.items()}),
        _lines(axis, {key: y(one.baseline_error) for key, one in at.items()}),
        _lines(
            axis,
            {key: y(one.never_retrained) for key, one in at.items() if one.never_retrained not in (None, one.error)},
        ),
        tuple(
            (y(one.baseline_error * one.skill_high), y(one.baseline_error * one.skill_low), axis.middle(key))
            for key, one in at.items()
            if one.skill_low is not None and one.skill_high is not None
        ),
        tuple(Point(period, axis.middle(period.key), y(one.error), words(period)) for period, one in known),
        tuple(
            (round(axis.x(training.candidate.at) + axis.step, 1), place)
            for place, training in enumerate(timeline.trainings)
            if training.candidate.at in axis.keys
        ),
    )


def sparkline(timeline: Timeline, periods: int = 24) -> tuple[str, str]:
    """The errors of the newest periods, and the baseline's, as lines in a box of 120 by 28."""
    known = timeline.performance[-periods:]
    highest = max((value for one in known for value in (one.error, one.baseline_error)), default=1.0) or 1.0
    step = 120 / max(len(known) - 1, 1)

    def line(values: Sequence[float]) -> str:
        points = (f"{place * step:.1f},{27 - 26 * value / highest:.1f}" for place, value in enumerate(values))
        return " ".join(points)

    return line([one.error for one in known]), line([one.baseline_error for one in known])


def _lines(axis: Axis, heights: Mapping[str, float]) -> tuple[str, ...]:
    """The points of lines through periods that lie side by side."""
    runs = groupby(axis.keys, key=lambda key: key in heights)
    return tuple(" ".join(f"{axis.middle(key)},{heights[key]}" for key in run) for known, run in runs if known)


def _round_step(least: float) -> float:
    """The smallest of 1, 2, 2.5 and 5 times a power of ten that is not smaller."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= least * 0.999)


@dataclass(frozen=True)
class HeatRow:
    """A feature or segment over periods.

    Args:
        name: What it is called.
        cells: Where a cell begins, its shade from 0 (usual) to 4 (beyond the bar), and what it says; none where
            nothing was measured.
        first: The first period in which it was beyond its bar.
    """

    name: str
    cells: tuple[tuple[float, int, str], ...]
    first: str | None


@dataclass(frozen=True)
class HeatMap:
    """Drift over periods.

    Args:
        axis: Its periods.
        features: Each feature, the most important first where that is known, else the one that lay furthest.
        segments: Each segment that was beyond its bar, the one that was so most often first.
        left_out: How many features and segments there is no room for.
    """

    axis: Axis
    features: tuple[HeatRow, ...]
    segments: tuple[HeatRow, ...]
    left_out: int


def heat_map(timeline: Timeline, axis: Axis, hidden: Collection[str] = ()) -> HeatMap:
    """The drift of a timeline's periods.

    Args:
        timeline: What to draw.
        axis: Its periods.
        hidden: Columns whose values the reader may not see; segments by them are left out.
    """
    scores: dict[str, dict[str, tuple[float, str]]] = {}
    segments: dict[str, dict[str, tuple[float, str]]] = {}
    for period in timeline.periods:
        if period.drift is None or period.key not in axis.keys:
            continue
        found = period.drift.values
        for one in found["findings"]:
            share, name = one["score"] / (found["bar"] or math.inf), one["column"] or "all rows"
            words = f"{one['statistic']} {one['score']:.3g}" + (f", bar {found['bar']:.3g}" if found["bar"] else "")
            before = scores.setdefault(name, {}).get(period.key)
            if before is None or before[0] < share:
                scores[name][period.key] = (share, words)
        for segment in reversed(period.segments(hidden)):
            named = f"{segment.by} {segment.segment}"
            segments.setdefault(named, {})[period.key] = (math.inf, f"{segment.column} {segment.statistic}")
    weights = timeline.importance or {name: max(share for share, _ in of.values()) for name, of in scores.items()}
    features = sorted(scores, key=lambda name: (-weights.get(name, 0.0), name))
    often = sorted(segments, key=lambda name: (-len(segments[name]), name))
    return HeatMap(
        axis,
        tuple(_heat_row(axis, name, scores[name]) for name in features[:MAX_FEATURES]),
        tuple(_heat_row(axis, name, segments[name]) for name in often[:MAX_SEGMENTS]),
        max(len(features) - MAX_FEATURES, 0) + max(len(often) - MAX_SEGMENTS, 0),
    )


def _heat_row(axis: Axis, name: str, of: Mapping[str, tuple[float, str]]) -> HeatRow:
    cells = []
    for key, (share, words) in of.items():
        shade = sum(share >= least for least in SHADES)
        cells.append((axis.x(key), shade, f"{key}: {name} {words}"))
    beyond = [key for key, (share, _) in of.items() if share > 1]
    return HeatRow(name, tuple(cells), min(beyond, default=None))
