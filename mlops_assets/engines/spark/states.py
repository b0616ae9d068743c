"""States of rows on Spark: as known at a moment, what must be appended, appending it, and hashing it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from mlops_assets.engines.spark.session import Frame, quoted
from mlops_assets.lakehouse.content_hash import hashed_piece, whole_hash
from mlops_assets.lakehouse.delta import WrittenFile
from mlops_assets.lakehouse.periods import Period
from mlops_assets.lakehouse.schema import STATIC_PERIOD, TableSchema
from mlops_assets.lakehouse.tables import StateTable
from mlops_assets.storage.path import StoragePath

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import SparkSession

_GLOB = re.compile(r"[{}\[\]*?\\]")
_STATE = {"event_time": "timestamp", "known_at": "timestamp", "seq": "bigint", "removed": "boolean"}


def stored_states(session: "SparkSession", table: StateTable, files: Sequence[str]) -> Frame:
    """The states in some files of a table, as stored but for ``period``."""
    from pyspark.sql.types import StructField, StructType, _parse_datatype_string

    columns = {column.name: column.type for column in table.schema.columns}
    fields = [StructField(name, _parse_datatype_string(type_)) for name, type_ in {**columns, **_STATE}.items()]
    if not files:
        return session.createDataFrame([], StructType(fields))
    # Each file is itself, whatever its name would match.
    return session.read.schema(StructType(fields)).parquet(*(_GLOB.sub(r"\\\g<0>", file) for file in files))


def known_states(
    session: "SparkSession",
    table: StateTable,
    *,
    moment: datetime | None,
    first: Period | None,
    last: Period | None,
    version: int | None = None,
) -> Frame:
    """The rows of a table as known at a moment (None: the latest states), with ``event_time`` and ``known_at``.

    Within each of Spark's partitions they are ordered by key and time.
    """
    from pyspark.sql import functions as F

    states = stored_states(session, table, table.files(first, last, version))
    if moment is not None:
        states = states.where(F.col("known_at") <= F.lit(moment))
    if first is not None and last is not None and table.schema.timestamp is not None:
        states = states.where((F.col("event_time") >= F.lit(first.start)) & (F.col("event_time") < F.lit(last.end)))
    names = [quoted(name) for name in (*table.schema.names, "event_time", "known_at")]
    return (
        _latest(states, table.schema, [F.col("known_at").desc(), F.col("seq").desc()])
        .where("NOT removed")
        .select(*names)
    )


def _latest(states: Frame, schema: TableSchema, order: Sequence[Any]) -> Frame:
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    by = [F.col(quoted(name)) for name in (*schema.keys, "event_time")]
    place = F.row_number().over(Window.partitionBy(*by).orderBy(*order))
    return states.withColumn("the place", place).where(F.col("the place") == 1)


def compared_rows(delivered: Frame, held: Frame, schema: TableSchema, *, missing_is_removed: bool) -> Frame:
    """Rows beside what is held: the user's columns, ``event_time``, ``removed``, ``replaced_known_at``.

    ``is new`` and ``is held`` say where a row comes from, ``changes`` whether it is a state to append.
    """
    from pyspark.sql import functions as F

    event = F.col(quoted(schema.timestamp)).cast("timestamp") if schema.timestamp else F.lit(None).cast("timestamp")
    columns = [F.col(quoted(name)) for name in schema.names]
    new = delivered.select(*columns, event.alias("event_time"), F.lit(True).alias("is new")).alias("d")
    old = held.select(*columns, "event_time", "known_at", F.lit(True).alias("is held")).alias("h")

    def side(prefix: str, name: str) -> Any:
        return F.col(f"{prefix}.{quoted(name)}")

    same_row = F.lit(True)
    for name in schema.keys:
        same_row &= side("d", name) == side("h", name)
    if schema.timestamp:
        same_row &= side("d", "event_time") == side("h", "event_time")
    same_values = F.lit(True)
    for name in schema.names:
        same_values &= side("d", name).eqNullSafe(side("h", name))
    is_new, is_held = (F.coalesce(side(*of), F.lit(False)) for of in (("d", "is new"), ("h", "is held")))
    joined = new.join(old, same_row, "full_outer")
    return joined.select(
        *(F.when(is_new, side("d", name)).otherwise(side("h", name)).alias(name) for name in schema.names),
        F.when(is_new, side("d", "event_time")).otherwise(side("h", "event_time")).alias("event_time"),
        (~is_new).alias("removed"),
        side("h", "known_at").alias("replaced_known_at"),
        is_new.alias("is new"),
        is_held.alias("is held"),
        F.when(is_new, ~is_held | ~same_values).otherwise(F.lit(missing_is_removed)).alias("changes"),
    )


def write_states(states: Frame, folder: StoragePath, schema: TableSchema) -> list[WrittenFile]:
    """Let the executors write states into a folder, as files that no commit names yet.

    Args:
        states: As stored but for ``period``.
        folder: The folder of their period; the executors and this process see the same one.
        schema: Of the table.
    """
    stored = schema.stored()
    columns = stored.remove(stored.get_field_index("period"))

    def write(batches: "Iterator[pa.RecordBatch]") -> "Iterator[pa.RecordBatch]":
        return _write(batches, folder, columns)

    written = states.select(*map(quoted, columns.names)).mapInArrow(write, "name string, size bigint, rows bigint")
    return [WrittenFile(row["name"], row["size"], row["rows"]) for row in written.collect()]


def _write(
    batches: "Iterator[pa.RecordBatch]", folder: StoragePath, columns: "pa.Schema"
) -> "Iterator[pa.RecordBatch]":
    """Write one file for all batches of a task; a task that is tried again writes another one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    given = (batch for batch in batches if batch.num_rows)
    first = next(given, None)
    if first is None:
        return
    file, rows = folder / f"part-{uuid4()}.parquet", 0
    with file.create() as content, pq.ParquetWriter(content, columns, compression="snappy") as writer:
        for batch in chain([first], given):
            writer.write_table(pa.Table.from_batches([batch]).cast(columns))
            rows += batch.num_rows
    yield pa.RecordBatch.from_pydict({"name": [file.name], "size": [file.status().size], "rows": [rows]})


def hash_partitions(session: "SparkSession", table: StateTable, files: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """The content hash of partitions by period key: what `StateTable.data_version` says, computed on the executors.

    Args:
        session: Where.
        table: The table.
        files: The files of each partition, by period key.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    columns, user = table.hashed_columns, table.schema.names
    states = stored_states(session, table, [file for of in files.values() for file in of])
    states = states.withColumn("the period", _period_of(table, list(files)))
    row = Window.partitionBy(*(F.col(quoted(name)) for name in (*table.schema.keys, "event_time")))
    values = F.struct(*(F.col(quoted(name)) for name in (*user, "removed")))
    # A state that was replaced at its own moment, or that repeats the one before, does not count.
    states = states.withColumn("the next", F.lead("known_at").over(row.orderBy("known_at", "seq")))
    states = states.where("`the next` IS NULL OR `the next` > known_at")
    known = states.withColumn("before", F.lag(values).over(row.orderBy("known_at", "seq")))
    known = known.where(~values.eqNullSafe(F.col("before")))

    def hashed(batches: "Iterator[pa.RecordBatch]") -> "Iterator[pa.RecordBatch]":
        return _hashed(batches, columns)

    counted = known.select("the period", *map(quoted, columns))
    by_period: dict[str, list[tuple[int, int]]] = {key: [] for key in files}
    for piece in counted.mapInArrow(hashed, "period string, rows bigint, total string").collect():
        by_period[piece["period"]].append((piece["rows"], int(piece["total"])))
    return {key: whole_hash(table.schema.stored(), columns, pieces) for key, pieces in by_period.items()}


def _period_of(table: StateTable, keys: Sequence[str]) -> Any:
    """The key of the period, among some, that a state lies in."""
    from pyspark.sql import functions as F

    if table.schema.timestamp is None:
        return F.lit(STATIC_PERIOD)
    periods = sorted(map(table.schema.calendar.at_key, keys))
    starts = F.array(*(F.lit(period.start) for period in periods))
    place = F.size(F.filter(starts, lambda start: start <= F.col("event_time")))
    return F.element_at(F.array(*(F.lit(period.key) for period in periods)), place)


def _hashed(batches: "Iterator[pa.RecordBatch]", columns: Sequence[str]) -> "Iterator[pa.RecordBatch]":
    import pyarrow as pa
    import pyarrow.compute as pc

    for batch in batches:
        rows = pa.Table.from_batches([batch])
        for key in pc.unique(rows.column("the period")).to_pylist():
            count, total = hashed_piece(rows.filter(pc.equal(rows.column("the period"), key)), columns)
            yield pa.RecordBatch.from_pydict({"period": [key], "rows": [count], "total": [str(total)]})
