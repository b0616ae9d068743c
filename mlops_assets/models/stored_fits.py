"""The fits of a training, read by what its model allows now and what was recorded then."""

from typing import Any, Literal

from mlops_assets.models import registry as mlflow_registry
from mlops_assets.models.fit_files import FitFile, Trust, is_allowed, trust_of
from mlops_assets.models.records import CandidateRecord
from mlops_assets.project.definition import ModelDefinition

Part = Literal["model", "judged"]


def stored_fit(
    registry: mlflow_registry.Registry, model: ModelDefinition, training: CandidateRecord, part: Part = "model"
) -> Any:
    """A fit of a training, from memory where it was loaded before; raises as `mlops_assets.models.registry.read_fit`.

    Args:
        registry: The registry.
        model: The model as it is defined now.
        training: The training.
        part: The fit that serves, or the one that was judged.
    """
    return mlflow_registry.load_fit(registry, *_asked(model, training, part))


def reread_fit(registry: mlflow_registry.Registry, model: ModelDefinition, training: CandidateRecord) -> Any:
    """The fit that serves, from what lies there now; raises as `mlops_assets.models.registry.read_fit`."""
    return mlflow_registry.read_fit(registry, *_asked(model, training, "model"))


def may_be_read(model: ModelDefinition, training: CandidateRecord) -> bool:
    """Whether the model still allows the fits of a training: one that it does not neither serves nor is compared."""
    return all(is_allowed(trust_of(model), kept) for kept in training.kept.values())


def _asked(model: ModelDefinition, training: CandidateRecord, part: Part) -> tuple[str, Trust, FitFile | None]:
    uri = training.model_uri if part == "model" else training.judged_uri
    return uri, trust_of(model), training.kept.get(part)
