"""Judging: an embargo before the rows that are judged, and a verdict that can be kept."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.client import GateOutcome
from mlops_assets.models.folds import split
from mlops_assets.models.verdict import Verdict
from mlops_assets.project.definition import ModelDefinition
from mlops_assets_tests.project.small_project import SmallProject


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


def test_a_verdict_is_kept_with_what_was_measured_and_decides_without_it() -> None:
    verdict = Verdict((GateOutcome("latency", True, "2 ms", 0.002, 0.005), GateOutcome("other", False, "no")))
    assert Verdict.from_json(verdict.as_json()) == verdict
    assert not verdict.passed
    assert verdict.reason == "2 ms; no"
    slower = Verdict((GateOutcome("latency", True, "3 ms", 0.003, 0.005), GateOutcome("other", False, "no")))
    assert slower.decisions == verdict.decisions == ("latency True", "other False")


def test_a_verdict_that_was_kept_without_figures_can_still_be_read() -> None:
    kept = '[{"name": "enough_rows", "passed": true, "reason": "judged on 9 rows, 6 are needed"}]'
    assert Verdict.from_json(kept).outcomes[0].measured is None
