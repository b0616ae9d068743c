"""What a correction changed, and how far it reached: feature tables, labels, and the models that use them."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mlops_assets.lakehouse.periods import Calendar, Period
from mlops_assets.lakehouse.schema import STATIC_PERIOD
from mlops_assets.lakehouse.tables import StateMoment, StateTable
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ProjectDefinition, SourceDefinition

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Correction:
    """What became known of one period of a table at one moment, after it had been known before.

    Args:
        table: The table's name.
        period: Key of the period.
        known_at: From when it was known, UTC.
        changed: Rows that got other values.
        added: Rows that were not there before.
        removed: Rows that are no longer there.
        columns: How many of the changed rows differ in each column; columns without a difference are left out.
    """

    table: str
    period: str
    known_at: datetime
    changed: int
    added: int
    removed: int
    columns: Mapping[str, int]


@dataclass(frozen=True)
class Effect:
    """States that a partition got at a correction's moment; ``table`` is a feature table, or ``MODEL/labels``."""

    table: str
    period: str
    states: int


@dataclass(frozen=True)
class Reach:
    """What rests on a period of a table: by name the first and last period of each, and the models that use them."""

    tables: Mapping[str, tuple[str, str | None]]
    models: tuple[str, ...]


def corrections_of(platform: Platform, name: str, since: datetime | None = None) -> list[Correction]:
    """The corrections of a source or feature table, in the order of time.

    Args:
        platform: The platform.
        name: The table's name.
        since: Only those that became known at or after this moment; None for all.
    """
    table = platform.table(name)
    definition = platform.project.table(name)
    first, last, static = definition.first, table.newest_period(), table.schema.timestamp is None
    pushed = isinstance(definition, SourceDefinition) and definition.pushed
    if not static and (first is None or last is None):
        return []
    found: list[Correction] = []
    for key, moments in table.moments(first, last).items():
        if len(moments) > 1 or pushed:
            period = None if static else table.schema.calendar.at_key(key)
            as_of = period.end + definition.lag if pushed and period else None
            found += _corrections(table, period, table.states(period, period), _first_seq(moments, as_of))
    wanted = (item for item in found if since is None or item.known_at >= since)
    return sorted(wanted, key=lambda item: (item.known_at, item.period))


def effects_of(platform: Platform, correction: Correction) -> list[Effect]:
    """What each partition that rests on a corrected one got at the correction's moment."""
    project = platform.project
    reach = reach_of(project, correction.table, correction.period)
    tables = {name: platform.table(name) for name in reach.tables if "/" not in name}
    tables |= {f"{name}/labels": platform.labels(model) for name, model in project.models.items()}
    effects = []
    for name, bounds in reach.tables.items():
        table, newest = tables[name], tables[name].newest_period()
        if newest is None:
            continue
        calendar = table.schema.calendar
        last = min(newest, calendar.at_key(bounds[1])) if bounds[1] else newest
        for key, moments in table.moments(calendar.at_key(bounds[0]), last).items():
            first = _first_seq(moments, None)  # which may lie at that very moment, and is no work of the correction
            states = sum(
                moment.states for moment in moments if moment.known_at == correction.known_at and moment.seq > first
            )
            if states:
                effects.append(Effect(name, key, states))
    return effects


def reach_of(project: ProjectDefinition, name: str, period: str) -> Reach:
    """What rests on a period of a table, by the histories that are declared.

    A static table is under everything; its reach has no last period.
    """
    static = period == STATIC_PERIOD
    start = None if static else project.table(name).schema.calendar.at_key(period)
    reached: dict[str, _Span] = {}

    def rests_on(inputs: Iterable[str], history: int, first: Period, calendar: Calendar) -> list[_Span]:
        spans = [(start or first, start) if read == name else reached[read] for read in inputs if reads(read)]
        return [(max(begin, first), end and calendar.shift(end, history - 1)) for begin, end in spans]

    def reads(table: str) -> bool:
        return table == name or table in reached

    for table in project.feature_tables.values():
        _widen(reached, table.name, rests_on(table.inputs, table.history, table.first, table.schema.calendar))
    models = []
    for model in project.models.values():
        if any(map(reads, (*model.inputs, *model.label.inputs))):
            models.append(model.name)
        calendar, back = model.schema.calendar, model.label.known_after
        known_in = rests_on((*model.label.inputs, *model.population_inputs), model.history, model.first, calendar)
        # A label lies in the period that is predicted from, which is earlier than the one it becomes known in.
        _widen(reached, f"{model.name}/labels", [(calendar.shift(begin, -back), end) for begin, end in known_in])
    keys = {item: (begin.key, end.key if end else None) for item, (begin, end) in reached.items()}
    return Reach(keys, tuple(models))


def as_text(platform: Platform, correction: Correction) -> str:
    """A correction for people: what changed, then a line for each table that got states by it, then the models."""
    columns = ", ".join(f"{name} in {count}" for name, count in correction.columns.items())
    lines = [
        f"{correction.table} {correction.period}, known from {correction.known_at.isoformat()}: "
        f"{correction.changed} rows changed{f' ({columns})' if columns else ''}, "
        f"{correction.added} added, {correction.removed} removed"
    ]
    by_table: dict[str, list[Effect]] = {}
    for effect in effects_of(platform, correction):
        by_table.setdefault(effect.table, []).append(effect)
    for name, effects in by_table.items():
        listed = ", ".join(f"{effect.period} ({effect.states})" for effect in effects)
        lines.append(f"  {name}: new states in {listed}")
    models = reach_of(platform.project, correction.table, correction.period).models
    lines.append(f"  models that use it: {', '.join(models) or 'none'}")
    return "\n".join(lines)


_Span = tuple[Period, Period | None]


def _widen(reached: dict[str, _Span], name: str, spans: Sequence[_Span]) -> None:
    if spans:
        ends = [end for _, end in spans if end is not None]
        reached[name] = min(begin for begin, _ in spans), max(ends) if len(ends) == len(spans) else None


def _first_seq(moments: Sequence[StateMoment], as_of: datetime | None) -> int:
    """The last commit of what a period was at first: its first one, or those up to its as_of where rows are pushed."""
    if as_of is None:
        return min(moment.seq for moment in moments)
    return max((moment.seq for moment in moments if moment.known_at <= as_of), default=0)


def _corrections(table: StateTable, period: Period | None, states: "pa.Table", first_seq: int) -> Iterator[Correction]:
    """The corrections of one period, from all its states; commits up to ``first_seq`` are what it was at first."""
    row_names, values = [*table.schema.keys, "event_time"], table.schema.value_names
    rows: dict[datetime, Counter[str]] = {}
    columns: dict[datetime, Counter[str]] = {}
    before: Mapping[str, Any] = {}
    for state in states.sort_by([(name, "ascending") for name in (*row_names, "known_at", "seq")]).to_pylist():
        if state["seq"] > first_seq:
            was_there = all(state[name] == before.get(name) for name in row_names) and not before["removed"]
            kind = "removed" if state["removed"] else "changed" if was_there else "added"
            rows.setdefault(state["known_at"], Counter())[kind] += 1
            differing = [name for name in values if repr(state[name]) != repr(before.get(name))]  # NaN equals NaN
            columns.setdefault(state["known_at"], Counter()).update(differing if kind == "changed" else ())
        before = state
    for known_at, count in rows.items():
        yield Correction(
            table=table.name,
            period=period.key if period else STATIC_PERIOD,
            known_at=known_at,
            changed=count["changed"],
            added=count["added"],
            removed=count["removed"],
            columns={name: columns[known_at][name] for name in values if columns[known_at][name]},
        )
