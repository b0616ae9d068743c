"""Columns that repeat one another: what a user is warned of, and what not."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from mlops_assets.cli import main
from mlops_assets.features.catalog.duplicates import repeat_warnings, repeated_columns, repeats_of
from mlops_assets.project.load import load_project
from mlops_assets.starter import write_project
from mlops_assets_tests.project.small_project import SmallProject

ROOT = Path(__file__).parents[3]
SECOND = """\
type: mlops_assets.FeatureTable
attributes:
  name: {name}
  description: A second table
  primary_keys: [{key}]
  timestamp: day
  sql: {name}.sql
  history: {history}
  columns:
    {key}: {{type: string, description: Shop}}
    day: {{type: date, description: Day}}
    {column}: {{type: {type}, description: A column}}
"""


@pytest.fixture
def files(tmp_path: Path) -> SmallProject:
    return SmallProject(tmp_path / "project")


def add(
    files: SmallProject, sql: str, *, name: str = "second", column: str = "height", type_: str = "double",
    key: str = "shop", history: str = "9 days",
) -> None:  # fmt: skip
    """Declare a further feature table with one column beside key and day."""
    declared = SECOND.format(name=name, column=column, type=type_, key=key, history=history)
    files.write(f"{name}/defs.yaml", declared)
    files.write(f"{name}/{name}.sql", sql)


def repeats(files: SmallProject) -> list[str]:
    return [f"{repeat.column} repeats {repeat.of}" for repeat in repeated_columns(files.load())]


def test_the_small_project_repeats_nothing(files: SmallProject) -> None:
    assert repeats(files) == []


@pytest.mark.parametrize(
    "sql",
    [
        "select shop, day, LN(1 + units) as height from sales",
        "WITH s AS (SELECT shop, day AS d, units + 1 AS n FROM sales) SELECT shop, d AS day, ln(n) AS height FROM s",
        "SELECT shop, day, level AS height FROM trend",
    ],
)
def test_the_same_expression_over_the_same_columns_repeats_however_it_is_written(files: SmallProject, sql: str) -> None:
    add(files, sql)
    assert repeats(files) == ["second.height repeats trend.level"]
    assert repeats_of(files.load(), "second") == {"height": ("trend.level",)}
    assert repeats_of(files.load(), "trend") == {"level": ("second.height",)}


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT shop, day, ln(units + 2) AS height FROM sales",
        "SELECT shop, day, ln(visitors + 1) AS height FROM visits",
        "SELECT shop, day, ln(units + 1) + 0 AS height FROM sales",
        "SELECT shop, day, price AS height FROM sales",
        "SELECT shop, day, 1.5 AS height FROM sales",
        "SELECT shop, day, level + 1 AS height FROM trend",
    ],
)
def test_another_expression_a_copy_of_a_source_and_a_constant_repeat_nothing(files: SmallProject, sql: str) -> None:
    add(files, sql)
    add(files, sql.replace("height", "other"), name="third", column="other")
    found = repeats(files)
    assert not any("trend" in one for one in found)
    if " price AS" in sql or "1.5 AS" in sql:
        assert found == [], "two tables that carry a source's column along"
    else:
        assert found == ["third.other repeats second.height"]


def test_columns_of_other_keys_are_no_repeats_where_the_rows_that_they_sum_differ(files: SmallProject) -> None:
    by_shop = "SELECT shop, day, sum(units) AS height FROM sales GROUP BY ALL"
    add(files, by_shop, type_="bigint")
    add(files, by_shop.replace("shop", "channel"), name="third", key="channel", type_="bigint")
    add(files, by_shop.replace("FROM sales", "FROM sales WHERE open"), name="fourth", type_="bigint")
    assert repeats(files) == []


def test_declared_windows_repeat_those_of_another_table_with_longer_ones_beside(files: SmallProject) -> None:
    windows = """\
type: mlops_assets.FeatureTable
attributes:
  name: {name}
  description: Demand of a shop
  primary_keys: [shop]
  timestamp: day
  windows:
    source: sales
    aggregations: [{{column: units, functions: [sum], windows: [{windows}]}}]
"""
    files.write("one/defs.yaml", windows.format(name="one", windows="7 days, 14 days"))
    files.write("two/defs.yaml", windows.format(name="two", windows="7 days, 28 days"))
    assert repeats(files) == ["two.units_sum_7_days repeats one.units_sum_7_days"]


def test_the_one_to_keep_is_the_one_that_a_model_uses_unless_it_is_a_copy(files: SmallProject) -> None:
    add(files, "SELECT shop, day, ln(units + 1) AS height FROM sales", name="a_first")
    assert repeats(files) == ["a_first.height repeats trend.level"]
    files.change("forecast/defs.yaml", "table: trend, columns: [level, crowd]", "table: a_first, columns: [height]")
    files.change("forecast/defs.yaml", "baseline: trend.level", "baseline: a_first.height")
    assert repeats(files) == ["trend.level repeats a_first.height"]
    files.write("a_first/a_first.sql", "SELECT shop, day, level AS height FROM trend")
    assert repeats(files) == ["a_first.height repeats trend.level"]


def test_a_column_may_repeat_one_of_its_own_table_and_each_is_told_once(files: SmallProject) -> None:
    files.change("trend/trend.sql", "visitors AS crowd", "ln(1 + units) AS crowd")
    files.change("trend/defs.yaml", "crowd: {type: bigint", "crowd: {type: double")
    add(files, "SELECT shop, day, crowd AS height FROM trend")
    assert repeats(files) == ["trend.crowd repeats trend.level", "second.height repeats trend.level"]
    assert repeats_of(files.load(), "trend")["level"] == ("trend.crowd", "second.height")
    own, second = repeat_warnings(files.load())
    assert own.endswith("trend.crowd repeats trend.level (LN(1 + sales.units)): take one of them out.")
    assert second.startswith(f"{files.folder / 'second' / 'defs.yaml'}:1: second.height repeats trend.level (crowd): ")
    assert second.endswith("look that one up, or say why not.")


def test_neither_the_example_nor_what_init_writes_repeats_anything(tmp_path: Path) -> None:
    write_project(tmp_path / "shop")
    assert repeated_columns(load_project(tmp_path / "shop" / "shop" / "defs")) == ()
    assert repeated_columns(load_project(ROOT / "mlops_assets" / "defs")) == ()


def test_check_warns_of_a_repeat_and_is_content(tmp_path: Path) -> None:
    write_project(tmp_path / "shop")
    defs = tmp_path / "shop" / "shop" / "defs" / "orders"
    text = (defs / "defs.yaml").read_text(encoding="utf-8")
    declared = "    size: {type: double, description: Logarithm of one more than the units}\n"
    (defs / "defs.yaml").write_text(f"{text.rstrip()}\n{declared}", encoding="utf-8")
    sql = (defs / "order_trend.sql").read_text(encoding="utf-8")
    (defs / "order_trend.sql").write_text(sql.replace("\nFROM lagged", ",\n    ln(1 + units) AS size\nFROM lagged"))
    done = CliRunner().invoke(main, ["--project", str(tmp_path / "shop"), "check"])
    assert done.exit_code == 0, done.output
    warning, said = done.output.splitlines()
    assert "order_trend.size repeats order_trend.log_units (LN(1 + units))" in warning
    assert warning.startswith(f"warning: {defs / 'defs.yaml'}:")
    assert said.startswith("ok: ")
