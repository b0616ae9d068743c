"""Point-in-time joins: labels with the features that were known of them, from a table in the lakehouse.

Data are made once for ours and the peers: entities with rows at random moments, and labels that ask at random moments.
Rows are known when they happen; some are known up to a month later, and some are removed later still.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.engines.contract import ResolvedLookup
from mlops_assets.engines.duckdb import DuckDBEngine
from mlops_assets.lakehouse.content_hash import content_hash
from mlops_assets.lakehouse.delta import DeltaFolder
from mlops_assets.lakehouse.periods import Calendar, Duration
from mlops_assets.lakehouse.schema import Column, TableSchema
from mlops_assets.lakehouse.tables import StateTable
from mlops_assets.storage.opening import storage_at

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

BEGINS = datetime(2023, 1, 1, tzinfo=UTC)
DAYS = 360
LOOKBACK_DAYS = 90
ROWS_OF_ENTITY = 100
TIMES = 5
LABELS = "labels.parquet"
MICROS_OF_DAY = 86_400_000_000


@dataclass(frozen=True)
class Sizes:
    """How much is joined.

    Args:
        labels: How many ask.
        rows: Rows in each table, of `ROWS_OF_ENTITY` for each entity.
        features: Columns in each table.
        tables: How many tables.
        late: Share of rows that are known up to a month after they happened.
        removed: Share of rows that are removed up to a month after they were known.
    """

    labels: int
    rows: int
    features: int
    tables: int = 1
    late: float = 0.0
    removed: float = 0.0

    @property
    def entities(self) -> int:
        """How many entities the rows and labels are of."""
        return max(1, self.rows // ROWS_OF_ENTITY)


def feature_tables(folder: Path, sizes: Sizes) -> list[StateTable]:
    """The tables of a folder, as `write_data` writes them."""
    features = [[f"f{table}_{place}" for place in range(sizes.features)] for table in range(sizes.tables)]
    calendar = Calendar("month")
    return [
        StateTable(
            DeltaFolder(storage_at(folder / f"table_{number}"), f"table_{number}"),
            TableSchema(
                ("entity",),
                "happened",
                (Column("entity", "bigint"), Column("happened", "timestamp"), *(Column(n, "double") for n in names)),
                calendar,
            ),
        )
        for number, names in enumerate(features)
    ]


def write_data(folder: Path, sizes: Sizes) -> None:
    """Write the tables, a commit for each month, and ``labels.parquet`` with ``entity``, ``anchor`` and ``as_of``."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    random = np.random.default_rng(20240101)
    for table in feature_tables(folder, sizes):
        _write_table(table, sizes, random)
    moment = pa.timestamp("us", "UTC")
    asked = _micros() + (random.random(sizes.labels) * DAYS * MICROS_OF_DAY).astype("int64")
    times = pa.array(asked, moment)
    entities = pa.array(random.integers(0, sizes.entities, sizes.labels), pa.int64())
    pq.write_table(pa.table({"entity": entities, "anchor": times, "as_of": times}), folder / LABELS)


def _write_table(table: StateTable, sizes: Sizes, random: "np.random.Generator") -> None:
    import numpy as np
    import pyarrow as pa

    moment = pa.timestamp("us", "UTC")
    entity = np.repeat(np.arange(sizes.entities), ROWS_OF_ENTITY)
    rows = len(entity)
    happened = _micros() + (random.random(rows) * DAYS * MICROS_OF_DAY).astype("int64")
    delay = (random.random(rows) < sizes.late) * random.random(rows) * 30 * MICROS_OF_DAY
    known = happened + delay.astype("int64")
    gone = np.flatnonzero(random.random(rows) < sizes.removed)
    states = pa.table(
        {
            "entity": pa.array(entity, pa.int64()),
            "happened": pa.array(happened, moment),
            **{name: pa.array(random.random(rows)) for name in table.schema.value_names},
            "event_time": pa.array(happened, moment),
            "known_at": pa.array(known, moment),
            "seq": pa.array(np.ones(rows, "int64")),
            "removed": pa.array(np.zeros(rows, "bool")),
        }
    )
    removals = states.take(pa.array(gone))
    later = known[gone] + (random.random(len(gone)) * 30 * MICROS_OF_DAY).astype("int64")
    for name, values in (("known_at", pa.array(later, moment)), ("removed", pa.array(np.ones(len(gone), "bool")))):
        removals = removals.set_column(removals.column_names.index(name), name, values)
    states = pa.concat_tables([states, removals])
    months = np.asarray(states["event_time"].to_numpy(), "datetime64[M]")
    for month in np.unique(months):
        of_month = states.filter(pa.array(months == month))
        period = pa.array([str(month)] * of_month.num_rows, pa.string())
        of_month = of_month.append_column("period", period).cast(table.schema.stored())
        table.delta.append(of_month, table.delta.counters([str(month)]))


def _micros() -> int:
    return int(BEGINS.timestamp()) * 1_000_000


def read_labels(folder: Path) -> "pa.Table":
    """The labels that `write_data` wrote."""
    import pyarrow.parquet as pq

    return pq.read_table(folder / LABELS)


def look_up(folder: Path, sizes: Sizes) -> "pa.Table":
    """Ours: the engine's lookup of all tables."""
    lookback = Duration(rest=timedelta(days=LOOKBACK_DAYS))
    lookups = [ResolvedLookup(table, table.schema.value_names, lookback) for table in feature_tables(folder, sizes)]
    return DuckDBEngine(folder / "scratch").lookup(read_labels(folder), lookups)


def bare_asof(folder: Path, sizes: Sizes) -> "pa.Table":
    """The peer: DuckDB's ASOF join as anybody would write it, over the same files; right where nothing is late."""
    (table,) = feature_tables(folder, sizes)
    features = ", ".join(
        f"CASE WHEN f.event_time > l.as_of - INTERVAL {LOOKBACK_DAYS} DAY THEN {name} END AS {name}"
        for name in table.schema.value_names
    )
    return _duckdb(
        folder,
        f"SELECT l.*, {features} FROM read_parquet('{folder / LABELS}') l "
        f"ASOF LEFT JOIN read_parquet({table.files()}) f ON l.entity = f.entity AND l.as_of >= f.event_time",
    )


def brute_force(folder: Path, sizes: Sizes) -> "pa.Table":
    """What is right, by the definition: every state of a label's entity is looked at."""
    labels = f"read_parquet('{folder / LABELS}', file_row_number = true)"
    found = ""
    names: list[str] = []
    for number, table in enumerate(feature_tables(folder, sizes)):
        names += table.schema.value_names
        row = f"row_{number}"
        found += (
            f" LEFT JOIN (SELECT * FROM (SELECT l.file_row_number AS {row}, s.* EXCLUDE (entity) FROM {labels} l "
            f"JOIN read_parquet({table.files()}) s ON s.entity = l.entity AND s.event_time <= l.anchor "
            f"AND s.event_time > l.anchor - INTERVAL {LOOKBACK_DAYS} DAY AND s.known_at <= l.as_of "
            f"QUALIFY row_number() OVER (PARTITION BY {row}, s.event_time ORDER BY s.known_at DESC, s.seq DESC) = 1) "
            f"WHERE NOT removed QUALIFY row_number() OVER (PARTITION BY {row} ORDER BY event_time DESC) = 1"
            f") ON {row} = l.file_row_number"
        )
    order = "ORDER BY file_row_number"
    return _duckdb(folder, f"SELECT entity, anchor, as_of, {', '.join(names)} FROM {labels} l{found} {order}")


def _duckdb(folder: Path, sql: str) -> "pa.Table":
    import duckdb

    with duckdb.connect(config={"temp_directory": str(folder / "scratch")}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return connection.sql(sql).to_arrow_table()


@dataclass(frozen=True)
class Measured:
    """What a process of its own came to.

    Args:
        seconds: Median of the repeated calls.
        gigabytes: Largest resident memory, imports included.
        rows: Rows in the answer.
        digest: Content hash of the answer, its rows in whatever order.
    """

    seconds: float
    gigabytes: float
    rows: int
    digest: str


WAYS: dict[str, Callable[[Path, Sizes], "pa.Table"]] = {
    "ours": look_up,
    "asof": bare_asof,
    "brute force": brute_force,
}


def measure(way: str, folder: Path, sizes: Sizes, times: int = TIMES) -> Measured:
    """One of `WAYS` in a process of its own: the first call warms up, the others are timed."""
    arguments = [way, str(folder), json.dumps(asdict(sizes)), str(times)]
    return in_own_process([sys.executable, "-m", "benchmarks.point_in_time", *arguments])


def in_own_process(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Measured:
    """What a command came to, which prints it as JSON in its last line."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **(environment or {})})
    assert process.stdout is not None
    printed = process.stdout.read()
    if process.wait():
        raise RuntimeError(f"{command} ended with {process.returncode}")
    return Measured(**json.loads(printed.splitlines()[-1]))


def max_memory() -> float:
    """The largest resident memory of this process so far, in gigabytes; of the process that started it, nothing."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1e6


def _measured_here(way: str, folder: Path, sizes: Sizes, times: int) -> dict[str, Any]:
    taken = []
    for _ in range(times + 1):
        begun = time.perf_counter()
        answer = WAYS[way](folder, sizes)
        taken.append(time.perf_counter() - begun)
    gigabytes = max_memory()
    digest = content_hash(answer, sorted(answer.column_names))
    return {
        "seconds": statistics.median(taken[1:] or taken),
        "gigabytes": gigabytes,
        "rows": answer.num_rows,
        "digest": digest,
    }


if __name__ == "__main__":
    name, where, text, repeated = sys.argv[1:]
    print(json.dumps(_measured_here(name, Path(where), Sizes(**json.loads(text)), int(repeated))))
