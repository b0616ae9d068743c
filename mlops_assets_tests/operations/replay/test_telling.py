"""What a replay tells of a period: few words per model, from what its runs recorded, the interesting first."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pytest

from mlops_assets.operations.replay.span import span_of
from mlops_assets.operations.replay.telling import Telling
from mlops_assets.progress import Step
from mlops_assets.project.definition import ProjectDefinition
from mlops_assets.project.load import load_project
from mlops_assets.starter import write_project

MODEL = "orders_forecast"
FIGURES = {"candidate_mae": 0.1049, "champion_mae": 0.1029, "baseline_mae": 0.2}
DRIFT = {"no_drift": "drifted: units distance 4.2, beyond 3.1; of 40 past periods 2 would have alarmed"}
PERFORMANCE = {"mae": 0.1746, "baseline mae": 0.2749}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> ProjectDefinition:
    folder = tmp_path_factory.mktemp("telling") / "shop"
    write_project(folder)
    return load_project(folder / "shop" / "defs")


def asset(name: str, recorded: Mapping[str, Any], failed: Mapping[str, str] | None = None) -> dg.AssetsDefinition:
    """An asset that records something, and whose checks fail with some words."""
    key = dg.AssetKey(name.split("/"))

    @dg.asset(key=key, check_specs=[dg.AssetCheckSpec(check, asset=key) for check in failed or ()])
    def made() -> Iterator[Any]:
        results = [
            dg.AssetCheckResult(passed=False, check_name=check, description=words, severity=dg.AssetCheckSeverity.WARN)
            for check, words in (failed or {}).items()
        ]
        yield dg.MaterializeResult(metadata=recorded, check_results=results)

    return made


def told(project: ProjectDefinition, *assets: dg.AssetsDefinition) -> str:
    """What is told once runs of some assets are over."""
    steps: list[Step] = []
    telling = Telling(project, steps.append)
    telling.begins("replay", 3, 7, "2024-01-26")
    with dg.DagsterInstance.ephemeral() as instance:
        for made in assets:
            done = dg.materialize([made], instance=instance)
            for entry in instance.all_logs(done.run_id):
                telling.see(entry)
    telling.ends()
    assert (steps[-1].of, steps[-1].done, steps[-1].total, steps[-1].part) == ("replay", 3, 7, "2024-01-26")
    return steps[-1].words


@pytest.mark.parametrize(
    ("assets", "words"),
    [
        (
            [
                asset(f"{MODEL}/predictions", {"dagster/row_count": 24}),
                asset(f"{MODEL}/drift_report", {"drifted features": 3}, DRIFT),
                asset(f"{MODEL}/performance", PERFORMANCE),
                asset(f"{MODEL}/candidate", FIGURES, {"not_worse": "mae 0.1049 is not below the champion's 0.1029"}),
            ],
            f"{MODEL}: trained, refused (mae 0.1049 is not below the champion's 0.1029), mae 0.1746 (baseline 0.2749), "
            "drifted: units distance 4.2, beyond 3.1, scored 24 rows",
        ),
        (
            [
                asset(f"{MODEL}/candidate", FIGURES),
                asset(f"{MODEL}/version", {"version": 3, "awaits approval": False}),
                asset(f"{MODEL}/champion", {"version": 3}),
            ],
            f"{MODEL}: trained, version 3 promoted (mae 0.1049 against 0.1029)",
        ),
        (
            [
                asset(f"{MODEL}/candidate", {"candidate_mae": 0.1, "baseline_mae": 0.2}),
                asset(f"{MODEL}/version", {"version": 1, "awaits approval": True}),
            ],
            f"{MODEL}: trained, version 1 waits for approval (mae 0.1000 against 0.2000)",
        ),
        ([asset(f"{MODEL}/champion", {"version": 2})], f"{MODEL}: version 2 promoted"),
        (
            [asset(f"{MODEL}/predictions", {"dagster/row_count": 24, "rows without a prediction": 2})],
            f"{MODEL}: scored 24 rows, 2 of them without a prediction",
        ),
        (
            [asset("orders", {"rows put aside": 3, "reaches": "much"}), asset(f"{MODEL}/labels", {})],
            "orders: corrected, 3 rows put aside",
        ),
        ([asset("orders", {}, {"contract": "2 rows without a key"})], "orders: 2 rows without a key"),
        ([asset("orders", {}), asset("orders", {}), asset("order_trend", {})], "orders 2 times, order_trend"),
        ([], ""),
    ],
)
def test_a_period_is_told_in_few_words(project: ProjectDefinition, assets: list[Any], words: str) -> None:
    assert told(project, *assets) == words


def test_a_moment_belongs_to_the_first_period_whose_as_of_has_not_passed(project: ProjectDefinition) -> None:
    span = span_of(project, "2024-01-24", "2024-01-26")
    moments = [datetime(2024, 1, day, hour, tzinfo=UTC) for day in (25, 26, 27, 28) for hour in (0, 12)]

    found = span.grouped(moments)

    assert [(period.key, [moment.strftime("%d %H") for moment in of]) for period, of in found] == [
        ("2024-01-24", ["25 00"]),
        ("2024-01-25", ["25 12", "26 00"]),
        ("2024-01-26", ["26 12", "27 00", "27 12", "28 00", "28 12"]),
    ]
