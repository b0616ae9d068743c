"""Values as JSON has them, and as the platform does: strict on the way in, exact on the way out.

| type | in JSON |
|---|---|
| string, boolean | the same |
| bigint | a whole number, exact at any size; taken also as a text of digits, for programs whose numbers are doubles |
| double | a number; one that is not finite is given as null |
| decimal(p, s) | a number with exactly its digits, s of them after the point; taken also as a text of it |
| date | a text such as `2024-01-31` |
| timestamp | a text such as `2024-01-31T06:00:00Z`; without a zone it is in UTC, a date is its first instant |
"""

import json
import math
import re
import secrets
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from typing import Any

from mlops_assets.lakehouse.exact import exact
from mlops_assets.lakehouse.periods import in_utc
from mlops_assets.lakehouse.schema import ColumnType, Family, digits, family
from mlops_assets.project.lookups import WHOLE_NUMBERS

_WHOLE = re.compile(r"-?[0-9]{1,19}")
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,6}0*)?)?(Z|[+-]\d\d:\d\d)?", re.ASCII)


class NotOfTypeError(ValueError):
    """A value is not of the type that it should be of; its text says what is expected."""


def _string(value: object) -> str:
    if isinstance(value, str):
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise NotOfTypeError("text of whole characters") from None
        return value
    raise NotOfTypeError("a text")


def _bigint(value: object) -> int:
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        value = int(value)
    if type(value) is int and value in WHOLE_NUMBERS:
        return value
    raise NotOfTypeError("a whole number of 64 bits")


def _double(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return number
    raise NotOfTypeError("a finite number")


def _boolean(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise NotOfTypeError("true or false")


def _date(value: object) -> date:
    if isinstance(value, str) and _DATE.fullmatch(value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise NotOfTypeError("a date such as 2024-01-31")


def _timestamp(value: object) -> datetime:
    if isinstance(value, str) and (_TIME.fullmatch(value) or _DATE.fullmatch(value)):
        try:
            return in_utc(datetime.fromisoformat(value))
        except (ValueError, OverflowError):
            pass
    raise NotOfTypeError("a time such as 2024-01-31T06:00:00Z")


def _decimal(value: object, type_: ColumnType) -> object:
    try:
        if (number := exact(value, type_)) is not None:
            return number
    except (TypeError, ValueError):
        pass
    precision, scale = digits(type_)
    raise NotOfTypeError(f"a number of at most {precision} digits, {scale} of them after the point")


_FROM_JSON: dict[Family, Callable[[object], object]] = {
    "string": _string,
    "bigint": _bigint,
    "double": _double,
    "boolean": _boolean,
    "date": _date,
    "timestamp": _timestamp,
}


def reader_of(type_: ColumnType) -> Callable[[object], object]:
    """What reads a value of a type that is not null; raises `NotOfTypeError`."""
    return partial(_decimal, type_=type_) if family(type_) == "decimal" else _FROM_JSON[family(type_)]


def from_text(type_: ColumnType, text: str) -> object:
    """Read a value from the text of a query parameter.

    Raises:
        NotOfTypeError: It is no such value.
    """
    value: object = text
    if type_ == "boolean":
        value = {"true": True, "false": False}.get(text, text)
    elif type_ == "double":
        try:
            value = float(text)
        except ValueError:
            value = text
    return reader_of(type_)(value)


def moment(value: datetime) -> str:
    """A moment in UTC as text."""
    return value.astimezone(UTC).isoformat().removesuffix("+00:00") + "Z"


def _not_json(value: object) -> str:
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return f"{_MARK}{value:f}"
    raise TypeError(f"{type(value).__name__} has no form in JSON")


_MARK = secrets.token_hex()
"""Tells the digits of a decimal, which the encoder takes only as a text, from any text that somebody could send."""
_MARKED = re.compile(f'"{_MARK}([^"]*)"')
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_not_json)


def to_json(content: Any) -> bytes:
    """Content as JSON, with numbers that are not finite as null; half a character stays an escape."""
    try:
        text = _ENCODER.encode(content)
    except ValueError:
        text = _ENCODER.encode(_finite(content))
    if _MARK in text:
        text = _MARKED.sub(r"\1", text)
    return text.encode(errors="backslashreplace")


def _finite(content: Any) -> Any:
    if isinstance(content, float):
        return content if math.isfinite(content) else None
    if isinstance(content, dict):
        return {name: _finite(value) for name, value in content.items()}
    return [_finite(value) for value in content] if isinstance(content, list) else content
