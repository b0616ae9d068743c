"""What fields of the YAML hold, beside plain texts and numbers: each type reads what a user wrote into its value."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, ValidationInfo

from mlops_assets.errors import DefinitionError, PlatformError
from mlops_assets.lakehouse.periods import Duration
from mlops_assets.lakehouse.schema import RESERVED_COLUMNS, TYPES, column_type
from mlops_assets.project.names import Name

MIN_YEAR, MAX_YEAR = "1700", "2200"
"""Moments in nanoseconds, of which pandas and others count, name few years more, and lags and horizons lie around."""

Value = TypeVar("Value")


@contextmanager
def _told() -> Iterator[None]:
    """Let an error of ours through pydantic, which tells where it stands; the document gives it back its words."""
    try:
        yield
    except PlatformError as error:
        raise ValueError(str(error)) from error


def _read_by(read: Callable[[str], Value]) -> PlainValidator:
    """What makes a value of a text."""

    def value_of(text: object) -> Value:
        if not isinstance(text, str):
            raise ValueError("Input should be a valid string")
        with _told():
            return read(text)

    return PlainValidator(value_of, json_schema_input_type=str)


def _fixed_length(text: str) -> timedelta:
    duration = Duration.parse(text)
    if duration.months:
        expected = "hours, days or weeks: months have no fixed length"
        raise DefinitionError(f"'{text}'", expected, f"write, say, '{duration.months * 30} days'")
    return duration.rest


def interval(field: str, why: str, example: str) -> PlainValidator:
    """What reads a fixed length of time above zero.

    Args:
        field: The field.
        why: Why it may not be zero, in words.
        example: A length that it may be.
    """

    def read(text: str) -> timedelta:
        length = _fixed_length(text)
        if not length:
            raise DefinitionError(f"{field} of '{text}'", f"at least 1 hours: {why}", f"write, say, '{example}'")
        return length

    return _read_by(read)


def _lookback(text: str) -> Duration:
    lookback = Duration.parse(text)
    if lookback == Duration():
        raise DefinitionError(f"a lookback of '{text}'", "a length of time", "leave it out for ever, or write '1 day'")
    return lookback


def _free_name(name: str) -> str:
    with _told():
        if name.lower() in RESERVED_COLUMNS:
            expected = f"any name but {', '.join(RESERVED_COLUMNS)}, which the platform adds"
            raise DefinitionError(f"a feature named '{name}'", expected, "choose another name")
    return name


@dataclass(frozen=True)
class Window:
    """How far back a window reaches.

    Args:
        length: Its length, above zero.
        words: The same as it was written, such as ``7 days``, which its columns are named after.
    """

    length: Duration
    words: str


def _window(text: str) -> Window:
    length = Duration.parse(text)
    if length == Duration():
        raise DefinitionError(f"a window of '{text}'", "a length above zero", "write, say, '7 days'")
    number, unit = re.findall(r"\d+|[a-z]+", text)
    return Window(length, f"{int(number)} {unit.removesuffix('s')}{'' if int(number) == 1 else 's'}")


@dataclass(frozen=True)
class Quantity:
    """A number with a unit.

    Args:
        text: As written.
        size: In the unit that counts 1; greater than 0.
    """

    text: str
    size: float

    def __str__(self) -> str:
        return self.text


def _quantity(units: Mapping[str, float], example: str, text: str) -> Quantity:
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([A-Za-z]+)", text.strip())
    size = float(match[1]) * units.get(match[2], 0) if match else 0
    if size <= 0:
        expected = f"a number greater than 0 and one of: {', '.join(units)}"
        raise DefinitionError(f"'{text}'", expected, f"write it as {example}")
    return Quantity(text, size)


def _text_of_date(value: Any) -> Any:
    """YAML reads 2024-01-31 without quotes as a date; a period's key is text."""
    return value.isoformat() if isinstance(value, date) else value


def _within_years(key: str, info: ValidationInfo) -> str:
    with _told():
        if key[:4].isdigit() and not MIN_YEAR <= key[:4] <= MAX_YEAR:
            cure = "correct it; of a table that goes on, leave last_period out"
            raise DefinitionError(f"{info.field_name} {key}", f"a period from {MIN_YEAR} to {MAX_YEAR}", cure)
    return key


def _share_of_percentage(value: Any) -> Any:
    """10% is the share 0.1."""
    number, sign, rest = value.partition("%") if isinstance(value, str) else (value, "", "")
    return float(number) / 100 if sign and not rest and number.strip().replace(".", "", 1).isdigit() else value


DeclaredType = Annotated[
    str,
    AfterValidator(column_type),
    Field(description=f"Logical type, the same in every engine: {TYPES}; timestamps are in UTC."),
]

FiniteNumber = Annotated[float, Field(allow_inf_nan=False)]
_WrittenShare = float | Annotated[str, Field(pattern=r"^\s*\d+(\.\d*)?\s*%$")]
"""What editors and dg take for a share."""

Share = Annotated[float, BeforeValidator(_share_of_percentage, json_schema_input_type=_WrittenShare)]
"""A share: 0.1, or 10%."""


def _no_columns(value: Any) -> Any:
    with _told():
        if isinstance(value, list):
            columns = ", ".join(map(str, value))
            cure = f"write, say, not_worse_than: champion, by: 10%, segments: [{columns}]"
            raise DefinitionError(f"by: [{columns}]", "a share, such as 10%; columns stand in segments", cure)
    return value


ShareOfFigure = Annotated[Share, BeforeValidator(_no_columns, json_schema_input_type=_WrittenShare)]
"""A share of the figure that is compared with; in earlier releases columns stood in its place."""

Length = Annotated[Duration, _read_by(Duration.parse)]
"""A length of time: 7 days, which is the same definition as 1 week."""

FixedLength = Annotated[timedelta, _read_by(_fixed_length)]
"""A length of time in hours, days or weeks."""


def by_default(length: str) -> Any:
    """Tells editors a default as a user writes it."""
    return Field(json_schema_extra={"default": length})


WindowLength = Annotated[Window, _read_by(_window)]
Lookback = Annotated[Duration, _read_by(_lookback)]
FileSize = Annotated[Quantity, _read_by(partial(_quantity, {"KB": 1e3, "MB": 1e6, "GB": 1e9}, "20 MB"))]
"""Of a file, in bytes."""

ShortTime = Annotated[Quantity, _read_by(partial(_quantity, {"ms": 1e-3, "s": 1.0}, "5 ms"))]
"""In seconds."""

FeatureName = Annotated[Name, AfterValidator(_free_name)]
"""What a model may call a feature or a column of its requests."""

PeriodKey = Annotated[str, BeforeValidator(_text_of_date), AfterValidator(_within_years)]
