"""``mlops-assets ingest``, as a user runs it."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from mlops_assets.cli import main
from mlops_assets.lakehouse.home import Home
from mlops_assets.starter import write_project


def test_a_file_that_is_passed_over_is_named_where_nothing_waits(
    tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(home.dagster))  # which the command sets
    write_project(tmp_path / "shop")
    landing = home.landing / "orders"
    landing.mkdir(parents=True)
    (landing / "2024-1-6.csv").write_text("x", encoding="utf-8")
    done = CliRunner().invoke(main, ["--project", str(tmp_path / "shop"), "ingest", "orders"])
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[-2:] == [
        "orders passes over files in its landing folder: 2024-1-6.csv (a file is called {period}.csv, such as "
        "2024-01-01.csv)",
        "orders: nothing waits",
    ]
