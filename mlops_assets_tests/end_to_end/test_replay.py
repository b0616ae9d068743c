"""The replay: a real Dagster instance lived through, resumed, refused, and killed at every write point."""

from pathlib import Path

import pytest

from mlops_assets_tests.conftest import Lived

pytestmark = pytest.mark.slow


def test_a_replay_leaves_predictions_that_were_compared_with_what_came_true(lived: Lived) -> None:
    from mlops_assets.monitoring.performance import performance_history
    from mlops_assets.project.load import load_project
    from mlops_assets.project.platform import Platform

    project = load_project(lived.project / "shop" / "defs")
    platform = Platform.of(project, lived.home)
    (model,) = project.models.values()
    history = performance_history(platform, model)

    assert [record.about for record in history] == ["2024-01-25", "2024-01-26"]
    assert all(0 < record.mae < record.baseline_error for record in history)
    assert (lived.home.reports / model.name / "2024-01-25" / "drift.json").exists()
