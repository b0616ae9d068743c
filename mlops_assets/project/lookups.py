"""What a lookup may say of a table: which features, under which names, by which key, with which defaults."""

import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from datetime import date, datetime, timedelta

from mlops_assets.errors import DefinitionError, none_of
from mlops_assets.lakehouse.exact import exact
from mlops_assets.lakehouse.periods import ONE_MICROSECOND, Calendar, Duration, in_utc
from mlops_assets.lakehouse.schema import Column, TableSchema, family
from mlops_assets.project.definition import TableDefinition
from mlops_assets.project.model_attributes import LookupDefinition

_LENGTHS = {"day": timedelta(days=1), "week": timedelta(days=7), "month": timedelta(days=31)}
WHOLE_NUMBERS = range(-(2**63), 2**63)
"""What a bigint holds."""


Located = Callable[..., AbstractContextManager[None]]
"""What gives an error that is raised inside its place, by the path of a field within the lookup."""


def checked_lookup(
    asked: LookupDefinition,
    table: TableDefinition,
    located: Located = lambda *_: nullcontext(),
    asked_by: Calendar | None = None,
) -> LookupDefinition:
    """A lookup with each name in it found in its table, and with defaults of the columns' types for all that have one.

    Args:
        asked: What is asked.
        table: The table.
        located: Where it was written.
        asked_by: As in `check_lookback`.

    Raises:
        DefinitionError: A column, name, default or lookback is not what the table has or allows.
    """
    schema = table.schema
    columns: dict[str, Column] = {}
    for position, name in enumerate(asked.columns):
        with located("columns", position):
            columns[name] = _feature(table, name)
    for field, names in (("rename", asked.rename), ("default", asked.default)):
        with located(field):
            _require_chosen(field, names, columns)
    default = {name: column.absent_as for name, column in columns.items() if column.absent_as is not None}
    for name, value in asked.default.items():
        with located("default", name):
            default[name] = typed_default(schema.column(name), value)
    with located("lookback"):
        check_lookback(table, columns.values(), asked.lookback, asked_by)
    return replace(asked, default=default)


def _feature(table: TableDefinition, name: str) -> Column:
    """The column of a table that a lookup may choose: any beside keys and timestamp."""
    schema = table.schema
    if name in schema.value_names:
        return schema.column(name)
    lacks = f"which is a key or the timestamp of '{table.name}'"
    found = f"column '{name}', " + (lacks if name in schema.names else f"which '{table.name}' does not have")
    raise none_of(found, name, schema.value_names, "correct the name, or add the column to the feature table")


def _require_chosen(what: str, names: Iterable[str], features: Collection[str]) -> None:
    for name in names:
        if name not in features:
            found = f"{what} of '{name}', which is not looked up here"
            raise none_of(found, name, features, "correct the name, or look the column up")


def typed_default(column: Column, value: object) -> object:
    """A default as a value of its column's type: a date is a timestamp's first instant, a whole number a double.

    Raises:
        DefinitionError: It has another type.
    """
    whole = isinstance(value, int) and not isinstance(value, bool)
    if isinstance(value, datetime):
        if column.type == "timestamp":
            return in_utc(value)
    elif isinstance(value, date):
        if column.type == "date":
            return value
        if column.type == "timestamp":
            return in_utc(datetime(value.year, value.month, value.day))  # noqa: DTZ001
    elif column.type == "double" and isinstance(value, int | float) and not isinstance(value, bool):
        if abs(value) <= sys.float_info.max:  # which NaN is not
            return float(value)
    elif family(column.type) == "decimal":
        with suppress(TypeError, ValueError):
            if (number := exact(value, column.type)) is not None:
                return number
    elif (
        (column.type == "bigint" and whole and value in WHOLE_NUMBERS)
        or (column.type == "string" and isinstance(value, str))
        or (column.type == "boolean" and isinstance(value, bool))
    ):
        return value
    raise DefinitionError(
        f"the default {value!r} of '{column.name}'", f"a value of type {column.type}", "correct the default"
    )


def check_lookback(
    table: TableDefinition, columns: Iterable[Column], lookback: Duration | None, asked_by: Calendar | None = None
) -> None:
    """See that a lookback hides no row that still holds, where 0 would then be answered.

    Args:
        table: The table.
        columns: The columns that are looked up.
        lookback: How old a row may be; None for any age.
        asked_by: The periods of the model that asks, which waits until the table's rows are known; None of rows of
            any time, which do not wait.

    Raises:
        DefinitionError: It may be shorter than a row of declared windows is the newest one that is known.
    """
    schema = table.schema
    if lookback is None or schema.timestamp is None or all(column.absent_as is None for column in columns):
        return
    of_a_date = schema.column(schema.timestamp).type == "date"
    least = timedelta(days=1) if of_a_date else ONE_MICROSECOND  # at the end of the row's own period
    if asked_by is None:
        least += _LENGTHS[schema.calendar.unit] + table.lag
    elif asked_by != schema.calendar:
        least = _LENGTHS[schema.calendar.unit]  # it waits for the next row, a whole day before that one's period ends
    if (lookback.rest or timedelta(days=28 * lookback.months)) < least:
        raise DefinitionError(
            f"a lookback of {lookback} in '{table.name}', whose newest row may be older and still hold",
            f"at least {-(-least // timedelta(days=1))} days, for so long it may be the newest one that is known",
            "leave lookback out: a row of windows holds until the next one",
        )


def check_lookup_key(
    table: str, schema: TableSchema, lookup_key: Sequence[str], columns: Mapping[str, str] | None = None
) -> None:
    """See that a lookup names one column for each key of its table.

    Args:
        table: The table looked up in.
        schema: Its schema.
        lookup_key: The columns named, in the order of the table's keys.
        columns: The columns there are, with their types; None where they are not known yet.

    Raises:
        DefinitionError: It does not, or a column is not there or of another type than the key.
    """
    if len(lookup_key) != len(schema.keys):
        raise DefinitionError(
            f"lookup_key {', '.join(lookup_key)} for '{table}'",
            f"one column for each key of the table: {', '.join(schema.keys)}",
            "name them in that order",
        )
    for key, name in zip(schema.keys, lookup_key, strict=True):
        if columns is None:
            continue
        if name not in columns:
            cure = f"add the column, or name another in lookup_key for the key '{key}'"
            raise none_of(f"no column '{name}' to look '{table}' up by", name, columns, cure)
        if columns[name] != schema.column(key).type:
            raise DefinitionError(
                f"column '{name}' of type {columns[name]} to look '{table}' up by",
                f"type {schema.column(key).type}, as its key '{key}' has",
                "cast the column, or name another in lookup_key",
            )
