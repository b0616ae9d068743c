"""Runs in the command's own process, on the home's Dagster instance."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import dagster as dg

from mlops_assets.lakehouse.files import write_atomically
from mlops_assets.lakehouse.home import HOME_VARIABLE, Home
from mlops_assets.project.folder import ProjectFolder

SILENT = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
"""The terminal belongs to the progress bar; the event log keeps everything."""


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
    """The home's Dagster instance, which captures no output of steps: that costs two processes a run."""
    from dagster._core.instance.ref import InstanceRef

    nothing = {"module": "dagster.core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"}
    return dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(home.dagster), overrides={"compute_logs": nothing}))


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


def failures_of(instance: dg.DagsterInstance, run_id: str) -> str:
    """Why the steps of a run failed, in words."""
    entries = instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    texts = [failure_words(entry.dagster_event.step_failure_data) for entry in entries if entry.dagster_event]
    return "; ".join(texts) or "it did not finish"


def failure_words(failure: Any) -> str:
    """Why a step failed, in one message: our own where there is one."""
    if failure.user_failure_data and failure.user_failure_data.description:
        return str(failure.user_failure_data.description)
    error = failure.error
    while error and error.cause:
        error = error.cause
    return error.message.strip() if error else "unknown"
