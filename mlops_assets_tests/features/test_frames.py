"""Frames of pandas, Polars and Arrow: keys and times come over exactly, or are refused."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.errors import DefinitionError
from mlops_assets.features.frames import arrow_rows, moment_values, typed_values
from mlops_assets.lakehouse.schema import ColumnType

NOON = datetime(2024, 3, 1, 12)  # noqa: DTZ001


def column(values: Any, type_: Any = None) -> Any:
    import pyarrow as pa

    return pa.chunked_array([pa.array(values, type_)])


@given(numbers=st.lists(st.none() | st.integers(-(2**31), 2**31 - 1)))
def test_whole_numbers_of_any_frame_are_the_same_keys(numbers: list[int | None]) -> None:
    import pandas as pd  # noqa: TID253
    import polars as pl

    frames = [
        pd.DataFrame({"key": pd.Series(numbers, dtype="float64")}),  # what pandas makes of whole numbers and nulls
        pd.DataFrame({"key": pd.array(numbers, dtype="Int32")}),
        pl.DataFrame({"key": pl.Series(numbers, dtype=pl.Int32)}),
        pl.DataFrame({"key": pl.Series(numbers, dtype=pl.Int64)}),
    ]
    for frame in frames:
        assert typed_values("key", arrow_rows(frame)["key"], "bigint").to_pylist() == numbers


@given(texts=st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"])), min_size=1))
def test_texts_and_categories_of_any_frame_are_the_same_keys(texts: list[str | None]) -> None:
    import pandas as pd  # noqa: TID253
    import polars as pl
    import pyarrow as pa

    frames = [
        pd.DataFrame({"key": pd.Series(texts, dtype=object)}),
        pd.DataFrame({"key": pd.Series(texts, dtype="category")}),
        pl.DataFrame({"key": pl.Series(texts, dtype=pl.String)}),
        pl.DataFrame({"key": pl.Series(texts, dtype=pl.Categorical)}),
        pa.table({"key": pa.array(texts, pa.large_string())}),
    ]
    for frame in frames:
        keys = typed_values("key", arrow_rows(frame)["key"], "string")
        assert keys.type == pa.string()
        assert keys.to_pylist() == texts


@pytest.mark.parametrize(
    ("values", "type_", "key"),
    [
        ([1.5], "double", "bigint"),
        ([float(2**53)], "double", "bigint"),
        ([float("nan")], "double", "bigint"),
        ([2**63], "uint64", "bigint"),
        ([2**53 + 1], "int64", "double"),
        ([NOON], "timestamp[us]", "date"),
        (["1"], "string", "bigint"),
        ([1], "int64", "string"),
        ([True], "bool", "bigint"),
        ([2], "int64", "boolean"),
        ([1.0], "double", "boolean"),
        (["2024-03-01"], "string", "date"),
    ],
)
def test_a_key_that_would_lose_something_is_refused(values: list[Any], type_: str, key: ColumnType) -> None:
    import pyarrow as pa

    keys = column(values, pa.timestamp("us") if type_ == "timestamp[us]" else pa.type_for_alias(type_))
    with pytest.raises(DefinitionError) as refused:
        typed_values("key", keys, key)
    assert refused.value.found.startswith(f"column 'key' of type {keys.type}")
    assert refused.value.expected == f"type {key}"


def test_a_value_that_has_digits_below_a_microsecond_is_refused_and_zeros_are_none() -> None:
    import pyarrow as pa

    whole = column([1_000], pa.timestamp("ns"))
    assert typed_values("at", whole, "timestamp").cast(pa.int64()).to_pylist() == [1]
    for type_ in ("timestamp", "date"):
        with pytest.raises(DefinitionError, match=f"with a value that no {type_} holds"):
            typed_values("at", column([1_001], pa.timestamp("ns")), type_)


def test_decimals_are_numbers_and_ones_and_zeros_booleans_where_they_fit() -> None:
    import pyarrow as pa

    decimals = pa.decimal128(10, 2)
    assert typed_values("price", column([Decimal("0.10"), None], decimals), "double").to_pylist() == [0.1, None]
    assert typed_values("units", column([Decimal("12.00")], decimals), "bigint").to_pylist() == [12]
    assert typed_values("open", column([1, 0, None]), "boolean").to_pylist() == [True, False, None]
    with pytest.raises(DefinitionError, match="with a value that no bigint holds"):
        typed_values("units", column([Decimal("1.50")], decimals), "bigint")


def test_midnights_are_dates_and_dates_are_midnights() -> None:
    midnight = column([datetime(2024, 3, 1), None])  # noqa: DTZ001
    assert typed_values("day", midnight, "date").to_pylist() == [date(2024, 3, 1), None]
    days = column([date(2024, 3, 1), None])
    assert typed_values("day", days, "timestamp").to_pylist() == [datetime(2024, 3, 1, tzinfo=UTC), None]


@given(
    moments=st.lists(st.none() | st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1))),  # noqa: DTZ001
    hours=st.integers(-11, 13),
)
def test_times_of_any_frame_are_the_same_moments(moments: list[datetime | None], hours: int) -> None:
    import pandas as pd  # noqa: TID253
    import polars as pl

    zone = timezone(timedelta(hours=hours))
    zoned = [moment and moment.replace(tzinfo=UTC).astimezone(zone) for moment in moments]
    frames = [
        pl.DataFrame({"at": pl.Series(moments, dtype=pl.Datetime("us"))}),
        pl.DataFrame({"at": pl.Series(moments, dtype=pl.Datetime("ns"))}),
        pl.DataFrame({"at": pl.Series(moments, dtype=pl.Datetime("us"))}).select(
            pl.col("at").dt.replace_time_zone("UTC").dt.convert_time_zone("Asia/Tokyo")
        ),
        pd.DataFrame({"at": pd.Series(moments, dtype="datetime64[ns]")}),
        pd.DataFrame({"at": pd.Series(zoned, dtype=object)}),
    ]
    expected = [moment and moment.replace(tzinfo=UTC) for moment in moments]
    for frame in frames:
        assert moment_values("at", arrow_rows(frame)["at"]).to_pylist() == expected


def test_a_part_of_a_microsecond_is_left_out_downwards_before_1970_too() -> None:
    import pyarrow as pa

    found = moment_values("at", column([-1, 1], pa.timestamp("ns")))
    assert found.cast(pa.int64()).to_pylist() == [-1, 0]


def test_times_with_a_zone_and_without_in_one_column_are_refused() -> None:
    import pandas as pd  # noqa: TID253

    with pytest.raises(DefinitionError) as refused:
        arrow_rows(pd.DataFrame({"at": pd.Series([NOON, NOON.replace(tzinfo=UTC), pd.NaT], dtype=object)}))
    assert refused.value.found == "times with a zone and without in column 'at'"
    assert refused.value.cure == "give each time a zone"


@pytest.mark.parametrize("values", [["2024-03-01"], [20240301]])
def test_texts_and_numbers_are_no_times(values: list[Any]) -> None:
    with pytest.raises(DefinitionError) as refused:
        moment_values("at", column(values))
    assert refused.value.found == f"column 'at' of type {column(values).type} as a time"
    assert "to_datetime" in refused.value.cure


def test_what_is_no_frame_is_refused() -> None:
    import pandas as pd  # noqa: TID253
    import polars as pl

    for frame in ([{"key": 1}], pl.LazyFrame({"key": [1]})):
        with pytest.raises(DefinitionError) as refused:
            arrow_rows(frame)
        assert refused.value.found == f"rows of type {type(frame).__name__}"
    with pytest.raises(DefinitionError) as mixed:
        arrow_rows(pd.DataFrame({"key": [1, "one"]}))
    assert "a pandas frame that Arrow cannot hold" in mixed.value.found
