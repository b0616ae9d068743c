"""Where MLflow's database says that files lie: whole paths, which a home that was moved or copied takes with it."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from mlops_assets.lakehouse.write_points import write_point

DATABASE = "mlflow.db"
ARTIFACTS = "artifacts"

_PATHS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
    ("input_tags", "value"),
)
"""Columns that hold a path, or something that is none."""

_IN_JSON = ("datasets", "dataset_source")


def moved_from(folder: Path, experiment: str) -> Path | None:
    """The home in which MLflow's folder lay when its database was written; None where it lies there still.

    Args:
        folder: MLflow's folder in the home, with or without a database.
        experiment: The experiment that keeps its files there.
    """
    with _database(folder) as database:
        return _moved_from(database, folder, experiment) if database else None


def follow(folder: Path, experiment: str) -> None:
    """Let the database of a home that was moved or copied name its own files, all at once; again without effect."""
    with _database(folder) as database:
        if database is None or _moved_from(database, folder, experiment) is None:
            return
        database.execute("BEGIN IMMEDIATE")
        home = _moved_from(database, folder, experiment)
        if home is not None:  # no other process was faster
            _replace(database, f"{home}/", f"{folder.parent}/")
        database.execute("COMMIT")
    write_point("mlflow paths")


def _replace(database: sqlite3.Connection, before: str, now: str) -> None:
    for table, column in _PATHS:
        database.execute(
            f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?",
            (now, len(before) + 1, len(before), before),
        )
    table, column = _IN_JSON
    texts = [f'"path": {json.dumps(path)[:-1]}' for path in (before, now)]
    database.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", texts)


@contextmanager
def _database(folder: Path) -> Iterator[sqlite3.Connection | None]:
    file = folder / DATABASE
    if not file.exists():
        yield None
        return
    with closing(sqlite3.connect(f"file:{quote(str(file))}?mode=rw", uri=True, isolation_level=None)) as database:
        yield database


def _moved_from(database: sqlite3.Connection, folder: Path, experiment: str) -> Path | None:
    if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'experiments'").fetchone():
        return None  # another process is making it
    asked = "SELECT artifact_location FROM experiments WHERE name = ?"
    found = database.execute(asked, (experiment,)).fetchone()
    location = Path(found[0]) if found else folder / ARTIFACTS
    of_a_home = location.is_absolute() and location.parts[-2:] == (folder.name, ARTIFACTS)
    return location.parent.parent if of_a_home and location != folder / ARTIFACTS else None
