"""The sensors that evaluate conditions: as many as Dagster needs for all assets, each at rest while nothing happens."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import dagster as dg

from mlops_assets.components.loading import platform_of
from mlops_assets.components.private_dagster import is_backfill_under_way, resting_tick
from mlops_assets.lakehouse.content_hash import text_hash
from mlops_assets.lakehouse.working_alone import who_works_alone
from mlops_assets.project.definition import ModelDefinition, ProjectDefinition, TableDefinition

NAME = "automation_conditions"
MAX_CONDITIONS = 500
"""Of so many assets Dagster evaluates conditions in one sensor, where they have code of ours; more it refuses."""

LOOKS = 2
"""A condition may still change at the second look at one state of things (what was new is new no more), never after."""

MAX_REST = timedelta(minutes=10)
"""After it everything is looked at again, for what leaves no event (an asset that was wiped, say)."""


@dataclass(frozen=True)
class _Look:
    """One evaluation that asked for nothing.

    Args:
        newest: Number of the newest event before it.
        cursor: What it remembered.
        at: Platform clock.
        looks: How many in a row saw the same events.
    """

    newest: int | None
    cursor: str | None
    at: datetime
    looks: int


class CarryOn(dg.AutomationConditionSensorDefinition):
    """Evaluates conditions again once something happened in Dagster, or a period's time came.

    What it saw last is kept in this process only: a new process, and new definitions, look at everything.
    """

    def __init__(self, project: ProjectDefinition, name: str, target: dg.AssetSelection) -> None:
        with warnings.catch_warnings():
            # Conditions with code of ours need the user code's server, which Dagster still calls beta.
            warnings.simplefilter("ignore", dg.BetaWarning)
            super().__init__(
                name=name,
                target=target,
                use_user_code_server=True,
                default_status=dg.DefaultSensorStatus.RUNNING,
                description="Features, labels, scores and monitoring follow what was ingested.",
            )
        self._project = project
        self._last: _Look | None = None

    def evaluate_tick(self, context: dg.SensorEvaluationContext) -> Any:
        """Evaluate the conditions, or rest."""
        platform = platform_of(self._project)
        if other := who_works_alone(platform.home):
            return resting_tick(f"{other} is at work", context.cursor)
        now = platform.clock.now()
        newest = context.instance.event_log_storage.get_maximum_record_id()
        last = self._last
        if last and ((last.newest, last.cursor) != (newest, context.cursor) or came_due(self._project, last.at, now)):
            last = None
        rests = last and last.looks >= LOOKS and now - last.at < MAX_REST
        if rests and not is_backfill_under_way(context.instance):  # whose end leaves no event
            return resting_tick("nothing happened since the last look", context.cursor)
        self._last = None
        looked = super().evaluate_tick(context)
        if not looked.run_requests:
            self._last = _Look(newest, looked.cursor, now, last.looks + 1 if last else 1)
        return looked


def came_due(project: ProjectDefinition, since: datetime, now: datetime) -> bool:
    """Whether the time of a period came after one moment, up to another: its end, or the lag after it of a table."""
    declared: list[TableDefinition | ModelDefinition] = [*project.sources.values(), *project.feature_tables.values()]
    declared += project.models.values()
    lags = {
        (table.schema.calendar, lag)
        for table in declared
        if table.schema.timestamp is not None
        for lag in (timedelta(), table.lag)
    }
    return any(since < calendar.of(now - lag).start + lag for calendar, lag in lags)


def carry_on_sensors(project: ProjectDefinition, loaded: dg.Definitions) -> list[CarryOn]:
    """One sensor of all assets, or several where they are more than Dagster takes; what a model has is in one.

    Args:
        project: Whose models and tables the assets are.
        loaded: The definitions of all assets.
    """
    groups: dict[str, list[dg.AssetKey]] = {}
    for assets in loaded.assets or ():
        for spec in assets.specs if isinstance(assets, dg.AssetsDefinition) else ():
            if spec.automation_condition is not None:
                first = spec.key.path[0]
                ours = first in project.models or first in project.feature_tables
                groups.setdefault(first if ours else spec.key.to_user_string(), []).append(spec.key)
    if sum(map(len, groups.values())) <= MAX_CONDITIONS:
        return [CarryOn(project, NAME, dg.AssetSelection.all())]
    return [
        CarryOn(project, f"{NAME}_{number}" if number > 1 else NAME, dg.AssetSelection.assets(*keys))
        for number, keys in enumerate(in_shares(groups, MAX_CONDITIONS), start=1)
    ]


def in_shares(groups: Mapping[str, Sequence[dg.AssetKey]], most: int) -> list[list[dg.AssetKey]]:
    """Groups of assets in shares of at most so many; a group stays in its share whatever is added or removed.

    Only where there have to be twice as many shares, half of the groups change theirs, and are looked at anew.
    """
    number = 1
    while True:
        shares: list[list[dg.AssetKey]] = [[] for _ in range(number)]
        for name, keys in groups.items():
            shares[int(text_hash(name)[:8], 16) % number] += keys
        if max(map(len, shares)) <= most:
            return [share for share in shares if share]
        number *= 2
