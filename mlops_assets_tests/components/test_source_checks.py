"""Expectations and quarantine in Dagster: checks of partitions, with their numbers, also when nothing comes."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner

from mlops_assets.automation.overdue import overdue_schedule
from mlops_assets.cli import main
from mlops_assets.components.source import report_replayed, source_asset
from mlops_assets.lakehouse.home import Home
from mlops_assets.sources.quarantine_replay import replay_quarantine
from mlops_assets.starter import write_project
from mlops_assets_tests.sources.small_project import Shop, csv_of, platform_of, sales_yaml

KEY = dg.AssetKey("sales")
COLUMNS = """
    shop: {type: string, description: Shop, sensitivity: personal, owners: [ana@example.com]}
    day: {type: date, description: Day of the sales}
    units: {type: bigint, description: Units sold}
"""
FIELDS = (
    "max_bad_share: 0.5",
    "min_rows_share: 0",
    "expectations:",
    "  - {column: units, null_share: 0.1}",
    "  - {column: units, maximum: 100, severity: block}",
    "  - {rows: {against_last_period: {least: 0.5, most: 2.0}}}",
    "  - {freshness: {newest_row: 40 days}}",
)
JANUARY = ["north,2024-01-01,1", "south,2024-01-01,", "west,2024-01-31,3", "east,2024-01-31,many"]


@pytest.fixture
def shop(home: Home) -> Shop:
    home.clock.set(datetime(2024, 2, 6, tzinfo=UTC))
    return Shop(platform_of(home, sales_yaml(*FIELDS, columns=COLUMNS)))


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def materialize(shop: Shop, instance: dg.DagsterInstance, rows: list[str], key: str = "2024-01") -> Any:
    shop.land(key, csv_of(rows))
    asset = source_asset(shop.platform.project, shop.source)
    return dg.materialize([asset], instance=instance, partition_key=key, raise_on_error=False)


def found(done: Any) -> dict[str, Any]:
    return {check.check_name: check for check in done.get_asset_check_evaluations()}


def latest(instance: dg.DagsterInstance, name: str) -> Any:
    (record,) = instance.event_log_storage.get_asset_check_execution_history(dg.AssetCheckKey(KEY, name), limit=1)
    assert record.event is not None and record.event.dagster_event is not None
    return record.event.dagster_event.event_specific_data


def test_a_run_shows_each_expectation_as_a_check_of_its_partition_with_its_numbers(
    shop: Shop, instance: dg.DagsterInstance
) -> None:
    done = materialize(shop, instance, JANUARY)
    assert done.success
    checks = found(done)
    assert {name: check.passed for name, check in checks.items()} == {
        "contract": True,
        "delivery_whole": True,
        "units_null_share": False,
        "units_range": True,
        "rows_against_last_period": True,
        "newest_row": True,
        "quarantine_empty": False,
    }
    share = checks["units_null_share"]
    assert (share.partition, share.severity) == ("2024-01", dg.AssetCheckSeverity.WARN)
    assert share.metadata["null share"].value == pytest.approx(1 / 3)
    assert checks["units_range"].severity == dg.AssetCheckSeverity.ERROR
    assert checks["newest_row"].partition is None
    assert checks["quarantine_empty"].metadata["rows waiting"].value == 1
    (made,) = done.asset_materializations_for_node("sales")
    plotted = {name: made.metadata[name].value for name in ("dagster/row_count", "newest_row: age in days")}
    assert plotted == {"dagster/row_count": 3, "newest_row: age in days": 6}
    assert made.metadata["rows put aside"].value == made.metadata["quarantine_empty: rows waiting"].value == 1


def test_what_blocks_fails_the_run_and_keeps_the_last_good_state(shop: Shop, instance: dg.DagsterInstance) -> None:
    assert materialize(shop, instance, JANUARY).success
    before = shop.states()
    done = materialize(shop, instance, [*JANUARY[:2], "west,2024-01-31,300"])
    assert not done.success
    assert not found(done)["units_range"].passed
    assert shop.states() == before


def test_columns_show_their_owners_and_sensitivity(shop: Shop) -> None:
    asset = source_asset(shop.platform.project, shop.source)
    columns = {column.name: column for column in asset.metadata_by_key[KEY]["dagster/column_schema"].columns}
    assert columns["shop"].tags == {"kind": "key", "sensitivity": "personal", "owners": "ana@example.com"}
    assert columns["units"].tags["sensitivity"] == "internal"


def test_the_schedule_sees_a_table_grow_stale_though_nothing_arrives(shop: Shop, instance: dg.DagsterInstance) -> None:
    schedule = overdue_schedule(shop.platform.project)
    assert materialize(shop, instance, JANUARY).success
    for month in ("2024-02", "2024-03"):
        shop.deliver(month, [f"north,{month}-01,1"])

    def tick() -> Any:
        return schedule.evaluate_tick(
            dg.build_schedule_context(instance=instance, scheduled_execution_time=datetime(2024, 4, 1, tzinfo=UTC))
        )

    shop.platform.home.clock.set(datetime(2024, 4, 10, tzinfo=UTC))
    assert tick().skip_message == "nothing is overdue or stale"
    shop.platform.home.clock.set(datetime(2024, 4, 11, tzinfo=UTC))
    (request,) = tick().run_requests
    assert tick().run_requests[0].run_key == request.run_key
    job = schedule.job
    assert isinstance(job, dg.JobDefinition) and job.execute_in_process(instance=instance).success
    check = latest(instance, "newest_row")
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.metadata["age in days"].value == 41


def test_a_replay_of_the_quarantine_is_recorded_so_that_what_rests_on_it_follows(
    shop: Shop, instance: dg.DagsterInstance
) -> None:
    materialize(shop, instance, ["north,2024-01-01,1", "south,2024-01-01,1.5"])
    assert not latest(instance, "quarantine_empty").passed
    home = shop.platform.home
    fixed = Shop(platform_of(home, sales_yaml(*FIELDS, columns=COLUMNS.replace("bigint", "double"))))
    done = replay_quarantine(fixed.platform, fixed.source)
    report_replayed(instance, fixed.platform, fixed.source, done)
    made = instance.get_latest_materialization_event(KEY)
    assert made is not None and made.asset_materialization is not None
    assert made.asset_materialization.partition == "2024-01"
    assert made.asset_materialization.tags == {
        "dagster/data_version": fixed.table.data_version(fixed.period("2024-01"))
    }
    assert latest(instance, "quarantine_empty").passed


def test_the_command_lists_what_waits_and_replays_it_after_a_fix(
    tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(home.dagster))  # which the command sets
    write_project(tmp_path / "shop")
    file = tmp_path / "shop" / "shop" / "defs" / "orders" / "defs.yaml"
    text = file.read_text(encoding="utf-8").replace("  period: day\n", "  period: day\n  max_bad_share: 0.5\n", 1)
    file.write_text(text, encoding="utf-8")

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(main, ["--project", str(tmp_path / "shop"), "quarantine", *arguments])
        assert done.exit_code == 0, done.output
        return done.output

    from mlops_assets.platform import Platform
    from mlops_assets.project.folder import find_project

    orders = Shop(Platform.of(find_project(tmp_path / "shop").read(), home), "orders")
    orders.deliver("2024-01-01", ["2024-01-01,north,alpha,1,2", "2024-01-01,north,beta,1,-2"])
    listed = run("list", "orders")
    assert listed.splitlines()[0] == "2024-01-01 delivery 1, row 2 below the header: 'units' is below 0: -2"
    assert json.loads(run("list", "orders", "--format", "json"))[0]["rules"] == "values_allowed"
    assert run("replay", "orders").splitlines()[-1] == "0 rows ingested"
    file.write_text(text.replace("Units ordered, nullable: false, minimum: 0", "Units ordered"), encoding="utf-8")
    assert run("replay", "orders", "2024-01-01").splitlines() == [
        "2024-01-01: 1 rows ingested, 0 superseded, 0 still wait",
        "1 rows ingested",
    ]
    assert run("list", "orders") == "0 rows\n"
    assert "(ingested)" in run("list", "orders", "--all")
    refused = CliRunner().invoke(main, ["--project", str(tmp_path / "shop"), "quarantine", "list", "order"])
    assert refused.output.startswith("Error: Found: source 'order'. Expected: one of: orders, products.")
