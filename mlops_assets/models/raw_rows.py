"""Predictions from rows as they were looked up. A copy of this file lies in every logged model, and MLflow loads it.

So it imports nothing of this package: `mlflow.pyfunc.load_model` and ``mlflow models serve`` need it alone.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def as_fitted(frame: "pd.DataFrame", numbers: Sequence[str], categories: Sequence[str]) -> "pd.DataFrame":
    """Values as an estimator was fitted on them: finite numbers as floats, else NaN; categories as objects or None.

    A column of booleans or whole numbers alone has a type of its own in pandas, which scikit-learn's encoders compare
    with no level that they know.
    """
    infinite = [float("inf"), float("-inf")]
    made = {name: frame[name].astype("float64").replace(infinite, float("nan")) for name in numbers}
    made |= {name: frame[name].astype(object).where(frame[name].notna(), None) for name in categories}
    return frame.assign(**made)


class RawPredictor:
    """What MLflow's python_function gives: the model's answer columns for rows of raw features.

    Args:
        fit: The estimator.
        names: Every feature, in the order that it was fitted on.
        numbers: Those that are numbers.
        classes: Of a classification its classes, in the order of the probabilities; none of a regression.
        columns: The answer columns: the likeliest value, then the probabilities, or the ends of an interval.
        half_width: How far the interval reaches to each side of the prediction; None where there is none.
    """

    def __init__(
        self,
        fit: Any,
        *,
        names: Sequence[str],
        numbers: Sequence[str],
        classes: Sequence[Any],
        columns: Sequence[str],
        half_width: float | None = None,
    ) -> None:
        self._fit = fit
        self._names = list(names)
        self._numbers = list(numbers)
        self._classes = list(classes)
        self._columns = list(columns)
        self._half_width = float("nan") if half_width is None else half_width

    def predict(self, data: "pd.DataFrame", params: Mapping[str, Any] | None = None) -> "pd.DataFrame":
        """Predict, with null for what is missing and any value for a category.

        Args:
            data: The features, by name; others are left out.
            params: MLflow's; there are none.

        Returns:
            The answer columns, a row for each row; a class that the fit never saw has probability 0.
        """
        import pandas as pd

        categories = [name for name in self._names if name not in self._numbers]
        frame = as_fitted(data[self._names], self._numbers, categories)
        if not self._classes:
            made = pd.DataFrame({self._columns[0]: self._fit.predict(frame)}, index=data.index)
            for name, reach in zip(self._columns[1:], (-self._half_width, self._half_width), strict=False):
                made[name] = made[self._columns[0]].astype("float64") + reach
            return made
        found = pd.DataFrame(self._fit.predict_proba(frame), data.index, list(self._fit.classes_))
        scores = found.reindex(columns=self._classes, fill_value=0.0).to_numpy()
        names, probabilities = self._columns[0], self._columns[1:]
        if len(probabilities) == 1:  # of two classes, the probability of the second
            return pd.DataFrame({names: scores[:, 1] > 0.5, probabilities[0]: scores[:, 1]}, index=data.index)
        likeliest = [self._classes[place] for place in scores.argmax(axis=1)]
        said = {name: scores[:, place] for place, name in enumerate(probabilities)}
        return pd.DataFrame({names: likeliest, **said}, index=data.index)


def _load_pyfunc(file: str, config: Mapping[str, Any]) -> RawPredictor:
    """What MLflow calls with the file of the fit, which lies below the logged model's folder, and its configuration."""
    import mlflow

    return RawPredictor(mlflow.sklearn.load_model(str(Path(file).parents[1])), **config)
