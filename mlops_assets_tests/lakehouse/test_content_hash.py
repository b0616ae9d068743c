"""The content hash: the same for the same rows however they came, another one for any other rows."""

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mlops_assets.lakehouse.content_hash import content_hash, hashed_piece, text_hash, whole_hash

if TYPE_CHECKING:
    import pyarrow as pa

NAMES = ("shop", "place", "units", "open", "day", "seen")
Row = tuple[int | None, str | None, float | None, bool | None, date | None, datetime | None]
EARLIEST, LATEST = datetime(1700, 1, 1), datetime(2200, 1, 1)  # noqa: DTZ001 (Hypothesis adds the zone)

rows = st.tuples(
    st.none() | st.integers(-(2**63), 2**63 - 1),
    st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
    st.none() | st.floats(allow_nan=False),
    st.none() | st.booleans(),
    st.none() | st.dates(),
    st.none() | st.datetimes(EARLIEST, LATEST, timezones=st.just(UTC)),
)
tables = st.lists(rows, max_size=8)


def table(content: list[Row]) -> "pa.Table":
    import pyarrow as pa

    types = [pa.int64(), pa.string(), pa.float64(), pa.bool_(), pa.date32(), pa.timestamp("us", "UTC")]
    columns = [[row[index] for row in content] for index in range(len(NAMES))]
    return pa.table({name: pa.array(values, type_) for name, values, type_ in zip(NAMES, columns, types, strict=True)})


def of(content: list[Row]) -> str:
    return content_hash(table(content), NAMES)


def of_column(values: list[Any], type_: "pa.DataType") -> str:
    import pyarrow as pa

    return content_hash(pa.table({"value": pa.array(values, type_)}), ["value"])


def canonical(row: Row) -> Row:
    """-0.0 is 0.0."""
    shop, place, units, *rest = row
    return (shop, place, None if units is None else units + 0.0, *rest)  # type: ignore[return-value]


@given(tables, st.randoms(use_true_random=False))
def test_rows_in_another_order_have_the_same_hash(content: list[Row], random: Any) -> None:
    shuffled = list(content)
    random.shuffle(shuffled)
    assert of(shuffled) == of(content)


@given(tables, st.integers(0, 8), st.integers(0, 8))
def test_rows_cut_into_other_chunks_have_the_same_hash(content: list[Row], one: int, other: int) -> None:
    import pyarrow as pa

    low, high = sorted((one, other))
    parts = [table(content[:low]), table(content[low:high]), table(content[high:])]
    assert content_hash(pa.concat_tables(parts), NAMES) == of(content)


@given(tables, st.integers(0, 8))
def test_pieces_hashed_apart_have_the_hash_of_the_whole(content: list[Row], cut: int) -> None:
    whole = table(content)
    pieces = [hashed_piece(part, NAMES) for part in (table(content[cut:]), table(content[:cut]))]
    assert whole_hash(whole.schema, NAMES, pieces) == content_hash(whole, NAMES)


@given(tables, tables)
def test_hashes_are_equal_only_for_equal_rows(one: list[Row], other: list[Row]) -> None:
    same = sorted(map(repr, map(canonical, one))) == sorted(map(repr, map(canonical, other)))
    assert (of(one) == of(other)) == same


@given(st.lists(rows, min_size=1, max_size=6), st.data())
def test_a_changed_value_changes_the_hash(content: list[Row], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(content) - 1))
    column = data.draw(st.integers(0, len(NAMES) - 1))
    other = data.draw(rows)
    changed = (*content[index][:column], other[column], *content[index][column + 1 :])
    assume(canonical(changed) != canonical(content[index]))
    assert of([*content[:index], changed, *content[index + 1 :]]) != of(content)


@given(st.lists(rows, min_size=1, max_size=6))
def test_a_duplicated_row_and_a_lost_row_change_the_hash(content: list[Row]) -> None:
    assert of([*content, content[0]]) != of(content)
    assert of(content[1:]) != of(content)


@given(st.lists(st.text(max_size=4), min_size=2, max_size=2), st.lists(st.text(max_size=4), min_size=2, max_size=2))
def test_values_do_not_run_into_the_next_column(one: list[str], other: list[str]) -> None:
    import pyarrow as pa

    assume(one != other)
    hashes = [content_hash(pa.table({"a": [pair[0]], "b": [pair[1]]}), ["a", "b"]) for pair in (one, other)]
    assert hashes[0] != hashes[1]


@given(st.text(st.characters(codec="utf-8"), max_size=12))
def test_no_text_reads_as_a_null(text: str) -> None:
    import pyarrow as pa

    assert of_column([text], pa.string()) != of_column([None], pa.string())


@pytest.mark.parametrize("text", ["", "n", "null", "None", "nan"])
def test_a_null_is_not_an_empty_text(text: str) -> None:
    import pyarrow as pa

    assert of_column([text], pa.string()) != of_column([None], pa.string())


def test_a_null_is_not_a_missing_row() -> None:
    import pyarrow as pa

    assert of_column([None], pa.int64()) != of_column([], pa.int64())


def test_a_null_a_nan_and_a_zero_are_three_values() -> None:
    import pyarrow as pa

    assert len({of_column([value], pa.float64()) for value in (None, float("nan"), 0.0)}) == 3


def test_a_null_in_one_column_is_not_a_null_in_the_next() -> None:
    import pyarrow as pa

    text = pa.string()
    one = pa.table({"a": pa.array([None], text), "b": pa.array(["x"], text)})
    other = pa.table({"a": pa.array(["x"], text), "b": pa.array([None], text)})
    assert content_hash(one, ["a", "b"]) != content_hash(other, ["a", "b"])


def test_negative_zero_is_zero_and_all_nans_are_one_value() -> None:
    import struct

    import pyarrow as pa

    (odd_nan,) = struct.unpack("<d", struct.pack("<Q", 0xFFF8_0000_0000_0001))
    assert of_column([-0.0], pa.float64()) == of_column([0.0], pa.float64())
    assert of_column([float("nan")], pa.float64()) == of_column([odd_nan], pa.float64())


def test_floats_that_differ_in_the_last_bit_differ() -> None:
    import math

    import pyarrow as pa

    for value in (0.1, 1e300, 5e-324, 123456789.123456789, 1e16):
        near = [value, math.nextafter(value, math.inf), math.nextafter(value, -math.inf)]
        assert len({of_column([number], pa.float64()) for number in near}) == 3


def test_one_as_number_as_float_as_truth_and_as_text_are_four_values() -> None:
    import pyarrow as pa

    hashes = {
        of_column([1], pa.int64()),
        of_column([1.0], pa.float64()),
        of_column([True], pa.bool_()),
        of_column(["1"], pa.string()),
    }
    assert len(hashes) == 4


def test_a_day_is_not_its_midnight_nor_its_text() -> None:
    import pyarrow as pa

    hashes = {
        of_column([date(2024, 1, 1)], pa.date32()),
        of_column([datetime(2024, 1, 1, tzinfo=UTC)], pa.timestamp("us", "UTC")),
        of_column(["2024-01-01"], pa.string()),
    }
    assert len(hashes) == 3


def test_the_width_in_which_an_engine_holds_a_value_does_not_count() -> None:
    import pyarrow as pa

    assert of_column([7, None], pa.int32()) == of_column([7, None], pa.int64())
    assert of_column(["ä", None], pa.large_string()) == of_column(["ä", None], pa.string())


def test_the_zone_in_which_an_engine_shows_a_moment_does_not_count() -> None:
    import pyarrow as pa

    moment = datetime(2024, 7, 1, 12, tzinfo=UTC)
    berlin = pa.timestamp("us", "Europe/Berlin")
    assert of_column([moment], berlin) == of_column([moment], pa.timestamp("us", "UTC"))


def test_moments_count_to_the_microsecond() -> None:
    import pyarrow as pa

    moment = datetime(2024, 7, 1, tzinfo=UTC)
    later = moment.replace(microsecond=1)
    assert of_column([moment], pa.timestamp("us", "UTC")) != of_column([later], pa.timestamp("us", "UTC"))


def test_names_and_order_of_columns_count_and_other_columns_do_not() -> None:
    import pyarrow as pa

    content = pa.table({"a": [1], "b": [2], "written_at": [datetime(2024, 1, 1, tzinfo=UTC)]})
    later = content.set_column(2, "written_at", [[datetime(2025, 1, 1, tzinfo=UTC)]])
    assert content_hash(content, ["a", "b"]) == content_hash(later, ["a", "b"])
    assert content_hash(content, ["a", "b"]) != content_hash(content, ["b", "a"])
    renamed = content.rename_columns(["a", "c", "written_at"])
    assert content_hash(content, ["a", "b"]) != content_hash(renamed, ["a", "c"])


def test_the_place_of_a_column_in_the_table_does_not_count() -> None:
    import pyarrow as pa

    content = pa.table({"a": [1, 2], "b": ["x", "y"]})
    assert content_hash(content, ["a", "b"]) == content_hash(content.select(["b", "a"]), ["a", "b"])


def test_the_hash_is_64_hexadecimal_digits_of_no_rows_too() -> None:
    assert len(of([])) == 64
    assert int(of([]), 16) >= 0
    assert of([]) != of([(1, None, None, None, None, None)])


@given(st.lists(st.text(max_size=5), max_size=4), st.lists(st.text(max_size=5), max_size=4))
def test_texts_in_another_order_or_cut_elsewhere_have_another_hash(one: list[str], other: list[str]) -> None:
    assert (text_hash(*one) == text_hash(*other)) == (one == other)
