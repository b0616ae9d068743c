"""Templates take what data brings (nulls, unseen levels, empty features), repeat exactly, and name their faults."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.errors import DefinitionError
from mlops_assets.models.content import estimator_hash
from mlops_assets.templates import TEMPLATES, Template, build_estimator, columns, find_template, recipes
from mlops_assets.templates import template as template_module

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

CASES = [(template, task) for template in TEMPLATES for task in template.tasks]
cases = pytest.mark.parametrize(
    ("template", "task"), CASES, ids=[f"{template.name}-{template.version}-{task}" for template, task in CASES]
)
each = pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: f"{template.name}-{template.version}")

RECORDED = {
    ("hist_gradient_boosting_regressor", 1): "6a441878d72e528b27aac03551f1f8fa017f7860b44aa88ee5cfc97fcb01517d",
    ("hist_gradient_boosting_regressor", 2): "9d42fa5bd1b43add83fc0536d5842ea21f3e2c6ef14d7902be73aad686c33458",
    ("hist_gradient_boosting_classifier", 1): "f17e4ea7f9d193abdb03aea7a039df9566a2591ed0fe3524b3d90519860672ec",
    ("random_forest_regressor", 1): "787456d62aed3e91664fc7294ccf44d75b2a4e0063495e066af7727066af5bf9",
    ("random_forest_classifier", 1): "adbe94ecba1429f17dec74bc2235f8ad4b7e2733af743a43ce1d7fb9bcb4c9b8",
    ("ridge_regressor", 1): "89c640593c03e7af5a537f91db9c32cdfe4bc4aaa864650866b44102999b0ccb",
    ("logistic_regression", 1): "89311b3f754e122f060f706d237ea4a8ee833b9b0e9dfcbf893b44a6aced6fc1",
    ("seasonal_naive_regressor", 1): "9148f5373534bc623f21a8f87997c0047b19cea5928e883c9d410ea6405addf7",
    ("seasonal_naive_classifier", 1): "b8adcc8ae960be2ce5f95e74eec4efa344f23ca60ef80ec3f4ef21ec413c5a1d",
    ("prior_classifier", 1): "77d7028d45990ee2569104d0d64d7b8b5f7cc9d54b196fbfa99038c7fbf08f39",
}
"""The recipe of each version that was given out: a recipe that changes is a new version beside the old one."""


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """As a fit has it: threads that wait for each other spin."""
    import sklearn.ensemble  # noqa: F401, TID253  # only what was imported is limited
    from threadpoolctl import threadpool_limits  # noqa: TID253

    with threadpool_limits(limits=1):
        yield


def frame(rows: int = 120) -> "pd.DataFrame":
    """Categories of text and of booleans and a number, all with nulls, and a number without."""
    import pandas as pd

    numbers = [float(row % 17) for row in range(rows)]
    return pd.DataFrame(
        {
            "region": ["north" if row % 3 else None for row in range(rows)],
            "open": pd.Series([None if row % 7 == 0 else row % 17 < 9 for row in range(rows)], dtype=object),
            "level": [None if row % 5 == 0 else number for row, number in enumerate(numbers)],
            "trend": numbers,
        }
    ).astype({"level": "float64"})


def truth(data: "pd.DataFrame", task: str) -> Any:
    """What the trend says."""
    trend = data["trend"].to_numpy()
    return {"regression": trend * 2 + 1, "binary": (trend < 9) * 1.0, "multiclass": (trend // 6).astype(int)}[task]


def built(template: Template, *, seed: int = 0, **params: Any) -> Any:
    params = {**named(template), **params}
    return build_estimator(template, params, categories=["region", "open"], numbers=["level", "trend"], seed=seed)


def named(template: Template, number: str = "trend") -> dict[str, str]:
    """The parameters that name a feature."""
    return {name: number if kind == "number" else "open" for name, kind in template.columns.items()}


def fitted(template: Template, task: str, *, seed: int = 0, **params: Any) -> Any:
    data = frame()
    return built(template, seed=seed, **params).fit(data, truth(data, task))


def quick(template: Template) -> dict[str, int]:
    """Few rounds or trees, for templates that have them: enough to predict with."""
    return {name: 5 for name in ("n_estimators", template.rounds) if name and name in template.parameters}


def answers(estimator: Any, data: "pd.DataFrame", task: str) -> "np.ndarray[Any, Any]":
    """Predictions, or probabilities."""
    found: np.ndarray[Any, Any] = estimator.predict(data) if task == "regression" else estimator.predict_proba(data)
    return found


def fresh_hashes() -> dict[str, str]:
    """The content hash of each template's fit."""
    import sklearn.ensemble  # noqa: F401, TID253  # only what was imported is limited
    from threadpoolctl import threadpool_limits  # noqa: TID253

    with threadpool_limits(limits=1):
        return {
            f"{template.name} {template.version} {task}": estimator_hash(fitted(template, task, **quick(template)))
            for template, task in CASES
        }


@cases
def test_a_fit_learns_from_columns_with_nulls(template: Template, task: str) -> None:
    import numpy as np

    data = frame()
    found, true = answers(fitted(template, task), data, task), truth(data, task)
    assert np.isfinite(found).all()
    if task == "regression":
        # The naive one says the trend itself, where twice as much and one is true.
        assert np.abs(found - true).mean() < np.abs(true - true.mean()).mean() * 1.1
    else:
        assert found.shape == (120, 2 if task == "binary" else 3)
        assert np.allclose(found.sum(axis=1), 1)
        shares = np.bincount(true.astype(int)) / len(true)
        if template.name == "prior_classifier":
            assert np.allclose(found, shares)
        else:
            assert (found.argmax(axis=1) == true).mean() > max(shares.tolist())


@cases
def test_a_level_that_was_never_seen_is_taken_as_missing(template: Template, task: str) -> None:
    data = frame()
    estimator = built(template, **quick(template)).fit(data, truth(data, task))
    known, unseen = frame(6), frame(6)
    known["region"] = None
    unseen["region"] = ["east"] * 6
    assert answers(estimator, unseen, task).shape[0] == 6
    if template.name not in ("ridge_regressor", "logistic_regression"):  # null is a level of its own there
        assert (answers(estimator, unseen, task) == answers(estimator, known, task)).all()


@cases
@pytest.mark.parametrize("kept", [["region", "open"], ["trend"]])
def test_a_model_may_have_only_categories_or_only_numbers(template: Template, task: str, kept: list[str]) -> None:
    if template.columns and ("open" in kept) != ("category" in template.columns.values()):
        return
    data = frame()[kept]
    estimator = build_estimator(
        template,
        {**quick(template), **dict.fromkeys(template.columns, kept[-1])},
        categories=[name for name in kept if name != "trend"],
        numbers=[name for name in kept if name == "trend"],
        seed=0,
    )
    assert answers(estimator.fit(data, truth(frame(), task)), data, task).shape[0] == 120


texts = st.one_of(st.none(), st.sampled_from(["a", "b", "c"]), st.text(max_size=3))
numbers = st.one_of(st.none(), st.floats(-1e6, 1e6, width=32), st.just(0.0))
rows = st.tuples(texts, st.one_of(st.none(), st.booleans()), numbers, st.floats(-1e6, 1e6), st.integers(0, 2))


@pytest.mark.slow
@settings(max_examples=8)
@given(training=st.lists(rows, min_size=4, max_size=40), asked=st.lists(rows, min_size=1, max_size=10))
@each
def test_whatever_the_columns_hold_predictions_are_finite(
    template: Template, training: list[tuple[Any, ...]], asked: list[tuple[Any, ...]]
) -> None:
    import numpy as np
    import pandas as pd

    names = ["region", "open", "level", "trend", "class"]
    data, new = (pd.DataFrame(of, columns=names).astype({"level": "float64"}) for of in (training, asked))
    for task in template.tasks:
        if task == "regression":
            true = data["trend"].to_numpy() / 7
        else:
            true = data["class"].to_numpy() if task == "multiclass" else (data["class"] > 0).to_numpy() * 1.0
            true[: 3 if task == "multiclass" else 2] = range(3 if task == "multiclass" else 2)
        estimator = build_estimator(
            template,
            {**quick(template), **named(template, number="level")},
            categories=[name for name in ("region", "open") if data[name].notna().any()],
            numbers=[name for name in ("level", "trend") if data[name].notna().any()],
            seed=0,
        )
        found = answers(estimator.fit(data, true), new, task)
        assert np.isfinite(found).all()
        assert task == "regression" or np.allclose(found.sum(axis=1), 1)


@cases
def test_model_files_run_no_code_and_hold_the_same_fit(template: Template, task: str) -> None:
    import skops.io  # noqa: TID253

    losses: list[Any] = ["squared_error", "absolute_error", "poisson"] if "loss" in template.parameters else [None]
    for loss in losses:
        params: dict[str, Any] = {**quick(template), **({"loss": loss} if loss else {})}
        estimator = fitted(template, task, **params)
        written = skops.io.dumps(estimator)
        assert set(skops.io.get_untrusted_types(data=written)) <= set(template.trusted_types)
        assert not [name for name in template.trusted_types if name.startswith("mlops_assets")]
        read = skops.io.loads(written, trusted=list(template.trusted_types))
        assert estimator_hash(read) == estimator_hash(estimator)
        assert (answers(read, frame(), task) == answers(estimator, frame(), task)).all()


@cases
def test_two_fits_are_equal_and_other_truth_is_another_content(template: Template, task: str) -> None:
    params = quick(template)
    assert estimator_hash(fitted(template, task, **params)) == estimator_hash(fitted(template, task, **params))
    if template.parameters:
        name = next(iter(template.parameters.keys() & {"max_leaf_nodes", "min_samples_leaf", "alpha", "C"}))
        other = {**params, name: 3}
        assert estimator_hash(fitted(template, task, **other)) != estimator_hash(fitted(template, task, **params))


@pytest.mark.slow
def test_a_fit_in_another_process_has_the_same_content() -> None:
    code = f"import json; from {__name__} import fresh_hashes; print(json.dumps(fresh_hashes()))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": ":".join(path for path in sys.path if path), "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == fresh_hashes()


def test_the_naive_regressor_says_a_feature_and_0_where_it_is_missing() -> None:
    data = frame()
    found = fitted(find_template("seasonal_naive_regressor", 1), "regression", column="level").predict(data)
    assert found.tolist() == data["level"].fillna(0.0).tolist()


def test_the_naive_classifier_says_the_share_of_each_class_by_level_and_of_all_where_it_was_not_seen() -> None:
    import pandas as pd

    data = pd.DataFrame({"open": pd.Series([True, True, True, False, None, None], dtype=object)})
    template = find_template("seasonal_naive_classifier", 1)
    estimator = build_estimator(template, {"column": "open"}, categories=["open"], numbers=[], seed=0)
    estimator.fit(data, [0, 1, 2, 1, 2, 2])
    asked = pd.DataFrame({"open": pd.Series([True, False, None, "never"], dtype=object)})
    third = pytest.approx(1 / 3)
    found = estimator.predict_proba(asked).tolist()
    assert found[0] == [third, third, third]
    assert found[1] == pytest.approx([0, 1, 0], abs=1e-6)
    assert found[2] == pytest.approx([0, 0, 1], abs=1e-6)
    assert found[3] == pytest.approx([1 / 6, 1 / 3, 1 / 2])


@pytest.mark.parametrize(
    ("name", "version"), [("hist_gradient_boosting_regressor", 2), ("hist_gradient_boosting_classifier", 1)]
)
def test_a_category_may_have_more_levels_than_a_histogram_has_bins(name: str, version: int) -> None:
    import pandas as pd

    data = pd.DataFrame({"shop": [f"s{number % 400}" for number in range(1600)]})
    template = find_template(name, version)
    estimator = build_estimator(template, {"max_iter": 3}, categories=["shop"], numbers=[], seed=0)
    assert estimator.fit(data, [number % 2 for number in range(1600)]).predict(data).shape == (1600,)


def test_every_recipe_is_the_one_that_was_given_out_under_its_version() -> None:
    """Where this fails, leave the old recipe as it was, and add yours as the next version, with its hash here."""
    assert {(template.name, template.version): template.definition_hash for template in TEMPLATES} == RECORDED


def test_the_recipe_of_a_template_is_its_code_its_defaults_and_what_it_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    ridge = find_template("ridge_regressor", 1)
    before = ridge.definition_hash
    assert replace(ridge, parameters={"alpha": 2.0}).definition_hash != before
    assert replace(ridge, build=find_template("logistic_regression", 1).build).definition_hash != before
    monkeypatch.setattr(recipes, "scaled_columns", columns.coded_columns)
    template_module._definition_hash.cache_clear()
    assert ridge.definition_hash != before
    monkeypatch.undo()
    template_module._definition_hash.cache_clear()
    assert ridge.definition_hash == before


def test_an_unknown_parameter_is_named_with_those_that_there_are() -> None:
    for template in TEMPLATES:
        with pytest.raises(DefinitionError) as caught:
            built(template, depth=3)
        assert caught.value.found == f"parameter depth of template '{template.name}'"
        assert caught.value.expected == f"among: {', '.join(template.takes)}"


def test_a_naive_template_without_its_column() -> None:
    with pytest.raises(DefinitionError) as caught:
        build_estimator(find_template("seasonal_naive_regressor", 1), {}, categories=[], numbers=["level"], seed=0)
    assert caught.value.found == "template 'seasonal_naive_regressor' without the parameter column"
    assert caught.value.expected == "column: the name of a feature that is a number"


def test_an_unknown_template_is_answered_with_all_that_there_are() -> None:
    with pytest.raises(DefinitionError) as caught:
        find_template("ridge_regressor", 9)
    assert caught.value.found == "template 'ridge_regressor' version 9"
    assert caught.value.expected.startswith(
        "one of: hist_gradient_boosting_regressor version 1, hist_gradient_boosting_regressor version 2, "
    )
    assert caught.value.cure == "correct the version"
    with pytest.raises(DefinitionError) as near:
        find_template("ridge_regresor", 1)
    assert near.value.cure.startswith("write 'ridge_regressor'")
