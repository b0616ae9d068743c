"""A shop with a model that was trained twice, and what tests do with its versions."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

from mlops_assets.lakehouse.records import write_new_record
from mlops_assets.models.records import TransitionRecord, candidate_of_version, transitions
from mlops_assets.models.registry import load_fit
from mlops_assets.serving.app import create_app
from mlops_assets.serving.settings import ServingSettings
from mlops_assets_tests.models.test_life_of_a_version import promote_at, registry_of
from mlops_assets_tests.serving.conftest import CHANGES, publish_all
from mlops_assets_tests.serving.running import until
from mlops_assets_tests.small_line import Line, hours

TRAININGS = ("2024-01-16", "2024-01-18")
KEYS: list[dict[str, Any]] = [
    {"shop": f"s{number:02d}", "sister": "s00", "asked": 100 * number} for number in range(14)
]


def trained_line(folder: Path, changes: Mapping[tuple[str, str], str] | None = None) -> Line:
    """Fourteen days, two versions of which the second serves, and its tables published."""
    any_wins = {("forecast/defs.yaml", ", {metric: rmse, better_than: champion, margin: 0.1}"): ""}
    line = Line(folder / "line", {**CHANGES, **any_wins, **(changes or {})})
    line.live(14)
    promote_at(line, TRAININGS[0])
    promote_at(line, TRAININGS[1])
    publish_all(line.platform)
    return line


def put_in_service(line: Line, version: int) -> None:
    """Let a version serve from now on, as a promotion or a rollback records it."""
    clock = line.platform.home.clock
    clock.set(clock.now() + hours(1))
    number = len(transitions(line.platform, line.model)) + 1
    record = TransitionRecord(number, version, "promotion", clock.now(), "a test", "to see it serve")
    write_new_record(line.platform.records(line.model, "transition"), record)


def token(line: Line, *roles: str) -> str:
    """A new token with these roles."""
    tokens = line.platform.tokens
    return tokens.create(f"test {len(tokens.records())}", roles, None, line.platform.clock.now())


@contextmanager
def serving(line: Line, role: str = "application", **settings: Any) -> Iterator[TestClient]:
    """The application, with all that was promoted loaded."""
    app = create_app(line.platform, ServingSettings(**settings))
    headers = {"Authorization": f"Bearer {token(line, role)}"}
    with TestClient(app, headers=headers, raise_server_exceptions=False) as client:
        until(lambda: "being loaded" not in client.get("/readyz").text)
        yield client


@contextmanager
def broken(line: Line, version: int) -> Iterator[None]:
    """Put the files of a version of a line (or of copies of it) out of reach for a while."""
    uri = candidate_of_version(line.platform, line.model, version).model_uri
    (files,) = Path(registry_of(line).artifact_location).rglob(uri.removeprefix("models:/"))
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
