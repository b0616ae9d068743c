"""The end of versions: taken out by a person, deleted if they never served, or pruned once they are old."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from mlops_assets.errors import ContractError
from mlops_assets.governance.access import Principal
from mlops_assets.lakehouse.periods import add_months
from mlops_assets.lakehouse.records import read_records, write_new_record
from mlops_assets.models.promotion import decide, require_decider, require_version, sync_aliases
from mlops_assets.models.records import (
    PROMOTIONS,
    CandidateRecord,
    TransitionRecord,
    candidate_of_version,
    candidates,
    transitions,
    versions,
)
from mlops_assets.models.registry import registry_of
from mlops_assets.models.registry_index import delete_fit, delete_version
from mlops_assets.models.states import version_states
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ModelDefinition

BY_RETENTION = "the retention"
"""Who decides on deleting what is older than the model's YAML says."""


@dataclass(frozen=True)
class PrunedRecord:
    """The fits of a candidate without a version were deleted.

    Args:
        candidate: Its key.
        pruned_at: Platform clock, UTC.
        by: Who or what decided it.
        reason: Why, in words.
    """

    candidate: str
    pruned_at: datetime
    by: str
    reason: str


@dataclass(frozen=True)
class Pruned:
    """A candidate that retention deletes the fits of; its records stay.

    Args:
        candidate: Its key.
        version: Its version, which is deleted with them; None where it has none.
        trained_at: When it was trained, platform clock, UTC.
    """

    candidate: str
    version: int | None
    trained_at: datetime


def retire(
    platform: Platform, model: ModelDefinition, version: int, principal: Principal, reason: str
) -> TransitionRecord:
    """Take a version out: it is neither promoted nor rolled back to any more; again without effect.

    Raises:
        ForbiddenError: Who asks may not decide it.
        ContractError: It is the champion, or was deleted; or no reason is given.
        MissingDataError: There is no such version.
        ConflictError: Something else was decided at the same time.
    """
    require_decider(platform, model, principal, reason)
    made = transitions(platform, model)
    state = require_version(platform, model, version)
    if state in ("champion", "deleted"):
        raise ContractError(
            f"version {version} of '{model.name}' is {'the champion' if state == 'champion' else state}",
            "a version that does not serve and was not deleted",
            f"let another version serve first (mlops-assets models rollback {model.name}), or name another",
        )
    if state == "retired":
        record = _last_of(made, version)
    else:
        record = decide(platform, model, made, version, "retirement", principal.name, reason)
    sync_aliases(platform, model)
    return record


def delete(
    platform: Platform, model: ModelDefinition, version: int, principal: Principal, reason: str
) -> TransitionRecord:
    """Delete a version that never served, and its fits, from MLflow; again without effect. Its records stay.

    Raises:
        ForbiddenError: Who asks may not decide it.
        ContractError: It served; or no reason is given.
        MissingDataError: There is no such version.
        ConflictError: Something else was decided at the same time.
    """
    require_decider(platform, model, principal, reason)
    return _delete(platform, model, version, principal.name, reason)


def finish_deletions(platform: Platform, model: ModelDefinition) -> None:
    """Take out of MLflow what was deleted, if who deleted it was ended before that."""
    for one in transitions(platform, model):
        if one.kind == "deletion":
            _remove(platform, model, one.version)


def prunable(platform: Platform, model: ModelDefinition) -> list[Pruned]:
    """The candidates whose fits the model's retention deletes now, in the order of their training.

    Never those of a version that served or is the challenger, nor those of the newest training.
    """
    length = model.candidate_retention
    trained = sorted(candidates(platform, model), key=lambda record: record.trained_at)
    if length is None or not trained:
        return []
    states, gone = version_states(platform, model), deleted_candidates(platform, model)
    served = {one.version for one in transitions(platform, model) if one.kind in PROMOTIONS}
    numbers = {one.candidate: one.version for one in versions(platform, model)}
    found = []
    for record in trained:
        number = numbers.get(record.key)
        kept = number in served or (number is not None and states[number] == "challenger")
        newest = record.trained_at == trained[-1].trained_at
        old = add_months(record.trained_at, length.months) + length.rest <= platform.clock.now()
        if old and not kept and not newest and record.key not in gone:
            found.append(Pruned(record.key, number, record.trained_at))
    return found


def deleted_candidates(platform: Platform, model: ModelDefinition) -> set[str]:
    """The keys of the candidates whose fits were deleted, by a person or by the model's retention."""
    deleted = {one.version for one in transitions(platform, model) if one.kind == "deletion"}
    pruned = {record.candidate for record in read_records(platform.records(model, "pruned"), PrunedRecord)}
    return pruned | {one.candidate for one in versions(platform, model) if one.version in deleted}


def prune(platform: Platform, model: ModelDefinition) -> list[Pruned]:
    """Delete what `prunable` names; killed anywhere and run again, the same in the end.

    Raises:
        ConflictError: Something else was decided at the same time; what was deleted before is recorded.
    """
    found = prunable(platform, model)
    trained = {record.key: record for record in candidates(platform, model)}
    reason = f"it never served, and is older than {model.candidate_retention}"
    for item in found:
        if item.version is not None:
            _delete(platform, model, item.version, BY_RETENTION, reason)
            continue
        _delete_fits(platform, trained[item.candidate])
        record = PrunedRecord(item.candidate, platform.clock.note(), BY_RETENTION, reason)
        write_new_record(platform.records(model, "pruned"), record)
    return found


def _delete(platform: Platform, model: ModelDefinition, version: int, by: str, reason: str) -> TransitionRecord:
    made = transitions(platform, model)
    state = require_version(platform, model, version)
    if any(one.version == version and one.kind in PROMOTIONS for one in made):
        raise ContractError(
            f"version {version} of '{model.name}' served",
            "a version that never served: what predictions were made by is never deleted",
            f"take it out instead: mlops-assets models retire {model.name} {version} --reason …",
        )
    if state == "deleted":
        record = _last_of(made, version)
    else:
        record = decide(platform, model, made, version, "deletion", by, reason)
    _remove(platform, model, version)
    sync_aliases(platform, model)
    return record


def _remove(platform: Platform, model: ModelDefinition, version: int) -> None:
    delete_version(registry_of(platform), model.name, version)
    _delete_fits(platform, candidate_of_version(platform, model, version))


def _delete_fits(platform: Platform, training: CandidateRecord) -> None:
    for uri in (training.model_uri, training.judged_uri):
        delete_fit(registry_of(platform), uri)


def _last_of(made: Sequence[TransitionRecord], version: int) -> TransitionRecord:
    return next(one for one in reversed(made) if one.version == version)
