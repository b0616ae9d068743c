"""Backtests: what they say is what production did, wherever they were stopped, and they write nothing of production."""

import json
import pickle
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.errors import DefinitionError, Location, MissingDataError, SeveralFailuresError
from mlops_assets.lakehouse.home import HOME_VARIABLE
from mlops_assets.models.records import candidates, promotions
from mlops_assets.models.verdict import Verdict
from mlops_assets.monitoring.performance import PerformanceRecord, performance_history
from mlops_assets.monitoring.walk_forward import Policy, Walk, yardsticks
from mlops_assets.operations.backtest import Backtest, run_backtest
from mlops_assets.operations.backtest_report import as_text, as_values, write_report
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ModelDefinition
from mlops_assets.project.folder import find_project
from mlops_assets.project.gates import ComparisonGate, LatencyGate
from mlops_assets.project.load_policy import AS_DECLARED
from mlops_assets_tests import forks
from mlops_assets_tests.conftest import Lived
from mlops_assets_tests.end_to_end.replaying import data_versions
from mlops_assets_tests.project.small_project import SmallProject
from mlops_assets_tests.serving.running import until
from mlops_assets_tests.small_line import Line

MODEL = "orders_forecast"


def opened(lived: Lived) -> tuple[Platform, ModelDefinition]:
    platform = Platform.of(find_project(lived.project).read(), lived.home)
    return platform, platform.project.model(MODEL)


def backtested(platform: Platform, model: ModelDefinition, **asked: Any) -> Backtest:
    declared = Policy(AS_DECLARED, model.retrain, model.gates)
    return run_backtest(platform, model, [*yardsticks(model), declared], **asked)


@pytest.mark.slow
def test_the_declared_policy_does_what_the_home_lived_through_and_a_killed_backtest_goes_on(
    lived: Lived, tmp_path: Path
) -> None:
    mine = lived.copy(tmp_path)
    before = data_versions(mine.home)
    command = ["backtest", MODEL, "--from", mine.first, "--out", str(tmp_path / "found")]
    begun = forks.start(command, folder=mine.project, **{HOME_VARIABLE: str(mine.home.folder)})
    kept = mine.home.backtests / MODEL
    until(lambda: any(kept.glob("*.npz")), seconds=100)
    begun.kill()
    begun.wait(100)
    done = forks.run(command, folder=mine.project, **{HOME_VARIABLE: str(mine.home.folder)})
    assert done.returncode == 0, done.stderr
    assert data_versions(mine.home) == before

    platform, model = opened(mine)
    alone = lived.copy(tmp_path / "alone")
    again = backtested(*opened(alone), first=mine.first)
    values = as_values(platform, model, again)
    assert json.loads((tmp_path / "found" / "table.json").read_text(encoding="utf-8")) == values
    assert as_text(values) in done.stdout

    ours = again.walks[-1]
    recorded = candidates(platform, model)
    for name in ("at", "reason", "level", "passed", "model_hash"):
        assert [getattr(one, name) for one in ours.trainings] == [getattr(one, name) for one in recorded]
    decided = [Verdict.from_json(one.outcomes).decisions for one in ours.trainings]
    assert decided == [Verdict.from_json(one.outcomes).decisions for one in recorded]
    served = [(one.version, one.happened_at) for one in promotions(platform, model)]
    assert [(one.version, one.happened_at) for one in ours.promoted] == served
    names = ("period", "about", "version", "rows", "error", "baseline_error", "level", "figures")
    measured = [[getattr(one, name) for name in names] for one in performance_history(platform, model)]
    assert [[getattr(one, name) for name in names] for one in ours.performance] == measured
    assert len(measured) == 2


@pytest.mark.slow
def test_what_was_begun_goes_on_and_other_gates_train_nothing_again(lived: Lived, tmp_path: Path) -> None:
    mine = lived.copy(tmp_path)
    platform, model = opened(mine)
    begun = backtested(platform, model, first=mine.first, minutes=0)
    assert (begun.left, begun.walks) == (3, ())
    kept = {file: file.stat().st_mtime_ns for file in (mine.home.backtests / MODEL).glob("*.npz")}
    assert len(kept) == 1
    whole = backtested(platform, model, first=mine.first)
    assert whole.left == 0
    assert {file: file.stat().st_mtime_ns for file in kept} == kept
    files = list((mine.home.backtests / MODEL).glob("*.npz"))
    assert len(files) == 4

    never = Policy("never passes", model.retrain, (ComparisonGate("mae", "baseline", 0.99), LatencyGate(0.0)))
    gated = run_backtest(platform, replace(model, gates=()), [never], first=mine.first)
    assert [one.passed for one in gated.walks[0].trainings] == [False]
    assert list((mine.home.backtests / MODEL).glob("*.npz")) == files
    written = write_report(platform, tmp_path / "found", as_values(platform, model, whole))
    assert [file.name for file in written] == ["table.json", "table.md", "errors.svg"]
    assert "every day" in written[-1].read_text(encoding="utf-8")
    with pytest.raises(DefinitionError) as raised:
        backtested(platform, model, first="2023-01-01")
    assert "from 2024-01-" in str(raised.value)


def test_a_home_without_labels_says_what_to_do(tmp_path: Path) -> None:
    line = Line(tmp_path / "line")
    with pytest.raises(MissingDataError) as raised:
        run_backtest(line.platform, line.model, [])
    assert str(raised.value) == (
        "Found: no labels of 'forecast'. Expected: labels and features of the periods to walk through. What to do: "
        "ingest its sources, then: mlops-assets backfill forecast/labels --upstream."
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--policy", "p.yaml"], "p.yaml:1: Found: missing field 'retrain.max_age'. Expected: 'retrain.max_age' in"),
        (["--policy", "list.yaml"], "list.yaml: Found: 1 documents, or one without fields. Expected: the fields of"),
        (["--gate", "{metric: mae, at_most: 1}", "--gate", "{metric: mea, at_most: 1}"], "--gate:2: Found: metric"),
        (["--gate", "{metric: mae"], "--gate:1: Found: a file that is not YAML"),
    ],
)
def test_a_mistake_in_a_policy_is_told_with_its_line(
    tmp_path: Path, given: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlops_assets.cli import main

    SmallProject(tmp_path / "shop" / "shop" / "defs")
    (tmp_path / "shop" / "pyproject.toml").write_text('[tool.dg.project]\nroot_module = "shop"\n', encoding="utf-8")
    (tmp_path / "p.yaml").write_text("retrain: {cool_down: 2 days}\n", encoding="utf-8")
    (tmp_path / "list.yaml").write_text("- retrain\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        main(["--project", "shop", "backtest", "forecast", *given])
    assert message in capsys.readouterr().err


def test_an_error_of_another_process_is_told_as_it_is_here() -> None:
    for error in (
        DefinitionError("a", "b", "c", where=Location(Path("defs.yaml"), 3)),
        SeveralFailuresError("two failed", "mend them", ["first", "second"]),
    ):
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))


def test_tuning_prints_the_lines_to_paste_and_what_they_would_have_brought(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlops_assets.cli import main

    project = SmallProject(tmp_path / "shop" / "shop" / "defs")
    project.change("forecast/defs.yaml", "worse_by: 0.3, persistence: 3", "worse_by: 0.2, persistence: 2")
    project.change("forecast/defs.yaml", "better_than: champion, by: 0.1", "not_worse_than: champion, by: 3%")
    (tmp_path / "shop" / "pyproject.toml").write_text('[tool.dg.project]\nroot_module = "shop"\n', encoding="utf-8")

    def walked(platform: Platform, model: ModelDefinition, policies: list[Policy], **asked: Any) -> Backtest:
        """Two years of days, in which a lower bar is better and the others are alike."""
        best = "worse_by 0.1, persistence 1, by 2%"
        return Backtest([], [days(one.name, 1.0 if one.name == best else 2.0) for one in policies], 0, {})

    monkeypatch.setattr("mlops_assets.operations.backtest.run_backtest", walked)
    with pytest.raises(SystemExit) as ended:
        main(["--project", str(tmp_path / "shop"), "policy", "tune", "forecast"])
    told = capsys.readouterr().out
    assert ended.value.code == 0
    assert told.splitlines()[2:4] == [
        "| chosen each year on the periods before it | 1.00000 | 0 |",
        "| as declared | 2.00000 | 0 |",
    ]
    assert "  2002: worse_by 0.1, persistence 1, by 2%\nChoosing by the past paid." in told
    assert told.endswith(
        "for what comes: worse_by 0.1, persistence 1, by 2%\n"
        "retrain: {worse_by: 0.1, persistence: 1, cool_down: 2 weeks, max_age: 4 weeks}\n"
        "gates:\n- {metric: mae, better_than: baseline}\n- {metric: rmse, not_worse_than: champion, by: 2%}\n"
    )


def days(name: str, error: float) -> Walk:
    begin = date(2001, 1, 1)
    keys = [(begin + timedelta(days=number)).isoformat() for number in range(730)]
    measured = [PerformanceRecord(key, "", 1, 10, error, 2.0, 1.0, "{}") for key in keys]
    return Walk(name, [], [], measured, [])
