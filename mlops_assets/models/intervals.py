"""Intervals around numbers that are predicted, by split conformal prediction.

A judged fit has not seen the rows that it is judged on. How far it was off on them is how far a fit of its kind is off
on rows like them, so a prediction give or take a quantile of these distances holds the truth as often as is wanted, of
whatever form the errors are (Lei, G'Sell, Rinaldo, Tibshirani and Wasserman, Distribution-Free Predictive Inference for
Regression, Journal of the American Statistical Association 113, 2018, section 2.2). The fit that serves was fitted on
these rows, too, and gets the width of the judged one.

It is promised of rows that come as those judged did. Under drift nothing is: the performance of each period tells which
share of the truths its intervals held.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from mlops_assets.project.gates import in_percent

if TYPE_CHECKING:
    import numpy.typing as npt

COVERAGE, HALF_WIDTH = "interval_coverage", "interval_half_width"
"""Of a training's figures, what its intervals are to cover, and how far they reach to each side."""


def half_width(truth: "npt.ArrayLike", predicted: "npt.ArrayLike", coverage: float) -> float | None:
    """How far an interval reaches to each side of a prediction, in the label's unit.

    Args:
        truth: What came true of rows that the fit had not seen.
        predicted: What it said of them.
        coverage: Share of the truths that are to lie in their interval.

    Returns:
        The quantile of the distances (`conformal_quantile`); None where they are too few, so that no finite interval is
        wide enough, or where nothing was predicted of a row.

    Example:
        >>> half_width([0.0, 0.0, 0.0, 0.0], [1.0, -2.0, 3.0, -4.0], 0.8)
        4.0
        >>> half_width([0.0, 0.0, 0.0], [1.0, -2.0, 3.0], 0.8) is None
        True
    """
    import numpy as np

    return conformal_quantile(np.abs(np.asarray(predicted, float) - np.asarray(truth, float)), coverage)


def conformal_quantile(values: "npt.ArrayLike", coverage: float) -> float | None:
    """What a further value does not exceed in so many cases, if all come in any order alike.

    Returns:
        Of n values in order, that in place ceil((n + 1) · coverage); None where there are fewer, or one is not finite.
    """
    import numpy as np

    found = np.sort(np.asarray(values, float))
    place = math.ceil(round((len(found) + 1) * coverage, 9))  # 100 · 0.55 is 55.00000000000001
    return None if place > len(found) or not np.isfinite(found).all() else float(found[place - 1])


def interval_figures(coverage: float | None, truth: "npt.ArrayLike", predicted: "npt.ArrayLike") -> Mapping[str, float]:
    """What a training records of its intervals; nothing where none were asked for, or could be made."""
    reach = None if coverage is None else half_width(truth, predicted, coverage)
    return {} if coverage is None or reach is None else {COVERAGE: coverage, HALF_WIDTH: reach}


def interval_words(figures: Mapping[str, float]) -> str:
    """What the intervals of a version are, by the figures of its training."""
    if HALF_WIDTH not in figures:
        return "intervals: none, as it was trained before they were declared, or judged on too few rows"
    return f"intervals: prediction ± {figures[HALF_WIDTH]:.4g}, to hold the truth in {in_percent(figures[COVERAGE])}"


def realized_intervals(
    figures: Mapping[str, float], truth: "npt.ArrayLike", predicted: "npt.ArrayLike"
) -> Mapping[str, float]:
    """How the intervals of a version turned out.

    Args:
        figures: Those of its training.
        truth: What came true of at least one row.
        predicted: What the version said of it.

    Returns:
        ``coverage``, the share of truths in their interval, and ``interval_width`` in the label's unit; nothing where
        the version has no intervals.
    """
    import numpy as np

    if HALF_WIDTH not in figures:
        return {}
    said, reach = np.asarray(predicted, float), figures[HALF_WIDTH]
    held = (said - reach <= np.asarray(truth, float)) & (np.asarray(truth, float) <= said + reach)
    return {"coverage": float(held.mean()), "interval_width": 2 * reach}
