"""The replay: a real Dagster instance lived through, resumed, refused, and killed at every write point."""

import json
import re
import shutil
import sqlite3
from pathlib import Path

import pytest

from mlops_assets_tests.conftest import Lived
from mlops_assets_tests.end_to_end.replaying import (
    data_versions,
    replay,
    replay_stopping_at_writes,
    replays_of_one_load,
)

pytestmark = pytest.mark.slow


def test_a_replay_leaves_predictions_that_were_compared_with_what_came_true(lived: Lived) -> None:
    from mlops_assets.monitoring.drift import drift_history
    from mlops_assets.monitoring.performance import performance_history
    from mlops_assets.platform import Platform
    from mlops_assets.project.load import load_project

    project = load_project(lived.project / "shop" / "defs")
    platform = Platform.of(project, lived.home)
    (model,) = project.models.values()
    history = performance_history(platform, model)

    assert [record.about for record in history] == ["2024-01-25", "2024-01-26"]
    assert all(0 < record.error < record.baseline_error for record in history)
    drift = drift_history(platform, model)
    assert [record.period for record in drift] == ["2024-01-25", "2024-01-26", "2024-01-27"]
    assert drift[0].words.startswith("shown and not judged: ")


def test_a_replay_tells_of_each_period_as_it_is_over(lived: Lived) -> None:
    told = [line for line in lived.told if not line.startswith("history ") and " orders_forecast/" not in line]
    assert [line.split(" (")[0] for line in told if " 0/" not in line] == [
        "replay 1/4 2024-01-24 orders_forecast: trained, version 1 promoted",
        "replay 2/4 2024-01-25 orders_forecast: scored 24 rows",
        "replay 3/4 2024-01-26 orders_forecast: mae 0.1746",
        "replay 4/4 2024-01-27 orders_forecast: mae 0.1511",
        "publish 1/1 order_trend/order_trend_online 27 times, products/products_online",
    ]


def test_a_replay_writes_nothing_but_its_home(lived: Lived) -> None:
    assert list(lived.user.rglob("*")) == []
    assert {path.name for path in lived.project.iterdir()} == {
        "shop",
        "tests",
        "MLproject",
        "README.md",
        "dagster.yaml",
        "pyproject.toml",
        "workspace.yaml",
    }


def test_a_past_that_conditions_ask_for_at_once_is_one_run_with_an_event_for_each_partition(
    lived: Lived, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dagster as dg

    from mlops_assets.operations.in_process import open_instance

    monkeypatch.setenv("DAGSTER_HOME", str(lived.home.dagster))
    with open_instance(lived.home) as instance:
        ranges = [run for run in instance.get_runs() if "dagster/asset_partition_range_start" in run.tags]
        published, past = ranges  # the newest first: nobody reads online before the replay's end
        assert past.is_success and published.is_success
        assert published.tags["dagster/asset_partition_range_end"] == lived.last
        assert published.asset_selection == {dg.AssetKey(["order_trend", "order_trend_online"])}
        assert past.tags["dagster/asset_partition_range_start"] == "2024-01-01"
        assert past.tags["dagster/asset_partition_range_end"] == lived.first
        steps = {("order_trend",), ("orders_forecast", "labels")}
        assert past.asset_selection == {dg.AssetKey(step) for step in steps}
        materialized = instance.get_materialized_partitions(dg.AssetKey("order_trend"))
        assert {"2024-01-01", "2024-01-13", lived.first, lived.last} <= materialized


def test_a_replay_that_is_run_again_changes_nothing(lived: Lived, tmp_path: Path) -> None:
    copy = lived.copy(tmp_path)
    before = (copy.home.folder / "replay.json").read_bytes()

    again = replay(copy, lived.last).end()

    assert again.returncode == 0
    assert again.stderr == "", "of no period, for none was lived through"
    assert (copy.home.folder / "replay.json").read_bytes() == before
    assert data_versions(copy.home) == data_versions(lived.home)


def killed_elsewhere(point: str) -> str:
    """The work of a write whose every kill has a test of its own; empty for all others."""
    by_work = {
        "ingestion (sources/test_ingest.py)": r"delivery |commit orders$",
        "publication (features/online/test_publishing.py)": r"online ",
        "promotion (models/test_decisions_at_any_time.py)": r"mlflow (alias|state)|commit \S+\.transition",
    }
    return next((work for work, writes in by_work.items() if re.match(writes, point)), "")


@pytest.mark.timeout(900)
def test_killed_at_any_write_point_of_a_day_and_run_again_a_replay_ends_the_same(lived: Lived, tmp_path: Path) -> None:
    # This day does everything: it ingests, scores, monitors, and (for the policy is impatient) trains and promotes.
    daily = lived.copy(tmp_path / "daily")
    model = daily.project / "shop" / "defs" / "orders_forecast" / "defs.yaml"
    text = model.read_text(encoding="utf-8")
    impatient = text.replace("cool_down: 7 days, max_age: 28 days", "cool_down: 1 days, max_age: 2 days")
    assert impatient != text
    model.write_text(impatient, encoding="utf-8")
    day = "2024-01-28"
    points, left = [""], list[str]()
    for point in replay_stopping_at_writes(daily, day, tmp_path / "points"):
        if point.startswith("sums "):  # the point before is a kill without them, and whoever commits next writes them
            continue
        # Of two writes of the same kind in a row, nothing that counts lies between; of those that have a kill test of
        # their own, the last one alone, after which the run knows of none.
        if (part := killed_elsewhere(point)) and part == killed_elsewhere(points[-1]):
            shutil.rmtree(tmp_path / str(len(left) - 1))
            left.pop()
        if part or point != points[-1]:
            shutil.copytree(daily.home.folder, tmp_path / str(len(left)))
            left.append(point)
        points.append(point)
    expected = data_versions(daily.home)
    steps = {f"commit orders_forecast.{step}" for step in ("candidate", "predictions", "performance", "drift")}
    assert {"clock", "replay state", "commit orders", *steps} <= set(points)
    assert len(left) > 20

    with replays_of_one_load(daily, day) as replays:
        for number, point in enumerate(left):
            shutil.rmtree(daily.home.folder)
            (tmp_path / str(number)).rename(daily.home.folder)  # so that what is known by its path is its own
            replays.send(None)
            assert replays.recv() == 0, point
            assert data_versions(daily.home) == expected, f"ended at {number}, {point}"
            state = json.loads((daily.home.folder / "replay.json").read_text(encoding="utf-8"))
            assert state["finished"], point
            assert not state["failed"], point
            assert not state["pending"], point
            with sqlite3.connect(daily.home.mlflow / "mlflow.db") as database:
                assert database.execute("SELECT status FROM runs WHERE status = 'RUNNING'").fetchall() == [], point
