"""Files: a delivery becomes rows of the declared types, or is refused. The same rows are the same in any format."""

import gzip
import io
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import ContractError, nearest
from mlops_assets.lakehouse.exact import WrittenNumber, object_of_names
from mlops_assets.lakehouse.masking import words_about
from mlops_assets.lakehouse.schema import Column, TableSchema, family
from mlops_assets.quality.contract import wrong_structure
from mlops_assets.sources.csv_files import read_csv
from mlops_assets.sources.delivered import Delivered, DeliveredFile
from mlops_assets.sources.values import Read, WrongValue, from_arrow, from_python, from_texts, plain
from mlops_assets.storage.path import StoragePath

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class _Format:
    """How a format is read: its columns' names and values by name, and what people call its files and rows."""

    read: Callable[[bytes, Sequence[Column], str | None], tuple[list[str], Mapping[str, Any]]]
    typed: Callable[[Any, Any], Read]
    whole: str
    row: str


def read_delivery(
    files: Sequence[Path | StoragePath], schema: TableSchema, table: str, *, escape: str | None = None
) -> Delivered:
    """Read the files of a delivery into rows of the declared types.

    Args:
        files: One or more, with suffixes of `project.definition.SUFFIXES`. A CSV has a header that names exactly the
            declared columns, in any order; in JSON lines each line is an object, and a name that a line lacks is null.
        schema: What is declared.
        table: The source's name, for messages.
        escape: How CSV escapes quotation marks, see `Files`.

    Raises:
        ContractError: A file is cut short or of another encoding, or its columns are not the declared ones.
    """
    several = len(files) > 1
    return Delivered([_read_file(file, schema, table, f" in {file.name}" if several else "", escape) for file in files])


def read_rows(file: Path, columns: Sequence[Column]) -> "pa.Table":
    """Read a file that somebody brings, with some of the columns, value by value as a delivery is read.

    Args:
        file: As in `read_delivery`.
        columns: The columns that it may have, with their types.

    Returns:
        The columns that it has, in the order of ``columns``.

    Raises:
        ContractError: It is not there, cut short, or of another format or encoding; it has a column that is none of
            them, or one twice; or a value is not of its column's type.
    """
    import pyarrow as pa

    form = _FORMATS.get(_suffix(file))
    if form is None:
        raise ContractError(
            f"a file {file.name}", f"one of: {', '.join(f'*{suffix}' for suffix in _FORMATS)}, or one of them with .gz",
            "convert it, or give its name the suffix of its format",
        )  # fmt: skip
    known = [column.name for column in columns]
    try:
        names, values = _columns_of(file, form, columns, None)
    except ValueError as error:
        expected = f"{form.whole} columns among {', '.join(known)}"
        raise ContractError(f"the file {file.name} cannot be read ({error})", expected, "correct it") from error
    for name in names:
        if name not in known or names.count(name) > 1:
            unknown = name not in known
            raise ContractError(
                f"{'an unknown' if unknown else 'more than one'} column '{name}' in {file.name}",
                f"columns among {', '.join(known)}, each once",
                nearest(name, known if unknown else (), "take it out"),
            )
    typed = {}
    for column in columns:
        if column.name in names:
            typed[column.name], wrong = form.typed(values[column.name], column)
            for one in wrong[:1]:
                found = f"{one.found} in column '{one.column}', {form.row.format(one.row)} of {file.name}"
                raise ContractError(found, one.expected, "correct it")
    return pa.table(typed)


def _read_file(
    file: Path | StoragePath, schema: TableSchema, table: str, place: str, escape: str | None
) -> DeliveredFile:
    import pyarrow as pa

    form = _FORMATS[_suffix(file)]
    try:
        names, values = _columns_of(file, form, schema.columns, escape)
    except ValueError as error:
        raise wrong_structure(
            f"the delivery cannot be read{place} ({error})",
            table,
            f"{form.whole} the columns {', '.join(schema.names)}",
            "ask for the file again: it may have been cut short",
        ) from error
    _require_columns(names, schema, table, place)
    typed, wrong = [], list[WrongValue]()
    for column in schema.columns:
        read, failed = form.typed(values[column.name], column)
        typed.append(read)
        wrong += failed
    originals = {name: values[name] for name in schema.names}
    return DeliveredFile(pa.table(typed, schema=schema.arrow()), wrong, originals, form.row + place)


def unpacked(file: Path | StoragePath) -> bytes:
    """The bytes of a file; of one that is compressed as a whole what they were before."""
    return gzip.decompress(file.read_bytes()) if file.name.endswith(".gz") else file.read_bytes()


def _suffix(file: Path | StoragePath) -> str:
    """What a file's name says of its format."""
    return Path(file.name.removesuffix(".gz")).suffix


def _columns_of(
    file: Path | StoragePath, form: _Format, columns: Sequence[Column], escape: str | None
) -> tuple[list[str], Mapping[str, Any]]:
    """The names and values of a file's columns.

    Raises:
        ValueError: It cannot be read; with what a reader says, in one line. Arrow's words may quote a row that has too
            many or too few values.
    """
    import pyarrow as pa

    try:
        return form.read(unpacked(file), columns, escape)
    except (pa.ArrowException, OSError, EOFError, ValueError, zlib.error) as error:
        words = str(error).splitlines()[0]
        raise ValueError(words_about(columns, words) if isinstance(error, pa.ArrowException) else words) from error


def _require_columns(names: Sequence[str], schema: TableSchema, table: str, place: str) -> None:
    missing = [name for name in schema.names if name not in names]
    surplus = [_shown(name) for name in names if name not in schema.names]
    twice = [name for name in schema.names if names.count(name) > 1]
    if len(missing) == len(schema.names) and any(column.is_personal for column in schema.columns):
        surplus = [f"({len(surplus)} of them)"]  # without its header a file has values in place of names
    if missing or surplus or twice:
        parts = [f"no column {', '.join(missing)}"] if missing else []
        parts += [f"undeclared column {', '.join(surplus)}"] if surplus else []
        parts += [f"more than one column {', '.join(twice)}"] if twice else []
        raise wrong_structure(
            f"a delivery with {' and '.join(parts)}{place}",
            table,
            f"the columns {', '.join(schema.names)}",
            "ask for a complete file, or change the source's columns in YAML",
        )


def _shown(name: str) -> str:
    """A name as messages tell it: in quotation marks where something in it would not be seen."""
    return name if name and name.isprintable() and name == name.strip() else repr(name)


def _read_csv(content: bytes, columns: Sequence[Column], escape: str | None) -> tuple[list[str], Mapping[str, Any]]:
    return _columns(read_csv(content, columns, escape))


def _read_parquet(content: bytes, columns: Sequence[Column], escape: str | None) -> tuple[list[str], Mapping[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = pq.ParquetFile(pa.BufferReader(content), coerce_int96_timestamp_unit="us")
    names, values = _columns(file.read())
    leaves = [file.schema.column(place) for place in range(len(file.schema))]
    old = {leaf.path for leaf in leaves if leaf.physical_type == "INT96"}
    if old:
        # Arrow reads them in one unit, and says nothing of what that leaves out (in microseconds) or wraps (in
        # nanoseconds). The difference of both, which wraps back, is what lies below a microsecond.
        finer = dict(_columns(pq.ParquetFile(pa.BufferReader(content)).read())[1])
        values = dict(values) | {name: _without_loss(values[name], finer[name]) for name in old if name in values}
    return names, values


def _without_loss(moments: "pa.ChunkedArray", finer: "pa.ChunkedArray") -> Any:
    """Times in microseconds; of one that has digits below them a text with all its digits, which no type takes."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    micros, nanos = (pc.fill_null(times.cast(pa.int64()), 0).to_numpy() for times in (moments, finer))
    below = nanos - micros * np.int64(1000)
    if not below.any():
        return moments
    return [
        value if digits == 0 or value is None else f"{value.isoformat(timespec='microseconds')}{digits:03d}"
        for value, digits in zip(map(plain, moments), below.tolist(), strict=True)
    ]


def _columns(rows: "pa.Table") -> tuple[list[str], Mapping[str, Any]]:
    return rows.column_names, dict(zip(rows.column_names, rows.columns, strict=True))


def _read_json_lines(
    content: bytes, columns: Sequence[Column], escape: str | None
) -> tuple[list[str], Mapping[str, Any]]:
    rows = []
    decimals = any(family(column.type) == "decimal" for column in columns)
    read = partial(json.loads, object_pairs_hook=object_of_names, parse_float=WrittenNumber if decimals else float)
    for number, line in enumerate(io.StringIO(content.decode("utf-8-sig").rstrip()), start=1):
        try:
            row = read(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"line {number} is no JSON: {error.msg}, column {error.colno}") from None
        except (ValueError, RecursionError) as error:
            raise ValueError(f"line {number}: {error}") from None
        if not isinstance(row, dict):
            raise ValueError(f"line {number} is no object in braces")
        rows.append(row)
    if not rows:
        raise EOFError("no line: a delivery without rows looks like one that was lost")
    names = list(dict.fromkeys(name for row in rows for name in row))
    return names, {name: [row.get(name) for row in rows] for name in names}


_FORMATS = {
    ".csv": _Format(_read_csv, from_texts, "a whole CSV file in UTF-8 with", "row {} below the header"),
    ".jsonl": _Format(_read_json_lines, from_python, "whole JSON lines in UTF-8, an object a line, with", "line {}"),
    ".parquet": _Format(_read_parquet, from_arrow, "a whole Parquet file, its footer included, with", "row {}"),
}
