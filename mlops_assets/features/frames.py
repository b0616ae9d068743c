"""Frames of other libraries as Arrow: rows, keys and times as a lookup needs them, and nothing cast that could lose."""

import sys
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import DefinitionError
from mlops_assets.lakehouse.exact import decoded, exactly, is_accepted
from mlops_assets.lakehouse.schema import ColumnType

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

    Floats without a fraction are whole numbers (pandas makes them of whole numbers and nulls), and categories are what
    they stand for.

    Raises:
        DefinitionError: The column has another type, or a value that the type does not hold.
    """
    values, lost = decoded(values), ""
    if is_accepted(values, type_):
        try:
            return exactly(values, type_)
        except ValueError as error:
            lost = f" with {error}"
    raise DefinitionError(f"{what} '{name}' of type {values.type}{lost}", f"type {type_}", "cast the column")


def moment_values(name: str, values: "pa.ChunkedArray") -> "pa.ChunkedArray":
    """The values of a column as moments in UTC: a date is its first instant, a time without a zone is in UTC.

    Parts of a microsecond are left out, downwards, which changes no answer: no row of a table lies between.

    Raises:
        DefinitionError: The column holds neither dates nor times, or one too far away.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    values = decoded(values)
    if not is_accepted(values, "timestamp"):
        raise DefinitionError(
            f"column '{name}' of type {values.type} as a time",
            "dates, or times with a zone or in UTC",
            "convert it, for instance with pandas.to_datetime or polars' str.to_datetime",
        )
    if pa.types.is_timestamp(values.type) and values.type.unit == "ns":
        values = pc.floor_temporal(values.cast(pa.timestamp("ns", "UTC")), 1, "microsecond")
    try:
        return exactly(values, "timestamp")
    except ValueError as error:
        raise DefinitionError(
            f"column '{name}' with a time too far away ({error})", "times that microseconds since 1970 hold",
            "correct the time",
        ) from None  # fmt: skip


def pandas_types(type_: "pa.DataType") -> Any:
    """What pandas holds an Arrow type as, so that a null stays one: Int64 and boolean; None for its own choice."""
    import pandas as pd
    import pyarrow as pa

    return {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}.get(type_)
