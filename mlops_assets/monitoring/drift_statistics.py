"""Statistics of drift where Evidently's depend on the unit, or take the reference for the truth.

Shares of levels are compared as two samples are: that a row more or less has a level is chance, whether or not the
reference had it. Evidently's chi-square expects exactly the reference's shares, and never a level that it lacks.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy.typing as npt

    Counts = npt.NDArray[Any]

FEW_ROWS = 1_000
"""As Evidently has it: of a reference of so many rows at most p-values are looked at, of a larger one distances."""

MIN_CHANCE, MAX_DISTANCE = 0.05, 0.1
SMALLEST_DEVIATION = 0.001
"""Evidently divides by no smaller one, whatever the unit."""

_DRAWS = 1_999
_CELLS_AT_ONCE = 1_000_000


def chance(reference: "Counts", current: "Counts") -> float:
    """How often two samples of one distribution differ at least as much: by chi-square, over permutations of the rows.

    Levels that one row of both has count as one level, and a single such row not at all: no row decides alone.

    Args:
        reference: Rows of each level.
        current: The same of the other sample, in the same order.
    """
    import numpy as np

    both = reference + current
    once = both == 1
    others = [[side[once].sum()] if once.sum() > 1 else [] for side in (reference, current)]
    reference, current = (
        np.concatenate([side[both > 1], other]).astype(np.int64)
        for side, other in zip((reference, current), others, strict=True)
    )
    both, rows = reference + current, int(current.sum())
    if len(both) < 2 or not rows:
        return 1.0
    expected = both * (rows / both.sum())
    random, found, left = np.random.default_rng(0), 1, _DRAWS
    differs = (((current - expected) ** 2) / expected).sum() * (1 - 1e-9)
    while left:
        count = min(left, max(_CELLS_AT_ONCE // len(both), 1))
        drawn = random.multivariate_hypergeometric(both, rows, size=count, method="marginals")
        found += int(((((drawn - expected) ** 2) / expected).sum(axis=1) >= differs).sum())
        left -= count
    return found / (_DRAWS + 1)


def distance(reference: "Counts", current: "Counts") -> float:
    """The Jensen-Shannon distance between the shares of levels, with the natural logarithm."""
    from scipy.spatial import distance as distances  # type: ignore[import-untyped]

    return float(distances.jensenshannon(reference / reference.sum(), current / current.sum()))


def shares_differ(reference: "Counts", current: "Counts") -> bool:
    """Whether samples of levels have drifted: further apart than chance makes them, and of many rows by enough."""
    few = reference.sum() <= FEW_ROWS
    return (few or distance(reference, current) >= MAX_DISTANCE) and chance(reference, current) < MIN_CHANCE


def normed_distance(reference: "Counts", current: "Counts") -> float:
    """The Wasserstein distance between numbers by the standard deviation of the reference, in any unit.

    Of a reference that is one number, by that of both.
    """
    import numpy as np
    from scipy.stats import wasserstein_distance  # type: ignore[import-untyped]

    largest = max(np.abs(reference).max(), np.abs(current).max())
    unit = 2.0 ** float(np.frexp(largest)[1] - 1)  # squares of numbers near 1 are numbers; a power of 2 costs no digit
    one, other = reference / unit, current / unit
    return float(wasserstein_distance(one, other) / (np.std(one) or np.std(np.concatenate([one, other]))))
