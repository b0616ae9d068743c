"""`check` proves that histories are long enough: over generated rows, and over the home's where there are some."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.errors import ContractError, DefinitionError
from mlops_assets.features.history import min_history
from mlops_assets.lakehouse.home import Home
from mlops_assets.operations.check import check_project
from mlops_assets.project.load import load_project
from mlops_assets_tests.project.small_project import SmallProject
from mlops_assets_tests.small_line import lived_line

SALES = """\
type: mlops_assets.Source
attributes:
  name: sales
  description: Units sold by shop
  primary_keys: [shop]
  timestamp: day
  period: {unit}
  first_period: {first}
  columns:
    shop: {{type: string, description: Shop}}
    day: {{type: date, description: Day}}
    units: {{type: bigint, description: Units sold{nullable}}}
"""
TABLE = """\
type: mlops_assets.FeatureTable
attributes:
  name: change
  description: What changed
  primary_keys: [shop]
  timestamp: day
  sql: change.sql
  history: {history}
  columns:
    shop: {{type: string, description: Shop}}
    day: {{type: date, description: Day}}
    same: {{type: bigint, description: Units}}
    change: {{type: double, description: Change}}
"""
FIRST = {"day": "2023-01-01", "week": "2023-01-02", "month": "2023-01"}


@pytest.fixture
def project(tmp_path: Path) -> SmallProject:
    return SmallProject(tmp_path / "defs")


def checked(
    folder: Path,
    expression: str,
    history: str,
    unit: str = "month",
    where: str = "true",
    nullable: bool = False,
    day: str = "day",
) -> list[str]:
    """The warnings of a project with one table; ``expression`` is its column ``change``, over the window ``shop``."""
    folder.mkdir(parents=True, exist_ok=True)
    columns = "" if nullable else ", nullable: false"
    source = SALES.format(unit=unit, first=FIRST[unit], nullable=columns)
    (folder / "defs.yaml").write_text(f"{source}---\n{TABLE.format(history=history)}", encoding="utf-8")
    (folder / "change.sql").write_text(
        f"SELECT shop, {day}, units AS same, {expression} AS change FROM sales WHERE {where} "
        "WINDOW shop AS (PARTITION BY shop ORDER BY day)",
        encoding="utf-8",
    )
    return check_project(load_project(folder))


def refusal(
    folder: Path, expression: str, history: str, unit: str = "month", where: str = "true", nullable: bool = False
) -> DefinitionError:
    with pytest.raises(DefinitionError) as caught:
        checked(folder, expression, history, unit, where, nullable)
    return caught.value


def earlier(number: int, unit: str) -> str:
    bound = f"INTERVAL {number} {unit.upper()} PRECEDING"
    return f"units - max(units) OVER (shop RANGE BETWEEN {bound} AND {bound})"


@pytest.mark.slow
def test_a_history_that_ends_before_the_frame_is_refused_with_the_min_that_would_do(tmp_path: Path) -> None:
    error = refusal(tmp_path, earlier(12, "month"), "6 months")
    assert error.found == (
        "feature table 'change' gives another change when it sees more than its 6 months (over generated rows)"
    )
    assert error.expected == "a history of at least 13 months"
    assert error.cure == "write 'history: 13 months'"
    assert str(error.where) == f"{tmp_path / 'defs.yaml'}:21"
    assert checked(tmp_path, earlier(12, "month"), "13 months") == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("unit", "back", "history", "least"),
    [("day", 7, "7 days", 8), ("day", 7, "1 days", 8), ("week", 52, "4 weeks", 53), ("month", 24, "3 months", 25)],
)
def test_a_frame_far_beyond_double_the_history_is_seen_too(
    tmp_path: Path, unit: str, back: int, history: str, least: int
) -> None:
    error = refusal(tmp_path, earlier(back, unit), history, unit)
    assert error.expected == f"a history of at least {least} {unit}s"
    assert checked(tmp_path, earlier(back, unit), f"{least} {unit}s", unit) == []


def test_the_last_value_that_is_not_null_needs_the_whole_frame_though_max_rows_have_one(tmp_path: Path) -> None:
    last = "last_value(units IGNORE NULLS) OVER (shop RANGE BETWEEN INTERVAL 5 MONTH PRECEDING AND CURRENT ROW)"
    assert refusal(tmp_path, last, "3 months", nullable=True).expected == "a history of at least 6 months"
    assert checked(tmp_path, last, "6 months", nullable=True) == []


NUMBERED = f"""\
{SALES.format(unit="month", first="2023-01", nullable="").replace("units", "manager")}---
type: mlops_assets.Source
attributes:
  name: managers
  description: Managers
  static: true
  primary_keys: [manager]
  columns:
    manager: {{type: bigint, description: Manager}}
    since: {{type: bigint, description: Year}}
---
{TABLE.format(history="1 months")}"""


def test_a_sum_over_all_that_is_seen_has_no_history_that_is_long_enough(tmp_path: Path) -> None:
    error = refusal(tmp_path, "sum(units) OVER (shop)", "6 months")
    assert error.found.endswith("when it sees more than its 6 months, up to 37 months (over generated rows)")
    assert error.cure == "bound how far it looks back, such as by a RANGE frame"


def test_sums_of_floats_that_differ_in_their_last_digits_are_the_same(tmp_path: Path) -> None:
    mean = "avg(units / 7.0) OVER (shop RANGE BETWEEN INTERVAL 6 DAY PRECEDING AND CURRENT ROW)"
    assert checked(tmp_path, mean, "7 days", "day") == []


def test_rows_that_are_missing_with_the_shorter_history_are_a_difference(tmp_path: Path) -> None:
    within = "day >= (SELECT min(day) FROM sales) + INTERVAL 5 MONTH"
    error = refusal(tmp_path, "1.0", "3 months", "month", within)
    assert "gives another shop, day when" in error.found


def test_values_that_the_sql_names_are_among_the_generated_ones(tmp_path: Path) -> None:
    error = refusal(tmp_path, earlier(3, "month"), "2 months", "month", "shop = 'Safety net'")
    assert error.expected == "a history of at least 4 months"


def test_a_query_that_repeats_keys_over_generated_rows_is_compared_all_the_same(tmp_path: Path) -> None:
    by_month = "CAST(date_trunc('month', day) AS DATE) AS day"
    assert checked(tmp_path, "units / 2.0", "2 months", day=by_month) == []


def test_a_column_that_is_a_key_elsewhere_finds_partners(tmp_path: Path) -> None:
    (tmp_path / "defs.yaml").write_text(NUMBERED, encoding="utf-8")
    (tmp_path / "change.sql").write_text(
        "SELECT shop, day, manager AS same, CAST(since AS DOUBLE) AS change FROM sales JOIN managers USING (manager)",
        encoding="utf-8",
    )
    assert check_project(load_project(tmp_path)) == []


@pytest.mark.parametrize(
    ("expression", "where", "reason"),
    [
        ("1.0", "shop LIKE 'x%' AND shop LIKE '%y'", "it gives no rows"),
        ("CAST(shop AS BIGINT)", "true", "the SQL in"),
    ],
)
def test_what_could_not_be_proven_is_a_warning(tmp_path: Path, expression: str, where: str, reason: str) -> None:
    (warning,) = checked(tmp_path, expression, "2 months", where=where)
    assert warning.startswith(
        f"{tmp_path / 'defs.yaml'}:21: the history of feature table 'change' is not proven long enough: "
        f"over generated rows {reason}"
    )


def test_check_warns_of_keys_that_repeat_over_inputs_that_keep_theirs(tmp_path: Path) -> None:
    twice = "true UNION ALL SELECT shop, day, units, 0.0 FROM sales WHERE shop > 'a'"
    (warning,) = checked(tmp_path, "0.5", "1 month", where=twice)
    assert warning == (
        f"{tmp_path / 'change.sql'}: feature table 'change' gives 2 of 5 rows the shop, day of another (over generated "
        "rows), and of such rows only one can be kept: aggregate, or join on whole keys."
    )
    assert checked(tmp_path, "0.5", "1 month") == []


def test_check_warns_of_an_order_that_may_leave_rows_tied(tmp_path: Path) -> None:
    (warning,) = checked(tmp_path, "row_number() OVER (PARTITION BY day ORDER BY units)", "1 month")
    assert warning == (
        f"{tmp_path / 'change.sql'}:1: ROW_NUMBER() in a window takes any of the rows that its order leaves tied: "
        "add shop to the ORDER BY."
    )
    assert checked(tmp_path, "row_number() OVER (PARTITION BY day ORDER BY units, shop)", "1 month") == []


@pytest.mark.slow
def test_the_history_of_population_and_label_is_proven_too(project: SmallProject) -> None:
    assert check_project(project.load()) == []
    project.write(
        "forecast/selling.sql",
        "SELECT shop, day FROM sales QUALIFY min(units) OVER (PARTITION BY shop ORDER BY day "
        "RANGE BETWEEN INTERVAL 4 DAY PRECEDING AND INTERVAL 4 DAY PRECEDING) > 0",
    )
    with pytest.raises(DefinitionError) as caught:
        check_project(project.load())
    assert caught.value.found.startswith("the population of 'forecast' gives another shop, day when")
    assert caught.value.expected == "a history of at least 5 days"
    assert caught.value.where is not None
    assert caught.value.where.line == project.line("forecast/defs.yaml", "history")


@pytest.mark.slow
def test_the_label_sees_the_periods_between_the_one_it_is_about_and_the_one_it_is_known_in(
    project: SmallProject,
) -> None:
    project.change("forecast/defs.yaml", "horizon: 1, delay: 2", "horizon: 1, delay: 1")
    project.change("forecast/growth.sql", "INTERVAL 1 DAY", "INTERVAL 1 DAY\nJOIN sales AS first "
                   "ON first.shop = now.shop AND first.day = now.day - INTERVAL 3 DAY")  # fmt: skip
    with pytest.raises(DefinitionError) as caught:
        check_project(project.load())
    assert caught.value.found.startswith("the label of 'forecast' gives another shop, day when")
    assert caught.value.expected == "a history of at least 6 days"


PYTHON = TABLE.replace("sql: change.sql", "python: change:features\n  inputs: [sales]").replace(
    "    change: {{type: double, description: Change}}\n", ""
)


def python_checked(folder: Path, text: str, history: str = "2 months") -> list[str]:
    source = SALES.format(unit="month", first="2023-01", nullable="")
    (folder / "defs").mkdir(exist_ok=True)
    (folder / "defs" / "defs.yaml").write_text(f"{source}---\n{PYTHON.format(history=history)}", encoding="utf-8")
    (folder / "defs" / "change.py").write_text(text, encoding="utf-8")
    return check_project(load_project(folder / "defs"))


SUMMED = """\
import pandas as pd

seen = []

def features(sales: pd.DataFrame) -> pd.DataFrame:
    recent = sales[sales.day.dt.to_period("M") > sales.day.max().to_period("M") - 3]
    same = recent.groupby("shop").units.sum()
    return sales.assign(same=sales.shop.map(same))
"""


def test_a_python_function_s_history_is_proven_as_that_of_sql(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError) as caught:
        python_checked(tmp_path, SUMMED)
    assert "gives another same when" in caught.value.found
    assert caught.value.expected == "a history of at least 3 months"
    assert python_checked(tmp_path, SUMMED, "3 months") == []


@pytest.mark.parametrize("again", ["seen.append(1) or len(seen)", "pd.Series(range(len(sales))).sample(frac=1).values"])
def test_a_python_function_that_answers_differently_the_second_time_is_refused(tmp_path: Path, again: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        python_checked(tmp_path, SUMMED.replace("sales.shop.map(same)", f"(0 * sales.units) + ({again})"))
    assert caught.value.found == "'features' answers differently when it is called again with the same rows"
    assert str(caught.value.where) == f"{tmp_path / 'defs' / 'change.py'}:5"


def test_a_python_function_that_fails_over_rows_that_keep_the_contract_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractError) as caught:
        python_checked(tmp_path, SUMMED.replace("sales.day.max()", "sales.date.max()"))
    assert caught.value.found.startswith("'features' raised AttributeError: 'DataFrame' object has no attribute 'date'")
    assert str(caught.value.where) == f"{tmp_path / 'defs' / 'change.py'}:6"


@pytest.mark.slow
def test_the_home_s_rows_show_what_generated_rows_cannot(tmp_path_factory: pytest.TempPathFactory) -> None:
    line = lived_line(tmp_path_factory, 9)
    line.files.change("trend/defs.yaml", "history: 8 days", "history: 2 days")
    line.files.write(
        "trend/trend.sql",
        "SELECT sales.shop, sales.day, ln(units + 1) AS level, count(*) OVER (PARTITION BY shop ORDER BY day RANGE "
        "BETWEEN INTERVAL 2 DAY PRECEDING AND CURRENT ROW) AS crowd FROM sales WHERE sales.shop IN "
        "(SELECT max(s.shop) FROM sales AS s WHERE s.shop LIKE 's1%' AND s.shop LIKE '%0')",
    )
    line.open()
    before = sorted(line.platform.home.folder.rglob("*"))
    (warning,) = check_project(line.platform.project)
    assert "over generated rows it gives no rows" in warning
    with pytest.raises(DefinitionError) as caught:
        check_project(line.platform.project, line.platform.home)
    assert caught.value.found == (
        "feature table 'trend' gives another crowd when it sees more than its 2 days (in the home's data of 2024-01-13)"
    )
    assert caught.value.expected == "a history of at least 3 days"
    assert sorted(line.platform.home.folder.rglob("*")) == before


def test_a_home_without_data_changes_nothing(project: SmallProject, home: Home) -> None:
    assert check_project(project.load(), home) == []


@given(enough=st.integers(2, 60), history=st.integers(1, 59))
def test_the_min_history_is_found_by_doubling_and_halving(enough: int, history: int) -> None:
    if history < enough:
        assert min_history(lambda periods: periods >= enough, history, 61) == enough
