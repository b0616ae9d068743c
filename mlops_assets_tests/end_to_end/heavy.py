"""Imports of a replay, made once; nothing here may start a thread, which a fork would not have."""

import dagster  # noqa: F401
import dagster_mlflow  # noqa: F401, TID253
import evidently  # noqa: F401, TID253
import mlflow.sklearn  # noqa: F401, TID253
import skops.io  # noqa: F401, TID253

import mlops_assets.definitions
import mlops_assets.replay.session  # noqa: F401
