"""Predictions over HTTP: our server and MLflow's, with the same model, on the same rows, under the same load."""

import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import Figure
from benchmarks.features_over_http import against, free_port, measured, require, running
from benchmarks.http_load import Load, Loaded
from mlops_assets.lakehouse.home import HOME_VARIABLE, Home
from mlops_assets.lakehouse.periods import Period
from mlops_assets.models.environment import requirements
from mlops_assets.models.fit_files import LIBRARY
from mlops_assets.models.fitting import feature_frame
from mlops_assets.models.promotion import promote, register
from mlops_assets.models.records import candidate_of_version
from mlops_assets.models.registry import Registry, load_fit, open_registry
from mlops_assets.models.training import Request, train
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ModelDefinition
from mlops_assets.project.folder import find_project
from mlops_assets_tests.models.runs import start_run

if TYPE_CHECKING:
    import pyarrow as pa

ROOT = Path(__file__).parents[1]
MODEL = "scripts_forecast"
ROWS, MONTHS = 20_000, 60
KEYS = 1_000
MAX_P99_MS = 30
WORKERS = (1, 2)


def predict_http() -> Figure:
    """One row of the example's model, asked by 16 clients at a time, with its features given."""
    with tempfile.TemporaryDirectory() as name:
        home = Home(Path(name) / "home").prepare()
        platform = Platform.of(find_project(ROOT).read(), home)
        model = platform.project.models[MODEL]
        registry = open_registry(home.mlflow)
        at = model.schema.calendar.shift(model.first, MONTHS + 12)
        rows = training_rows(model, at)
        uri = _promoted(platform, registry, model, at, rows)
        row = _row(model, rows)
        with _ours(platform, row) as (load, first):
            ours = measured(load)
        expected = _expected(model, registry, uri, row)
        plain = _plain(model, registry, uri, rows)
        require(first["rows"][0]["prediction"] == expected, first)
        peer: dict[str, Loaded] = {}
        for workers in WORKERS:
            with _mlflow(registry, plain, workers, row) as (load, answer):
                require(abs(answer["predictions"][0] - expected) < 1e-12, answer)
                peer[f"workers {workers}"] = measured(load)
    return against("predict-http", ours, peer, "MLflow's", MAX_P99_MS)


def training_rows(model: ModelDefinition, at: Period) -> "pa.Table":
    """A training set of numbers and categories drawn at random, and a label that can be learned from them."""
    import numpy as np
    import pyarrow as pa

    random = np.random.default_rng(20240101)
    calendar = model.schema.calendar
    last = calendar.shift(at, -model.label.known_after)
    months = [calendar.shift(last, -number) for number in range(MONTHS)]
    of = [months[number % MONTHS] for number in range(ROWS)]
    columns: dict[str, Any] = {}
    for column in model.features:
        if column.type == "double":
            columns[column.name] = random.normal(size=ROWS)
        else:
            whole = random.integers(0, 12, ROWS)
            columns[column.name] = whole if column.type == "bigint" else np.array(list("ABCDEFGHIJKL"), object)[whole]
    label = columns["growth_1m"] + random.normal(size=ROWS) / 2
    keys = {name: [f"{name} {number}" for number in range(ROWS)] for name in model.schema.keys}
    times = [month.start for month in of]
    known = pa.array([month.end + timedelta(days=60) for month in of], pa.timestamp("us", "UTC"))
    timestamp = str(model.schema.timestamp)
    type_ = model.schema.arrow().field(timestamp).type
    made = {**keys, timestamp: pa.array(times, pa.timestamp("us", "UTC")).cast(type_), "predicted_at": known}
    return pa.table({**made, model.label.column: label, **columns})


def _promoted(platform: Platform, registry: Registry, model: ModelDefinition, at: Period, rows: "pa.Table") -> str:
    """Train on the rows, promote, and say where the fit lies."""
    platform.home.clock.set(platform.labels_as_of(model, at))
    platform.training_sets(model).write(at.key, rows)
    with start_run(registry, "predict-http") as run:
        train(platform, model, at, run, Request("a benchmark", "benchmarks"))
    version = register(platform, model, at)
    if version is None:
        raise RuntimeError("the candidate did not pass its gates")
    champion = promote(platform, model, version.version)
    return candidate_of_version(platform, model, champion.version).model_uri


def _row(model: ModelDefinition, rows: "pa.Table") -> Mapping[str, Any]:
    row: Mapping[str, Any] = rows.select(list(model.feature_names)).slice(0, 1).to_pylist()[0]
    return row


def _plain(model: ModelDefinition, registry: Registry, uri: str, rows: "pa.Table") -> str:
    """The same fit logged by MLflow's own means, without what ours adds for rows as they were looked up."""
    import mlflow

    fit, frame = load_fit(registry, uri), feature_frame(model, rows.slice(0, 5))
    with start_run(registry, "the peer"):
        logged = mlflow.sklearn.log_model(
            fit,
            name="plain",
            signature=mlflow.models.infer_signature(frame, fit.predict(frame)),
            skops_trusted_types=list(LIBRARY.types),
            pip_requirements=list(requirements()),
        )
    return f"models:/{logged.model_id}"


def _expected(model: ModelDefinition, registry: Registry, uri: str, row: Mapping[str, Any]) -> float:
    """What the fit itself predicts for the row that is asked first."""
    import pandas as pd

    return float(load_fit(registry, uri).predict(pd.DataFrame([{**row, "log_scripts": 1.5}]))[0])


def _with_key(content: object) -> str:
    """A body in which the one number that differs from request to request is the load's key, and a half."""
    return json.dumps(content).replace('"KEY"', "KEY.5")


@contextmanager
def _ours(platform: Platform, row: Mapping[str, Any]) -> Iterator[tuple[Load, Any]]:
    token = platform.tokens.create("load", ("application",), None, platform.clock.now())
    port = free_port()
    command = [sys.executable, "-m", "mlops_assets", "--project", str(ROOT), "serve", "--port", str(port)]
    body = _with_key({"features": [{**row, "log_scripts": "KEY"}]})
    load = Load(port, f"/v1/models/{MODEL}/predict", f"Authorization: Bearer {token}\r\n", body, KEYS)
    with running(command, load, {HOME_VARIABLE: str(platform.home.folder)}) as answer:
        yield load, answer


@contextmanager
def _mlflow(registry: Registry, uri: str, workers: int, row: Mapping[str, Any]) -> Iterator[tuple[Load, Any]]:
    port = free_port()
    command = [
        sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local", "-m", uri,
        "-p", str(port), "--workers", str(workers),
    ]  # fmt: skip
    given = {**row, "log_scripts": "KEY"}
    body = _with_key({"dataframe_split": {"columns": list(given), "data": [list(given.values())]}})
    load = Load(port, "/invocations", "", body, KEYS)
    environment = {"MLFLOW_TRACKING_URI": registry.tracking_uri, "MLFLOW_DISABLE_TELEMETRY": "true"}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with running(command, load, {**environment, "PATH": path}) as answer:
        yield load, answer
