"""Values between JSON and the platform: strict on the way in, exact on the way out."""

import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Context, Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.lakehouse.exact import WrittenNumber
from mlops_assets.lakehouse.schema import ColumnType
from mlops_assets.serving.values import _ENCODER, NotOfTypeError, from_text, reader_of, to_json

VALUES: dict[ColumnType, st.SearchStrategy[Any]] = {
    "string": st.text(),
    "bigint": st.integers(-(2**63), 2**63 - 1),
    "double": st.floats(allow_nan=False, allow_infinity=False),
    "decimal(38,2)": st.integers(1 - 10**38, 10**38 - 1).map(lambda cents: Decimal(cents).scaleb(-2, Context(prec=38))),
    "boolean": st.booleans(),
    "date": st.dates(),
    "timestamp": st.datetimes(timezones=st.just(UTC)),
}


@pytest.mark.parametrize("type_", VALUES)
@given(data=st.data())
def test_a_value_that_is_sent_back_as_it_came_is_the_same(type_: ColumnType, data: st.DataObject) -> None:
    value = data.draw(VALUES[type_])
    content = json.loads(to_json(value), parse_float=WrittenNumber)
    assert reader_of(type_)(content) == value
    text = content if isinstance(content, str) else to_json(value).decode()
    assert from_text(type_, text) == value


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("string", 1), ("string", True), ("string", "\ud800"),
        ("bigint", 1.0), ("bigint", True), ("bigint", 2**63), ("bigint", "1.0"), ("bigint", " 1"), ("bigint", "١"),
        ("double", "1"), ("double", True), ("double", float("nan")), ("double", float("inf")), ("double", 10**400),
        ("decimal(4,2)", 12.345), ("decimal(4,2)", "100"), ("decimal(4,2)", ""), ("decimal(4,2)", True),
        ("decimal(4,2)", float("inf")), ("boolean", 1), ("boolean", "true"),
        ("date", "2024-02-30"), ("date", "20240131"), ("date", "2024-01-31T00:00:00"), ("date", 0),
        ("timestamp", "2024-01-31T25:00"), ("timestamp", "2024-W05"), ("timestamp", 1706688000),
        ("timestamp", "0001-01-01T00:00:00+10:00"),
    ],
)  # fmt: skip
def test_what_is_not_of_the_type_is_refused(type_: ColumnType, value: object) -> None:
    with pytest.raises(NotOfTypeError):
        reader_of(type_)(value)


@pytest.mark.parametrize(("type_", "text"), [("boolean", "yes"), ("double", "many"), ("double", "nan"), ("bigint", "")])
def test_a_text_that_is_no_value_of_the_type_is_refused(type_: ColumnType, text: str) -> None:
    with pytest.raises(NotOfTypeError):
        from_text(type_, text)


@pytest.mark.parametrize(
    "text", ["2024-01-31T06:00:00Z", "2024-01-31T06:00", "2024-01-31 06:00:00.000000", "2024-01-31T08:00:00+02:00"]
)
def test_a_time_without_a_zone_is_in_utc_and_others_are_brought_to_it(text: str) -> None:
    assert reader_of("timestamp")(text) == datetime(2024, 1, 31, 6, tzinfo=UTC)


def test_a_date_is_the_first_instant_of_a_timestamp() -> None:
    assert reader_of("timestamp")("2024-01-31") == datetime(2024, 1, 31, tzinfo=UTC)


def test_numbers_that_are_not_finite_are_null_wherever_they_are() -> None:
    content = {"a": float("nan"), "b": [float("inf"), {"c": -float("inf")}], "d": 1.5}
    assert json.loads(to_json(content)) == {"a": None, "b": [None, {"c": None}], "d": 1.5}


def test_a_decimal_is_a_number_with_all_its_digits_and_no_text_is_taken_for_one() -> None:
    assert to_json({"price": [Decimal("12.30"), Decimal("1E+2")]}) == b'{"price":[12.30,100]}'
    mark = json.loads(_ENCODER.encode(Decimal(1)))[:-1]
    for text in ("12.30", '"12.30"', f"{mark[:-1]}.12.30", f"{mark[1:]}12.30"):
        assert json.loads(to_json([Decimal(1), text])) == [1, text]


def test_times_are_written_in_utc() -> None:
    local = datetime(2024, 1, 31, 8, 0, 0, 5, timezone(timedelta(hours=2)))
    assert to_json([local, date(2024, 1, 31)]) == b'["2024-01-31T06:00:00.000005Z","2024-01-31"]'
