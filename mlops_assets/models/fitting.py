"""Fitting: a model's estimator on rows of its training set, with the weights, rounds and threads that it declares."""

import inspect
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import ContractError, told_once, words_of
from mlops_assets.features.python_functions import called
from mlops_assets.lakehouse.exact import doubles, finite
from mlops_assets.lakehouse.masking import words_about
from mlops_assets.models.folds import newest
from mlops_assets.models.metrics import measure
from mlops_assets.models.predicting import scores_of_values, truth_of
from mlops_assets.project.definition import ModelDefinition
from mlops_assets.project.model_parts import EarlyStopping
from mlops_assets.project.python_function import PythonFunction
from mlops_assets.templates import build_estimator, find_template, require_valid

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


def feature_frame(model: ModelDefinition, rows: "pa.Table") -> "pd.DataFrame":
    """The features as an estimator sees them: numbers as floats, with NaN for null; categories as they are, or None.

    A number that is not finite is missing, whatever brought it.
    """
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    made: dict[str, Any] = {}
    for name in model.feature_names:
        column = finite(rows.column(name))
        if pa.types.is_decimal(column.type):
            column = doubles(column)
        if name in model.numbers:
            # An estimator may write into its frame, and never into the rows.
            made[name] = np.require(doubles(column).to_numpy(), requirements="W")
            continue
        # By way of pandas' own nulls a whole number is a float, and another one from 2^53 on.
        values = column.to_pandas(integer_object_nulls=True).astype(object)
        made[name] = values if pa.types.is_string(column.type) else values.where(values.notna(), None)
    return pd.DataFrame(made, copy=False)  # a column each, as a request's frame has them


def fit(model: ModelDefinition, rows: "pa.Table", params: Mapping[str, Any] | None = None) -> Any:
    """Fit a model's estimator.

    With early stopping it is fitted on the earlier rows first, and then on all with the number of rounds after which
    the loss on the newest was smallest.

    Args:
        model: The model.
        rows: Rows of its training set.
        params: The template's parameters, where a search chose others than the model declares.

    Raises:
        ContractError: No feature has a value in any of the rows, a weight is missing or not greater than 0, there are
            too few periods to stop early, or an own template fails.
    """
    given = dict(model.template.params if params is None else params)
    stopping = model.fitting.early_stopping
    if stopping:
        given[stopping.rounds] = _best_rounds(model, rows, given, stopping)
    return _fit(model, rows, given)


def fitting_of(model: ModelDefinition) -> str:
    """What decides a fit beside rows, template and parameters, as JSON; records are compared by it, member by member.

    A member that a later release adds is left out where it has its default.
    """
    chosen = model.fitting
    stopping = chosen.early_stopping
    declared = {
        "seed": model.template.seed,
        "threads": model.threads,
        "weight": chosen.weight,
        "class_weight": chosen.class_weight,
        "early_stopping": stopping
        and {"periods": stopping.periods, "patience": stopping.patience, "rounds": stopping.rounds},
    }
    return json.dumps(declared, sort_keys=True)


def row_weights(model: ModelDefinition, rows: "pa.Table") -> Any:
    """What each row weighs, by the declared column and by its class, multiplied; None where neither is declared.

    Balanced classes weigh rows / (classes among the rows x rows of the class), as scikit-learn defines it.

    Raises:
        ContractError: A weight of the column is missing or not greater than 0.
    """
    parts = [part for part in (_column_weights(model, rows), _class_weights(model, rows)) if part is not None]
    return math.prod(parts[1:], start=parts[0]) if parts else None


def _column_weights(model: ModelDefinition, rows: "pa.Table") -> Any:
    import numpy as np

    name = model.fitting.weight
    if name is None:
        return None
    column = rows.column(name)
    values = doubles(column).to_numpy()
    missing, low = column.null_count, int((values <= 0).sum())
    if missing or low or not np.isfinite(values).all():
        raise ContractError(
            f"{missing} of {rows.num_rows} rows of '{model.name}' without a weight in '{name}', and {low} with a "
            "weight that is not greater than 0",
            "a finite weight greater than 0 for each row to train on",
            "leave such rows out of the population, or give the column a default",
        )
    return values


def _class_weights(model: ModelDefinition, rows: "pa.Table") -> Any:
    import numpy as np

    declared = model.fitting.class_weight
    if declared is None:
        return None
    truth = truth_of(model, rows).astype(int)
    if declared == "balanced":
        counts = np.bincount(truth)
        return (len(truth) / (np.count_nonzero(counts) * counts[truth])).astype(float)
    weights = dict(declared)
    return np.array([weights.get(name, 1.0) for name in model.classes])[truth]


def _fit(model: ModelDefinition, rows: "pa.Table", params: Mapping[str, Any]) -> Any:
    from threadpoolctl import threadpool_limits

    frame, truth = feature_frame(model, rows), rows.column(model.label.column).to_numpy()
    weights = row_weights(model, rows)
    # A table younger than the training set's window is null in every row of it: nothing can be learned from that.
    filled = [name for name in model.feature_names if frame[name].notna().any()]
    if not filled:
        raise ContractError(
            f"no value in any feature of '{model.name}' in {rows.num_rows} rows to train on",
            "at least one feature with values",
            "train later, or look why the lookups find nothing (keys, lookback)",
        )
    choice = model.template
    categories = [name for name in model.categories if name in filled]
    numbers = [name for name in model.numbers if name in filled]
    if choice.function is None:

        def refusal(error: BaseException) -> ContractError:
            words = words_about(model.training_columns, words_of(error))
            return ContractError(
                f"template '{choice.name}' does not fit '{model.name}' on {rows.num_rows} rows ({words})",
                "rows and parameters that its estimator takes",
                "correct template.params, or the rows that its words are about, and train again",
            )

        template = find_template(choice.name, choice.version)
        # Threads that wait for each other spin: beside other work, two take four times as long as one.
        with told_once(refusal), threadpool_limits(limits=model.threads):
            estimator = build_estimator(template, params, categories=categories, numbers=numbers, seed=choice.seed)
            return estimator.fit(frame, truth, **_weighted(model, estimator, weights))
    own = _own_estimator(model, choice.function, params, categories, numbers)
    with own as estimator, threadpool_limits(limits=model.threads):
        return estimator.fit(frame, truth, **_weighted(model, estimator, weights))


@contextmanager
def _own_estimator(
    model: ModelDefinition,
    own: PythonFunction,
    params: Mapping[str, Any],
    categories: Sequence[str],
    numbers: Sequence[str],
) -> Iterator[Any]:
    """What a template of the user's own gives; what is raised inside the block is told as its fault."""
    given = {"categories": categories, "numbers": numbers, "seed": model.template.seed}
    expected = "a function that gives an estimator which fits the model's features"
    with called(own, expected, model.training_columns) as function:
        estimator = function(**{name: given[name] for name in own.given}, **params)
        missing = [name for name in ("fit", "predict") if not callable(getattr(estimator, name, None))]
        if missing:
            raise ContractError(
                f"'{model.template.name}' gave {type(estimator).__name__} without {' and '.join(missing)}",
                "an unfitted estimator as scikit-learn has them",
                "return one",
                where=own.location,
            )
        yield estimator


def require_buildable(model: ModelDefinition, params: Mapping[str, Any]) -> None:
    """See that a model's template gives an estimator which takes some parameters, those left out at their defaults.

    Raises:
        ContractError: It does not, in the words of template or estimator.
    """
    choice = model.template
    if choice.function is not None:
        with _own_estimator(model, choice.function, params, model.categories, model.numbers) as estimator:
            require_valid(estimator)
        return

    def refusal(error: BaseException) -> ContractError:
        return ContractError(str(error), "parameters that its estimator takes", "correct template.params")

    template = find_template(choice.name, choice.version)
    params = dict.fromkeys(template.columns, "x") | dict(params)
    with told_once(refusal):
        require_valid(build_estimator(template, params, categories=["x"], numbers=["x"], seed=0))


def _weighted(model: ModelDefinition, estimator: Any, weights: Any) -> dict[str, Any]:
    """The argument of ``fit`` that weighs rows: that of a pipeline's last step."""
    if weights is None:
        return {}
    steps = getattr(estimator, "steps", None)
    name, last = steps[-1] if steps else ("", estimator)
    takes = inspect.signature(last.fit).parameters
    if "sample_weight" not in takes and not any(part.kind is part.VAR_KEYWORD for part in takes.values()):
        raise ContractError(
            f"{type(last).__name__} of template '{model.template.name}', which takes no weights of rows",
            "an estimator whose fit takes sample_weight",
            "take train.weight and train.class_weight out, or choose another template",
        )
    return {f"{name}__sample_weight" if steps else "sample_weight": weights}


def _best_rounds(model: ModelDefinition, rows: "pa.Table", params: Mapping[str, Any], stopping: EarlyStopping) -> int:
    """After how many rounds the loss on the newest periods is smallest, as far as patience looks."""
    earlier, watched = newest(model, rows, stopping.periods)
    if earlier.num_rows == 0 or watched.num_rows == 0:
        raise ContractError(
            f"{earlier.num_rows} rows of '{model.name}' before the {stopping.periods} periods whose loss is watched, "
            f"and {watched.num_rows} in them",
            "rows on both sides, with the label's horizon between them",
            "train later, or shorten train.early_stopping.periods",
        )
    fitted = _fit(model, earlier, params)
    truth, frame = truth_of(model, watched), feature_frame(model, watched)
    last, seen = (fitted[-1], fitted[:-1].transform(frame)) if hasattr(fitted, "steps") else (fitted, frame)
    name = "staged_predict" if model.task == "regression" else "staged_predict_proba"
    if not hasattr(last, name):
        raise ContractError(
            f"{type(last).__name__} of template '{model.template.name}', which does not say what it predicts by rounds",
            f"an estimator that has {name}",
            "take train.early_stopping out, or choose another template",
        )
    best, least = 1, float("inf")
    stages = getattr(last, name)(seen)
    for number, predicted in enumerate(stages, start=1):
        scores = scores_of_values(model, predicted, getattr(last, "classes_", ()))
        loss = measure(model.task, truth, scores).of(model.metric)
        if loss < least:
            best, least = number, loss
        elif number - best >= stopping.patience:
            break
    return best
