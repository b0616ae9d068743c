"""A home that was moved or copied finds its own files in MLflow, and never those of where it lay before."""

import shutil
import sqlite3
from pathlib import Path

import pytest

from mlops_assets.lakehouse.home import Home
from mlops_assets.models import mlflow_paths
from mlops_assets.models.registry import EXPERIMENT, log_files, open_registry, read_fit
from mlops_assets.platform import Platform
from mlops_assets.project.folder import find_project
from mlops_assets_tests.conftest import Lived
from mlops_assets_tests.models.runs import start_run
from mlops_assets_tests.operations.migration.old_homes import OldHome, contents

MODEL = "orders_forecast"


def paths(home: Home) -> str:
    """Everything that MLflow's database holds, as text."""
    with sqlite3.connect(home.mlflow / "mlflow.db") as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return "\n".join(str(row) for name in tables for row in database.execute(f'SELECT * FROM "{name}"'))


def test_every_path_in_the_database_follows_the_home_in_one_go(tmp_path: Path) -> None:
    old = OldHome.unpack(1, tmp_path / "a place\\with 'strange' names")
    before = mlflow_paths.moved_from(old.home.mlflow, EXPERIMENT)
    assert before is not None and str(before) in paths(old.home)
    mlflow_paths.follow(old.home.mlflow, EXPERIMENT)
    assert mlflow_paths.moved_from(old.home.mlflow, EXPERIMENT) is None
    held = paths(old.home)
    assert str(before) not in held
    with sqlite3.connect(old.home.mlflow / "mlflow.db") as database:
        (source,) = database.execute("SELECT json_extract(dataset_source, '$.path') FROM datasets").fetchone()
        locations = database.execute("SELECT artifact_location FROM logged_models").fetchall()
    assert Path(source).is_relative_to(str(old.home.tables)) and len(locations) == 4
    assert all(Path(location).is_dir() for (location,) in locations)
    mlflow_paths.follow(old.home.mlflow, EXPERIMENT)
    assert paths(old.home) == held


def test_a_home_without_mlflow_or_with_files_elsewhere_is_left_alone(tmp_path: Path) -> None:
    assert mlflow_paths.moved_from(tmp_path, EXPERIMENT) is None
    mlflow_paths.follow(tmp_path, EXPERIMENT)
    assert list(tmp_path.iterdir()) == []
    old = OldHome.unpack(1, tmp_path / "old")
    with sqlite3.connect(old.home.mlflow / "mlflow.db") as database:
        database.execute("UPDATE experiments SET artifact_location = 's3://bucket/models'")
    assert mlflow_paths.moved_from(old.home.mlflow, EXPERIMENT) is None


@pytest.mark.slow
def test_a_copy_beside_its_original_neither_reads_nor_writes_there(lived: Lived, tmp_path: Path) -> None:
    import mlflow  # noqa: TID253

    original, copy = lived.copy(tmp_path / "original"), lived.copy(tmp_path / "copy")
    mlflow_paths.follow(original.home.mlflow, EXPERIMENT)
    shutil.rmtree(copy.home.mlflow)
    shutil.copytree(original.home.mlflow, copy.home.mlflow)
    before = contents(original.home.folder)
    for kept in original.home.mlflow.rglob("model.skops"):
        kept.write_bytes(b"spoiled: who reads it fails")
    spoiled = contents(original.home.folder)
    platform = Platform.of(find_project(copy.project).read(), copy.home)

    from mlops_assets.models.records import candidates

    (candidate,) = candidates(platform, platform.project.models[MODEL])
    registry = open_registry(copy.home.mlflow)
    assert read_fit(registry, candidate.model_uri).predict is not None
    with start_run(registry, "a run of the copy") as run_id:
        log_files(registry, run_id, {"note.txt": "written by the copy"})
    assert list(copy.home.mlflow.rglob("note.txt")) and not list(original.home.mlflow.rglob("note.txt"))
    assert contents(original.home.folder) == spoiled != before

    shutil.rmtree(original.home.folder)
    mlflow.set_tracking_uri(registry.tracking_uri)
    loaded = mlflow.pyfunc.load_model(f"models:/{MODEL}/1")
    example = loaded.input_example
    assert len(loaded.predict(example)) == len(example)


@pytest.mark.slow
def test_nothing_in_a_home_but_mlflows_own_database_names_where_it_lies(lived: Lived) -> None:
    place = str(lived.home.folder).encode()
    naming = [file for file in lived.home.folder.rglob("*") if file.is_file() and place in file.read_bytes()]
    names = {file.relative_to(lived.home.folder).as_posix() for file in naming}
    assert names <= {f"mlflow/mlflow.db{beside}" for beside in ("", "-wal", "-shm")}
