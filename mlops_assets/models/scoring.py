"""Scoring a period's population by the champion of that time."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import MissingDataError
from mlops_assets.features.feature_tables import require_inputs
from mlops_assets.features.generations import missing_history, require_history
from mlops_assets.features.labels import population
from mlops_assets.features.states import Written, append_computed, is_computed
from mlops_assets.features.training_sets import first_looked_up, with_features
from mlops_assets.lakehouse.periods import Period
from mlops_assets.models import registry as mlflow_registry
from mlops_assets.models.agreement import Agreement, agreement, record_agreement, require_agreement
from mlops_assets.models.baseline import Baseline, baseline_scores
from mlops_assets.models.fitting import feature_frame
from mlops_assets.models.predicting import baseline_arrays, prediction_arrays, scores_of_fit
from mlops_assets.models.records import CandidateRecord, candidate_of_version, champion_at, periods_with_champion
from mlops_assets.models.stored_fits import stored_fit
from mlops_assets.project.definition import ModelDefinition
from mlops_assets.project.platform import Platform

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Scored:
    """What scoring a period did.

    Args:
        written: What the partition holds now.
        version: The version that predicted.
        agreement: How the definitions relate to those that it was trained on.
        training: The training that the version came from.
        null_share: Share of feature values that were missing.
    """

    written: Written
    version: int
    agreement: Agreement
    training: CandidateRecord
    null_share: float


def score(platform: Platform, registry: mlflow_registry.Registry, model: ModelDefinition, period: Period) -> Scored:
    """Score every key of a period's population as of its as_of.

    Raises:
        MissingDataError: An input was not computed (unless the model scores without late sources), there was no
            champion at that time, or what a new definition says of the past was not computed.
        ContractError: The champion was trained on definitions that say something else than those that would be
            looked up.
    """
    import pyarrow as pa

    if model.when_late == "wait":
        require_inputs(platform, model.inputs, period, history=1)
    champion = champion_at(platform, model, period)
    if champion is None:
        raise MissingDataError(
            f"no champion of '{model.name}' before {platform.model_as_of(model, period).isoformat()}",
            f"a version promoted before the as_of of {period.key}",
            "train one first, or score a later period; a past period is never scored by a later champion",
        )
    training = candidate_of_version(platform, model, champion.version)
    agreed = agreement(platform, model, training)
    require_agreement(agreed, model, champion.version)
    record_agreement(platform, model, training, agreed)
    for name in model.inputs:
        require_history(platform.table(name), first_looked_up(platform, model, name, period), period)
    known_at = platform.model_as_of(model, period)
    rows = features_to_score(platform, model, period)
    fit = stored_fit(registry, model, training)
    added = {
        **predict(model, fit, rows),
        **baseline_arrays(model, baseline_scores(model, Baseline.from_json(training.baseline), rows)),
        "version": pa.array([champion.version] * rows.num_rows, pa.int64()),
    }
    for name, values in added.items():
        rows = rows.append_column(name, values)
    table = platform.predictions(model)
    rows = rows.select(list(table.schema.names)).cast(table.schema.arrow())
    nulls = sum(rows.column(name).null_count for name in model.feature_names)
    cells = max(rows.num_rows * len(model.feature_names), 1)
    written = append_computed(platform, table, platform.engine.rows(rows), period, known_at)
    return Scored(written, champion.version, agreed, training, nulls / cells)


def periods_to_score(platform: Platform, model: ModelDefinition, periods: Iterable[Period]) -> set[Period]:
    """Those of the periods that can be scored, as far as champion and definitions go.

    A period waits while a new definition's past is not computed. Where the champion was trained on definitions that
    say something else, a period that was scored before stays as it was; another is tried, so that the refusal is seen.
    """
    agreed: dict[int, Agreement] = {}
    ready = set()
    for period in periods_with_champion(platform, model, periods):
        champion = champion_at(platform, model, period)
        if champion is None:
            continue
        if champion.version not in agreed:
            training = candidate_of_version(platform, model, champion.version)
            agreed[champion.version] = agreement(platform, model, training)
        found = agreed[champion.version]
        if found.outcome == "waits" or any(
            missing_history(platform.table(name), first_looked_up(platform, model, name, period), period)
            for name in model.inputs
        ):
            continue
        if found.may_score or not is_computed(platform.predictions(model), period):
            ready.add(period)
    return ready


def features_to_score(platform: Platform, model: ModelDefinition, period: Period) -> "pa.Table":
    """The population of a period with its features, as of the period's as_of."""
    import pyarrow as pa

    from mlops_assets.sources.contract import moments

    keys = population(platform, model, period)
    moment = pa.timestamp("us", "UTC")
    asked = keys.append_column("event_time", pa.array(moments(keys, model.schema), moment))
    known_at = platform.model_as_of(model, period)
    asked = asked.append_column("predicted_at", pa.array([known_at] * keys.num_rows, moment))
    return with_features(platform, model, asked, as_of="predicted_at")


def predict(model: ModelDefinition, fit: Any, rows: "pa.Table") -> Mapping[str, "pa.Array"]:
    """What a fit predicts for rows that carry the model's features, as the model's prediction columns."""
    return prediction_arrays(model, scores_of_fit(model, fit, feature_frame(model, rows)))
