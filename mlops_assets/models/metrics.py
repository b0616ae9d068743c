"""Metrics of predictions against the truth, for one weighting of the rows or many at once.

Many weightings are a matrix with a column for each: a bootstrap is one pass over it and not a loop over drawn rows.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_assets.errors import ContractError
from mlops_assets.project.tasks import METRICS, Task

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

_ROWS_OF_BLOCK = 128
CALIBRATION_BINS = 10
"""A calibration is looked at in this many bins of equal counts."""


@dataclass(frozen=True)
class Measured:
    """How predictions did on some rows.

    Args:
        rows: How many were compared.
        values: By metric's name. A metric that the rows do not define is not in it: the area under the curve of one
            class only, the share explained of a truth that does not vary, everything where a prediction is missing.
    """

    rows: int
    values: Mapping[str, float]

    def of(self, metric: str) -> float:
        """One metric.

        Raises:
            ContractError: The rows do not define it.
        """
        if metric not in self.values:
            raise ContractError(
                f"no {metric} on {self.rows} rows",
                "rows that define it: predictions without gaps, a truth that varies",
                "measure on more rows, or choose another metric",
            )
        return self.values[metric]


def measure(
    task: Task, truth: "npt.ArrayLike", scores: "npt.ArrayLike", weights: "npt.ArrayLike | None" = None
) -> Measured:
    """Compare predictions with the truth.

    Args:
        task: What kind of prediction it is.
        truth: For each row: a number; 0 or 1; or the number of a class, from 0.
        scores: For each row: the number predicted; the probability of 1; or those of all classes, in their order.
        weights: For each row, not negative; all alike by default.

    Raises:
        ContractError: There is nothing to compare.
    """
    import numpy as np

    rows = len(np.asarray(truth))
    if rows == 0:
        raise ContractError("no rows to compare", "at least one prediction with its label", "wait for labels")
    matrix = np.ones((rows, 1)) if weights is None else np.asarray(weights, float).reshape(rows, 1)
    found = measure_each(task, truth, scores, matrix)
    return Measured(rows, {name: float(value[0]) for name, value in found.items() if np.isfinite(value[0])})


def measure_each(
    task: Task, truth: "npt.ArrayLike", scores: "npt.ArrayLike", weights: "Floats", only: Collection[str] | None = None
) -> "dict[str, Floats]":
    """Every metric of the task under each column of the weights; NaN where it is not defined.

    Args:
        task: What kind of prediction it is.
        truth: As in `measure`.
        scores: As in `measure`.
        weights: One row for each row, one column for each weighting.
        only: The metrics that are wanted; all by default. Those of an order of rows take most of the time.
    """
    import numpy as np

    wanted = frozenset(METRICS if only is None else only)
    said, real = np.asarray(scores, float), np.asarray(truth, float)
    if not (np.isfinite(said).all() and np.isfinite(real).all()):
        return {}
    with np.errstate(divide="ignore", invalid="ignore"):
        if task == "regression":
            found = _of_numbers(real, said, weights, wanted)
        elif task == "binary":
            found = _of_probabilities(real, said, weights, wanted)
        else:
            found = _of_classes(real.astype(int), said, weights)
    return {name: values for name, values in found.items() if name in wanted}


def predicted_classes(task: Task, scores: "npt.ArrayLike") -> "npt.NDArray[np.int64]":
    """The class that scores speak for: 1 above one half, or the first of the most probable ones."""
    import numpy as np

    said = np.asarray(scores, float)
    return (said > 0.5).astype(np.int64) if task == "binary" else said.argmax(axis=1)


def confidence(task: Task, truth: "npt.ArrayLike", scores: "npt.ArrayLike") -> "tuple[Floats, Floats]":
    """The predicted probability and whether it was observed, for each row: the two that a calibration compares.

    Of two classes the probability of 1, and whether it was; of several that of the class it chose, and whether it was.
    """
    import numpy as np

    said, real = np.asarray(scores, float), np.asarray(truth, float)
    if task == "binary":
        return said, real
    return said.max(axis=1), (said.argmax(axis=1) == real).astype(float)


def equal_count_bins(values: "npt.ArrayLike", bins: int = CALIBRATION_BINS) -> "npt.NDArray[np.int64]":
    """The bin of each value, from 0 up, with about as many values in each; equal values are never parted."""
    import numpy as np

    numbers = np.asarray(values, float)
    ordered = np.sort(numbers)
    starts = np.unique(ordered[np.arange(1, bins) * len(ordered) // bins])
    found = np.searchsorted(starts, numbers, side="right")
    return np.unique(found, return_inverse=True)[1]


def _means(weights: "Floats", **values: "Floats") -> "dict[str, Floats]":
    import numpy as np

    return dict(zip(values, np.stack(list(values.values())) @ weights / weights.sum(axis=0), strict=True))


def _of_numbers(truth: "Floats", scores: "Floats", weights: "Floats", wanted: Collection[str]) -> "dict[str, Floats]":
    import numpy as np

    bias = scores - truth
    centred = truth - truth.mean()  # the variance below is a difference, which large numbers would lose
    means = _means(weights, mae=np.abs(bias), squared=bias**2, bias=bias, centre=centred, spread=centred**2)
    variance = means["spread"] - means["centre"] ** 2
    varies = variance > 1e-12 * means["spread"]
    median = "median_absolute_error"
    return {
        "mae": means["mae"],
        "rmse": np.sqrt(means["squared"]),
        **({median: _medians(np.abs(bias), weights)} if median in wanted else {}),
        "bias": means["bias"],
        "r2": 1 - means["squared"] / np.where(varies, variance, np.nan),
    }


def _medians(values: "Floats", weights: "Floats") -> "Floats":
    """The weighted median; where the weights halve between two values, their mean.

    Weights are cumulated by blocks of rows, and row by row only in the block in which a column reaches its half.
    """
    import numpy as np

    order = np.argsort(values)
    ordered, drawn, last = values[order], weights[order], len(values) - 1
    starts, columns = np.arange(0, len(values), _ROWS_OF_BLOCK), np.arange(weights.shape[1])
    reached = np.cumsum(np.add.reduceat(drawn, starts, axis=0), axis=0)
    half = reached[-1] / 2

    def rows_below(lies_below: "np.ufunc") -> "npt.NDArray[np.int64]":
        block = np.minimum(lies_below(reached, half).sum(axis=0), len(starts) - 1)
        rows = np.minimum(starts[block] + np.arange(_ROWS_OF_BLOCK)[:, None], last)
        before = np.where(block > 0, reached[block - 1, columns], 0)
        inside = before + np.cumsum(drawn[rows, columns], axis=0)
        found: npt.NDArray[np.int64] = np.minimum(starts[block] + lies_below(inside, half).sum(axis=0), last)
        return found

    middle: Floats = (ordered[rows_below(np.less)] + ordered[rows_below(np.less_equal)]) / 2
    return np.where(half > 0, middle, np.nan)


def _of_probabilities(
    truth: "Floats", scores: "Floats", weights: "Floats", wanted: Collection[str]
) -> "dict[str, Floats]":
    import numpy as np

    smallest = np.finfo(float).eps
    clipped = np.clip(scores, smallest, 1 - smallest)
    means = _means(
        weights,
        log_loss=-np.where(truth == 1, np.log(clipped), np.log1p(-clipped)),
        brier=(scores - truth) ** 2,
        accuracy=(predicted_classes("binary", scores) == truth).astype(float),
    )
    of_order = {"roc_auc", "average_precision"} & set(wanted)
    return {
        **means,
        **(_of_order(truth, scores, weights) if of_order else {}),
        "calibration_error": _calibration(scores, truth, weights),
    }


def _of_order(truth: "Floats", scores: "Floats", weights: "Floats") -> "dict[str, Floats]":
    """The areas under two curves, which only the order of the scores decides; equal scores are one step.

    Both are sums over the positive rows, of what lies below each and of what does not: so their cumulated weights are
    enough, and not those of all rows at every step.
    """
    import numpy as np

    def in_order(rows: "npt.NDArray[np.bool_]") -> "tuple[Floats, Floats, Floats]":
        order = np.flatnonzero(rows)[np.argsort(scores[rows], kind="stable")]
        drawn = weights[order]
        below = np.concatenate([np.zeros_like(drawn[:1]), np.cumsum(drawn, axis=0)]) if len(order) else none
        return scores[order], drawn, below

    none = np.zeros((1, weights.shape[1]))
    found, positive, positive_below = in_order(truth == 1)
    others, _, negative_below = in_order(truth != 1)
    positives, negatives = positive_below[-1], negative_below[-1]
    first, last = (np.searchsorted(others, found, side) for side in ("left", "right"))
    below = negative_below[first]
    up_to = below if (first == last).all() else negative_below[last]
    above = positives - positive_below[np.searchsorted(found, found)]
    everything = above + (negatives - below)
    precision = np.divide(above, everything, out=np.zeros_like(above), where=everything > 0)
    return {
        "roc_auc": np.einsum("ij,ij->j", positive, below + up_to) / (2 * positives * negatives),
        "average_precision": np.einsum("ij,ij->j", positive, precision) / positives,
    }


def _of_classes(truth: "npt.NDArray[np.int64]", scores: "Floats", weights: "Floats") -> "dict[str, Floats]":
    import numpy as np

    smallest = np.finfo(float).eps
    real = np.eye(scores.shape[1])[truth]
    chosen = np.eye(scores.shape[1])[predicted_classes("multiclass", scores)]
    clipped = np.clip(scores, smallest, 1 - smallest)
    predicted, observed = confidence("multiclass", truth, scores)
    means = _means(
        weights,
        log_loss=-np.log(clipped[np.arange(len(truth)), truth]),
        brier=((scores - real) ** 2).sum(axis=1),
        accuracy=observed,
    )
    hits, occurring = (real * chosen).T @ weights, (real + chosen).T @ weights
    return {
        **means,
        "macro_f1": np.nanmean(np.where(occurring > 0, 2 * hits / occurring, np.nan), axis=0),
        "calibration_error": _calibration(predicted, observed, weights),
    }


def _calibration(predicted: "Floats", observed: "Floats", weights: "Floats") -> "Floats":
    """Mean distance between predicted and observed over bins of equal counts, weighted by the bins."""
    import numpy as np

    member = np.eye(CALIBRATION_BINS)[equal_count_bins(predicted)]
    gaps = (member * (observed - predicted)[:, None]).T @ weights
    found: Floats = np.abs(gaps).sum(axis=0) / weights.sum(axis=0)
    return found
