"""What a change of definitions would recompute, in which partitions and at what cost, before it is done."""

import time
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Literal

from mlops_assets.engines.contract import QueryInput
from mlops_assets.errors import PlatformError
from mlops_assets.features.corrections import input_states, moments_due
from mlops_assets.features.differences import Difference, differences
from mlops_assets.features.feature_tables import feature_rows, query_inputs
from mlops_assets.features.generations import (
    asset_of,
    count_of,
    earlier_generations,
    generation_as_stored,
    generations,
    missing_history,
    newest_earlier,
    to_compute,
)
from mlops_assets.lakehouse.periods import Period
from mlops_assets.lakehouse.tables import StateTable
from mlops_assets.models.agreement import agreement
from mlops_assets.models.records import candidate_of_version, present_champion
from mlops_assets.operations.recorded import Recorded
from mlops_assets.platform import Platform
from mlops_assets.project.definition import FeatureTableDefinition, ModelDefinition, ProjectDefinition


@dataclass(frozen=True)
class Cost:
    """What computing the periods of a new generation takes; ``None`` where it could not be measured.

    Args:
        periods: Keys of the periods to compute.
        computations: How many times they are computed in all: at each as_of, and at each correction since.
        seconds_each: One computation, measured now on the newest period; writing and Dagster's events are not in it.
        rows_each: Rows of that period.
        bytes: What the same periods take in the generation before.
        unmeasured: Why it could not be measured, or empty.
        recorded_each: One computation in the newest recorded runs, all that belongs to it included; None where the
            home recorded none.
    """

    periods: tuple[str, ...]
    computations: int
    seconds_each: float | None
    rows_each: int | None
    bytes: int
    unmeasured: str = ""
    recorded_each: float | None = None

    @property
    def seconds(self) -> float | None:
        """All computations; None where nothing is known of one."""
        each = self.seconds_each if self.recorded_each is None else self.recorded_each
        return None if each is None else self.computations * each


@dataclass(frozen=True)
class Planned:
    """What happens to one table, or to the labels or versions of one model.

    Args:
        name: The asset: ``trend``, ``forecast/labels`` or, for a model's versions, ``forecast``.
        status: ``unchanged``; ``new`` (the home has none of it); ``changed``; or ``unfinished``: the definition was
            computed before, but not for all the periods that another one was.
        before: The last generation that the home holds, where there was another.
        now: The generation as defined.
        differences: What is different in the definition.
        cost: What must be computed; None where nothing must.
        consequence: What becomes of a model's version, in words.
        follows: What conditions then compute once more, by asset, wherever the model reads another content: at most
            all that is there; None where nothing of what it reads is computed anew.
    """

    name: str
    status: Literal["unchanged", "new", "changed", "unfinished"]
    before: str | None
    now: str
    differences: tuple[Difference, ...] = ()
    cost: Cost | None = None
    consequence: str = ""
    follows: Mapping[str, Recorded] | None = None


TRAINED = ("training_set", "candidate", "version", "champion")
"""What of a model is computed where a training is asked for, and not where what it reads changed."""


def plan(
    project: ProjectDefinition, platform: Platform, recorded: Mapping[str, Recorded] | None = None
) -> list[Planned]:
    """Compare the definitions of a project with what its home holds; nothing is written.

    Args:
        project: The project.
        platform: Over its home.
        recorded: What assets took in the home's recorded runs.
    """
    recorded = recorded or {}
    planned = [_table(platform, table) for table in project.feature_tables.values()]
    for model in project.models.values():
        planned += _model(platform, model)
    planned = [_with_recorded(item, recorded) for item in planned]
    computed = {item.name for item in planned if item.cost}
    return [
        replace(item, follows=_following(project.models[item.name], recorded, computed))
        if item.name in project.models
        else item
        for item in planned
    ]


def _with_recorded(item: Planned, recorded: Mapping[str, Recorded]) -> Planned:
    if item.cost is None or item.name not in recorded:
        return item
    return replace(item, cost=replace(item.cost, recorded_each=recorded[item.name].seconds_each))


def _following(
    model: ModelDefinition, recorded: Mapping[str, Recorded], computed: AbstractSet[str]
) -> Mapping[str, Recorded] | None:
    labels = f"{model.name}/labels"
    if computed.isdisjoint({*model.inputs, *model.label.inputs, labels}):
        return None
    own = {f"{model.name}/{step}" for step in TRAINED} | {labels}
    return {name: took for name, took in recorded.items() if name.startswith(f"{model.name}/") and name not in own}


def as_text(planned: list[Planned]) -> str:
    """A plan for people."""
    lines: list[str] = []
    for item in planned:
        was = f" (it was {item.before})" if item.before and item.before != item.now else ""
        heading = {
            "unchanged": "unchanged",
            "new": f"generation {item.now}, of which nothing is computed yet",
            "changed": f"new generation {item.now}{was}",
            "unfinished": f"generation {item.now} lacks periods that an earlier one has",
        }[item.status]
        lines.append(f"{item.name}: {heading}")
        for difference in item.differences:
            lines += [f"  {line}" for line in difference.as_lines()]
        if item.cost:
            lines.append(f"  {_cost_in_words(item.cost)}")
        if item.consequence:
            lines.append(f"  {item.consequence}")
        if item.follows is not None:
            lines.append(f"  {_following_in_words(item.follows)}")
    if any(item.cost for item in planned):
        lines.append(_total_in_words(planned))
    waiting = [item.name.replace("/", ".") for item in planned if item.cost]
    lines.append(f"Nothing was written. To compute it: {to_compute(*waiting)}" if waiting else "Nothing to compute.")
    return "\n".join(lines)


def _cost_in_words(cost: Cost) -> str:
    times = f" {cost.computations} times in all, corrections included" if cost.computations > len(cost.periods) else ""
    rows = "" if cost.rows_each is None else f" and {len(cost.periods) * cost.rows_each} rows"
    if cost.recorded_each is not None:
        measured = f"about {cost.seconds:.1f} s ({cost.recorded_each:.3f} s each, as recorded in this home){rows}"
    elif cost.seconds_each is None:
        measured = f"not measured ({cost.unmeasured})"
    else:
        measured = (
            f"about {cost.seconds:.1f} s of computing alone ({cost.seconds_each:.3f} s each; this home recorded no run "
            f"of it){rows}"
        )
    return f"computes {count_of(cost.periods)}{times}: {measured}; the generation before has {cost.bytes} bytes there"


def _following_in_words(follows: Mapping[str, Recorded]) -> str:
    if not follows:
        return "what is computed again behind it is not known: this home recorded no run of it"
    listed = ", ".join(
        f"{name} {took.partitions} times ({took.seconds_each:.3f} s each)" for name, took in sorted(follows.items())
    )
    seconds = sum(took.seconds for took in follows.values())
    return f"where what it reads turns out another, computed again: {listed}; up to {seconds:.1f} s, as recorded"


def _total_in_words(planned: list[Planned]) -> str:
    """What all of it takes, and of what that is not known."""
    known = [item.cost.seconds for item in planned if item.cost and item.cost.seconds is not None]
    known += [took.seconds for item in planned for took in (item.follows or {}).values()]
    unknown = [item.name for item in planned if (item.cost and item.cost.recorded_each is None)]
    unknown += [f"what follows of {item.name}" for item in planned if item.follows == {}]
    without = (
        f"; without, or with computing alone of, what no run is recorded of: {', '.join(unknown)}" if unknown else ""
    )
    return f"In all up to {sum(known):.1f} s{without}."


def _table(platform: Platform, table: FeatureTableDefinition) -> Planned:
    known = generations(platform, table.name)
    others = [record for record in known if record.generation != table.generation]
    before = others[-1] if others else None
    present = any(record.generation == table.generation for record in known)
    missing = _missing(platform.table(table.name), table.first)
    cost = _cost(platform, table, missing) if missing else None
    if present:
        status: Literal["unchanged", "unfinished"] = "unfinished" if missing else "unchanged"
        return Planned(table.name, status, None, table.generation, (), cost)
    if before is None:
        return Planned(table.name, "new", None, table.generation)
    found = tuple(differences(before.definition, table.parts))
    return Planned(table.name, "changed", before.generation, table.generation, found, cost)


def _missing(table: StateTable, first: Period) -> list[Period]:
    """The periods that an earlier generation has and the present one lacks."""
    newest = newest_earlier(table)
    keys = missing_history(table, first, newest) if newest else []
    return [table.schema.calendar.at_key(key) for key in keys]


def _cost(platform: Platform, table: FeatureTableDefinition, periods: list[Period]) -> Cost:
    now = platform.clock.now()
    computations = 0
    for period in periods:
        states = input_states(_inputs_held(platform, table, period))
        computations += len(moments_due(states, platform.feature_table_as_of(table, period), now, None))
    size = _bytes_before(platform.table(table.name), periods)
    unmeasured = Cost(tuple(period.key for period in periods), computations, None, None, size)
    newest = periods[-1]
    inputs, as_of = _inputs_held(platform, table, newest), platform.feature_table_as_of(table, newest)
    engine = platform.engine_of(table.name)
    try:
        engine.measure(feature_rows(platform, table, newest, inputs, as_of).rows, {"rows": "count(*)"})  # warms it up
        began = time.perf_counter()
        rows = engine.measure(feature_rows(platform, table, newest, inputs, as_of).rows, {"rows": "count(*)"})["rows"]
    except PlatformError as error:  # it may need a column that its inputs get only now
        return replace(unmeasured, unmeasured=error.found)
    return replace(unmeasured, seconds_each=time.perf_counter() - began, rows_each=int(rows))


def _inputs_held(platform: Platform, table: FeatureTableDefinition, period: Period) -> list[QueryInput]:
    """The inputs of a period as the home holds them: an input that is new itself, in the generation before."""
    return [
        replace(item, table=_held(platform, item.table))
        for item in query_inputs(platform, table.inputs, period, table.history)
    ]


def _held(platform: Platform, table: StateTable) -> StateTable:
    known = generations(platform, table.name)
    if table.delta.exists() or not known:
        return table
    return generation_as_stored(platform, table, known[-1])


def _bytes_before(table: StateTable, periods: list[Period]) -> int:
    bounds = (periods[0].key, periods[-1].key)
    sizes = [
        sum(other.file(file).status().size for file in other.files(bounds)) for other in earlier_generations(table)
    ]
    return max(sizes, default=0)


def _model(platform: Platform, model: ModelDefinition) -> Iterator[Planned]:
    known = generations(platform, model.name)
    trained = any(record.generation == model.generation for record in known)
    found = () if trained or not known else tuple(differences(known[-1].definition, model.parts))
    labels = platform.labels(model)
    missing = _missing(labels, model.first)
    keys = tuple(period.key for period in missing)
    cost = None
    if missing:
        cost = Cost(keys, len(keys), None, None, _bytes_before(labels, missing), "labels are not measured")
    status: Literal["unchanged", "new", "changed", "unfinished"] = "unchanged"
    if not labels.delta.exists():
        status = "changed" if missing else "new"
    elif missing:
        status = "unfinished"
    yield Planned(asset_of(labels.name), status, None, model.label_generation, (), cost)
    yield Planned(
        model.name,
        "new" if not known else "unchanged" if trained else "changed",
        None if trained or not known else known[-1].generation,
        model.generation,
        found,
        None,
        _consequence(platform, model),
    )


def _consequence(platform: Platform, model: ModelDefinition) -> str:
    """What becomes of a model's champion and of the training set it came from."""
    champion = present_champion(platform, model)
    if champion is None:
        return "it has no champion yet"
    agreed = agreement(platform, model, candidate_of_version(platform, model, champion.version))
    version = f"version {champion.version}, the champion,"
    otherwise = "a training on the new definitions is asked for as soon as their past is computed"
    if agreed.may_score:
        return f"{version} goes on: {agreed.reason}"
    if agreed.outcome == "differs":
        return f"{version} and its training set are of the past: {agreed.reason}; {otherwise}"
    used = [
        f"{', '.join(table.columns) or 'rows'} of '{asset_of(table.table)}'" for table in agreed.tables if table.missing
    ]
    return (
        f"{version} and its training set go on, provided that these turn out the same when they are computed: "
        f"{'; '.join(used)}. If not, {otherwise}"
    )
