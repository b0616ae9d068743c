"""What each feature contributes to a prediction, whatever the estimator: values are exchanged at the pipeline's border.

A row's features are put, one after the other, in the place of those of a row of the background, and each contributes
what the prediction changes by at its turn; the contribution is the mean over orders and rows of the background
(Štrumbelj and Kononenko, Knowledge and Information Systems 41, 2014). Each second order is the one before reversed,
which takes most of the chance out of so few (Mitchell, Cooper, Frank and Holmes, Journal of Machine Learning Research
23, 2022). So contributions and the background's mean prediction add up to the prediction, to the last digits.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.models.fitting import feature_frame
from mlops_assets.models.predicting import scores_of_fit
from mlops_assets.models.records import candidate_of_version, evaluation_of
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ModelDefinition

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd
    import pyarrow as pa

    Floats = npt.NDArray[np.float64]
    Places = npt.NDArray[np.int64]

BACKGROUND, POOL = 8, 512
"""Predictions are explained against so many rows of the training set, chosen of so many to lie as predictions do."""

MAX_TURNS = 64
"""Of more features some are exchanged at one turn, and share what the prediction changes by.

Each order parts them anew, and a prediction costs no more than in proportion to its features.
"""

_CELLS_AT_ONCE = 4_000_000
"""Values of so many rows times features are predicted at once."""


@dataclass(frozen=True, eq=False)
class Contributions:
    """What each feature contributes to some predictions.

    What is explained of a regression is the number, of a binary model the probability that it is so, of several
    classes the probability of the one that is predicted.

    Args:
        features: The model's features, in its order.
        values: Rows × features, in the unit of what is explained; NaN where nothing finite is predicted.
        base: Of each row the mean prediction over the background.
        predicted: Of each row what is explained: its base and its contributions together.
    """

    features: tuple[str, ...]
    values: "Floats"
    base: "Floats"
    predicted: "Floats"

    @property
    def shares(self) -> "Floats":
        """Of each row the share of each feature in all that features contribute, whatever the sign; 0 of nothing."""
        import numpy as np

        sizes = np.abs(np.nan_to_num(self.values))
        shares: Floats = sizes / np.maximum(sizes.sum(axis=1, keepdims=True), np.finfo(float).tiny)
        return shares

    @property
    def importance(self) -> dict[str, float]:
        """The mean share of each feature over all rows, the greatest first, to six digits; empty without rows."""
        means = self.shares.mean(axis=0).tolist() if len(self.values) else []
        told = [(name, round(share, 6)) for name, share in zip(self.features, means, strict=bool(means))]
        return dict(sorted(told, key=lambda one: (-one[1], one[0])))


def contributions(
    model: ModelDefinition, fit: Any, frame: "pd.DataFrame", background: "pd.DataFrame", named: str = "a fit"
) -> Contributions:
    """Explain what a fit predicts for some rows, against a background.

    Args:
        model: The model.
        fit: Its fit.
        frame: Rows as `mlops_assets.models.fitting.feature_frame` gives them.
        background: At least one row, likewise.
        named: Which fit, for the message of an error.

    Raises:
        ContractError: The fit does not predict for these rows, or for rows that are mixed of them.
    """
    import numpy as np

    turns = _turns(model, len(background))
    walks = _walks(_scores(model, fit, named), frame, background, turns)
    chosen = walks[:, 0, -1].argmax(axis=1)  # of one column the only one
    walked = np.take_along_axis(walks, chosen[:, None, None, None], axis=3)[..., 0]
    with np.errstate(invalid="ignore", over="ignore"):
        changes = np.take_along_axis(np.diff(walked, axis=2), turns[None], axis=2)
    together = np.array([np.bincount(of)[of] for of in turns])  # so many features share a turn
    values = (changes / together).mean(axis=1)
    return Contributions(tuple(frame.columns), values, walked[:, :, 0].mean(axis=1), walked[:, 0, -1])


def explained(
    model: ModelDefinition, fit: Any, rows: "pa.Table", background: "pa.Table", named: str = "a fit"
) -> Contributions:
    """As `contributions`, of rows that carry the model's features."""
    return contributions(model, fit, feature_frame(model, rows), feature_frame(model, background), named)


def background_of(model: ModelDefinition, fit: Any, rows: "pa.Table", named: str = "a fit") -> "pa.Table":
    """Some rows of a training set, whose predictions lie as those of all: so few drawn by chance would lie off."""
    import numpy as np

    pool = sampled(model, rows.select(list(model.feature_names)), POOL)
    said = _scores(model, fit, named)(feature_frame(model, pool))
    known = np.flatnonzero(np.isfinite(said).all(axis=1))
    if len(known):
        pool, said = pool.take(known), said[known]
    order = np.lexsort((said.max(axis=1), said.argmax(axis=1)))
    count = min(BACKGROUND, len(order))
    return pool.take(order[((np.arange(count) + 0.5) / count * len(order)).astype(int)])


def sampled(model: ModelDefinition, rows: "pa.Table", most: int) -> "pa.Table":
    """So many rows at most, in their order: the same ones of the same rows."""
    import numpy as np

    if rows.num_rows <= most:
        return rows
    random = np.random.default_rng(model.template.seed)
    return rows.take(np.sort(random.choice(rows.num_rows, most, replace=False)))


def importance_of(platform: Platform, model: ModelDefinition, version: int) -> Mapping[str, float]:
    """The share of each feature in what a version's predictions are made of, the greatest first; they add up to 1.

    Empty for one that was trained before this was measured.
    """
    evaluation = evaluation_of(platform, model, candidate_of_version(platform, model, version).key)
    return evaluation.importance if evaluation else {}


def _scores(model: ModelDefinition, fit: Any, named: str) -> "Callable[[pd.DataFrame], Floats]":
    """What a fit says of a frame, always rows × classes."""
    width = len(model.classes) if model.task == "multiclass" else 1
    return lambda frame: scores_of_fit(model, fit, frame, named).reshape(len(frame), width)


def _turns(model: ModelDefinition, count: int) -> "Places":
    """At which turn each feature is exchanged, for each row of the background."""
    import numpy as np

    random, width = np.random.default_rng(model.template.seed), len(model.feature_names)
    orders = [random.permutation(width) for _ in range((count + 1) // 2)]
    turns = np.array([turn for order in orders for turn in (order, width - 1 - order)])[:count]
    return turns if width <= MAX_TURNS else turns * MAX_TURNS // width


def _walks(
    scores: "Callable[[pd.DataFrame], Floats]", frame: "pd.DataFrame", background: "pd.DataFrame", turns: "Places"
) -> "Floats":
    """What is predicted before the first turn and after each: rows × background × turns × classes.

    A fit is slow where it is asked often, so it is asked for many rows at once, known ones among them.
    """
    import numpy as np
    import pandas as pd

    steps = int(np.max(turns)) + 2
    taken = (turns[:, None, :] < np.arange(steps)[None, :, None]).reshape(-1, len(frame.columns))
    other = np.repeat(np.arange(len(turns)), steps)
    at_once, found = max(_CELLS_AT_ONCE // taken.size, 1), []
    for first in range(0, max(len(frame), 1), at_once):
        made = {}
        for place, name in enumerate(frame.columns):
            own, others = frame[name].to_numpy()[first : first + at_once, None], background[name].to_numpy()[other]
            made[name] = pd.Series(np.where(taken[:, place], own, others).ravel(), dtype=own.dtype)
        found.append(scores(pd.DataFrame(made, copy=False)))
    said = np.concatenate(found)
    return said.reshape(len(frame), len(turns), steps, said.shape[1])
