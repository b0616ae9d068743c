"""The search for a template's parameters: trials on folds in the order of time, within a budget.

The budget of minutes bounds work on this machine and is no rule of the platform, so it goes by a clock of its own.
"""

import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlops_assets.models.fitting import feature_frame, fit
from mlops_assets.models.folds import expanding_folds
from mlops_assets.models.metrics import measure
from mlops_assets.models.predicting import scores_of_fit, truth_of
from mlops_assets.project.definition import ModelDefinition
from mlops_assets.project.model_attributes import Range, Search

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Trial:
    """One set of parameters, and how it did.

    Args:
        number: Counts from 1.
        params: The template's parameters.
        error: Mean over the folds, by the model's metric.
    """

    number: int
    params: Mapping[str, Any]
    error: float


@dataclass(frozen=True)
class Chosen:
    """The parameters that a model is fitted with, and the trials that chose them; none without a search."""

    params: Mapping[str, Any]
    trials: tuple[Trial, ...] = field(default=())


def choose_parameters(
    model: ModelDefinition,
    rows: "pa.Table",
    report: Callable[[Trial, str], None] = lambda trial, words: None,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> Chosen:
    """Choose the parameters of a model's fits, by a search if it declares one.

    The parameters as declared are the first trial; another is chosen only if it did better. Of equal trials the
    earliest is chosen.

    Args:
        model: The model.
        rows: What its judged fit is fitted on, and nothing later.
        report: Told of each trial, with the progress in words.
        clock: Seconds that go by, for the budget of minutes.

    Raises:
        ContractError: There are too few periods for the folds, or a fit fails.
    """
    search = model.fitting.search
    declared = dict(model.template.params)
    if search is None:
        return Chosen(declared)
    folds = list(expanding_folds(model, rows, search.folds))
    asked = list(itertools.islice(_trials(search, declared, model.template.seed), search.trials))
    started, trials = clock(), list[Trial]()
    for number, params in enumerate(asked, start=1):
        if trials and search.minutes is not None and clock() - started >= search.minutes * 60:
            break
        trials.append(Trial(number, params, sum(_error(model, *fold, params) for fold in folds) / len(folds)))
        best = min(trial.error for trial in trials)
        words = f"trial {number} of {len(asked)}: {model.metric} {trials[-1].error:.4f}, best {best:.4f}"
        report(trials[-1], words)
    return Chosen(min(trials, key=lambda trial: trial.error).params, tuple(trials))


def _error(model: ModelDefinition, fitted: "pa.Table", judged: "pa.Table", params: Mapping[str, Any]) -> float:
    scores = scores_of_fit(model, fit(model, fitted, params), feature_frame(model, judged))
    return measure(model.task, truth_of(model, judged), scores).of(model.metric)


def _trials(search: Search, declared: Mapping[str, Any], seed: int) -> Iterator[dict[str, Any]]:
    """What is declared, then all combinations in random order, or random draws; each once."""
    import numpy as np

    random = np.random.default_rng(seed)
    seen = [dict(declared)]
    yield seen[0]
    lists = [values for values in search.params.values() if not isinstance(values, Range)]
    if search.strategy == "grid":
        combinations = list(itertools.product(*lists))
        drawn = (
            dict(zip(search.params, combinations[place], strict=True))
            for place in random.permutation(len(combinations))
        )
    else:
        # A space of few combinations is used up at some time: so many draws without a new one are enough.
        drawn = (
            {name: _draw(values, random) for name, values in search.params.items()} for _ in range(search.trials * 20)
        )
    for params in drawn:
        merged = {**declared, **params}
        if merged not in seen:
            seen.append(merged)
            yield merged


def _draw(values: tuple[object, ...] | Range, random: Any) -> Any:
    import math

    if not isinstance(values, Range):
        return values[int(random.integers(len(values)))]
    whole = isinstance(values.low, int) and isinstance(values.high, int)
    if values.log:
        drawn = math.exp(random.uniform(math.log(values.low), math.log(values.high)))
        return min(max(round(drawn), values.low), values.high) if whole else drawn
    return (
        int(random.integers(values.low, values.high + 1)) if whole else float(random.uniform(values.low, values.high))
    )
