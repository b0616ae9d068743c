"""The predictions of a period that were furthest from what came true, and how much of its error they hold."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import MissingDataError
from mlops_assets.models.predicting import stored_scores, truth_of
from mlops_assets.monitoring.performance import PerformanceRecord, labelled_predictions, labels_known_at
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ModelDefinition
from mlops_assets.project.tasks import Task

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

MIN_PROBABILITY = 1e-15
"""A probability counts as at least that much: the logarithm of 0 is no number."""


@dataclass(frozen=True)
class WorstRow:
    """A prediction and what came true.

    Args:
        values: Keys, timestamp, label and what was predicted, by column.
        share: Of the error of all rows of the period, 0 to 1: of distances, or of the log loss of a classification.
    """

    values: Mapping[str, Any]
    share: float


def worst_rows(
    platform: Platform, model: ModelDefinition, record: PerformanceRecord, most: int = 8
) -> tuple[WorstRow, ...]:
    """The worst predictions of a period, the worst first; none where they are not kept any more.

    Args:
        platform: The platform.
        model: The model.
        record: The performance of the period.
        most: How many to give.
    """
    import numpy as np

    calendar = model.schema.calendar
    known_in, about = calendar.at_key(record.period), calendar.at_key(record.about)
    try:
        known_at = labels_known_at(platform, model, known_in)
        rows = labelled_predictions(platform, model, known_in, about, known_at)
    except MissingDataError:
        return ()
    losses = losses_of_rows(model.task, truth_of(model, rows), stored_scores(model, rows))
    worst = np.argsort(-losses, kind="stable")[:most]
    predicted = [column.name for column in (*model.prediction_columns, *model.baseline_columns)]
    chosen = rows.select([*model.schema.names, model.label.column, *predicted]).take(worst).to_pylist()
    shares = losses[worst] / max(float(losses.sum()), MIN_PROBABILITY)
    return tuple(WorstRow(values, float(share)) for values, share in zip(chosen, shares, strict=True))


def losses_of_rows(task: Task, truth: "npt.ArrayLike", scores: "npt.ArrayLike") -> "Floats":
    """How far each prediction is off: its distance from the truth, or minus the logarithm of the truth's probability.

    Args:
        task: What kind of prediction it is.
        truth: As in `mlops_assets.models.metrics.measure`.
        scores: Likewise.

    Example:
        >>> losses_of_rows("regression", [1.0, 2.0], [1.5, 2.0]).tolist()
        [0.5, 0.0]
    """
    import numpy as np

    real, said = np.asarray(truth, float), np.asarray(scores, float)
    if task == "regression":
        losses: Floats = np.abs(real - said)
        return losses
    of_truth = np.where(real == 1, said, 1 - said) if said.ndim == 1 else said[np.arange(len(real)), real.astype(int)]
    of_all: Floats = -np.log(np.maximum(of_truth, MIN_PROBABILITY))
    return of_all
