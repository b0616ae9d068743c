"""Scores of a fit, the columns that they are kept in, and the baseline, for every kind of prediction."""

from dataclasses import replace
from typing import Any

import numpy as np  # noqa: TID253
import pyarrow as pa  # noqa: TID253
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.models.baseline import Baseline, baseline_scores, fit_baseline
from mlops_assets.models.predicting import (
    baseline_arrays,
    prediction_arrays,
    scores_of_fit,
    stored_baseline,
    stored_scores,
    truth_of,
)
from mlops_assets.project.definition import ModelDefinition
from mlops_assets.project.model_attributes import IntervalChoice
from mlops_assets.project.tasks import LABEL_TYPES, Task
from mlops_assets_tests.project.small_project import SmallProject

CLASSES = ("down", "level", "up")


@pytest.fixture(scope="module")
def regression(tmp_path_factory: pytest.TempPathFactory) -> ModelDefinition:
    return SmallProject(tmp_path_factory.mktemp("project")).load().models["forecast"]


def of_task(model: ModelDefinition, task: Task, baseline: str | None = "level") -> ModelDefinition:
    classes = CLASSES if task == "multiclass" else ()
    label = replace(model.label, type=LABEL_TYPES[task], classes=classes, column="label")
    return replace(model, task=task, label=label, baseline=baseline)


class Fit:
    """An estimator that says what it is told; its classes are those that it saw."""

    def __init__(self, classes: list[Any], probabilities: list[list[float]]) -> None:
        self.classes_ = np.array(classes, dtype=object)
        self._probabilities = probabilities

    def predict_proba(self, frame: Any) -> Any:
        return np.array(self._probabilities)


def frame(rows: int) -> Any:
    return pa.table({"level": [0.0] * rows}).to_pandas()


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=5))
def test_scores_come_back_from_the_columns_that_they_are_kept_in(
    regression: ModelDefinition, numbers: list[tuple[float, float, float]]
) -> None:
    table = np.array(numbers)
    for task in ("regression", "binary", "multiclass"):
        model = of_task(regression, task)
        scores = table if task == "multiclass" else table[:, 0]
        kept = pa.table({**prediction_arrays(model, scores), **baseline_arrays(model, scores)})
        names = [column.name for column in (*model.prediction_columns, *model.baseline_columns)]
        assert kept.column_names == names
        assert np.array_equal(stored_scores(model, kept), scores)
        assert np.array_equal(stored_baseline(model, kept), scores)


def test_a_class_that_was_never_seen_in_training_has_no_probability(regression: ModelDefinition) -> None:
    several = of_task(regression, "multiclass")
    scores = scores_of_fit(several, Fit(["up", "down"], [[0.7, 0.3]]), frame(1))
    assert scores.tolist() == [[0.3, 0.0, 0.7]]
    assert prediction_arrays(several, scores)["prediction"].to_pylist() == ["up"]
    binary = of_task(regression, "binary")
    assert scores_of_fit(binary, Fit([False], [[1.0]]), frame(1)).tolist() == [0.0]
    assert scores_of_fit(binary, Fit([True], [[1.0]]), frame(1)).tolist() == [1.0]


def test_what_is_not_finite_is_no_prediction(regression: ModelDefinition) -> None:
    scores = np.array([[0.2, 0.7, 0.1], [np.nan, 0.5, 0.5], [np.inf, 0.0, 0.0]])
    for task in ("regression", "binary", "multiclass"):
        model = of_task(regression, task)
        made = prediction_arrays(model, scores if task == "multiclass" else scores[:, 0])
        for name, values in made.items():
            assert (name, [value is None for value in values.to_pylist()]) == (name, [False, True, True])
        assert np.isnan(stored_scores(model, pa.table(dict(made)))[1:]).all()


def test_the_ends_of_an_interval_are_as_far_from_the_prediction_as_the_version_says(
    regression: ModelDefinition,
) -> None:
    model = replace(regression, intervals=IntervalChoice(0.8))
    scores = np.array([1.5, np.nan, -2.0])
    made = {name: values.to_pylist() for name, values in prediction_arrays(model, scores, 0.25).items()}
    assert made == {"prediction": [1.5, None, -2.0], "lower": [1.25, None, -2.25], "upper": [1.75, None, -1.75]}
    without = prediction_arrays(model, scores)
    assert [without[name].null_count for name in ("prediction", "lower", "upper")] == [1, 3, 3]
    assert list(prediction_arrays(regression, scores, 0.25)) == ["prediction"]


def test_no_rows_have_no_scores(regression: ModelDefinition) -> None:
    assert scores_of_fit(regression, None, frame(0)).shape == (0,)
    several = of_task(regression, "multiclass")
    assert scores_of_fit(several, None, frame(0)).shape == (0, 3)
    assert prediction_arrays(several, scores_of_fit(several, None, frame(0)))["prediction"].to_pylist() == []


def test_a_binary_prediction_is_what_is_likelier(regression: ModelDefinition) -> None:
    kept = prediction_arrays(of_task(regression, "binary"), np.array([0.49, 0.5, 0.51]))
    assert kept["prediction"].to_pylist() == [False, False, True]
    assert kept["probability"].to_pylist() == [0.49, 0.5, 0.51]


def test_the_truth_is_a_number_or_the_place_of_the_class(regression: ModelDefinition) -> None:
    assert truth_of(of_task(regression, "binary"), pa.table({"label": [True, False]})).tolist() == [1.0, 0.0]
    assert truth_of(of_task(regression, "multiclass"), pa.table({"label": ["up", "down"]})).tolist() == [2, 0]
    assert truth_of(of_task(regression, "regression"), pa.table({"label": [0.5, 2.0]})).tolist() == [0.5, 2.0]


def test_the_baseline_of_a_regression_is_a_feature_and_0_where_it_is_missing(regression: ModelDefinition) -> None:
    rows = pa.table({"level": pa.array([1.5, None], pa.float64())})
    assert fit_baseline(regression, rows) == Baseline()
    assert baseline_scores(regression, Baseline(), rows).tolist() == [1.5, 0.0]


def test_the_baseline_of_a_classification_is_the_share_by_level_and_over_all_where_there_is_none(
    regression: ModelDefinition,
) -> None:
    model = of_task(regression, "binary", "fell")
    rows = pa.table({"fell": [True, True, True, False, None], "label": [True, True, False, False, False]})
    baseline = fit_baseline(model, rows)
    assert Baseline.from_json(baseline.as_json()) == baseline
    asked = pa.table({"fell": pa.array([True, False, None], pa.bool_())})
    assert baseline_scores(model, baseline, asked) == pytest.approx([(2 + 0.4) / 4, 0.4 / 2, 0.4])


def test_the_prior_is_the_share_of_each_class_and_looks_at_no_feature(regression: ModelDefinition) -> None:
    model = of_task(regression, "multiclass", None)
    baseline = fit_baseline(model, pa.table({"label": ["up", "up", "down", "level"]}))
    assert baseline_scores(model, baseline, pa.table({"any": [1, 2]})).tolist() == [[0.25, 0.25, 0.5]] * 2
