"""The one table of what a value becomes in a declared type: exactly that, or nothing.

| type | what is taken |
|---|---|
| string | a text; spaces around it do not count, and an empty one is null |
| bigint | a whole number of 64 bits; a decimal without a fraction, and a double without one below 2^53 |
| double | a finite number that a double holds exactly |
| boolean | true and false; the whole numbers 1 and 0 |
| date | a date; a time at midnight (UTC); a text of either |
| timestamp | a time or a date; a text of either; without an offset in UTC, digits below a microsecond all zero |

Every entrance asks it: files of each format, databases, what is pushed, and frames of notebooks.
"""

import math
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from mlops_assets.lakehouse.periods import in_utc, parse_moment
from mlops_assets.lakehouse.schema import ColumnType

if TYPE_CHECKING:
    import pyarrow as pa

EXACT_IN_FLOATS = 2**53
"""Whole numbers of this size and more are not all told apart by a float."""


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
    if isinstance(value, float | Decimal) and not math.isfinite(value):
        raise NotFiniteError
    return _READERS[type_](value)


def finite(values: "pa.ChunkedArray") -> "pa.ChunkedArray":
    """Values with null in place of numbers that are not finite, as all have them that are computed."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.if_else(pc.is_finite(values), values, None) if pa.types.is_floating(values.type) else values


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


_READERS: Mapping[ColumnType, Callable[[Any], Any]] = {
    "string": _string,
    "bigint": _bigint,
    "double": _double,
    "boolean": _boolean,
    "date": _date,
    "timestamp": _timestamp,
}
