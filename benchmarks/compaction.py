"""A table of 200 months after many small commits, against the same table compacted: what reading and writing take."""

import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import Figure
from mlops_assets.engines.duckdb import DuckDBEngine
from mlops_assets.lakehouse.compaction import compact
from mlops_assets.lakehouse.delta import DeltaFolder
from mlops_assets.lakehouse.periods import Calendar, Period
from mlops_assets.lakehouse.schema import Column, TableSchema
from mlops_assets.lakehouse.tables import StateTable
from mlops_assets.storage.opening import storage_at

if TYPE_CHECKING:
    import pyarrow as pa

MONTHS = Calendar("month")
SALES = TableSchema(
    ("shop",),
    "month",
    (Column("shop", "bigint", kind="key"), Column("month", "date", kind="time"), Column("units", "double")),
    MONTHS,
)
PERIODS, COMMITS, SHOPS, TIMES = 200, 10, 50, 5
LATER = datetime(2100, 1, 1, tzinfo=UTC)
MOST = 0.5


def compaction() -> Figure:
    """Median seconds of a read of the whole table as known at a moment, of one period, and of a commit."""
    with tempfile.TemporaryDirectory() as folder:
        table = StateTable(DeltaFolder(storage_at(Path(folder) / "sales"), "sales"), SALES)
        engine = DuckDBEngine(Path(folder) / "scratch")
        first = MONTHS.at_key("2000-01")
        periods = [MONTHS.shift(first, number) for number in range(PERIODS)]
        for _ in range(COMMITS):
            _append(table, periods)
        before, answer = _seconds(engine, table, periods), engine.known_at(table, LATER)
        begun = time.perf_counter()
        done = compact(table.delta)
        took = time.perf_counter() - begun
        same = bool(answer.equals(engine.known_at(table, LATER)))
        after = _seconds(engine, table, periods)
    ratio = after["as known at a moment"] / before["as known at a moment"]
    return Figure(
        "compaction",
        {**after, "compacting": round(took, 1), "files": done.after if done else None},
        {**before, "files": done.before if done else None},
        round(ratio, 2),
        f"the same answers, and reading all as known at a moment in at most {MOST} x the time (seconds)",
        same and ratio <= MOST,
    )


def _seconds(engine: DuckDBEngine, table: StateTable, periods: list[Period]) -> dict[str, float]:
    middle = periods[len(periods) // 2]
    work: dict[str, Callable[[], object]] = {
        "as known at a moment": lambda: engine.known_at(table, LATER),
        "one period": lambda: engine.known_at(table, LATER, first=middle, last=middle),
        "a commit": lambda: _append(table, [middle]),
    }
    seconds = {}
    for name, act in work.items():
        taken = []
        for _ in range(TIMES):
            begun = time.perf_counter()
            act()
            taken.append(time.perf_counter() - begun)
        seconds[name] = round(statistics.median(taken), 4)
    return seconds


def _append(table: StateTable, periods: list[Period]) -> None:
    """Append a state of every shop in each of the periods, in one commit."""
    counters = table.delta.counters([period.key for period in periods])
    table.delta.append(_states(periods, counters[periods[0].key] + 1), counters)


def _states(periods: list[Period], seq: int) -> "pa.Table":
    import pyarrow as pa

    columns = {
        "shop": [shop for _ in periods for shop in range(SHOPS)],
        "month": [period.start.date() for period in periods for _ in range(SHOPS)],
        "units": [float(seq + shop) for _ in periods for shop in range(SHOPS)],
        "event_time": [period.start for period in periods for _ in range(SHOPS)],
        "known_at": [period.end for period in periods for _ in range(SHOPS)],
        "seq": [seq] * (len(periods) * SHOPS),
        "removed": [False] * (len(periods) * SHOPS),
        "period": [period.key for period in periods for _ in range(SHOPS)],
    }
    return pa.table(columns, schema=SALES.stored())
