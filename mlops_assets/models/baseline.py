"""The baseline: the simplest prediction, which a model must beat to be worth its while."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from mlops_assets.lakehouse.exact import doubles
from mlops_assets.models.predicting import truth_of
from mlops_assets.project.definition import ModelDefinition

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa


@dataclass(frozen=True)
class Baseline:
    """What the baseline learned: nothing for a regression, whose baseline is a feature's value.

    Args:
        shares: Share of each class among the rows, in the order of the model's classes.
        by_level: The same among the rows with each level of the baseline's feature.
    """

    shares: Sequence[float] = ()
    by_level: Mapping[str, Sequence[float]] = field(default_factory=dict)

    @classmethod
    def from_json(cls, text: str) -> "Baseline":
        """What `as_json` wrote."""
        return cls(**json.loads(text))

    def as_json(self) -> str:
        """As text for a record."""
        return json.dumps(asdict(self), sort_keys=True)


def fit_baseline(model: ModelDefinition, rows: "pa.Table") -> Baseline:
    """Learn the baseline of a model from rows of its training set.

    A level's shares count one row more, spread as the shares over all, so that a rare level rules nothing out.
    """
    import numpy as np

    if model.task == "regression":
        return Baseline()
    classes = len(model.classes)
    truth = truth_of(model, rows).astype(int)
    shares = np.bincount(truth, minlength=classes) / max(len(truth), 1)
    by_level = {}
    if model.baseline is not None:
        levels = np.array(_levels(model, rows), dtype=object)
        for level in sorted({level for level in levels if level is not None}):
            counts = np.bincount(truth[levels == level], minlength=classes)
            by_level[level] = ((counts + shares) / (counts.sum() + 1)).tolist()
    return Baseline(shares.tolist(), by_level)


def baseline_scores(model: ModelDefinition, baseline: Baseline, rows: "pa.Table") -> "npt.NDArray[Any]":
    """What the baseline says of rows that carry the model's features; the form is that of `scores_of_fit`.

    A regression's feature counts as 0 where it is null; where a classification's is null or was not seen, the shares
    over all hold.
    """
    import numpy as np
    import pyarrow.compute as pc

    if model.task == "regression":
        values: npt.NDArray[Any] = pc.fill_null(doubles(rows.column(model.baseline)), 0.0).to_numpy()
        return values
    levels = _levels(model, rows) if model.baseline is not None else [None] * rows.num_rows
    found = [baseline.by_level.get(level, baseline.shares) if level else baseline.shares for level in levels]
    scores = np.array(found, dtype=float).reshape(len(found), len(model.classes))
    return scores[:, 1] if model.task == "binary" else scores


def _levels(model: ModelDefinition, rows: "pa.Table") -> list[str | None]:
    import pyarrow.compute as pc

    levels: list[str | None] = pc.cast(rows.column(model.baseline), "string").to_pylist()
    return levels
