"""Living through periods: the clock is set to each publication, and production's sensors are ticked until quiet."""

import json
import logging
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, cast

import dagster as dg

from mlops_assets.automation.overdue import lacking
from mlops_assets.components.loading import platform_of
from mlops_assets.components.online import online_key
from mlops_assets.components.partition_ranges import ONE_RUN
from mlops_assets.errors import PlatformError, listed
from mlops_assets.lakehouse.home import Home
from mlops_assets.operations.in_process import end_what_was_killed, failures_of, held_open, run_assets
from mlops_assets.operations.replay.span import Lived, Span
from mlops_assets.operations.replay.state import PendingRun, ReplayState, read_state, without, write_state
from mlops_assets.operations.replay.telling import Telling
from mlops_assets.platform import Platform
from mlops_assets.progress import Progress, untold
from mlops_assets.project.definition import ProjectDefinition

WORK = "a replay"
MAX_ROUNDS = 20
"""More rounds of ticks at one moment than any chain needs; beyond it something asks for itself in a circle."""

INGESTION = ("publisher", "deliveries")
POLICY = "retrain_policy"
INCIDENTS = "incidents"
CONDITIONS = "automation_conditions"
PUBLISHING = "publishing"
"""The cursor of the conditions of what is published online: nobody reads it before a replay's end."""


@dataclass
class Session:
    """One process's part of a replay.

    Args:
        project: What is replayed.
        definitions: Its code location.
        home: Where; holds this replay and nothing else.
        instance: The real Dagster instance of the home.
        state: Where the replay stands.
        telling: Told of what happens.
    """

    project: ProjectDefinition
    definitions: dg.Definitions
    home: Home
    instance: dg.DagsterInstance
    state: ReplayState
    telling: Telling
    _told_until: datetime | None = None

    def live_through(self, moment: datetime, *, history: bool) -> bool:
        """Do everything that is due at a moment of the clock; says whether anything was left to do.

        Args:
            moment: What the clock is set to.
            history: Only publish and ingest; conditions and policy wait until the history is complete.
        """
        if self.state.moment is not None and (moment, True) <= (self.state.moment, self.state.finished):
            return False
        if self.state.moment != moment:
            self._keep(replace(self.state, moment=moment, finished=False))
        self.home.clock.advance(moment)
        self._finish_pending()
        self._tick_all(history=history)
        self._keep(replace(self.state, finished=True))
        return True

    def take_baseline(self) -> None:
        """Show the conditions the empty instance, from which on they see what is new."""
        for name in (CONDITIONS, PUBLISHING):
            if name not in self.state.cursors:
                self._tick_conditions(name)

    def publish(self) -> None:
        """Publish online what changed since the last publishing; again without effect."""
        if self.state.published == self.state.moment:
            return
        self.telling.begins("publish", 1, 1, "")
        self._finish_pending()
        self._until_quiet(lambda: self._tick_conditions(PUBLISHING))
        self._keep(replace(self.state, published=self.state.moment))
        self.telling.ends()

    def _tick_all(self, *, history: bool) -> None:
        for sensor in INGESTION:
            self._tick(sensor)
        if not history:
            self._until_quiet(lambda: self._tick_conditions(CONDITIONS) + self._tick(POLICY))
            self._tick(INCIDENTS)

    def _until_quiet(self, tick: Callable[[], int]) -> None:
        for _ in range(MAX_ROUNDS):
            if not tick():
                return
        raise PlatformError(
            f"sensors that still ask for runs after {MAX_ROUNDS} rounds at {self.home.clock.now().isoformat()}",
            "sensors that come to rest",
            "look at the newest runs in the user interface: some asset asks for itself",
        )

    def _tick(self, name: str) -> int:
        """Tick one sensor of production, and run what it asks for; says how many runs."""
        sensor = self.definitions.resolve_sensor_def(name)
        context = dg.build_sensor_context(
            instance=self.instance,
            cursor=self.state.cursors.get(name),
            sensor_name=name,
            definitions=self.definitions,
        )
        with _silence():
            ticked = sensor.evaluate_tick(context)
        runs = tuple(
            _pending(
                [key.to_user_string() for key in request.asset_selection or []],
                request.partition_key,
                {**request.tags, "dagster/run_key": request.run_key or "", "dagster/sensor_name": name},
            )
            for request in ticked.run_requests or []
            if not self._was_requested(name, request.run_key)
        )
        return self._run(name, ticked.cursor or "", runs)

    def _tick_conditions(self, name: str) -> int:
        """Evaluate the conditions behind one cursor, and run what they ask for; says how many runs."""
        text = self.state.cursors.get(name)
        online = dg.AssetSelection.assets(*map(online_key, self.project.online_tables))
        evaluated = dg.evaluate_automation_conditions(
            self.definitions,
            self.instance,
            asset_selection=online if name == PUBLISHING else dg.AssetSelection.all() - online,
            evaluation_time=self.home.clock.now(),
            cursor=cast(Any, dg.deserialize_value(text)) if text else None,
        )
        graph = self.definitions.resolve_asset_graph()
        # As in production, a run is of one partitions definition: the same key may name a day and a week.
        requested: dict[dg.PartitionsDefinition[Any] | None, dict[str | None, list[str]]] = {}
        for key in graph.toposorted_asset_keys:
            by_partition = requested.setdefault(graph.get(key).partitions_def, {})
            for partition in evaluated.get_requested_partitions(key):
                by_partition.setdefault(partition, []).append(key.to_user_string())
        runs = [run for by_partition in requested.values() for run in self._in_ranges(by_partition)]
        return self._run(name, dg.serialize_value(evaluated.cursor), tuple(runs))

    def _in_ranges(self, by_partition: Mapping[str | None, list[str]]) -> list[PendingRun]:
        """One run for each partition, and for each range of them whose assets all take a range in one run.

        So does the sensor of production, which asks for a backfill where it wants several partitions of an asset.
        """
        runs: list[PendingRun] = []
        for partition in sorted(by_partition, key=str):
            run = _pending(by_partition[partition], partition, {"dagster/sensor_name": CONDITIONS})
            if runs and self._continues(runs[-1], run):
                runs[-1] = replace(runs[-1], last=partition)
            else:
                runs.append(run)
        return runs

    def _continues(self, before: PendingRun, run: PendingRun) -> bool:
        """Whether a run of one partition can be the next of another's range."""
        if before.partition is None or before.assets != run.assets:
            return False
        graph = self.definitions.resolve_asset_graph()
        keys = map(dg.AssetKey.from_user_string, run.assets)
        calendar = self.project.calendar_of(run.assets[0])
        following = calendar.shift(calendar.at_key(before.last or before.partition), 1).key
        return following == run.partition and all(graph.get(key).backfill_policy == ONE_RUN for key in keys)

    def _was_requested(self, sensor: str, run_key: str | None) -> bool:
        if not run_key:
            return False
        tags = {"dagster/run_key": run_key, "dagster/sensor_name": sensor}
        return self.instance.get_runs_count(dg.RunsFilter(tags=tags)) > 0

    def _run(self, sensor: str, cursor: str, runs: tuple[PendingRun, ...]) -> int:
        cursors = {**self.state.cursors, sensor: cursor}
        if runs or cursors != self.state.cursors:
            self._keep(replace(self.state, cursors=cursors, pending=runs))
        self._finish_pending()
        return len(runs)

    def _finish_pending(self) -> None:
        """Run what was asked for; what a process was in the middle of when it ended is begun again."""
        while self.state.pending:
            run = self.state.pending[0]
            known = self.instance.get_run_by_id(run.run_id)
            if known is None and not self._execute(run):
                self.telling.fails(self._words(run))
                self.home.prepare()  # a full disk ends the replay, to go on later: it is no fault of the run's
                failed, again = (*self.state.failed, self._words(run)), (*self.state.again, run)
                self._keep(replace(without(self.state, run), failed=failed, again=again))
            elif known is None or known.is_success:
                self._keep(without(self.state, run))
            else:
                self.telling.news(f"{run.words}: begun again, for its process had ended")
                self._keep(without(self.state, run, _begun_again(run)))

    def try_again(self, *, history: bool) -> None:
        """Begin with what failed in an earlier call, and with what did not come by then: the cause may be mended.

        Args:
            history: Only publish and ingest, as in `live_through`.
        """
        if not self.state.again and not lacking(self._platform):
            return
        self._tick(INGESTION[0])
        known = len(self.state.failed) - len(self.state.again)
        pending = (*self.state.pending, *map(_begun_again, self.state.again))
        self._keep(replace(self.state, pending=pending, failed=self.state.failed[:known], again=()))
        self._finish_pending()
        self._tick_all(history=history)

    def tell_lacking(self) -> None:
        """Tell, once, of each period of a source that should have come by now, and what waits for it."""
        for item in lacking(self._platform, self._told_until):
            self.telling.fails(item.words)
        self._told_until = self.home.clock.now()

    @property
    def _platform(self) -> Platform:
        return platform_of(self.project)

    def _words(self, run: PendingRun) -> str:
        return listed(f"{run.words}:", failures_of(self.instance, run.run_id))

    def _execute(self, run: PendingRun) -> bool:
        begun_before = {"dagster/retry_number": str(run.attempt - 1)} if run.attempt > 1 else {}
        return run_assets(
            self.definitions,
            self.instance,
            [dg.AssetKey.from_user_string(name) for name in run.assets],
            work=WORK,
            partition=run.partition,
            last=run.last,
            tags={**run.tags, **begun_before},
            run_id=run.run_id,
            seen=self.telling.see,
        ).succeeded

    def _keep(self, state: ReplayState) -> None:
        self.state = write_state(self.home, state)


def said_by_policy(state: ReplayState) -> dict[str, str]:
    """What the retrain policy said last of each model, in words."""
    said: dict[str, str] = json.loads(state.cursors.get(POLICY) or "{}")
    return said


def publication_moments(project: ProjectDefinition, until: datetime) -> list[datetime]:
    """Every moment at which a period of a table or model is known, in order, up to one."""
    declared: list[Lived] = [*project.sources.values(), *project.feature_tables.values(), *project.models.values()]
    found: set[datetime] = set()
    for calendar, lag, first, last in {
        (one.schema.calendar, one.lag, one.first, one.last) for one in declared if one.first is not None
    }:
        newest = calendar.newest_over(until - lag)
        found |= {period.end + lag for period in calendar.between(first, min(last, newest) if last else newest)}
    return sorted(found)


def run_replay(
    project: ProjectDefinition,
    definitions: dg.Definitions,
    home: Home,
    instance: dg.DagsterInstance,
    *,
    span: Span,
    progress: Progress = untold,
) -> ReplayState:
    """Replay the periods from first to last on a real instance; goes on where an earlier call ended.

    History before the first period is ingested first; conditions and policy run from the first period on. What failed
    in an earlier call is tried again first.

    Args:
        project: What is replayed.
        definitions: Its code location.
        home: An empty home, or one that holds this replay.
        instance: The Dagster instance of the home.
        span: Which periods to live through.
        progress: Told of each period, and of the history before the first.

    Raises:
        UnusableEnvironmentError: The home holds something else, or its disk is full.
        ConflictError: A replay is at work in it.
    """
    telling = Telling(project, progress)
    session = Session(project, definitions, home, instance, read_state(home, span.first.key), telling)
    moments = publication_moments(project, span.until)
    history = [moment for moment in moments if moment < span.begins]
    periods = span.grouped(moments[len(history) :])
    with held_open(home.dagster):
        end_what_was_killed(instance, WORK)
        session.take_baseline()
        if session.state.moment is not None:
            session.try_again(history=session.state.moment < span.begins)
        for number, moment in enumerate(history, start=1):
            telling.begins("history", number, len(history), moment.date().isoformat())
            if session.live_through(moment, history=True):
                session.tell_lacking()
                telling.ends(minor=True)
        for number, (period, its_moments) in enumerate(periods, start=1):
            telling.begins("replay", number, len(periods), period.key)
            lived = [session.live_through(moment, history=False) for moment in its_moments]
            if any(lived):
                session.tell_lacking()
                telling.ends()
        session.publish()
    return session.state


def _begun_again(run: PendingRun) -> PendingRun:
    return replace(run, run_id=str(uuid.uuid4()), attempt=run.attempt + 1)


def _pending(assets: list[str], partition: str | None, tags: Mapping[str, str]) -> PendingRun:
    given = {name: value for name, value in tags.items() if value}
    return PendingRun(str(uuid.uuid4()), tuple(assets), partition, given)


@contextmanager
def _silence() -> Iterator[None]:
    """Keep what a tick logs off the terminal; in production it is kept with the tick."""
    logging.disable(logging.INFO)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
