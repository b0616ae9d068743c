"""What only Spark has: rows that do not come to the driver, a Java that may be missing, and settings."""

import subprocess
import sys
from pathlib import Path

import pytest

from mlops_assets.engines.spark import SparkEngine
from mlops_assets.engines.spark.session import require_spark, session_settings
from mlops_assets.errors import SurroundingsError
from mlops_assets_tests.conftest import require_program


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_rows_that_the_driver_may_not_take_are_computed_looked_up_and_written(tmp_path: Path) -> None:
    require_program("java", "a Java runtime of version 17 or newer")
    done = subprocess.run(
        [sys.executable, "-m", "mlops_assets_tests.engines.small_driver", str(tmp_path / "tables")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("rows 60000 of ")


def test_without_java_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(SurroundingsError) as refused:
        SparkEngine(tmp_path).session  # noqa: B018
    assert refused.value.found == "the engine is spark, and there is no program 'java' on the PATH"
    assert refused.value.expected == "a Java runtime, version 17 or newer"
    assert refused.value.cure == "install Java 17 (and set JAVA_HOME to it), or set the engine to duckdb"
    assert list(tmp_path.iterdir()) == []


def test_a_java_home_without_java_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(SurroundingsError) as refused:
        require_spark()
    assert refused.value.found == f"the engine is spark, and there is no program 'java' in JAVA_HOME ({tmp_path})"


@pytest.mark.parametrize("package", ["pyspark", "dagster_pyspark"])
def test_without_the_extra_the_error_names_it(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    known = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else known(name))
    with pytest.raises(SurroundingsError) as refused:
        require_spark()
    assert refused.value.found == f"the engine is spark, and the package {package} is not installed"
    assert refused.value.cure == "install mlops-assets[spark], or set the engine to duckdb"


def test_a_users_settings_are_taken_but_for_those_that_a_meaning_rests_on(tmp_path: Path) -> None:
    given = {
        "spark.master": "spark://cluster:7077",
        "spark.executor.memory": "4g",
        "spark.sql.session.timeZone": "America/New_York",
        "spark.driver.extraJavaOptions": "-Xss4m",
    }
    settings = session_settings(given, tmp_path)
    assert (settings["spark.master"], settings["spark.executor.memory"]) == ("spark://cluster:7077", "4g")
    assert settings["spark.sql.session.timeZone"] == "UTC"
    assert settings["spark.driver.extraJavaOptions"] == f'-Djava.io.tmpdir="{tmp_path / "spark"}" -Xss4m'
    assert "spark.driver.host" not in settings
    assert session_settings({}, tmp_path)["spark.driver.host"] == "127.0.0.1"
