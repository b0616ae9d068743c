"""MLflow, behind this one module: runs, logged fits, registered versions and their aliases.

MLflow is an index here, not evidence: its tags can be changed and its versions deleted without a trace.
"""

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import ContractError, MissingDataError
from mlops_assets.lakehouse.write_points import write_point

if TYPE_CHECKING:
    import pandas as pd

EXPERIMENT = "mlops-assets"
REQUIREMENTS = ("scikit-learn", "skops", "numpy", "pandas")
FORMAT = "skops"


@dataclass(frozen=True)
class Registry:
    """Where MLflow keeps its index and its files.

    Args:
        tracking_uri: For MLflow's client; SQLite by default.
        artifact_location: Where logged fits lie.
    """

    tracking_uri: str
    artifact_location: str


def open_registry(folder: Path) -> Registry:
    """The registry in a folder, made where it is missing; MLflow reports nothing to anybody."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["DO_NOT_TRACK"] = "true"
    # Without git MLflow cannot name a commit, and says so in fifty lines; our evidence hashes the code itself.
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    logging.getLogger("mlflow.utils.git_utils").setLevel(logging.ERROR)
    folder.mkdir(parents=True, exist_ok=True)
    registry = Registry(f"sqlite:///{folder / 'mlflow.db'}", str(folder / "artifacts"))
    _prepare(registry)
    return registry


@lru_cache(maxsize=4)
def _prepare(registry: Registry) -> None:
    """Point MLflow at the registry, and see that the experiment keeps its files there."""
    import mlflow

    mlflow.set_tracking_uri(registry.tracking_uri)
    mlflow.set_registry_uri(registry.tracking_uri)
    client = mlflow.MlflowClient()
    if client.get_experiment_by_name(EXPERIMENT) is None:
        with contextlib.suppress(mlflow.exceptions.MlflowException):  # another process was faster
            client.create_experiment(EXPERIMENT, artifact_location=registry.artifact_location)
        write_point("mlflow experiment")


@contextlib.contextmanager
def start_run(registry: Registry, name: str) -> Iterator[str]:
    """A run for work outside Dagster; gives its id, and ends it."""
    import mlflow

    mlflow.set_tracking_uri(registry.tracking_uri)
    mlflow.set_experiment(EXPERIMENT)
    with mlflow.start_run(run_name=name) as run:
        yield run.info.run_id


def log_candidate(
    registry: Registry,
    run_id: str,
    *,
    params: Mapping[str, Any],
    metrics: Mapping[str, float],
    tags: Mapping[str, str],
    fits: Mapping[str, Any],
    input_example: "pd.DataFrame",
    trusted_types: Sequence[str],
) -> Mapping[str, str]:
    """Log a candidate into an active run.

    Fits are kept in skops format, which runs no code of a model's when it is loaded, with signature, input example
    and requirements as installed here (inferring them takes seven seconds).

    Returns:
        The URI of each fit, by its name.
    """
    import mlflow

    client = mlflow.MlflowClient(registry.tracking_uri)
    for name, value in params.items():
        client.log_param(run_id, name, value)
    for name, value in metrics.items():
        client.log_metric(run_id, name, value)
    for name, value in tags.items():
        client.set_tag(run_id, name, value)
    write_point("mlflow run")
    uris = {}
    for name, fit in fits.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # MLflow's remark that whole numbers cannot be null
            logged = mlflow.sklearn.log_model(
                fit,
                name=name,
                serialization_format=FORMAT,
                skops_trusted_types=list(trusted_types),
                signature=mlflow.models.infer_signature(input_example, fit.predict(input_example)),
                input_example=input_example,
                pip_requirements=[f"{package}=={installed_version(package)}" for package in REQUIREMENTS],
            )
        uris[name] = f"models:/{logged.model_id}"
        write_point(f"mlflow model {name}")
    return uris


def log_files(registry: Registry, run_id: str, files: Mapping[str, str]) -> None:
    """Log texts as files of a run, by path; the same path again is replaced."""
    import mlflow

    client = mlflow.MlflowClient(registry.tracking_uri)
    for path, text in files.items():
        client.log_text(run_id, text, path)
    write_point("mlflow files")


def log_trial(
    registry: Registry, run_id: str, number: int, params: Mapping[str, Any], metric: str, value: float
) -> None:
    """Log one trial of a search as a run below another, with its parameters and its error."""
    import mlflow

    client = mlflow.MlflowClient(registry.tracking_uri)
    experiment = client.get_run(run_id).info.experiment_id
    tags = {"mlflow.parentRunId": run_id, "mlflow.runName": f"trial {number}"}
    trial = client.create_run(experiment, tags=tags).info.run_id
    for name, given in params.items():
        client.log_param(trial, name, given)
    client.log_metric(trial, metric, value)
    client.set_terminated(trial)


def register_version(
    registry: Registry, *, model_name: str, model_uri: str, run_id: str, tags: Mapping[str, str]
) -> int:
    """Register a logged fit as the next version; the same fit again is the same version."""
    import mlflow

    client = mlflow.MlflowClient(registry.tracking_uri)
    with contextlib.suppress(mlflow.exceptions.MlflowException):  # it was created before
        client.create_registered_model(model_name)

    def known() -> list[int]:
        found = client.search_model_versions(f"name = '{model_name}'")
        return sorted(int(version.version) for version in found if version.source == model_uri)

    if not known():
        client.create_model_version(model_name, source=model_uri, run_id=run_id, tags=dict(tags))
        write_point("mlflow version")
    return known()[0]  # of two that registered it at the same moment, the first


def version_with_alias(registry: Registry, model_name: str, alias: str) -> int | None:
    """The version that an alias names, or None."""
    import mlflow

    try:
        found = mlflow.MlflowClient(registry.tracking_uri).get_model_version_by_alias(model_name, alias)
    except mlflow.exceptions.MlflowException:
        return None
    return int(found.version)


def end_run(*, succeeded: bool) -> None:
    """End the active run of this process, if there is one."""
    import mlflow

    mlflow.end_run("FINISHED" if succeeded else "FAILED")


@lru_cache(maxsize=4)
def load_fit(registry: Registry, model_uri: str) -> Any:
    """Load a logged fit, as `read_fit`; the same one is loaded month after month, so a few are kept in memory."""
    return read_fit(registry, model_uri)


def read_fit(registry: Registry, model_uri: str) -> Any:
    """Read a logged fit as it lies there now.

    Raises:
        ContractError: It is not in skops format, and loading it could run code.
        MissingDataError: It is not there.
    """
    import mlflow

    mlflow.set_tracking_uri(registry.tracking_uri)
    try:
        information = mlflow.models.get_model_info(model_uri)
    except mlflow.exceptions.MlflowException as error:
        raise MissingDataError(
            f"no model {model_uri} in {registry.tracking_uri}",
            "the model that a version was registered from",
            "restore MLflow's files from a backup, or train again",
        ) from error
    written = information.flavors.get("sklearn", {}).get("serialization_format")
    if written != FORMAT:
        raise ContractError(
            f"model {model_uri} in format '{written}'",
            f"format '{FORMAT}', which runs no code of the model's when it is loaded",
            "log it again through the platform",
        )
    return mlflow.sklearn.load_model(model_uri)
