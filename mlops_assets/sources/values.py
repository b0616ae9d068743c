"""Values of a delivery as values of the declared types: exactly, or not at all.

In every format spaces around a text do not count and an empty text is null; numbers are finite; a time may be written
as text, and without an offset it is UTC. A narrower type is widened. Of a wider one each value must fit exactly: a
whole number into a double, a decimal into either number, midnight (UTC) into a date.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import PlatformError
from mlops_assets.lakehouse.masking import told
from mlops_assets.lakehouse.periods import in_utc, parse_moment
from mlops_assets.lakehouse.schema import Column, arrow_type

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
    import pyarrow as pa
    import pyarrow.compute as pc

    if column.type in ("date", "timestamp"):
        return from_python(texts.to_pylist(), column)
    trimmed = _trimmed(texts)
    try:
        values = pc.cast(trimmed, arrow_type(column.type))
    except pa.ArrowInvalid:
        values = None
    if values is not None and _usable(values, column):
        return values.combine_chunks(), []
    return _one_by_one(texts.to_pylist(), column, lambda text: _cast(text.strip(), column))


def from_arrow(values: "pa.ChunkedArray", column: Column) -> Read:
    """Values from those of a typed file."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if pa.types.is_timestamp(values.type) and values.type.tz is None:
        values = pc.assume_timezone(values, "UTC")
    if pa.types.is_null(values.type):
        return pa.nulls(len(values), arrow_type(column.type)), []
    if _widens(values.type, column):
        try:
            cast = values.cast(arrow_type(column.type))
        except pa.ArrowInvalid:
            cast = None  # some value does not fit: it is looked for below
        if cast is not None and column.type == "string":
            return _trimmed(cast).combine_chunks(), []
        if cast is not None and _usable(cast, column):
            return cast.combine_chunks(), []
    return from_python([plain(value) for value in values], column)


def from_python(values: Sequence[Any], column: Column) -> Read:
    """Values from plain ones, such as those of JSON; one that is nested is wrong."""
    return _one_by_one(values, column, _READERS[column.type])


def _one_by_one(values: Sequence[Any], column: Column, read: Callable[[Any], Any]) -> Read:
    import pyarrow as pa

    result, wrong = [], []
    for row, value in enumerate(values, start=1):
        try:
            result.append(None if value is None else read(value))
            continue
        except (TypeError, ValueError, OverflowError):
            expected = _value_of(column)
        except PlatformError as error:
            expected = f"{_value_of(column)}: {error.expected}; no offset means UTC, and no zone has a name"
        result.append(None)
        wrong.append(WrongValue(column.name, row, str(told(column, _words(value))), expected))
    return pa.array(result, arrow_type(column.type)), wrong


def _widens(given: "pa.DataType", column: Column) -> bool:
    """Whether a type goes into the declared one, if no single value speaks against it."""
    from pyarrow import types

    ways: Mapping[str, Sequence[Callable[[Any], bool]]] = {
        "string": (types.is_string, types.is_large_string, types.is_string_view),
        "bigint": (types.is_integer,),
        "double": (types.is_floating, types.is_integer),
        "boolean": (types.is_boolean,),
        "date": (types.is_date,),
        "timestamp": (types.is_timestamp, types.is_date),
    }
    return any(is_one(given) for is_one in ways[column.type])


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


def _cast(text: str, column: Column) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    if not text:
        return None
    value = pc.cast(pa.scalar(text), arrow_type(column.type)).as_py()
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError
    return value


def plain(value: Any) -> Any:
    """The Python value of one of Arrow's; itself where it is beyond what Python has."""
    try:
        return value.as_py() if hasattr(value, "as_py") else value
    except (ValueError, OverflowError):
        return value.value  # beyond what a calendar has: a number, which no reader of times takes


def _string(value: Any) -> str | None:
    text: str = _only(value, str).strip()
    text.encode()  # half a character, which JSON can name, is no text
    return text or None


def _bigint(value: Any) -> int:
    number = int(value) if isinstance(value, Decimal) and value == value.to_integral_value() else _only(value, int)
    if not -(2**63) <= number < 2**63:
        raise OverflowError
    return number


def _double(value: Any) -> float:
    number = float(value if isinstance(value, int | Decimal) and not isinstance(value, bool) else _only(value, float))
    exact = Decimal(repr(number)) == value if isinstance(value, Decimal) else number == value
    if not exact or not math.isfinite(number):
        raise ValueError
    return number


def _timestamp(value: Any) -> datetime | None:
    if isinstance(value, str):
        return parse_moment(value) if value.strip() else None
    if not isinstance(value, date) or getattr(value, "nanosecond", False):
        raise TypeError
    return in_utc(value) if isinstance(value, datetime) else datetime.combine(value, time(), UTC)


def _date(value: Any) -> date | None:
    moment = _timestamp(value)
    if moment is None:
        return None
    if moment.time() != time():
        raise ValueError
    return moment.date()


def _only(value: Any, type_: type) -> Any:
    if type(value) is not type_:
        raise TypeError
    return value


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "string": _string,
    "bigint": _bigint,
    "double": _double,
    "boolean": lambda value: _only(value, bool),
    "date": _date,
    "timestamp": _timestamp,
}


def _value_of(column: Column) -> str:
    return f"a value of type {column.type}"


def _words(value: Any) -> str:
    """A value as people write it; a nested one only by its kind."""
    if isinstance(value, dict | list):
        return "a nested value"
    if isinstance(value, bool):
        return str(value).lower()
    return f"'{value.encode(errors='backslashreplace').decode()}'" if isinstance(value, str) else str(value)
