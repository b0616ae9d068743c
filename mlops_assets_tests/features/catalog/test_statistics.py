"""How a table's data looks now: of its newest period, as known by the platform clock."""

import math
import random
import statistics
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.engines.contract import Engine
from mlops_assets.engines.duckdb import DuckDBEngine
from mlops_assets.errors import DefinitionError
from mlops_assets.features.catalog import statistics as catalog_statistics
from mlops_assets.features.catalog.statistics import (
    MAX_BINS,
    SHARES,
    ColumnStatistics,
    _measured,
    freshness_of_all,
    table_freshness,
    table_statistics,
)
from mlops_assets.lakehouse.periods import Calendar
from mlops_assets.lakehouse.schema import Column, TableSchema
from mlops_assets_tests.engines.contract_pack import engine_under_test
from mlops_assets_tests.small_line import SHOPS, Line, units_of


@pytest.fixture(scope="module")
def lived_line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    """Three days of the small project."""
    line = Line(tmp_path_factory.mktemp("line") / "line")
    line.live(3)
    return line


@pytest.fixture
def line(lived_line: Line, tmp_path: Path) -> Line:
    return lived_line.copy(tmp_path / "line")


def at(day: int, hour: int = 0) -> datetime:
    return datetime(2024, 1, day, hour, tzinfo=UTC)


def test_statistics_are_of_the_newest_period_that_is_known(line: Line) -> None:
    found = table_statistics(line.platform, "sales")
    units = [units_of(shop, "2024-01-07") for shop in SHOPS]
    assert (found.period, found.rows, found.known_at) == ("2024-01-07", 14, at(8, 6))
    assert list(found.columns) == ["day", "shop", "units", "price", "open", "channel"]
    column = found.columns["units"]
    assert (column.nulls, column.null_share, column.distinct) == (0, 0.0, len(set(units)))
    assert (column.minimum, column.maximum) == (min(units), max(units))
    assert column.mean == pytest.approx(sum(units) / 14)
    assert column.quantiles[0.5] == statistics.median(units)
    assert sum(bin.rows for bin in column.histogram) == 14 and len(column.histogram) <= MAX_BINS
    assert found.columns["channel"].frequent == (("web", 14),)
    assert found.columns["price"].frequent == (("1.5", 14),), "a number that is declared a category"
    assert found.columns["open"].frequent == (("true", 14),)
    day = found.columns["day"]
    assert (day.minimum, day.histogram, day.frequent) == (date(2024, 1, 7), (), ())


def test_the_sample_is_the_first_rows_in_the_order_of_keys_with_the_users_columns_alone(line: Line) -> None:
    sample = table_statistics(line.platform, "trend").sample
    assert [row["shop"] for row in sample] == ["s00", "s01", "s02", "s03", "s04"]
    assert set(sample[0]) == {"shop", "day", "level", "crowd"}


def test_a_static_table_has_statistics_without_a_period(line: Line) -> None:
    found = table_statistics(line.platform, "shops")
    assert (found.period, found.rows) == (None, 14)
    assert found.columns["region"].frequent == (("north", 7), ("south", 7))
    assert (found.freshness.state, found.freshness.due_at, found.freshness.age) == ("fresh", None, None)


def test_of_a_table_that_was_never_written_nothing_is_known(tmp_path: Path) -> None:
    line = Line(tmp_path / "line")
    line.platform.home.clock.set(at(5))
    for name in ("sales", "shops", "trend"):
        found = table_statistics(line.platform, name)
        assert (found.period, found.rows, found.sample, found.freshness.state) == (None, 0, (), "never")
        assert {column.null_share for column in found.columns.values()} == {None}
    assert table_freshness(line.platform, "trend").due_at == at(8), "the 5th is the first day, and visits lag two days"
    with pytest.raises(DefinitionError, match="table 'sale'"):
        table_statistics(line.platform, "sale")


def test_what_is_not_known_yet_by_the_clock_is_not_seen(line: Line) -> None:
    line.platform.home.clock.set(at(7, 7))
    assert table_statistics(line.platform, "sales").period == "2024-01-06"
    line.platform.home.clock.set(at(1))
    assert table_statistics(line.platform, "sales").freshness.state == "never"


def test_a_correction_shows_once_it_is_known_and_not_before(line: Line) -> None:
    before = table_statistics(line.platform, "sales")
    line.sales("2024-01-07", at=at(9), s00=99_999)
    after = table_statistics(line.platform, "sales")
    assert (after.columns["units"].maximum, after.known_at) == (99_999, at(9))
    line.platform.home.clock.set(at(8, 23))
    assert table_statistics(line.platform, "sales").columns == before.columns


def test_statistics_are_measured_once_for_the_same_states_and_judged_fresh_each_time(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = table_statistics(line.platform, "trend")
    monkeypatch.setattr(catalog_statistics, "_measured", lambda *_: pytest.fail("measured again"))
    line.platform.home.clock.set(at(30))
    again = table_statistics(line.platform, "trend")
    assert again.columns is first.columns
    assert (first.freshness.state, again.freshness.state) == ("fresh", "late")


def test_a_table_is_late_once_its_next_period_is_overdue(line: Line) -> None:
    due = at(9, 6)
    for now, state in (
        (due, "fresh"),
        (due + timedelta(days=3), "fresh"),
        (due + timedelta(days=3, seconds=1), "late"),
    ):
        line.platform.home.clock.set(now)
        found = table_freshness(line.platform, "sales")
        assert (found.state, found.newest_period, found.due_at) == (state, "2024-01-07", due)
        assert found.age == now - at(8)


def test_a_table_whose_last_period_is_there_is_never_late(line: Line) -> None:
    line.files.change("sales/defs.yaml", "last_period: 2024-12-31", "last_period: 2024-01-07")
    line.files.change("sales/defs.yaml", "  live_since: 2024-02-01\n", "")
    line.open().platform.home.clock.set(datetime(2025, 1, 1, tzinfo=UTC))
    found = table_freshness(line.platform, "sales")
    assert (found.state, found.due_at) == ("fresh", None)


def test_a_table_is_late_where_a_declared_freshness_is_broken(line: Line) -> None:
    line.files.change(
        "sales/defs.yaml", "  columns:\n    day: {type: date, description: Day of the sales}",
        "  expectations: [{freshness: {newest_row: 2 days}}]\n  columns:\n"
        "    day: {type: date, description: Day of the sales}",
    )  # fmt: skip
    line.open().platform.home.clock.set(at(9))
    assert freshness_of_all(line.platform) == dict.fromkeys(["sales", "shops", "visits", "trend"], "fresh")
    line.platform.home.clock.set(at(9, 1))
    assert freshness_of_all(line.platform)["sales"] == "late"


SCHEMA = TableSchema(
    ("key",),
    "day",
    (
        Column("key", "string", kind="key"),
        Column("day", "date", kind="time"),
        Column("a number", "double"),
        Column("whole", "bigint"),
        Column("amount", "decimal(20,2)"),
        Column("flag", "boolean", kind="category"),
        Column("seen", "timestamp"),
    ),
    Calendar("day"),
)


def rows_of(engine: Engine, numbers: Sequence[float | None], whole: Sequence[int | None]) -> Any:
    import pyarrow as pa

    count = len(numbers)
    return engine.rows(
        pa.table(
            {
                "key": [f"k{place % 3}" for place in range(count)],
                "day": [date(2024, 1, 1)] * count,
                "a number": pa.array(numbers, pa.float64()),
                "whole": pa.array(whole, pa.int64()),
                "amount": pa.array([n if n is None else Decimal(n).scaleb(-2) for n in whole], pa.decimal128(20, 2)),
                "flag": pa.array([None, *[True] * count][:count], pa.bool_()),
                "seen": pa.array([at(1 + place % 28) for place in range(count)], pa.timestamp("us", "UTC")),
            },
            schema=SCHEMA.arrow(),
        )
    )


def histogram_of(values: Sequence[float], column: ColumnStatistics) -> None:
    """See that a histogram counts each value in the bin that says so."""
    bins = column.histogram
    assert len(bins) <= MAX_BINS
    assert sum(bin.rows for bin in bins) == len(values)
    for place, bin in enumerate(bins):
        last = place == len(bins) - 1
        assert bin.rows == sum(
            bin.low <= value and (value <= bin.high if last else value < bin.high) for value in values
        )
        assert place == 0 or bin.low == bins[place - 1].high


SMALL = st.floats(allow_nan=True, allow_infinity=True) | st.sampled_from([0.0, 1.5, -2.0, 1e-300, math.inf, math.nan])


@settings(max_examples=30)
@given(
    rows=st.lists(
        st.tuples(st.none() | SMALL, st.none() | st.integers(-(2**53), 2**53) | st.integers(-5, 40)), max_size=50
    )
)
def test_histograms_count_every_finite_number_once_in_at_max_20_bins(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[float | None, int | None]]
) -> None:
    engine = DuckDBEngine(tmp_path_factory.getbasetemp())
    numbers, whole = [row[0] for row in rows], [row[1] for row in rows]
    count, columns = _measured(engine, rows_of(engine, numbers, whole), SCHEMA)
    assert count == len(rows)
    finite = [number for number in numbers if number is not None and math.isfinite(number)]
    integers = [number for number in whole if number is not None]
    histogram_of(finite, columns["a number"])
    histogram_of(integers, columns["whole"])
    histogram_of([number / 100 for number in integers], columns["amount"])
    assert columns["amount"].minimum == min((Decimal(number).scaleb(-2) for number in integers), default=None)
    assert columns["a number"].nulls == numbers.count(None)
    assert columns["whole"].distinct == len(set(integers))
    assert columns["key"].frequent == tuple(Counter(f"k{place % 3}" for place in range(count)).most_common())


@pytest.mark.parametrize("name", ["duckdb", pytest.param("spark", marks=pytest.mark.slow)])
def test_both_engines_tell_the_same(name: str, tmp_path: Path) -> None:
    source = random.Random(7)
    numbers = [source.choice([None, math.nan, source.gauss(0, 3)]) for _ in range(200)]
    whole = [source.choice([None, source.randrange(-50, 50)]) for _ in range(200)]
    engine, duckdb = engine_under_test(name, tmp_path), DuckDBEngine(tmp_path)
    count, columns = _measured(engine, rows_of(engine, numbers, whole), SCHEMA)
    expected, expected_columns = _measured(duckdb, rows_of(duckdb, numbers, whole), SCHEMA)
    assert count == expected == 200
    for column, others in zip(columns.values(), expected_columns.values(), strict=True):
        assert column.quantiles == pytest.approx(others.quantiles) and column.mean == pytest.approx(others.mean)
        assert (column.nulls, column.distinct, column.minimum, column.maximum, column.histogram, column.frequent) == (
            others.nulls, others.distinct, others.minimum, others.maximum, others.histogram, others.frequent,
        )  # fmt: skip
    assert tuple(columns["whole"].quantiles) == SHARES
    assert columns["flag"].frequent == (("true", 199),)
