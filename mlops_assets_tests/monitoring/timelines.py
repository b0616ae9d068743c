"""The timeline of a model of the small project, from records that a test writes down."""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from mlops_assets.models.evaluation import Evaluation, Interval
from mlops_assets.models.records import TransitionRecord
from mlops_assets.models.states import State
from mlops_assets.monitoring.drift import DriftRecord
from mlops_assets.monitoring.performance import PerformanceRecord
from mlops_assets.monitoring.segments import SegmentFinding
from mlops_assets.monitoring.timeline import Timeline, TimelinePeriod, Training
from mlops_assets.project.definition import ProjectDefinition
from mlops_assets_tests.monitoring.test_retrain_policy import training as trained
from mlops_assets_tests.project.small_project import SmallProject

NOW = datetime(2024, 3, 2, 6, tzinfo=UTC)


@cache
def project() -> ProjectDefinition:
    """The small project; what reads it does not change it."""
    with TemporaryDirectory() as folder:
        return SmallProject(Path(folder) / "project").load()


def day(number: int) -> str:
    return (datetime(2024, 2, 1, tzinfo=UTC) + timedelta(days=number)).strftime("%Y-%m-%d")


def performance(
    number: int, error: float, version: int = 1, baseline: float = 2.0, rows: int = 100
) -> PerformanceRecord:
    """Of predictions about a day, whose labels came three days later."""
    return PerformanceRecord(day(number + 3), day(number), version, rows, error, baseline, 1.0, '{"mae": 1.0}')


def moved(segment: str, column: str = "level", by: str = "shop") -> SegmentFinding:
    return SegmentFinding(by, segment, column, "mean", 4.25, 1.5, 9.0, 7)


def drift(
    number: int,
    version: int = 1,
    beyond: Sequence[str] = (),
    segments: Sequence[SegmentFinding] = (),
    *,
    judged: bool = True,
) -> DriftRecord:
    """Of a day in which some columns were beyond their bar."""
    findings = [
        {"column": name, "statistic": "distance", "value": 0.5, "usual": 0.1, "score": 8.0 if name in beyond else 1.0}
        for name in ("level", "crowd")
    ]
    found = {
        "bar": 4.0 if judged else None,
        "past_periods": 30,
        "alarms_in_past": 2,
        "findings": findings,
        "power": {"level": 0.5},
        "beyond": [(name, "distance") for name in beyond],
        "segments": [asdict(one) for one in segments],
    }
    words = (
        f"drifted: {beyond[0]} distance 8, beyond 4"
        if beyond
        else "as usual"
        if judged
        else "shown and not judged: few"
    )
    return DriftRecord(day(number), version, 100, bool(beyond), bool(segments), words, "", json.dumps(found))


def training(number: int, version: int | None = None, difference: Interval | None = None) -> Training:
    """A training at a day; one with a version was promoted."""
    record = replace(
        trained(0),
        key=f"{day(number)}.abc",
        at=day(number),
        reason="its error grew",
        judged_by_period="[]",
        requested_by="the policy",
        verdict="mae 1 is below 2",
        trained_at=NOW,
        run_id=f"run-{number}",
        model_hash="f" * 64,
        figures=json.dumps(
            {"candidate_mae": 1, "baseline_mae": 2, "rows": 900, "fitted_rows": 800, "judged_rows": 100}
        ),
        trained_on=json.dumps(
            {"first": "2024-01-05", "labels": "l1", "tables": {"trend": "t1"}, "columns": {"trend": ["level"]}}
        ),
    )
    report = Evaluation(
        "mae", 100, 14, 200, {}, {"champion": {"mae": difference}} if difference else {}, (), {}, None, {}
    )
    made = () if version is None else (TransitionRecord(version, version, "promotion", NOW, "the gates", "it passed"),)
    return Training(record, report, version, None if version is None else "champion", made)


def timeline(
    performances: Sequence[PerformanceRecord] = (),
    drifts: Sequence[DriftRecord] = (),
    trainings: Sequence[Training] = (),
) -> Timeline:
    """What these records come to."""
    by_day, drift_by_day = {one.about: one for one in performances}, {one.period: one for one in drifts}
    keys = sorted({*by_day, *drift_by_day})
    periods = tuple(TimelinePeriod(key, by_day.get(key), drift_by_day.get(key)) for key in keys)
    made = tuple(one for training in trainings for one in training.transitions)
    serves = made[-1].version if made else None
    states: dict[int, State] = {one.version: "champion" if one.version == serves else "served" for one in made}
    return Timeline(project().models["forecast"], NOW, periods, tuple(trainings), states, made)
