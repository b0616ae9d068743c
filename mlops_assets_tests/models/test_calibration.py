"""Curves that bring probabilities to what came true, and where there is none."""

import numpy as np  # noqa: TID253
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.models.calibration import Calibration, fit_calibration


def test_probabilities_that_are_too_high_get_a_curve_and_right_ones_none() -> None:
    rng = np.random.default_rng(0)
    predicted = rng.uniform(size=4_000)
    for truth_of, wrong in ((predicted**2, True), (predicted, False)):
        truth = (rng.uniform(size=len(predicted)) < truth_of).astype(float)
        found = fit_calibration("binary", truth, predicted)
        assert bool(found) is wrong
        assert Calibration.from_json(found.as_json()) == found
        assert np.abs(found.of(predicted) - truth_of).mean() < 0.03


def test_a_curve_is_the_isotonic_regression_of_what_came_true() -> None:
    from sklearn.isotonic import IsotonicRegression  # noqa: TID253

    rng = np.random.default_rng(1)
    predicted, asked = rng.uniform(0.1, 0.9, 500), rng.uniform(size=100)
    truth = (rng.uniform(size=500) < predicted**3).astype(float)
    wanted = IsotonicRegression(out_of_bounds="clip").fit(predicted, truth).predict(asked)
    assert np.allclose(fit_calibration("binary", truth, predicted).of(asked), wanted, rtol=0, atol=1e-12)


@given(st.lists(st.tuples(*[st.floats(0, 1)] * 3), min_size=1, max_size=8))
def test_calibrated_probabilities_of_several_classes_sum_to_1(rows: list[tuple[float, float, float]]) -> None:
    curves = (([0.0, 0.5], [0.0, 0.0]), None, ([0.2, 0.8], [0.0, 1.0]))
    found = Calibration(curves).of(np.array(rows))
    assert np.allclose(found.sum(axis=1), 1) and (found >= 0).all()


def test_too_few_of_a_class_or_a_row_without_a_prediction_make_no_curve() -> None:
    predicted = np.linspace(0, 1, 40)
    assert not fit_calibration("binary", np.arange(40) % 5 == 0, predicted)
    assert not fit_calibration("binary", np.arange(40) % 2, np.where(predicted > 0.9, np.nan, predicted))
    assert Calibration.from_json("") == Calibration() == fit_calibration("regression", predicted, predicted)
    assert Calibration().of(predicted) is predicted
