"""What a model may predict, and the metrics by which each kind of prediction is judged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from mlops_assets.lakehouse.schema import ColumnType

Task = Literal["regression", "binary", "multiclass"]
"""A number; whether something is so; or one of several classes."""

LABEL_TYPES: Mapping[Task, ColumnType] = MappingProxyType(
    {"regression": "double", "binary": "boolean", "multiclass": "string"}
)
"""The logical type of each task's label."""


@dataclass(frozen=True)
class Metric:
    """A figure that judges predictions.

    Args:
        name: What a user calls it.
        tasks: The tasks that it is defined for.
        greater_is_better: Whether more of it is better; of the others less is.
        description: What it means, with its unit.
    """

    name: str
    tasks: frozenset[Task]
    greater_is_better: bool
    description: str

    @property
    def better(self) -> str:
        """Where the better of two figures lies."""
        return "above" if self.greater_is_better else "below"

    def moved(self, figure: float, share: float) -> float:
        """A figure made better by a share of its size; made worse by a negative one."""
        return figure * (1 + (share if self.greater_is_better == (figure >= 0) else -share))

    def is_better(self, mine: float, theirs: float, margin: float = 0.0) -> bool:
        """Whether a figure is strictly better than another, by a share of the other's size."""
        wanted = self.moved(theirs, margin)
        return mine > wanted if self.greater_is_better else mine < wanted

    def is_worse(self, mine: float, theirs: float, by: float = 0.0) -> bool:
        """Whether a figure is worse than another by more than a share of the other's size."""
        allowed = self.moved(theirs, -by)
        return mine < allowed if self.greater_is_better else mine > allowed

    @property
    def is_loss(self) -> bool:
        """Whether less of it is better and 0 is perfect, so that a level and a share above it make sense."""
        return not self.greater_is_better and self.name != "bias"


def _metric(name: str, tasks: tuple[Task, ...], description: str, *, greater_is_better: bool = False) -> Metric:
    return Metric(name, frozenset(tasks), greater_is_better, description)


_CLASSES: tuple[Task, ...] = ("binary", "multiclass")
METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        metric.name: metric
        for metric in (
            _metric("mae", ("regression",), "Mean absolute error, in the label's unit"),
            _metric("rmse", ("regression",), "Root of the mean squared error, in the label's unit"),
            _metric("median_absolute_error", ("regression",), "Median absolute error, in the label's unit"),
            _metric("bias", ("regression",), "Mean of prediction minus truth, in the label's unit; 0 is best"),
            _metric("r2", ("regression",), "Share of the label's variance that is explained", greater_is_better=True),
            _metric("log_loss", _CLASSES, "Mean negative log (natural) of the probability of what came true"),
            _metric("brier", _CLASSES, "Mean squared distance of the probabilities from what came true"),
            _metric("roc_auc", ("binary",), "Area under the ROC curve", greater_is_better=True),
            _metric("average_precision", ("binary",), "Mean precision over all recalls", greater_is_better=True),
            _metric("accuracy", _CLASSES, "Share of rows whose likeliest class came true", greater_is_better=True),
            _metric("macro_f1", ("multiclass",), "Mean of the classes' F1 scores", greater_is_better=True),
            _metric("calibration_error", _CLASSES, "Mean distance of predicted from observed shares, over bins"),
        )
    }
)
"""All metrics, by name."""

DEFAULT_METRIC: Mapping[Task, str] = MappingProxyType(
    {"regression": "mae", "binary": "log_loss", "multiclass": "log_loss"}
)
"""By which metric a model is watched and retrained where its definition does not say."""


def metrics_of(task: Task) -> tuple[Metric, ...]:
    """The metrics that a task is judged by."""
    return tuple(metric for metric in METRICS.values() if task in metric.tasks)


def classes_of(task: Task, declared: Sequence[str]) -> tuple[str, ...]:
    """What may come true: of a binary task false and true, of a multiclass those declared, of a regression nothing."""
    return ("false", "true") if task == "binary" else tuple(declared)
