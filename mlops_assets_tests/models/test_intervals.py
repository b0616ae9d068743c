"""Intervals around predicted numbers: how far they reach, and how often they hold the truth."""

import math

import numpy as np  # noqa: TID253
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.models.intervals import half_width, interval_figures, interval_words, realized_intervals

COVERAGES = st.sampled_from([0.05, 0.1, 0.5, 0.55, 0.8, 0.9, 0.95, 0.99])


@given(st.lists(st.floats(-100, 100), max_size=60), COVERAGES)
def test_an_interval_reaches_as_far_as_the_distance_that_just_enough_others_do_not_exceed(
    errors: list[float], coverage: float
) -> None:
    reach = half_width(np.zeros(len(errors)), np.array(errors), coverage)
    least = (len(errors) + 1) * coverage - 1e-9
    enough = [abs(error) for error in errors if sum(abs(other) <= abs(error) for other in errors) >= least]
    assert reach == min(enough, default=None)


def test_it_holds_the_truth_as_often_as_it_says_whatever_the_errors_look_like() -> None:
    rng, held = np.random.default_rng(0), []
    for _ in range(2_000):
        errors = rng.standard_t(2, 30)
        reach = half_width(errors[:29], np.zeros(29), 0.8)
        assert reach is not None
        held.append(abs(errors[29]) <= reach)
    # In exactly 24 of 30 cases, with the 29 that were judged and the new one in any order.
    assert abs(np.mean(held) - 0.8) < 3 * math.sqrt(0.8 * 0.2 / len(held))


def test_too_few_rows_or_one_that_nothing_was_predicted_of_make_no_interval() -> None:
    assert half_width(np.zeros(98), np.ones(98), 0.99) is None
    assert half_width(np.zeros(99), np.ones(99), 0.99) == 1.0
    assert half_width(np.zeros(9), np.array([*range(8), math.nan]), 0.5) is None
    assert interval_figures(None, np.zeros(9), np.ones(9)) == {} == interval_figures(0.99, np.zeros(9), np.ones(9))


def test_the_share_of_truths_that_an_interval_held_is_counted_with_its_ends() -> None:
    figures = interval_figures(0.75, [0.0, 0.0, 0.0, 0.0], [1.0, -2.0, 3.0, 4.0])
    assert figures == {"interval_coverage": 0.75, "interval_half_width": 4.0}
    realized = realized_intervals(figures, [0.0, 0.0, 0.0, 0.0], [4.0, -4.0, 4.1, 0.0])
    assert realized == {"coverage": 0.75, "interval_width": 8.0}
    assert realized_intervals({}, [0.0], [1.0]) == {}
    assert interval_words(figures) == "intervals: prediction ± 4, to hold the truth in 75%"
    assert interval_words({}).startswith("intervals: none, ")


@pytest.mark.parametrize("coverage", [0.5, 0.9])
def test_more_coverage_is_never_narrower(coverage: float) -> None:
    errors = np.random.default_rng(1).normal(size=200)
    narrow, wide = (half_width(errors, np.zeros(200), share) for share in (coverage, coverage + 0.05))
    assert narrow is not None and wide is not None and narrow <= wide
