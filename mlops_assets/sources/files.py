"""Files: a delivery becomes rows of the declared types, or is refused."""

import math
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets.errors import PlatformError
from mlops_assets.lakehouse.periods import parse_moment
from mlops_assets.lakehouse.schema import Column, TableSchema, arrow_type
from mlops_assets.sources.contract import BrokenContractError, wrong_structure

if TYPE_CHECKING:
    import pyarrow as pa


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
        raise wrong_structure(
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
        raise wrong_structure(
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


def _wrong_type(text: str, row: int, column: Column, table: str, expected: str) -> BrokenContractError:
    return wrong_structure(
        f"'{text}' in column '{column.name}', row {row} below the header",
        table,
        expected,
        "ask for a corrected file, or declare the type that the column has; nothing was written",
    )
