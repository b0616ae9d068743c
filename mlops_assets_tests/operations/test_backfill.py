"""Backfills from the command line, on a replayed home: what is due is computed once, whatever kills it."""

import json
import signal
import sys
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner, Result

from mlops_assets.cli import main
from mlops_assets.lakehouse.home import HOME_VARIABLE
from mlops_assets.platform import Platform
from mlops_assets.project.load import load_project
from mlops_assets_tests.conftest import Lived
from mlops_assets_tests.end_to_end.replaying import command, data_versions

pytestmark = pytest.mark.slow
TABLE = "order_trend"
DAYS = [f"2024-01-{day:02}" for day in range(1, 28)]


@pytest.fixture
def changed(lived: Lived, tmp_path: Path) -> Lived:
    """The small project after 27 days, and an SQL that has just got another meaning."""
    copy = lived.copy(tmp_path / "changed")
    file = copy.project / "shop" / "defs" / "orders" / "order_trend.sql"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("level - level_7d AS growth_7d", "level_7d - level AS growth_7d"), encoding="utf-8")
    return copy


def backfill(lived: Lived, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Result:
    monkeypatch.setenv(HOME_VARIABLE, str(lived.home.folder))
    monkeypatch.setenv("DAGSTER_HOME", str(lived.home.dagster))
    monkeypatch.setattr(sys, "path", list(sys.path))
    return CliRunner().invoke(main, ["--project", str(lived.project), "backfill", *arguments])


def platform_of(lived: Lived) -> Platform:
    return Platform.of(load_project(lived.project / "shop" / "defs"), lived.home)


def content(lived: Lived) -> dict[str, str]:
    platform = platform_of(lived)
    calendar = platform.project.feature_tables[TABLE].schema.calendar
    return platform.table(TABLE).data_versions([calendar.at_key(day) for day in DAYS])


def newest_events(instance: dg.DagsterInstance) -> dict[str, dg.AssetMaterialization]:
    found = {}
    for record in instance.fetch_materializations(dg.AssetKey(TABLE), limit=1000, ascending=True).records:
        event = record.asset_materialization
        assert event is not None and event.partition is not None
        found[event.partition] = event
    return found


def checked(instance: dg.DagsterInstance) -> list[str]:
    """The partitions whose newest event every check was evaluated on."""
    newest = instance.event_log_storage.get_latest_storage_id_by_partition(
        dg.AssetKey(TABLE), dg.DagsterEventType.ASSET_MATERIALIZATION
    )
    evaluated = instance.event_log_storage.get_asset_check_partition_info(
        [dg.AssetCheckKey(dg.AssetKey(TABLE), "contract")]
    )
    seen = {(str(item.partition_key), item.latest_target_materialization_storage_id) for item in evaluated}
    return sorted(partition for partition, storage_id in newest.items() if (partition, storage_id) in seen)


def test_after_a_change_every_partition_is_computed_once_with_event_data_version_and_check(
    changed: Lived, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlops_assets.operations.in_process import open_instance

    done = backfill(changed, monkeypatch, TABLE)

    assert (done.exit_code, done.stdout) == (0, f"{TABLE}: 27 computed, 0 were current\n"), done.output
    generation = platform_of(changed).project.feature_tables[TABLE].generation
    with open_instance(changed.home) as instance:
        events = newest_events(instance)
        assert {key: (event.tags or {})["dagster/data_version"] for key, event in events.items()} == content(changed)
        assert {(event.tags or {})["dagster/code_version"] for event in events.values()} == {generation}
        inputs = json.loads(json.dumps(events["2024-01-20"].metadata["mlops/evidence"].value))["inputs"]
        assert [(item["name"], item["periods"]) for item in inputs] == [("orders", ["2024-01-13", "2024-01-20"])]
        assert checked(instance) == DAYS
        runs = instance.get_runs(dg.RunsFilter(tags={"mlops/work": f"a backfill of '{TABLE}'"}))
        assert [run.status for run in runs] == [dg.DagsterRunStatus.SUCCESS]

    again = backfill(changed, monkeypatch, TABLE)
    assert again.stdout == f"{TABLE}: 0 computed, 27 were current\n"


def test_what_the_conditions_computed_before_is_current(
    lived: Lived, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = lived.copy(tmp_path / "copy")
    done = backfill(copy, monkeypatch, TABLE, "--from", "2024-01-20", "--upstream")
    assert done.stdout == f"{TABLE}: 0 computed, 8 were current\n", done.output


def test_a_correction_makes_the_partitions_due_that_look_at_it(
    lived: Lived, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlops_assets.sources.ingest import ingest

    copy = lived.copy(tmp_path / "copy")
    platform = platform_of(copy)
    source = platform.project.sources["orders"]
    file = copy.home.landing / "orders" / "2024-01-15.csv"
    header, first, *rest = file.read_text(encoding="utf-8").splitlines()
    *others, units = first.split(",")
    file.write_text("\n".join([header, ",".join([*others, str(int(units) + 5)]), *rest]) + "\n", encoding="utf-8")
    ingest(platform, source, source.schema.calendar.at_key("2024-01-15"))

    done = backfill(copy, monkeypatch, TABLE)
    assert done.stdout == f"{TABLE}: 8 computed, 19 were current\n", done.output
    assert backfill(copy, monkeypatch, TABLE).stdout == f"{TABLE}: 0 computed, 27 were current\n"


def test_a_column_that_came_to_a_source_makes_nothing_due_nor_a_correction_in_it(
    lived: Lived, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlops_assets.sources.ingest import ingest

    copy = lived.copy(tmp_path / "copy")
    file = copy.project / "shop" / "defs" / "orders" / "defs.yaml"
    units = "    units: {type: bigint, description: Units ordered, nullable: false, minimum: 0}\n"
    text = file.read_text(encoding="utf-8")
    assert text.count(units) == 1
    file.write_text(text.replace(units, f"{units}    sent_back: {{type: bigint, description: Units sent back}}\n"))
    for name, current in ((TABLE, 27), ("orders_forecast/labels", 26)):
        assert backfill(copy, monkeypatch, name).stdout == f"{name}: 0 computed, {current} were current\n"

    platform = platform_of(copy)
    source = platform.project.sources["orders"]
    delivered = copy.home.landing / "orders" / "2024-01-15.csv"
    header, *rows = delivered.read_text(encoding="utf-8").splitlines()
    delivered.write_text("\n".join([f"{header},sent_back", *(f"{row},1" for row in rows)]) + "\n")
    done = ingest(platform, source, source.schema.calendar.at_key("2024-01-15"))
    assert done.appended == {"2024-01-15": len(rows)}
    assert backfill(copy, monkeypatch, TABLE).stdout == f"{TABLE}: 0 computed, 27 were current\n"


def test_labels_of_a_new_definition_are_computed_once_each(
    lived: Lived, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = lived.copy(tmp_path / "copy")
    labels = "orders_forecast/labels"
    assert backfill(copy, monkeypatch, labels).stdout == f"{labels}: 0 computed, 26 were current\n"
    file = copy.project / "shop" / "defs" / "orders_forecast" / "growth.sql"
    file.write_text(file.read_text(encoding="utf-8").replace("this.units > 0", "this.units > 1"), encoding="utf-8")

    done = backfill(copy, monkeypatch, labels)
    assert done.stdout == f"{labels}: 26 computed, 0 were current\n", done.output
    assert backfill(copy, monkeypatch, labels).stdout == f"{labels}: 0 computed, 26 were current\n"


@pytest.mark.timeout(900)
def test_killed_at_a_write_and_run_again_a_backfill_ends_the_same(
    changed: Lived, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlops_assets.operations.in_process import open_instance

    whole = changed.copy(tmp_path / "whole")
    log = tmp_path / "points"
    assert command(whole, "backfill", TABLE, MLOPS_WRITE_POINT_LOG=str(log)).wait() == 0
    points = log.read_text(encoding="utf-8").splitlines()
    assert len(points) == 57, points  # the generation, the table, and its partitions, each with its sums

    for number in (3, 30):
        killed = changed.copy(tmp_path / str(number))
        assert command(killed, "backfill", TABLE, MLOPS_KILL_AT_WRITE=str(number)).wait() == -signal.SIGKILL
        assert command(killed, "backfill", TABLE).wait() == 0
        assert data_versions(killed.home) == data_versions(whole.home), points[number - 1]
        monkeypatch.setenv("DAGSTER_HOME", str(killed.home.dagster))
        with open_instance(killed.home) as instance:
            events = newest_events(instance)
            assert {key: (event.tags or {})["dagster/data_version"] for key, event in events.items()} == content(killed)
            assert checked(instance) == DAYS
            runs = instance.get_runs(dg.RunsFilter(tags={"mlops/work": f"a backfill of '{TABLE}'"}))
            assert [run.status.value for run in runs] == ["SUCCESS", "FAILURE"]
            logs = [instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION) for run in runs]
            assert sum(map(len, logs)) <= len(DAYS) + 1  # the checks of the last one before it was killed might miss


def test_days_whose_inputs_are_not_there_wait_and_are_counted(changed: Lived, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = changed.home.clock
    clock.set(clock.now().replace(month=2, day=1))
    done = backfill(changed, monkeypatch, TABLE, "--from", "2024-01-26")
    assert done.exit_code == 0
    assert done.stdout == (
        f"{TABLE}: 2 computed, 0 were current, 4 wait (no accepted delivery of source 'orders' for 2024-01-28)\n"
    )


def test_an_unknown_table_is_told(changed: Lived, monkeypatch: pytest.MonkeyPatch) -> None:
    done = backfill(changed, monkeypatch, "orders")
    assert done.exit_code == 1
    assert done.output == (
        "Error: Found: 'orders', which is neither a feature table nor a model's labels. "
        "Expected: one of: order_trend, orders_forecast/labels. What to do: correct the name.\n"
    )
