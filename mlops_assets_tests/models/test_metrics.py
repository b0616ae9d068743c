"""Metrics: each equals scikit-learn's or its definition, weighted or not, and is left out where it has no meaning."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np  # noqa: TID253
import pytest
import sklearn.metrics as reference  # noqa: TID253
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.errors import ContractError
from mlops_assets.models.metrics import (
    CALIBRATION_BINS,
    confidence,
    equal_count_bins,
    measure,
    measure_each,
    predicted_classes,
)
from mlops_assets.project.tasks import Task, metrics_of

CLASSES = ["a", "b", "c"]
NUMBERS = st.floats(-100, 100).map(lambda number: round(number, 2))
PROBABILITIES = st.integers(0, 20).map(lambda number: number / 20)  # with ties
WEIGHTS = st.integers(0, 4).map(float)


def rows_of(*columns: st.SearchStrategy[Any]) -> st.SearchStrategy[list[tuple[Any, ...]]]:
    return st.lists(st.tuples(*columns), min_size=2, max_size=40).filter(lambda rows: sum(row[-1] for row in rows) > 0)


def quiet(metric: Callable[..., Any], *given: Any, **named: Any) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(metric(*given, **named))


def held_equal(task: Task, truth: Any, scores: Any, weights: Any, expected: dict[str, Callable[..., float]]) -> None:
    for given_weights in (None, weights):
        measured = measure(task, truth, scores, given_weights)
        assert measured.rows == len(truth)
        for name, metric in expected.items():
            if name in measured.values:
                assert measured.of(name) == pytest.approx(metric(sample_weight=given_weights), rel=1e-9, abs=1e-9), name


@given(rows_of(NUMBERS, NUMBERS, WEIGHTS))
def test_metrics_of_numbers_are_those_of_scikit_learn(rows: list[tuple[float, float, float]]) -> None:
    truth, scores, weights = map(np.array, zip(*rows, strict=True))
    held_equal(
        "regression",
        truth,
        scores,
        weights,
        {
            "mae": lambda **w: quiet(reference.mean_absolute_error, truth, scores, **w),
            "rmse": lambda **w: quiet(reference.root_mean_squared_error, truth, scores, **w),
            "median_absolute_error": lambda **w: quiet(reference.median_absolute_error, truth, scores, **w),
            "bias": lambda sample_weight: float(np.average(scores - truth, weights=sample_weight)),
            "r2": lambda **w: quiet(reference.r2_score, truth, scores, **w),
        },
    )
    assert {"mae", "rmse", "median_absolute_error", "bias"} <= set(measure("regression", truth, scores).values)


@given(rows_of(st.booleans().map(float), PROBABILITIES, WEIGHTS))
def test_metrics_of_probabilities_are_those_of_scikit_learn(rows: list[tuple[float, float, float]]) -> None:
    truth, scores, weights = map(np.array, zip(*rows, strict=True))
    held_equal(
        "binary",
        truth,
        scores,
        weights,
        {
            "log_loss": lambda **w: quiet(reference.log_loss, truth, scores, labels=[0, 1], **w),
            "brier": lambda **w: quiet(reference.brier_score_loss, truth, scores, pos_label=1, labels=[0, 1], **w),
            "roc_auc": lambda **w: quiet(reference.roc_auc_score, truth, scores, **w),
            "average_precision": lambda **w: quiet(reference.average_precision_score, truth, scores, **w),
            "accuracy": lambda **w: quiet(reference.accuracy_score, truth, scores > 0.5, **w),
        },
    )
    measured = measure("binary", truth, scores).values
    assert ("roc_auc" in measured) is bool(0 < truth.sum() < len(truth))
    assert ("average_precision" in measured) is bool(truth.sum())
    assert {"log_loss", "brier", "accuracy", "calibration_error"} <= set(measured)


@given(rows_of(st.integers(0, 2), *[st.integers(1, 9)] * 3, WEIGHTS))
def test_metrics_of_classes_are_those_of_scikit_learn(rows: list[tuple[int, int, int, int, float]]) -> None:
    truth, *parts, weights = map(np.array, zip(*rows, strict=True))
    scores = np.stack(parts, axis=1) / np.sum(parts, axis=0)[:, None]
    chosen = scores.argmax(axis=1)
    labels = [0, 1, 2]
    held_equal(
        "multiclass",
        truth,
        scores,
        weights,
        {
            "log_loss": lambda **w: quiet(reference.log_loss, truth, scores, labels=labels, **w),
            "brier": lambda **w: quiet(reference.brier_score_loss, truth, scores, labels=labels, **w),
            "accuracy": lambda **w: quiet(reference.accuracy_score, truth, chosen, **w),
        },
    )
    kept = weights > 0  # a class without weight does not occur
    for given_weights, on in ((None, slice(None)), (weights, kept)):
        expected = quiet(
            reference.f1_score,
            truth[on],
            chosen[on],
            average="macro",
            sample_weight=None if given_weights is None else weights[on],
        )
        assert measure("multiclass", truth, scores, given_weights).of("macro_f1") == pytest.approx(expected)
    assert set(measure("multiclass", truth, scores).values) == {
        "log_loss", "brier", "accuracy", "macro_f1", "calibration_error",
    }  # fmt: skip


@pytest.mark.parametrize("task", ["regression", "binary", "multiclass"])
@given(seed=st.integers(0, 10**6))
def test_weights_are_rows_that_are_there_so_many_times(task: Task, seed: int) -> None:
    drawn = np.random.default_rng(seed)
    scores = {
        "regression": drawn.normal(size=30),
        "binary": drawn.random(30).round(1),
        "multiclass": drawn.dirichlet([1, 1, 1], 30),
    }[task]
    truth = drawn.normal(size=30) if task == "regression" else drawn.integers(0, 2 + (task == "multiclass"), 30)
    weights = np.append(drawn.integers(0, 4, 29), 1)
    often = np.repeat(np.arange(30), weights)
    weighted, repeated = measure(task, truth, scores, weights).values, measure(task, truth[often], scores[often]).values
    assert set(weighted) == set(repeated)
    for name in set(weighted) - {"calibration_error"}:  # whose bins are those of the rows, whatever their weights
        assert weighted[name] == pytest.approx(repeated[name], abs=1e-9), name


@pytest.mark.parametrize(
    ("task", "truth", "scores"),
    [
        ("regression", [1.0, 2.0], [1.0, 3.0]),
        ("binary", [0, 1], [0.2, 0.4]),
        ("multiclass", [0, 1], [[0.5, 0.5], [0.2, 0.8]]),
    ],
)
def test_what_is_measured_is_what_the_task_is_judged_by(task: Task, truth: list[float], scores: Any) -> None:
    assert set(measure(task, truth, scores).values) == {metric.name for metric in metrics_of(task)}


def test_each_column_of_weights_gives_what_it_gives_alone() -> None:
    drawn = np.random.default_rng(1)
    truth, scores, weights = drawn.integers(0, 2, 50), drawn.random(50), drawn.integers(0, 3, (50, 7)).astype(float)
    together = measure_each("binary", truth, scores, weights)
    for column in range(7):
        alone = measure("binary", truth, scores, weights[:, column])
        assert {name: values[column] for name, values in together.items()} == pytest.approx(dict(alone.values))


@pytest.mark.parametrize("rows", [127, 128, 129, 1000])
def test_medians_of_many_rows_are_those_of_rows_that_are_there_so_many_times(rows: int) -> None:
    rng = np.random.default_rng(rows)
    weights = rng.integers(0, 3, (rows, 30)).astype(float)
    weights[:, 0], weights[:, 1], weights[:, 2] = 1, 0, 0
    weights[-1, 2] = 1  # all of the weight on one row
    errors = rng.normal(size=rows)
    found = measure_each("regression", np.zeros(rows), errors, weights)["median_absolute_error"]
    repeated = [np.repeat(abs(errors), column.astype(int)) for column in weights.T]
    assert np.isnan(found[1]) and repeated[1].size == 0
    assert found.tolist()[2:] == [np.median(values) for values in repeated[2:]]
    assert found[0] == np.median(repeated[0])


def test_only_the_metrics_that_are_asked_for_are_measured() -> None:
    truth, scores, weights = np.array([0, 1, 1, 0]), np.array([0.2, 0.7, 0.4, 0.6]), np.ones((4, 1))
    everything = measure_each("binary", truth, scores, weights)
    for name, values in everything.items():
        assert measure_each("binary", truth, scores, weights, {name}) == {name: values}
    assert len(everything) == len(metrics_of("binary"))


def test_calibration_error_is_the_mean_distance_of_claim_and_truth_in_bins_of_equal_counts() -> None:
    scores = np.repeat([0.1, 0.3, 0.8], [10, 20, 10])
    truth = np.concatenate([np.repeat([1, 0], [2, 8]), np.repeat([1, 0], [6, 14]), np.repeat([1, 0], [5, 5])])
    expected = (10 * abs(0.2 - 0.1) + 20 * abs(0.3 - 0.3) + 10 * abs(0.5 - 0.8)) / 40
    assert measure("binary", truth, scores).of("calibration_error") == pytest.approx(expected)
    claimed, came_true = confidence("multiclass", [0, 1, 1], [[0.5, 0.3, 0.2], [0.6, 0.3, 0.1], [0.1, 0.8, 0.1]])
    assert (claimed.tolist(), came_true.tolist()) == ([0.5, 0.6, 0.8], [1.0, 0.0, 1.0])


@given(st.lists(st.integers(-5, 5).map(float) | NUMBERS, min_size=1, max_size=60))
def test_bins_keep_equal_values_together_and_the_order_of_values(values: list[float]) -> None:
    bins = equal_count_bins(values)
    assert sorted(set(bins)) == list(range(max(bins) + 1)) and max(bins) < CALIBRATION_BINS
    for one, its_bin in zip(values, bins, strict=True):
        for other, other_bin in zip(values, bins, strict=True):
            assert (
                its_bin == other_bin
                if one == other
                else (its_bin <= other_bin) == (one < other or its_bin == other_bin)
            )


def test_bins_of_distinct_values_hold_equal_counts() -> None:
    assert np.bincount(equal_count_bins(np.arange(200.0))).tolist() == [20] * 10


@pytest.mark.parametrize(
    ("task", "truth", "scores", "absent"),
    [
        ("binary", [1, 1], [0.2, 0.9], {"roc_auc"}),
        ("binary", [0, 0], [0.2, 0.9], {"roc_auc", "average_precision"}),
        ("regression", [3.0, 3.0], [1.0, 2.0], {"r2"}),
        ("regression", [3.0], [1.0], {"r2"}),
        ("multiclass", [0, 0], [[0.6, 0.3, 0.1], [0.2, 0.7, 0.1]], set()),
    ],
)
def test_a_metric_that_the_rows_do_not_define_is_left_out(
    task: Task, truth: list[float], scores: Any, absent: set[str]
) -> None:
    varied: dict[Task, list[float]] = {"regression": [1.0, 2.0], "binary": [0, 1], "multiclass": [0, 1]}
    usual = measure(task, varied[task], scores if len(truth) == 2 else [1.0, 2.0])
    assert set(usual.values) - set(measure(task, truth, scores).values) == absent


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nothing_is_measured_where_a_prediction_or_a_truth_is_missing(bad: float) -> None:
    assert measure("regression", [1.0, 2.0], [1.0, bad]).values == {}
    assert measure("regression", [1.0, bad], [1.0, 2.0]).values == {}
    with pytest.raises(ContractError) as caught:
        measure("regression", [1.0, 2.0], [1.0, bad]).of("mae")
    assert caught.value.found == "no mae on 2 rows"


def test_nothing_to_compare_is_refused() -> None:
    with pytest.raises(ContractError) as caught:
        measure("regression", [], [])
    assert caught.value.found == "no rows to compare"


def test_a_class_is_predicted_above_one_half_or_where_it_is_the_first_of_the_max_probable() -> None:
    assert predicted_classes("binary", [0.4, 0.5, 0.51]).tolist() == [0, 0, 1]
    assert predicted_classes("multiclass", [[0.4, 0.4, 0.2], [0.1, 0.2, 0.7]]).tolist() == [0, 2]
