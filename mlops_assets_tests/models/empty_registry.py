"""MLflow's database without anything in it, made once: its seventy migrations take over a second for each new home."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from mlops_assets_tests.small_line import locked, shared_folder


def copy_empty_registry(factory: pytest.TempPathFactory, folder: Path) -> None:
    """Put the database into a home that has none; MLflow makes its experiment there as in any other."""
    import mlflow  # noqa: TID253

    made = shared_folder(factory) / "mlflow.db"
    with locked(made):
        if not made.exists():
            started = made.with_suffix(".started")
            mlflow.MlflowClient(f"sqlite:///{started}").search_experiments()
            with closing(sqlite3.connect(started)) as whole, closing(sqlite3.connect(made)) as copy:
                whole.backup(copy)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mlflow.db").write_bytes(made.read_bytes())
