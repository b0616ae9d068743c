"""What has become of each version of a model, from the records alone."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Literal

from mlops_assets.governance.approvals import Approval
from mlops_assets.lakehouse.periods import Period
from mlops_assets.models.records import (
    PROMOTIONS,
    TransitionRecord,
    VersionRecord,
    candidates,
    champion_after,
    transitions,
    versions,
)
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ModelDefinition

State = Literal["registered", "challenger", "champion", "previous", "served", "retired", "deleted"]

NEVER_SERVED: tuple[State, ...] = ("registered", "challenger")
"""The states from which a version may be promoted or rejected."""


def version_states(platform: Platform, model: ModelDefinition) -> dict[int, State]:
    """The state of each version of a model, in the order of numbers (see `states_of`)."""
    rejected = _rejected(platform.approvals.of(model.name))
    return states_of(versions(platform, model), transitions(platform, model), rejected)


def challengers_at(platform: Platform, model: ModelDefinition, periods: Iterable[Period]) -> dict[Period, int]:
    """The version that was the challenger of each period's time, where there was one beside a champion.

    It was trained before the period's as_of, and what was decided before that left it the challenger (see
    `states_of`). Strictly before, as with `champion_at`: later decisions change nothing about a past period.
    """
    asked = list(periods)
    if not asked:
        return {}
    registered, made = versions(platform, model), transitions(platform, model)
    trained = {record.key: record.trained_at for record in candidates(platform, model)}
    decided = platform.approvals.of(model.name)
    found = {}
    for period in asked:
        as_of = platform.model_as_of(model, period)
        before = [one for one in made if one.happened_at < as_of]
        there = [one for one in registered if trained[one.candidate] < as_of]
        states = states_of(there, before, _rejected(one for one in decided if one.at < as_of))
        challenger = version_in(states, "challenger")
        if challenger is not None and champion_after(before) is not None:
            found[period] = challenger
    return found


def _rejected(decisions: Iterable[Approval]) -> list[int]:
    last = {decision.version: decision.meaning for decision in decisions}
    return [version for version, meaning in last.items() if meaning == "rejected"]


def version_in(states: Mapping[int, State], state: State) -> int | None:
    """The version in a state that only one can be in: champion, challenger or previous; None where none is."""
    return next((version for version, found in states.items() if found == state), None)


def states_of(
    registered: Sequence[VersionRecord], made: Sequence[TransitionRecord], rejected: Collection[int] = ()
) -> dict[int, State]:
    """The state of each version.

    ``champion`` serves, and ``previous`` served before it. ``challenger`` is the newest one that never served, if it
    is newer than all that did and was not rejected: it competes, or waits for approval. Of the others, those that
    served are ``served``, those that never did ``registered``; those that were taken out are ``retired`` or
    ``deleted``.

    Args:
        registered: The versions, in the order of numbers.
        made: Their transitions, in the order of numbers.
        rejected: The versions that a person said no to.
    """
    ended: Mapping[int, State] = {
        record.version: "deleted" if record.kind == "deletion" else "retired"
        for record in made
        if record.kind not in PROMOTIONS
    }
    served = [record.version for record in made if record.kind in PROMOTIONS]
    order = serving_order(made)
    states: dict[int, State] = {}
    for record in registered:
        states[record.version] = ended.get(record.version, "served" if record.version in served else "registered")
    before = [version for version in order[:-1] if version not in ended]
    if before:
        states[before[-1]] = "previous"
    if order:
        states[order[-1]] = "champion"
    newest = max(
        (version for version, state in states.items() if state == "registered" and version not in rejected), default=0
    )
    if newest > max(served, default=0):
        states[newest] = "challenger"
    return states


def serving_order(made: Sequence[TransitionRecord]) -> list[int]:
    """The versions that lead to the champion, which is the last: what was rolled back from is not among them."""
    order: list[int] = []
    for record in made:
        if record.kind in PROMOTIONS and record.version in order:
            order = order[: order.index(record.version)]
        if record.kind in PROMOTIONS:
            order.append(record.version)
    return order
