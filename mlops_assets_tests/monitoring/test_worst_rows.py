"""How far single predictions are off."""

import math

from mlops_assets.monitoring.worst_rows import losses_of_rows


def test_a_number_is_off_by_its_distance_and_a_class_by_how_little_it_was_expected() -> None:
    assert losses_of_rows("regression", [1.0, -2.0], [3.0, -2.0]).tolist() == [2.0, 0.0]
    assert losses_of_rows("binary", [1.0, 0.0], [0.25, 0.25]).tolist() == [-math.log(0.25), -math.log(0.75)]
    several = losses_of_rows("multiclass", [2, 0], [[0.1, 0.4, 0.5], [0.8, 0.1, 0.1]])
    assert several.tolist() == [-math.log(0.5), -math.log(0.8)]


def test_what_was_ruled_out_and_came_true_is_finite_and_the_worst() -> None:
    ruled_out, unlikely = losses_of_rows("binary", [1.0, 1.0], [0.0, 1e-9])
    assert math.isfinite(ruled_out) and ruled_out > unlikely
