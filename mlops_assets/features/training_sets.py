"""Training sets: the labels known at a time, each joined with its features as of its own anchor and as_of."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from mlops_assets.engines.contract import ResolvedLookup, Rows
from mlops_assets.errors import ContractError, MissingDataError
from mlops_assets.features.feature_tables import tables_evidence
from mlops_assets.features.generations import require_history
from mlops_assets.features.labels import labelled_period
from mlops_assets.features.states import is_computed
from mlops_assets.governance.evidence import InputEvidence, window_evidence
from mlops_assets.lakehouse.periods import ONE_MICROSECOND, Period
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ModelDefinition
from mlops_assets.project.reads import lookup_reads

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class BuiltTrainingSet:
    """Labels and features to train on.

    Args:
        rows: Keys, timestamp, ``predicted_at``, the label, columns of the request that are no features, then the
            features; ordered by time and key.
        known_at: The moment at which these labels were known.
        first: First period that is predicted from.
        last: Last one.
        without_label: How many rows of the population were left out because they never got a label.
        null_share: Share of feature values that are missing.
    """

    rows: "pa.Table"
    known_at: datetime
    first: Period
    last: Period
    without_label: int
    null_share: float


def label_window(model: ModelDefinition, at: Period) -> tuple[Period, Period]:
    """The first and last period whose labels a training at ``at`` uses."""
    calendar = model.schema.calendar
    last = labelled_period(model, at)
    if model.window is None:
        return model.first, last
    return max(model.first, calendar.shift(last, 1 - model.window)), last


def first_looked_up(platform: Platform, model: ModelDefinition, table: str, period: Period) -> Period:
    """The first period of a table whose rows may answer for a model's period: by lookup, or in the population."""
    calendar = model.schema.calendar
    starts = [calendar.shift(period, 1 - model.history)] if table in model.population_inputs else []
    for lookup in model.lookups:
        if lookup.table == table:
            if lookup.lookback is None:
                starts.append(platform.project.table(table).first or model.first)
            else:
                own = platform.project.table(table).schema.calendar
                starts.append(own.of(lookup.lookback.before(period.anchor) + ONE_MICROSECOND))
    return min(starts)


def span_looked_up(
    platform: Platform, model: ModelDefinition, table: str, first: Period, last: Period
) -> tuple[Period, Period]:
    """The first and last period of a table whose rows may answer for a model's periods from one to another."""
    _, newest = platform.project.table(table).schema.calendar.ending_within(last, last)
    return first_looked_up(platform, model, table, first), newest


def require_training_history(platform: Platform, model: ModelDefinition, at: Period) -> None:
    """See that a training at a period would miss nothing that was computed under earlier definitions.

    Raises:
        MissingDataError: A feature table or the labels have a new generation that lacks some of the past.
    """
    first, last = label_window(model, at)
    require_history(platform.labels(model), first, last)
    for name in model.inputs:
        require_history(platform.table(name), *span_looked_up(platform, model, name, first, last))


def require_labels(platform: Platform, model: ModelDefinition, at: Period) -> None:
    """See that the labels that become known in a period were computed.

    Raises:
        MissingDataError: They were not.
    """
    if not is_computed(platform.labels(model), labelled_period(model, at)):
        raise MissingDataError(
            f"the labels of '{model.name}' that become known in {at.key} were not computed",
            "labels up to the period of the training",
            f"materialize {model.name}/labels for {at.key} first",
        )


def build_training_set(platform: Platform, model: ModelDefinition, at: Period) -> BuiltTrainingSet:
    """Build the training set of a model at a period.

    Labels are taken in their latest state known then; each is looked up at its own anchor and as_of, so nothing that
    became known after the prediction is used.

    Raises:
        MissingDataError: The labels of the period were not computed, or a definition is new and its past is not.
        ContractError: There are fewer labels than the model's ``min_rows``.
    """
    labels_table = platform.labels(model)
    first, last = label_window(model, at)
    require_labels(platform, model, at)
    require_training_history(platform, model, at)
    known_at = platform.labels_as_of(model, at)
    labels = platform.engine.known_at(labels_table, known_at, first=first, last=last)
    labelled = labels.filter(labels.column(model.label.column).is_valid())
    if labelled.num_rows < model.min_rows:
        raise ContractError(
            f"{labelled.num_rows} labels of '{model.name}' known at {known_at.isoformat()}",
            f"at least {model.min_rows} (train.min_rows)",
            "train later, widen the window, or lower min_rows",
        )
    rows = platform.engine.to_arrow(rows_with_features(platform, model, labelled, as_of="predicted_at"))
    by = [column.name for column in model.looked_up_by]
    names = [*model.schema.names, "predicted_at", model.label.column, *by, *model.feature_names]
    order = [(name, "ascending") for name in (str(model.schema.timestamp), *model.schema.keys)]
    missing = sum(rows.column(name).null_count for name in model.feature_names)
    return BuiltTrainingSet(
        rows.select(names).sort_by(order),
        known_at,
        first,
        last,
        labels.num_rows - labelled.num_rows,
        missing / max(rows.num_rows * len(model.feature_names), 1),
    )


def training_evidence(platform: Platform, model: ModelDefinition, at: Period) -> list[InputEvidence]:
    """What a training set at a period rests on, as it stands: its labels, and the periods of each feature table."""
    first, last = label_window(model, at)
    return [
        window_evidence(platform.labels(model), list(model.schema.calendar.between(first, last))),
        *tables_evidence(platform, lookup_reads(model), first, last),
    ]


def training_set_evidence(platform: Platform, model: ModelDefinition, at: Period, data_version: str) -> InputEvidence:
    """Evidence of reading the training set of a period, of a content that is known."""
    table = platform.training_sets(model)
    return InputEvidence(table.delta.name, table.delta.version(), data_version, (at.key, at.key))


def rows_with_features(
    platform: Platform,
    model: ModelDefinition,
    rows: "pa.Table",
    *,
    as_of: str,
    lookups: Sequence[ResolvedLookup] | None = None,
) -> Rows:
    """Look up and compute a model's features for rows with keys, timestamp, request, and an as_of so named.

    Args:
        platform: The platform.
        model: The model.
        rows: The rows, with their ``event_time``.
        as_of: The column that holds each row's as_of.
        lookups: What to look up; None for the model's lookups in the tables as they stand.

    Returns:
        The rows, with ``anchor`` and ``as_of`` (UTC) and the features, where the engine has them.
    """
    import pyarrow as pa

    moment = pa.timestamp("us", "UTC")
    calendar = model.schema.calendar
    times = rows.column("event_time").to_pylist()
    anchors = {time: calendar.of(time).anchor for time in set(times)}
    asked = rows.append_column("anchor", pa.array([anchors[time] for time in times], moment))
    asked = asked.append_column("as_of", rows.column(as_of).cast(moment))
    engine = platform.engine
    found = engine.lookup(engine.rows(asked), platform.lookups(model) if lookups is None else lookups)
    return engine.compute(found, model.computed) if model.computed else found
