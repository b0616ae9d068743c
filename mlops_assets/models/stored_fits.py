"""The fits of a training, read by what its model allows now and what was recorded then.

One that is not what was recorded is never used: neither to score, nor to serve, nor to be compared with.
"""

from typing import Any, Literal

from mlops_assets.errors import MissingDataError
from mlops_assets.models.content import estimator_hash
from mlops_assets.models.fit_files import FitFile, Trust, is_allowed, trust_of
from mlops_assets.models.records import CandidateRecord
from mlops_assets.models.registry import load_fit, read_fit, registry_of
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ModelDefinition

Part = Literal["model", "judged"]
PARTS: tuple[Part, ...] = ("model", "judged")


def stored_fit(platform: Platform, model: ModelDefinition, training: CandidateRecord, part: Part = "model") -> Any:
    """A fit of a training, from memory where it was loaded before; raises as `mlops_assets.models.registry.read_fit`.

    Args:
        platform: The platform.
        model: The model as it is defined now.
        training: The training.
        part: The fit that serves, or the one that was judged.
    """
    return load_fit(registry_of(platform), *_asked(model, training, part))


def reread_fit(platform: Platform, model: ModelDefinition, training: CandidateRecord, part: Part = "model") -> Any:
    """A fit as `stored_fit`, from what lies there now."""
    return read_fit(registry_of(platform), *_asked(model, training, part))


def stored_hash(platform: Platform, model: ModelDefinition, training: CandidateRecord) -> str | None:
    """The content hash of the fit that serves, whichever lies there now; None where none does.

    Raises:
        ContractError: It cannot be read, or may not be.
    """
    uri, trust, kept, _ = _asked(model, training, "model")
    try:
        return estimator_hash(read_fit(registry_of(platform), uri, trust, kept))
    except MissingDataError:
        return None


def may_be_read(model: ModelDefinition, training: CandidateRecord) -> bool:
    """Whether the model still allows the fits of a training: one that it does not neither serves nor is compared."""
    return all(is_allowed(trust_of(model), kept) for kept in training.kept.values())


def _asked(model: ModelDefinition, training: CandidateRecord, part: Part) -> tuple[str, Trust, FitFile | None, str]:
    kept = training.kept.get(part)
    if part == "model":
        return training.model_uri, trust_of(model), kept, training.model_hash
    return training.judged_uri, trust_of(model), kept, kept.content if kept and kept.form == "skops" else ""
