"""Fitting: a model's estimator on rows of its training set, with the threads that it declares."""

from typing import TYPE_CHECKING, Any

from mlops_assets.errors import ContractError
from mlops_assets.models.templates import build_estimator, find_template
from mlops_assets.project.definition import ModelDefinition

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


def feature_frame(model: ModelDefinition, rows: "pa.Table") -> "pd.DataFrame":
    """The features as an estimator sees them: numbers as floats with NaN for null, categories as text or None."""
    frame = rows.select(list(model.feature_names)).to_pandas()
    for name in model.numbers:
        frame[name] = frame[name].astype("float64")
    for name in model.categories:
        frame[name] = frame[name].astype(object).where(frame[name].notna(), None)
    return frame


def fit(model: ModelDefinition, rows: "pa.Table") -> Any:
    """Fit a model's estimator.

    Args:
        model: The model.
        rows: Rows of its training set.

    Raises:
        ContractError: No feature has a value in any of the rows.
    """
    from threadpoolctl import threadpool_limits

    frame, truth = feature_frame(model, rows), rows.column(model.label.column).to_numpy()
    # A table younger than the training set's window is null in every row of it: nothing can be learned from that.
    filled = [name for name in model.feature_names if frame[name].notna().any()]
    if not filled:
        raise ContractError(
            f"no value in any feature of '{model.name}' in {rows.num_rows} rows to train on",
            "at least one feature with values",
            "train later, or look why the lookups find nothing (keys, lookback)",
        )
    template = find_template(model.template.name, model.template.version)
    estimator = build_estimator(
        template,
        model.template.params,
        categories=[name for name in model.categories if name in filled],
        numbers=[name for name in model.numbers if name in filled],
        seed=model.template.seed,
    )
    # Threads that wait for each other spin: beside other work, two take four times as long as one.
    with threadpool_limits(limits=model.threads):
        return estimator.fit(frame, truth)
