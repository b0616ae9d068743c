"""One table of rules: a value gets the same answer at every entrance, and what is taken is exactly the value."""

import io
import json
import sqlite3
import tempfile
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mlops_assets.errors import ContractError, DefinitionError
from mlops_assets.features.frames import typed_values
from mlops_assets.lakehouse.exact import WrittenNumber
from mlops_assets.lakehouse.home import Home
from mlops_assets.lakehouse.schema import Column, ColumnType, arrow_type, family
from mlops_assets.serving.values import NotOfTypeError, reader_of
from mlops_assets.sources.databases import _write
from mlops_assets.sources.files import read_rows
from mlops_assets.sources.pushed import accept
from mlops_assets_tests.sources.small_project import platform_of, sales_yaml

REFUSED = "refused"
Entrance = Callable[[Path, Column, Any], Any]


def _read(folder: Path, name: str, content: bytes, column: Column) -> Any:
    file = folder / name
    file.write_bytes(content)
    try:
        (value,) = read_rows(file, [column]).column(0).to_pylist()
    except ContractError:
        return REFUSED
    return value


def csv(folder: Path, column: Column, value: Any) -> Any:
    text = value.isoformat() if isinstance(value, date) else repr(value) if isinstance(value, float) else str(value)
    return _read(folder, "a.csv", f'value\n"{text}"\n'.encode(), column)


def json_lines(folder: Path, column: Column, value: Any) -> Any:
    return _read(folder, "a.jsonl", f'{{"value": {_json_text(value)}}}'.encode(), column)


def parquet(folder: Path, column: Column, value: Any) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    content = io.BytesIO()
    pq.write_table(pa.table({"value": [value]}), content)
    return _read(folder, "a.parquet", content.getvalue(), column)


def pushed(folder: Path, column: Column, value: Any) -> Any:
    home = Home(Path(tempfile.mkdtemp(dir=folder)) / "home")
    columns = f"""
    shop: {{type: string, description: Shop}}
    day: {{type: date, description: Day}}
    value: {{type: "{column.type}", description: A value}}
"""
    platform = platform_of(home, sales_yaml("push: {}", columns=columns))
    row = {"shop": "a", "day": "2024-01-01", "value": _sent(value)}
    try:
        accept(platform, platform.project.sources["sales"], [row], "once", datetime(2024, 2, 1, tzinfo=UTC))
    except ContractError:
        return REFUSED
    (line,) = platform.pushed.waiting("sales", "2024-01").rows
    return _of_json(json.loads(line)["value"], column.type)


def database(folder: Path, column: Column, value: Any) -> Any:
    with sqlite3.connect(":memory:") as connection:
        given = int(value) if isinstance(value, bool) else value.isoformat() if isinstance(value, date) else value
        given = str(given) if isinstance(given, Decimal) else given  # which SQLite has only as texts
        try:
            rows = connection.execute("SELECT ? AS value", [given]).fetchall()
        except OverflowError:
            return REFUSED  # SQLite has no such number
    return _from_database(folder, column, rows, loose=True)


def numeric(folder: Path, column: Column, value: Any) -> Any:
    """A database that has decimals of its own, as PostgreSQL and MySQL do."""
    return _from_database(folder, column, [(value,)], loose=False)


def _from_database(folder: Path, column: Column, rows: list[Any], *, loose: bool) -> Any:
    from mlops_assets.lakehouse.periods import Calendar
    from mlops_assets.lakehouse.schema import TableSchema

    schema = TableSchema(("value",), None, (column,), Calendar("day"))
    try:
        _write(folder / "b.parquet", ["value"], [rows], schema, "sales", loose=loose)
    except ContractError:
        return REFUSED
    return _read(folder, "b.parquet", (folder / "b.parquet").read_bytes(), column)


def frame(folder: Path, column: Column, value: Any) -> Any:
    import pyarrow as pa

    try:
        return typed_values("value", pa.chunked_array([pa.array([value])]), column.type).to_pylist()[0]
    except DefinitionError:
        return REFUSED


def http(folder: Path, column: Column, value: Any) -> Any:
    try:
        return reader_of(column.type)(_sent(value))
    except NotOfTypeError:
        return REFUSED


def _json_text(value: Any) -> str:
    return (
        str(value)
        if isinstance(value, Decimal)
        else json.dumps(value.isoformat() if isinstance(value, date) else value)
    )


def _sent(value: Any) -> Any:
    """A value as the server reads it."""
    return json.loads(_json_text(value), parse_float=WrittenNumber)


def _of_json(value: Any, type_: ColumnType) -> Any:
    if family(type_) == "decimal":
        return Decimal(value)
    return {"date": date.fromisoformat, "timestamp": datetime.fromisoformat}.get(type_, lambda found: found)(value)


EVERYWHERE: tuple[Entrance, ...] = (csv, json_lines, parquet, pushed, database, frame)
MOMENTS = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)).map(lambda at: at.replace(tzinfo=UTC))  # noqa: DTZ001
WHOLE = st.integers(-(2**63), 2**63 - 1)
NUMBERS = WHOLE | WHOLE.map(float) | st.integers(-10, 10).map(float) | st.floats(allow_nan=False, allow_infinity=False)


def answers(folder: Path, type_: ColumnType, value: Any) -> list[Any]:
    return [entrance(folder, Column("value", type_), value) for entrance in EVERYWHERE]


@given(NUMBERS)
@example(5.0)
@example(5.5)
@example(2.0**53)
@example(2**53 + 1)
@example(2**53 + 2)
@settings(max_examples=40, deadline=None)
def test_a_number_gets_the_same_answer_everywhere(tmp_path_factory: pytest.TempPathFactory, value: float) -> None:
    folder = tmp_path_factory.mktemp("values")
    whole = value == int(value) and (isinstance(value, int) or abs(value) < 2**53)
    assert answers(folder, "bigint", value) == [int(value) if whole else REFUSED] * len(EVERYWHERE)
    assert answers(folder, "double", value) == [float(value) if float(value) == value else REFUSED] * len(EVERYWHERE)


@given(MOMENTS | MOMENTS.map(datetime.date))
@example(datetime(9999, 12, 31, tzinfo=UTC))
@example(datetime(1600, 1, 1, 0, 0, 0, 1, UTC))
@settings(max_examples=25, deadline=None)
def test_a_time_gets_the_same_answer_everywhere(tmp_path_factory: pytest.TempPathFactory, value: date) -> None:
    folder = tmp_path_factory.mktemp("values")
    moment = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day, tzinfo=UTC)
    assert answers(folder, "timestamp", value) == [moment] * len(EVERYWHERE)
    midnight = moment == moment.replace(hour=0, minute=0, second=0, microsecond=0)
    assert answers(folder, "date", value) == [moment.date() if midnight else REFUSED] * len(EVERYWHERE)


@pytest.mark.parametrize(("value", "read"), [(True, True), (False, False), (1, True), (0, False), (2, REFUSED)])
def test_a_truth_gets_the_same_answer_everywhere(tmp_path: Path, value: Any, read: Any) -> None:
    assert answers(tmp_path, "boolean", value) == [read] * len(EVERYWHERE)


@pytest.mark.parametrize("type_", ["bigint", "double", "decimal(12,2)"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_is_not_finite_is_refused_or_null_as_its_column_declares(
    tmp_path: Path, value: float, type_: ColumnType
) -> None:
    for entrance in (csv, json_lines, parquet):
        assert entrance(tmp_path, Column("value", type_), value) == REFUSED
        assert entrance(tmp_path, Column("value", type_, not_finite="null"), value) is None


# Digits below a microsecond


NANOSECONDS = st.integers(-(2**62), 2**62)


def texts_of(nanoseconds: int) -> str:
    seconds, rest = divmod(nanoseconds, 10**9)
    return f"{(datetime(1970, 1, 1) + timedelta(seconds=seconds)).isoformat()}.{rest:09d}Z"  # noqa: DTZ001


@given(NANOSECONDS | NANOSECONDS.map(lambda number: number // 1000 * 1000))
@settings(max_examples=40, deadline=None)
def test_digits_below_a_microsecond_are_refused_everywhere_unless_they_are_zeros(
    tmp_path_factory: pytest.TempPathFactory, nanoseconds: int
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = tmp_path_factory.mktemp("values")
    column = Column("value", "timestamp")
    expected = REFUSED
    if nanoseconds % 1000 == 0:
        expected = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=nanoseconds // 1000)  # type: ignore[assignment]
    text = texts_of(nanoseconds)
    moments = pa.array([nanoseconds], pa.timestamp("ns"))
    for old in (False, True):
        written = pa.table({"value": moments})
        pq.write_table(written, folder / "c.parquet", use_deprecated_int96_timestamps=old)
        assert _read(folder, "c.parquet", (folder / "c.parquet").read_bytes(), column) == expected
    found = [entrance(folder, column, text) for entrance in (pushed, json_lines, database)]
    found.append(_read(folder, "a.csv", f"value\n{text}\n".encode(), column))
    found.append(frame(folder, column, pa.scalar(nanoseconds, pa.timestamp("ns"))))
    assert found == [expected] * len(found)


@pytest.mark.parametrize("moment", ["9999-12-31", "0001-01-01", "1677-01-01 00:00:00.000007"])
@pytest.mark.parametrize("type_", ["timestamp", "date"])
def test_an_old_time_of_parquet_is_read_exactly_however_far_away(
    tmp_path: Path, moment: str, type_: ColumnType
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    at = datetime.fromisoformat(moment)
    rows = pa.table({"value": pa.array([at], pa.timestamp("us"))})
    pq.write_table(rows, tmp_path / "a.parquet", use_deprecated_int96_timestamps=True)
    read = _read(tmp_path, "a.parquet", (tmp_path / "a.parquet").read_bytes(), Column("value", type_))
    expected = at.replace(tzinfo=UTC) if type_ == "timestamp" else REFUSED if at.microsecond else at.date()
    assert read == expected


# Decimals


@given(st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-(10**12), max_value=10**12))
@settings(max_examples=30, deadline=None)
def test_a_decimal_gets_the_same_answer_in_files_and_frames(
    tmp_path_factory: pytest.TempPathFactory, value: Decimal
) -> None:
    import pyarrow as pa

    folder = tmp_path_factory.mktemp("values")
    whole = value == value.to_integral_value()
    for entrance in (parquet, frame):
        assert entrance(folder, Column("value", "double"), value) == float(str(value))
        assert entrance(folder, Column("value", "bigint"), value) == (int(value) if whole else REFUSED)
    assert arrow_type("double") == pa.float64()


OF_TEXTS: tuple[Entrance, ...] = (csv, json_lines, pushed, http)
OF_VALUES: tuple[Entrance, ...] = (parquet, database, numeric, frame)


def held(value: Decimal, precision: int, scale: int) -> Any:
    """What is kept of a number in decimal(precision, scale), by whole numbers alone."""
    units = Fraction(value) * 10**scale
    fits = units.denominator == 1 and abs(units.numerator) < 10**precision
    return Decimal(units.numerator).scaleb(-scale, Context(prec=60)) if fits else REFUSED


def exactly_as_kept(found: Any, expected: Any) -> bool:
    return found == expected and (found == REFUSED or (str(found) == str(expected) and isinstance(found, Decimal)))


@st.composite
def decimals_near(draw: st.DrawFn) -> tuple[int, int, Decimal]:
    """A type, and a number that it holds or nearly does, in some spelling."""
    precision = draw(st.sampled_from([1, 4, 12, 15, 16, 18, 19, 38]))
    scale = draw(st.integers(0, precision))
    units = draw(st.integers(-(10**precision), 10**precision) | st.integers(-50, 50))
    shift = draw(st.integers(-2, 3).map(lambda places: -min(scale - places, 38)))
    return precision, scale, Decimal(units).scaleb(shift, Context(prec=60))


@given(decimals_near())
@example((12, 2, Decimal("12.345")))
@example((12, 2, Decimal("12.3")))
@example((12, 2, Decimal("12.300")))
@example((12, 2, Decimal("1E+2")))
@example((12, 2, Decimal("-0.00")))
@example((38, 2, Decimal("999999999999999999999999999999999999.99")))
@example((38, 38, Decimal("0.00000000000000000000000000000000000001")))
@settings(max_examples=60, deadline=None)
def test_a_decimal_column_takes_what_its_digits_hold_everywhere(
    tmp_path_factory: pytest.TempPathFactory, drawn: tuple[int, int, Decimal]
) -> None:
    precision, scale, value = drawn
    folder = tmp_path_factory.mktemp("values")
    column, expected = Column("value", f"decimal({precision},{scale})"), held(value, precision, scale)
    for entrance in (*OF_TEXTS, *OF_VALUES):
        found = entrance(folder, column, value)
        assert exactly_as_kept(found, expected), (entrance.__name__, found, expected)


@given(NUMBERS | st.integers(-(10**7), 10**7).map(lambda units: units / 100), st.sampled_from([0, 2, 9]))
@example(12.345, 2)
@example(0.1 + 0.2, 2)
@example(1e22, 0)
@example(12345678901234.56, 2)
@example(123456789012.56, 2)
@settings(max_examples=40, deadline=None)
def test_a_double_is_a_decimal_where_its_shortest_text_of_15_digits_is_one(
    tmp_path_factory: pytest.TempPathFactory, value: float, scale: int
) -> None:
    folder = tmp_path_factory.mktemp("values")
    column = Column("value", f"decimal(38,{scale})")
    written = held(Decimal(repr(value)), 38, scale)
    double = held(Decimal(repr(value)), 15, scale)
    for entrance in (*OF_TEXTS, *OF_VALUES):
        # In SQLite a number may be a double or whole, whatever is declared there: all count as doubles.
        of_text = entrance in OF_TEXTS or (isinstance(value, int) and entrance is not database)
        found, expected = entrance(folder, column, value), written if of_text else double
        assert exactly_as_kept(found, expected), (entrance.__name__, found, expected)


@pytest.mark.parametrize("text", ["twelve", "1_000", "1,5", "0x10", "1 2", "1e", "١", True])
def test_what_is_no_number_is_no_decimal(tmp_path: Path, text: Any) -> None:
    for entrance in (*OF_TEXTS, parquet, frame):
        assert entrance(tmp_path, Column("value", "decimal(12,2)"), text) == REFUSED, entrance.__name__


def test_a_text_with_the_digits_of_a_decimal_is_one_but_in_a_frame_which_has_types(tmp_path: Path) -> None:
    column = Column("value", "decimal(12,2)")
    for entrance in (*OF_TEXTS, parquet, database):
        assert entrance(tmp_path, column, " 12.3 ") == Decimal("12.30"), entrance.__name__
    assert frame(tmp_path, column, "12.3") == REFUSED
