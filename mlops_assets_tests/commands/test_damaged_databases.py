"""Databases of MLflow and Dagster that are damaged or none: told in words, whichever way they are asked."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mlops_assets.errors import DamagedStateError, UnusableEnvironmentError
from mlops_assets.models.mlflow_paths import DATABASE
from mlops_assets.models.registry import log_files, open_registry
from mlops_assets_tests import forks
from mlops_assets_tests.conftest import Lived
from mlops_assets_tests.models.empty_registry import copy_empty_registry

pytestmark = pytest.mark.slow


def scribble(file: Path) -> None:
    file.write_bytes(b"a letter to somebody, and no database" * 100)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def make_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize(
    ("damage", "kind", "found"),
    [
        (scribble, DamagedStateError, "a database in the home that is damaged (file is not a database)"),
        (cut, DamagedStateError, "a database in the home that is damaged (database disk image is malformed)"),
        (make_folder, UnusableEnvironmentError, "mlflow.db cannot be read or written (it is no file)"),
    ],
)  # fmt: skip
def test_a_registry_that_is_damaged_when_it_is_opened_is_told_in_words(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, damage: Callable[[Path], None], kind: type, found: str
) -> None:
    folder = tmp_path / "home"
    copy_empty_registry(tmp_path_factory, folder)
    damage(folder / DATABASE)
    with pytest.raises(kind) as told:
        open_registry(folder)
    assert found in str(told.value)


def test_a_registry_that_is_damaged_later_is_told_in_words_too(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    copy_empty_registry(tmp_path_factory, tmp_path / "home")
    registry = open_registry(tmp_path / "home")
    cut(tmp_path / "home" / DATABASE)
    with pytest.raises(DamagedStateError, match=r"that is damaged \(.*malformed") as told:
        log_files(registry, "0" * 32, {"a.txt": "text"})
    assert str(told.value).count("Found: ") == 1
    assert "\n" not in str(told.value)


def test_a_replay_whose_figures_are_missing_says_why_in_one_message(lived: Lived, tmp_path: Path) -> None:
    own = lived.copy(tmp_path / "own")
    for file in (own.home.folder / "lakehouse" / "tables" / "orders_forecast.performance").rglob("*.parquet"):
        scribble(file)
    arguments = ["--project", str(own.project), "replay", "--from", own.first, "--to", own.last]
    done = forks.run(arguments, MLOPS_HOME=str(own.home.folder))
    assert done.returncode == 1
    begun = "Error: the replay's figures failed; mend the cause, then run the same command again"
    message = done.stderr[done.stderr.index(begun) :]
    assert "the figures of 'orders_forecast': Found: data file " in message
    assert [message.count(part) for part in ("Found: ", "Expected: ", "What to do: ")] == [1, 1, 1]


@pytest.mark.parametrize("name", ["event_log.db", "history/runs.db"])
def test_a_command_on_a_damaged_database_of_dagster_says_so_in_one_message(
    lived: Lived, tmp_path: Path, name: str
) -> None:
    own = lived.copy(tmp_path / "own")
    scribble(own.home.dagster / name)
    done = forks.run(["--project", str(own.project), "ingest", "orders"], MLOPS_HOME=str(own.home.folder))
    assert (done.returncode, done.stderr.count("Found: "), "Traceback" in done.stderr) == (1, 1, False), done.stderr
    assert "Error: Found: a database in the home that is damaged (" in done.stderr
    assert "file is not a database" in done.stderr
