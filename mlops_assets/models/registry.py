"""MLflow, behind this one module: runs, logged fits, registered versions and their aliases.

MLflow is an index here, not evidence: its tags can be changed and its versions deleted without a trace.
"""

import contextlib
import errno
import json
import logging
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mlops_assets.errors import DamagedStateError, MissingDataError, PlatformError, cannot_open, told_once
from mlops_assets.lakehouse.write_points import write_point
from mlops_assets.models import fit_files, mlflow_paths
from mlops_assets.models.fit_files import LIBRARY, FitFile, Trust
from mlops_assets.models.logged import Contents, LoggedInput
from mlops_assets.models.model_folder import save_model
from mlops_assets.platform import Platform
from mlops_assets.storage.opening import storage_of
from mlops_assets.system_errors import of_the_system

EXPERIMENT = "mlops-assets"
MAX_OF_DIGEST = 36
"""So long may a dataset's digest be in MLflow."""


@dataclass(frozen=True)
class Registry:
    """Where MLflow keeps its index and its files.

    Args:
        tracking_uri: For MLflow's client; SQLite by default.
        artifact_location: Where logged fits lie.
    """

    tracking_uri: str
    artifact_location: str


def _refusal(error: BaseException) -> PlatformError:
    """Our error for what MLflow, or the database below it, raises beyond what is asked of it here."""
    said = (str(error).strip().splitlines() or ["no words"])[0]
    return of_the_system(error) or DamagedStateError(
        f"MLflow's index or files in the home, which cannot be used ({type(error).__name__}: {said[:300]})",
        "MLflow's database and files as they were written",
        "find what is damaged with `mlops-assets verify`, restore it from a backup, and run this again",
    )


in_our_words = told_once(_refusal)
"""Decorates whatever talks to MLflow."""


@in_our_words
def open_registry(folder: Path) -> Registry:
    """The registry in a folder, made where it is missing; MLflow reports nothing to anybody.

    Raises:
        UnusableEnvironmentError: This user may not read and write its database, or it is damaged.
    """
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["DO_NOT_TRACK"] = "true"
    os.environ["MLFLOW_UV_AUTO_DETECT"] = "false"  # else it copies files of the folder that a command is called in
    # Without git MLflow cannot name a commit, and says so in fifty lines; our evidence hashes the code itself.
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    logging.getLogger("mlflow.utils.git_utils").setLevel(logging.ERROR)
    folder.mkdir(parents=True, exist_ok=True)
    if (file := folder / mlflow_paths.DATABASE).is_dir():
        raise cannot_open(file, "it is no file")
    for needed in (folder, file):
        if not os.access(needed, os.R_OK | os.W_OK) and (needed is folder or needed.exists()):
            raise cannot_open(needed, os.strerror(errno.EACCES))  # MLflow would try again for hours
    registry = Registry(f"sqlite:///{file}", storage_of(folder.parent, "mlflow/artifacts").address)
    _prepare(registry, folder)
    return registry


def registry_of(platform: Platform) -> Registry:
    """The registry in a platform's home; raises as `open_registry`."""
    return open_registry(platform.home.mlflow)


@lru_cache(maxsize=4)
def _prepare(registry: Registry, folder: Path) -> None:
    """Point MLflow at the registry, and see that the experiment keeps its files there, wherever the home lay before."""
    mlflow_paths.follow(folder, EXPERIMENT)
    import mlflow

    mlflow.set_tracking_uri(registry.tracking_uri)
    mlflow.set_registry_uri(registry.tracking_uri)
    client = mlflow.MlflowClient()
    if client.get_experiment_by_name(EXPERIMENT) is None:
        with contextlib.suppress(mlflow.exceptions.MlflowException):  # another process was faster
            client.create_experiment(EXPERIMENT, artifact_location=registry.artifact_location)
        write_point("mlflow experiment")


@in_our_words
def log_candidate(registry: Registry, run_id: str, contents: Contents) -> Mapping[str, str]:
    """Log a candidate into a run, in few calls, each of which is a transaction of its own.

    Returns:
        The URI of each fit, by its name.
    """
    import mlflow
    from mlflow.entities import DatasetInput, LoggedModelOutput, Metric, Param, RunTag

    client = mlflow.MlflowClient(registry.tracking_uri)
    now, params = _milliseconds(), {name: str(value) for name, value in contents.params.items()}
    client.log_inputs(run_id, [DatasetInput(*_as_dataset(read)) for read in contents.inputs])
    ids = {}
    for name, fit in contents.fits.items():
        model = client.create_logged_model(_experiment(registry), name, run_id, params=params)
        identity = {"model_uuid": model.model_id, "model_id": model.model_id}
        # Its place is MLflow's to know: in the file it would name the home that it was logged in.
        description = mlflow.models.Model(name, run_id, **identity)
        with TemporaryDirectory() as folder:
            saved = save_model(Path(folder), description, fit, contents.model, contents.example)
            client.log_model_artifacts(model.model_id, str(saved))
        client.finalize_logged_model(model.model_id, "READY")
        ids[name] = model.model_id
        write_point(f"mlflow model {name}")
    client.log_outputs(run_id, [LoggedModelOutput(model_id, step=0) for model_id in ids.values()])
    measured = next(iter(ids.values()))
    client.log_batch(
        run_id,
        metrics=[Metric(name, value, now, 0, model_id=measured) for name, value in contents.metrics.items()],
        params=[Param(name, value) for name, value in params.items()],
        tags=[RunTag(name, value) for name, value in contents.tags.items()],
    )
    write_point("mlflow run")
    return {name: f"models:/{model_id}" for name, model_id in ids.items()}


def _as_dataset(read: LoggedInput) -> tuple[Any, Any]:
    """A table that was read, as MLflow's dataset with tags.

    The digest is the beginning of our content hash, for that of MLflow covers the first 10,000 rows only. MLflow keeps
    one dataset for each name and digest, so what belongs to one reading stands in the tags.
    """
    from mlflow.entities import Dataset, InputTag

    table = read.read
    source = json.dumps({"path": read.folder, "delta_table_version": table.delta_version})
    dataset = Dataset(table.name, table.data_version[:MAX_OF_DIGEST], "delta_table", source)
    first, last = table.periods or ("", "")
    tags = {
        "mlflow.data.context": read.context,
        "content_hash": table.data_version,
        "delta_version": str(table.delta_version),
        "folder": read.folder,
        "first_period": first,
        "last_period": last,
    }
    return dataset, [InputTag(name, value) for name, value in tags.items() if value]


@in_our_words
def log_files(registry: Registry, run_id: str, files: Mapping[str, str]) -> None:
    """Log texts as files of a run, by path; the same path again is replaced."""
    import mlflow

    with TemporaryDirectory() as folder:
        for path, text in files.items():
            file = Path(folder) / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        mlflow.MlflowClient(registry.tracking_uri).log_artifacts(run_id, folder)
    write_point("mlflow files")


@in_our_words
def log_trial(
    registry: Registry, run_id: str, number: int, params: Mapping[str, Any], metric: str, value: float
) -> None:
    """Log one trial of a search as a run below another, with its parameters and its error."""
    import mlflow
    from mlflow.entities import Metric, Param

    client = mlflow.MlflowClient(registry.tracking_uri)
    tags = {"mlflow.parentRunId": run_id, "mlflow.runName": f"trial {number}"}
    trial = client.create_run(_experiment(registry), tags=tags).info.run_id
    client.log_batch(
        trial,
        metrics=[Metric(metric, value, _milliseconds(), 0)],
        params=[Param(name, str(given)) for name, given in params.items()],
    )
    client.set_terminated(trial)


def git_commit(folder: Path) -> str | None:
    """The commit of the git work tree around a folder, as MLflow finds it; None where there is none."""
    from mlflow.utils.git_utils import get_git_commit

    commit: str | None = get_git_commit(str(folder))
    return commit


def _milliseconds() -> int:
    """MLflow's own times are those of the machine."""
    return time.time_ns() // 1_000_000


@lru_cache(maxsize=4)
def _experiment(registry: Registry) -> str:
    import mlflow

    found = mlflow.MlflowClient(registry.tracking_uri).get_experiment_by_name(EXPERIMENT)
    return str(found.experiment_id)


@in_our_words
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


def end_run(*, succeeded: bool) -> None:
    """End the active run of this process, if there is one."""
    import mlflow

    mlflow.end_run("FINISHED" if succeeded else "FAILED")


@in_our_words
def end_killed_runs(registry: Registry, dagster_runs: Iterable[str]) -> None:
    """End the MLflow runs of Dagster runs whose process was killed, which else stay as if they were at work."""
    import mlflow

    client = mlflow.MlflowClient(registry.tracking_uri)
    for dagster_run in dagster_runs:
        mine = f"tags.dagster_run_id = '{dagster_run}' AND attributes.status = 'RUNNING'"
        for run in client.search_runs([_experiment(registry)], mine):
            client.set_terminated(run.info.run_id, "KILLED")


@in_our_words
def read_fit(
    registry: Registry, model_uri: str, trust: Trust = LIBRARY, recorded: FitFile | None = None, content: str = ""
) -> Any:
    """Read a logged fit as it lies there now; MLflow's files say where it is, and not what may be trusted.

    Args:
        registry: The registry.
        model_uri: Which fit.
        trust: What its file may hold; by default what fits of the library hold.
        recorded: What was recorded of the file when it was trained; without it no pickle is read.
        content: The content hash that was recorded of the fit; empty for whatever lies there.

    Raises:
        ContractError: It is in a form that could run code and was not allowed, or not what was recorded.
        MissingDataError: It is not there.
    """
    import mlflow
    import yaml

    mlflow.set_tracking_uri(registry.tracking_uri)
    try:
        folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=model_uri))
        flavor = mlflow.models.Model.load(str(folder)).flavors["sklearn"]
        file = folder / flavor["pickled_model"]
        data = file.read_bytes()
    except (mlflow.exceptions.MlflowException, yaml.YAMLError, OSError, KeyError, TypeError, ValueError) as error:
        raise MissingDataError(
            f"no model {model_uri} in {registry.tracking_uri} that can be read ({error})",
            "the model that a version was registered from",
            "restore MLflow's files from a backup, or train again",
        ) from error
    named = f"model {model_uri} ({file})"
    return fit_files.read_fit(data, str(flavor.get("serialization_format")), trust, recorded, content, named)


load_fit = lru_cache(maxsize=8)(read_fit)
"""As `read_fit`; the same fit is loaded month after month, so a few are kept in memory."""
