"""Defaults of lookups are values of their columns' types, or refused."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.errors import DefinitionError, nearest
from mlops_assets.lakehouse.schema import Column, ColumnType, arrow_type
from mlops_assets.project.lookups import typed_default

TYPES: tuple[ColumnType, ...] = ("string", "bigint", "double", "decimal(12,2)", "boolean", "date", "timestamp")
VALUES = (
    st.text() | st.integers() | st.floats(allow_nan=False) | st.booleans() | st.dates() | st.datetimes() | st.none()
)


@given(type_=st.sampled_from(TYPES), value=VALUES)
def test_a_default_is_refused_or_a_value_that_its_column_holds_as_it_is(type_: ColumnType, value: Any) -> None:
    import pyarrow as pa

    try:
        default = typed_default(Column("x", type_), value)
    except DefinitionError as error:
        assert error.expected == f"a value of type {type_}"
        return
    held = pa.scalar(default, arrow_type(type_)).as_py()
    assert held == default
    assert type(held) is type(default)
    if type_ == "decimal(12,2)":
        assert default == Decimal(str(value))
    elif type_ != "timestamp":
        assert default == value


@pytest.mark.parametrize(
    ("type_", "value", "expected"),
    [
        ("double", 3, 3.0),
        ("decimal(12,2)", 12.3, Decimal("12.30")),
        ("bigint", 2**63 - 1, 2**63 - 1),
        ("timestamp", date(2024, 1, 2), datetime(2024, 1, 2, tzinfo=UTC)),
        ("timestamp", datetime(2024, 1, 2, 3), datetime(2024, 1, 2, 3, tzinfo=UTC)),  # noqa: DTZ001
        (
            "timestamp",
            datetime(2024, 1, 2, 3, tzinfo=timezone(timedelta(hours=2))),
            datetime(2024, 1, 2, 1, tzinfo=UTC),
        ),
    ],
)
def test_what_a_type_holds_without_loss_is_taken(type_: ColumnType, value: object, expected: object) -> None:
    assert typed_default(Column("x", type_), value) == expected


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("bigint", True),
        ("bigint", 2**63),
        ("double", True),
        ("decimal(12,2)", 12.345),
        ("decimal(12,2)", True),
        ("decimal(12,2)", ""),
        ("boolean", 1),
        ("string", 1),
        ("date", datetime(2024, 1, 2)),  # noqa: DTZ001
        ("date", "2024-01-02"),
    ],
)
def test_what_a_type_does_not_hold_is_refused(type_: ColumnType, value: object) -> None:
    with pytest.raises(DefinitionError):
        typed_default(Column("x", type_), value)


def test_a_name_that_is_nearly_right_is_answered_with_the_right_one() -> None:
    assert nearest("order_trends", ["orders", "order_trend", "products"], "look") == "write 'order_trend' or 'orders'"
    assert nearest("x", ["orders"], "look") == "look"
