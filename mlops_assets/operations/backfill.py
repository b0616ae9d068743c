"""Computing the past of feature tables and labels: one run over a range of partitions, resumed where it stopped.

A partition is current, and passed over, when its newest event records the definition and the inputs that it would be
computed from now and the content that the table holds.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

import dagster as dg

from mlops_assets.components.read_before import newest_materializations, reads_the_same
from mlops_assets.errors import MissingDataError, none_of
from mlops_assets.features.feature_tables import history_evidence, require_inputs
from mlops_assets.features.labels import label_history, labelled_period
from mlops_assets.lakehouse.periods import Period
from mlops_assets.lakehouse.tables import StateTable
from mlops_assets.operations.in_process import end_what_was_killed, is_logged_error, run_assets
from mlops_assets.platform import Platform
from mlops_assets.progress import Progress, Step, untold
from mlops_assets.project.definition import FeatureTableDefinition, ProjectDefinition
from mlops_assets.project.reads import Reads, label_reads, table_reads


@dataclass(frozen=True)
class Backfilled:
    """What a backfill did for one table.

    Args:
        table: Its name.
        current: How many partitions were current already.
        computed: Keys of those that were computed.
        failed: Why others were not, by run.
        waiting: What others still wait for, by key.
    """

    table: str
    current: int
    computed: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    waiting: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _ComputedTable:
    """A feature table or a model's labels: what is computed for each partition, from which inputs.

    ``stored`` is where the states of a partition lie: labels are stored under the period that they are about.
    """

    name: str
    states: StateTable
    reads: Reads
    history: int
    generation: str
    first: Period
    last: Period | None
    as_of: Callable[[Period], datetime]
    stored: Callable[[Period], Period]

    @property
    def key(self) -> dg.AssetKey:
        """Its asset."""
        return dg.AssetKey(self.name.split("/"))


def _computed(platform: Platform, name: str) -> _ComputedTable:
    project = platform.project
    model_name, _, step = name.partition("/")
    if step == "labels" and model_name in project.models:
        model = project.models[model_name]
        return _ComputedTable(
            name,
            platform.labels(model),
            label_reads(project, model),
            label_history(model),
            model.label_generation,
            model.first_label_period,
            model.last_label_period,
            partial(platform.labels_as_of, model),
            partial(labelled_period, model),
        )
    table = _feature_table(project, name)
    return _ComputedTable(
        name,
        platform.table(name),
        table_reads(project, table),
        table.history,
        table.generation,
        table.first,
        table.last,
        partial(platform.feature_table_as_of, table),
        lambda period: period,
    )


def _feature_table(project: ProjectDefinition, name: str) -> FeatureTableDefinition:
    if name in project.feature_tables:
        return project.feature_tables[name]
    computed = [*project.feature_tables, *(f"{model}/labels" for model in project.models)]
    raise none_of(f"'{name}', which is neither a feature table nor a model's labels", name, computed)


def with_upstream(platform: Platform, name: str) -> tuple[str, ...]:
    """A feature table or a model's labels after all feature tables that it rests on, each after its own inputs."""
    tables = platform.project.feature_tables
    inputs = [input_ for input_ in _computed(platform, name).reads if input_ in tables]
    return tuple(dict.fromkeys([*(found for input_ in inputs for found in with_upstream(platform, input_)), name]))


def run_backfill(
    platform: Platform,
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    name: str,
    *,
    first: str | None = None,
    last: str | None = None,
    progress: Progress = untold,
) -> Backfilled:
    """Compute the partitions of a feature table or of labels that are due, with an event, a data version and checks.

    Args:
        platform: The platform.
        definitions: The project's code location.
        instance: Where the events go.
        name: Which feature table, or ``MODEL/labels``.
        first: Key of the first partition; by default the first there is.
        last: Key of the last one; by default the newest whose as_of has come.
        progress: Told of each partition.

    Raises:
        DefinitionError: There is no such feature table, and no such labels.
        ConflictError: Another backfill of it is at work.
    """
    computed = _computed(platform, name)
    work = f"a backfill of '{name}'"
    end_what_was_killed(instance, work)
    waiting: dict[str, str] = {}
    ready = []
    for period in _periods(platform, computed, first, last):
        try:
            require_inputs(platform, computed.reads, period, computed.history)
            ready.append(period)
        except MissingDataError as error:
            waiting[period.key] = error.found
    current = _current(platform, instance, computed, ready)
    due = [period for period in ready if period.key not in current]
    keys, failed = list[str](), list[str]()

    def seen(entry: dg.EventLogEntry) -> None:
        event = entry.dagster_event
        if event and event.event_type == dg.DagsterEventType.ASSET_MATERIALIZATION and event.partition:
            keys.append(event.partition)
            progress(Step(name, len(keys), len(due), event.partition, minor=True))
        elif is_logged_error(entry):
            progress(Step(name, len(keys), len(due), words=entry.user_message, failed=True))

    for begin, end in _ranges(due):
        done = run_assets(
            definitions, instance, [computed.key], work=work, partition=begin.key, last=end.key, seen=seen
        )
        failed += done.failures
    return Backfilled(name, len(current), tuple(keys), tuple(failed), waiting)


def _periods(platform: Platform, computed: _ComputedTable, first: str | None, last: str | None) -> list[Period]:
    """The periods asked for whose as_of has come."""
    now = platform.clock.now()
    calendar = computed.states.schema.calendar
    begin = max(calendar.at_key(first), computed.first) if first else computed.first
    ends = [calendar.of(now), *(calendar.at_key(last) for last in [last] if last)]
    ends += [computed.last] if computed.last else []
    return [period for period in calendar.between(begin, min(ends)) if computed.as_of(period) <= now]


def _current(
    platform: Platform, instance: dg.DagsterInstance, computed: _ComputedTable, periods: Sequence[Period]
) -> set[str]:
    """The keys of those that computing again would leave as they are."""
    events = newest_materializations(instance, computed.key, {period.key for period in periods})
    stored = {period: computed.stored(period) for period in periods if period.key in events}
    versions = computed.states.data_versions(list(stored.values()))
    current = set()
    for period, held in stored.items():
        event = events[period.key]
        read = history_evidence(platform, computed.reads, period, computed.history, computed.states.schema.calendar)
        holds_it = (event.tags or {}).get("dagster/data_version") == versions[held.key]
        if holds_it and reads_the_same(event, computed.generation, read):
            current.add(period.key)
    return current


def _ranges(periods: Sequence[Period]) -> Iterator[tuple[Period, Period]]:
    """First and last of each row of periods without a gap."""
    begin = None
    for number, period in enumerate(periods):
        begin = begin or period
        following = periods[number + 1 : number + 2]
        if not following or following[0].start != period.end:
            yield begin, period
            begin = None
