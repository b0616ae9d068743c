"""From a candidate that passed its gates to the version that serves."""

from mlops_assets.errors import MissingDataError
from mlops_assets.lakehouse.periods import Period
from mlops_assets.lakehouse.records import write_record
from mlops_assets.models import registry as mlflow_registry
from mlops_assets.models.records import CandidateRecord, ChampionRecord, VersionRecord, candidates, champions
from mlops_assets.project.definition import ModelDefinition
from mlops_assets.project.platform import Platform


def register(
    platform: Platform, registry: mlflow_registry.Registry, model: ModelDefinition, at: Period
) -> VersionRecord | None:
    """Register the candidate of a period as a version; None where its gates said no.

    A version that awaits approval becomes the challenger.

    Raises:
        MissingDataError: Nothing was trained at the period.
    """
    candidate = _candidate(platform, model, at)
    if not candidate.passed:
        return None
    version = mlflow_registry.register_version(
        registry,
        model_name=model.name,
        model_uri=candidate.model_uri,
        run_id=candidate.run_id,
        tags={"period": at.key, "reason": candidate.reason, "model_hash": candidate.model_hash},
    )
    record = VersionRecord(at.key, version)
    write_record(platform.records(model, "version"), record)
    if model.approval == "required":
        mlflow_registry.set_alias(registry, model.name, "challenger", version)
    return record


def promote(
    platform: Platform, registry: mlflow_registry.Registry, model: ModelDefinition, record: VersionRecord
) -> ChampionRecord:
    """Make a version the champion, from now on; running it again changes nothing."""
    promoted = [champion for champion in champions(platform, model) if champion.version == record.version]
    champion = promoted[0] if promoted else ChampionRecord(record.period, platform.clock.now(), record.version)
    if not promoted:
        write_record(platform.records(model, "champion"), champion)
    mlflow_registry.set_alias(registry, model.name, "champion", record.version)
    return champion


def _candidate(platform: Platform, model: ModelDefinition, at: Period) -> CandidateRecord:
    found = [record for record in candidates(platform, model) if record.period == at.key]
    if not found:
        raise MissingDataError(
            f"no candidate of '{model.name}' at {at.key}",
            "a candidate that was trained",
            f"materialize {model.name}/candidate for {at.key} first",
        )
    return found[0]
