"""Declared time windows mean what a slow oracle in plain Python computes: exact ends, duplicates, gaps and nulls."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.engines.contract import Engine, QueryInput
from mlops_assets.engines.duckdb import DuckDBEngine
from mlops_assets.engines.query import Query
from mlops_assets.errors import DefinitionError
from mlops_assets.features.generated_rows import write_rows
from mlops_assets.lakehouse.periods import Calendar, Duration, Period
from mlops_assets.project.definition import FeatureTableDefinition, ProjectDefinition
from mlops_assets.project.load import load_project
from mlops_assets.project.lookups import check_lookback
from mlops_assets.project.windows import periods_spanned
from mlops_assets_tests.project.small_project import SmallProject

SOURCE = """\
type: mlops_assets.Source
attributes:
  name: sales
  description: Units sold
  primary_keys: [shop, product]
  timestamp: day
  {period}
  columns:
    shop: {{type: string, description: Shop}}
    product: {{type: string, description: Product}}
    day: {{type: {time}, description: Day}}
    kind: {{type: string, description: Kind of sale}}
    units: {{type: bigint, description: Units sold}}
    price: {{type: "decimal(12,2)", description: Price}}
"""
BY_SHOP = """\
type: mlops_assets.FeatureTable
attributes:
  name: by_shop
  description: Sales of a shop
  primary_keys: [shop]
  timestamp: day
  windows:
    source: sales
    where: "kind = 'web' -- sold there"
    aggregations:
      - column: units
        functions: [sum, mean, count, min, max, stddev, distinct_count]
        windows: [{windows}]
      - {{column: price, functions: [sum, max, mean, stddev], windows: [{windows}]}}
      - {{column: product, functions: [distinct_count, min], windows: [{windows}]}}
"""
BY_SERIES = """\
type: mlops_assets.FeatureTable
attributes:
  name: by_series
  description: Sales of a product in a shop
  primary_keys: [shop, product]
  timestamp: day
  windows:
    source: sales
    aggregations:
      - {{column: units, functions: [last, sum], windows: [{windows}]}}
      - {{column: kind, functions: [last, count], windows: [{windows}]}}
"""
CALENDARS: Mapping[str, tuple[str, str, tuple[str, ...], Sequence[str]]] = {
    "day": (
        "period: day\n  first_period: 2024-01-01",
        "timestamp",
        ("1 day", "7 days", "36 hours", "1 month"),
        ("2024-02-28", "2024-02-29", "2024-03-30", "2024-03-31", "2024-05-01"),
    ),
    "week": (
        "period: week\n  week_ends_on: friday\n  first_period: 2024-01-06",
        "date",
        ("1 week", "10 days", "4 weeks", "1 month"),
        ("2024-02-24", "2024-03-30"),
    ),
    "month": (
        "period: month\n  first_period: 2024-01",
        "date",
        ("1 month", "2 months", "45 days", "1 year"),
        ("2024-02", "2024-03", "2024-12"),
    ),
}
Row = dict[str, Any]
FUNCTIONS: Mapping[str, Callable[[list[Any]], Any]] = {
    "sum": sum,
    "mean": lambda values: statistics.fmean(values) if values else None,
    "count": len,
    "min": lambda values: min(values, default=None),
    "max": lambda values: max(values, default=None),
    "last": lambda values: values[-1] if values else None,
    "stddev": lambda values: statistics.stdev(map(float, values)) if len(values) > 1 else None,
    "distinct_count": lambda values: len(set(values)),
}


def project_of(folder: Path, unit: str) -> ProjectDefinition:
    period, time, windows, _ = CALENDARS[unit]
    listed = ", ".join(windows)
    documents = (SOURCE.format(period=period, time=time), *(t.format(windows=listed) for t in (BY_SHOP, BY_SERIES)))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "defs.yaml").write_text("---\n".join(documents), encoding="utf-8")
    return load_project(folder)


def evaluated(
    engine: Engine,
    folder: Path,
    project: ProjectDefinition,
    table: FeatureTableDefinition,
    rows: list[Row],
    period: Period,
) -> list[Row]:
    import pyarrow as pa

    schema = project.sources["sales"].schema
    source = write_rows(folder, "sales", schema, pa.Table.from_pylist(rows, schema=schema.arrow()))
    first = schema.calendar.shift(period, 1 - table.history)
    assert isinstance(table.computation, Query)
    answer = engine.evaluate(
        table.computation,
        [QueryInput(source, first, period)],
        known_at=datetime(2025, 1, 1, tzinfo=UTC),
        schema=table.schema,
        keep=period,
    )
    found: list[Row] = engine.to_arrow(answer).to_pylist()
    return found


def expected(table: FeatureTableDefinition, rows: list[Row], period: Period) -> list[Row]:
    """One row for each key with rows in a window of the period or of the one before, each over (anchor − N, anchor]."""
    answers = []
    if table.name == "by_shop":
        rows = [row for row in rows if row["kind"] == "web"]
    rows = sorted((row for row in rows if row["time"] <= period.anchor), key=lambda row: row["time"])
    windows = {name: Duration.parse(" ".join(name.split("_")[-2:])) for name in table.schema.value_names}
    before = table.schema.calendar.shift(period, -1).anchor
    last = period.anchor if table.schema.column("day").type == "timestamp" else period.anchor.date()
    for key in sorted({tuple(row[name] for name in table.schema.keys) for row in rows}):
        of_key = [row for row in rows if tuple(row[name] for name in table.schema.keys) == key]
        if of_key[-1]["time"] <= min(window.before(before) for window in windows.values()):
            continue
        answer = dict(zip(table.schema.keys, key, strict=True)) | {"day": last}
        for name, window in windows.items():
            column, function, *_ = name.replace("distinct_count", "distinctcount").split("_")
            begin = window.before(period.anchor)
            values = [row[column] for row in of_key if row["time"] > begin and row[column] is not None]
            answer[name] = FUNCTIONS[function.replace("distinctcount", "distinct_count")](values)
        answers.append(answer)
    return answers


def rounded(row: Row) -> Row:
    return {name: round(value, 9) if isinstance(value, float) else value for name, value in row.items()}


sold = st.fixed_dictionaries(
    {
        "shop": st.sampled_from(["a", "b"]),
        "product": st.sampled_from(["x", "y"]),
        "hours": st.one_of(st.integers(0, 240), st.integers(0, 9600)),
        "kind": st.sampled_from(["web", "web", "counter", None]),
        "units": st.one_of(st.none(), st.integers(-3, 5)),
        "price": st.one_of(st.none(), st.sampled_from([Decimal("0.5"), Decimal("-2.25"), Decimal(7)])),
    }
)


@pytest.mark.slow
@pytest.mark.parametrize("unit", list(CALENDARS))
def test_windows_hold_exactly_the_last_n_up_to_the_end_of_the_period(
    tmp_path_factory: pytest.TempPathFactory, unit: str
) -> None:
    folder = tmp_path_factory.mktemp("windows")
    project = project_of(folder / "defs", unit)
    calendar = project.sources["sales"].schema.calendar

    @settings(max_examples=8)
    @given(sales=st.just([]) | st.lists(sold, min_size=15, max_size=40), key=st.sampled_from(CALENDARS[unit][3]))
    def check(sales: list[Row], key: str) -> None:
        period = calendar.at_key(key)
        rows: dict[tuple[Any, ...], Row] = {}
        for sale in sales:
            time = period.end - timedelta(hours=sale["hours"]) - timedelta(microseconds=sale["hours"] == 0)
            day: Any = time if unit == "day" else time.date()
            time = time if unit == "day" else datetime(time.year, time.month, time.day, tzinfo=UTC)
            rows[sale["shop"], sale["product"], day] = sale | {"day": day, "time": time}
        for table in project.feature_tables.values():
            wanted = expected(table, list(rows.values()), period)
            found = evaluated(DuckDBEngine(folder), folder, project, table, list(rows.values()), period)
            assert [rounded(row) for row in found] == [rounded(row) for row in wanted]

    check()


def test_columns_have_the_types_names_and_descriptions_that_follow_from_the_source(tmp_path: Path) -> None:
    table = project_of(tmp_path / "defs", "week").feature_tables["by_shop"]
    columns = {column.name: (column.type, column.kind, column.description) for column in table.schema.columns}
    assert columns["shop"] == ("string", "key", "Shop")
    assert columns["units_sum_1_week"] == ("bigint", "number", "Units sold: sum over the last 1 week")
    assert columns["units_mean_10_days"] == ("double", "number", "Units sold: mean over the last 10 days")
    assert columns["product_min_4_weeks"] == ("string", "category", "Product: least over the last 4 weeks")
    assert columns["product_distinct_count_1_month"][:2] == ("bigint", "number")
    assert columns["price_max_1_week"][:2] == ("decimal(12,2)", "number")
    assert columns["price_sum_1_week"][:2] == ("decimal(38,2)", "number")  # which no sum of prices is too large for
    assert columns["price_mean_1_week"][:2] == ("double", "number")
    assert len(columns) == 2 + 4 * (7 + 4 + 2)


@pytest.mark.parametrize(
    ("unit", "text", "periods"),
    [
        ("day", "1 day", 1), ("day", "36 hours", 2), ("day", "1 month", 31), ("day", "1 year", 366),
        ("week", "10 days", 2), ("week", "4 weeks", 4), ("month", "3 months", 3), ("month", "45 days", 2),
    ],
)  # fmt: skip
def test_a_window_spans_so_many_periods(unit: str, text: str, periods: int) -> None:
    assert periods_spanned(Duration.parse(text), Calendar(unit)) == periods  # type: ignore[arg-type]


@given(
    unit=st.sampled_from(["day", "week", "month"]),
    number=st.integers(1, 40),
    of=st.sampled_from(["hour", "day", "week", "month", "year"]),
    place=st.integers(0, 800),
)
def test_no_window_begins_before_the_history_that_is_derived(unit: Any, number: int, of: str, place: int) -> None:
    calendar, window = Calendar(unit, "friday"), Duration.parse(f"{number} {of}")
    period = calendar.shift(calendar.of(datetime(2023, 1, 1, tzinfo=UTC)), place)
    first = calendar.shift(period, 1 - periods_spanned(window, calendar))
    assert first.start <= window.before(period.anchor) + timedelta(microseconds=1)


WINDOWS = """\
type: mlops_assets.FeatureTable
attributes:
  name: recent
  description: Recent sales
  primary_keys: [shop]
  timestamp: day
  windows:
    source: sales
    aggregations:
      - {column: units, functions: [sum], windows: [7 days]}
"""


@pytest.fixture
def recent(project: SmallProject) -> SmallProject:
    project.write("recent/defs.yaml", WINDOWS)
    return project


def test_a_declared_column_describes_a_generated_one_otherwise(recent: SmallProject) -> None:
    before = recent.load().feature_tables["recent"]
    assert (before.history, before.inputs) == (8, ("sales",))
    columns = "  columns:\n    units_sum_7_days: {type: bigint, description: Units of a week, minimum: 0}\n"
    recent.write("recent/defs.yaml", WINDOWS + columns)
    table = recent.load().feature_tables["recent"]
    column = table.schema.column("units_sum_7_days")
    assert (column.description, column.minimum) == ("Units of a week", 0)
    assert table.generation == before.generation


def test_columns_are_as_sensitive_as_what_they_are_computed_from(recent: SmallProject) -> None:
    recent.change("sales/defs.yaml", "description: Units sold,", "description: Units sold, sensitivity: personal,")
    columns = recent.load().feature_tables["recent"].schema.columns
    assert {column.name: column.sensitivity for column in columns} == {
        "shop": "internal", "day": "internal", "units_sum_7_days": "personal"
    }  # fmt: skip


def test_a_model_reads_0_where_there_is_no_row_and_hides_none_that_holds(recent: SmallProject) -> None:
    looked_up = "    - {table: recent, columns: [units_sum_7_days]}\n    - {table: shops"
    recent.change("forecast/defs.yaml", "    - {table: shops", looked_up)
    assert [dict(lookup.default) for lookup in recent.load().models["forecast"].lookups] == [
        {}, {"units_sum_7_days": 0}, {}
    ]  # fmt: skip
    recent.change("forecast/defs.yaml", "[units_sum_7_days]}", "[units_sum_7_days], default: {units_sum_7_days: 7}}")
    assert recent.load().models["forecast"].lookups[1].default == {"units_sum_7_days": 7}
    recent.change("forecast/defs.yaml", "default: {units_sum_7_days: 7}}", "lookback: 1 day}")
    table = recent.load().feature_tables["recent"]  # a model waits until the row of its own day is known
    recent.change("forecast/defs.yaml", "lookback: 1 day}", "lookback: 12 hours}")
    error = recent.refusal()
    assert error.found == "a lookback of 12 hours in 'recent', whose newest row may be older and still hold"
    assert error.expected == "at least 1 days, for so long it may be the newest one that is known"
    assert error.where is not None
    assert error.where.line == recent.line("forecast/defs.yaml", "table: recent")
    sums = [table.schema.column("units_sum_7_days")]
    for asked_by, hours in ((Calendar("day"), 24), (Calendar("month"), 24), (None, 54)):  # 6 hours until it is known
        check_lookback(table, sums, Duration.parse(f"{hours} hours"), asked_by)
        with pytest.raises(DefinitionError):
            check_lookback(table, sums, Duration.parse(f"{hours - 1} hours"), asked_by)


def test_windows_may_lie_over_a_feature_table(recent: SmallProject) -> None:
    recent.write("recent/defs.yaml", WINDOWS.replace("source: sales", "source: trend").replace("units", "crowd"))
    assert recent.load().feature_tables["recent"].inputs == ("trend",)


FAULTS: Mapping[str, tuple[str, str, str]] = {
    "column 'unit', which 'sales' does not have": ("column: units", "column: unit", "column:"),
    "column 'store', which 'sales' does not have": ("keys: [shop]", "keys: [store]", "primary_keys"),
    "timestamp 'date' of windows over 'sales'": ("timestamp: day", "timestamp: date", "timestamp"),
    "an input 'sale', which no component declares": ("source: sales", "source: sale", "source: sale"),
    "only static tables as inputs": ("source: sales", "source: shops", "source: shops"),
    "'recent' reads itself": ("source: sales", "source: recent", "source: recent"),
    "sum of 'channel', which is of type string": ("column: units", "column: channel", "column:"),
    "duration '7 fortnights'": ("[7 days]", "[7 fortnights]", "column:"),
    "a window of '0 days'": ("[7 days]", "[0 days]", "column:"),
    "a second column 'units_sum_7_days'": ("[7 days]", "[7 days, 7 day]", "column:"),
    "now, which asks for the clock": ("source: sales", "source: sales\n    where: units > now()", "where"),
    "the character U+200B (ZERO WIDTH SPACE) outside of quotation marks": (
        "source: sales", "source: sales\n    where: units > \u200bnow()", "where"
    ),
    "a condition that reads 'shops'": (
        "source: sales", "source: sales\n    where: shop in (select shop from shops)", "where"
    ),
    "'recent' with sql and windows": ("timestamp: day", "timestamp: day\n  sql: recent.sql", "windows:"),
    "a history of 7 days with windows that need 8": (
        "timestamp: day", "timestamp: day\n  history: 7 days", "history"
    ),
    "inputs beside 'windows'": ("timestamp: day", "timestamp: day\n  inputs: [sales]", "inputs"),
}  # fmt: skip


@pytest.mark.parametrize("found", list(FAULTS))
def test_windows_that_cannot_be(recent: SmallProject, found: str) -> None:
    old, new, line = FAULTS[found]
    recent.change("recent/defs.yaml", old, new)
    error = recent.refusal()
    assert error.found == found
    assert error.where is not None
    assert error.where.line == recent.line("recent/defs.yaml", line)


def test_last_needs_one_row_at_each_time(recent: SmallProject) -> None:
    recent.change("recent/defs.yaml", "functions: [sum]", "functions: [last]")
    assert recent.load().feature_tables["recent"].schema.column("units_last_7_days").type == "bigint"
    recent.change("recent/defs.yaml", "primary_keys: [shop]", "primary_keys: [channel]")
    assert recent.refusal().found == "last of 'units', where 'sales' may have several rows at one time"


def test_a_column_that_the_windows_do_not_give(recent: SmallProject) -> None:
    recent.write("recent/defs.yaml", WINDOWS + "  columns:\n    units_sum_8_days: {type: bigint, description: Units}\n")
    error = recent.refusal()
    assert error.found == "column 'units_sum_8_days' of type bigint, which the windows do not give"
    assert error.expected == "one of: shop (string), day (date), units_sum_7_days (bigint)"


def test_a_feature_table_that_nothing_computes(recent: SmallProject) -> None:
    recent.write("recent/defs.yaml", WINDOWS[: WINDOWS.index("  windows")])
    assert recent.refusal().found == "'recent' with nothing that computes it"
