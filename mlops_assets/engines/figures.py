"""Expressions for `Engine.measure` and `Engine.frequencies`, in DuckDB's dialect, of forms that both engines know."""

import sys
from collections.abc import Iterable, Sequence

from mlops_assets.engines.duckdb.connection import quoted

COUNT = "count(*)"


def count_where(condition: str) -> str:
    """How many rows a condition holds for."""
    return f"count(*) FILTER (WHERE {condition})"


def smallest(column: str, condition: str = "true") -> str:
    """The smallest value of a column among the rows that a condition holds for."""
    return f"min({quoted(column)}) FILTER (WHERE {condition})"


def largest(column: str, condition: str = "true") -> str:
    """The largest value of a column among the rows that a condition holds for."""
    return f"max({quoted(column)}) FILTER (WHERE {condition})"


def values_where(column: str, condition: str) -> str:
    """The values of a column (without nulls) where a condition holds, as a list in no order; None for no row."""
    return f"list({quoted(column)}) FILTER (WHERE {condition})"


def count_distinct(columns: Iterable[str]) -> str:
    """How many different values some columns have together; nulls are a value."""
    return f"count(DISTINCT {_together(columns)})"


def most_frequent(columns: Iterable[str]) -> str:
    """The most frequent values of some columns together, as a mapping that has them in their order."""
    return f"mode({_together(columns)})"


def is_null(column: str) -> str:
    """The condition that a column has no value."""
    return f"{quoted(column)} IS NULL"


def below(column: str, limit: float) -> str:
    """The condition that a number is less than a limit; never of a null."""
    return f"{quoted(column)} < {_number(limit)}"


def above(column: str, limit: float) -> str:
    """The condition that a number is more than a limit; never of a null, always of NaN."""
    return f"{quoted(column)} > {_number(limit)}"


def not_among(column: str, values: Iterable[str]) -> str:
    """The condition that a text is none of some; never of a null."""
    listed = ", ".join("'" + value.replace("'", "''") + "'" for value in values)
    return f"{quoted(column)} NOT IN ({listed})"


def mean(column: str, condition: str = "true") -> str:
    """The mean of a number among the rows that a condition holds for."""
    return f"avg(CAST({quoted(column)} AS DOUBLE)) FILTER (WHERE {condition})"


def quantiles(column: str, shares: Iterable[float], condition: str = "true") -> str:
    """The values below which shares of a number's values lie, in a straight line between two of them, as a list."""
    listed = ", ".join(map(str, shares))
    return f"quantile_cont(CAST({quoted(column)} AS DOUBLE), [{listed}]) FILTER (WHERE {condition})"


def is_finite(column: str) -> str:
    """The condition that a double is neither null nor infinite nor NaN."""
    return f"abs({quoted(column)}) <= {_number(sys.float_info.max)}"


def is_not_finite(column: str) -> str:
    """The condition that a double is infinite or NaN; never of a null."""
    return f"abs({quoted(column)}) > {_number(sys.float_info.max)}"


def value_of(column: str) -> str:
    """The value of a column, to be counted."""
    return quoted(column)


def bin_of(column: str, edges: Sequence[float], condition: str = "true") -> str:
    """The place of the bin that a number lies in, from 0, where a condition holds.

    Args:
        column: A number that is nowhere less than the first edge or more than the last.
        edges: Where bins begin, and where the last of them ends, which belongs to it; ascending.
        condition: Other rows are not counted.
    """
    places = " ".join(f"WHEN {quoted(column)} < {_number(edge)} THEN {place}" for place, edge in enumerate(edges[1:-1]))
    inside = f"CASE {places} ELSE {len(edges) - 2} END" if places else "0"
    return f"CASE WHEN {quoted(column)} IS NOT NULL AND {condition} THEN {inside} END"


def _together(columns: Iterable[str]) -> str:
    return "{" + ", ".join(f"'k{place}': {quoted(name)}" for place, name in enumerate(columns)) + "}"


def _number(value: float) -> str:
    whole = float(value).is_integer() and abs(value) < 2**63
    return str(int(value)) if whole else f"CAST({float(value)!r} AS DOUBLE)"
