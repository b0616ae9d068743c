"""Judging: the same rows for all, an embargo before them, and gates that say what they measured."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.models.judging import Verdict, judge, split
from mlops_assets.models.metrics import Measured
from mlops_assets.project.definition import Gate, ModelDefinition
from mlops_assets_tests.project.small_project import SmallProject


def figures(rows: int, mae: float, rmse: float) -> Measured:
    return Measured(rows, {"mae": mae, "rmse": rmse})


BASELINE = figures(100, 2.0, 3.0)
BETTER_THAN_BASELINE = Gate("mae", "baseline", 0.0)
BETTER_THAN_CHAMPION = Gate("mae", "champion", 0.0)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelDefinition:
    return SmallProject(Path(tmp_path_factory.mktemp("project"))).load().models["forecast"]


@given(horizon=st.integers(1, 12), delay=st.integers(0, 12), validation=st.integers(1, 24), day=st.integers(0, 300))
def test_no_label_of_the_judged_fit_reaches_into_what_is_judged(
    model: ModelDefinition, horizon: int, delay: int, validation: int, day: int
) -> None:
    asked = replace(model, validation=validation, label=replace(model.label, horizon=horizon, delay=delay))
    calendar = model.schema.calendar
    last = calendar.shift(calendar.at_key("2024-02-01"), day)
    parts = split(asked, last)
    newest_label_known_in = calendar.shift(parts.last_fitted, horizon + delay)
    assert newest_label_known_in < parts.first_judged
    assert calendar.shift(newest_label_known_in, 1) == parts.first_judged  # and no period is wasted
    assert calendar.distance(parts.first_judged, parts.last_judged) == validation - 1
    assert parts.last_judged == last


def test_a_candidate_must_be_strictly_better_than_the_baseline() -> None:
    for mae, passed in ((1.999, True), (2.0, False), (2.1, False)):
        verdict = judge(
            [BETTER_THAN_BASELINE],
            figures(100, mae, 9.0),
            baseline=BASELINE,
            champion=None,
            least_rows=1,
        )
        assert verdict.passed is passed
    assert verdict.reason == "judged on 100 rows, 1 are needed; mae 2.1000 is not below the baseline's 2.0000"


def test_the_margin_is_a_share_of_the_champion_s_error() -> None:
    gate = Gate("mae", "champion", 0.1)
    champion = figures(100, 1.0, 1.0)
    for mae, passed in ((0.89, True), (0.9, False), (0.95, False)):
        verdict = judge([gate], figures(100, mae, 9.0), baseline=BASELINE, champion=champion, least_rows=1)
        assert verdict.passed is passed, mae
    assert verdict.outcomes[-1].name == "mae_better_than_champion"
    assert verdict.outcomes[-1].reason == "mae 0.9500 is not below the champion's 1.0000 by 10%"


def test_of_a_metric_that_grows_with_quality_more_is_better() -> None:
    gate, mine = Gate("roc_auc", "baseline", 0.1), Measured(100, {"roc_auc": 0.77})
    for theirs, passed in ((0.69, True), (0.7, False), (0.9, False)):
        baseline = Measured(100, {"roc_auc": theirs})
        verdict = judge([gate], mine, baseline=baseline, champion=None, least_rows=1)
        assert verdict.passed is passed, theirs
    assert verdict.outcomes[-1].reason == "roc_auc 0.7700 is not above the baseline's 0.9000 by 10%"


def test_a_metric_that_could_not_be_measured_passes_no_gate() -> None:
    gate, nothing = Gate("roc_auc", "baseline", 0.0), Measured(100, {})
    measured = Measured(100, {"roc_auc": 0.9})
    for candidate, baseline, who in ((nothing, measured, "candidate"), (measured, nothing, "baseline")):
        verdict = judge([gate], candidate, baseline=baseline, champion=None, least_rows=1)
        assert not verdict.passed
        assert verdict.outcomes[-1].reason == f"roc_auc could not be measured of the {who} on these rows"


def test_without_a_champion_there_is_nothing_to_beat() -> None:
    verdict = judge([BETTER_THAN_CHAMPION], figures(100, 9.0, 9.0), baseline=BASELINE, champion=None, least_rows=1)
    assert verdict.passed
    assert verdict.outcomes[-1].reason == "there is no champion to compare with"


def test_too_few_rows_are_no_judgement() -> None:
    verdict = judge([], figures(9, 0.1, 0.1), baseline=BASELINE, champion=None, least_rows=10)
    assert not verdict.passed
    assert verdict.reason == "judged on 9 rows, 10 are needed"


def test_one_gate_that_fails_is_enough() -> None:
    gates = [BETTER_THAN_BASELINE, Gate("rmse", "champion", 0.0)]
    verdict = judge(
        gates,
        figures(100, 1.0, 5.0),
        baseline=BASELINE,
        champion=figures(100, 2.0, 4.0),
        least_rows=1,
    )
    assert [outcome.passed for outcome in verdict.outcomes] == [True, True, False]
    assert not verdict.passed
    assert Verdict.from_json(verdict.as_json()) == verdict
