"""Whether probabilities are right, seen on judged rows, and curves that make them so where they are not.

A curve is an isotonic regression of what came true on what was predicted (Zadrozny and Elkan, Transforming Classifier
Scores into Accurate Multiclass Probability Estimates, KDD 2002): of two classes one curve, of several one for each,
after which a row's probabilities are brought to sum to 1. A class has one only where that lessens its squared distance
from what came true, on rows that the curve was not fitted on: of probabilities that are right a curve is but noise.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.models.metrics import measure
from mlops_assets.project.tasks import Task

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

FOLDS = 10
"""In so many parts the judged rows are tried: a curve is fitted on all but one, and tried on that."""

Curve = tuple[Sequence[float], Sequence[float]]
"""Predicted and calibrated probabilities, neither falling; straight lines lie between, and beyond it stays level."""


@dataclass(frozen=True)
class Calibration:
    """Curves by class, of two classes that of the probability of 1; None where the probabilities are right as they are.

    Without any curve, as of a version that was trained before they were made, all stay as they are.
    """

    curves: tuple[Curve | None, ...] = ()

    @classmethod
    def from_json(cls, text: str) -> "Calibration":
        """What `as_json` wrote; of no text that without curves."""
        return cls(tuple(curve and (curve[0], curve[1]) for curve in json.loads(text or "[]")))

    def as_json(self) -> str:
        """As text for a record."""
        return json.dumps(self.curves)

    def __bool__(self) -> bool:
        """Whether it changes anything."""
        return any(curve is not None for curve in self.curves)

    def of(self, scores: "npt.NDArray[Any]") -> "Floats":
        """Calibrated probabilities, in the form of the scores."""
        import numpy as np

        if not self:
            return scores
        columns = scores.reshape(len(scores), -1)
        made = np.column_stack(
            [of if curve is None else np.interp(of, *curve) for of, curve in zip(columns.T, self.curves, strict=True)]
        )
        if scores.ndim == 1:
            return made[:, 0]
        sums = made.sum(axis=1, keepdims=True)
        calibrated: Floats = np.divide(made, sums, out=np.full_like(made, 1 / made.shape[1]), where=sums > 0)
        return calibrated


def fit_calibration(task: Task, truth: "npt.NDArray[Any]", scores: "npt.NDArray[Any]") -> Calibration:
    """Fit curves on judged rows: what came true, and the scores of a judged fit; none of a regression."""
    import numpy as np

    if task == "regression" or not np.isfinite(scores).all():
        return Calibration()
    columns = scores.reshape(len(scores), -1).T
    came = [truth == (1 if task == "binary" else place) for place in range(len(columns))]
    return Calibration(tuple(_curve(one.astype(float), of) for one, of in zip(came, columns, strict=True)))


def _curve(truth: "Floats", predicted: "Floats") -> Curve | None:
    """The curve of one class; None where it does not help on further rows, or there are too few to see."""
    import numpy as np

    if min(truth.sum(), len(truth) - truth.sum()) < FOLDS:
        return None
    folds = np.random.default_rng(0).permutation(len(truth)) % FOLDS  # any system in them would tell what is left out
    tried = np.empty(len(truth))
    for fold in range(FOLDS):
        out = folds == fold
        tried[out] = np.interp(predicted[out], *_isotonic(truth[~out], predicted[~out]))
    before, after = (measure("binary", truth, of).of("brier") for of in (predicted, tried))
    return _isotonic(truth, predicted) if after < before else None


def _isotonic(truth: "Floats", predicted: "Floats") -> Curve:
    import numpy as np
    from scipy.optimize import isotonic_regression  # type: ignore[import-untyped]

    levels, place, rows = np.unique(predicted, return_inverse=True, return_counts=True)
    found = isotonic_regression(np.bincount(place, truth) / rows, weights=rows).x
    bends = np.ones(len(found), dtype=bool)
    bends[1:-1] = (found[1:-1] != found[:-2]) | (found[1:-1] != found[2:])
    return levels[bends].tolist(), found[bends].tolist()
