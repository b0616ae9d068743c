"""dagster-mlflow's resource, imported only when a step needs it, with every run ended by its own Dagster run."""

import sys
from collections.abc import Iterator
from typing import Any

import dagster as dg

from mlops_assets.lakehouse.home import Home
from mlops_assets.models.registry import EXPERIMENT, end_run, open_registry


@dg.resource(description="MLflow: the active run of this Dagster run, in the home's registry (dagster-mlflow).")
def mlflow_tracking(context: dg.InitResourceContext) -> Iterator[Any]:
    """Start (or go on with) the MLflow run of this Dagster run, and end it with it.

    dagster-mlflow keeps one global active run, which without an end a second Dagster run in the same process would
    log into; its hook ends it only in jobs that carry the hook, and assets are also materialized without a job.
    """
    registry = open_registry(Home.find().begin().mlflow)  # first, for it keeps MLflow from writing elsewhere
    from dagster_mlflow import mlflow_tracking as dagster_mlflow_tracking

    config = {
        "experiment_name": EXPERIMENT,
        "mlflow_tracking_uri": registry.tracking_uri,
        "env": {},
        "extra_tags": {},
    }
    configured = context.replace_config(config)
    resource = dagster_mlflow_tracking.resource_fn(configured)
    try:
        yield next(resource)
    finally:
        end_run(succeeded=sys.exc_info()[1] is None and not _failed(context))


def _failed(context: dg.InitResourceContext) -> bool:
    run = context.run
    if run is None or context.instance is None:
        return False
    failures = context.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    return bool(failures)
