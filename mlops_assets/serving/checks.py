"""What the checks of a table said last, from Dagster's event log; Dagster is imported when it is first asked."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.platform import Platform
from mlops_assets.project.definition import SourceDefinition, TableDefinition
from mlops_assets.project.expectations import Severity

if TYPE_CHECKING:
    import dagster as dg


@dataclass(frozen=True)
class CheckState:
    """One check, and its latest result.

    Args:
        name: Its name.
        passed: Whether it passed; None where it has not run yet.
        when: When it ran, by the machine's clock, in UTC; None where it has not.
        severity: ``block`` where a failure keeps rows out, else ``warn``.
        description: What was found; of a check that has not run, what it sees to.
        partition: Key of the period that it was about; None where it is about the whole table, or has not run.
    """

    name: str
    passed: bool | None
    when: datetime | None
    severity: Severity
    description: str
    partition: str | None = None


def latest_checks(platform: Platform, table: str) -> tuple[CheckState, ...]:
    """The declared checks of a source or feature table, each with its latest result; none has run in a new home.

    Raises:
        DefinitionError: There is no such table.
    """
    declared = list(_declared(platform.project.table(table)))
    instance = _instance(platform.home.dagster)
    return tuple(_latest(instance, table, state) if instance else state for state in declared)


def _declared(table: TableDefinition) -> Iterator[CheckState]:
    from mlops_assets.components.results import BLOCKING_CHECKS, CONTRACT, DELIVERY_WHOLE
    from mlops_assets.sources.quarantine import QUARANTINE_EMPTY

    is_source = isinstance(table, SourceDefinition)
    for name in (CONTRACT, DELIVERY_WHOLE) if is_source else (CONTRACT,):
        yield CheckState(name, None, None, "block", BLOCKING_CHECKS[name])
    for expectation in table.expectations:
        yield CheckState(expectation.name, None, None, expectation.severity, expectation.description)
    if isinstance(table, SourceDefinition) and table.max_bad_share:
        yield CheckState(QUARANTINE_EMPTY, None, None, "warn", "No row waits in quarantine.")


def _latest(instance: "dg.DagsterInstance", table: str, declared: CheckState) -> CheckState:
    import dagster as dg

    from mlops_assets.components.private_dagster import newest_evaluation

    found = newest_evaluation(instance, dg.AssetCheckKey(dg.AssetKey(table), declared.name))
    if found is None:
        return declared
    evaluation, seconds = found
    return CheckState(
        declared.name,
        evaluation.passed,
        datetime.fromtimestamp(seconds, UTC),
        declared.severity,
        evaluation.description or declared.description,
        evaluation.partition,
    )


def _instance(folder: Path) -> "dg.DagsterInstance | None":
    """The home's Dagster instance, or the one that DAGSTER_HOME names; None where there is neither yet."""
    elsewhere = os.environ.get("DAGSTER_HOME")
    for place in (folder, *([Path(elsewhere)] if elsewhere else [])):
        if (place / "dagster.yaml").exists():
            return _opened(place)
    return None


@lru_cache(maxsize=4)
def _opened(folder: Path) -> "dg.DagsterInstance":
    """An instance, whose settings may name the folder by DAGSTER_HOME, which this process need not have."""
    import yaml

    from mlops_assets.components.private_dagster import open_instance_in

    settings = yaml.safe_load((folder / "dagster.yaml").read_text(encoding="utf-8")) or {}
    overrides: dict[str, Any] = {}
    log = settings.get("event_log_storage")
    if log and log.get("config", {}).get("base_dir") == {"env": "DAGSTER_HOME"}:
        overrides["event_log_storage"] = {**log, "config": {**log["config"], "base_dir": str(folder)}}
    return open_instance_in(folder, overrides)
