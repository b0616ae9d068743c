"""The challenger in the shadow of the champion: it scores the same rows of each period, and is kept apart."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from mlops_assets.errors import MissingDataError
from mlops_assets.features.states import Written, append_computed
from mlops_assets.lakehouse.periods import Period
from mlops_assets.models.agreement import agreement, record_agreement
from mlops_assets.models.records import candidate_of_version
from mlops_assets.models.scoring import ReadyVersion, predict_rows, ready_version, scored_rows
from mlops_assets.models.states import challengers_at
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ModelDefinition


@dataclass(frozen=True)
class Shadowed:
    """What scoring a period in the champion's shadow did.

    Args:
        written: What the partition holds now.
        by: The challenger that predicted.
        champion: The version that predicted the same rows as champion; None where there were none.
    """

    written: Written
    by: ReadyVersion
    champion: int | None


def score_in_shadow(platform: Platform, model: ModelDefinition, period: Period) -> Shadowed:
    """Let the challenger of a period's time score the rows that the champion scored, with the features it saw.

    Raises:
        MissingDataError: There was no challenger at that time, the champion has not scored the period, or what a new
            definition says of the past was not computed.
        ContractError: The challenger was deleted since, or trained on definitions that say something else.
    """
    challenger = challengers_at(platform, model, [period]).get(period)
    known_at = platform.model_as_of(model, period)
    if challenger is None:
        raise MissingDataError(
            f"no challenger of '{model.name}' before {known_at.isoformat()}",
            f"a version that was trained before the as_of of {period.key} and waited beside a champion",
            "compare a later period; a past period is never scored by a later challenger",
        )
    scored = scored_rows(platform, model, period)
    by = ready_version(platform, model, challenger)
    record_agreement(platform, model, by.training, by.agreement)
    champion = int(scored.column("version")[0].as_py()) if scored.num_rows else None
    looked_up = json.loads(scored.column("feature_versions")[0].as_py()) if scored.num_rows else None
    seen = scored.select([*model.schema.names, *model.feature_names])
    seen = seen.append_column("champion_version", scored.column("version"))
    said = "what the champion said"  # of what it said nothing, neither is its challenger to
    seen = platform.engine.rows(seen.append_column(said, scored.column("prediction")))
    rows = predict_rows(platform, model, by, seen, looked_up=looked_up, baseline=False, known=[said])
    written = append_computed(platform, platform.challenger_predictions(model), rows, period, known_at)
    return Shadowed(written, by, champion)


def periods_to_shadow(platform: Platform, model: ModelDefinition, periods: Iterable[Period]) -> set[Period]:
    """Those of the periods whose challenger may score on the definitions as they stand."""
    found = challengers_at(platform, model, periods)
    may_score = {
        version: agreement(platform, model, candidate_of_version(platform, model, version)).may_score
        for version in set(found.values())
    }
    return {period for period, version in found.items() if may_score[version]}
