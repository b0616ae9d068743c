"""Own templates, weights, early stopping and search: used as declared, or refused with file and line."""

import json
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.errors import ContractError, DefinitionError
from mlops_assets.features.training_sets import build_training_set
from mlops_assets.models.fitting import feature_frame, fit
from mlops_assets.models.folds import expanding_folds, newest, period_starts
from mlops_assets.models.judging import fit_candidate
from mlops_assets.models.search import Trial, choose_parameters
from mlops_assets.models.used_templates import record_recipe, require_same_recipe
from mlops_assets_tests.small_line import Line, lived_line

pytestmark = pytest.mark.slow
YAML = "forecast/defs.yaml"
RIDGE = "template: {name: ridge_regressor, params: {alpha: 1.0}, seed: 7}"
TRAIN = "train: {window: 60 days, validation: 3 days, min_rows: 60}"
OWN = "template: {name: mine, version: 2, python: 'mine:ridge', params: {alpha: 3.0}}"
GATES = "[{metric: mae, better_than: baseline}, {metric: rmse, better_than: champion, by: 0.1}]"
BOOSTED = "template: {name: hist_gradient_boosting_regressor, params: {max_iter: 40, min_samples_leaf: 3}}"
MODULE = '''\
def ridge(numbers, seed, *, alpha=1.0):
    """Of numbers alone."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import Pipeline

    columns = ColumnTransformer([("numbers", SimpleImputer(), list(numbers))])
    return Pipeline([("columns", columns), ("ridge", Ridge(alpha=alpha, random_state=seed))])


def boosted(numbers, seed, *, learning_rate=0.1, min_samples_leaf=1, n_estimators=100):
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import GradientBoostingRegressor
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline

    columns = ColumnTransformer([("numbers", SimpleImputer(), list(numbers))])
    boosting = GradientBoostingRegressor(
        learning_rate=learning_rate, min_samples_leaf=min_samples_leaf, n_estimators=n_estimators, random_state=seed
    )
    return Pipeline([("columns", columns), ("boosting", boosting)])
'''


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Line:
    return lived_line(tmp_path_factory, 24)


@pytest.fixture
def line(shared: Line, tmp_path: Path) -> Line:
    made = shared.copy(tmp_path / "line")
    made.files.write("forecast/mine.py", MODULE)
    return made


def rows_of(line: Line) -> Any:
    return build_training_set(line.platform, line.model, line.period("2024-01-26")).rows


def changed(line: Line, *changes: tuple[str, str]) -> Line:
    for old, new in changes:
        line.files.change(YAML, old, new)
    return line.open()


def test_an_own_template_is_called_with_what_it_wants_and_its_parameters(line: Line) -> None:
    changed(line, (RIDGE, OWN))
    estimator = fit(line.model, rows_of(line))
    assert estimator[-1].alpha == 3.0
    assert estimator.predict(feature_frame(line.model, rows_of(line))).shape[0] > 0


@pytest.mark.parametrize(
    ("old", "new", "found", "text"),
    [
        (RIDGE, OWN.replace("alpha", "alfa"), "parameter alfa of template 'mine'", "template:"),
        (RIDGE, OWN.replace("mine:ridge", "mine:rigde"), "no function 'rigde' in mine.py", None),
        (RIDGE, OWN.replace("name: mine", "name: ridge_regressor"),
         "an own template named 'ridge_regressor', as one that comes with the platform", "template:"),
        (RIDGE, RIDGE.replace("alpha", "alfa"), "parameter alfa of template 'ridge_regressor'", "template:"),
        (RIDGE, RIDGE.replace("ridge_regressor", "logistic_regression"),
         "template 'logistic_regression' for the task regression", "template:"),
        (RIDGE, "template: {name: seasonal_naive_regressor, params: {column: region}}",
         "'region' as the column of 'seasonal_naive_regressor'", "template:"),
        (TRAIN, TRAIN.replace("}", ", weight: region}"), "'region' as the weight of rows", "train:"),
        (TRAIN, TRAIN.replace("}", ", class_weight: balanced}"), "train.class_weight of a regression", "train:"),
        (TRAIN, TRAIN.replace("}", ", early_stopping: {periods: 3 days}}"),
         "early stopping of template 'ridge_regressor', which has no rounds", "train:"),
        (TRAIN, TRAIN.replace("}", ", search: {params: {beta: [1]}}}"), "a search for 'beta'", "train:"),
        (TRAIN, TRAIN.replace("}", ", search: {strategy: grid, params: {alpha: {low: 1, high: 2}}}}"),
         "a range of 'alpha' in a grid", "train:"),
        (TRAIN, TRAIN.replace("}", ", search: {params: {alpha: {low: 2, high: 1}}}}"),
         "a range of 'alpha' from 2 to 1", "train:"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_line(line: Line, old: str, new: str, found: str, text: str | None) -> None:
    line.files.change(YAML, old, new)
    error = line.files.refusal()
    assert error.found == found
    assert error.where is not None
    if text:
        assert error.where.line == line.files.line(YAML, text)


def test_early_stopping_of_an_own_template_needs_its_rounds_and_what_it_predicts_by_them(line: Line) -> None:
    stopping = ", early_stopping: {periods: 3 days}}"
    line.files.change(YAML, RIDGE, OWN)
    line.files.change(YAML, TRAIN, TRAIN.replace("}", stopping))
    error = line.files.refusal()
    assert error.found == "early stopping of template 'mine' with rounds: nothing"
    assert error.expected == "its parameter that counts rounds, among: alpha"
    assert error.where is not None and error.where.line == line.files.line(YAML, "early_stopping")
    changed(line, ("{periods: 3 days}", "{periods: 3 days, rounds: alpha}"))
    with pytest.raises(ContractError) as caught:
        fit(line.model, rows_of(line))
    assert caught.value.found == "Ridge of template 'mine', which does not say what it predicts by rounds"
    assert caught.value.expected == "an estimator that has staged_predict"


def test_a_parameter_without_default_is_refused_at_the_function(line: Line) -> None:
    line.files.write("forecast/mine.py", MODULE.replace("alpha=1.0", "alpha"))
    line.files.change(YAML, RIDGE, OWN)
    error = line.files.refusal()
    assert error.found == "template function 'ridge' with the parameter alpha"
    assert error.where is not None and (error.where.file.name, error.where.line) == ("mine.py", 1)


def test_a_template_that_raises_is_named_with_its_line(line: Line) -> None:
    line.files.write("forecast/mine.py", "def ridge(*, alpha=1.0):\n    raise ValueError('no')\n")
    changed(line, (RIDGE, OWN))
    with pytest.raises(ContractError) as caught:
        fit(line.model, rows_of(line))
    assert caught.value.found == "'ridge' raised ValueError: no"
    assert caught.value.where is not None and caught.value.where.line == 2


def test_what_an_estimator_refuses_is_one_error_of_ours(line: Line) -> None:
    with pytest.raises(ContractError) as caught:
        fit(line.model, rows_of(line), {"alpha": -1.0})
    assert caught.value.found.startswith("template 'ridge_regressor' does not fit 'forecast' on ")
    assert "(InvalidParameterError: The 'alpha' parameter of Ridge must be " in caught.value.found
    assert caught.value.cure == "correct template.params, or the rows that its words are about, and train again"


def test_a_recipe_that_changed_under_its_version_is_refused_until_the_version_is_raised(line: Line) -> None:
    changed(line, (RIDGE, OWN))
    record_recipe(line.platform, line.model)
    record_recipe(line.platform, line.model)
    line.files.write("forecast/mine.py", MODULE.replace('"""Of numbers alone."""', '"""Words."""'))
    require_same_recipe(line.open().platform, line.model)
    line.files.write("forecast/mine.py", MODULE.replace("SimpleImputer()", "SimpleImputer(strategy='median')"))
    with pytest.raises(DefinitionError) as caught:
        require_same_recipe(line.open().platform, line.model)
    assert caught.value.found.startswith(
        "template 'mine' version 2 of 'forecast', changed since 'forecast' was trained"
    )
    assert caught.value.cure == "raise the version to 3, or take the change back"
    require_same_recipe(changed(line, ("version: 2", "version: 3")).platform, line.model)


def test_weights_reach_the_last_step_and_bad_ones_are_refused_with_their_number(line: Line) -> None:
    import pyarrow as pa

    rows = rows_of(line)
    plain = fit(line.model, rows)[-1].coef_
    changed(line, (TRAIN, TRAIN.replace("}", ", weight: crowd}")))
    assert not (fit(line.model, rows)[-1].coef_ == plain).all()
    count = rows.num_rows
    bad = rows.set_column(rows.column_names.index("crowd"), "crowd", pa.array([None, 0] + [1] * (count - 2)))
    with pytest.raises(ContractError) as caught:
        fit(line.model, bad)
    assert caught.value.found == (
        f"1 of {count} rows of 'forecast' without a weight in 'crowd', and 1 with a weight that is not greater than 0"
    )


def classified(line: Line, class_weight: str, weight: str = "") -> Any:
    """Rows whose label is whether units grew, for a logistic regression."""
    import pyarrow as pa

    rows = rows_of(line)
    place = rows.column_names.index("growth")
    grew = pa.array([growth > 0 for growth in rows.column("growth").to_pylist()])
    changed(
        line,
        ("task: regression", "task: binary"),
        ("delay: 2, unit: log ratio", "delay: 2"),
        ("baseline: trend.level", "baseline: prior"),
        (RIDGE, "template: {name: logistic_regression}"),
        (GATES, "[{metric: log_loss, better_than: baseline}]"),
        (TRAIN, TRAIN.replace("}", f", class_weight: {class_weight}{weight}}}")),
    )
    return rows.set_column(place, "growth", grew)


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ("balanced", "balanced"),
        ("{true: 3, false: 0.5}", {True: 3, False: 0.5}),
        ("{'true': 7}", {True: 7}),
    ],
)
def test_classes_weigh_what_they_weigh_in_scikit_learn(line: Line, declared: str, expected: Any) -> None:
    from sklearn.base import clone  # noqa: TID253

    rows = classified(line, declared)
    frame, truth = feature_frame(line.model, rows), rows.column("growth").to_numpy()
    fitted = fit(line.model, rows)
    plain = clone(fitted).fit(frame, truth)
    theirs = clone(fitted).set_params(estimator__class_weight=expected).fit(frame, truth)
    assert fitted[-1].coef_ == pytest.approx(theirs[-1].coef_, rel=1e-9)
    assert fitted[-1].coef_ != pytest.approx(plain[-1].coef_, rel=1e-3)


def test_labels_of_one_class_are_refused_in_words(line: Line) -> None:
    import pyarrow as pa

    rows = classified(line, "balanced")
    place = rows.column_names.index("growth")
    never = rows.set_column(place, "growth", pa.array([False] * rows.num_rows))
    with pytest.raises(ContractError) as refused:
        fit_candidate(line.model, never, line.period("2024-01-26"), None)
    assert refused.value.found.endswith("all of them false")
    assert refused.value.cure == "train once another has come true, or widen train.window"


def test_weights_of_rows_and_of_their_classes_are_multiplied(line: Line) -> None:
    from sklearn.base import clone  # noqa: TID253

    rows = classified(line, "{true: 3}", ", weight: crowd")
    frame, truth = feature_frame(line.model, rows), rows.column("growth").to_numpy()
    fitted = fit(line.model, rows)
    theirs = clone(fitted).set_params(estimator__class_weight={True: 3})
    theirs.fit(frame, truth, estimator__sample_weight=rows.column("crowd").to_numpy())
    assert fitted[-1].coef_ == pytest.approx(theirs[-1].coef_, rel=1e-9)


@pytest.mark.parametrize(
    ("declared", "found", "expected", "cure"),
    [
        ("{tru: 2}", "a weight of the class 'tru'", "among: false, true", "write 'true'"),
        ("{1: 2}", "a weight of the class '1'", "among: false, true", "name one of them"),
        ("{true: 0}", "the weight 0 of the class 'true'", "greater than 0", "correct it"),
    ],
)
def test_a_weight_of_what_is_no_class_or_of_nothing_is_named_with_its_line(
    line: Line, declared: str, found: str, expected: str, cure: str
) -> None:
    classified(line, "balanced")
    line.files.change(YAML, "class_weight: balanced", f"class_weight: {declared}")
    error = line.files.refusal()
    assert (error.found, error.expected, error.cure) == (found, expected, cure)
    assert error.where is not None and error.where.line == line.files.line(YAML, "class_weight")


@pytest.mark.parametrize(
    ("template", "rounds_of", "declared"),
    [
        ("name: hist_gradient_boosting_regressor", "max_iter", ""),
        ("name: boosted, python: 'mine:boosted'", "n_estimators", ", rounds: n_estimators"),
    ],
)
def test_early_stopping_takes_the_rounds_whose_loss_is_smallest_as_far_as_patience_looks(
    line: Line, template: str, rounds_of: str, declared: str
) -> None:
    import numpy as np
    import pyarrow as pa

    rows, rounds = rows_of(line), range(1, 13)
    place, random = rows.column_names.index("growth"), np.random.default_rng(3)
    noisy = rows.column("growth").to_numpy() + random.normal(0, 1.5, rows.num_rows)  # so that many rounds learn noise
    rows = rows.set_column(place, "growth", pa.array(noisy))
    params = {"min_samples_leaf": 3, "learning_rate": 0.4, rounds_of: len(rounds)}
    changed(line, (RIDGE, f"template: {{{template}, params: {json.dumps(params)}}}"))
    earlier, watched = newest(line.model, rows, 3)
    frame, truth = feature_frame(line.model, watched), watched.column("growth").to_numpy()
    losses = [
        abs(fit(line.model, earlier, {**params, rounds_of: count}).predict(frame) - truth).mean() for count in rounds
    ]
    patience = 4
    stopping = f", early_stopping: {{periods: 3 days, patience: {patience}{declared}}}}}"
    taken = fit(changed(line, (TRAIN, TRAIN.replace("}", stopping))).model, rows)[-1].get_params()[rounds_of]
    assert 1 < taken < len(rounds)
    assert losses[taken - 1] == min(losses[: taken + patience])
    for count in range(1, taken):  # none of these is taken: a smaller loss follows while patience lasts
        assert min(losses[count : count + patience]) < min(losses[:count])


def test_what_is_fitted_lies_before_what_is_judged_by_the_horizon(line: Line) -> None:
    rows, calendar = rows_of(line), line.model.schema.calendar
    for fitted, judged in [*expanding_folds(line.model, rows, 3), newest(line.model, rows, 3)]:
        last, first = (calendar.of(moment) for moment in (
            max(period_starts(line.model, fitted)), min(period_starts(line.model, judged))
        ))  # fmt: skip
        assert calendar.distance(last, first) == line.model.label.known_after + 1


@pytest.mark.parametrize("strategy", ["grid", "random"])
def test_a_search_repeats_tells_its_progress_and_is_never_worse_than_what_is_declared(
    line: Line, strategy: str
) -> None:
    search = f", search: {{strategy: {strategy}, params: {{alpha: [0.01, 1.0, 100.0]}}, folds: 2, trials: 3}}}}"
    changed(line, (TRAIN, TRAIN.replace("}", search)))
    told: list[tuple[Trial, str]] = []
    chosen = choose_parameters(line.model, rows_of(line), lambda *trial: told.append(trial))
    assert chosen == choose_parameters(line.model, rows_of(line))
    assert chosen.trials[0].params == {"alpha": 1.0}
    assert sorted(trial.params["alpha"] for trial in chosen.trials) == [0.01, 1.0, 100.0]
    assert min(trial.error for trial in chosen.trials) == next(
        trial.error for trial in chosen.trials if trial.params == chosen.params
    )
    assert [trial for trial, _ in told] == list(chosen.trials)
    assert told[2][1].startswith("trial 3 of 3: mae 0.") and ", best 0." in told[2][1]
    ticks = iter([0.0, 3600.0])
    json.dumps(chosen.params)
    line.files.change(YAML, "trials: 3", "trials: 3, minutes: 10")
    assert len(choose_parameters(line.open().model, rows_of(line), clock=lambda: next(ticks)).trials) == 1


def test_a_training_logs_each_trial_below_its_run_and_records_what_was_chosen(line: Line) -> None:
    import mlflow  # noqa: TID253

    from mlops_assets.models.registry import open_registry
    from mlops_assets.models.training import Request, train
    from mlops_assets_tests.models.runs import start_run

    search = ", search: {strategy: grid, params: {alpha: [0.01, 100.0]}, folds: 2}}"
    changed(line, (TRAIN, TRAIN.replace("}", search)))
    at = line.period("2024-01-26")
    line.platform.training_sets(line.model).write(at.key, rows_of(line))
    registry, words = open_registry(line.platform.home.mlflow), list[str]()
    with start_run(registry, "search") as run_id:
        record, _ = train(line.platform, line.model, at, run_id, Request("a test", "ana"), words.append)
    assert [text.partition(":")[0] for text in words] == ["trial 1 of 3", "trial 2 of 3", "trial 3 of 3"]
    client = mlflow.MlflowClient(registry.tracking_uri)
    experiment = client.get_run(run_id).info.experiment_id
    below = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{run_id}'")
    assert {run.data.params["alpha"] for run in below} == {"1.0", "0.01", "100.0"}
    best = min(below, key=lambda run: run.data.metrics["mae"])
    assert client.get_run(run_id).data.params["alpha"] == best.data.params["alpha"]
    assert json.loads(record.params) == {"alpha": float(best.data.params["alpha"])}
    assert (record.template, record.template_hash) == ("ridge_regressor v1", line.model.template.definition_hash)
    assert record.figure_values["trials"] == 3
