"""How the values of a column are spread, as a drawing's measures and in words."""

from collections.abc import Sequence
from dataclasses import dataclass

from mlops_assets.features.catalog.statistics import Bin, ColumnStatistics
from mlops_assets.serving.pages.words import counted, number, share, value

WIDTH, HEIGHT, SPACE = 200.0, 40.0, 1.5
"""Of a histogram, in the units of its view box; and between two of its bars."""

MIN_HEIGHT = 1.5
"""A bar of few values is still seen."""

MOST_FREQUENT = 4
"""So many frequent values are listed."""


@dataclass(frozen=True)
class Bar:
    """One bar of a histogram, in the units of its view box."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Frequent:
    """A value and how often it is there."""

    value: str
    count: int
    share: float


@dataclass(frozen=True)
class Distribution:
    """What is shown of a column's values.

    Args:
        bars: Of a column of numbers with a histogram.
        minimum: Smallest value, as text; None where it does not apply.
        maximum: Largest value.
        frequent: Of a column of categories: the most frequent values, the most frequent first.
        others: How many further values there are.
        text: All of it in words.
    """

    bars: tuple[Bar, ...]
    minimum: str | None
    maximum: str | None
    frequent: tuple[Frequent, ...]
    others: int
    text: str


def distribution(column: ColumnStatistics, rows: int) -> Distribution | None:
    """What to show of a column; None where it has no values.

    Args:
        column: Its statistics.
        rows: How many rows these are of.
    """
    values = rows - column.nulls
    if values <= 0:
        return None
    least, most = (None, None) if column.minimum is None else (value(column.minimum), value(column.maximum))
    if column.histogram:
        return Distribution(_bars(column.histogram), least, most, (), 0, _histogram_in_words(column))
    frequent = tuple(Frequent(name, count, count / values) for name, count in column.frequent[:MOST_FREQUENT])
    if column.distinct > MOST_FREQUENT and len({count for _, count in column.frequent}) == 1:
        return Distribution((), None, None, (), 0, f"{counted(column.distinct, 'value')}, equally frequent")
    if frequent:
        others = max(column.distinct - len(frequent), 0)
        said = ", ".join(f"{item.value} {share(item.share)}" for item in frequent)
        return Distribution((), None, None, frequent, others, said)
    return Distribution((), least, most, (), 0, _range(least, most))


def _range(least: str | None, most: str | None) -> str:
    if least is None:
        return ""
    return least if least == most else f"{least} to {most}"


def _bars(bins: Sequence[Bin]) -> tuple[Bar, ...]:
    most = max(bin_.rows for bin_ in bins) or 1
    step = WIDTH / len(bins)
    space = SPACE if len(bins) > 1 else 0
    bars = []
    for place, bin_ in enumerate(bins):
        height = max(HEIGHT * bin_.rows / most, MIN_HEIGHT) if bin_.rows else 0
        bars.append(Bar(round(place * step, 2), round(HEIGHT - height, 2), round(step - space, 2), round(height, 2)))
    return tuple(bars)


def _histogram_in_words(column: ColumnStatistics) -> str:
    bins = column.histogram
    total = sum(bin_.rows for bin_ in bins)
    most = max(bins, key=lambda bin_: bin_.rows)
    mean = f", mean {number(column.mean)}" if column.mean is not None else ""
    return (
        f"Histogram of {counted(len(bins), 'bar')} from {value(column.minimum)} to {value(column.maximum)}{mean}; most "
        f"values ({share(most.rows / total) if total else 0}) lie between {number(most.low)} and {number(most.high)}"
    )
