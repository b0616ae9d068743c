"""Scoring a period's population by the champion of that time, and any rows by a version."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from mlops_assets.engines.contract import Rows
from mlops_assets.engines.figures import count_where, is_null
from mlops_assets.errors import ContractError, MissingDataError
from mlops_assets.features.feature_tables import require_inputs
from mlops_assets.features.generations import generations, missing_history, require_history
from mlops_assets.features.labels import population
from mlops_assets.features.states import Written, append_computed, is_computed, require_computed
from mlops_assets.features.training_sets import rows_with_features, span_looked_up
from mlops_assets.lakehouse.periods import Period
from mlops_assets.lakehouse.records import read_records, write_record
from mlops_assets.lakehouse.tables import StateTable
from mlops_assets.models.agreement import Agreement, agreement, record_agreement, require_agreement
from mlops_assets.models.baseline import Baseline
from mlops_assets.models.predictor import Predictor
from mlops_assets.models.promotion import require_version
from mlops_assets.models.records import CandidateRecord, candidate_of_version, champion_at, periods_with_champion
from mlops_assets.models.stored_fits import stored_fit
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ModelDefinition

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class ReadyVersion:
    """A version that may score.

    Args:
        version: Its number.
        training: The training that it came from.
        agreement: How the definitions relate to those that it was trained on.
    """

    version: int
    training: CandidateRecord
    agreement: Agreement


@dataclass(frozen=True)
class Scored:
    """What scoring a period did.

    Args:
        written: What the partition holds now.
        by: The version that predicted.
        null_share: Share of feature values that were missing.
        without: Rows that nothing was predicted for, such as those of unknown keys.
        late: Whether what it predicted was known by then (see `scored_late`).
    """

    written: Written
    by: ReadyVersion
    null_share: float
    without: int
    late: bool


@dataclass(frozen=True)
class ScoringRecord:
    """When a period was scored.

    Args:
        key: Key of the period and the model's generation under which it was scored.
        scored_at: Platform clock, UTC, when it was first scored under it.
    """

    key: str
    scored_at: datetime


def score(platform: Platform, model: ModelDefinition, period: Period) -> Scored:
    """Score every key of a period's population as of its as_of.

    Raises:
        MissingDataError: An input was not computed (unless the model scores without late sources), there was no
            champion at that time, or what a new definition says of the past was not computed.
        ContractError: The champion was trained on definitions that say something else than those that would be
            looked up.
    """
    if model.when_late == "wait":
        require_inputs(platform, model.inputs, period, history=1)
    champion = champion_at(platform, model, period)
    if champion is None:
        raise MissingDataError(
            f"no champion of '{model.name}' before {platform.model_as_of(model, period).isoformat()}",
            f"a version promoted before the as_of of {period.key}",
            "train one first, or score a later period; a past period is never scored by a later champion",
        )
    by = ready_version(platform, model, champion.version)
    record_agreement(platform, model, by.training, by.agreement)
    asked, known = features_to_score(platform, model, period), tuple(model.known_columns.values())
    rows = predict_rows(platform, model, by, asked, known=known)
    missing = {name: count_where(is_null(name)) for name in (*model.feature_names, "prediction")}
    counted = platform.engine.measure(rows, missing)
    without = counted.pop("prediction")
    predictions = platform.predictions(model)
    if not is_computed(predictions, period):  # before they are written: killed between, it is recorded anew
        key = _scoring_key(predictions, period)
        write_record(platform.records(model, "scoring"), ScoringRecord(key, platform.clock.now()))
    written = append_computed(platform, predictions, rows, period, platform.model_as_of(model, period))
    cells = max(written.rows * len(model.feature_names), 1)
    late = bool(scored_late(platform, model, [period]))
    return Scored(written, by, sum(counted.values()) / cells, without, late)


def ready_version(platform: Platform, model: ModelDefinition, version: int) -> ReadyVersion:
    """A version that may score on the definitions as they stand.

    Raises:
        MissingDataError: There is no such version, or what a new definition says of the past is not computed yet.
        ContractError: It was deleted, or trained on definitions that say something else.
    """
    if require_version(platform, model, version) == "deleted":
        raise ContractError(
            f"version {version} of '{model.name}' was deleted",
            "a version whose fit is there",
            f"name another: mlops-assets models show {model.name}",
        )
    training = candidate_of_version(platform, model, version)
    agreed = agreement(platform, model, training)
    require_agreement(agreed, model, version)
    return ReadyVersion(version, training, agreed)


def predict_rows(
    platform: Platform,
    model: ModelDefinition,
    by: ReadyVersion,
    rows: Rows,
    *,
    looked_up: Mapping[str, str] | None = None,
    baseline: bool = True,
    known: Sequence[str] = (),
) -> Rows:
    """Predict rows that carry the model's features, where the engine has them.

    Args:
        platform: The platform.
        model: The model.
        by: The version that predicts.
        rows: With the model's features; any other column is carried along.
        looked_up: Generation of each table that features come from; None for all of the model's as they stand.
        baseline: Whether the baseline's prediction is asked for, too.
        known: See `Predictor`.

    Returns:
        The rows in their order, with the model's answer columns, its baseline's, ``version`` and
        ``feature_versions``.

    Raises:
        MissingDataError: The fit is not there.
        ContractError: It is of a form that could run code, does not predict for these rows, or refuses unknown keys.
    """
    if looked_up is None:
        looked_up = {name: platform.project.table(name).generation for name in model.feature_tables}
    predictor = Predictor(
        model,
        by.version,
        stored_fit(platform, model, by.training),
        json.dumps(dict(looked_up), sort_keys=True),
        Baseline.from_json(by.training.baseline) if baseline else None,
        tuple(known),
        by.training.half_width,
    )
    return platform.engine.extend(rows, predictor)


def predictions_about(platform: Platform, model: ModelDefinition, period: Period) -> StateTable:
    """What was predicted about a period, by the definition of the model that it was scored under.

    That is the present one, or where it never scored the period the newest that did: the columns that every definition
    has are read, so that a change of features does not hide what was said before it.
    """
    present = platform.predictions(model)
    columns = (*model.schema.columns, *model.prediction_columns, *model.baseline_columns, *model.version_columns)
    for record in () if is_computed(present, period) else reversed(generations(platform, model.name)):
        folder = platform.generation_folder(present.name, record.generation)
        earlier = StateTable(folder, replace(model.schema, columns=columns))
        if is_computed(earlier, period):
            return earlier
    return present


def scored_late(platform: Platform, model: ModelDefinition, periods: Sequence[Period]) -> set[Period]:
    """Those of some periods that were scored after the labels about them were known: no forecasts of them.

    What was scored before this was recorded counts as scored in time.
    """
    keys = {_scoring_key(predictions_about(platform, model, period), period): period for period in periods}
    found = read_records(platform.records(model, "scoring"), ScoringRecord, list(keys))
    shift, after = model.schema.calendar.shift, model.label.known_after
    return {
        keys[record.key]
        for record in found
        if record.scored_at > platform.labels_as_of(model, shift(keys[record.key], after))
    }


def _scoring_key(predictions: StateTable, period: Period) -> str:
    return f"{period.key}.{predictions.delta.folder.name}"


def scored_rows(platform: Platform, model: ModelDefinition, period: Period) -> "pa.Table":
    """What the champion of a period's time predicted, as it was known then: empty where nobody was to be scored.

    Raises:
        MissingDataError: The period was not scored.
    """
    predictions = platform.predictions(model)
    require_computed(predictions, period, f"predictions of '{model.name}'", "a period that was scored")
    known_at = platform.model_as_of(model, period)
    return platform.engine.known_at(predictions, known_at, first=period, last=period)


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
            missing_history(platform.table(name), *span_looked_up(platform, model, name, period, period))
            for name in model.inputs
        ):
            continue
        if found.may_score or not is_computed(platform.predictions(model), period):
            ready.add(period)
    return ready


def features_to_score(platform: Platform, model: ModelDefinition, period: Period) -> Rows:
    """The population of a period with its features, as of the period's as_of, where the engine has them.

    Raises:
        MissingDataError: What a new definition says of the past is not computed.
    """
    import pyarrow as pa

    from mlops_assets.quality.contract import moments

    for name in model.inputs:
        require_history(platform.table(name), *span_looked_up(platform, model, name, period, period))
    keys = population(platform, model, period)
    moment = pa.timestamp("us", "UTC")
    asked = keys.append_column("event_time", pa.array(moments(keys, model.schema), moment))
    known_at = platform.model_as_of(model, period)
    asked = asked.append_column("predicted_at", pa.array([known_at] * keys.num_rows, moment))
    return rows_with_features(platform, model, asked, as_of="predicted_at")
