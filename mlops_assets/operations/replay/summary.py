"""What a replay came to: the champions, never retraining, and the baseline, all on the same rows."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_assets.models.fitting import feature_frame
from mlops_assets.models.metrics import Measured, measure
from mlops_assets.models.predicting import scores_of_fit, stored_baseline, stored_scores, truth_of
from mlops_assets.models.records import candidate_of_version, candidates, promotions, versions
from mlops_assets.models.stored_fits import stored_fit
from mlops_assets.monitoring.performance import forecasts_only
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ModelDefinition

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class ModelSummary:
    """What became of one model.

    Args:
        model: Its name.
        metric: The metric by which the model is watched.
        champions: Figures of the predictions as they were made, before the labels about them were known.
        never_retrained: Those of the first version on the same rows.
        baseline: Those of the baseline on the same rows.
        trainings: How many candidates were trained.
        versions: How many of them were registered.
        champion: The version that serves now.
    """

    model: str
    metric: str
    champions: Measured
    never_retrained: Measured
    baseline: Measured
    trainings: int
    versions: int
    champion: int


def summarize(platform: Platform, model: ModelDefinition) -> ModelSummary | None:
    """Compare what happened with what would have; None where no prediction has a label yet."""
    promoted = promotions(platform, model)
    rows = _labelled_predictions(platform, model)
    if not promoted or rows is None or rows.num_rows == 0:
        return None
    label = truth_of(model, rows)
    first = candidate_of_version(platform, model, promoted[0].version)
    fit = stored_fit(platform, model, first)
    return ModelSummary(
        model=model.name,
        metric=model.metric,
        champions=measure(model.task, label, stored_scores(model, rows)),
        never_retrained=measure(model.task, label, scores_of_fit(model, fit, feature_frame(model, rows))),
        baseline=measure(model.task, label, stored_baseline(model, rows)),
        trainings=len(candidates(platform, model)),
        versions=len(versions(platform, model)),
        champion=promoted[-1].version,
    )


def nothing_yet(platform: Platform, model: ModelDefinition, policy: str) -> str:
    """Why there is no summary, in words.

    Args:
        platform: The platform.
        model: The model.
        policy: What the policy said of it last.
    """
    untrained = f"; nothing was trained ({policy})" if policy and not candidates(platform, model) else ""
    return f"{model.name}: no prediction has a label yet{untrained}"


def as_table(summary: ModelSummary) -> str:
    """The summary as text for a terminal."""
    lines = [
        f"{summary.model}: {summary.champions.rows} predictions with a label",
        f"  {'':24}{summary.metric:>20}",
        f"  {'champions':24}{summary.champions.of(summary.metric):>20.4f}",
        f"  {'never retrained':24}{summary.never_retrained.of(summary.metric):>20.4f}",
        f"  {'baseline':24}{summary.baseline.of(summary.metric):>20.4f}",
        f"  trainings {summary.trainings}, versions {summary.versions}, champion: version {summary.champion}",
    ]
    return "\n".join(lines)


def _labelled_predictions(platform: Platform, model: ModelDefinition) -> "pa.Table | None":
    import pyarrow.compute as pc

    now = platform.clock.now()
    names = list(model.schema.names)
    made = platform.engine.known_at(platform.predictions(model), now)
    truth = platform.engine.known_at(platform.labels(model), now).select([*names, model.label.column])
    joined = made.drop_columns(["known_at"]).join(truth, keys=names, join_type="inner")
    said = pc.field(model.label.column).is_valid() & pc.field("prediction").is_valid()
    return forecasts_only(platform, model, joined.filter(said))
