"""Values of a delivery as values of the declared types, by the rules of `mlops_assets.lakehouse.exact`.

Whole columns are converted at once where that cannot bend a value, and one by one where it could.
"""

import math
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import PlatformError
from mlops_assets.lakehouse.exact import EXACT_IN_FLOATS, NotFiniteError, decoded, exact, exactly, finite, is_accepted
from mlops_assets.lakehouse.masking import told
from mlops_assets.lakehouse.schema import Column, arrow_type, family, is_number

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class WrongValue:
    """A value that is not of its column's type.

    Args:
        column: The column.
        row: Counts from 1.
        found: The value, as people write it; masked where it is personal.
        expected: What was declared, in words.
    """

    column: str
    row: int
    found: str
    expected: str


Read = tuple["pa.Array", list[WrongValue]]
"""Values of the declared type, null where one is wrong; and the wrong ones, in the order of rows."""


def from_texts(texts: "pa.ChunkedArray", column: Column) -> Read:
    """Values from the texts of a format that knows nothing else."""
    if column.type in ("date", "timestamp"):
        return from_python(texts.to_pylist(), column)
    values = _at_once(_trimmed(texts), column)
    if values is not None:
        return values.combine_chunks(), []
    return _one_by_one(texts.to_pylist(), column, lambda text: _from_text(text.strip(), column))


def from_arrow(values: "pa.ChunkedArray | Sequence[Any]", column: Column) -> Read:
    """Values from those of a typed file."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not isinstance(values, pa.ChunkedArray):
        return from_python(values, column)
    values = decoded(values)
    if pa.types.is_timestamp(values.type) and values.type.tz is None:
        values = pc.assume_timezone(values, "UTC")
    if is_accepted(values, column.type):
        with suppress(ValueError):  # some value does not fit: it is looked for below
            typed = exactly(_nulled(values, column), column.type)
            if _usable(typed, column):
                return (_trimmed(typed) if column.type == "string" else typed).combine_chunks(), []
    return from_python([plain(value) for value in values], column)


def from_python(values: Sequence[Any], column: Column) -> Read:
    """Values from plain ones, such as those of JSON; one that is nested is wrong."""
    return _one_by_one(values, column, lambda value: exact(value, column.type))


def _one_by_one(values: Sequence[Any], column: Column, read: Callable[[Any], Any]) -> Read:
    import pyarrow as pa

    result, wrong = [], []
    for row, value in enumerate(values, start=1):
        try:
            result.append(None if value is None else read(value))
            continue
        except NotFiniteError:
            expected = _value_of(column)
            if column.not_finite == "null" and is_number(column.type):
                result.append(None)
                continue
        except (TypeError, ValueError, OverflowError):
            expected = _value_of(column)
        except PlatformError as error:
            expected = f"{_value_of(column)}: {error.expected}; no offset means UTC, and no zone has a name"
        result.append(None)
        wrong.append(WrongValue(column.name, row, str(told(column, _words(value))), expected))
    return pa.array(result, arrow_type(column.type)), wrong


def _nulled(values: "pa.ChunkedArray", column: Column) -> "pa.ChunkedArray":
    """The values, without those that are not finite where the column declares that such are null."""
    return values if column.not_finite == "refuse" else finite(values)


def _usable(values: "pa.ChunkedArray", column: Column) -> bool:
    """Whether all numbers are finite, and all times lie in the years that a calendar has."""
    import pyarrow.compute as pc

    if column.type == "double":
        return pc.all(pc.is_finite(values)).as_py() is not False
    if column.type in ("date", "timestamp"):
        try:
            pc.min_max(values).as_py()
        except (ValueError, OverflowError):
            return False
    return True


def _trimmed(texts: "pa.ChunkedArray") -> "pa.ChunkedArray":
    import pyarrow.compute as pc

    trimmed = pc.utf8_trim_whitespace(texts)
    return pc.if_else(pc.equal(trimmed, ""), None, trimmed)


def _at_once(texts: "pa.ChunkedArray", column: Column) -> "pa.ChunkedArray | None":
    """What texts say, all of them at once; None where one is wrong, or Arrow may have bent it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        values = _nulled(pc.cast(texts, arrow_type(column.type)), column)
        return values if _usable(values, column) and not _may_be_bent(texts, values, column) else None
    except pa.ArrowInvalid:
        if column.type != "bigint":
            return None
    with suppress(ValueError):
        return exactly(_nulled(pc.cast(texts, pa.float64()), column), column.type)
    return None


def _may_be_bent(texts: "pa.ChunkedArray", values: "pa.ChunkedArray", column: Column) -> bool:
    """Whether Arrow may have read a text as another number: 0x10 as whole, many digits as the nearest double."""
    import pyarrow.compute as pc

    if column.type == "bigint":
        return bool(pc.any(pc.match_substring(texts, "x", ignore_case=True), min_count=0).as_py())
    if column.type == "double":
        digits = pc.match_substring_regex(texts, "^-?[0-9]+$")
        return bool(pc.any(pc.and_(digits, pc.greater_equal(pc.abs(values), EXACT_IN_FLOATS)), min_count=0).as_py())
    return False


def _from_text(text: str, column: Column) -> Any:
    """What a text says, as other formats would hand it over, in the column's type."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not text:
        return None
    if column.type == "string":
        return exact(text, "string")
    if column.type in ("bigint", "double") and re.fullmatch("-?[0-9]+", text):
        return exact(int(text), column.type)
    kind = pa.bool_() if column.type == "boolean" else pa.float64()
    value = pc.cast(pa.scalar(text), kind).as_py()
    digits_count = family(column.type) == "decimal" and math.isfinite(value)
    return exact(text if digits_count else value, column.type)


def plain(value: Any) -> Any:
    """The Python value of one of Arrow's; itself where it is beyond what Python has."""
    try:
        return value.as_py() if hasattr(value, "as_py") else value
    except (ValueError, OverflowError):
        return value.value  # beyond what a calendar has: a number, which no reader of times takes


def _value_of(column: Column) -> str:
    return f"a value of type {column.type}"


def _words(value: Any) -> str:
    """A value as people write it; a nested one only by its kind."""
    if isinstance(value, dict | list):
        return "a nested value"
    if isinstance(value, bool):
        return str(value).lower()
    return f"'{value.encode(errors='backslashreplace').decode()}'" if isinstance(value, str) else str(value)
