"""The baseline as a version: fitted, registered, promoted, served and made again as any other, and in the open."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np  # noqa: TID253
import pyarrow as pa  # noqa: TID253
import pytest

from mlops_assets.models.baseline import baseline_scores, fit_baseline
from mlops_assets.models.fallback import baseline_model
from mlops_assets.models.fitting import feature_frame, fit
from mlops_assets.models.predicting import scores_of_fit
from mlops_assets.models.promotion import promote, register
from mlops_assets.models.records import candidate_of_version
from mlops_assets.models.reproduction import reproduce
from mlops_assets.models.scoring import score, scored_rows
from mlops_assets.models.training import Request
from mlops_assets.project.tasks import Task
from mlops_assets_tests.models.judged import made_rows, of_task, small_model
from mlops_assets_tests.models.test_life_of_a_version import (
    FIRST_TRAINING,
    SECOND_TRAINING,
    open_line,
    promote_at,
    train_at,
)

INSTEAD = Request("version 1 errs more, and the last training was refused", "the retrain policy", baseline=True)


@pytest.mark.slow
def test_the_baseline_takes_the_place_of_a_champion_and_a_candidate_that_of_the_baseline(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    line = open_line(tmp_path_factory)
    platform, model = line.platform, line.model
    promote_at(line, FIRST_TRAINING)
    at = line.period(FIRST_TRAINING)
    record, verdict = train_at(line, FIRST_TRAINING, INSTEAD)
    assert (record.kind, record.template, json.loads(record.params)) == (
        "baseline", "seasonal_naive_regressor v1", {"column": "level"}
    )  # fmt: skip
    assert record.level == record.figure_values["baseline_mae"] and "champion_mae" in record.figure_values
    assert [one.name for one in verdict.outcomes] == [
        "enough_rows",
        "mae_better_than_baseline",
        "rmse_better_than_champion",
    ]
    assert record.passed and f"not asked of the baseline, which serves: {INSTEAD.reason} (" in record.verdict
    version = register(platform, model, at)
    assert version is not None and version.version == 2
    assert promote(platform, model, 2).version == 2
    assert reproduce(platform, model, 2).is_equal
    again, _ = train_at(line, FIRST_TRAINING, INSTEAD)
    assert again == record

    next_day = line.period("2024-01-17")
    line.platform.home.clock.set(line.platform.model_as_of(model, next_day))
    assert score(platform, model, next_day).by.version == 2
    rows = scored_rows(platform, model, next_day)
    assert rows.num_rows and rows.column("prediction").equals(rows.column("baseline"))

    own, _ = train_at(line, SECOND_TRAINING)
    assert own.kind == "template" and own.figure_values["champion_mae"] == own.figure_values["baseline_mae"]
    assert candidate_of_version(platform, model, 2).is_baseline


@pytest.mark.parametrize("task", ["binary", "multiclass"])
@pytest.mark.parametrize("baseline", ["region", None])
def test_what_is_fitted_says_the_baseline_s_shares(task: Task, baseline: str | None, tmp_path: Path) -> None:
    model = replace(of_task(small_model(tmp_path), task), baseline=baseline)
    made = made_rows(task, days=50)
    labels = [bool(one) if task == "binary" else model.classes[one] for one in made.truth]
    rows = made.rows.append_column(model.label.column, pa.array(labels))
    weighed = replace(model, fitting=replace(model.fitting, class_weight="balanced"))
    fitted = fit(baseline_model(weighed), rows)
    said = scores_of_fit(model, fitted, feature_frame(model, rows))
    # Its shares by level count one row more: next to nothing where a level has hundreds. Null is a level here.
    known = rows.column("region").is_valid().to_numpy()
    away = np.abs(said - baseline_scores(model, fit_baseline(model, rows), rows))[known]
    assert away.max() < (0.001 if baseline else 1e-12)
