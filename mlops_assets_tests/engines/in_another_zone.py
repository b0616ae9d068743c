"""Questions around ends of months and a change to summer time, which a test also asks in a machine's other zone."""

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from mlops_assets.engines.contract import Engine, QueryInput
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


def answers(engine: Engine, tables: Tables) -> dict[str, Any]:
    """What an engine answers, for JSON."""
    table = tables.of(
        [
            sale("out of the winter", at(3, 10, 7), at(3, 10, 7)),
            sale("exact", at(3, 31, 23), at(4)),
        ]
    )
    labels = [label(at(4) - MICROSECOND, at(4) - MICROSECOND), label(at(3, 31, 23), at(4)), label(at(3, 10, 6), at(5))]
    known = engine.known_at(table, at(4), first=month(3), last=month(3))
    evaluated = engine.evaluate(
        parse_query(SQL, file=Path("days.sql")),
        [QueryInput(table, month(3), month(3))],
        known_at=at(4),
        schema=SCHEMA,
        keep=month(3),
    )
    rows = [
        [row["sold_at"].isoformat(), row["day"], row["hour"], row["month"].isoformat()] for row in evaluated.to_pylist()
    ]
    return {
        "lookup": notes(engine, table, labels, Duration(months=1)),
        "known": [[row["note"], row["sold_at"].isoformat(), row["known_at"].isoformat()] for row in known.to_pylist()],
        "evaluate": [row for row in rows if row[0] >= "2024-03-31"],
    }


def main(engine: str, folder: str) -> None:
    from mlops_assets_tests.engines.contract_pack import engine_under_test

    offset = datetime(2024, 3, 31).astimezone().utcoffset()  # noqa: DTZ001, the machine's zone is meant
    hours = offset.total_seconds() / 3600 if offset is not None else None
    told = answers(engine_under_test(engine, Path(folder) / "scratch"), Tables(Path(folder) / "there"))
    print(json.dumps({"hours from UTC": hours, **told}))


if __name__ == "__main__":
    main(*sys.argv[1:])
