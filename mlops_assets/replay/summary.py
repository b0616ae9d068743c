"""What a replay came to: the champions, never retraining, and the baseline, all on the same rows."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_assets.models import registry as mlflow_registry
from mlops_assets.models.judging import Errors, errors
from mlops_assets.models.records import candidate_of_version, candidates, promotions, versions
from mlops_assets.models.scoring import predict
from mlops_assets.project.definition import ModelDefinition
from mlops_assets.project.platform import Platform

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class ModelSummary:
    """What became of one model.

    Args:
        model: Its name.
        champions: Errors of the predictions as they were made.
        never_retrained: Errors of the first version on the same rows.
        baseline: Errors of the baseline on the same rows.
        trainings: How many candidates were trained.
        versions: How many of them were registered.
        champion: The version that serves now.
    """

    model: str
    champions: Errors
    never_retrained: Errors
    baseline: Errors
    trainings: int
    versions: int
    champion: int


def summarize(platform: Platform, model: ModelDefinition) -> ModelSummary | None:
    """Compare what happened with what would have; None where no prediction has a label yet."""
    promoted = promotions(platform, model)
    rows = _labelled_predictions(platform, model)
    if not promoted or rows is None or rows.num_rows == 0:
        return None
    label = rows.column(model.label.column).to_numpy()
    first = candidate_of_version(platform, model, promoted[0].version)
    fit = mlflow_registry.load_fit(mlflow_registry.open_registry(platform.home.mlflow), first.model_uri)
    return ModelSummary(
        model=model.name,
        champions=errors(label, rows.column("prediction").to_numpy()),
        never_retrained=errors(label, predict(model, fit, rows).to_numpy(zero_copy_only=False)),
        baseline=errors(label, rows.column("baseline").to_numpy()),
        trainings=len(candidates(platform, model)),
        versions=len(versions(platform, model)),
        champion=promoted[-1].version,
    )


def as_table(summary: ModelSummary) -> str:
    """The summary as text for a terminal."""
    lines = [
        f"{summary.model}: {summary.champions.rows} predictions with a label",
        f"  {'':24}{'mean absolute error':>20}",
        f"  {'champions':24}{summary.champions.mae:>20.4f}",
        f"  {'never retrained':24}{summary.never_retrained.mae:>20.4f}",
        f"  {'baseline':24}{summary.baseline.mae:>20.4f}",
        f"  trainings {summary.trainings}, versions {summary.versions}, champion: version {summary.champion}",
    ]
    return "\n".join(lines)


def _labelled_predictions(platform: Platform, model: ModelDefinition) -> "pa.Table | None":
    now = platform.clock.now()
    names = list(model.schema.names)
    made = platform.engine.known_at(platform.predictions(model), now)
    truth = platform.engine.known_at(platform.labels(model), now).select([*names, model.label.column])
    joined = made.drop_columns(["event_time", "known_at"]).join(truth, keys=names, join_type="inner")
    return joined.filter(joined.column(model.label.column).is_valid())
