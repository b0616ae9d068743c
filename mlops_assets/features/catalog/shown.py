"""What the catalog shows to whom: values of personal columns are masked for who may not see them.

The command line's JSON and the answers over HTTP are these values; nulls and counts of a personal column are no
values of persons, and stay.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import date
from decimal import Decimal
from typing import Any

from mlops_assets.features.catalog.entries import Catalog, TableEntry, lines_to_paste
from mlops_assets.features.catalog.search import BEGIN, END, Found
from mlops_assets.features.catalog.statistics import TableStatistics
from mlops_assets.governance.access import Principal, visible
from mlops_assets.lakehouse.schema import TableSchema


def masked_columns(schema: TableSchema, principal: Principal) -> tuple[str, ...]:
    """The columns of a table whose values somebody may not see."""
    return tuple(column.name for column in schema.columns if not visible(principal, column))


def masked(statistics: TableStatistics, names: Iterable[str]) -> TableStatistics:
    """Statistics without the values of some columns: no extremes, no distribution, and null in the sample."""
    hidden = frozenset(names)
    columns = {
        name: replace(column, minimum=None, maximum=None, mean=None, histogram=(), frequent=(), quantiles={})
        if name in hidden
        else column
        for name, column in statistics.columns.items()
    }
    sample = tuple(
        {name: None if name in hidden else value for name, value in row.items()} for row in statistics.sample
    )
    return replace(statistics, columns=columns, sample=sample)


def found_as_json(found: Found, catalog: Catalog, freshness: Mapping[str, str]) -> dict[str, Any]:
    """A page of a search for programs: ``hits``, each with what it is, ``total`` and ``facets``."""
    hits = []
    for hit in found.hits:
        table = catalog.entry(hit.table)
        entry = table.column(hit.column) if hit.column else table
        hits.append(
            {
                "table": hit.table,
                "column": hit.column,
                "kind": "column" if hit.column else table.kind,
                "description": entry.description,
                "owners": entry.owners,
                "used_by": entry.used_by,
                "freshness": None if table.kind == "model" else freshness.get(hit.table, "never"),
                "matched": [part.partition(END)[0] for part in hit.snippet.split(BEGIN)[1:]],
                "score": hit.score,
            }
        )
    return {"total": found.total, "hits": hits, "facets": found.facets}


def table_as_json(
    entry: TableEntry,
    statistics: TableStatistics,
    repeats: Mapping[str, Sequence[str]],
    schema: TableSchema,
    principal: Principal,
) -> dict[str, Any]:
    """A table for programs, as somebody may see it.

    Returns:
        The entry with the statistics of each column in it, ``statistics`` of the table, ``sample`` with null for what
        is masked, ``masked`` with the names of these columns, ``repeats`` by column, and ``lines_to_paste`` (null where
        there is no feature).
    """
    hidden = masked_columns(schema, principal)
    seen = masked(statistics, hidden)
    columns = [
        {**asdict(column), "statistics": _column_as_json(asdict(seen.columns[column.name]))} for column in entry.columns
    ]
    return {
        **asdict(entry),
        "columns": columns,
        "period": seen.period,
        "known_at": _plain(seen.known_at),
        "rows": seen.rows,
        "freshness": {
            "state": seen.freshness.state,
            "newest_period": seen.freshness.newest_period,
            "due_at": _plain(seen.freshness.due_at),
            "age_seconds": seen.freshness.age.total_seconds() if seen.freshness.age is not None else None,
        },
        "sample": [{name: _plain(value) for name, value in row.items()} for row in seen.sample],
        "masked": hidden,
        "repeats": repeats,
        "lines_to_paste": lines_to_paste(entry) if entry.features else None,
    }


def _column_as_json(column: dict[str, Any]) -> dict[str, Any]:
    quantiles = {str(share): _plain(value) for share, value in column["quantiles"].items()}
    frequent = [{"value": value, "rows": rows} for value, rows in column["frequent"]]
    plain = {name: _plain(column[name]) for name in ("minimum", "maximum", "mean")}
    return {**column, **plain, "quantiles": quantiles, "frequent": frequent}


def _plain(value: Any) -> Any:
    """A value as JSON has it; times in ISO 8601, and as text decimals and what JSON has no number for."""
    if isinstance(value, date):  # a datetime is one too
        return value.isoformat()
    if isinstance(value, Decimal):
        return f"{value:f}"
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
