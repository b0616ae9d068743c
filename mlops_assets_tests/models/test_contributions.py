"""What features contribute to a prediction: additive for every task, exact where a model is a sum, and cheap."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np  # noqa: TID253
import pyarrow as pa  # noqa: TID253
import pytest

from mlops_assets.errors import ContractError
from mlops_assets.lakehouse.schema import Column
from mlops_assets.models.contributions import BACKGROUND, MAX_TURNS, background_of, explained, sampled
from mlops_assets.models.fitting import feature_frame, fit
from mlops_assets.models.predicting import scores_of_fit
from mlops_assets.project.definition import ModelDefinition
from mlops_assets.project.tasks import LABEL_TYPES, Task
from mlops_assets_tests.models.judged import CLASSES, of_task, small_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelDefinition:
    return small_model(tmp_path_factory.mktemp("project"))


class Says:
    """An estimator that says what a function makes of a frame, and counts the rows that it was asked for."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function, self.asked = function, list[int]()

    def predict(self, frame: Any) -> Any:
        self.asked.append(len(frame))
        return self.function(frame)


def rows_of(count: int, seed: int = 0) -> pa.Table:
    random = np.random.default_rng(seed)
    return pa.table(
        {
            "level": pa.array([None if one % 11 == 0 else random.normal() for one in range(count)]),
            "crowd": random.integers(0, 5, count).astype(float),
            "region": pa.array([("north", "south", None)[one % 3] for one in range(count)], pa.string()),
        }
    )


def sum_of(frame: Any) -> Any:
    return 2 * frame["level"].fillna(-1.0) - 0.5 * frame["crowd"] + 3.0 * (frame["region"] == "north")


def test_each_feature_of_a_sum_contributes_its_own_term_less_the_mean_term_of_the_background(
    model: ModelDefinition,
) -> None:
    rows, says = rows_of(40), Says(lambda frame: sum_of(frame).to_numpy())
    background = background_of(model, says, rows_of(300, seed=1))
    found, both = explained(model, says, rows, background), (rows.to_pandas(), background.to_pandas())
    terms = {
        "level": lambda frame: 2 * frame["level"].fillna(-1.0),
        "crowd": lambda frame: -0.5 * frame["crowd"],
        "region": lambda frame: 3.0 * (frame["region"] == "north"),
    }
    assert set(found.features) == set(terms) and background.num_rows == BACKGROUND
    for place, name in enumerate(found.features):
        own, others = (terms[name](frame) for frame in both)
        assert found.values[:, place] == pytest.approx((own - others.mean()).to_numpy(), abs=1e-12)
    assert found.base == pytest.approx(np.full(40, sum_of(both[1]).mean()))
    shares = found.importance
    assert list(shares.values()) == sorted(shares.values(), reverse=True) and sum(shares.values()) == pytest.approx(1)


@pytest.mark.parametrize("task", ["regression", "binary", "multiclass"])
def test_contributions_and_base_add_up_to_the_prediction_of_the_librarys_trees_with_categories_and_nulls(
    model: ModelDefinition, task: Task
) -> None:
    rows, random = rows_of(400), np.random.default_rng(5)
    signal = sum_of(rows.to_pandas()).to_numpy() + random.normal(size=400)
    label: Any = signal
    if task == "binary":
        label = signal > 0.0
    if task == "multiclass":
        label = np.array(CLASSES, dtype=object)[np.digitize(signal, [-1.0, 1.5])]
    name = "hist_gradient_boosting_regressor" if task == "regression" else "hist_gradient_boosting_classifier"
    asked = of_task(model, task)
    asked = replace(
        asked,
        label=replace(asked.label, column="growth", type=LABEL_TYPES[task]),
        template=replace(asked.template, name=name, version=1, params={}, seed=3),
    )
    trained = fit(asked, rows.append_column("growth", pa.array(label)))
    background = background_of(asked, trained, rows)
    found = explained(asked, trained, rows.slice(0, 60), background)
    assert np.abs(found.values.sum(axis=1) + found.base - found.predicted).max() < 1e-9
    said, base = (scores_of_fit(asked, trained, feature_frame(asked, part)) for part in (rows.slice(0, 60), background))
    mean = base.mean(axis=0)
    if task == "multiclass":
        said, mean = said.max(axis=1), mean[said.argmax(axis=1)]
    assert (found.predicted == said).all() and found.base == pytest.approx(np.broadcast_to(mean, 60))
    again = explained(asked, trained, rows.slice(0, 60), background)
    assert (again.values == found.values).all()


def test_many_features_share_turns_so_that_a_row_costs_no_more_predictions_and_still_add_up(
    model: ModelDefinition,
) -> None:
    names = [f"x{number:03}" for number in range(3 * MAX_TURNS + 5)]
    columns = tuple(Column(name, "double", "A number", "number") for name in names)
    wide = replace(model, features=columns, lookups=(), request=(), computed=())
    rows = pa.table({name: np.random.default_rng(place).normal(size=30) for place, name in enumerate(names)})
    says = Says(lambda frame: np.sin(frame.to_numpy()).sum(axis=1) + 9 * frame["x000"].to_numpy())
    background = background_of(wide, says, rows)
    says.asked.clear()
    found = explained(wide, says, rows, background)
    assert sum(says.asked) <= 30 * BACKGROUND * (MAX_TURNS + 1) + 64
    assert np.abs(found.values.sum(axis=1) + found.base - found.predicted).max() < 1e-9
    assert next(iter(found.importance)) == "x000"


def test_what_is_explained_is_drawn_once_from_the_same_rows_and_few_rows_are_all_there_are(
    model: ModelDefinition,
) -> None:
    rows = rows_of(200)
    assert sampled(model, rows, 50) == sampled(model, rows, 50) and sampled(model, rows, 50).num_rows == 50
    assert sampled(model, rows, 200) is rows
    other = replace(model, template=replace(model.template, seed=model.template.seed + 1))
    assert sampled(other, rows, 50) != sampled(model, rows, 50)


def test_a_prediction_that_is_no_number_has_no_contributions_and_one_row_may_be_all_of_the_background(
    model: ModelDefinition,
) -> None:
    rows = rows_of(3)
    nothing = Says(lambda frame: np.full(len(frame), np.nan))
    found = explained(model, nothing, rows, background_of(model, nothing, rows.slice(1, 1)))
    assert np.isnan(found.values).all() and set(found.importance.values()) == {0.0}
    assert explained(model, nothing, rows.slice(0, 0), rows).importance == {}


def test_an_estimator_that_refuses_mixed_rows_is_named(model: ModelDefinition) -> None:
    def refuse(frame: Any) -> Any:
        raise ValueError("such rows are not known")

    with pytest.raises(ContractError) as caught:
        explained(model, Says(refuse), rows_of(3), rows_of(2), "version 7")
    assert caught.value.found == "version 7 of 'forecast' does not predict (ValueError: such rows are not known)"
