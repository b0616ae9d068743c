"""What commands import at last, once for all forks; nothing here may start a thread, which a fork would not have."""

from importlib import import_module

for name in (
    "dagster_mlflow",
    "deltalake",
    "duckdb",
    "evidently",
    "git",
    "mlflow.pyfunc",
    "mlflow.sklearn",
    "msgpack",
    "skops.io",
    "sqlglot",
    # What Dagster and MLflow import when they open their databases, a second's work.
    "dagster._core.storage.event_log",
    "dagster._core.storage.runs.sqlite",
    "dagster._core.storage.schedules.sqlite",
    "dagster._daemon.auto_run_reexecution.event_log_consumer",
    "mlflow.store.model_registry.sqlalchemy_store",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlops_assets.cli",
    "mlops_assets.definitions",
    "mlops_assets.replay.session",
    "mlops_assets.replay.summary",
    "mlops_assets.serving.app",
    "mlops_assets.serving.server",
):
    import_module(name)
import_module("sqlalchemy.orm").configure_mappers()
