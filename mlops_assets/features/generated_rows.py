"""Small tables of generated rows that keep a declared contract, for what must be seen before there is data.

The same seed gives the same rows. Texts and keys come from one small pool for all tables, so that joins find partners.
"""

import itertools
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Context, Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.lakehouse.delta import DeltaFolder
from mlops_assets.lakehouse.periods import Period
from mlops_assets.lakehouse.schema import ALWAYS, MAX_DIGITS, Column, TableSchema, digits, family
from mlops_assets.lakehouse.tables import StateTable
from mlops_assets.platform import Platform
from mlops_assets.storage.opening import storage_at

if TYPE_CHECKING:
    import pyarrow as pa

MAX_ROWS = 4000
"""About how many rows a table is given, however many periods it covers."""
MAX_KEYS = 12
MIN_KEYS = 3


@dataclass(frozen=True)
class Shape:
    """What generated rows look like.

    Args:
        null_share: Share of nulls in columns that allow them.
        silent_periods: For about half of the keys, a column that allows nulls holds nothing else so many periods
            before the end.
        within_period: Whether each key has a second row in the middle of each period, where days are not the period.
        texts: Texts to use where a column does not say which are allowed.
        keys: Names of columns that are keys somewhere, and hold the same few values everywhere.
        seed: Seed of the values.
    """

    null_share: float
    silent_periods: int
    within_period: bool
    texts: tuple[str, ...]
    keys: frozenset[str]
    seed: int


@dataclass(frozen=True)
class FileTable(StateTable):
    """A table whose states lie in one file, outside of any home.

    Args:
        file: A Parquet file with the stored columns.
    """

    file: Path

    def files(self, first: Period | None = None, last: Period | None = None, version: int | None = None) -> list[str]:
        """The one file, whatever the periods; who reads chooses rows by their time."""
        return [str(self.file)]

    def absent(self, files: Sequence[str]) -> dict[str, bool]:
        """None: the file has every column."""
        return {}


@dataclass(frozen=True)
class GeneratedPlatform(Platform):
    """A platform whose tables hold given rows.

    Args:
        tables: The tables, by name.
    """

    tables: Mapping[str, StateTable] = field(default_factory=dict)

    def table(self, name: str) -> StateTable:
        """The given table."""
        return self.tables[name]


def write_rows(folder: Path, name: str, schema: TableSchema, rows: "pa.Table") -> FileTable:
    """Make a table of rows that were known always.

    Args:
        folder: Where its file is put.
        name: What queries call it.
        schema: Its schema.
        rows: The user's columns.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    moment = pa.timestamp("us", "UTC")
    always = pa.array([ALWAYS] * rows.num_rows, moment)
    columns = {column: rows.column(column) for column in schema.names}
    columns |= {
        "event_time": rows.column(schema.timestamp).cast(moment) if schema.timestamp else always,
        "known_at": always,
        "seq": pa.array([1] * rows.num_rows, pa.int64()),
        "removed": pa.array([False] * rows.num_rows, pa.bool_()),
        "period": pa.array([""] * rows.num_rows, pa.string()),
    }
    file = folder / f"{name}.parquet"
    pq.write_table(pa.table(columns, schema=schema.stored()), file)
    return FileTable(DeltaFolder(storage_at(folder / name), name), schema, file)


def generate_rows(schema: TableSchema, periods: Sequence[Period], shape: Shape) -> "pa.Table":
    """Rows for each key and period, none left out; of a static table one for each key."""
    import pyarrow as pa

    source = random.Random(f"{shape.seed} {' '.join(schema.names)}")
    times = list(_times(schema, periods, shape))
    silence = periods[-shape.silent_periods].start if 0 < shape.silent_periods <= len(periods) else None
    rows = []
    for key in _keys(schema, shape, max(MIN_KEYS, min(MAX_KEYS, MAX_ROWS // len(times)))):
        silent = {column.name for column in schema.columns if column.nullable and source.random() < 0.5}
        for time in times:
            row = {column.name: _value(column, key, time, schema, shape, source) for column in schema.columns}
            if silence and schema.timestamp and time >= silence:
                row |= dict.fromkeys(silent - {schema.timestamp, *schema.keys})
            rows.append(row)
    return pa.Table.from_pylist(rows, schema=schema.arrow())


def _times(schema: TableSchema, periods: Sequence[Period], shape: Shape) -> Iterator[datetime]:
    if schema.timestamp is None:
        yield ALWAYS
        return
    by_day = schema.calendar.unit == "day" and schema.column(schema.timestamp).type == "date"
    for period in periods:
        yield period.start
        if shape.within_period and not by_day:
            middle = period.start + (period.end - period.start) / 2
            yield middle.replace(hour=0) if schema.column(schema.timestamp).type == "date" else middle


def _keys(schema: TableSchema, shape: Shape, most: int) -> list[dict[str, Any]]:
    pools = [_pool(schema.column(name), shape) for name in schema.keys]
    keys = [dict(zip(schema.keys, values, strict=True)) for values in itertools.product(*pools)]
    return keys if len(keys) <= most else random.Random(shape.seed).sample(keys, most)


def _pool(column: Column, shape: Shape) -> Sequence[Any]:
    if column.type == "string":
        return (column.allowed or ("a", "b", "c", *shape.texts))[:6]
    if column.type == "boolean":
        return (True, False)
    if column.type in ("date", "timestamp"):
        return [ALWAYS + timedelta(days=number) for number in range(3)]
    low, _ = _bounds(column)
    return [_number(column, low + number / 10 if 0 < low < 1 else math.ceil(low) + number) for number in range(4)]


def _value(
    column: Column, key: Mapping[str, Any], time: datetime, schema: TableSchema, shape: Shape, source: random.Random
) -> Any:
    if column.name in key:
        return key[column.name]
    if column.name == schema.timestamp:
        return time
    if column.nullable and source.random() < shape.null_share:
        return None
    if column.type in ("string", "boolean") or column.name in shape.keys:
        return source.choice(_pool(column, shape))
    if column.type in ("date", "timestamp"):
        return time - timedelta(days=source.randrange(60))
    low, high = _bounds(column)
    wide = low > 0 and high / low >= 100
    number = math.exp(source.uniform(math.log(low), math.log(high))) if wide else source.uniform(low, high)
    return _number(column, number)


def _number(column: Column, number: float) -> Any:
    """A number as its column holds it."""
    if family(column.type) == "decimal":
        return Decimal(number).quantize(Decimal((0, (1,), -digits(column.type)[1])), context=Context(MAX_DIGITS))
    return round(number) if column.type == "bigint" else number


def _bounds(column: Column) -> tuple[float, float]:
    """Between which numbers values lie: above zero where the contract lets them, since SQL often divides by them."""
    low, high = column.minimum, column.maximum
    most = math.inf
    if family(column.type) == "decimal":
        precision, scale = digits(column.type)
        if precision == scale:
            return 0.1 if low is None else low, 0.9 if high is None else high
        most = 10 ** min(precision - scale, 15) - 1
    if high is not None and high <= 1:
        return (high - 10 if low is None else low), high
    low = max(1.0, low or 1.0)
    return low, min(max(1e6, low * 10) if high is None else high, most)
