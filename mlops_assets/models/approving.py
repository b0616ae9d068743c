"""A person's word on a version: approved, it is the champion from now on; rejected, it waits no longer."""

from mlops_assets.errors import ContractError
from mlops_assets.governance.access import Principal
from mlops_assets.governance.approvals import Approval, Meaning
from mlops_assets.models.promotion import (
    decided_meanwhile,
    promote,
    require_decider,
    require_never_served,
    require_promotable,
    require_version,
    sync_aliases,
    valid_approval,
)
from mlops_assets.models.records import TransitionRecord, candidate_of_version, present_champion
from mlops_assets.models.states import NEVER_SERVED, version_states
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ModelDefinition


def approve(
    platform: Platform, model: ModelDefinition, version: int, principal: Principal, reason: str
) -> TransitionRecord:
    """Approve a version in place of the present champion, and promote it at once; run again, it goes on.

    Who asked for its training may approve it, too: both are recorded.

    Raises:
        ForbiddenError: Who asks has not the scope ``models:approve``; it is needed even where no approval is.
        ContractError: The version may not be promoted, or no reason is given.
        MissingDataError: There is no such version, or what it rests on is not there.
        ConflictError: Something else was decided at the same time; an approval does not hold beside another champion.
    """
    principal.require("models:approve", platform.project.roles)
    require_decider(platform, model, principal, reason)
    require_version(platform, model, version)
    champion = present_champion(platform, model)
    if champion is not None and champion.version == version:
        return promote(platform, model, version)
    try:
        require_promotable(platform, model, version)
        _record(platform, model, version, principal, reason, "approved", champion)
        if present_champion(platform, model) == champion:
            return promote(platform, model, version)
    except ContractError:
        if present_champion(platform, model) == champion:
            raise
    now = present_champion(platform, model)
    if now is not None and now.version != version:
        raise decided_meanwhile(model, version, "promotion", now)
    return promote(platform, model, version)


def reject(platform: Platform, model: ModelDefinition, version: int, principal: Principal, reason: str) -> Approval:
    """Reject a version: it waits no longer, until somebody approves it after all.

    Raises:
        ForbiddenError: Who asks has not the scope ``models:approve``.
        ContractError: The version served, or was retired or deleted; or no reason is given.
        MissingDataError: There is no such version.
    """
    principal.require("models:approve", platform.project.roles)
    require_decider(platform, model, principal, reason)
    state = require_version(platform, model, version)
    cure = f"to let another version serve: mlops-assets models rollback {model.name}"
    require_never_served(model, version, state, cure)
    champion = present_champion(platform, model)
    approval = _record(platform, model, version, principal, reason, "rejected", champion)
    sync_aliases(platform, model)
    return approval


def finish_approved(platform: Platform, model: ModelDefinition) -> TransitionRecord | None:
    """Promote the version whose approval holds, if who approved it was ended before that; None where none waits.

    Raises:
        ContractError: It may not be promoted any more.
        MissingDataError: What it rests on is not there.
        ConflictError: Something else was decided at the same time.
    """
    states = version_states(platform, model)
    for approval in reversed(platform.approvals.of(model.name)):
        waits = states.get(approval.version) in NEVER_SERVED
        if waits and valid_approval(platform, model, approval.version) == approval:
            return promote(platform, model, approval.version)
    return None


def _record(
    platform: Platform,
    model: ModelDefinition,
    version: int,
    principal: Principal,
    reason: str,
    meaning: Meaning,
    champion: TransitionRecord | None,
) -> Approval:
    return platform.approvals.record(
        Approval(
            model=model.name,
            version=version,
            model_hash=candidate_of_version(platform, model, version).model_hash,
            replaces=champion.version if champion else None,
            by=principal.name,
            roles=principal.roles,
            at=platform.clock.note(),
            meaning=meaning,
            reason=reason.strip(),
        )
    )
