"""The code location: loads a project's defs folder, adds resources and automation, and nothing else."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from mlops_assets.automation.carrying_on import carry_on_sensors
from mlops_assets.automation.compaction import compaction_schedule
from mlops_assets.automation.incidents import incident_sensor
from mlops_assets.automation.ingestion import delivery_sensor, publisher_sensor
from mlops_assets.automation.overdue import overdue_schedule
from mlops_assets.automation.promotions import promotion_sensor
from mlops_assets.automation.retention import retention_schedule
from mlops_assets.automation.retraining import retrain_job, retrain_sensor
from mlops_assets.components.loading import read_project
from mlops_assets.components.mlflow_tracking import mlflow_tracking


@contextmanager
def _collection_at_rest() -> Iterator[None]:
    """Keep Python from looking for garbage where everything that is made stays: a tenth of a large project's load."""
    at_work = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if at_work:
            gc.enable()


@_collection_at_rest()
def platform_definitions(folder: Path) -> dg.Definitions:
    """The definitions of a project that uses our components.

    Args:
        folder: The project's package, in which ``defs`` lies; its own ``definitions.py`` calls this with
            ``Path(__file__).parent``.
    """
    project = read_project(folder / "defs")
    loaded = dg.load_from_defs_folder(path_within_project=folder)
    return dg.Definitions.merge(
        loaded,
        dg.Definitions(
            jobs=[retrain_job(project)],
            sensors=[
                publisher_sensor(project),
                delivery_sensor(project),
                retrain_sensor(project),
                promotion_sensor(project),
                incident_sensor(project),
                *carry_on_sensors(project, loaded),
            ],
            schedules=[overdue_schedule(project), compaction_schedule(project), retention_schedule(project)],
            resources={"mlflow": mlflow_tracking},
            executor=dg.in_process_executor,
        ),
    )


@dg.definitions
def defs() -> dg.Definitions:
    """The example's code location."""
    return platform_definitions(Path(__file__).parent)
