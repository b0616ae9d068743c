"""What tells one version from another, in words: what each learned from, what changed, and what was corrected since."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from mlops_assets.features.labels import labelled_period
from mlops_assets.models.agreement import TrainedOn
from mlops_assets.models.records import CandidateRecord
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ModelDefinition


@dataclass(frozen=True)
class Corrected:
    """States of a source that a training rests on, and that became known after it.

    Args:
        source: Its name.
        states: How many.
        periods: Keys of their periods; of a static source none.
        newest: When the last of them became known, UTC.
    """

    source: str
    states: int
    periods: tuple[str, ...]
    newest: datetime


@dataclass(frozen=True)
class LearnedFrom:
    """What a candidate learned from.

    Args:
        first: Key of the first period that it was trained to predict from.
        last: Key of the last.
        known_at: When its labels were known, UTC.
        rows: Rows of its training set.
        fitted_rows: How many of them the fit that was judged learned from.
        judged_rows: On how many it was judged.
        sources: The sources that features, population and labels rest on.
        corrected: What became known since of the periods that it could see.
    """

    first: str
    last: str
    known_at: datetime
    rows: int
    fitted_rows: int
    judged_rows: int
    sources: tuple[str, ...]
    corrected: tuple[Corrected, ...]


def learned_from(platform: Platform, model: ModelDefinition, training: CandidateRecord) -> LearnedFrom:
    """What a candidate learned from; its periods by the label as it is declared now."""
    at, figures = model.schema.calendar.at_key(training.at), training.figure_values
    known_at = platform.labels_as_of(model, at)
    sources = {one.name: one for one in platform.project.upstream_sources(*model.inputs, *model.label.inputs)}
    corrected = []
    for name, source in sorted(sources.items()):
        table = platform.table(name)
        last = None if source.static else table.schema.calendar.ending_within(at, at)[1]
        late = {
            key: [one for one in moments if known_at < one.known_at <= platform.clock.now()]
            for key, moments in table.moments(source.first, last).items()
        }
        if found := [one for moments in late.values() for one in moments]:
            keys = () if source.static else tuple(sorted(key for key, moments in late.items() if moments))
            states = sum(one.states for one in found)
            corrected.append(Corrected(name, states, keys, max(one.known_at for one in found)))
    return LearnedFrom(
        TrainedOn.from_json(training.trained_on).first,
        labelled_period(model, at).key,
        known_at,
        int(figures["rows"]),
        int(figures["fitted_rows"]),
        int(figures["judged_rows"]),
        tuple(sorted(sources)),
        tuple(corrected),
    )


def changes(before: CandidateRecord, after: CandidateRecord) -> list[str]:
    """What differs between two trainings beside their data, in words; none where nothing does."""
    return list(_changes(before, after))


def _changes(before: CandidateRecord, after: CandidateRecord) -> Iterator[str]:
    if before.generation != after.generation:
        yield "the model's own definition: population, label, lookups, or what it computes"
    were, are = (TrainedOn.from_json(one.trained_on) for one in (before, after))
    if were.labels != are.labels:
        yield "the definition of its labels, or of what they are computed from"
    yield from _of_tables(were, are)
    if before.template_hash != after.template_hash:
        yield f"the template: {before.template}, now {after.template}"
    yield from _of_values("parameter", json.loads(before.params), json.loads(after.params))
    yield from _of_values("fitting:", json.loads(before.fitting), json.loads(after.fitting))
    if before.environment != after.environment:
        yield "the environment: Python, the machine's architecture, or an installed library"


def _of_tables(were: TrainedOn, are: TrainedOn) -> Iterator[str]:
    for table in sorted({*were.tables, *are.tables}):
        if table not in are.tables or table not in were.tables:
            yield f"table {table}: {'looked up no more' if table in were.tables else 'looked up now'}"
        elif were.tables[table] != are.tables[table]:
            yield f"table {table}: another definition ({were.tables[table]}, now {are.tables[table]})"
        else:
            old, new = ({*(one.columns[table] or ())} for one in (were, are))
            told = [f"without {name}" for name in sorted(old - new)] + [f"with {name}" for name in sorted(new - old)]
            if told:
                yield f"table {table}: {', '.join(told)}"


def _of_values(what: str, before: Mapping[str, object], after: Mapping[str, object]) -> Iterator[str]:
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            yield f"{what} {name}: {before.get(name, 'none')}, now {after.get(name, 'none')}"
