"""A replay on each engine: the same tables, to the last bit."""

from pathlib import Path

import pytest

from mlops_assets.lakehouse.home import Home
from mlops_assets_tests.conftest import Lived, require_program, run_replay_command
from mlops_assets_tests.end_to_end.replaying import data_versions
from mlops_assets_tests.spark_session import SETTINGS


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_replay_on_spark_gives_the_data_versions_of_a_replay_on_duckdb(lived: Lived, tmp_path: Path) -> None:
    require_program("java", "a Java runtime of version 17 or newer")
    on_duckdb = lived.copy(tmp_path)
    # A short past: a partition takes Spark seconds, however small.
    for name, old, new in (
        ("orders", "first_period: 2024-01-01", "first_period: 2024-01-14"),
        ("orders_forecast", "validation: 7 days, min_rows: 100", "validation: 2 days, min_rows: 20"),
    ):
        file = on_duckdb.project / "shop" / "defs" / name / "defs.yaml"
        text = file.read_text(encoding="utf-8")
        assert text.count(old) == 1
        file.write_text(text.replace(old, new), encoding="utf-8")
    on_duckdb = Lived(on_duckdb.project, Home(tmp_path / "on duckdb"), lived.first, "2024-01-25")
    on_duckdb.user.mkdir(exist_ok=True)
    run_replay_command(on_duckdb, on_duckdb.first, on_duckdb.last)
    expected = data_versions(on_duckdb.home)
    assert {"orders", "order_trend", "orders_forecast.training_set", "orders_forecast.predictions"} <= set(expected)

    on_spark = Lived(on_duckdb.project, Home(tmp_path / "on spark"), on_duckdb.first, on_duckdb.last)
    settings = "".join(f'"{name}" = "{value}"\n' for name, value in SETTINGS.items())
    with (on_spark.project / "pyproject.toml").open("a", encoding="utf-8") as pyproject:
        pyproject.write(f'\n[tool.mlops_assets]\nengine = "spark"\n\n[tool.mlops_assets.spark]\n{settings}')
    run_replay_command(on_spark, on_spark.first, on_spark.last)
    assert data_versions(on_spark.home) == expected
    assert (on_spark.home.scratch / "spark").is_dir()
    assert list(on_spark.user.iterdir()) == []
