"""``mlflow run`` and ``mlops-assets models train|reproduce``: trainings with events, and versions made again."""

import os
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from mlops_assets.automation.retraining import TRAINING_STEPS
from mlops_assets.cli import main
from mlops_assets.components import constants
from mlops_assets.components.model_asset import asset_key
from mlops_assets.features.labels import newest_labelled
from mlops_assets.lakehouse.home import HOME_VARIABLE
from mlops_assets.models.records import candidates, versions
from mlops_assets.models.registry import EXPERIMENT, open_registry
from mlops_assets.operations.in_process import open_instance
from mlops_assets.operations.training import run_training
from mlops_assets.platform import Platform
from mlops_assets.project.load import load_project
from mlops_assets_tests.conftest import Lived

pytestmark = pytest.mark.slow
MODEL = "orders_forecast"


@pytest.fixture
def shop(lived: Lived, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Platform]:
    """A copy of the lived shop, outside of any git work tree."""
    copy = lived.copy(tmp_path / "copy")
    monkeypatch.setenv(HOME_VARIABLE, str(copy.home.folder))
    return copy.project, Platform.of(load_project(copy.project / "shop" / "defs"), copy.home)


def test_mlflow_runs_a_training_in_the_home_and_the_version_is_made_again(
    shop: tuple[Path, Platform],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    import mlflow  # noqa: TID253

    project, platform = shop
    model = platform.project.models[MODEL]
    at = newest_labelled(platform, model)
    assert at is not None
    before = len(candidates(platform, model))
    (tmp_path / "user").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path / "user")
    registry = open_registry(platform.home.mlflow)
    run = mlflow.projects.run(
        str(project),
        "train",
        parameters={"model": MODEL, "period": at.key, "reason": "it's time"},
        env_manager="local",
        experiment_name=EXPERIMENT,
    )
    assert run.get_status() == "FINISHED"
    told = [line for line in capfd.readouterr().err.splitlines() if line.startswith("train ")]
    assert told[:4] == [f"train {number}/4 {at.key} {MODEL}/{step}" for number, step in enumerate(TRAINING_STEPS)]
    trained = candidates(platform, model)
    assert len(trained) == before + 1
    asked = [record for record in trained if record.reason == "it's time"]
    assert [(record.at, record.requested_by) for record in asked] == [(at.key, "person at the machine")]
    assert mlflow.MlflowClient(registry.tracking_uri).get_run(asked[0].run_id).info.status == "FINISHED"
    for folder in (project, tmp_path / "user"):
        assert not [name for name in ("mlruns", "mlflow.db", ".mlflow") if (folder / name).exists()]
    monkeypatch.setenv("DAGSTER_HOME", str(platform.home.dagster))
    with open_instance(platform.home) as instance:
        events = [instance.get_latest_materialization_event(asset_key(model, step)) for step in TRAINING_STEPS]
        (run_id,) = {event.run_id for event in events if event is not None}
        made_by = instance.get_run_by_id(run_id)
        assert made_by is not None and made_by.tags[constants.REASON] == "it's time"

    version = versions(platform, model)[-1].version
    made = CliRunner().invoke(main, ["--project", str(project), "models", "reproduce", MODEL, str(version)])
    assert made.exit_code == 0, made.output
    assert made.output.endswith(f"{MODEL}: version {version} was reproduced bit for bit\n")


def test_a_training_tells_of_the_candidate_that_it_made_also_where_the_period_was_trained_before(
    shop: tuple[Path, Platform], monkeypatch: pytest.MonkeyPatch
) -> None:
    project, platform = shop
    model = platform.project.models[MODEL]
    at = newest_labelled(platform, model)
    assert at is not None
    from mlops_assets.definitions import platform_definitions

    monkeypatch.setenv("DAGSTER_HOME", str(platform.home.dagster))
    monkeypatch.syspath_prepend(str(project))
    definitions = platform_definitions(project / "shop")
    with open_instance(platform.home) as instance:
        made = [
            run_training(platform, definitions, instance, model, at, reason=reason, requested_by="ana")
            for reason in ("first", "second", "third", "first")
        ]
    assert [record.reason for record in made] == ["first", "second", "third", "first"]
    assert made[0] == made[3] and len({record.key for record in made}) == 3
    assert len({record.trained_at for record in made}) == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["train", MODEL, "2024-13-01"], "period '2024-13-01'"),
        (["train", MODEL, "2024-03-01"], f"the labels of '{MODEL}' that become known in 2024-03-01 were not computed"),
        (["reproduce", MODEL, "9"], f"no version 9 of '{MODEL}'"),
    ],
)
def test_a_mistake_is_one_message(shop: tuple[Path, Platform], arguments: list[str], told: str) -> None:
    done = CliRunner().invoke(main, ["--project", str(shop[0]), "models", *arguments])
    assert done.exit_code == 1
    assert done.output.startswith("Error: Found: ") and done.output.count("\n") == 1 and told in done.output
