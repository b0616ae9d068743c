"""Contracts: a file becomes rows of the declared types, or is refused; rows keep their contract, or a check says so."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import ContractError, PlatformError
from mlops_assets.lakehouse.periods import parse_moment
from mlops_assets.lakehouse.schema import Column, TableSchema, arrow_type

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class CheckOutcome:
    """What a contract check found.

    Args:
        name: Name of the check, the same for every table.
        passed: Whether the contract holds.
        found: What was found, in words.
        failures: How many rows break it.
    """

    name: str
    passed: bool
    found: str
    failures: int


CONTRACT_CHECKS = {
    "columns_and_types": "The columns are the declared ones, of the declared types.",
    "keys_unique": "No two rows have the same key and time.",
    "values_not_null": "Keys, timestamps and columns declared not null have no nulls.",
    "values_allowed": "Values lie in the declared ranges and sets.",
}
"""The contract's checks, by name, with what they see to."""


class BrokenContractError(ContractError):
    """Rows break their contract; ``outcomes`` says which checks found what."""

    outcomes: tuple[CheckOutcome, ...] = ()

    @classmethod
    def of(cls, outcomes: Sequence[CheckOutcome], table: str, expected: str, cure: str) -> "BrokenContractError":
        """The error that failed checks add up to."""
        failed = "; ".join(outcome.found for outcome in outcomes if not outcome.passed)
        error = cls(f"in '{table}': {failed}", expected, cure)
        error.outcomes = tuple(outcomes)
        return error


def _wrong_structure(found: str, table: str, expected: str, cure: str) -> BrokenContractError:
    return BrokenContractError.of([CheckOutcome("columns_and_types", False, found, 1)], table, expected, cure)


def read_delivery(file: Path, schema: TableSchema, table: str) -> "pa.Table":
    """Read a CSV file (plain or gzip) into rows of the declared types.

    Args:
        file: UTF-8 with a header that names exactly the declared columns, in any order. Spaces around a value do
            not count, and an empty field is null.
        schema: What is declared.
        table: The source's name, for messages.

    Raises:
        ContractError: Another encoding or header, a line cut short, or text that is not of the column's type.
    """
    import pyarrow as pa
    import pyarrow.csv as pcsv

    texts = pa.schema([(name, pa.string()) for name in schema.names])
    try:
        rows = pcsv.read_csv(
            file,
            convert_options=pcsv.ConvertOptions(column_types=texts, strings_can_be_null=True, null_values=[""]),
            parse_options=pcsv.ParseOptions(newlines_in_values=True),
        )
        names = rows.column_names
        if _ends_inside_quotes(file):
            raise EOFError("it ends inside a quoted value")
    except (pa.ArrowInvalid, OSError, EOFError, UnicodeDecodeError) as error:
        raise _wrong_structure(
            f"the delivery cannot be read ({str(error).splitlines()[0]})",
            table,
            f"a whole CSV file in UTF-8 with the columns {', '.join(schema.names)}",
            "ask for the file again: it may have been cut short",
        ) from error
    missing = [name for name in schema.names if name not in names]
    surplus = [name for name in names if name not in schema.names]
    twice = [name for name in schema.names if names.count(name) > 1]
    if missing or surplus or twice:
        parts = [f"no column {', '.join(missing)}"] if missing else []
        parts += [f"undeclared column {', '.join(surplus)}"] if surplus else []
        parts += [f"more than one column {', '.join(twice)}"] if twice else []
        raise _wrong_structure(
            f"a delivery with {' and '.join(parts)}",
            table,
            f"the columns {', '.join(schema.names)}",
            "ask for a complete file, or change the source's columns in YAML",
        )
    columns = [_typed(rows.column(column.name).combine_chunks(), column, table) for column in schema.columns]
    return pa.table(columns, schema=schema.arrow())


def _ends_inside_quotes(file: Path) -> bool:
    """Whether a file stops behind an opened quotation mark, which the reader closes without a word."""
    import pyarrow as pa

    with pa.input_stream(str(file)) as stream:
        content = stream.read()
    return content.count(b'"') % 2 == 1 and not content.endswith(b"\n")


def moments(rows: "pa.Table", schema: TableSchema) -> list[datetime | None]:
    """The event_time of each row, in UTC; None where it is null or the table is static."""
    if schema.timestamp is None:
        return [None] * rows.num_rows
    return [_moment(value) for value in rows.column(schema.timestamp).to_pylist()]


def contract_checks(rows: "pa.Table", schema: TableSchema) -> list[CheckOutcome]:
    """Check rows against their contract; one outcome for each of `CONTRACT_CHECKS`."""
    typed = CheckOutcome("columns_and_types", True, f"{len(schema.columns)} columns as declared", 0)
    return [typed, _keys_unique(rows, schema), _values_not_null(rows, schema), _values_allowed(rows, schema)]


def require_contract(rows: "pa.Table", schema: TableSchema, table: str) -> list[CheckOutcome]:
    """See that the contract holds, and say what each check found.

    Raises:
        ContractError: It does not; says every check that failed.
    """
    outcomes = contract_checks(rows, schema)
    broken = [outcome for outcome in outcomes if not outcome.passed]
    if broken:
        raise BrokenContractError.of(
            outcomes,
            table,
            " ".join(CONTRACT_CHECKS[outcome.name] for outcome in broken),
            "correct the data, or the contract in YAML; nothing was written",
        )
    return outcomes


def _keys_unique(rows: "pa.Table", schema: TableSchema) -> CheckOutcome:
    names = [*schema.keys, *([schema.timestamp] if schema.timestamp else [])]
    counted = rows.group_by(names).aggregate([([], "count_all")])
    twice = [row for row in counted.to_pylist() if row["count_all"] > 1]
    if not twice:
        return CheckOutcome("keys_unique", True, f"{rows.num_rows} rows, each key once", 0)
    example = ", ".join(f"{name}={twice[0][name]}" for name in names)
    return CheckOutcome("keys_unique", False, f"{len(twice)} duplicate keys, such as {example}", len(twice))


def _values_not_null(rows: "pa.Table", schema: TableSchema) -> CheckOutcome:
    nulls = {
        column.name: rows.column(column.name).null_count
        for column in schema.columns
        if not column.nullable or column.kind in ("key", "time")
    }
    broken = {name: count for name, count in nulls.items() if count}
    found = ", ".join(f"{count} nulls in '{name}'" for name, count in broken.items())
    return CheckOutcome("values_not_null", not broken, found or "no nulls where none are allowed", sum(broken.values()))


def _values_allowed(rows: "pa.Table", schema: TableSchema) -> CheckOutcome:
    import pyarrow.compute as pc

    found: list[str] = []
    failures = 0
    for column in schema.columns:
        values = rows.column(column.name)
        outside: list[tuple[Any, str]] = []
        if column.minimum is not None:
            outside.append((pc.less(values, column.minimum), f"below {column.minimum:g}"))
        if column.maximum is not None:
            outside.append((pc.greater(values, column.maximum), f"above {column.maximum:g}"))
        if column.allowed:
            named = pc.is_in(values, value_set=_array(column.allowed))
            outside.append((pc.and_(pc.invert(named), pc.is_valid(values)), f"not in {', '.join(column.allowed)}"))
        for mask, words in outside:
            count = pc.sum(mask).as_py() or 0
            if count:
                example = values.filter(mask)[0].as_py()
                found.append(f"{count} values of '{column.name}' {words}, such as {example}")
                failures += count
    return CheckOutcome("values_allowed", not found, "; ".join(found) or "all values allowed", failures)


def _array(values: Sequence[str]) -> "pa.Array":
    import pyarrow as pa

    return pa.array(values, pa.string())


def _typed(texts: "pa.Array", column: Column, table: str) -> "pa.Array":
    import pyarrow as pa
    import pyarrow.compute as pc

    if column.type in ("date", "timestamp"):
        times = [_time(text, row, column, table) for row, text in enumerate(texts.to_pylist(), start=1)]
        return pa.array(times, arrow_type(column.type))
    try:
        trimmed = pc.utf8_trim_whitespace(texts)
        values = pc.cast(pc.if_else(pc.equal(trimmed, ""), None, trimmed), arrow_type(column.type))
    except pa.ArrowInvalid:
        values = None
    if values is None or (column.type == "double" and pc.any(pc.invert(pc.is_finite(values))).as_py()):
        row, text = next(
            (row, text)
            for row, text in enumerate(texts.to_pylist(), start=1)
            if text and text.strip() and not _casts(text, column)
        )
        raise _wrong_type(text, row, column, table, f"a value of type {column.type}")
    return values


def _casts(text: str, column: Column) -> bool:
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        value = pc.cast(pa.scalar(text.strip()), arrow_type(column.type)).as_py()
    except pa.ArrowInvalid:
        return False
    return not isinstance(value, float) or math.isfinite(value)


def _time(text: str | None, row: int, column: Column, table: str) -> datetime | date | None:
    if text is None or not text.strip():
        return None
    try:
        moment = parse_moment(text)
    except PlatformError as error:
        expected = f"a value of type {column.type}: {error.expected}; no offset means UTC, and no zone has a name"
        raise _wrong_type(text, row, column, table, expected) from None
    return moment.date() if column.type == "date" else moment


def _moment(value: datetime | date | None) -> datetime | None:
    if value is None or isinstance(value, datetime):
        return value
    return datetime(value.year, value.month, value.day, tzinfo=UTC)


def _wrong_type(text: str, row: int, column: Column, table: str, expected: str) -> BrokenContractError:
    return _wrong_structure(
        f"'{text}' in column '{column.name}', row {row} below the header",
        table,
        expected,
        "ask for a corrected file, or declare the type that the column has; nothing was written",
    )
