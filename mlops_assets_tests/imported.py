"""What commands import, once for all forks; nothing here may start a thread, which a fork would not have."""

import dagster  # noqa: F401
import dagster_mlflow  # noqa: F401, TID253
import deltalake  # noqa: F401, TID253
import duckdb  # noqa: F401, TID253
import evidently  # noqa: F401, TID253
import mlflow.sklearn  # noqa: F401, TID253
import skops.io  # noqa: F401, TID253

import mlops_assets.cli
import mlops_assets.definitions
import mlops_assets.replay.session
import mlops_assets.serving.app  # noqa: F401, TID253
