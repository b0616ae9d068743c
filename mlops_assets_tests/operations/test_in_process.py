"""Runs inside a command: their events as they happen, and the end of those whose process was killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from mlops_assets.components import constants
from mlops_assets.components.partition_ranges import ONE_RUN, for_each_partition
from mlops_assets.errors import ConflictError, PlatformError
from mlops_assets.lakehouse.processes import Process
from mlops_assets.operations.in_process import Ran, durations, end_what_was_killed, failures_of, run_assets

MONTHS = dg.MonthlyPartitionsDefinition("2024-01", end_date="2025-01", fmt="%Y-%m", timezone="UTC")
UP, DOWN, BESIDE, ENDED, BEHIND = (dg.AssetKey(name) for name in ("up", "down", "beside", "ended", "behind"))


@dg.asset(key=UP, partitions_def=MONTHS, backfill_policy=ONE_RUN)
@for_each_partition
def up(partition: str) -> Iterator[Any]:
    """A table."""
    yield dg.MaterializeResult(asset_key=UP)


@dg.asset(key=DOWN, deps=[UP], partitions_def=MONTHS)
def down(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
    """A model, which fails in March."""
    context.log.info(f"at {context.partition_key}")
    if context.partition_key == "2024-03":
        raise dg.Failure("no rows in March")
    return dg.MaterializeResult()


@dg.asset(key=ENDED)
def ended() -> None:
    """Somebody presses Ctrl-C while it is computed."""
    os.kill(os.getpid(), signal.SIGINT)


@dg.asset(key=BESIDE, partitions_def=MONTHS)
def beside() -> None:
    """Another, which always fails."""
    raise dg.Failure("no columns")


@dg.resource
def index(context: dg.InitResourceContext) -> None:
    """What a step needs, and cannot be had."""
    try:
        raise OSError("no disk")
    except OSError as error:
        raise PlatformError("no index", "one", "make it") from error


@dg.asset(key=BEHIND, required_resource_keys={"index"})
def behind() -> None:
    """What never begins."""


DEFINITIONS = dg.Definitions(assets=[up, down, beside, ended, behind], resources={"index": index})


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def run(instance: dg.DagsterInstance, partition: str, *keys: dg.AssetKey, **options: Any) -> Ran:
    return run_assets(DEFINITIONS, instance, keys, work="a test", partition=partition, **options)


def status(instance: dg.DagsterInstance, run_id: str) -> str:
    found = instance.get_run_by_id(run_id)
    assert found is not None
    return found.status.value


def left_by(instance: dg.DagsterInstance, process: Process | None, work: str = "a test") -> str:
    """A run that is under way as far as the instance knows; its id."""
    tags = {constants.PROCESS: str(process), constants.WORK: work} if process else {}
    job = DEFINITIONS.resolve_implicit_global_asset_job_def()
    return instance.create_run_for_job(job, tags=tags, status=dg.DagsterRunStatus.STARTED).run_id


@pytest.fixture
def gone() -> Process:
    """A process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        return Process(child.pid)


def test_a_run_names_its_partition_its_work_and_its_process(instance: dg.DagsterInstance) -> None:
    done = run(instance, "2024-02", UP, DOWN, tags={"asked": "yes"}, run_id="8f5a1bb2-0d3c-4a55-9f0e-2d6a7c1b9e00")
    assert done == Ran("8f5a1bb2-0d3c-4a55-9f0e-2d6a7c1b9e00", True, ())
    found = instance.get_run_by_id(done.run_id)
    assert found is not None and found.asset_selection == {UP, DOWN}
    assert {
        "asked": "yes",
        "dagster/partition": "2024-02",
        "mlops/work": "a test",
        "mlops/process": str(Process.this()),
    }.items() <= found.tags.items()


def test_events_and_what_steps_log_are_seen_while_the_run_is_under_way(instance: dg.DagsterInstance) -> None:
    seen: list[tuple[str, str]] = []

    def see(entry: dg.EventLogEntry) -> None:
        event = entry.dagster_event
        told = event.partition if event and event.is_step_materialization else None
        if told or not event:
            seen.append((told or entry.user_message, status(instance, entry.run_id)))

    run(instance, "2024-01", UP, last="2024-03", seen=see)
    assert seen == [(f"2024-0{month}", "STARTED") for month in (1, 2, 3)]
    seen.clear()
    run(instance, "2024-02", DOWN, seen=see)
    assert seen == [("at 2024-02", "STARTED"), ("2024-02", "STARTED")]


def test_what_an_asset_took_is_told_of_each_of_its_partitions(instance: dg.DagsterInstance) -> None:
    assert durations(instance) == {}
    run(instance, "2024-01", UP, last="2024-03")
    run(instance, "2024-02", DOWN)
    run(instance, "2024-03", DOWN)
    took = durations(instance)
    assert {name: one.partitions for name, one in took.items()} == {"up": 3, "down": 1}
    assert all(one.seconds_each > 0 for one in took.values())
    assert took["up"].seconds == 3 * took["up"].seconds_each


def test_each_failure_of_a_run_is_a_message_of_its_own(instance: dg.DagsterInstance) -> None:
    done = run(instance, "2024-03", UP, DOWN, BESIDE)
    assert (done.succeeded, sorted(done.failures)) == (False, ["no columns", "no rows in March"])
    assert failures_of(instance, done.run_id) == done.failures


def test_a_run_without_what_its_steps_need_says_so_in_our_words(instance: dg.DagsterInstance) -> None:
    done = run_assets(DEFINITIONS, instance, [BEHIND], work="a test")
    assert (done.succeeded, done.failures) == (False, ("Found: no index. Expected: one. What to do: make it.",))


def test_whoever_interrupts_a_run_ends_the_command_and_the_run_says_so(instance: dg.DagsterInstance) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_assets(DEFINITIONS, instance, [ENDED], work="a test")
    (record,) = instance.get_runs()
    assert record.status.value == "FAILURE"
    assert failures_of(instance, record.run_id) == ("it was interrupted",)


def test_a_run_whose_process_has_ended_is_reported_as_failed_and_no_other(
    instance: dg.DagsterInstance, gone: Process
) -> None:
    killed = left_by(instance, gone)
    earlier = left_by(instance, Process(os.getpid(), "before this process was given the number"))
    daemons, others = left_by(instance, None), left_by(instance, Process(os.getppid()), "another test")
    finished = run(instance, "2024-02", UP).run_id

    end_what_was_killed(instance, "a test")

    assert [status(instance, run_id) for run_id in (killed, earlier)] == ["FAILURE", "FAILURE"]
    assert [status(instance, run_id) for run_id in (daemons, others, finished)] == ["STARTED", "STARTED", "SUCCESS"]
    (event,) = instance.all_logs(killed, of_type=dg.DagsterEventType.RUN_FAILURE)
    assert event.message == "The process that ran it has ended."


def test_the_same_work_of_a_process_that_is_alive_is_refused(instance: dg.DagsterInstance) -> None:
    left_by(instance, Process(os.getppid()))
    end_what_was_killed(instance, "another test")
    with pytest.raises(ConflictError) as told:
        end_what_was_killed(instance, "a test")
    assert str(told.value) == (
        f"Found: a test is at work (process {os.getppid()}). Expected: one at a time. "
        "What to do: wait until it has ended, or end it."
    )
