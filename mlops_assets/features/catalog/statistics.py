"""How a table's data looks now: freshness, nulls, distributions and a few rows of its newest period.

Rows are measured where the engine has them; what comes into this process are figures and a few rows. Nothing here is
masked: whoever shows values does that, by who is looking.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

from mlops_assets.engines.contract import Engine, Rows
from mlops_assets.engines.figures import (
    COUNT,
    bin_of,
    count_distinct,
    count_where,
    is_finite,
    is_null,
    largest,
    mean,
    quantiles,
    smallest,
    value_of,
)
from mlops_assets.lakehouse.periods import Period
from mlops_assets.lakehouse.schema import Column, TableSchema, is_number
from mlops_assets.lakehouse.tables import StateMoment, StateTable
from mlops_assets.platform import Platform
from mlops_assets.project.definition import TableDefinition
from mlops_assets.quality.freshness import freshness as judged_freshness

MAX_BINS, MOST_FREQUENT, MAX_SAMPLED = 20, 10, 5
SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""The quantiles that are told of a number."""

MAX_TABLES_KEPT = 256
"""Of how many tables the statistics are kept in memory."""

State = Literal["fresh", "late", "never"]


@dataclass(frozen=True)
class TableFreshness:
    """Whether a table is as new as it should be by the platform clock.

    Args:
        state: ``never`` where nothing of it is known; ``late`` where the next period is overdue, or a declared
            expectation of freshness is broken; else ``fresh``.
        newest_period: Key of the newest period of which something is known; None of a static table.
        due_at: When the next period is known, at the period's end and the lag; None of a static table, where no
            period comes any more, and where all comes from pushed sources: a period without rows is none that is late.
        age: How long ago the newest period ended; None where there is none.
    """

    state: State
    newest_period: str | None
    due_at: datetime | None
    age: timedelta | None


@dataclass(frozen=True)
class Bin:
    """One bar of a histogram: how many values lie from ``low`` to below ``high``; of the last, ``high`` too."""

    low: float
    high: float
    rows: int


@dataclass(frozen=True)
class ColumnStatistics:
    """What the values of a column look like.

    Args:
        name: The column.
        nulls: How many rows have no value.
        null_share: The same as a share; None where there is no row.
        distinct: How many different values there are.
        minimum: The smallest value; of doubles the smallest finite one. None where there is none.
        maximum: The largest.
        mean: Of numbers (finite ones).
        histogram: Of numbers: at most `MAX_BINS` bins of one width; empty for others.
        frequent: Of keys and categories: the `MOST_FREQUENT` most frequent values as text, with their rows.
        quantiles: Of numbers, the values at `SHARES`.
    """

    name: str
    nulls: int
    null_share: float | None
    distinct: int
    minimum: Any
    maximum: Any
    mean: float | None
    histogram: tuple[Bin, ...]
    frequent: tuple[tuple[str, int], ...]
    quantiles: Mapping[float, float] = field(default_factory=dict)


@dataclass(frozen=True)
class TableStatistics:
    """What is known now of a table's newest period, or of a static table.

    Args:
        period: Its key; None of a static table, and where nothing is known.
        known_at: When the newest of it became known; None where nothing is.
        rows: How many rows there are.
        columns: By name, in the order of storage.
        sample: The first rows in the order of their keys, at most `MAX_SAMPLED`.
        freshness: How new it is.
    """

    period: str | None
    known_at: datetime | None
    rows: int
    columns: Mapping[str, ColumnStatistics]
    sample: tuple[Mapping[str, object], ...]
    freshness: TableFreshness


def table_statistics(platform: Platform, name: str) -> TableStatistics:
    """The statistics of a source or feature table, of its newest period as known now.

    They are kept in memory for as long as the period has the same states; the freshness is judged anew each time.

    Raises:
        DefinitionError: There is no such table.
    """
    table = platform.project.table(name)
    newest = _newest(platform, table)
    fresh = _freshness(platform, table, newest)
    if newest is None:
        nothing = {column.name: _of_nothing(column) for column in table.schema.columns}
        return TableStatistics(None, None, 0, nothing, (), fresh)
    states, engine = platform.table(name), platform.engine_of(name)
    known = max(moment.known_at for moment in newest.moments)
    key = (states, tuple(states.files(newest.period, newest.period)), newest.moments)
    found = _KEPT.get(key)
    if found is None:
        rows = engine.known_rows(states, platform.clock.now(), first=newest.period, last=newest.period)
        count, columns = _measured(engine, rows, table.schema)
        sample = engine.first_rows(rows, MAX_SAMPLED).select(table.schema.names).to_pylist()
        period = newest.period.key if newest.period else None
        if len(_KEPT) >= MAX_TABLES_KEPT:
            _KEPT.clear()
        found = _KEPT[key] = TableStatistics(period, known, count, columns, tuple(sample), fresh)
    return replace(found, freshness=fresh)


def table_freshness(platform: Platform, name: str) -> TableFreshness:
    """How fresh a table is; looks at no row unless its freshness is declared as an expectation.

    Raises:
        DefinitionError: There is no such table.
    """
    table = platform.project.table(name)
    return _freshness(platform, table, _newest(platform, table))


def freshness_of_all(platform: Platform) -> dict[str, str]:
    """The state of freshness of every table, for the search."""
    return {name: table_freshness(platform, name).state for name in platform.project.tables}


@dataclass(frozen=True)
class _Newest:
    """The newest period of which something is known (None: a static table), and when that became known."""

    period: Period | None
    moments: tuple[StateMoment, ...]


_KEPT: dict[tuple[StateTable, tuple[str, ...], tuple[StateMoment, ...]], TableStatistics] = {}
"""What this process measured, by the table, its newest files and what was known of them."""


def _newest(platform: Platform, table: TableDefinition) -> _Newest | None:
    states, now = platform.table(table.name), platform.clock.now()
    for period in states.newest_first(table.first) if table.schema.timestamp else [None]:
        (moments,) = states.moments(period, period).values()
        if known := tuple(moment for moment in moments if moment.known_at <= now):  # the clock may stand before it
            return _Newest(period, known)
    return None


def _freshness(platform: Platform, table: TableDefinition, newest: _Newest | None) -> TableFreshness:
    now, period = platform.clock.now(), newest.period if newest else None
    sources = [source for source in platform.project.upstream_sources(table.name) if not source.static]
    expected = not sources or any(not source.pushed for source in sources)
    due = _next_due(table, period) if expected else None
    if newest is None:
        return TableFreshness("never", None, due, None)
    patience = max((source.overdue_after for source in sources), default=timedelta(0))
    overdue = due is not None and now > due + patience
    broken = any(not outcome.passed for outcome in judged_freshness(platform, table))
    return TableFreshness(
        "late" if overdue or broken else "fresh",
        period.key if period else None,
        due,
        max(now - period.end, timedelta(0)) if period else None,
    )


def _next_due(table: TableDefinition, newest: Period | None) -> datetime | None:
    """When the period after the newest one is known, or the first where there is none."""
    if table.first is None:
        return None
    following = table.schema.calendar.shift(newest, 1) if newest else table.first
    return None if table.last is not None and following > table.last else following.end + table.lag


def _of_nothing(column: Column) -> ColumnStatistics:
    return ColumnStatistics(column.name, 0, None, 0, None, None, None, (), ())


def _measured(engine: Engine, rows: Rows, schema: TableSchema) -> tuple[int, dict[str, ColumnStatistics]]:
    figures = {"rows": COUNT}
    for place, column in enumerate(schema.columns):
        figures |= {f"{place} {what}": figure for what, figure in _figures(column).items()}
    measured = engine.measure(rows, figures)
    edges: dict[int, tuple[float, ...]] = {}
    counted: dict[str, str] = {}
    for place, column in enumerate(schema.columns):
        if _is_number(column):
            edges[place] = _edges(column, measured[f"{place} minimum"], measured[f"{place} maximum"])
            if edges[place]:
                counted[str(place)] = bin_of(column.name, edges[place], _counts(column))
        elif _is_category(column):
            counted[str(place)] = value_of(column.name)
    found = engine.frequencies(rows, counted, max(MAX_BINS, MOST_FREQUENT))
    return int(measured["rows"]), {
        column.name: _column(
            column,
            int(measured["rows"]),
            {what: measured[f"{place} {what}"] for what in _figures(column)},
            edges.get(place, ()),
            found.get(str(place), ()),
        )
        for place, column in enumerate(schema.columns)
    }


def _figures(column: Column) -> dict[str, str]:
    name, counts = column.name, _counts(column)
    figures = {
        "nulls": count_where(is_null(name)),
        "distinct": count_distinct([name]),
        "minimum": smallest(name, counts),
        "maximum": largest(name, counts),
    }
    if _is_number(column):
        figures |= {"mean": mean(name, counts), "quantiles": quantiles(name, SHARES, counts)}
    return figures


def _column(
    column: Column, rows: int, measured: Mapping[str, Any], edges: Sequence[float], counted: Sequence[tuple[Any, int]]
) -> ColumnStatistics:
    nulls = int(measured["nulls"])
    by_bin = dict(counted) if edges else {}
    return ColumnStatistics(
        name=column.name,
        nulls=nulls,
        null_share=nulls / rows if rows else None,
        distinct=int(measured["distinct"]) - (nulls > 0),  # which counts null as a value
        minimum=measured["minimum"],
        maximum=measured["maximum"],
        mean=measured.get("mean"),
        histogram=tuple(
            Bin(low, high, by_bin.get(place, 0))
            for place, (low, high) in enumerate(zip(edges, edges[1:], strict=False))
        ),
        frequent=() if edges else tuple((_text(value), count) for value, count in counted[:MOST_FREQUENT]),
        quantiles=dict(zip(SHARES, measured.get("quantiles") or (), strict=False)),
    )


def _is_number(column: Column) -> bool:
    return is_number(column.type) and column.kind == "number"


def _is_category(column: Column) -> bool:
    return column.kind in ("key", "category") or column.type in ("string", "boolean")


def _counts(column: Column) -> str:
    """The condition on the values that figures are of."""
    return is_finite(column.name) if column.type == "double" else "true"


def _edges(column: Column, low: float | None, high: float | None) -> tuple[float, ...]:
    """Where the bins begin and end; of whole numbers each bin holds as many of them. One bin where all are equal."""
    if low is None or high is None:
        return ()
    if column.type == "bigint":
        step = -(-(int(high) - int(low) + 1) // MAX_BINS)
        starts = range(int(low), int(high) + 1, step)
        return (*starts, starts[-1] + step)
    low, high = float(low), float(high)  # of decimals, whose bins are as those of doubles
    if low == high:
        return (low, high)
    width = high / MAX_BINS - low / MAX_BINS  # the difference itself may be too large for a double
    edges = [low, *(low + width * place for place in range(1, MAX_BINS)), high]
    return tuple(sorted(set(edges))) if all(map(math.isfinite, edges)) else (low, high)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return f"{value:f}"
    return value.isoformat() if isinstance(value, date) else str(value)
