"""From a candidate that passed its gates to the version that serves."""

from mlops_assets.errors import MissingDataError
from mlops_assets.lakehouse.periods import Period
from mlops_assets.lakehouse.records import write_new_record
from mlops_assets.models import registry as mlflow_registry
from mlops_assets.models.records import (
    CandidateRecord,
    TransitionRecord,
    VersionRecord,
    candidates,
    present_champion,
    transitions,
    versions,
)
from mlops_assets.project.definition import ModelDefinition
from mlops_assets.project.platform import Platform

BY_GATES = "the gates"
"""Who decides on a promotion where no approval is required."""


def register(
    platform: Platform, registry: mlflow_registry.Registry, model: ModelDefinition, at: Period
) -> VersionRecord | None:
    """Register the newest candidate of a period as a version; None where its gates said no.

    A version that awaits approval becomes the challenger.

    Raises:
        MissingDataError: Nothing was trained at the period.
        ConflictError: Another process registered it at the same moment.
    """
    candidate = newest_candidate(platform, model, at)
    if not candidate.passed:
        return None
    record = version_of(platform, model, candidate)
    if record is None:
        version = mlflow_registry.register_version(
            registry,
            model_name=model.name,
            model_uri=candidate.model_uri,
            run_id=candidate.run_id,
            tags={"period": at.key, "reason": candidate.reason, "model_hash": candidate.model_hash},
        )
        record = VersionRecord(version, candidate.key, at.key)
        write_new_record(platform.records(model, "version"), record)
    if model.approval == "required":
        mlflow_registry.set_alias(registry, model.name, "challenger", record.version)
    return record


def promote(
    platform: Platform,
    registry: mlflow_registry.Registry,
    model: ModelDefinition,
    version: VersionRecord,
    *,
    by: str = BY_GATES,
    reason: str = "it passed its gates",
) -> TransitionRecord:
    """Make a version the champion, from now on; running it again changes nothing.

    Raises:
        ConflictError: Another version was promoted at the same time.
    """
    champion = present_champion(platform, model)
    if champion is None or champion.version != version.version:
        number = len(transitions(platform, model)) + 1
        champion = TransitionRecord(number, version.version, "promotion", platform.clock.now(), by, reason)
        write_new_record(platform.records(model, "transition"), champion)
    mlflow_registry.set_alias(registry, model.name, "champion", version.version)
    return champion


def newest_candidate(platform: Platform, model: ModelDefinition, at: Period) -> CandidateRecord:
    """The candidate that was trained last at a period; of several at one moment, one without a version.

    Raises:
        MissingDataError: Nothing was trained at the period.
    """
    registered = {record.candidate for record in versions(platform, model)}
    found = [record for record in candidates(platform, model) if record.at == at.key]
    if not found:
        raise MissingDataError(
            f"no candidate of '{model.name}' at {at.key}",
            "a candidate that was trained",
            f"materialize {model.name}/candidate for {at.key} first",
        )
    return max(found, key=lambda record: (record.trained_at, record.key not in registered))


def version_of(platform: Platform, model: ModelDefinition, candidate: CandidateRecord) -> VersionRecord | None:
    """The version that a candidate was registered as, if it was."""
    found = [record for record in versions(platform, model) if record.candidate == candidate.key]
    return found[0] if found else None
