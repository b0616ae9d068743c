"""What a fit costs where it serves: the time of one prediction."""

import time
from collections.abc import Callable
from statistics import median
from typing import TYPE_CHECKING, Any

from mlops_assets.models.predicting import scores_by_threads_there_are
from mlops_assets.project.definition import ModelDefinition

if TYPE_CHECKING:
    import pandas as pd

UNTIMED, TIMED = 5, 31
"""So many predictions are made before any is timed, and so many are."""


def seconds_for_one_row(
    model: ModelDefinition, fit: Any, frame: "pd.DataFrame", timer: Callable[[], float] = time.perf_counter
) -> float:
    """The median time of predicting one row, in seconds, with the threads that the model declares.

    Args:
        model: The model.
        fit: Its fit.
        frame: Features of at least one row; its rows take turns.
        timer: A clock in seconds, of which only differences count.
    """
    from threadpoolctl import threadpool_limits

    taken = []
    with threadpool_limits(limits=model.threads):
        for number in range(UNTIMED + TIMED):
            row = frame.iloc[[number % len(frame)]]
            begun = timer()
            scores_by_threads_there_are(model, fit, row)
            taken.append(timer() - begun)
    return median(taken[UNTIMED:])
