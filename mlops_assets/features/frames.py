"""Frames of other libraries as Arrow: rows, keys and times as a lookup needs them, and nothing cast that could lose."""

import sys
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import DefinitionError
from mlops_assets.lakehouse.exact import EXACT_IN_FLOATS, exactly
from mlops_assets.lakehouse.schema import ColumnType, arrow_type, is_number

if TYPE_CHECKING:
    import pyarrow as pa


def is_pandas(frame: Any) -> bool:
    """Whether a frame is pandas', without importing pandas."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(frame, pandas.DataFrame)


def arrow_rows(frame: Any) -> "pa.Table":
    """The rows of a pandas frame (without its index), or of anything that gives an Arrow stream, such as Polars.

    Raises:
        DefinitionError: It is neither, or pandas holds values in it that are of no one type.
    """
    import pyarrow as pa

    if is_pandas(frame):
        try:
            rows = pa.Table.from_pandas(frame, preserve_index=False)
        except (pa.ArrowException, ValueError, TypeError) as error:
            raise DefinitionError(
                f"a pandas frame that Arrow cannot hold ({error})",
                "columns of one type each, and of different names",
                "convert the column, for instance with astype",
            ) from None
        for name in frame.columns:
            if pa.types.is_timestamp(rows.schema.field(str(name)).type):
                _check_one_kind_of_times(str(name), frame[name])
        return rows.replace_schema_metadata(None)
    if not hasattr(frame, "__arrow_c_stream__"):
        raise DefinitionError(
            f"rows of type {type(frame).__name__}",
            "a table of Arrow, Polars or pandas",
            "make it a DataFrame first; a lazy one, collect()",
        )
    rows = pa.table(frame)
    twice = {name for name in rows.column_names if rows.column_names.count(name) > 1}
    if twice:
        raise DefinitionError(
            f"two columns named {', '.join(sorted(twice))}", "columns of different names", "rename one of them"
        )
    return rows


def _check_one_kind_of_times(name: str, values: Any) -> None:
    """See that a pandas column of objects does not mix times with a zone and without: Arrow would not say so."""
    if values.dtype != object:
        return
    zones = {value.tzinfo is None for value in values if hasattr(value, "tzinfo") and value == value}
    if len(zones) > 1:
        raise DefinitionError(
            f"times with a zone and without in column '{name}'",
            "one kind: without a zone all are UTC",
            "give each time a zone",
        )


def typed_values(name: str, values: "pa.ChunkedArray", type_: ColumnType, what: str = "column") -> "pa.ChunkedArray":
    """The values of a column in a type, where nothing can be lost by it, as `mlops_assets.lakehouse.exact` says.

    Other widths of whole numbers, floats without a fraction (pandas makes them of whole numbers and nulls), decimals,
    ones and zeros as booleans, categories, other kinds of text, midnights as dates, and nulls of any type are taken.
    Texts are left as they are, and none is read as a number or a time: a frame has types of its own.

    Raises:
        DefinitionError: The column has another type, or a value that the type does not hold.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    values = _decoded(values)
    found, expected = values.type, arrow_type(type_)
    if found == expected:
        return values
    if values.null_count == len(values):
        return _nulls(len(values), expected)
    number = pa.types.is_integer(found) or pa.types.is_floating(found)
    text = pa.types.is_string(found) or pa.types.is_large_string(found) or pa.types.is_string_view(found)
    temporal = pa.types.is_timestamp(found) or pa.types.is_date(found)
    lost = False
    try:
        if (pa.types.is_decimal(expected) and number) or (pa.types.is_decimal(found) and is_number(type_)):
            return exactly(values, type_)
        if type_ == "bigint" and pa.types.is_floating(found):
            largest = pc.max(pc.abs(values)).as_py()
            lost = largest is not None and not largest < EXACT_IN_FLOATS
        if not lost and ((type_ in ("bigint", "double") and number) or (type_ == "string" and text)):
            try:
                return values.cast(expected)
            except pa.ArrowInvalid:  # Arrow takes no whole number from 2^53 on as a double, not even an even one
                return exactly(values, type_)
        if type_ == "boolean" and pa.types.is_integer(found):
            return exactly(values, type_)
        if type_ in ("date", "timestamp") and temporal:
            if pa.types.is_timestamp(found) and found.unit == "ns":
                values = values.cast(pa.timestamp("us", found.tz))  # not where digits below them would be lost
            moments = moment_values(name, values)
            days = moments.cast(pa.date32(), safe=False)
            if type_ == "timestamp":
                return moments
            if pc.all(pc.equal(days.cast(moments.type), moments), min_count=0).as_py():
                return days
            lost = True
    except (pa.ArrowInvalid, TypeError, ValueError, OverflowError):
        lost = True
    raise DefinitionError(
        f"{what} '{name}' of type {found}" + (f" with a value that no {type_} holds" if lost else ""),
        f"type {type_}",
        "cast the column",
    )


def moment_values(name: str, values: "pa.ChunkedArray") -> "pa.ChunkedArray":
    """The values of a column as moments in UTC: a date is its first instant, a time without a zone is in UTC.

    Parts of a microsecond are left out, downwards, which changes no answer: no row of a table lies between.

    Raises:
        DefinitionError: The column holds neither dates nor times, or one too far away.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    values = _decoded(values)
    found = values.type
    if values.null_count == len(values):
        return _nulls(len(values), pa.timestamp("us", "UTC"))
    if not (pa.types.is_timestamp(found) or pa.types.is_date(found)):
        raise DefinitionError(
            f"column '{name}' of type {found} as a time",
            "dates, or times with a zone or in UTC",
            "convert it, for instance with pandas.to_datetime or polars' str.to_datetime",
        )
    try:
        if pa.types.is_timestamp(found) and found.unit == "ns":
            values = pc.floor_temporal(values.cast(pa.timestamp("ns", "UTC")), 1, "microsecond")
        elif pa.types.is_date(found):
            values = values.cast(pa.timestamp("us"))
        return values.cast(pa.timestamp("us", "UTC"))
    except pa.ArrowInvalid as error:
        raise DefinitionError(
            f"column '{name}' with a time too far away ({error})", "times that microseconds since 1970 hold",
            "correct the time",
        ) from None  # fmt: skip


def pandas_types(type_: "pa.DataType") -> Any:
    """What pandas holds an Arrow type as, so that a null stays one: Int64 and boolean; None for its own choice."""
    import pandas as pd
    import pyarrow as pa

    return {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}.get(type_)


def _nulls(count: int, type_: "pa.DataType") -> "pa.ChunkedArray":
    """A column without values has no type of its own that could be wrong."""
    import pyarrow as pa

    return pa.chunked_array([pa.nulls(count, type_)])


def _decoded(values: "pa.ChunkedArray") -> "pa.ChunkedArray":
    """Categories as the values that they stand for."""
    import pyarrow as pa

    if not pa.types.is_dictionary(values.type):
        return values
    kept = values.type.value_type
    taken = pa.string() if pa.types.is_string_view(kept) else kept  # Arrow cannot take from views
    return pa.chunked_array([chunk.dictionary.cast(taken).take(chunk.indices) for chunk in values.chunks], type=taken)
