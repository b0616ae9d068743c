"""Runs in the command's own process, on the home's Dagster instance."""

import logging
import os
import sqlite3
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from mlops_assets.components import constants
from mlops_assets.components.private_dagster import RANGE_END_TAG, RANGE_START_TAG, open_instance_in
from mlops_assets.errors import ConflictError, PlatformError
from mlops_assets.lakehouse.home import HOME_VARIABLE, Home
from mlops_assets.lakehouse.processes import Process
from mlops_assets.operations.recorded import Recorded
from mlops_assets.project.folder import ProjectFolder
from mlops_assets.storage.files import write_atomically

SILENT = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
"""The terminal belongs to the progress bar; the event log keeps everything."""

_OURS = f"{PlatformError.__module__}."
NOT_FINISHED = "it did not finish"
"""Why a run failed none of whose steps did."""


def enter(home: Home, project: ProjectFolder) -> None:
    """Point Dagster at the home; its settings are the project's ``dagster.yaml``, its storage is the home's own."""
    import yaml

    home.require_format()
    home.dagster.mkdir(parents=True, exist_ok=True)
    file = project.folder / "dagster.yaml"
    settings = yaml.safe_load(file.read_text(encoding="utf-8")) if file.exists() else None
    settings = {"telemetry": {"enabled": False}, **(settings or {})}
    if not {"storage", "event_log_storage"} & settings.keys():
        settings |= yaml.safe_load(_EVENT_LOG)
    write_atomically(home.dagster / "dagster.yaml", yaml.safe_dump(settings).encode())
    os.environ[HOME_VARIABLE] = str(home.folder)
    os.environ["DAGSTER_HOME"] = str(home.dagster)


# One file: a month's run costs an eighth less than with a file for each run. The variable lets a home be moved; in
# the project's own settings it would break `dg`, which reads them without a home.
_EVENT_LOG = """
event_log_storage:
  module: dagster.core.storage.event_log
  class: ConsolidatedSqliteEventLogStorage
  config: {base_dir: {env: DAGSTER_HOME}}
"""


def open_instance(home: Home) -> dg.DagsterInstance:
    """The home's Dagster instance, in the folder that its settings name by a variable."""
    os.environ["DAGSTER_HOME"] = str(home.dagster)
    return open_instance_in(home.dagster, {})


@contextmanager
def held_open(folder: Path) -> Iterator[None]:
    """Keep one connection to each of Dagster's databases open.

    Dagster opens a connection for every event, and whenever the last one to a file is closed SQLite clears its log
    away: without one that stays, this takes almost half of a run's time.
    """
    with ExitStack() as stack:
        for file in folder.rglob("*.db"):
            connection = stack.enter_context(closing(sqlite3.connect(file)))
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        yield


@dataclass(frozen=True)
class Ran:
    """A run that has ended.

    Args:
        run_id: Dagster's id.
        succeeded: Whether every step did.
        failures: Why steps failed, a message each; at least one where the run did not succeed.
    """

    run_id: str
    succeeded: bool
    failures: tuple[str, ...]


def run_assets(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    assets: Sequence[dg.AssetKey],
    *,
    work: str,
    partition: str | None = None,
    last: str | None = None,
    tags: Mapping[str, str] | None = None,
    run_id: str | None = None,
    seen: Callable[[dg.EventLogEntry], None] = lambda entry: None,
) -> Ran:
    """Run some assets in this process, as one run of an instance.

    Args:
        definitions: The project's code location.
        instance: Where the run and its events go.
        assets: Which assets.
        work: What the run is part of, in words, such as "a replay" (see `end_what_was_killed`).
        partition: Key of the partition, or of the first of a range; None for assets without.
        last: Key of the last partition of a range; None for a partition alone.
        tags: Further tags of the run.
        run_id: The id that was chosen for it.
        seen: Told of each event, and of what steps log, as it happens.

    Raises:
        KeyboardInterrupt: The person at the terminal ended it; Dagster takes that for one more failure.
    """
    run_id = run_id or str(uuid.uuid4())
    all_tags = {**(tags or {}), constants.WORK: work, constants.PROCESS: str(Process.this())}
    if partition is not None and last is not None:
        all_tags |= {RANGE_START_TAG: partition, RANGE_END_TAG: last}
        partition = None
    instance.add_event_listener(run_id, seen)  # the run itself gives its events at its end only
    done = definitions.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance,
        run_id=run_id,
        partition_key=partition,
        run_config=SILENT,
        asset_selection=list(assets),
        tags=all_tags,
        raise_on_error=False,
    )
    if any(_is_interruption(event) for event in done.all_events):
        raise KeyboardInterrupt
    return Ran(run_id, bool(done.success), () if done.success else failures_of(instance, run_id))


def _is_interruption(event: dg.DagsterEvent) -> bool:
    if event.event_type != dg.DagsterEventType.RUN_FAILURE:
        return False
    error = event.job_failure_data.error
    return error is not None and error.cls_name == dg.DagsterExecutionInterruptedError.__name__


def end_what_was_killed(instance: dg.DagsterInstance, work: str | None = None) -> None:
    """Report every run of a command whose process has ended without a word as failed.

    Args:
        instance: The home's instance.
        work: What is about to be done, as it was given to `run_assets`.

    Raises:
        ConflictError: Another process is at that very work.
    """
    trained = []
    unfinished = [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
    for run in instance.get_runs(dg.RunsFilter(statuses=unfinished)):
        if constants.PROCESS not in run.tags:
            continue  # the daemon's, which sees to its own
        process = Process.parse(run.tags[constants.PROCESS])
        if process == Process.this() or not process.is_alive():
            instance.report_run_failed(run, "The process that ran it has ended.")
            if any(key.path[-1] == "candidate" for key in run.asset_selection or ()):
                trained.append(run.run_id)
        elif run.tags.get(constants.WORK) == work:
            raise ConflictError(
                f"{work} is at work (process {process.number})",
                "one at a time",
                "wait until it has ended, or end it",
            )
    if trained:
        from mlops_assets.models.registry import end_killed_runs, open_registry

        end_killed_runs(open_registry(Home.find().mlflow), trained)


MAX_EVENTS = 1000
MAX_RUNS = 5
"""Of so many of an asset's newest events, and of so many runs among them, its durations are taken."""


def recorded_durations(home: Home) -> dict[str, Recorded]:
    """What each asset took in the newest runs that a home recorded; empty where it recorded none."""
    if not (home.dagster / "dagster.yaml").is_file():
        return {}
    with open_instance(home) as instance:
        return durations(instance)


def durations(instance: dg.DagsterInstance) -> dict[str, Recorded]:
    """What each asset of an instance took in its newest runs."""
    found = {key.to_user_string(): _duration(instance, key) for key in instance.all_asset_keys()}
    return {name: took for name, took in found.items() if took}


def _duration(instance: dg.DagsterInstance, key: dg.AssetKey) -> Recorded | None:
    events = instance.fetch_materializations(dg.AssetRecordsFilter(key), limit=MAX_EVENTS).records
    counts = Counter(event.run_id for event in events)
    if len(events) == MAX_EVENTS and len(counts) > 1:
        del counts[events[-1].run_id]  # not all of its partitions are among them
    seconds, partitions = 0.0, 0
    for run_id, count in list(counts.items())[:MAX_RUNS]:
        for step in instance.get_run_step_stats(run_id, ["__".join(key.path)]):
            if step.start_time and step.end_time:
                seconds, partitions = seconds + step.end_time - step.start_time, partitions + count
    return (
        Recorded(max(len(instance.get_materialized_partitions(key)), 1), seconds / partitions) if partitions else None
    )


def news_of(entry: dg.EventLogEntry) -> str:
    """What is new in an event, in few words: a step that began, a partition that is done, or what a step logs."""
    event, step = entry.dagster_event, (entry.step_key or "").replace("__", "/")
    if event is None:
        return f"{step}: {entry.user_message}" if step else ""
    if event.event_type == dg.DagsterEventType.STEP_START:
        return step
    if event.event_type == dg.DagsterEventType.ASSET_MATERIALIZATION and event.partition:
        return f"{step} {event.partition}"
    return ""


def is_logged_error(entry: dg.EventLogEntry) -> bool:
    """Whether a step logged an error and went on: one of several partitions failed, say."""
    # Dagster also logs of each step behind one that failed that it is not executed.
    own = entry.dagster_event is None and not entry.user_message.startswith("Dependencies for step ")
    return own and int(entry.level) >= logging.ERROR


def failures_of(instance: dg.DagsterInstance, run_id: str) -> tuple[str, ...]:
    """Why the steps of a run that failed did, a message each; at least one."""
    events = [
        entry.dagster_event
        for kind in (dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.RUN_FAILURE)
        for entry in instance.all_logs(run_id, of_type=kind)
        if entry.dagster_event
    ]
    steps = [failure_words(event.step_failure_data) for event in events if event.is_step_failure]
    # Without a step that failed, the run did before it came to one: a resource of its was not to be had, say.
    whole = [
        _words_of(event.job_failure_data.error) for event in events if event.is_failure and not event.is_step_event
    ]
    return tuple(steps or filter(None, whole)) or (NOT_FINISHED,)


def failure_words(failure: Any) -> str:
    """Why a step failed, in one message: our own where there is one."""
    if failure.user_failure_data and failure.user_failure_data.description:
        return str(failure.user_failure_data.description)
    return _words_of(failure.error) or "unknown"


def _words_of(error: Any) -> str:
    """What an error that Dagster recorded says: one of ours among those that caused it, or the first of them."""
    while error and error.cause and not error.message.startswith(_OURS):
        error = error.cause
    if error and error.cls_name == dg.DagsterExecutionInterruptedError.__name__:
        return "it was interrupted"
    text = error.message.strip() if error else ""
    return text.partition(": ")[2] if text.startswith(_OURS) else text
