"""Questions around ends of months and a change to summer time, which tests also ask in a machine's other zone."""

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from mlops_assets.engines.contract import Engine, QueryInput
from mlops_assets.engines.duckdb import DuckDBEngine
from mlops_assets.engines.query import parse_query
from mlops_assets.lakehouse.periods import Duration
from mlops_assets.lakehouse.schema import Column, TableSchema
from mlops_assets_tests.engines.contract_pack import MICROSECOND, SALES, Tables, at, label, month, notes, sale

SQL = """
select shop, sold_at, extract(day from sold_at) as day, extract(hour from sold_at) as hour,
       cast(date_trunc('month', sold_at) as date) as month
from sales
"""
SCHEMA = TableSchema(
    ("shop",),
    "sold_at",
    (
        Column("shop", "string"),
        Column("sold_at", "timestamp"),
        Column("day", "bigint"),
        Column("hour", "bigint"),
        Column("month", "date"),
    ),
    SALES.calendar,
)
EXPECTED = {
    "lookup": ["out of the winter", "exact", None, "first instant"],
    "known": [
        ["out of the winter", "2024-03-10T07:00:00+00:00", "2024-03-10T07:00:00+00:00"],
        ["exact", "2024-03-31T23:00:00+00:00", "2024-04-01T00:00:00+00:00"],
        ["first instant", "2024-03-01T00:00:00+00:00", "2024-03-01T00:00:00+00:00"],
    ],
    "evaluate": [
        ["2024-03-10T07:00:00+00:00", 10, 7, "2024-03-01"],
        ["2024-03-31T23:00:00+00:00", 31, 23, "2024-03-01"],
        ["2024-03-01T00:00:00+00:00", 1, 0, "2024-03-01"],
    ],
}


def answers(engine: Engine, tables: Tables) -> dict[str, Any]:
    """What an engine answers, for JSON."""
    table = tables.of(
        [
            sale("out of the winter", at(3, 10, 7), at(3, 10, 7)),
            sale("exact", at(3, 31, 23), at(4)),
            sale("first instant", at(3), at(3), shop="south"),
        ]
    )
    labels = [
        label(at(4) - MICROSECOND, at(4) - MICROSECOND),
        label(at(3, 31, 23), at(4)),
        label(at(3, 10, 6), at(5)),
        label(at(4) - MICROSECOND, at(4), shop="south"),
    ]
    known = engine.known_at(table, at(4), first=month(3), last=month(3))
    evaluated = engine.evaluate(
        parse_query(SQL, file=Path("days.sql")),
        [QueryInput(table, month(3), month(3))],
        known_at=at(4),
        schema=SCHEMA,
        keep=month(3),
    )
    return {
        "lookup": notes(engine, table, labels, Duration(months=1)),
        "known": [[row["note"], row["sold_at"].isoformat(), row["known_at"].isoformat()] for row in known.to_pylist()],
        "evaluate": [
            [row["sold_at"].isoformat(), row["day"], row["hour"], row["month"].isoformat()]
            for row in evaluated.to_pylist()
        ],
    }


def hours_from_utc() -> float:
    """Of the zone that this process is in."""
    offset = datetime(2024, 3, 31).astimezone().utcoffset()  # noqa: DTZ001, the machine's zone is meant
    assert offset is not None
    return offset.total_seconds() / 3600


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    told = answers(DuckDBEngine(folder / "scratch"), Tables(folder))
    print(json.dumps({"hours from UTC": hours_from_utc(), **told}))
