"""Feature tables are evaluated at (P, as_of(P)): what was known then, and nothing else."""

import math
from pathlib import Path

import pytest

from mlops_assets.errors import ContractError, MissingDataError
from mlops_assets_tests.small_line import FIRST, SHOPS, Line, hours, lived_line, units_of

DAY = "2024-01-08"
PYTHON_TREND = """\
import pandas as pd


def features(sales: pd.DataFrame, visits: pd.DataFrame) -> pd.DataFrame:
    crowded = sales.merge(visits, on=["shop", "day"])
    return crowded.assign(level=crowded.price * crowded.units, crowd=crowded.visitors)
"""
SUMS = """\
type: mlops_assets.FeatureTable
attributes:
  name: sums
  description: Prices of some days
  primary_keys: [shop]
  timestamp: day
  windows: {source: sales, aggregations: [{column: price, functions: [sum, mean], windows: [2 days]}]}
"""


@pytest.fixture
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    return lived_line(tmp_path_factory, 4)


def test_a_partition_holds_the_rows_of_its_period_known_at_its_end_and_the_max_lag(line: Line) -> None:
    rows = line.platform.engine.known_at(line.platform.table("trend"), line.period(DAY).end + hours(48))
    newest = [row for row in rows.to_pylist() if str(row["day"]) == DAY]
    assert [row["shop"] for row in newest] == list(SHOPS)
    assert {row["known_at"] for row in newest} == {line.period(DAY).end + hours(48)}
    assert newest[3]["level"] == pytest.approx(math.log(units_of("s03", DAY) + 1))
    assert DAY not in {day for _, day in line.known("trend", line.period(DAY).end + hours(47.9), "level")}


def test_computing_a_partition_again_appends_nothing(line: Line) -> None:
    first = line.platform.table("trend").data_version(line.period(DAY))
    again = line.features(DAY)
    assert (again.rows, again.appended, again.data_version) == (len(SHOPS), 0, first)


def test_a_correction_that_came_later_is_known_from_then_on_and_changes_nothing_before(line: Line) -> None:
    late = line.period(DAY).end + hours(72)
    assert line.sales(DAY, at=late, s03=9).appended == {DAY: 1}
    corrected = line.features(DAY)
    assert (corrected.known_at, corrected.appended, corrected.corrections) == (late, 1, {late: 1})
    before = line.known("trend", late - hours(1), "level")["s03", DAY]
    assert before == pytest.approx(math.log(units_of("s03", DAY) + 1))
    assert line.known("trend", late, "level")["s03", DAY] == pytest.approx(math.log(10))
    assert line.features(DAY).appended == 0


def test_a_correction_before_the_period_spoke_is_seen(tmp_path_factory: pytest.TempPathFactory) -> None:
    line = lived_line(tmp_path_factory, 3)
    line.sales(DAY)
    line.sales(DAY, at=line.period(DAY).end + hours(30), s03=9)
    line.visits(DAY)
    line.features(DAY)
    assert line.known("trend", line.period(DAY).end + hours(48), "level")["s03", DAY] == pytest.approx(math.log(10))


def test_a_first_delivery_that_was_late_moves_the_as_of_of_its_period_and_of_no_other(line: Line) -> None:
    key = "2024-01-09"
    line.sales(key)
    line.visits(key, at=line.period(key).end + hours(100))
    written = line.features(key)
    assert written.known_at == line.period(key).end + hours(100)
    table = line.platform.project.feature_tables["trend"]
    assert line.platform.feature_table_as_of(table, line.period(DAY)) == line.period(DAY).end + hours(48)
    assert line.platform.model_as_of(line.model, line.period(key)) == line.period(key).end + hours(100)


def test_a_model_that_scores_without_late_sources_speaks_at_end_and_lag(tmp_path: Path) -> None:
    line = Line(
        tmp_path / "line", {("forecast/defs.yaml", "task: regression"): "task: regression\n  when_late: score_without"}
    )
    line.sales(DAY)
    line.visits(DAY, at=line.period(DAY).end + hours(100))
    assert line.platform.model_as_of(line.model, line.period(DAY)) == line.period(DAY).end + hours(48)


@pytest.mark.parametrize("kind", ["sql", "python"])
def test_a_number_that_is_not_finite_is_null_and_counted_or_refused_as_its_column_says(
    tmp_path: Path, kind: str
) -> None:
    line = Line(tmp_path / "line")
    if kind == "sql":
        line.files.change("trend/trend.sql", "ln(units + 1)", "price / (units - 5)")
    else:
        line.files.change("trend/defs.yaml", "sql: trend.sql", "python: trends:features\n  inputs: [sales, visits]")
        line.files.write("trend/trends.py", PYTHON_TREND)
    line.files.write("sums/defs.yaml", SUMS)
    line.open().shops()
    for day in (FIRST, "2024-01-06"):
        line.deliver("sales", f"{day},s01,9,1.5,true,web\n{day},s02,5,1e308,true,web\n", day)
        line.visits(day)
    written, sums = line.features(day), line.features(day, "sums")
    assert (written.not_finite, sums.not_finite) == ({"level": 1}, {"price_sum_2_days": 1, "price_mean_2_days": 1})
    assert line.known("trend", written.known_at, "level")["s02", day] is None
    assert line.known("sums", sums.known_at, "price_sum_2_days") == {("s01", day): 3.0, ("s02", day): None}
    assert (line.features(day).appended, line.features(day).not_finite) == (0, {"level": 1})
    generation = line.platform.project.feature_tables["trend"].generation
    line.files.change("trend/defs.yaml", "level: {type: double,", "level: {type: double, not_finite: refuse,")
    assert line.open().platform.project.feature_tables["trend"].generation == generation
    with pytest.raises(ContractError) as refused:
        line.features(day)
    assert str(refused.value).startswith("Found: in 'trend': 1 values of 'level' that are not finite. Expected: finite")


def test_a_label_that_is_not_finite_is_none(tmp_path: Path) -> None:
    line = Line(tmp_path / "line")
    line.files.change("forecast/growth.sql", "ln(later.units / now.units)", "1.0 / (later.units - now.units)")
    line.open().live(3)
    day, known_in = "2024-01-08", "2024-01-11"
    for key in (day, "2024-01-09", "2024-01-10", known_in):
        line.sales(key, s03=50)
        line.visits(key)
        line.features(key)
    written = line.labels(known_in)
    assert written.not_finite == {"growth": 1}
    labels = line.platform.engine.known_at(line.platform.labels(line.model), written.known_at).to_pylist()
    missing = [row["shop"] for row in labels if str(row["day"]) == day and row["growth"] is None]
    assert missing == ["s03"]


def test_a_query_sees_the_periods_of_its_history_and_no_more(tmp_path_factory: pytest.TempPathFactory) -> None:
    counting = "SELECT shop, max(day) AS day, ln(count(*)) AS level, count(*) AS crowd FROM sales GROUP BY shop\n"
    line = lived_line(tmp_path_factory, 9, {("trend/defs.yaml", "history: 8 days"): "history: 3 days"})
    line.files.write("trend/trend.sql", counting)
    line.open()
    line.features("2024-01-09")
    assert line.known("trend", line.period("2024-01-09").end + hours(48), "crowd")["s00", "2024-01-09"] == 3


def test_rows_of_other_periods_are_not_kept(line: Line) -> None:
    assert {day for _, day in line.known("trend", line.period(DAY).end + hours(48), "level")} == set(line.days(4))
    counting = "SELECT shop, day, units / 1.0 AS level, units AS crowd FROM sales"
    line.files.write("trend/trend.sql", counting)
    line.open()
    line.features(DAY)
    assert {day for _, day in line.known("trend", line.period(DAY).end + hours(48), "level")} == {DAY}


def test_an_input_that_was_not_delivered(line: Line) -> None:
    line.sales("2024-01-09")
    with pytest.raises(MissingDataError) as caught:
        line.features("2024-01-09")
    assert "no accepted delivery of source 'visits' for 2024-01-09" in caught.value.found
    assert not line.platform.table("trend").delta.counters(["2024-01-09"])["2024-01-09"]


def test_a_feature_table_that_was_not_computed(line: Line) -> None:
    from mlops_assets.features.feature_tables import require_inputs

    with pytest.raises(MissingDataError) as caught:
        require_inputs(line.platform, ("trend",), line.period("2024-01-09"), history=1)
    assert caught.value.found == "feature table 'trend' was not computed for 2024-01-09"
    assert caught.value.cure == "materialize trend for 2024-01-09 first; if its checks failed, mend their cause"


def test_rows_that_break_the_contract_are_not_written(tmp_path: Path) -> None:
    line = Line(tmp_path / "line", {("trend/defs.yaml", "level: {type: double,"): "level: {type: double, maximum: 1,"})
    line.shops()
    line.sales(DAY)
    line.visits(DAY)
    with pytest.raises(ContractError) as caught:
        line.features(DAY)
    assert "level" in str(caught.value)
    assert line.platform.table("trend").delta.version() is None
