"""A shop with a model that was trained twice, and what tests do with its versions."""

import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from mlops_assets.lakehouse.records import write_new_record
from mlops_assets.models.records import TransitionRecord, candidate_of_version, transitions
from mlops_assets.models.registry import load_fit, open_registry
from mlops_assets.platform import Platform
from mlops_assets.serving.app import create_app
from mlops_assets.serving.settings import ServingSettings
from mlops_assets_tests.models.empty_registry import copy_empty_registry
from mlops_assets_tests.models.test_life_of_a_version import promote_at
from mlops_assets_tests.serving.conftest import CHANGES, publish_all
from mlops_assets_tests.serving.running import until
from mlops_assets_tests.small_line import Line, hours, locked, shared_folder

TRAININGS = ("2024-01-16", "2024-01-18")
KEYS: list[dict[str, Any]] = [
    {"shop": f"s{number:02d}", "sister": "s00", "asked": 100 * number} for number in range(14)
]


def shared_line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    """Fourteen days, two versions of which the second serves, and its tables published: made once; copy it."""
    folder = shared_folder(tmp_path_factory) / "trained"
    with locked(folder):
        if not (folder / "done").exists():
            shutil.rmtree(folder, ignore_errors=True)
            # What was made is open in this process still, and its files come and go: another is shown a copy.
            _train(tmp_path_factory, folder / "made").copy(folder / "line")
            (folder / "done").touch()
    return Line.made_before(folder / "line")


def _train(factory: pytest.TempPathFactory, folder: Path) -> Line:
    any_wins = {("forecast/defs.yaml", ", {metric: rmse, better_than: champion, by: 0.1}"): ""}
    intervals = {("forecast/defs.yaml", "  retrain:"): "  intervals: {coverage: 80%}\n  retrain:"}
    line = Line(folder, {**CHANGES, **any_wins, **intervals})
    line.live(14)
    copy_empty_registry(factory, line.platform.home.mlflow)
    for key in TRAININGS:
        promote_at(line, key)
    publish_all(line.platform)
    return line


def put_in_service(line: Line, version: int) -> None:
    """Let a version serve from now on, as a promotion or a rollback records it."""
    clock = line.platform.home.clock
    clock.set(clock.now() + hours(1))
    number = len(transitions(line.platform, line.model)) + 1
    record = TransitionRecord(number, version, "promotion", clock.now(), "a test", "to see it serve")
    write_new_record(line.platform.records(line.model, "transition"), record)


def token(platform: Platform, *roles: str) -> str:
    """A new token with these roles."""
    tokens = platform.tokens
    return tokens.create(f"test {len(tokens.records())}", roles, None, platform.clock.now())


def serving(line: Line, **settings: Any) -> AbstractContextManager[TestClient]:
    """The application of a line; see `serving_platform`."""
    return serving_platform(line.platform, **settings)


@contextmanager
def serving_platform(platform: Platform, **settings: Any) -> Iterator[TestClient]:
    """The application, asked by an application, with all that was promoted loaded."""
    app = create_app(platform, ServingSettings(**settings))
    headers = {"Authorization": f"Bearer {token(platform, 'application')}"}
    with TestClient(app, headers=headers, raise_server_exceptions=False) as client:
        until(lambda: "being loaded" not in client.get("/readyz").text)
        yield client


@contextmanager
def broken(line: Line, version: int) -> Iterator[None]:
    """Put the files of a version out of reach for a while, as if somebody had deleted them from MLflow's."""
    import mlflow  # noqa: TID253

    uri = candidate_of_version(line.platform, line.model, version).model_uri
    registry = open_registry(line.platform.home.mlflow)
    found = mlflow.MlflowClient(registry.tracking_uri).get_logged_model(uri.removeprefix("models:/"))
    files = Path(found.artifact_location.removeprefix("file://"))
    load_fit.cache_clear()
    files.rename(line.folder / "broken")
    try:
        yield
    finally:
        (line.folder / "broken").rename(files)


def as_project(line: Line) -> Path:
    """The folder of a project for `mlops-assets serve`, with the line's definitions as they stand."""
    folder = line.folder / "served"
    shutil.copytree(line.files.folder, folder / "shops" / "defs", dirs_exist_ok=True)
    (folder / "pyproject.toml").write_text('[tool.dg.project]\nroot_module = "shops"\n', encoding="utf-8")
    return folder
