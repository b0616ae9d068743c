"""Which engine runs what: the project's choice, the environment's, and a table's own."""

from dataclasses import replace
from pathlib import Path

import pytest

from mlops_assets.engines.duckdb import DuckDBEngine
from mlops_assets.engines.limits import REQUEST_LIMITS, Limits
from mlops_assets.engines.spark import SparkEngine
from mlops_assets.errors import DefinitionError, UnusableEnvironmentError
from mlops_assets.lakehouse.home import Home
from mlops_assets.operations.check import check_project
from mlops_assets.platform import Platform
from mlops_assets.project.engine_settings import read_engine_settings
from mlops_assets_tests.project.small_project import SmallProject

LIMITS = "[tool.mlops_assets.limits]\n"


@pytest.fixture
def shop(tmp_path: Path) -> SmallProject:
    """The small project, in a package beside which a pyproject.toml may lie."""
    return SmallProject(tmp_path / "shop" / "defs")


def settle(project: SmallProject, text: str) -> None:
    (project.folder.parent.parent / "pyproject.toml").write_text(text, encoding="utf-8")


def platform(project: SmallProject) -> Platform:
    return Platform.of(project.load(), Home(project.folder.parent / "home"))


def test_without_settings_everything_runs_on_duckdb(shop: SmallProject) -> None:
    assert isinstance(platform(shop).engine, DuckDBEngine)
    settle(shop, "[project]\nname = 'shop'\n")
    assert isinstance(platform(shop).engine_of("trend"), DuckDBEngine)


def test_a_project_names_its_engine_and_any_setting_of_spark(shop: SmallProject) -> None:
    settle(
        shop,
        '[tool.mlops_assets]\nengine = "spark"\n[tool.mlops_assets.spark]\n"spark.master" = "local[2]"\n'
        '"spark.ui.enabled" = true\nspark.sql.shuffle.partitions = 8\n',
    )
    engine = platform(shop).engine
    assert isinstance(engine, SparkEngine)
    assert engine.settings == {
        "spark.master": "local[2]",
        "spark.ui.enabled": "true",
        "spark.sql.shuffle.partitions": "8",
    }


def test_a_project_says_what_evaluations_and_requests_may_take(shop: SmallProject) -> None:
    generous = platform(shop)
    assert (generous.engine.limits.seconds, generous.request_engine.limits.seconds) == (3_600, 10)  # type: ignore[attr-defined]
    settle(shop, f"{LIMITS}evaluation_seconds = 60\nrequest_megabytes = 200\nspill_megabytes = 5\n")
    found = platform(shop)
    assert found.engine.limits == Limits(seconds=60, spill_megabytes=5)  # type: ignore[attr-defined]
    assert found.request_engine.limits == replace(REQUEST_LIMITS, megabytes=200, spill_megabytes=5)  # type: ignore[attr-defined]


def test_settings_that_are_not_toml_are_refused_with_their_file(shop: SmallProject) -> None:
    settle(shop, "[tool")
    with pytest.raises(DefinitionError, match="pyproject.toml: Found: a file that is not TOML"):
        platform(shop)


def test_the_environment_names_another_engine(shop: SmallProject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_ENGINE", "spark")
    assert isinstance(platform(shop).engine, SparkEngine)
    monkeypatch.setenv("MLOPS_ENGINE", "Spark")
    with pytest.raises(UnusableEnvironmentError) as refused:
        platform(shop)
    assert (refused.value.found, refused.value.expected) == ("MLOPS_ENGINE is 'Spark'", "duckdb or spark")


def test_a_table_chooses_its_own_engine_and_keeps_its_generation(shop: SmallProject) -> None:
    before = shop.load().feature_tables["trend"].generation
    shop.change("trend/defs.yaml", "  name: trend\n", "  name: trend\n  engine: spark\n")
    found = platform(shop)
    assert isinstance(found.engine_of("trend"), SparkEngine)
    assert {type(found.engine_of(name)) for name in ("sales", "forecast.labels", "context")} == {DuckDBEngine}
    assert found.project.feature_tables["trend"].generation == before


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('[tool.mlops_assets]\nengine = "polars"\n', "engine 'polars' in [tool.mlops_assets]"),
        ('[tool.mlops_assets.spark]\n"spark.master" = ["a"]\n', "'spark.master' = ['a'] in [tool.mlops_assets.spark]"),
        (f"{LIMITS}evaluation_secs = 5\n", "'evaluation_secs' = 5 in [tool.mlops_assets.limits]"),
        (f"{LIMITS}spill_megabytes = 0\n", "'spill_megabytes' = 0 in [tool.mlops_assets.limits]"),
        (f"{LIMITS}'request_seconds' = 2.5\n", "'request_seconds' = 2.5 in [tool.mlops_assets.limits]"),
        (f"{LIMITS}request_seconds = true\n", "'request_seconds' = True in [tool.mlops_assets.limits]"),
        ("[tool.mlops_assets]\nlimits = 'none'\n", "'limits' = 'none' in [tool.mlops_assets.limits]"),
        ('[tool.mlops_assets]\nspark = "local"\n', "'' = 'local' in [tool.mlops_assets.spark]"),
        ("[tool]\nmlops_assets = 3\n", "tool.mlops_assets = 3"),
    ],
)
def test_settings_that_mean_nothing_are_refused_with_their_file(shop: SmallProject, text: str, found: str) -> None:
    settle(shop, text)
    with pytest.raises(DefinitionError) as refused:
        read_engine_settings(shop.folder)
    assert refused.value.found == found
    assert refused.value.where is not None and refused.value.where.file.name == "pyproject.toml"
    assert refused.value.where.line == 2


@pytest.mark.parametrize("how", ["table", "platform"])
def test_check_refuses_what_spark_answers_otherwise_with_file_and_line_and_starts_nothing(
    shop: SmallProject, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, how: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # no Java
    check_project(shop.load())
    sql = (shop.folder / "trend/trend.sql").read_text(encoding="utf-8")
    shop.write("trend/trend.sql", f"SELECT * FROM (\n{sql}\n)\nWHERE (SELECT median(units) FROM sales) IS NOT NULL\n")
    check_project(shop.load())
    if how == "table":
        shop.change("trend/defs.yaml", "  name: trend\n", "  name: trend\n  engine: spark\n")
    else:
        monkeypatch.setenv("MLOPS_ENGINE", "spark")
    with pytest.raises(DefinitionError) as refused:
        check_project(shop.load())
    assert refused.value.found == "MEDIAN(units), which Spark does not have with the same answers"
    assert str(refused.value.where) == f"{shop.folder / 'trend/trend.sql'}:{shop.line('trend/trend.sql', 'median')}"
