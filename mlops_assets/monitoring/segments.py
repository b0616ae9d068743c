"""Where a period is off: the mean and the nulls of each column in a segment, against the segment's own past.

A change in one segment of many moves no column as a whole. Each figure of a segment is centred by its median over past
periods and scaled by their median absolute deviation, or by how exact a mean of so few rows is where that is more; one
bar stands on the largest over all segments and columns, as in `mlops_assets.monitoring.period_null`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import nan
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from mlops_assets.lakehouse.exact import doubles, finite
from mlops_assets.monitoring.period_null import MIN_PERIODS, MIN_SCALE, OF_A_NORMAL, TAIL
from mlops_assets.monitoring.summaries import by_period, is_number

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

    Floats = npt.NDArray[np.float64]

MIN_ROWS = 2
"""A segment counts in periods in which it has so many rows."""

MEAN, NULLS = "mean", "null share"
QUARTILES = ("first quartile", "second quartile", "third quartile", "fourth quartile")
"""What segments by a number are called, from its lowest values on."""


@dataclass(frozen=True)
class SegmentFinding:
    """A figure of one column in one segment.

    Args:
        by: The column that cuts rows into segments.
        segment: The segment.
        column: Which column.
        statistic: ``mean`` or ``null share``.
        value: What it came to.
        usual: What it comes to in past periods: their median.
        score: How many scales it lies from that.
        rows: Rows of the segment in the period.
    """

    by: str
    segment: str
    column: str
    statistic: str
    value: float
    usual: float
    score: float
    rows: int


@dataclass(frozen=True, eq=False)
class _Cut:
    """How rows are cut by one column: its levels, or between the quartiles of its reference."""

    by: str
    names: tuple[str, ...]
    edges: "Floats | None"

    @classmethod
    def of(cls, reference: "pa.Table", by: str) -> Self:
        values = reference.column(by)
        if is_number(values.type):
            known = doubles(finite(values)).drop_null().to_numpy()
            return cls(by, QUARTILES, np.quantile(known, [0.25, 0.5, 0.75]) if len(known) else np.zeros(3))
        return cls(by, tuple(sorted({str(value) for value in values.unique().to_pylist() if value is not None})), None)

    def places(self, rows: "pa.Table") -> "npt.NDArray[np.int64]":
        """The place of each row's segment; -1 where it has none, or one that the reference lacks."""
        values = rows.column(self.by)
        if self.edges is not None:
            numbers = doubles(finite(values)).to_numpy()
            return np.where(np.isnan(numbers), -1, np.searchsorted(self.edges, numbers, "left")).astype(np.int64)
        known = {name: place for place, name in enumerate(self.names)}
        named = (None if value is None else str(value) for value in values.to_pylist())
        return np.array([-1 if name is None else known.get(name, -1) for name in named], np.int64)


@dataclass(frozen=True, eq=False)
class _Figure:
    """One statistic of one column, by segment and period; NaN where a segment has too few rows.

    Args:
        values: The figure.
        exact: How exact it is: its standard error, or what one row makes of it.
        rows: Rows of each segment in each period.
    """

    column: str
    statistic: str
    values: "Floats"
    exact: "Floats"
    rows: "Floats"


@dataclass(frozen=True, eq=False)
class _Usual:
    """What one figure comes to in the past of each segment; NaN of one that too few periods have."""

    centre: "Floats"
    scale: "Floats"

    @classmethod
    def of(cls, figure: _Figure) -> Self:
        with np.errstate(invalid="ignore"):
            known = np.isfinite(figure.values)
            values = np.where(known, figure.values, nan)
            enough = known.sum(axis=1) >= MIN_PERIODS
            centre, scale = np.full(len(values), nan), np.full(len(values), nan)
            centre[enough] = np.nanmedian(values[enough], axis=1)
            away = np.abs(values[enough] - centre[enough, None])
            spread = np.maximum(OF_A_NORMAL * np.nanmedian(away, axis=1), np.nanquantile(away, 0.95, axis=1) / TAIL)
            spread = np.maximum(spread, MIN_SCALE * np.nanstd(values[enough], axis=1))
            scale[enough] = np.maximum(spread, np.nanmedian(figure.exact[enough], axis=1))
        return cls(centre, scale)

    def scores(self, values: "Floats") -> "Floats":
        with np.errstate(invalid="ignore", divide="ignore"):
            scores: Floats = np.abs(values - self.centre[:, None]) / self.scale[:, None]
            return scores


@dataclass(frozen=True, eq=False)
class SegmentNull:
    """How the segments of past periods lay, and the bar that this gives.

    Args:
        bar: Beyond it a score is a finding; NaN where the past is too short to judge.
        periods: How many past periods were compared.
    """

    bar: float
    periods: int
    _columns: tuple[str, ...]
    _numbers: tuple[str, ...]
    _cuts: tuple[tuple[_Cut, tuple[_Usual, ...]], ...]

    @classmethod
    def of(
        cls,
        reference: "pa.Table",
        periods: Sequence[str],
        *,
        by: Sequence[str],
        numbers: Sequence[str],
        categories: Sequence[str],
        rate: float = 0.05,
    ) -> Self:
        """From the rows of past periods.

        Args:
            reference: The rows.
            periods: The key of each row's period.
            by: The columns that cut rows into segments.
            numbers: Columns of which mean and nulls are compared.
            categories: Columns of which nulls are compared.
            rate: How often a period in which nothing changed may have a finding.
        """
        keys, of_row = by_period(periods)
        columns, largest, cuts = (*numbers, *categories), np.full(len(keys), -np.inf), []
        for name in by:
            cut, usual = _Cut.of(reference, name), []
            for figure in _figures(reference, cut, of_row, len(keys), columns, numbers):
                told = _Usual.of(figure)
                usual.append(told)
                scores = np.nan_to_num(told.scores(figure.values), nan=-np.inf)
                largest = np.maximum(largest, scores.max(axis=0, initial=-np.inf))
            cuts.append((cut, tuple(usual)))
        compared = largest[np.isfinite(largest)]
        bar = float(np.quantile(compared, 1 - rate)) if len(compared) >= MIN_PERIODS else nan
        return cls(bar, len(compared), columns, tuple(numbers), tuple(cuts))

    def findings(self, current: "pa.Table") -> list[SegmentFinding]:
        """What lies beyond the bar in the rows of one period, the largest score first."""
        found = []
        here = np.zeros(current.num_rows, np.int64)
        for cut, usual in self._cuts:
            figures = _figures(current, cut, here, 1, self._columns, self._numbers)
            for figure, before in zip(figures, usual, strict=True):
                scores, (values,) = before.scores(figure.values)[:, 0], figure.values.T
                for at in np.flatnonzero(scores > self.bar):
                    named = (cut.by, cut.names[at], figure.column, figure.statistic)
                    usual_value, score = float(before.centre[at]), float(scores[at])
                    found.append(SegmentFinding(*named, float(values[at]), usual_value, score, int(figure.rows[at, 0])))
        return sorted(found, key=lambda one: (-one.score, one.by, one.segment, one.column, one.statistic))


def _figures(
    rows: "pa.Table",
    cut: _Cut,
    of_row: "npt.NDArray[Any]",
    periods: int,
    columns: Sequence[str],
    numbers: Sequence[str],
) -> Iterator[_Figure]:
    """The figures of all columns by segment and period."""
    places = cut.places(rows)
    inside = places >= 0
    cells, shape = places[inside] * periods + of_row[inside], (len(cut.names), periods)

    def summed(weights: "npt.NDArray[Any]") -> "Floats":
        return np.bincount(cells, weights[inside], minlength=shape[0] * shape[1]).reshape(shape)

    count = summed(np.ones(rows.num_rows))
    for name in columns:
        column = rows.column(name)
        values = doubles(finite(column)).to_numpy() if name in numbers else None
        null = np.isnan(values) if values is not None else column.is_null().to_numpy()
        with np.errstate(invalid="ignore", divide="ignore"):
            nulls = summed(null.astype(np.float64)) / count
            yield _Figure(name, NULLS, np.where(count >= MIN_ROWS, nulls, nan), 1 / count, count)
            if values is not None:
                known, filled = summed(~null), np.where(null, 0.0, values)
                mean = summed(filled) / known
                variance = np.maximum(summed(filled**2) / known - mean**2, 0.0)
                yield _Figure(name, MEAN, np.where(known >= MIN_ROWS, mean, nan), np.sqrt(variance / known), count)
