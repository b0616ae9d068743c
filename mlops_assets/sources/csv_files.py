"""CSV, read strictly: a quoted value ends where its quotation mark is closed, and no line is lost in one.

A quoted value ends before a comma, a line end or the file's end. It may hold line ends, but no line that is itself a
row: one that was meant as a row, behind a quotation mark too many or too few, would be lost without a word.
"""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mlops_assets.lakehouse.schema import Column
from mlops_assets.sources.values import from_texts

if TYPE_CHECKING:
    import pyarrow as pa

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_MAX_BLOCK = 2**31 - 1
_VALUE = rb'(?:"(?:[^"]++|"")*+"|[^",\r\n][^,\r\n]*+)?+'
_VALUES = re.compile(_VALUE + rb"(?:," + _VALUE + rb")*+")
_LINE_END = re.compile(rb"\r\n|[\r\n]|\Z")
_SEPARATE = re.compile(rb"(?:^|,)(" + _VALUE + rb")")
_ESCAPED = re.compile(rb'"(?P<inside>(?:[^"\\]++|\\.|"")*+)(?P<end>"?+)|[^",\r\n][^,\r\n]*+', re.DOTALL)
_ESCAPES = re.compile(rb'\\(["\\])|"(")')


def read_csv(content: bytes, columns: Sequence[Column], escape: str | None) -> "pa.Table":
    """The rows of a file as texts, null where they are empty; of columns that are not declared as whatever they look.

    Args:
        content: The file's bytes, in UTF-8.
        columns: The columns that it may have.
        escape: ``backslash`` where quotation marks inside a quoted value are escaped so; None where they are doubled.

    Raises:
        ValueError: A quoted value is not closed or goes on behind its end, or a row may be lost in one; says which row.
        pyarrow.ArrowException: It is no CSV otherwise.
    """
    import pyarrow as pa
    import pyarrow.csv as pcsv

    lines = content.removeprefix(_BYTE_ORDER_MARK).rstrip(b"\r\n")
    if escape:
        lines = _ESCAPED.sub(_doubled, lines)
    require_whole_rows(lines, columns)
    texts = pa.schema([(column.name, pa.string()) for column in columns])
    return pcsv.read_csv(
        pa.BufferReader(lines + b"\n" if lines and content[-1:] in (b"\r", b"\n") else lines),
        # One block, because none may end inside a value, however long that is.
        read_options=pcsv.ReadOptions(block_size=min(len(lines) + 2, _MAX_BLOCK)),
        parse_options=pcsv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        convert_options=pcsv.ConvertOptions(column_types=texts, strings_can_be_null=True, null_values=[""]),
    )


def require_whole_rows(lines: bytes, columns: Sequence[Column]) -> None:
    """See that each row of a file, its header first, is whole and one.

    Raises:
        ValueError: A quoted value is not closed or goes on behind its end, or a row may be lost in one; says which row.
    """
    if b'"' not in lines:
        return
    place, row = 0, 0
    names: list[str] = []
    while place < len(lines):
        found = _VALUES.match(lines, place)
        assert found is not None  # nothing at all is a value
        end = _LINE_END.match(lines, found.end())
        if end is None:
            raise ValueError(f"{_words(row)}: {_fault(lines, found.end())}")
        if row == 0:
            names = _texts(found[0])
        elif b"\n" in found[0] or b"\r" in found[0]:
            _require_no_row_inside(found[0], row, names, columns)
        place, row = end.end(), row + 1


def _words(row: int) -> str:
    return f"row {row} below the header" if row else "the header"


def _fault(lines: bytes, place: int) -> str:
    """What is wrong where a value is followed by neither a comma nor a line end."""
    if lines[place : place + 1] == b'"' and lines[max(place - 1, 0) : place] != b'"':
        return "it ends inside a quoted value: a quotation mark opens a value and none closes it"
    if lines[max(place - 2, 0) : place] == b'\\"':
        return (
            "a quoted value goes on behind a quotation mark with a backslash before it; declare files: {escape: "
            "backslash} if that is how the file is written"
        )
    return "a quoted value goes on behind the quotation mark that closes it; one that is part of it is written twice"


def _require_no_row_inside(values: bytes, row: int, names: Sequence[str], columns: Sequence[Column]) -> None:
    """See that values over several lines are not several rows: neither the first line nor a later one is a row."""
    first, *others = map(_texts, values.splitlines())
    for number, texts in enumerate(others, start=2):
        if len(texts) == len(first) and _may_be_row(texts, names, columns) and _may_be_row(first, names, columns):
            raise ValueError(
                f"{_words(row)}: line {number} of it lies inside a quoted value and is itself a row; a quotation mark "
                "too many or too few. Text that holds such lines can come as JSON lines or Parquet"
            )


def _may_be_row(texts: Sequence[str], names: Sequence[str], columns: Sequence[Column]) -> bool:
    """Whether values by themselves are a row: so many, each of its type, and one at least that is no text."""
    by_name = {column.name: column for column in columns}
    if len(texts) != len(names):
        return False
    declared = [(by_name[name], text) for name, text in zip(names, texts, strict=True) if name in by_name]
    tells = any(text.strip() and column.type != "string" for column, text in declared)
    return tells and all(_may_be(text, column) for column, text in declared)


def _may_be(text: str, column: Column) -> bool:
    """Whether a text may be a value of a column."""
    import pyarrow as pa

    read, wrong = from_texts(pa.chunked_array([[text]]), column)
    return not wrong and (column.kind not in ("key", "time") or read[0].is_valid)


def _texts(line: bytes) -> list[str]:
    """The values of one line; a quotation mark that is not closed in it does not count."""
    found = _VALUES.match(line)
    assert found is not None  # nothing at all is a value
    if line[found.end() : found.end() + 1] == b'"':
        line = line[: found.end()] + line[found.end() + 1 :]
    values = (value.decode(errors="replace") for value in _SEPARATE.findall(line))
    return [value[1:-1].replace('""', '"') if value.startswith('"') else value.rstrip('"') for value in values]


def _doubled(found: re.Match[bytes]) -> bytes:
    """A value with escapes as one in which quotation marks are doubled; one that is not closed stays open."""
    inside = found["inside"]
    if inside is None:
        bare = found[0]
        if b"\\" not in bare:
            return bare
        if bare == b"\\N":
            return b""
        inside, end = bare, b'"'
    else:
        end = found["end"]
    plain = _ESCAPES.sub(lambda escape: escape[1] or escape[2], inside)
    return b'"' + plain.replace(b'"', b'""') + end
