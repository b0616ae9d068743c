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
    copy = lived.copy(tmp_path)
    on_spark = Lived(copy.project, Home(tmp_path / "on spark"), copy.first, copy.last)
    on_spark.user.mkdir(exist_ok=True)
    settings = "".join(f'"{name}" = "{value}"\n' for name, value in SETTINGS.items())
    with (on_spark.project / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write(f'\n[tool.mlops_assets]\nengine = "spark"\n\n[tool.mlops_assets.spark]\n{settings}')
    run_replay_command(on_spark, on_spark.first, on_spark.last)
    expected = data_versions(lived.home)
    assert data_versions(on_spark.home) == expected
    assert (on_spark.home.scratch / "spark").is_dir()
    assert list(on_spark.user.iterdir()) == []
