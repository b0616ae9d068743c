"""Keys and rows as bytes: what a publisher writes is what a reader asks for, of every type."""

import math
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Context, Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.errors import ContractError
from mlops_assets.features.online.contract import Layout
from mlops_assets.features.online.encoding import entries_of, key_encoder, layout_from, shown_row, text_of
from mlops_assets.lakehouse.schema import ColumnType, arrow_type

VALUES: dict[ColumnType, st.SearchStrategy[Any]] = {
    "string": st.text(),
    "bigint": st.integers(-(2**63), 2**63 - 1),
    "double": st.floats(),
    "decimal(38,2)": st.integers(1 - 10**38, 10**38 - 1).map(lambda cents: Decimal(cents).scaleb(-2, Context(prec=38))),
    "boolean": st.booleans(),
    "date": st.dates(),
    "timestamp": st.datetimes(timezones=st.just(UTC)).map(lambda moment: moment.replace(fold=0)),
}
TYPES = tuple(VALUES)


@given(
    st.data(), st.lists(st.sampled_from(TYPES), min_size=1, max_size=3), st.lists(st.sampled_from(TYPES), max_size=6)
)
def test_a_published_key_is_the_one_that_is_asked_for_and_its_row_comes_back(
    data: st.DataObject, keys: list[ColumnType], columns: list[ColumnType]
) -> None:
    import pyarrow as pa

    layout = Layout(
        "t", "g", tuple((f"k{n}", of) for n, of in enumerate(keys)),
        tuple((f"c{n}", of) for n, of in enumerate(columns)), static=False,
    )  # fmt: skip
    key = {name: data.draw(VALUES[of]) for name, of in layout.keys}
    row = {name: data.draw(st.none() | VALUES[of]) for name, of in layout.columns}
    event = data.draw(VALUES["timestamp"])
    types = {**dict(layout.keys), **dict(layout.columns), "the event": "timestamp"}
    given = {**key, **row, "the event": event}
    table = pa.table({name: pa.array([value], arrow_type(types[name])) for name, value in given.items()})
    (entry,) = entries_of(
        pa.table({name: pa.chunked_array([c]) for name, c in zip(given, table, strict=True)}), layout, "the event"
    )
    assert entry.key == key_encoder("t", layout.keys)(list(key.values()))
    assert entry.row is not None
    shown = shown_row(entry.row, layout)
    assert repr({**row, "event_time": event}) == repr(
        {**{name: shown[name] for name in row}, "event_time": shown["event_time"]}
    )
    assert layout_from(text_of(layout)) == layout


@pytest.mark.parametrize(
    ("type_", "same"),
    [
        ("double", (0.0, -0.0, 0)),
        ("double", (math.nan, -math.nan, float("nan"))),
        ("double", (3.0, 3)),
        ("decimal(12,2)", (Decimal("12.3"), Decimal("12.30"), 12.3, "12.3")),
        ("decimal(12,2)", (Decimal("-0.0"), 0, 0.0)),
        ("date", (date(2001, 3, 5), "2001-03-05")),
        (
            "timestamp",
            (
                datetime(2001, 3, 5, 12, tzinfo=UTC),
                datetime(2001, 3, 5, 12),  # noqa: DTZ001
                datetime(2001, 3, 5, 14, tzinfo=timezone(timedelta(hours=2))),
                "2001-03-05T12:00:00",
                "2001-03-05T14:00:00+02:00",
            ),
        ),
    ],
)
def test_values_that_are_one_key_have_the_same_bytes(type_: ColumnType, same: tuple[object, ...]) -> None:
    encode = key_encoder("t", [("key", type_)])
    assert len({encode([value]) for value in same}) == 1


def test_a_key_with_a_null_is_none() -> None:
    assert key_encoder("t", [("a", "string"), ("b", "bigint")])(["x", None]) is None
    assert key_encoder("t", [("a", "string")])([None]) is None


@pytest.mark.parametrize(
    ("type_", "wrong"),
    [
        ("string", 3), ("string", "half \ud800"), ("bigint", "3"), ("bigint", 3.0), ("bigint", True), ("bigint", 2**63),
        ("double", "3"), ("double", True), ("double", 2**53 + 1), ("double", 10**400),
        ("decimal(4,2)", 12.345), ("decimal(4,2)", 100), ("decimal(4,2)", ""), ("boolean", 1), ("date", "May"),
        ("date", datetime(2001, 3, 5, tzinfo=UTC)), ("timestamp", date(2001, 3, 5)), ("timestamp", 3),
    ],
)  # fmt: skip
@pytest.mark.parametrize("further", [(), (("b", "string"),)])
def test_a_key_of_another_type_is_refused_in_words(type_: ColumnType, wrong: object, further: Any) -> None:
    encode = key_encoder("shops", [("key", type_), *further])
    with pytest.raises(ContractError) as raised:
        encode([wrong, *("x" for _ in further)])
    assert f"as the key 'key' of 'shops'. Expected: a value of type {type_}" in str(raised.value)
