"""What a table looks like: its key, its timestamp, its columns, and the columns that the lakehouse adds."""

import re
from collections.abc import Container, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Literal, cast, get_args

from mlops_assets.lakehouse.periods import Calendar

if TYPE_CHECKING:
    import pyarrow as pa

Family = Literal["string", "bigint", "double", "decimal", "boolean", "date", "timestamp"]
ColumnType = str
"""A logical type as `column_type` gives it: the name of a family, of decimals with their digits: ``decimal(12,2)``."""

ColumnKind = Literal["number", "category", "key", "time"]
NotFinite = Literal["refuse", "null"]
Sensitivity = Literal["public", "internal", "personal"]
"""Who may see a column, from the least sensitive to the most."""

STATE_COLUMNS = ("event_time", "known_at", "seq", "removed")
"""Columns that every state of a row carries beside the user's."""

RESERVED_COLUMNS = (*STATE_COLUMNS, "period", "anchor", "as_of")
"""Names that a user's column may not have, because the platform adds columns of these names."""

ALWAYS = datetime(1900, 1, 1, tzinfo=UTC)
"""The event_time and known_at of rows in static tables, which are taken as known always."""

STATIC_PERIOD = "static"
"""The period key of all rows of a static table."""


TYPES = "'string', 'bigint', 'double', 'boolean', 'date', 'timestamp' or 'decimal(p, s)'"
_DECIMAL = re.compile(r"\s*decimal\s*\(\s*([0-9]{1,2})\s*,\s*([0-9]{1,2})\s*\)\s*", re.IGNORECASE | re.ASCII)
MAX_DIGITS = 38
"""So many digits a decimal may have, in every engine and file."""


def column_type(text: str) -> ColumnType:
    """The one spelling of a type that somebody declared.

    Raises:
        ValueError: There is no such type.

    Example:
        >>> column_type("DECIMAL(12,2)")
        'decimal(12,2)'
    """
    if found := _DECIMAL.fullmatch(text):
        precision, scale = map(int, found.groups())
        if 1 <= precision <= MAX_DIGITS and scale <= precision:
            return f"decimal({precision},{scale})"
    elif text != "decimal" and text in get_args(Family):
        return text
    in_braces = ", between quotation marks where it stands in braces" if text.count("(") > text.count(")") else ""
    raise ValueError(
        f"Input should be {TYPES}, of 1 to {MAX_DIGITS} digits in all and s of them after the point: "
        f"decimal(12, 2){in_braces}"
    )


@cache
def family(type_: ColumnType) -> Family:
    """What a type is, whatever its digits."""
    return cast("Family", type_.partition("(")[0])


@cache
def digits(type_: ColumnType) -> tuple[int, int]:
    """Of a decimal, how many digits it has in all, and how many of them after the point."""
    precision, scale = type_.removeprefix("decimal(").removesuffix(")").split(",")
    return int(precision), int(scale)


def is_number(type_: ColumnType) -> bool:
    """Whether values of a type are numbers."""
    return family(type_) in ("bigint", "double", "decimal")


def greatest(levels: Iterable[Sensitivity]) -> Sensitivity:
    """The greatest of some sensitivities; ``internal`` where there is none.

    Example:
        >>> greatest(["public", "personal", "internal"])
        'personal'
    """
    return max(levels, key=get_args(Sensitivity).index, default="internal")


@dataclass(frozen=True)
class Column:
    """One column and its contract.

    Args:
        name: As in SQL.
        type: Logical type, the same in every engine. Timestamps are in UTC with microseconds.
        description: For people; shown in the user interface.
        kind: How models use it; `number` or `category`, or `key` and `time`, which they do not.
        nullable: Whether nulls are allowed.
        minimum: Smallest value allowed, or None.
        maximum: Largest value allowed, or None.
        allowed: The values allowed, or empty for all.
        owners: Who answers for it: e-mail addresses, or team:NAME.
        sensitivity: Who may see it: everybody, the organisation, or only who needs it, because it is about persons.
            As the most sensitive of what it is computed from, unless it was declared otherwise.
        sensitivity_reason: Why it was declared less sensitive than that; empty where it was not.
        not_finite: What becomes of a number that is not finite (NaN, infinity): a fault of its row, or a null.
        absent_as: What a lookup answers, unless it says otherwise, for a key that the table has no row of; None: null.
    """

    name: str
    type: ColumnType
    description: str = ""
    kind: ColumnKind = "number"
    nullable: bool = True
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    sensitivity: Sensitivity = "internal"
    sensitivity_reason: str = ""
    not_finite: NotFinite = "refuse"
    absent_as: object = None

    @property
    def required(self) -> bool:
        """Whether a null is refused, as it always is in a key or timestamp."""
        return not self.nullable or self.kind in ("key", "time")

    @property
    def is_personal(self) -> bool:
        """Whether its values are shown to nobody but who may see those of persons."""
        return self.sensitivity == "personal"


@dataclass(frozen=True)
class TableSchema:
    """Key, timestamp and columns of a table.

    Args:
        keys: Names of the columns that together name an entity; never null.
        timestamp: Name of the column whose value is the row's event_time; None for a static table.
        columns: All columns, keys and timestamp among them, in the order of storage.
        calendar: How the table is cut into periods.
    """

    keys: tuple[str, ...]
    timestamp: str | None
    columns: tuple[Column, ...]
    calendar: Calendar

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns, in the order of storage."""
        return tuple(column.name for column in self.columns)

    @property
    def identity(self) -> tuple[str, ...]:
        """The columns that tell one row from another: its keys, and its time where it has one."""
        return (*self.keys, *([self.timestamp] if self.timestamp else []))

    @property
    def value_names(self) -> tuple[str, ...]:
        """The names of the columns that are neither key nor timestamp."""
        fixed = self.identity
        return tuple(name for name in self.names if name not in fixed)

    def column(self, name: str) -> Column:
        """The column of a name; KeyError where there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    def narrowed(self, columns: Container[str]) -> "TableSchema":
        """The same of its key, its timestamp and some columns."""
        fixed = self.identity
        return replace(self, columns=tuple(one for one in self.columns if one.name in fixed or one.name in columns))

    def arrow(self) -> "pa.Schema":
        """The user's columns as an Arrow schema."""
        import pyarrow as pa

        return pa.schema([(column.name, arrow_type(column.type)) for column in self.columns])

    def stored(self) -> "pa.Schema":
        """The columns as stored: the user's, those of a state, and the period."""
        import pyarrow as pa

        moment = pa.timestamp("us", "UTC")
        return pa.schema(
            [
                *self.arrow(),
                ("event_time", moment),
                ("known_at", moment),
                ("seq", pa.int64()),
                ("removed", pa.bool_()),
                ("period", pa.string()),
            ]
        )


def type_of(stored: "pa.DataType") -> str:
    """The logical type that is stored as an Arrow type; its own name where there is none."""
    import pyarrow as pa

    if pa.types.is_decimal(stored):
        return f"decimal({stored.precision},{stored.scale})"
    plain = [type_ for type_ in get_args(Family) if type_ != "decimal"]
    return next((type_ for type_ in plain if arrow_type(type_) == stored), str(stored))


def arrow_type(type_: ColumnType) -> "pa.DataType":
    """The Arrow type that a logical type is stored as."""
    import pyarrow as pa

    if family(type_) == "decimal":
        return pa.decimal128(*digits(type_))
    return {
        "string": pa.string(),
        "bigint": pa.int64(),
        "double": pa.float64(),
        "boolean": pa.bool_(),
        "date": pa.date32(),
        "timestamp": pa.timestamp("us", "UTC"),
    }[type_]
