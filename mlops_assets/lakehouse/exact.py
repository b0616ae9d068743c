"""The one table of what a value becomes in a declared type: exactly that, or nothing.

| type | what is taken |
|---|---|
| string | a text; spaces around it do not count, and an empty one is null |
| bigint | a whole number of 64 bits; a decimal without a fraction, and a double without one below 2^53 |
| double | a finite number that a double holds exactly |
| decimal(p, s) | a number that p digits hold, s of them after the point, or a text of it; a double where 15 digits do |
| boolean | true and false; the whole numbers 1 and 0 |
| date | a date; a time at midnight (UTC); a text of either |
| timestamp | a time or a date; a text of either; without an offset in UTC, digits below a microsecond all zero |

A double stands for its shortest text: of 15 digits each has a double of its own. A number of JSON is a text.

Every entrance asks it: files of each format, databases, what is pushed, and frames of notebooks.
"""

import math
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, date, datetime, time
from decimal import Context, Decimal, DecimalException, Inexact, InvalidOperation
from functools import cache
from typing import TYPE_CHECKING, Any

from mlops_assets.lakehouse.periods import in_utc, parse_moment
from mlops_assets.lakehouse.schema import ColumnType, Family, arrow_type, digits, family

if TYPE_CHECKING:
    import pyarrow as pa

EXACT_IN_FLOATS = 2**53
"""Whole numbers of this size and more are not all told apart by a float."""


_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


class WrittenNumber(float):
    """A number of JSON that is no whole one, with its digits as they are written; as ``parse_float``."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> "WrittenNumber":
        """The nearest double, as JSON is read elsewhere."""
        number = super().__new__(cls, text)
        number.text = text
        return number

    def __str__(self) -> str:
        return self.text


class NotFiniteError(ValueError):
    """A number is not finite."""


def exact(value: Any, type_: ColumnType) -> Any:
    """A value in a type; None where it is empty.

    Raises:
        NotFiniteError: A number is not finite.
        TypeError: It is of another type, or does not fit.
        ValueError: Likewise.
        OverflowError: Likewise.
        DefinitionError: A text is no time.

    Example:
        >>> exact(5.0, "bigint"), exact(" a ", "string"), exact(1, "boolean")
        (5, 'a', True)
    """
    kind = family(type_)
    if isinstance(value, WrittenNumber):
        value = value.text if kind == "decimal" else float(value)
    if isinstance(value, float | Decimal) and not math.isfinite(value):
        raise NotFiniteError
    return _decimal(value, *digits(type_)) if kind == "decimal" else _READERS[kind](value)


def finite(values: "pa.ChunkedArray") -> "pa.ChunkedArray":
    """Values with null in place of numbers that are not finite, as all have them that are computed."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.if_else(pc.is_finite(values), values, None) if pa.types.is_floating(values.type) else values


def doubles(values: "pa.ChunkedArray") -> "pa.ChunkedArray":
    """Numbers or booleans as the nearest doubles; Arrow's own cast of decimals may give the one beside it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_decimal(values.type):
        values = pc.cast(values, pa.string())
    return pc.cast(values, pa.float64(), safe=False)


def is_accepted(values: "pa.ChunkedArray", type_: ColumnType) -> bool:
    """Whether a column, once `decoded`, may be taken as a type, unless a single value speaks against it.

    Other widths of numbers, decimals, ones and zeros as booleans, other kinds of text, midnights as dates, and nulls of
    any type are. Texts are left as they are, and none is read as a number or a time: a frame has types of its own.
    """
    from pyarrow import types

    numbers, times = (types.is_integer, types.is_floating, types.is_decimal), (types.is_timestamp, types.is_date)
    accepted: Mapping[Family, tuple[Callable[[Any], bool], ...]] = {
        "string": (types.is_string, types.is_large_string, types.is_string_view),
        "bigint": numbers,
        "double": numbers,
        "decimal": numbers,
        "boolean": (types.is_boolean, types.is_integer),
        "date": times,
        "timestamp": times,
    }
    return values.null_count == len(values) or any(is_one(values.type) for is_one in accepted[family(type_)])


def exactly(values: "pa.ChunkedArray", type_: ColumnType) -> "pa.ChunkedArray":
    """The values of an accepted column in its type: all at once where nothing can be bent, else one by one by `exact`.

    Raises:
        ValueError: The type does not hold one of them.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    found, wanted = values.type, arrow_type(type_)
    try:
        if values.null_count == len(values):  # a column without values has no type of its own that could be wrong
            return pa.chunked_array([pa.nulls(len(values), wanted)])
        if pa.types.is_temporal(found):
            moments = values.cast(pa.timestamp("us")) if pa.types.is_date(found) else values
            moments = moments.cast(pa.timestamp("us", "UTC"))
            kept = moments.cast(wanted, safe=False)
            if not pc.all(pc.equal(kept.cast(moments.type), moments), min_count=0).as_py():
                raise ValueError
            return kept
        if pa.types.is_floating(found) and type_ == "bigint":
            bent = not pc.max(pc.abs(values)).as_py() < EXACT_IN_FLOATS
        else:
            bent = pa.types.is_decimal(found) != pa.types.is_decimal(wanted) or pa.types.is_boolean(wanted)
        if found == wanted or not bent:
            # Arrow takes no whole number from 2^53 on as a double, not even an even one.
            with suppress(pa.ArrowInvalid):
                return values.cast(wanted)
        taken = [None if value is None else exact(value, type_) for value in values.to_pylist()]
        return pa.chunked_array([pa.array(taken, wanted)])
    except (pa.ArrowInvalid, TypeError, ValueError, OverflowError):
        raise ValueError(f"a value that no {type_} holds") from None


def decoded(values: "pa.ChunkedArray") -> "pa.ChunkedArray":
    """Categories as the values that they stand for; others as they are."""
    import pyarrow as pa

    if not pa.types.is_dictionary(values.type):
        return values
    kept = values.type.value_type
    taken = pa.string() if pa.types.is_string_view(kept) else kept  # Arrow cannot take from views
    return pa.chunked_array([chunk.dictionary.cast(taken).take(chunk.indices) for chunk in values.chunks], type=taken)


def object_of_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object from its names and values, as ``object_pairs_hook``.

    Raises:
        ValueError: It has a name twice: nobody knows which of the two values was meant.
    """
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("a name twice in one object")
    return values


def _string(value: Any) -> str | None:
    text: str = _only(value, str).strip()
    text.encode()  # half a character, which JSON can name, is no text
    return text or None


def _bigint(value: Any) -> int:
    if (isinstance(value, Decimal) and value == value.to_integral_value()) or (
        isinstance(value, float) and value.is_integer() and abs(value) < EXACT_IN_FLOATS
    ):
        value = int(value)
    if not -(2**63) <= _only(value, int) < 2**63:
        raise OverflowError
    return int(value)


def _double(value: Any) -> float:
    number = float(value if isinstance(value, int | Decimal) and not isinstance(value, bool) else _only(value, float))
    fits = Decimal(repr(number)) == value if isinstance(value, Decimal) else number == value
    if not fits or not math.isfinite(number):
        raise ValueError
    return number


def _decimal(value: Any, precision: int, scale: int) -> Decimal | None:
    if isinstance(value, str):
        if not (value := value.strip()):
            return None
        if not _NUMBER.fullmatch(value):
            raise ValueError
    elif isinstance(value, float):
        value, precision = repr(value), min(precision, sys.float_info.dig)
    elif not isinstance(value, int | Decimal) or isinstance(value, bool):
        raise TypeError
    try:
        kept = Decimal(value).quantize(Decimal((0, (1,), -scale)), context=_only_exactly(precision))
    except DecimalException:
        raise ValueError from None
    return kept or abs(kept)  # one form of zero


@cache
def _only_exactly(precision: int) -> Context:
    return Context(precision, traps=[Inexact, InvalidOperation])


def _boolean(value: Any) -> bool:
    return bool(value) if type(value) is int and value in (0, 1) else bool(_only(value, bool))


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


_READERS: Mapping[Family, Callable[[Any], Any]] = {
    "string": _string,
    "bigint": _bigint,
    "double": _double,
    "boolean": _boolean,
    "date": _date,
    "timestamp": _timestamp,
}
