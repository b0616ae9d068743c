"""What MLflow shows of versions: aliases and states, which follow the records, and what was deleted."""

import contextlib
from collections.abc import Mapping

from mlops_assets.lakehouse.write_points import write_point
from mlops_assets.models.registry import Registry, in_our_words

STATE_TAG = "state"


@in_our_words
def show_states(
    registry: Registry, model_name: str, aliases: Mapping[str, int | None], states: Mapping[int, str]
) -> None:
    """Let MLflow's aliases and tags say what the records say; what it says already is left alone.

    Args:
        registry: The registry.
        model_name: A registered model.
        aliases: Which version each alias names; None for none.
        states: The state of each version that is there.
    """
    import mlflow

    client = mlflow.MlflowClient(registry.tracking_uri)
    try:
        shown = {name: int(version) for name, version in client.get_registered_model(model_name).aliases.items()}
    except mlflow.exceptions.MlflowException:  # nothing was registered, or MLflow's files are lost: it is an index
        return
    known = {int(one.version): one.tags for one in client.search_model_versions(f"name = '{model_name}'")}
    for alias, version in aliases.items():
        if version is None and alias in shown:
            client.delete_registered_model_alias(model_name, alias)
        elif version is not None and version in known and shown.get(alias) != version:
            client.set_registered_model_alias(model_name, alias, str(version))
        else:
            continue
        write_point(f"mlflow alias {alias}")
    for version, state in states.items():
        if version in known and known[version].get(STATE_TAG) != state:
            client.set_model_version_tag(model_name, str(version), STATE_TAG, state)
            write_point("mlflow state")


@in_our_words
def delete_version(registry: Registry, model_name: str, version: int) -> None:
    """Take a version out of MLflow; again without effect."""
    import mlflow

    client = mlflow.MlflowClient(registry.tracking_uri)
    with contextlib.suppress(mlflow.exceptions.MlflowException):
        client.delete_model_version(model_name, str(version))
        write_point("mlflow version deleted")


@in_our_words
def delete_fit(registry: Registry, model_uri: str) -> None:
    """Delete a logged fit and its files; again without effect."""
    import mlflow
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    client = mlflow.MlflowClient(registry.tracking_uri)
    model_id = model_uri.removeprefix("models:/")
    with contextlib.suppress(mlflow.exceptions.MlflowException):
        location = client.get_logged_model(model_id).artifact_location
        # The files first: what MLflow no longer lists could not be found again.
        with contextlib.suppress(FileNotFoundError):
            get_artifact_repository(location).delete_artifacts()
        write_point("mlflow files deleted")
        client.delete_logged_model(model_id)
        write_point("mlflow model deleted")
