"""How well a classification probably does, before its labels come."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np  # noqa: TID253
import pytest

from mlops_assets.models.calibration import fit_calibration
from mlops_assets.models.metrics import measure
from mlops_assets.monitoring.estimation import EstimateRecord, TrackRecord, estimate, track_record, usual
from mlops_assets.monitoring.performance import PerformanceRecord


def two_classes(shift: int, rows: int) -> tuple[Any, Any]:
    """Probabilities without ties, which are too high, and what came true."""
    number = np.arange(1, rows + 1)
    scores = ((number * 37 + shift) % 401 + 0.5) / 401.5
    return scores, (((number * 131 + 17) % 1009) / 1009 < scores**2).astype(float)


def three_classes(shift: int, rows: int) -> tuple[Any, Any]:
    """The same of three classes."""
    number = np.arange(1, rows + 1)
    parts = [((number * by + shift) % of + 1) / (of + 2) for by, of in ((37, 401), (53, 397), (71, 389))]
    scores = np.stack(parts, axis=1)
    scores /= scores.sum(axis=1, keepdims=True)
    shares = scores**2 / (scores**2).sum(axis=1, keepdims=True)
    return scores, ((((number * 131 + 17) % 1009) / 1009)[:, None] > shares.cumsum(axis=1)).sum(axis=1)


def test_two_classes_are_estimated_as_nannyml_does() -> None:
    # Of nannyml 0.13.1, CBPE in one chunk: without calibration, and with its isotonic one, which it finds to be needed.
    new = two_classes(11, 300)[0] ** 0.7
    plain = estimate("binary", new)
    assert plain.rows == 300 and "calibration_error" not in plain.values
    assert plain.of("accuracy") == pytest.approx(0.7388709159481164, abs=1e-12)
    assert plain.of("roc_auc") == pytest.approx(0.8120711669885504, abs=1e-6)  # it rounds to five digits on the way
    assert plain.of("average_precision") == pytest.approx(0.8575342339564843, abs=1e-4)
    curves = fit_calibration("binary", *two_classes(0, 400)[::-1])
    found = estimate("binary", new, curves.of(new))
    assert found.of("accuracy") == pytest.approx(0.7126692964101935, abs=1e-12)
    assert found.of("roc_auc") == pytest.approx(0.8605094554216652, abs=1e-6)


def test_three_classes_are_estimated_as_nannyml_does() -> None:
    curves, new = fit_calibration("multiclass", *three_classes(0, 600)[::-1]), three_classes(11, 300)[0]
    found = estimate("multiclass", new, curves.of(new))
    assert all(curve is not None for curve in curves.curves)
    assert found.of("accuracy") == pytest.approx(0.6300275545581993, abs=1e-12)
    assert found.of("macro_f1") == pytest.approx(0.629920905335556, abs=1e-12)


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_an_estimate_follows_rows_that_are_harder_to_tell_apart_and_not_another_meaning_of_them(task: Any) -> None:
    rng = np.random.default_rng(0)
    for hardness in (0.5, 2.0):
        logits = rng.normal(size=(20_000, 2 if task == "binary" else 3)) / hardness * 2
        shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        truth = (rng.uniform(size=(20_000, 1)) > shares.cumsum(axis=1)).sum(axis=1)
        scores = shares[:, 1] if task == "binary" else shares
        estimated, realized = estimate(task, scores), measure(task, truth, scores)
        for metric in ("log_loss", "brier", "accuracy"):
            assert estimated.of(metric) == pytest.approx(realized.of(metric), abs=0.015)
    concept = measure(task, (truth + (rng.uniform(size=len(truth)) < 0.5)) % shares.shape[1], scores)
    assert concept.of("log_loss") > estimated.of("log_loss") + 0.1  # which no estimate can see


def record(number: int, estimated: float, level: float = 0.2, version: int = 1) -> EstimateRecord:
    return EstimateRecord(f"{2000 + number}", version, 100, "log_loss", estimated, level, None, number, "{}")


def test_as_many_past_periods_lie_beyond_what_is_usual_as_the_rate_allows() -> None:
    past = [record(number, 0.2 * (1 + number / 100)) for number in range(39)]
    assert usual(past, 0.05) == pytest.approx(1.37)  # the 38th of 39: two in forty lie beyond
    assert usual(past[:23], 0.05) is None and usual(past[:24], 0.05) == pytest.approx(1.23)
    assert usual(past, 0.01) is None, "of 39 periods none is as rare as one in a hundred"
    alarms = 0
    rng = np.random.default_rng(0)
    for _ in range(1_000):
        values = rng.gamma(2.0, size=40)
        bar = usual([record(number, value) for number, value in enumerate(values[:39])], 0.05)
        assert bar is not None
        alarms += values[39] / 0.2 > bar
    assert 30 <= alarms <= 70


def test_an_estimate_is_told_beside_its_bar_and_judged_once_there_are_enough_past_periods() -> None:
    one = record(7, 0.3)
    judged = "not judged, for 7 past periods are too few to tell what is usual"
    assert not one.worse and one.words == f"log_loss of 0.3 is estimated of 100 rows, without their labels: {judged}"
    worse = replace(one, bar=0.25, past=30)
    assert worse.worse and not replace(worse, bar=0.3).worse
    assert "by 30 past periods as much as 0.25 is usual" in worse.words and "concept drift" in worse.words


def test_estimates_are_held_against_what_came_true_of_the_same_version() -> None:
    realized = PerformanceRecord("2005", "2001", 1, 100, 9.0, 9.0, 0.2, '{"log_loss": 0.35}')
    made = [record(1, 0.3), record(2, 0.1)]
    found = track_record(made, [realized, replace(realized, about="2002", version=2)])
    assert [found.periods, found.off, found.level_off] == pytest.approx([1, 0.05, 0.15])
    assert found.words == (
        "over 1 past period estimates were off by 0.05 on average, the level at training by 0.15; no estimate sees "
        "concept drift"
    )
    assert track_record([], []) == TrackRecord(0, 0.0, 0.0) and "yet" in track_record([], []).words


def test_dagster_tells_an_estimate_as_a_check_of_a_classification_s_predictions() -> None:
    import dagster as dg

    import mlops_assets
    from mlops_assets.components import model_scoring
    from mlops_assets.components.loading import partitions_of
    from mlops_assets.project.load import load_project

    project = load_project(Path(mlops_assets.__file__).parent / "defs")
    checks = {}
    for name, model in project.models.items():
        partitions = partitions_of(model.schema.calendar, model.first, model.last)
        asset = model_scoring.predictions_asset(project, model, partitions)
        checks[name] = [key.name for key in asset.check_keys]
    assert checks == {"scripts_fall": ["estimate_as_usual"], "scripts_forecast": []}
    key, so_far = dg.AssetKey(["scripts_fall", "predictions"]), TrackRecord(0, 0.0, 0.0)
    assert model_scoring._as_usual(key, None).passed
    for bar, passed in ((0.2, False), (0.4, True), (None, True)):
        one = replace(record(1, 0.3), bar=bar)
        found = model_scoring._as_usual(key, (one, so_far))
        assert (found.passed, found.description) == (passed, one.words)
