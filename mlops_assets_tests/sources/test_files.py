"""Files in every format: the same rows are the same, what is cut short is refused, and no value is bent."""

import gzip
import io
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.lakehouse.content_hash import content_hash
from mlops_assets.lakehouse.periods import Calendar
from mlops_assets.lakehouse.schema import Column, TableSchema
from mlops_assets.quality.contract import BrokenContractError
from mlops_assets.sources.files import read_delivery

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = (
    Column("shop", "string", kind="key"),
    Column("day", "date", kind="time"),
    Column("units", "bigint"),
    Column("price", "double"),
    Column("open", "boolean"),
    Column("seen", "timestamp"),
)
SALES = TableSchema(("shop",), "day", COLUMNS, Calendar("day"))
ROW: Mapping[str, Any] = {
    "shop": "north",
    "day": date(2024, 1, 1),
    "units": 5,
    "price": 2.5,
    "open": True,
    "seen": datetime(2024, 1, 1, 8, tzinfo=UTC),
}
Rows = Sequence[Mapping[str, Any]]


def as_csv(rows: Rows) -> bytes:
    import csv

    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(SALES.names)
    writer.writerows(["" if row[name] is None else row[name] for name in SALES.names] for row in rows)
    return text.getvalue().encode()


def as_json_lines(rows: Rows) -> bytes:
    return "".join(f"{json.dumps(row, default=str)}\n" for row in rows).encode()


def as_parquet(rows: Rows) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    content = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows), schema=SALES.arrow()), content)
    return content.getvalue()


WRITERS: dict[str, Callable[[Rows], bytes]] = {".csv": as_csv, ".jsonl": as_json_lines, ".parquet": as_parquet}


def rows_of(files: list[Path], schema: TableSchema) -> "pa.Table":
    """The rows of files in which every value is of its type."""
    delivered = read_delivery(files, schema, "sales")
    if delivered.wrong:
        raise delivered.refusal("sales")
    return delivered.rows


def read(folder: Path, suffix: str, *contents: bytes, schema: TableSchema = SALES) -> list[dict[str, Any]]:
    files = [folder / f"{number}{suffix}" for number, _ in enumerate(contents)]
    for file, content in zip(files, contents, strict=True):
        file.write_bytes(content)
    rows: list[dict[str, Any]] = rows_of(files, schema).to_pylist()
    return rows


def refusal(folder: Path, suffix: str, *contents: bytes, schema: TableSchema = SALES) -> BrokenContractError:
    with pytest.raises(BrokenContractError) as caught:
        read(folder, suffix, *contents, schema=schema)
    return caught.value


# The same rows


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")) | st.sampled_from(' \n"'), max_size=6)


@pytest.mark.slow
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "shop": TEXTS | st.none(),
                "day": st.dates() | st.none(),
                "units": st.integers(-(2**63), 2**63 - 1) | st.none(),
                "price": st.floats(allow_nan=False, allow_infinity=False) | st.none(),
                "open": st.booleans() | st.none(),
                "seen": st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-5))])) | st.none(),
            }
        ).filter(lambda row: any(value is not None for value in row.values())),
        min_size=1,
        max_size=6,
    )
)
@settings(max_examples=40)
def test_the_same_rows_have_the_same_hash_in_every_format_order_and_number_of_files(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]
) -> None:
    for row in rows:
        if row["seen"] is not None and not 1 < row["seen"].year < 9999:  # whose year is another in UTC
            row["seen"] = None
    folder = tmp_path_factory.mktemp("files")
    hashes = set()
    for suffix, write in WRITERS.items():
        whole, packed = folder / f"whole{suffix}", folder / f"packed{suffix}.gz"
        whole.write_bytes(write(rows))
        packed.write_bytes(gzip.compress(write(rows[::-1])))
        parts = [folder / f"{part}{suffix}" for part in (1, 2)]
        for part, half in zip(parts, (rows[:1], rows[1:] or rows[:0]), strict=True):
            part.write_bytes(write(half))
        ways = [[whole], parts if len(rows) > 1 else [whole], [packed]]
        hashes |= {content_hash(rows_of(files, SALES), SALES.names) for files in ways}
    assert len(hashes) == 1


def test_a_name_that_a_json_line_lacks_is_null(tmp_path: Path) -> None:
    (_, second) = read(tmp_path, ".jsonl", as_json_lines([ROW]) + b'{"shop": "south"}\n')
    assert second == dict.fromkeys(SALES.names) | {"shop": "south"}


# Cut short


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet", ".csv.gz", ".jsonl.gz", ".csv"])
def test_a_file_cut_short_anywhere_is_refused_or_holds_whole_rows(tmp_path: Path, suffix: str) -> None:
    rows = [{**ROW, "shop": f"shop {number}"} for number in range(20)]
    content = WRITERS[suffix.removesuffix(".gz")](rows)
    content = gzip.compress(content) if suffix.endswith(".gz") else content
    refused = 0
    for cut in range(0, len(content) - 1, 13):
        try:
            left = read(tmp_path, suffix, content[:cut])
        except BrokenContractError as error:
            refused += 1
            assert "cut short" in error.cure or suffix == ".csv"
        else:
            # Text formats cannot show that whole lines are missing; a short delivery as a whole is refused elsewhere.
            assert suffix in (".csv", ".jsonl")
            assert [{**row, "seen": None} for row in left[:-1]] == [{**row, "seen": None} for row in rows][
                : len(left) - 1
            ]
    assert refused > 0.6 * cut / 13


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet", ".csv", ".csv.gz"])
def test_an_empty_file_is_refused(tmp_path: Path, suffix: str) -> None:
    error = refusal(tmp_path, suffix, b"")
    assert error.found.startswith("in 'sales': the delivery cannot be read (")
    assert error.cure == "ask for the file again: it may have been cut short"


def test_a_json_line_cut_short_is_named(tmp_path: Path) -> None:
    error = refusal(tmp_path, ".jsonl", as_json_lines([ROW, ROW])[:-9])
    assert error.found.startswith("in 'sales': the delivery cannot be read (line 2 is no JSON: ")
    assert error.expected == (
        "whole JSON lines in UTF-8, an object a line, with the columns shop, day, units, price, open, seen"
    )


def test_of_several_files_the_one_at_fault_is_named(tmp_path: Path) -> None:
    whole = as_parquet([ROW])
    assert "cannot be read in 1.parquet (" in refusal(tmp_path, ".parquet", whole, whole[:-3]).found
    wrong = as_json_lines([ROW, {**ROW, "units": "many"}])
    error = refusal(tmp_path, ".jsonl", as_json_lines([ROW]), wrong)
    assert error.found == "in 'sales': 'many' in column 'units', line 2 in 1.jsonl"


# JSON lines are strictly typed


@pytest.mark.parametrize(
    ("column", "value", "found"),
    [
        ("units", "5", "'5'"),
        ("units", 5.5, "5.5"),
        ("units", 2.0**53, "9007199254740992.0"),
        ("units", True, "true"),
        ("units", 2**63, "9223372036854775808"),
        ("price", "2.5", "'2.5'"),
        ("price", False, "false"),
        ("price", 2**53 + 1, "9007199254740993"),
        ("price", float("nan"), "nan"),
        ("open", 2, "2"),
        ("open", 1.0, "1.0"),
        ("open", "true", "'true'"),
        ("shop", 7, "7"),
        ("shop", {"name": "north"}, "a nested value"),
        ("units", [5], "a nested value"),
        ("day", 20240101, "20240101"),
        ("day", "2024-01-01T08:00", "'2024-01-01T08:00'"),
        ("seen", "1704096000", "'1704096000'"),
    ],
)
def test_a_json_value_of_another_type_is_refused_with_its_line(
    tmp_path: Path, column: str, value: Any, found: str
) -> None:
    error = refusal(tmp_path, ".jsonl", as_json_lines([ROW, {**ROW, column: value}]))
    assert error.found == f"in 'sales': {found} in column '{column}', line 2"
    assert error.expected.startswith(f"a value of type {SALES.column(column).type}")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"[1, 2]", "line 1 is no object in braces"),
        (b'{"shop": "a", "shop": "b"}', "line 1: a name twice in one object"),
        (b'{"price": nan}', "line 1 is no JSON"),
        (b"{'shop': 1}", "line 1 is no JSON"),
        (b"[" * 100_000, "line 1: "),
        ("{'shop': 'Größe'}".encode("latin-1"), "can't decode"),
    ],
)
def test_what_is_no_json_line_is_refused(tmp_path: Path, line: bytes, words: str) -> None:
    assert words in refusal(tmp_path, ".jsonl", line + b"\n").found


def test_an_undeclared_name_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path, ".jsonl", as_json_lines([{**ROW, "note": 1}])).found == (
        "in 'sales': a delivery with undeclared column note"
    )


# Parquet is widened, and never narrowed


def parquet(column: str, values: list[Any], type_: Any) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = pa.Table.from_pylist([dict(ROW)] * len(values), schema=SALES.arrow())
    content = io.BytesIO()
    place = rows.column_names.index(column)
    pq.write_table(rows.set_column(place, column, pa.array(values, type_)), content)
    return content.getvalue()


NOON = datetime(2024, 1, 1, 12)  # noqa: DTZ001
MIDNIGHT = datetime(2024, 1, 1)  # noqa: DTZ001


def arrow(name: str, *arguments: Any) -> Any:
    import pyarrow as pa

    return getattr(pa, name)(*arguments)


@pytest.mark.parametrize(
    ("column", "value", "type_", "read_as"),
    [
        ("units", 5, ("int8",), 5),
        ("units", 2**32 - 1, ("uint32",), 2**32 - 1),
        ("units", 2**63 - 1, ("uint64",), 2**63 - 1),
        ("units", Decimal("12.00"), ("decimal128", 10, 2), 12),
        ("units", 5.0, ("float64",), 5),
        ("units", -5.0, ("float32",), -5),
        ("open", 1, ("int8",), True),
        ("price", 5, ("int16",), 5.0),
        ("price", 2**53, ("int64",), float(2**53)),
        ("price", 0.5, ("float32",), 0.5),
        ("price", Decimal("0.10"), ("decimal128", 10, 2), 0.1),
        ("shop", " north ", ("large_string",), "north"),
        ("shop", " ", ("string_view",), None),
        ("day", "2024-01", ("string",), date(2024, 1, 1)),
        ("day", MIDNIGHT, ("timestamp", "ns"), date(2024, 1, 1)),
        ("seen", date(2024, 1, 1), ("date32",), datetime(2024, 1, 1, tzinfo=UTC)),
        ("seen", NOON, ("timestamp", "ms"), datetime(2024, 1, 1, 12, tzinfo=UTC)),
        ("seen", NOON, ("timestamp", "us", "America/New_York"), datetime(2024, 1, 1, 12, tzinfo=UTC)),
        ("seen", None, ("null",), None),
    ],
)
def test_a_parquet_value_that_fits_exactly_is_taken(
    tmp_path: Path, column: str, value: Any, type_: tuple[Any, ...], read_as: Any
) -> None:
    assert read(tmp_path, ".parquet", parquet(column, [value], arrow(*type_)))[0][column] == read_as


@pytest.mark.parametrize(
    ("column", "value", "type_", "found"),
    [
        ("units", 2**63, ("uint64",), "9223372036854775808"),
        ("units", 5.5, ("float64",), "5.5"),
        ("units", 2.0**53, ("float64",), "9007199254740992.0"),
        ("units", "5", ("string",), "'5'"),
        ("units", Decimal("1.50"), ("decimal128", 10, 2), "1.50"),
        ("units", True, ("bool_",), "true"),
        ("price", 2**53 + 1, ("int64",), "9007199254740993"),
        ("price", float("nan"), ("float64",), "nan"),
        ("price", float("inf"), ("float32",), "inf"),
        ("price", Decimal("0.12345678901234567890"), ("decimal128", 38, 20), "0.12345678901234567890"),
        ("shop", 5, ("int64",), "5"),
        ("shop", b"north", ("binary",), "b'north'"),
        ("open", 2, ("int8",), "2"),
        ("day", NOON, ("timestamp", "us"), "2024-01-01 12:00:00+00:00"),
        ("day", 19723, ("int32",), "19723"),
        ("seen", 1_704_110_400_000_000_001, ("timestamp", "ns"), "2024-01-01 12:00:00.000000001+00:00"),
        ("seen", 2**60, ("timestamp", "us"), "1152921504606846976"),
    ],
)
def test_a_parquet_value_that_would_be_bent_is_refused_with_its_row(
    tmp_path: Path, column: str, value: Any, type_: tuple[Any, ...], found: str
) -> None:
    error = refusal(tmp_path, ".parquet", parquet(column, [None, value], arrow(*type_)))
    assert error.found == f"in 'sales': {found} in column '{column}', row 2"


@pytest.mark.parametrize(
    ("texts", "units"),
    [
        (["5.0", "", "7"], [5, None, 7]),
        (["5e2", "-0.0"], [500, 0]),
        (["9007199254740993", "1.0"], [2**53 + 1, 1]),
        (["5.0", "5.5"], "'5.5' in column 'units', row 2 below the header"),
        (["5", "9007199254740992.0"], "'9007199254740992.0' in column 'units', row 2 below the header"),
        (["5", "0x10"], "'0x10' in column 'units', row 2 below the header"),
        (["5", "NaN"], "'NaN' in column 'units', row 2 below the header"),
    ],
)
def test_whole_numbers_of_a_csv_may_be_written_as_doubles(tmp_path: Path, texts: list[str], units: Any) -> None:
    rows = "".join(f'shop,2024-01-01,"{text}",1,true,2024-01-01\n' for text in texts)
    content = f"{','.join(SALES.names)}\n{rows}".encode()
    if isinstance(units, str):
        assert refusal(tmp_path, ".csv", content).found == f"in 'sales': {units}"
    else:
        assert [row["units"] for row in read(tmp_path, ".csv", content)] == units


def test_columns_of_a_dictionary_are_their_values(tmp_path: Path) -> None:
    type_ = arrow("dictionary", arrow("int8"), arrow("string"))
    rows = read(tmp_path, ".parquet", parquet("shop", ["north", None, "north"], type_))
    assert [row["shop"] for row in rows] == ["north", None, "north"]
