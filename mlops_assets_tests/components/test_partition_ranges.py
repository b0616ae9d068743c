"""One run over a range of partitions: each has the events that a run of its own would have left."""

from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
import pytest

from mlops_assets.components.partition_ranges import ONE_RUN, for_each_partition
from mlops_assets.components.private_dagster import RANGE_END_TAG, RANGE_START_TAG, private
from mlops_assets.operations.in_process import SILENT, is_logged_error
from mlops_assets_tests import staleness

MONTHS = dg.MonthlyPartitionsDefinition("2024-01", end_date="2025-01", fmt="%Y-%m", timezone="UTC")
UP, DOWN, LIST = dg.AssetKey("up"), dg.AssetKey("down"), dg.AssetKey("list")
WINDOW = dg.TimeWindowPartitionMapping(start_offset=-2, allow_nonexistent_upstream_partitions=True)
Body = Callable[[str], Iterator[Any]]
_RERUN = "tests of runs that repeat another"
_in_memory = private("dagster._core.definitions.job_base", "InMemoryJob", _RERUN)
_execute = private("dagster._core.execution.api", "execute_run_iterator", _RERUN)


def made(key: dg.AssetKey, partition: str, passed: bool = True) -> dg.MaterializeResult[Any]:
    check = dg.AssetCheckResult(passed=passed, asset_key=key, check_name="contract", metadata={"of": partition})
    version = dg.DataVersion(f"{key.to_user_string()} {partition}")
    return dg.MaterializeResult(
        asset_key=key, metadata={"month": partition}, data_version=version, check_results=[check]
    )


def definitions(up: Body | None = None, down: Body | None = None) -> dg.Definitions:
    def asset(key: dg.AssetKey, body: Body, *deps: dg.AssetDep) -> dg.AssetsDefinition:
        specs = [dg.AssetCheckSpec("contract", asset=key, blocking=True, partitions_def=MONTHS)]

        @dg.asset(
            key=key, partitions_def=MONTHS, deps=deps, check_specs=specs, backfill_policy=ONE_RUN, code_version="7"
        )
        @for_each_partition
        def bodies(partition: str) -> Iterator[Any]:
            yield from body(partition)

        return bodies

    @dg.asset(key=LIST)
    def listed() -> dg.MaterializeResult[Any]:
        return dg.MaterializeResult(data_version=dg.DataVersion("list"))

    return dg.Definitions(
        assets=[
            listed,
            asset(UP, up or (lambda partition: iter([made(UP, partition)]))),
            asset(
                DOWN,
                down or (lambda partition: iter([made(DOWN, partition)])),
                dg.AssetDep(UP, partition_mapping=WINDOW),
                dg.AssetDep(LIST),
            ),
        ],
        executor=dg.in_process_executor,
    )


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def run(
    defs: dg.Definitions,
    instance: dg.DagsterInstance,
    keys: list[dg.AssetKey],
    first: str | None = None,
    last: str | None = None,
    parent: str | None = None,
) -> list[dg.DagsterEvent]:
    """Run some assets over a range, as a backfill of the user interface does."""
    job = defs.resolve_implicit_global_asset_job_def().get_subset(asset_selection=set(keys))
    tags = {RANGE_START_TAG: first, RANGE_END_TAG: last} if first and last else {}
    begun = instance.create_run_for_job(
        job,
        run_config=SILENT,
        asset_selection=frozenset(keys),
        tags=tags,
        parent_run_id=parent,
        root_run_id=parent,
    )
    return list(_execute(_in_memory(job), begun, instance))


def alone(defs: dg.Definitions, instance: dg.DagsterInstance, key: dg.AssetKey, partition: str) -> None:
    defs.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance, asset_selection=[key], partition_key=partition, run_config=SILENT
    )


def events(instance: dg.DagsterInstance, key: dg.AssetKey) -> list[dg.AssetMaterialization]:
    """All materializations, the oldest first."""
    records = instance.fetch_materializations(key, limit=100, ascending=True).records
    return [record.asset_materialization for record in records if record.asset_materialization]


def checks(instance: dg.DagsterInstance, key: dg.AssetKey) -> dict[str, Any]:
    """The newest evaluation of each partition."""
    history = instance.event_log_storage.get_asset_check_execution_history(dg.AssetCheckKey(key, "contract"), 100)
    return {str(record.partition): record.evaluation for record in reversed(history)}


def keys_from_to(first: int, last: int) -> list[str]:
    return [f"2024-{month:02}" for month in range(first, last + 1)]


def test_each_partition_of_a_run_has_an_event_a_data_version_and_a_check_of_its_own(
    instance: dg.DagsterInstance,
) -> None:
    run(definitions(), instance, [UP], "2024-02", "2024-05")

    found = events(instance, UP)
    assert [event.partition for event in found] == keys_from_to(2, 5)
    assert [(event.tags or {})["dagster/data_version"] for event in found] == [
        f"up {key}" for key in keys_from_to(2, 5)
    ]
    assert [event.metadata["month"].value for event in found] == keys_from_to(2, 5)
    evaluated = checks(instance, UP)
    assert {key: check.metadata["of"].value for key, check in evaluated.items()} == {
        key: key for key in keys_from_to(2, 5)
    }
    targets = {key: check.target_materialization_data.storage_id for key, check in evaluated.items()}
    newest = instance.event_log_storage.get_latest_storage_id_by_partition(
        UP, dg.DagsterEventType.ASSET_MATERIALIZATION
    )
    assert targets == newest


def test_the_events_of_a_range_are_those_that_runs_of_one_partition_leave(instance: dg.DagsterInstance) -> None:
    defs = definitions()
    run(defs, instance, [LIST])
    run(defs, instance, [UP], "2024-01", "2024-12")
    run(defs, instance, [DOWN], "2024-01", "2024-12")
    of_range = events(instance, DOWN)
    for key in ("2024-01", "2024-07"):
        alone(defs, instance, DOWN, key)
    of_one = events(instance, DOWN)[len(of_range) :]

    for event in of_one:
        (same,) = [other for other in of_range if other.partition == event.partition]
        assert same.tags == event.tags
        assert same.metadata == event.metadata


def test_after_a_run_over_a_range_only_what_changed_since_is_stale(instance: dg.DagsterInstance) -> None:
    versions = {"2024-05": "first"}

    def up(partition: str) -> Iterator[Any]:
        yield dg.MaterializeResult(
            asset_key=UP,
            data_version=dg.DataVersion(versions.get(partition, partition)),
            check_results=[dg.AssetCheckResult(passed=True)],
        )

    defs = definitions(up)

    def stale() -> list[str]:
        return staleness.stale(defs, instance, DOWN, keys_from_to(1, 12))

    run(defs, instance, [LIST])
    run(defs, instance, [UP, DOWN], "2024-01", "2024-12")  # both in one run, upstream first
    assert stale() == []
    run(defs, instance, [UP], "2024-01", "2024-12")
    assert stale() == []
    versions["2024-05"] = "second"
    run(defs, instance, [UP], "2024-01", "2024-12")
    assert stale() == keys_from_to(5, 7)
    run(defs, instance, [DOWN], "2024-05", "2024-07")
    assert stale() == []


def test_a_partition_that_fails_does_not_keep_the_others_from_theirs(instance: dg.DagsterInstance) -> None:
    def up(partition: str) -> Iterator[Any]:
        if partition in ("2024-02", "2024-04"):
            yield dg.AssetCheckResult(passed=False, asset_key=UP, check_name="contract")
            raise dg.Failure(f"no rows in {partition}")
        yield made(UP, partition)

    happened = run(definitions(up), instance, [UP], "2024-01", "2024-05")

    assert [event.partition for event in events(instance, UP)] == ["2024-01", "2024-03", "2024-05"]
    assert {key: check.passed for key, check in checks(instance, UP).items()} == {
        key: key not in ("2024-02", "2024-04") for key in keys_from_to(1, 5)
    }
    (record,) = instance.get_runs()
    logged = [entry.user_message for entry in instance.all_logs(record.run_id) if is_logged_error(entry)]
    assert logged == ["2024-02: no rows in 2024-02", "2024-04: no rows in 2024-04"]  # told at once, not at the end
    (failure,) = [event for event in happened if event.event_type == dg.DagsterEventType.STEP_FAILURE]
    told = failure.step_failure_data.user_failure_data
    assert told is not None
    assert told.description == "2 partitions failed: 2024-02, 2024-04. 2024-02: no rows in 2024-02"


def test_a_run_that_repeats_one_that_broke_off_goes_on_with_its_last_partition(instance: dg.DagsterInstance) -> None:
    asked: list[str] = []

    def up(partition: str) -> Iterator[Any]:
        asked.append(partition)
        if asked.count("2024-04") == 1 and partition == "2024-04":
            raise OSError("the disk is full")
        yield made(UP, partition)

    defs = definitions(up)
    broken = run(defs, instance, [UP], "2024-01", "2024-06")
    assert not any(event.event_type == dg.DagsterEventType.RUN_SUCCESS for event in broken)
    assert asked == keys_from_to(1, 4)

    (record,) = instance.get_runs()
    run(defs, instance, [UP], "2024-01", "2024-06", parent=record.run_id)
    assert asked == [*keys_from_to(1, 4), *keys_from_to(3, 6)]


def test_a_run_that_repeats_one_that_succeeded_does_everything_again(instance: dg.DagsterInstance) -> None:
    defs = definitions()
    run(defs, instance, [UP], "2024-01", "2024-03")
    (record,) = instance.get_runs()
    run(defs, instance, [UP], "2024-01", "2024-03", parent=record.run_id)
    assert [event.partition for event in events(instance, UP)] == keys_from_to(1, 3) * 2
