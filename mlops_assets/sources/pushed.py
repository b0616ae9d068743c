"""Rows that applications push: judged whole at the border, kept durably, and ingested in the order of acceptance."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import ContractError, DefinitionError, MissingDataError, nearest
from mlops_assets.lakehouse.masking import told
from mlops_assets.lakehouse.periods import Period
from mlops_assets.lakehouse.pushed import Waiting
from mlops_assets.lakehouse.schema import Column, TableSchema
from mlops_assets.platform import Platform
from mlops_assets.project.attributes import Push
from mlops_assets.project.definition import SUFFIXES, SourceDefinition
from mlops_assets.quality.contract import key_in_words, moments
from mlops_assets.sources.values import from_python

if TYPE_CHECKING:
    import pyarrow as pa

MAX_KEY_LENGTH = 200


@dataclass(frozen=True)
class Accepted:
    """A batch that will be in the lakehouse, whatever happens to this process.

    Args:
        rows: How many rows it has.
        periods: The keys of the periods that they lie in, in their order.
        repeated: Whether it had been accepted before, under the same key: nothing was written now.
    """

    rows: int
    periods: tuple[str, ...]
    repeated: bool


def accept(
    platform: Platform,
    source: SourceDefinition,
    rows: Sequence[Mapping[str, object]],
    idempotency_key: str,
    now: datetime,
) -> Accepted:
    """Accept a batch of rows whole, or refuse it whole; what is returned is on the disk.

    Args:
        platform: The platform.
        source: A source that is pushed.
        rows: Each names every column; values are those of JSON: times are texts, and without an offset UTC.
        idempotency_key: What tells the batch from others, for as long as the source remembers keys.
        now: The platform clock.

    Raises:
        DefinitionError: The source is not pushed.
        ContractError: The first fault of the rows, with the number of the row (from 1) and the column; or the key is
            none, or (`ReusedKeyError`) was used with other rows.
        StoreUnavailableError: It cannot be written; nothing was accepted.
    """
    if not isinstance(source.origin, Push):
        raise DefinitionError(
            f"source '{source.name}', which is not pushed",
            "a source with push",
            "push into another source, or declare push: {} in its YAML",
        )
    printable = idempotency_key.isascii() and idempotency_key.isprintable()
    if not printable or not 0 < len(idempotency_key) <= MAX_KEY_LENGTH:
        raise ContractError(
            f"an idempotency key of {len(idempotency_key)} characters",
            f"1 to {MAX_KEY_LENGTH} printable ASCII characters",
            "make a random key for each batch, such as a UUID",
        )
    typed = _typed(source, rows)
    times = [moment for moment in moments(typed, source.schema) if moment is not None]
    _refuse_first(source, _faults_of_rows(source, typed, now))
    by_period: dict[str, list[str]] = {}
    for row, moment in zip(typed.to_pylist(), times, strict=True):
        line = json.dumps(row, default=_text, ensure_ascii=False)
        by_period.setdefault(source.schema.calendar.of(moment).key, []).append(line)
    by_period = dict(sorted(by_period.items()))
    lines = (line for lines in by_period.values() for line in lines)
    batch = platform.pushed.accept(
        source.name,
        idempotency_key,
        hashlib.sha256("\n".join(lines).encode()).hexdigest(),
        by_period,
        now=now,
        known_since=now - source.origin.remember_keys,
    )
    return Accepted(sum(batch.rows.values()), tuple(sorted(batch.rows)), batch.repeated)


def write_waiting(platform: Platform, source: SourceDefinition, period: Period, waiting: Waiting, folder: Path) -> Path:
    """Write what waits for a period into a file.

    A period that is over without a batch gets a delivery without rows, so that what rests on it need not wait.

    Raises:
        MissingDataError: Nothing waits, and the period is not over.
    """
    import pyarrow.parquet as pq

    if waiting.rows:
        file = folder / f"pushed{SUFFIXES['json_lines']}"
        file.write_text("".join(_as_declared(line, source.schema) for line in waiting.rows), encoding="utf-8")
    else:
        require_over(platform, source, period)
        file = folder / f"pushed{SUFFIXES['parquet']}"
        pq.write_table(source.schema.arrow().empty_table(), file)
    return file


def last_of_each(rows: "pa.Table", source: SourceDefinition) -> "pa.Table":
    """The last of the rows that have the same key and time: the one that was accepted last."""
    import pyarrow as pa

    names = source.schema.identity
    last = {tuple(row.values()): place for place, row in enumerate(rows.select(names).to_pylist())}
    return rows if len(last) == rows.num_rows else rows.take(pa.array(sorted(last.values()), pa.int64()))


def require_over(platform: Platform, source: SourceDefinition, period: Period) -> None:
    """See that a period of a pushed source is over, and its publication lag has passed.

    Raises:
        MissingDataError: It is not.
    """
    over = period.end + source.lag
    if platform.clock.now() < over:
        raise MissingDataError(
            f"period {period.key} of source '{source.name}', into which rows may be pushed until {over.isoformat()}",
            "a period that is over, its publication lag included",
            "wait until then",
        )


_Fault = tuple[int, int, str, str]
"""The place of a row (from 1) and of a column (from 0), what was found there, and what was expected."""


def _typed(source: SourceDefinition, rows: Sequence[Mapping[str, object]]) -> "pa.Table":
    """The rows as values of the declared types."""
    import pyarrow as pa

    schema, columns = source.schema, f"the columns {', '.join(source.schema.names)}"
    if not rows:
        raise ContractError(f"a batch without rows for '{source.name}'", "at least one row", "push what there is")
    faults: list[_Fault] = []
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, Mapping):
            raise ContractError(
                f"row {number} of the batch for '{source.name}', which is no object",
                f"an object with {columns}",
                "correct the row, and push the batch again; nothing of it was accepted",
            )
        for name in row:
            if name not in schema.names:
                found = f"row {number}, column '{name}', which '{source.name}' does not have"
                cure = nearest(name, schema.names, "take it out, or declare it in the source's YAML")
                raise ContractError(found, columns, cure)
        missing = next((name for name in schema.names if name not in row), None)
        if missing is not None:
            found = f"row {number} of the batch for '{source.name}' without column '{missing}'"
            raise ContractError(found, columns, "add it, as null where it has no value")
    arrays = []
    for place, column in enumerate(schema.columns):
        typed, wrong = from_python([row[column.name] for row in rows], column)
        arrays.append(typed)
        faults += [(value.row, place, value.found, value.expected) for value in wrong]
    _refuse_first(source, faults)
    return pa.table(arrays, schema=schema.arrow())


def _faults_of_rows(source: SourceDefinition, typed: "pa.Table", now: datetime) -> Iterator[_Fault]:
    """What is wrong with rows whose values are of their types."""
    schema = source.schema
    for place, column in enumerate(schema.columns):
        for number, value in enumerate(typed.column(place).to_pylist(), start=1):
            if expected := _expected(column, value):
                yield number, place, "null" if value is None else str(told(column, value)), expected
    time = schema.names.index(schema.timestamp or "")
    for number, moment in enumerate(moments(typed, schema), start=1):
        if moment is None:
            continue  # told already
        words = str(told(schema.columns[time], moment.isoformat()))
        if moment > now:
            yield number, time, words, f"a time that is not after now, {now.isoformat()}"
        elif source.first and moment < source.first.start:
            yield number, time, words, f"a time from first_period on, {source.first.start.isoformat()}"
        elif source.last and moment >= source.last.end:
            yield number, time, words, f"a time before the end of last_period, {source.last.end.isoformat()}"
    names = schema.identity
    first: dict[tuple[Any, ...], int] = {}
    for number, row in enumerate(typed.select(names).to_pylist(), start=1):
        earlier = first.setdefault(tuple(row.values()), number)
        if earlier != number:
            words = key_in_words(schema, row)
            yield number, schema.names.index(names[0]), words, f"each key and time once, and row {earlier} has this one"


def _expected(column: Column, value: Any) -> str | None:
    """What the contract of a column wants in place of a value; None where the value keeps it."""
    if value is None:
        return "a value, for nulls are not allowed" if column.required else None
    if isinstance(value, Decimal):
        value = float(value)  # as limits are written, and as SQL compares them
    if column.minimum is not None and value < column.minimum:
        return f"at least {column.minimum:g}"
    if column.maximum is not None and value > column.maximum:
        return f"at most {column.maximum:g}"
    if column.allowed and value not in column.allowed:
        return f"one of: {', '.join(column.allowed)}"
    return None


def _refuse_first(source: SourceDefinition, faults: "Sequence[_Fault] | Iterator[_Fault]") -> None:
    found = sorted(faults)
    if not found:
        return
    row, column, value, expected = found[0]
    more = f", and {len(found) - 1} more faults" if len(found) > 1 else ""
    raise ContractError(
        f"row {row}, column '{source.schema.names[column]}' of the batch for '{source.name}': {value}{more}",
        expected,
        "correct the rows, and push the batch again; nothing of it was accepted",
    )


def _text(value: date | Decimal) -> str:
    return f"{value:f}" if isinstance(value, Decimal) else value.isoformat()  # of a moment with its offset


def _as_declared(line: str, schema: TableSchema) -> str:
    """A row with the columns that are declared today, a line."""
    row = json.loads(line)
    return json.dumps({name: row.get(name) for name in schema.names}, ensure_ascii=False) + "\n"
