"""From a candidate that passed its gates to the version that serves, and back.

A decision is one row of a model's transitions, whose number only one writer gets; what MLflow shows follows it.
"""

from collections.abc import Sequence

from mlops_assets.errors import ConflictError, ContractError, MissingDataError
from mlops_assets.governance.access import AT_THE_MACHINE, Principal
from mlops_assets.governance.approvals import Approval
from mlops_assets.lakehouse.periods import Period
from mlops_assets.lakehouse.records import write_new_record
from mlops_assets.models.agreement import agreement, record_agreement, require_agreement
from mlops_assets.models.records import (
    CandidateRecord,
    TransitionKind,
    TransitionRecord,
    VersionRecord,
    candidate_of_version,
    candidates,
    champion_after,
    present_champion,
    transitions,
    versions,
)
from mlops_assets.models.registry import register_version, registry_of
from mlops_assets.models.registry_index import show_states
from mlops_assets.models.states import NEVER_SERVED, State, version_in, version_states
from mlops_assets.models.stored_fits import reread_fit
from mlops_assets.models.verdict import Verdict
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ModelDefinition

BY_GATES = "the gates"
"""Who decides on a promotion where no approval is required."""

ALIASES: tuple[State, ...] = ("champion", "challenger", "previous")
"""The states that MLflow shows as aliases."""

IN_WORDS = {
    "promotion": "promoted to champion",
    "rollback": "rolled back to",
    "retirement": "retired",
    "deletion": "deleted",
}


def register(platform: Platform, model: ModelDefinition, at: Period) -> VersionRecord | None:
    """Register the newest candidate of a period as a version; None where its gates said no.

    Raises:
        MissingDataError: Nothing was trained at the period.
        ConflictError: Another process registered it at the same moment.
    """
    candidate = newest_candidate(platform, model, at)
    if not candidate.passed:
        return None
    record = version_of(platform, model, candidate)
    if record is None:
        version = register_version(
            registry_of(platform),
            model_name=model.name,
            model_uri=candidate.model_uri,
            run_id=candidate.run_id,
            tags={"period": at.key, "reason": candidate.reason, "model_hash": candidate.model_hash},
        )
        record = VersionRecord(version, candidate.key, at.key)
        write_new_record(platform.records(model, "version"), record)
    sync_aliases(platform, model)
    return record


def promote(platform: Platform, model: ModelDefinition, version: int) -> TransitionRecord:
    """Make a version the champion, from now on; running it again changes nothing.

    Raises:
        ContractError: It may not serve (see `require_promotable`), or no approval of it is there.
        MissingDataError: What it rests on was not computed, or its fit is gone.
        ConflictError: Something else was decided about the model's versions at the same time.
    """
    made = transitions(platform, model)
    champion = champion_after(made)
    if champion is None or champion.version != version:
        training = require_promotable(platform, model, version)
        approval = valid_approval(platform, model, version)
        if approval is None and model.approval == "required":
            raise ContractError(
                f"version {version} of '{model.name}', which nobody approved in place of "
                f"{f'version {champion.version}' if champion else 'none'}",
                f"an approval of this version with the hash {training.model_hash[:16]}…",
                f"look at it, then: mlops-assets models approve {model.name} {version} --reason …",
            )
        by, reason = (approval.by, approval.reason) if approval else (BY_GATES, training.verdict)
        champion = decide(platform, model, made, version, "promotion", by, reason)
    sync_aliases(platform, model)
    return champion


def rollback(
    platform: Platform, model: ModelDefinition, principal: Principal, reason: str, to: int | None = None
) -> TransitionRecord:
    """Let a version that served before serve again, from now on; past periods stay scored by the champion of then.

    Gates are not compared again, but the version must still load, be what was registered, and may score.

    Args:
        platform: The platform.
        model: The model.
        principal: Who decides it.
        reason: Why, in words.
        to: Which version; None for the one that served before the champion.

    Raises:
        ForbiddenError: Who asks may not decide it.
        ContractError: The version never served, was retired, or may not score.
        MissingDataError: There is no such version, or none that served before.
        ConflictError: Something else was decided about the model's versions at the same time.
    """
    require_decider(platform, model, principal, reason)
    made = transitions(platform, model)
    version = to if to is not None else version_in(version_states(platform, model), "previous")
    if version is None:
        raise MissingDataError(
            f"no version of '{model.name}' that served before the champion and was not rolled back from",
            "one to go back to",
            f"name one with --to (mlops-assets models show {model.name})",
        )
    state = require_version(platform, model, version)
    champion = champion_after(made)
    if champion is None or champion.version != version:
        if state not in ("previous", "served"):
            raise ContractError(
                f"version {version} of '{model.name}' is {state}",
                "a version that served before, and was not retired",
                f"name another (mlops-assets models show {model.name})",
            )
        require_servable(platform, model, version)
        champion = decide(platform, model, made, version, "rollback", principal.name, reason)
    sync_aliases(platform, model)
    return champion


def require_promotable(platform: Platform, model: ModelDefinition, version: int) -> CandidateRecord:
    """See, from what is recorded and stored, that a version may become champion, whoever approves it.

    Returns:
        The training that it came from.

    Raises:
        ContractError: It served before, was retired or deleted, is older than the champion, did not pass its gates,
            or is not what was registered; or the definitions say something else now.
        MissingDataError: There is no such version, what it rests on was not computed, or its fit is gone.
    """
    state = require_version(platform, model, version)
    named = f"version {version} of '{model.name}'"
    again = f"; to let it serve again: mlops-assets models rollback {model.name} --to {version} --reason …"
    require_never_served(model, version, state, f"name another{again if state in ('previous', 'served') else ''}")
    champion = present_champion(platform, model)
    if champion is not None and version < champion.version:
        raise ContractError(
            f"{named} is older than the champion, version {champion.version}, and was never compared with it",
            "a version newer than the champion",
            "name a newer one, or train again",
        )
    training = candidate_of_version(platform, model, version)
    verdict = Verdict.from_json(training.outcomes)
    if not training.passed or not verdict.passed:
        raise ContractError(
            f"{named} did not pass its gates: {verdict.reason}",
            "a version whose candidate passed every gate",
            "train again, or change the gates in the model's YAML and train again",
        )
    require_servable(platform, model, version)
    return training


def require_servable(platform: Platform, model: ModelDefinition, version: int) -> None:
    """See that a version may score on the definitions as they stand, loads, and is the fit that was recorded.

    Raises:
        ContractError: It may not, or is another.
        MissingDataError: What it rests on was not computed, or its fit is gone.
    """
    training = candidate_of_version(platform, model, version)
    agreed = agreement(platform, model, training)
    require_agreement(agreed, model, version)
    record_agreement(platform, model, training, agreed)
    reread_fit(platform, model, training)  # what lies there now, not what this process keeps in memory


def valid_approval(platform: Platform, model: ModelDefinition, version: int) -> Approval | None:
    """The approval by which a version may replace the present champion: the last word on it, and on exactly its fit."""
    last = platform.approvals.last(model.name, version)
    if last is None or last.meaning != "approved":
        return None
    champion = present_champion(platform, model)
    training = candidate_of_version(platform, model, version)
    wanted = (training.model_hash, champion.version if champion else None)
    return last if (last.model_hash, last.replaces) == wanted else None


def require_decider(platform: Platform, model: ModelDefinition, principal: Principal, reason: str) -> None:
    """See that somebody may decide about versions, and says why.

    It needs the scope ``models:approve``; where no approval is required, the person at the machine may, too.

    Raises:
        ForbiddenError: They may not.
        ContractError: They give no reason.
    """
    if principal != AT_THE_MACHINE or model.approval == "required":
        principal.require("models:approve", platform.project.roles)
    if not reason.strip():
        raise ContractError("no reason", "why, in words: it is recorded", "give a reason")


def require_version(platform: Platform, model: ModelDefinition, version: int) -> State:
    """The state of a version.

    Raises:
        MissingDataError: There is none of this number.
    """
    states = version_states(platform, model)
    if version not in states:
        raise MissingDataError(
            f"no version {version} of '{model.name}'",
            f"one of: {', '.join(map(str, states)) or 'it has no version yet'}",
            f"look with mlops-assets models show {model.name}",
        )
    return states[version]


def require_never_served(model: ModelDefinition, version: int, state: State, cure: str) -> None:
    """See that a version never served and was not taken out.

    Raises:
        ContractError: It served, or was retired or deleted.
    """
    if state not in NEVER_SERVED:
        raise ContractError(
            f"version {version} of '{model.name}' is {state}",
            "a version that never served and was neither retired nor deleted",
            cure,
        )


def decide(
    platform: Platform,
    model: ModelDefinition,
    made: Sequence[TransitionRecord],
    version: int,
    kind: TransitionKind,
    by: str,
    reason: str,
) -> TransitionRecord:
    """Record what becomes of a version, as the next transition after those that were looked at.

    Returns:
        The transition; where another writer recorded the same at the same time, that one.

    Raises:
        ConflictError: Another transition was recorded meanwhile; nothing was written.
    """
    number = made[-1].number + 1 if made else 1
    now = platform.clock.note()
    moment = max(now, made[-1].happened_at) if made else now
    record = TransitionRecord(number, version, kind, moment, by, reason)
    try:
        write_new_record(platform.records(model, "transition"), record)
    except ConflictError as error:
        other = next((one for one in transitions(platform, model) if one.number == number), None)
        if other is None:
            raise
        if (other.version, other.kind) == (version, kind):
            return other
        raise decided_meanwhile(model, version, kind, other) from error
    return record


def decided_meanwhile(
    model: ModelDefinition, version: int, kind: TransitionKind, other: TransitionRecord
) -> ConflictError:
    """What is told to whoever decided on what they had looked at before another transition was recorded."""
    return ConflictError(
        f"version {version} of '{model.name}' was to be {IN_WORDS[kind]}, and at the same time version "
        f"{other.version} was {IN_WORDS[other.kind]} by {other.by}: {other.reason}",
        "one decision about a model's versions at a time",
        f"look at what was decided (mlops-assets models show {model.name}), and decide anew",
    )


def sync_aliases(platform: Platform, model: ModelDefinition) -> None:
    """Let MLflow show what is recorded: aliases champion, challenger and previous, and the state of each version."""
    states = version_states(platform, model)
    aliases: dict[str, int | None] = {state: version_in(states, state) for state in ALIASES}
    show_states(registry_of(platform), model.name, aliases, states)


def newest_candidate(platform: Platform, model: ModelDefinition, at: Period) -> CandidateRecord:
    """The candidate that was trained last at a period; of several at one moment, one without a version that passed.

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
    return max(found, key=lambda record: (record.trained_at, record.key not in registered, record.passed))


def version_of(platform: Platform, model: ModelDefinition, candidate: CandidateRecord) -> VersionRecord | None:
    """The version that a candidate was registered as, if it was."""
    found = [record for record in versions(platform, model) if record.candidate == candidate.key]
    return found[0] if found else None
