"""Runs of MLflow outside Dagster, in which tests and benchmarks train."""

import contextlib
from collections.abc import Iterator

from mlops_assets.models.registry import EXPERIMENT, Registry


@contextlib.contextmanager
def start_run(registry: Registry, name: str) -> Iterator[str]:
    """A run; gives its id, and ends it."""
    import mlflow  # noqa: TID253

    mlflow.set_tracking_uri(registry.tracking_uri)
    mlflow.set_experiment(EXPERIMENT)
    with mlflow.start_run(run_name=name) as run:
        yield run.info.run_id
