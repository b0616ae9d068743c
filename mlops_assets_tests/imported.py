"""What commands import and hash at last, once for all forks; nothing here may start a thread, which no fork has."""

import gc
import os
from importlib import import_module
from io import BytesIO
from tempfile import TemporaryDirectory

for name in (
    "dagster_mlflow",
    "dagster_spark.components",
    "deltalake",
    "duckdb",
    "git",
    "mlflow.pyfunc",
    "mlflow.sklearn",
    "msgpack",
    "narwhals._pandas_like.dataframe",
    "pyarrow.dataset",
    "rfc8785",
    "skops.io",
    "sqlglot.dialects.duckdb",
    "tomlkit",
    # What Dagster and MLflow import when they load a project and run a partition.
    "dagster.components.core.snapshot",
    "dagster._core.definitions.repository_definition.repository_data_builder",
    "dagster._core.execution.execute_in_process",
    "dagster._core.executor.in_process",
    "dagster._core.instance.factory",
    "dagster._core.secrets.env_file",
    "dagster._core.storage.legacy_storage",
    "dagster._core.storage.noop_compute_log_manager",
    "mlflow.tracing.processor.otel",
    # What Dagster and MLflow import when they open their databases, a second's work.
    "dagster._core.storage.event_log",
    "dagster._core.storage.runs.sqlite",
    "dagster._core.storage.schedules.sqlite",
    "dagster._daemon.auto_run_reexecution.event_log_consumer",
    "mlflow.store.model_registry.sqlalchemy_store",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.store.tracking.sqlalchemy_workspace_store",
    "mlops_assets.cli",
    "mlops_assets.definitions",
    "mlops_assets.monitoring.segments",
    "mlops_assets.notebook",
    "mlops_assets.operations.replay.session",
    "mlops_assets.operations.replay.summary",
    "mlops_assets.serving.app",
    "mlops_assets.serving.server",
):
    import_module(name)
with TemporaryDirectory() as folder:  # where matplotlib looks for a list of this machine's fonts once
    os.environ["MPLCONFIGDIR"] = folder
    for name in ("matplotlib.backends.backend_svg", "matplotlib.style"):
        import_module(name)
    drawing = import_module("matplotlib.figure").Figure()
    drawing.subplots().set_title("a first text, for which fonts are read")
    drawing.savefig(BytesIO(), format="svg")
    del os.environ["MPLCONFIGDIR"]
import_module("mlflow.utils.requirements_utils")._init_packages_to_modules_map()  # which MLflow lists once in a process
import_module("sqlalchemy.orm").configure_mappers()
evidence = import_module("mlops_assets.governance.evidence")
evidence.environment_hash()
evidence.code_hash()
gc.collect()
gc.freeze()  # a fork that collects garbage would look through, and so copy, all that was imported
