"""What a replay came to: the champions, never retraining, and the baseline, all on the same rows."""

from dataclasses import dataclass

from mlops_assets.models.records import candidates, promotions, versions
from mlops_assets.monitoring.performance import error_over, performance_history
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ModelDefinition


@dataclass(frozen=True)
class ModelSummary:
    """What became of one model.

    Args:
        model: Its name.
        metric: The metric by which the model is watched.
        rows: Predictions that have a label.
        champions: The error of the predictions as they were made, before the labels about them were known.
        never_retrained: That of the first version on the same rows; None where it cannot be asked of all of them.
        baseline: That of the baseline on the same rows.
        trainings: How many candidates were trained.
        versions: How many of them were registered.
        champion: The version that serves now.
    """

    model: str
    metric: str
    rows: int
    champions: float
    never_retrained: float | None
    baseline: float
    trainings: int
    versions: int
    champion: int


def summarize(platform: Platform, model: ModelDefinition) -> ModelSummary | None:
    """Compare what happened with what would have: the total of the model's performance; None where there is none."""
    history, promoted = performance_history(platform, model), promotions(platform, model)
    if not history or not promoted:
        return None
    rows = [record.rows for record in history]
    never = [record.never_retrained for record in history if record.never_retrained is not None]
    return ModelSummary(
        model=model.name,
        metric=model.metric,
        rows=sum(rows),
        champions=error_over(model.metric, [record.error for record in history], rows),
        never_retrained=error_over(model.metric, never, rows) if len(never) == len(rows) else None,
        baseline=error_over(model.metric, [record.baseline_error for record in history], rows),
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
    never = "not known" if summary.never_retrained is None else f"{summary.never_retrained:.4f}"
    lines = [
        f"{summary.model}: {summary.rows} predictions with a label",
        f"  {'':24}{summary.metric:>20}",
        f"  {'champions':24}{summary.champions:>20.4f}",
        f"  {'never retrained':24}{never:>20}",
        f"  {'baseline':24}{summary.baseline:>20.4f}",
        f"  trainings {summary.trainings}, versions {summary.versions}, champion: version {summary.champion}",
    ]
    return "\n".join(lines)
