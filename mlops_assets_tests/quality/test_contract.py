"""Contracts: which files are rows, which are refused, and in what words."""

import gzip
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.engines.duckdb import DuckDBEngine
from mlops_assets.errors import ContractError
from mlops_assets.lakehouse.periods import Calendar
from mlops_assets.lakehouse.schema import Column, TableSchema
from mlops_assets.quality.contract import (
    CONTRACT_CHECKS,
    BrokenContractError,
    CheckOutcome,
    contract_figures,
    judge_contract,
    moments,
    require_kept,
)
from mlops_assets.sources.files import read_delivery

if TYPE_CHECKING:
    import pyarrow as pa

ENGINE = DuckDBEngine(Path())
DAYS = Calendar("day")
SALES = TableSchema(
    ("shop", "product"),
    "day",
    (
        Column("shop", "string", kind="key"),
        Column("product", "bigint", kind="key"),
        Column("day", "date", kind="time"),
        Column("units", "bigint", nullable=False, minimum=0, maximum=1000),
        Column("price", "double", minimum=0.5),
        Column("channel", "string", allowed=("counter", "web")),
        Column("open", "boolean"),
        Column("seen", "timestamp"),
    ),
    DAYS,
)
HEADER = "shop,product,day,units,price,channel,open,seen"
GOOD = "north,1,2024-01-01,5,2.5,web,true,2024-01-01T08:00"
SHOPS = TableSchema(("shop",), None, (Column("shop", "string", kind="key"), Column("region", "string")), DAYS)


def content(*rows: str, header: str = HEADER) -> bytes:
    return "".join(f"{line}\n" for line in (header, *rows)).encode()


def checks_of(rows: "pa.Table", schema: TableSchema) -> list[CheckOutcome]:
    """What each check of the contract finds in rows."""
    return judge_contract(ENGINE, rows, schema, ENGINE.measure(rows, contract_figures(schema)))


def read_rows(file: Path, schema: TableSchema) -> "pa.Table":
    """The rows of a file in which every value is of its type."""
    delivered = read_delivery([file], schema, "sales")
    if delivered.wrong:
        raise delivered.refusal("sales")
    return delivered.rows


def read(folder: Path, data: bytes, schema: TableSchema = SALES) -> list[dict[str, Any]]:
    file = folder / "delivery.csv"
    file.write_bytes(data)
    rows: list[dict[str, Any]] = read_rows(file, schema).to_pylist()
    return rows


def refusal(folder: Path, data: bytes) -> BrokenContractError:
    with pytest.raises(BrokenContractError) as caught:
        read(folder, data)
    return caught.value


def with_value(column: str, text: str) -> str:
    values = dict(zip(HEADER.split(","), GOOD.split(","), strict=True))
    return ",".join((values | {column: text}).values())


def broken(folder: Path, *rows: str) -> BrokenContractError:
    """The refusal of rows that can be read."""
    file = folder / "delivery.csv"
    file.write_bytes(content(*rows))
    with pytest.raises(BrokenContractError) as caught:
        require_kept(checks_of(read_rows(file, SALES), SALES), "sales")
    return caught.value


# Files that are rows


def test_each_declared_type_is_read(tmp_path: Path) -> None:
    assert read(tmp_path, content(GOOD)) == [
        {
            "shop": "north",
            "product": 1,
            "day": date(2024, 1, 1),
            "units": 5,
            "price": 2.5,
            "channel": "web",
            "open": True,
            "seen": datetime(2024, 1, 1, 8, tzinfo=UTC),
        }
    ]


def test_columns_may_stand_in_any_order_and_are_stored_in_the_declared_one(tmp_path: Path) -> None:
    names, values = HEADER.split(","), GOOD.split(",")
    turned = content(",".join(reversed(values)), header=",".join(reversed(names)))
    assert read(tmp_path, turned) == read(tmp_path, content(GOOD))
    assert list(read(tmp_path, turned)[0]) == names


@pytest.mark.parametrize(
    "change",
    [
        lambda data: b"\xef\xbb\xbf" + data,
        lambda data: data.replace(b"\n", b"\r\n"),
        lambda data: data[:-1],
        lambda data: data + b"\n\n",
        lambda data: data.replace(b"north", b'"north"'),
        lambda data: data.replace(b",5,", b", 5 ,"),
    ],
    ids=["byte order mark", "Windows lines", "no last line end", "empty lines", "quotation marks", "spaces"],
)
def test_what_programs_do_to_a_csv_file_changes_no_row(tmp_path: Path, change: Any) -> None:
    assert read(tmp_path, change(content(GOOD))) == read(tmp_path, content(GOOD))


@pytest.mark.parametrize("name", ["north, old", "north\nold", 'the "old" north', "Größe 東", "NULL", "NA", "nan"])
def test_text_comes_as_it_was_written(tmp_path: Path, name: str) -> None:
    quoted = '"' + name.replace('"', '""') + '"'
    rows = read(tmp_path, content(with_value("shop", quoted), with_value("shop", "south")))
    assert [row["shop"] for row in rows] == [name, "south"]


@pytest.mark.parametrize("column", HEADER.split(","))
def test_spaces_around_a_value_do_not_count_and_spaces_alone_are_null(tmp_path: Path, column: str) -> None:
    (good,) = read(tmp_path, content(GOOD))
    value = dict(zip(HEADER.split(","), GOOD.split(","), strict=True))[column]
    rows = read(tmp_path, content(with_value(column, f" {value}  "), with_value(column, "  "), GOOD))
    assert [row[column] for row in rows] == [good[column], None, good[column]]


def test_a_number_that_is_too_long_for_a_float_keeps_its_digits(tmp_path: Path) -> None:
    assert read(tmp_path, content(with_value("product", "9007199254740993")))[0]["product"] == 9007199254740993


def test_a_code_keeps_its_leading_zeros(tmp_path: Path) -> None:
    assert read(tmp_path, content(with_value("shop", "007")))[0]["shop"] == "007"


def test_an_empty_field_is_null_in_each_type(tmp_path: Path) -> None:
    (row,) = read(tmp_path, content(",,,,,,,"))
    assert set(row.values()) == {None}


def test_a_column_without_any_value_is_read(tmp_path: Path) -> None:
    rows = read(tmp_path, content(with_value("price", ""), with_value("price", "")))
    assert [row["price"] for row in rows] == [None, None]


def test_a_header_alone_is_a_delivery_without_rows(tmp_path: Path) -> None:
    assert read(tmp_path, content()) == []


def test_a_compressed_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "delivery.csv.gz"
    file.write_bytes(gzip.compress(content(GOOD)))
    assert read_rows(file, SALES).to_pylist() == read(tmp_path, content(GOOD))


def test_a_file_of_many_blocks_is_read_whole(tmp_path: Path) -> None:
    rows = read(tmp_path, content(*(with_value("product", str(number)) for number in range(40_000))))
    assert [row["product"] for row in rows] == list(range(40_000))


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")) | st.sampled_from(' \n"'), max_size=6)
            .map(str.strip)
            .map(lambda text: text or None),
            st.integers(-(2**63), 2**63 - 1) | st.none(),
            st.floats(allow_nan=False, allow_infinity=False) | st.none(),
            st.booleans() | st.none(),
            st.dates() | st.none(),
            st.datetimes(timezones=st.just(UTC)) | st.none(),
        ),
        max_size=8,
    )
)
@settings(max_examples=30)
def test_what_a_csv_writer_writes_is_what_is_read(
    tmp_path_factory: pytest.TempPathFactory, values: list[tuple[Any, ...]]
) -> None:
    import csv
    import io

    schema = TableSchema(
        ("shop",),
        None,
        (
            Column("shop", "string"),
            Column("units", "bigint"),
            Column("price", "double"),
            Column("open", "boolean"),
            Column("day", "date"),
            Column("seen", "timestamp"),
        ),
        DAYS,
    )
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerow(schema.names)
    writer.writerows(
        ["" if value is None else value.isoformat() if hasattr(value, "isoformat") else value for value in row]
        for row in values
    )
    rows = read(tmp_path_factory.mktemp("csv"), text.getvalue().encode(), schema)
    assert [tuple(row.values()) for row in rows] == values


# Files that are not


@pytest.mark.parametrize(
    ("column", "text", "type_"),
    [
        ("units", "many", "bigint"),
        ("units", "1.5", "bigint"),
        ("units", "1 000", "bigint"),
        ("units", "9223372036854775808", "bigint"),
        ("price", "2;5", "double"),
        ("price", "nan", "double"),
        ("price", "-inf", "double"),
        ("price", "1e999", "double"),
        ("open", "perhaps", "boolean"),
    ],
)
def test_text_that_is_not_of_the_columns_type_is_refused_with_its_row(
    tmp_path: Path, column: str, text: str, type_: str
) -> None:
    error = refusal(tmp_path, content(GOOD, with_value(column, ""), with_value(column, text), with_value(column, "?")))
    assert error.found == f"in 'sales': '{text}' in column '{column}', row 3 below the header"
    assert error.expected == f"a value of type {type_}"
    assert error.cure == "ask for a corrected file, or declare the type that the column has; nothing was written"
    assert [(outcome.name, outcome.passed) for outcome in error.outcomes] == [("columns_and_types", False)]


@pytest.mark.parametrize("column", ["day", "seen"])
@pytest.mark.parametrize(
    "text",
    [
        "2024-01-01 12:00 CET",
        "2024-03-10T02:30:00 America/New_York",
        "01/02/2024",
        "2024-02-30",
        "2024-01-01T25:00",
        "45292",
        "yesterday",
    ],
)
def test_a_time_that_could_mean_more_than_one_is_refused_and_says_how_to_write_it(
    tmp_path: Path, column: str, text: str
) -> None:
    error = refusal(tmp_path, content(GOOD, with_value(column, text)))
    assert error.found == f"in 'sales': '{text}' in column '{column}', row 2 below the header"
    assert error.expected == (
        f"a value of type {'date' if column == 'day' else 'timestamp'}: 2001-03, 2001-03-05 or "
        "2001-03-05T12:00:00+00:00; no offset means UTC, and no zone has a name"
    )


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-01-01T12:00:00", datetime(2024, 1, 1, 12, tzinfo=UTC)),
        ("2024-01-01 12:00:00Z", datetime(2024, 1, 1, 12, tzinfo=UTC)),
        ("2024-01-01T12:00:00+02:00", datetime(2024, 1, 1, 10, tzinfo=UTC)),
        ("2023-12-31T20:00:00-05:00", datetime(2024, 1, 1, 1, tzinfo=UTC)),
        ("2024-01", datetime(2024, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_time_is_in_utc_or_says_its_offset(tmp_path: Path, text: str, moment: datetime) -> None:
    assert read(tmp_path, content(with_value("seen", text)))[0]["seen"] == moment


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("shop,product,day,units,price,channel,open", "a delivery with no column seen"),
        (f"{HEADER},note", "a delivery with undeclared column note"),
        (HEADER.replace("units", "Units"), "a delivery with no column units and undeclared column Units"),
        (HEADER.replace("day", " day"), "a delivery with no column day and undeclared column ' day'"),
        (HEADER.replace("price", "units"), "a delivery with no column price and more than one column units"),
        (f"{HEADER},units", "a delivery with more than one column units"),
        (GOOD, None),
    ],
    ids=["missing", "extra", "capital", "space", "twice", "twice and whole", "no header"],
)
def test_another_header_than_the_declared_one_is_refused(tmp_path: Path, header: str, found: str | None) -> None:
    row = ",".join([*GOOD.split(","), "x"][: header.count(",") + 1])
    error = refusal(tmp_path, content(row, header=header))
    assert error.found.startswith("in 'sales': a delivery with no column shop, product, day" if found is None else "")
    assert found is None or error.found == f"in 'sales': {found}"
    assert error.expected == f"the columns {HEADER.replace(',', ', ')}"
    assert error.cure == "ask for a complete file, or change the source's columns in YAML"
    assert [outcome.name for outcome in error.outcomes] == ["columns_and_types"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"<html>Service unavailable</html>",
        content(GOOD).replace(b"north", "Größe".encode("latin-1")),
        content(GOOD, header=HEADER.replace("shop", "größe")).decode().encode("latin-1"),
        content(GOOD).decode().encode("utf-16"),
        content(GOOD, "south,1,2024-0"),
        content(GOOD, GOOD + ",more"),
        content(GOOD, '"south, o')[:-1],
        content(GOOD, GOOD.replace("2024-01-01T08:00", '"2024-01-01T'))[:-1],
    ],
    ids=[
        "empty",
        "a line end",
        "a web page",
        "another encoding",
        "a header in another encoding",
        "two bytes a letter",
        "a short row",
        "a long row",
        "an open quotation mark",
        "an open quotation mark in the last column",
    ],
)
def test_a_file_that_is_no_whole_csv_in_utf_8_is_refused(tmp_path: Path, data: bytes) -> None:
    error = refusal(tmp_path, data)
    assert error.found.startswith("in 'sales': the delivery cannot be read (")
    assert error.expected == f"a whole CSV file in UTF-8 with the columns {HEADER.replace(',', ', ')}"
    assert error.cure == "ask for the file again: it may have been cut short"
    assert [outcome.name for outcome in error.outcomes] == ["columns_and_types"]


@given(st.data())
@settings(max_examples=60)
def test_a_file_cut_inside_a_row_is_refused(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    # Up to the last column: a last value without its line end is whole in half of the world's files.
    whole = content(*(with_value("product", str(number)) for number in range(4)))
    ends = [place for place, byte in enumerate(whole) if byte == ord("\n")]
    begins, stops = data.draw(st.sampled_from([(end + 1, whole.rindex(b",", 0, after)) for end, after in
                                               zip(ends, ends[1:], strict=False)]))  # fmt: skip
    cut = data.draw(st.integers(begins + 1, stops))
    refusal(tmp_path_factory.mktemp("cut"), whole[:cut])


def test_a_compressed_file_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    packed = gzip.compress(content(*(with_value("product", str(number)) for number in range(5000))))
    file = tmp_path / "delivery.csv.gz"
    for length in (1, len(packed) // 2, len(packed) - 9):
        file.write_bytes(packed[:length])
        with pytest.raises(BrokenContractError, match=r"cannot be read"):
            read_rows(file, SALES)


# Rows that break their contract


def test_rows_that_keep_their_contract_pass_every_check(tmp_path: Path) -> None:
    file = tmp_path / "delivery.csv"
    file.write_bytes(content(GOOD, with_value("shop", "south"), with_value("day", "2024-01-02")))
    outcomes = checks_of(read_rows(file, SALES), SALES)
    assert [outcome.name for outcome in outcomes] == list(CONTRACT_CHECKS)
    assert all(outcome.passed and not outcome.failures for outcome in outcomes)


def test_a_key_that_comes_twice_at_one_time_is_refused(tmp_path: Path) -> None:
    other = with_value("shop", "south")
    error = broken(tmp_path, GOOD, with_value("units", "9"), other, other, other)
    (failed,) = [outcome for outcome in error.outcomes if not outcome.passed]
    assert (failed.name, failed.failures) == ("keys_unique", 3)
    assert error.found.startswith("in 'sales': 3 duplicate keys, such as shop=south, product=1, day=2024-01-01")
    assert error.expected == "No two rows have the same key and time."
    assert error.cure == "correct the data, or the contract in YAML; nothing was written"


@pytest.mark.parametrize("column", ["shop", "product", "day", "units"])
def test_a_null_in_a_key_a_timestamp_or_where_none_is_allowed_is_refused(tmp_path: Path, column: str) -> None:
    error = broken(tmp_path, GOOD.replace("north", "south"), with_value(column, ""))
    assert f"1 nulls in '{column}'" in error.found
    assert [outcome.name for outcome in error.outcomes if not outcome.passed] == ["values_not_null"]


@pytest.mark.parametrize(
    ("column", "text", "found"),
    [
        ("units", "-1", "1 values of 'units' below 0, such as -1"),
        ("units", "1001", "1 values of 'units' above 1000, such as 1001"),
        ("price", "0.49", "1 values of 'price' below 0.5, such as 0.49"),
        ("channel", "Web", "1 values of 'channel' not in counter, web, such as Web"),
    ],
)
def test_a_value_outside_its_range_or_set_is_refused(tmp_path: Path, column: str, text: str, found: str) -> None:
    error = broken(tmp_path, with_value("shop", "south"), with_value(column, text))
    assert error.found == f"in 'sales': {found}"
    assert error.expected == "Values lie in the declared ranges and sets."


@pytest.mark.parametrize(("column", "text"), [("units", "0"), ("units", "1000"), ("price", "0.5"), ("channel", "")])
def test_the_ends_of_a_range_and_nulls_are_allowed(tmp_path: Path, column: str, text: str) -> None:
    file = tmp_path / "delivery.csv"
    file.write_bytes(content(with_value(column, text)))
    assert all(check.passed for check in require_kept(checks_of(read_rows(file, SALES), SALES), "sales"))


def test_every_fault_of_a_delivery_is_said_at_once(tmp_path: Path) -> None:
    error = broken(tmp_path, GOOD, GOOD, with_value("units", ""), with_value("units", "-4").replace("web", "fax"))
    failed = {outcome.name: outcome.failures for outcome in error.outcomes if not outcome.passed}
    assert failed == {"keys_unique": 3, "values_not_null": 1, "values_allowed": 2}
    for words in ("duplicate keys", "1 nulls in 'units'", "'units' below 0", "not in counter, web, such as fax"):
        assert words in error.found
    assert len(error.outcomes) == len(CONTRACT_CHECKS)
    assert isinstance(error, ContractError)


def test_a_static_table_has_one_row_for_each_key(tmp_path: Path) -> None:
    file = tmp_path / "shops.csv"
    file.write_text("shop,region\nnorth,uplands\nnorth,coast\n", encoding="utf-8")
    with pytest.raises(BrokenContractError, match=r"1 duplicate keys, such as shop=north"):
        require_kept(checks_of(read_rows(file, SHOPS), SHOPS), "shops")


def test_the_time_of_a_row_is_its_day_in_utc_and_a_static_row_has_none(tmp_path: Path) -> None:
    file = tmp_path / "delivery.csv"
    file.write_bytes(content(GOOD, with_value("day", "")))
    assert moments(read_rows(file, SALES), SALES) == [datetime(2024, 1, 1, tzinfo=UTC), None]
    file.write_text("shop,region\nnorth,uplands\n", encoding="utf-8")
    assert moments(read_rows(file, SHOPS), SHOPS) == [None]
