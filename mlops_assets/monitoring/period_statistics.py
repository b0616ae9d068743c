"""How far a period lies from a reference, a column at a time: distances, nulls, levels that came and went, rows.

A reference is some past periods together; a past period that is compared with it is left out of it. Of shares and of
distributions that are a mixture, leaving a part out needs no second pass: with N rows in all and n of them in the
period, what the period differs by from the rest is N / (N - n) times what it differs by from all.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mlops_assets.monitoring.summaries import MAX_POINTS, Categories, Numbers, Summaries

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Counts = npt.NDArray[np.int64]

DISTANCE, NULLS, NEW, VANISHED, CONSTANT, ROWS, MEAN = STATISTICS = (
    "distance", "null share", "new levels", "vanished levels", "changed constant", "row count", "mean",
)  # fmt: skip
OF_COLUMNS = tuple(statistic for statistic in STATISTICS if statistic != MEAN)
"""What is measured of columns as they are: of a distribution its mean says less than its distance."""
TABLE = ""
"""In place of a column's name where a statistic is of all rows."""

Key = tuple[str, str]
"""A column and what is measured of it."""


def against_rest(reference: Summaries) -> "dict[Key, Floats]":
    """Each period of a reference against its other periods.

    Returns:
        By column and statistic, a value for each period; NaN where nothing can be said.
    """
    return dict(_statistics(reference, reference, inside=True))


def against(reference: Summaries, current: Summaries) -> "dict[Key, Floats]":
    """Periods against a reference that they are no part of; as `against_rest`."""
    return dict(_statistics(reference, current, inside=False))


def _statistics(reference: Summaries, current: Summaries, *, inside: bool) -> "Iterator[tuple[Key, Floats]]":
    rest = reference.rows.sum() - (current.rows if inside else 0)
    periods = len(reference.rows) - (1 if inside else 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        yield (TABLE, ROWS), np.abs(np.log(current.rows / (rest / periods)))
    for name, numbers in current.numbers.items():
        before = reference.numbers[name]
        yield (name, NULLS), _null_shares(before.nulls, reference.rows, numbers.nulls, current.rows, inside)
        yield (name, DISTANCE), _distances_of_numbers(before, numbers, inside)
        yield (name, CONSTANT), _changed_constant(before, numbers, inside)
        yield (name, MEAN), _changes_of_mean(before, numbers, inside)
    for name, categories in current.categories.items():
        levels = reference.categories[name]
        yield (name, NULLS), _null_shares(levels.nulls, reference.rows, categories.nulls, current.rows, inside)
        ours, theirs = _aligned(levels, categories)
        rest_counts = np.broadcast_to(ours.sum(axis=0), theirs.shape) - (theirs if inside else 0)
        # Levels that are new have a statistic of their own: of few rows with one, a distance would make much.
        yield (name, DISTANCE), jensen_shannon(rest_counts, np.where(rest_counts > 0, theirs, 0))
        if levels.all_levels and categories.all_levels:
            yield (name, NEW), _share_where(theirs, rest_counts == 0)
            yield (name, VANISHED), _share_where(rest_counts, theirs == 0)


def _null_shares(before: "Counts", rows_before: "Counts", nulls: "Counts", rows: "Counts", inside: bool) -> "Floats":
    rest_nulls = before.sum() - (nulls if inside else 0)
    rest_rows = rows_before.sum() - (rows if inside else 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.abs(nulls / rows - rest_nulls / rest_rows)


def _distances_of_numbers(before: Numbers, numbers: Numbers, inside: bool) -> "Floats":
    """Wasserstein's distance by the deviation of the reference; NaN where a side has no value, or that is constant."""
    pooled = pooled_quantiles(before.points, before.known)
    total, known = before.known.sum(), numbers.known if inside else np.zeros(len(numbers.points))
    with np.errstate(divide="ignore", invalid="ignore"):
        left_out = total / (total - known)
        found = (
            wasserstein(numbers.points, pooled) * left_out / np.sqrt(_variance_of_rest(before, numbers, inside=inside))
        )
    return np.where(np.isfinite(found), found, np.nan)


def _changes_of_mean(before: Numbers, numbers: Numbers, inside: bool) -> "Floats":
    """How far the mean lies from the reference's; NaN where a side has no value."""
    known = numbers.known if inside else np.zeros(len(numbers.points))
    means = np.nan_to_num(numbers.mean)
    with np.errstate(divide="ignore", invalid="ignore"):
        rest = (np.nansum(before.mean * before.known) - means * known) / (before.known.sum() - known)
    found: Floats = np.abs(numbers.mean - rest)
    return found


def deviation(numbers: Numbers) -> float:
    """The standard deviation of all values of a column; 0 where it is constant, or has none."""
    nothing = Numbers(numbers.nulls[:1], (np.zeros(0),), numbers.mean[:1], numbers.variance[:1], np.zeros(1))
    return float(np.sqrt(np.nan_to_num(_variance_of_rest(numbers, nothing, inside=False)[0])))


def _variance_of_rest(before: Numbers, numbers: Numbers, *, inside: bool) -> "Floats":
    """The variance of the reference, without each period if it is part of it; from sums about the overall mean."""
    weights = before.known
    mean = float(np.nansum(before.mean * weights) / weights.sum())
    squares = np.nan_to_num(weights * (before.variance + (before.mean - mean) ** 2))
    firsts = np.nan_to_num(weights * (before.mean - mean))
    left_out = (weights, firsts, squares) if inside else (np.zeros(len(numbers.points)),) * 3
    n, first, square = (part.sum() - out for part, out in zip((weights, firsts, squares), left_out, strict=True))
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = square / n - (first / n) ** 2
    scale = max(abs(mean), float(np.nanmax(np.abs(before.mean), initial=0.0)))
    return np.where(variance > (scale * 1e-9) ** 2, variance, 0.0)  # what is less is made by rounding


def _changed_constant(before: Numbers, numbers: Numbers, inside: bool) -> "Floats":
    """The share of values that are not the reference's one value; NaN where that has several, or none."""
    ends = [(float(points[0]), -float(points[-1])) if len(points) else (np.inf, np.inf) for points in before.points]
    lows, highs = (_least(side, len(numbers.points), inside) for side in zip(*ends, strict=True))
    found = np.full(len(numbers.points), np.nan)
    for place, (points, lowest, highest) in enumerate(zip(numbers.points, lows, highs, strict=True)):
        if lowest == -highest and len(points):
            found[place] = float((points != lowest).mean())
    return found


def _least(values: Sequence[float], periods: int, inside: bool) -> list[float]:
    """The least of some values, for each of so many periods; without the period's own if they are of the same ones."""
    least, next_least = [*sorted(values)[:2], np.inf][:2]
    return [next_least if value == least else least for value in values] if inside else [least] * periods


def pooled_quantiles(parts: "Sequence[Floats]", weights: "Floats") -> "Floats":
    """The quantiles of several samples together, each of its own weight; NaN where there is no value."""
    held = [(part, weight) for part, weight in zip(parts, weights, strict=True) if len(part)]
    if not held:
        return np.full(MAX_POINTS, np.nan)
    values = np.concatenate([part for part, _ in held])
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(np.concatenate([np.full(len(part), weight / len(part)) for part, weight in held])[order])
    places = np.searchsorted(reached, (np.arange(MAX_POINTS) + 0.5) / MAX_POINTS * reached[-1])
    quantiles: Floats = values[order][np.minimum(places, len(values) - 1)]
    return quantiles


def wasserstein(samples: "Sequence[Floats]", quantiles: "Floats") -> "Floats":
    """Wasserstein's distance of each sample, in its order, from a distribution: the mean difference of quantiles."""
    grid = (np.arange(MAX_POINTS) + 0.5) / MAX_POINTS
    found = np.full(len(samples), np.nan)
    for place, sample in enumerate(samples):
        if len(sample):
            found[place] = np.abs(sample[(grid * len(sample)).astype(np.int64)] - quantiles).mean()
    return found


def jensen_shannon(one: "Counts", other: "Counts") -> "Floats":
    """The Jensen-Shannon distance of rows of counts, with the natural logarithm; NaN where a side has none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        p = one / one.sum(axis=1, keepdims=True)
        q = other / other.sum(axis=1, keepdims=True)
        middle = (p + q) / 2
        parts = [np.where(side > 0, side * np.log(side / middle), 0.0).sum(axis=1) for side in (p, q)]
        found = np.sqrt(np.maximum(sum(parts) / 2, 0.0))
    return np.where((one.sum(axis=1) > 0) & (other.sum(axis=1) > 0), found, np.nan)


def _aligned(before: Categories, after: Categories) -> "tuple[Counts, Counts]":
    """The rows by level of both, over the levels of both."""
    if before is after:
        return before.counts, after.counts
    places = {level: place for place, level in enumerate(dict.fromkeys((*before.levels, *after.levels)))}
    both = []
    for side in (before, after):
        counts = np.zeros((len(side.counts), len(places)), np.int64)
        counts[:, [places[level] for level in side.levels]] = side.counts
        both.append(counts)
    return both[0], both[1]


def _share_where(counts: "Counts", chosen: "npt.NDArray[np.bool_]") -> "Floats":
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(chosen, counts, 0).sum(axis=1) / counts.sum(axis=1)
