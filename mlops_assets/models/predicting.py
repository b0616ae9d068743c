"""What a fit says of rows, as numbers, and the columns in which that is kept.

Scores are one array: of a regression the numbers (rows), of a binary model the probability that it is so (rows), of a
multiclass model the probabilities (rows × classes, in the order of ``model.classes``).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import ContractError, told_once, words_of
from mlops_assets.lakehouse.masking import words_about
from mlops_assets.lakehouse.schema import Column
from mlops_assets.models.blocks import in_blocks
from mlops_assets.models.metrics import predicted_classes
from mlops_assets.project.definition import ModelDefinition

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd
    import pyarrow as pa


@contextmanager
def predicting(model: ModelDefinition, named: str = "a fit") -> Iterator[None]:
    """Tell in one message what a fit raises inside the block; a user's estimator may raise anything.

    Args:
        model: The model.
        named: Which fit of it, such as "version 3".

    Raises:
        ContractError: It raised something.
    """

    def refusal(error: BaseException) -> ContractError:
        return ContractError(
            f"{named} of '{model.name}' does not predict ({words_about(model.features, words_of(error))})",
            "predictions for every row that the features' types allow",
            "correct the template and train again, or go on with an earlier version",
        )

    with told_once(refusal):
        yield


def scores_of_fit(model: ModelDefinition, fit: Any, frame: "pd.DataFrame", named: str = "a fit") -> "npt.NDArray[Any]":
    """The scores of a fit, with the threads that the model declares; a class that it never saw has probability 0.

    Raises:
        ContractError: It does not predict for these rows; says which fit, as ``named``.
    """
    from threadpoolctl import threadpool_limits

    with predicting(model, named), threadpool_limits(limits=model.threads):
        return scores_by_threads_there_are(model, fit, frame)


def scores_by_threads_there_are(model: ModelDefinition, fit: Any, frame: "pd.DataFrame") -> "npt.NDArray[Any]":
    """As `scores_of_fit`, for who has set the threads: finding out what there is to set takes milliseconds."""
    import numpy as np

    if frame.empty:
        return np.zeros((0, len(model.classes)) if model.task == "multiclass" else 0)
    if model.task == "regression":
        scores = scores_of_values(model, in_blocks(fit.predict, frame), ())
    else:
        scores = scores_of_values(model, in_blocks(fit.predict_proba, frame), fit.classes_)
    if len(scores) != len(frame):
        raise ValueError(f"{len(scores)} predictions for {len(frame)} rows")
    return scores


def scores_of_values(model: ModelDefinition, values: Any, classes: Sequence[Any]) -> "npt.NDArray[Any]":
    """What an estimator said as scores: its numbers, or its probabilities of the classes that it saw."""
    import numpy as np

    found = np.asarray(values, float)
    if model.task == "regression":
        return found
    scores = np.zeros((len(found), len(model.classes)))
    for place, seen in enumerate(classes):
        scores[:, model.classes.index(str(seen).lower() if model.task == "binary" else str(seen))] = found[:, place]
    return scores[:, 1] if model.task == "binary" else scores


def truth_of(model: ModelDefinition, rows: "pa.Table") -> "npt.NDArray[Any]":
    """What came true of rows that all have a label: numbers, 0.0 or 1.0, or the place of the class."""
    import numpy as np

    label = rows.column(model.label.column).to_numpy()
    if model.task == "multiclass":
        return np.array([model.classes.index(value) for value in label], dtype=int)
    truth: npt.NDArray[Any] = label.astype(float)
    return truth


def prediction_arrays(
    model: ModelDefinition, scores: "npt.NDArray[Any]", half_width: float = math.nan
) -> Mapping[str, "pa.Array"]:
    """Scores as the model's answer columns: the likeliest value, probabilities of a classification, ends of intervals.

    Where a score is not finite, nothing is predicted: all of them are null. So are the ends of intervals where it is
    not known how far they reach to each side.
    """
    import numpy as np
    import pyarrow as pa

    said = _by_column(_scored_columns(model), scores)
    if model.task == "regression":
        ends = np.column_stack([scores - half_width, scores + half_width])
        return {**said, **(_by_column(model.interval_columns, ends) if model.intervals else {})}
    likeliest, unknown = predicted_classes(model.task, scores), next(iter(said.values())).is_null().to_numpy(False)
    if model.task == "binary":
        return {"prediction": pa.array(likeliest == 1, pa.bool_(), mask=unknown), **said}
    names = np.array(model.classes, dtype=object)[likeliest]
    return {"prediction": pa.array(names, pa.string(), mask=unknown), **said}


def baseline_arrays(model: ModelDefinition, scores: "npt.NDArray[Any]") -> Mapping[str, "pa.Array"]:
    """Scores of the baseline as the model's baseline columns."""
    return _by_column(model.baseline_columns, scores)


def stored_scores(model: ModelDefinition, rows: "pa.Table") -> "npt.NDArray[Any]":
    """The scores that `prediction_arrays` made columns of."""
    return _from_columns(model, rows, _scored_columns(model))


def stored_baseline(model: ModelDefinition, rows: "pa.Table") -> "npt.NDArray[Any]":
    """The scores that `baseline_arrays` made columns of."""
    return _from_columns(model, rows, model.baseline_columns)


def _scored_columns(model: ModelDefinition) -> Sequence[Column]:
    return model.prediction_columns[0 if model.task == "regression" else 1 :]


def _by_column(columns: Sequence[Column], scores: "npt.NDArray[Any]") -> Mapping[str, "pa.Array"]:
    import numpy as np
    import pyarrow as pa

    table = scores.reshape(len(scores), len(columns))
    unknown = ~np.isfinite(table).all(axis=1)
    return {column.name: pa.array(table[:, place], pa.float64(), mask=unknown) for place, column in enumerate(columns)}


def _from_columns(model: ModelDefinition, rows: "pa.Table", columns: Sequence[Column]) -> "npt.NDArray[Any]":
    import numpy as np

    found = np.column_stack([rows.column(column.name).to_numpy() for column in columns])
    return found if model.task == "multiclass" else found[:, 0]
