"""What champions' judged fits say of the rows that a candidate is judged on, by the features they were trained on.

These are looked up for the same rows by the champion's own definition, so that a change of features or of a table does
not end the comparison.
"""

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mlops_assets.engines.contract import ResolvedLookup
from mlops_assets.errors import ContractError, MissingDataError
from mlops_assets.features.generations import count_of, generation_as_stored, generations, missing_history
from mlops_assets.features.training_sets import rows_with_features, span_looked_up
from mlops_assets.lakehouse.periods import Period
from mlops_assets.lakehouse.tables import StateTable
from mlops_assets.models.agreement import TrainedOn, agreement
from mlops_assets.models.evaluation import JudgedRows, errors_by_period
from mlops_assets.models.fitting import feature_frame
from mlops_assets.models.metrics import Measured, measure
from mlops_assets.models.predicting import scores_of_fit
from mlops_assets.models.records import PROMOTIONS, CandidateRecord, candidates, transitions, versions
from mlops_assets.models.states import serving_order
from mlops_assets.models.stored_fits import may_be_read, stored_fit
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ModelDefinition
from mlops_assets.project.recorded_features import RecordedLookup, recorded_features
from mlops_assets.project.tasks import METRICS

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

OF_ROWS = ("primary_keys", "timestamp", "label values")
"""Parts of a definition without which two fits speak about other rows, or in another form."""

MAX_EARLIER = 5
"""So many versions that served before the champion are asked, those that did best when they were judged."""


class NotComparableError(ContractError):
    """A champion can say nothing of the rows that a candidate is judged on, whenever it is asked."""


def judged_scores(
    platform: Platform, model: ModelDefinition, training: CandidateRecord, rows: "pa.Table"
) -> "npt.NDArray[Any]":
    """The scores of a training's judged fit for rows of the model's present training set.

    Args:
        platform: The platform.
        model: The model as it is defined now.
        training: The champion's training.
        rows: What is judged.

    Raises:
        NotComparableError: Something that the fit was trained on is gone, or the model does not allow its file any
            more.
        ContractError: The fit is not the one that was trained.
    """
    if not may_be_read(model, training):
        raise _not_comparable("its fit is kept in a form that the model's YAML does not allow")
    try:
        fit = stored_fit(platform, model, training, "judged")
    except MissingDataError as error:
        raise _not_comparable(error.found) from error
    if agreement(platform, model, training).may_score:
        return scores_of_fit(model, fit, feature_frame(model, rows))
    its, lookups = _as_trained(platform, model, training)
    try:
        features = _looked_up(platform, its, training, lookups, rows)
    except (ContractError, MissingDataError) as error:
        raise _not_comparable(error.found) from error
    return scores_of_fit(its, fit, feature_frame(its, features))


def earlier_figures(platform: Platform, model: ModelDefinition, at: Period, judged: JudgedRows) -> dict[int, Measured]:
    """Figures, by version, of those that served before the champion and do better, on the rows that are judged.

    Better is who does so in each period (`better_throughout`).
    One that was rolled back from or retired is not among them, for a person decided against it; nor one that cannot be
    asked any more: it holds nobody up.

    Args:
        platform: The platform.
        model: The model.
        at: The period that the candidate is trained at.
        judged: The candidate's judged rows.
    """
    made = transitions(platform, model)
    retired = {record.version for record in made if record.kind not in PROMOTIONS}
    served = {*serving_order(made)[:-1]} - retired
    by_key = {record.key: record for record in candidates(platform, model)}
    trainings = {one.version: by_key[one.candidate] for one in versions(platform, model) if one.version in served}
    said = {}
    for version in best_judged(model, at, trainings):
        with suppress(ContractError):
            said[version] = judged_scores(platform, model, trainings[version], judged.rows)
    return figures_of_better(model, judged, said)


def figures_of_better(
    model: ModelDefinition, judged: JudgedRows, said: "Mapping[int, npt.NDArray[Any]]"
) -> dict[int, Measured]:
    """Figures, by version, of the scores that are `better_throughout`."""
    better = {version: scores for version, scores in said.items() if better_throughout(model, judged, scores)}
    return {version: measure(model.task, judged.truth, scores) for version, scores in better.items()}


def better_throughout(model: ModelDefinition, judged: JudgedRows, said: "npt.NDArray[Any]") -> bool:
    """Whether some scores did better than the candidate's in each period that was judged, by the model's metric.

    The errors of a period stray together, so one or two of a few periods decide a mean by chance. Of equals, one does
    better in each of six by a chance of 1 in 64 (the sign test); a fresher fit is not refused for less.
    """
    found = errors_by_period(model, judged, judged.scores["candidate"], said)
    return all(METRICS[model.metric].is_better(theirs, mine) for _, _, (mine, theirs) in found)


def best_judged(model: ModelDefinition, at: Period, trainings: Mapping[int, CandidateRecord]) -> list[int]:
    """Of some versions those trained within the training's window, at most `MAX_EARLIER`, best skill first.

    Args:
        model: The model.
        at: The period that is trained at.
        trainings: The training of each version, whose skill is its error over the baseline's when it was judged.
    """
    calendar = model.schema.calendar

    def is_within(training: CandidateRecord) -> bool:
        age = calendar.distance(calendar.at_key(training.at), at)
        return age >= 0 and (model.window is None or age <= model.window)

    def skill(version: int) -> float:
        figures = trainings[version].figure_values
        mine, theirs = (figures.get(f"{who}_{model.metric}") for who in ("candidate", "baseline"))
        return math.inf if mine is None or not theirs else mine / theirs

    return sorted((version for version, training in trainings.items() if is_within(training)), key=skill)[:MAX_EARLIER]


def _as_trained(
    platform: Platform, model: ModelDefinition, training: CandidateRecord
) -> tuple[ModelDefinition, tuple[RecordedLookup, ...]]:
    """The model with the features of the definition that it was trained by."""
    recorded = {record.generation: record.definition for record in generations(platform, model.name)}
    parts = recorded.get(training.generation)
    if parts is None:
        raise _not_comparable(f"its definition {training.generation} is not recorded in this home")
    changed = [name for name in OF_ROWS if parts.get(name) != model.parts.get(name)]
    # The history is written in the unit of the model's periods.
    if parts["history"].rpartition(" ")[2] != model.parts["history"].rpartition(" ")[2]:
        changed.append("period")
    if changed:
        raise _not_comparable(f"it was trained with another {' and '.join(changed)} of the model")
    was = recorded_features(model, parts)
    lookups = tuple(lookup.definition for lookup in was.lookups)
    its = replace(model, lookups=lookups, request=was.request, computed=was.computed, features=was.features)
    return its, was.lookups


def _looked_up(
    platform: Platform,
    its: ModelDefinition,
    training: CandidateRecord,
    lookups: tuple[RecordedLookup, ...],
    rows: "pa.Table",
) -> "pa.Table":
    """The rows with the features of a training's definition."""
    import pyarrow as pa

    from mlops_assets.quality.contract import moments

    asked = [column.name for column in its.request]
    gone = [name for name in asked if name not in rows.column_names]
    if gone:
        raise _not_comparable(f"'{', '.join(gone)}', which came with each row when it was trained, is gone")
    times = [moment for moment in moments(rows, its.schema) if moment]
    bare = rows.select([*its.schema.names, "predicted_at", *asked])
    bare = bare.append_column("event_time", pa.array(times, pa.timestamp("us", "UTC")))
    first, last = (its.schema.calendar.of(time) for time in (min(times), max(times)))
    generation = TrainedOn.from_json(training.trained_on).tables
    pinned = [_pinned(platform, its, lookup, generation, first, last) for lookup in lookups]
    return platform.engine.to_arrow(rows_with_features(platform, its, bare, as_of="predicted_at", lookups=pinned))


def _pinned(
    platform: Platform,
    its: ModelDefinition,
    lookup: RecordedLookup,
    trained_on: Mapping[str, str],
    first: Period,
    last: Period,
) -> ResolvedLookup:
    """A lookup in the generation that was trained on, or in the present one where that lacks some of the periods."""
    asked = lookup.definition
    name = asked.table
    if name not in {*platform.project.sources, *platform.project.feature_tables}:
        raise _not_comparable(f"table '{name}', which it looks up, is gone")
    present = platform.table(name)
    table, missing = _earlier(platform, its, present, trained_on.get(name), first, last)
    if table is None or missing:
        table = present
        strange = [
            column.name
            for column in lookup.columns
            if column.name not in present.schema.names or present.schema.column(column.name).type != column.type
        ] + sorted(set(lookup.keys) ^ set(present.schema.keys))
        behind = missing_history(present, *span_looked_up(platform, its, name, first, last))
        if strange or behind:
            words = f"table '{name}', which it looks up, " + (
                f"has no {' and '.join(strange)} any more, or of another type"
                if strange
                else f"lacks {count_of(behind)} in its present generation"
            )
            before = f", and generation {trained_on[name]} of it lacks {count_of(missing)}" if missing else ""
            raise _not_comparable(words + before)
    own = dict(zip(lookup.keys, asked.lookup_key or (), strict=True))
    return replace(asked, lookup_key=tuple(own[key] for key in table.schema.keys)).opened(table)


def _earlier(
    platform: Platform, its: ModelDefinition, present: StateTable, generation: str | None, first: Period, last: Period
) -> tuple[StateTable | None, list[str]]:
    """A table in the generation that was trained on, if that is an earlier one, and which periods it lacks."""
    if generation is None or generation == present.delta.folder.name:
        return None, []
    for record in generations(platform, present.name):
        if record.generation == generation:
            table = generation_as_stored(platform, present, record)
            span = present.schema.calendar.between(*span_looked_up(platform, its, present.name, first, last))
            keys = [period.key for period in span]
            has = table.delta.counters(keys)
            has_now = present.delta.counters(keys)
            return table, [key for key in keys if has_now[key] and not has[key]]
    return None, []


def _not_comparable(found: str) -> NotComparableError:
    return NotComparableError(
        found,
        "a champion that predicts the rows that the candidate is judged on",
        "put back what is gone, or take the gate that compares with the champion out for one training by hand",
    )
