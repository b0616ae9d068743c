"""The versions of a model for people and programs: what each came from, how it was judged, what became of it."""

from dataclasses import dataclass
from datetime import datetime

from mlops_assets.errors import MissingDataError
from mlops_assets.models.records import TransitionRecord, candidate_of_version, transitions, versions
from mlops_assets.models.states import State, states_of
from mlops_assets.project.definition import ModelDefinition
from mlops_assets.project.platform import Platform


@dataclass(frozen=True)
class ShownVersion:
    """One version.

    Args:
        version: Its number.
        state: What has become of it.
        trained_at_period: Key of the period trained at.
        trained_at: When, platform clock, UTC.
        trained_for: Why the training was asked for.
        requested_by: Who asked for it.
        verdict: What the gates said.
        model_hash: Content hash of the fit that serves.
        run_id: MLflow run.
        transitions: What was decided about it: when, by whom and why.
    """

    version: int
    state: State
    trained_at_period: str
    trained_at: datetime
    trained_for: str
    requested_by: str
    verdict: str
    model_hash: str
    run_id: str
    transitions: tuple[TransitionRecord, ...]


def shown_versions(platform: Platform, model: ModelDefinition, version: int | None = None) -> list[ShownVersion]:
    """The versions of a model in the order of numbers, or one of them.

    Raises:
        MissingDataError: There is no such version.
    """
    registered, made = versions(platform, model), transitions(platform, model)
    states = states_of(registered, made)
    require_version(model, version, states)
    shown = []
    for record in registered:
        if version not in (None, record.version):
            continue
        training = candidate_of_version(platform, model, record.version)
        shown.append(
            ShownVersion(
                version=record.version,
                state=states[record.version],
                trained_at_period=training.at,
                trained_at=training.trained_at,
                trained_for=training.reason,
                requested_by=training.requested_by,
                verdict=training.verdict,
                model_hash=training.model_hash,
                run_id=training.run_id,
                transitions=tuple(one for one in made if one.version == record.version),
            )
        )
    return shown


def require_version(model: ModelDefinition, version: int | None, states: dict[int, State]) -> None:
    """See that a version is there.

    Raises:
        MissingDataError: It is not.
    """
    if version is not None and version not in states:
        raise MissingDataError(
            f"no version {version} of '{model.name}'",
            f"one of: {', '.join(map(str, states)) or 'it has no version yet'}",
            f"look with mlops-assets models show {model.name}",
        )


def as_text(shown: ShownVersion) -> str:
    """A version for people."""
    lines = [
        f"version {shown.version}: {shown.state}",
        f"  trained at {shown.trained_at_period} ({shown.trained_at.isoformat()}), asked for by {shown.requested_by}: "
        f"{shown.trained_for}",
        f"  gates: {shown.verdict}",
    ]
    lines += [
        f"  {one.kind} {one.number} at {one.happened_at.isoformat()} by {one.by}: {one.reason}"
        for one in shown.transitions
    ]
    return "\n".join(lines)
