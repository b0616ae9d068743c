"""The asset TABLE/TABLE_online in Dagster: it follows its table, period by period, and says what it wrote."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mlops_assets.components.online import online_asset
from mlops_assets.features.online.encoding import layout_of
from mlops_assets.features.online.store import STORE_VARIABLE, open_store
from mlops_assets.features.online.verifying import verify
from mlops_assets.lakehouse.home import HOME_VARIABLE
from mlops_assets.platform import Platform
from mlops_assets.project.load import load_project
from mlops_assets_tests.conftest import Lived
from mlops_assets_tests.small_line import SHOPS, Line

pytestmark = pytest.mark.slow
ONLINE = {
    ("trend/defs.yaml", "  sql: trend.sql"): "  sql: trend.sql\n  online: true",
    ("sales/defs.yaml", "  description: Shops and their regions"): "  description: Shops\n  online: true",
    ("forecast/defs.yaml", "lookback: 2 days"): "lookback: 5 days",
}


@pytest.fixture(autouse=True)
def own_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(STORE_VARIABLE, raising=False)


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Line:
    line = Line(tmp_path / "line", ONLINE)
    monkeypatch.setenv(HOME_VARIABLE, str(line.platform.home.folder))
    return line


def published(line: Line, name: str, instance: dg.DagsterInstance, **which: Any) -> list[dg.AssetMaterialization]:
    asset = online_asset(line.platform.project, line.platform.project.table(name))
    done = dg.materialize([asset], instance=instance, selection=[asset.key], **which)
    assert done.success
    return [event.step_materialization_data.materialization for event in done.get_asset_materialization_events()]


def test_a_replay_publishes_at_its_end_what_it_lived_through(lived: Lived, monkeypatch: pytest.MonkeyPatch) -> None:
    platform = Platform.of(load_project(lived.project / "shop" / "defs"), lived.home)
    monkeypatch.setenv("DAGSTER_HOME", str(lived.home.dagster))
    key = dg.AssetKey(["order_trend", "order_trend_online"])
    with dg.DagsterInstance.get() as instance:
        records = instance.fetch_materializations(dg.AssetRecordsFilter(key), limit=100, ascending=True).records
    made: list[Any] = [record.asset_materialization for record in records]
    assert [one.partition for one in made] == [f"2024-01-{day:02d}" for day in range(1, 28)]
    assert {one.metadata["read at"].value for one in made} == {"2024-01-28T06:00:00+00:00"}
    assert [one.metadata["keys written"].value for one in made] == [24] + [0] * 26
    read = made[-1].metadata["mlops/evidence"].value["inputs"][0]
    assert (read["name"], read["periods"]) == ("order_trend", ["2024-01-27", "2024-01-27"])
    found = verify(platform, open_store(platform), "order_trend")
    assert (found.keys, found.rows, found.different) == (24, 24, 0)


def test_one_run_publishes_many_periods_and_a_run_again_writes_nothing(line: Line) -> None:
    days = line.live(4)
    with dg.DagsterInstance.ephemeral() as instance:
        tags = {"dagster/asset_partition_range_start": days[0], "dagster/asset_partition_range_end": days[-1]}
        first = published(line, "trend", instance, tags=tags)
        again = published(line, "trend", instance, partition_key=days[-1])
    assert [made.partition for made in first] == days
    assert [made.metadata["keys written"].value for made in first] == [len(SHOPS), 0, 0, 0]
    assert first[0].metadata["published"].value == "the whole table, into a space of its own"
    assert again[0].metadata["keys unchanged"].value == 0
    assert again[0].tags["dagster/data_version"] == first[-1].tags["dagster/data_version"]  # type: ignore[index]


def test_a_table_without_time_is_published_as_a_whole(line: Line) -> None:
    line.shops()
    with dg.DagsterInstance.ephemeral() as instance:
        (made,) = published(line, "shops", instance)
    assert (made.partition, made.metadata["keys written"].value) == (None, len(SHOPS))
    assert open_store(line.platform).served("shops").layout == layout_of(line.platform.table("shops"))  # type: ignore[union-attr]


def test_publishing_what_was_never_computed_says_so(line: Line) -> None:
    asset = online_asset(line.platform.project, line.platform.project.table("trend"))
    with dg.DagsterInstance.ephemeral() as instance:
        done = dg.materialize(
            [asset], instance=instance, selection=[asset.key], partition_key="2024-01-05", raise_on_error=False
        )
    (failure,) = [event.step_failure_data for event in done.all_events if event.is_step_failure]
    assert "Found: nothing to publish: table 'trend' was never written" in str(failure.error or failure)
