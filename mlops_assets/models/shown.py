"""The versions of a model for people and programs: what each came from, how it was judged, what became of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from mlops_assets.client import Comparison, GateOutcome, Model
from mlops_assets.governance.approvals import Approval
from mlops_assets.models.evaluation import Evaluation
from mlops_assets.models.evaluation_text import as_lines, in_brief
from mlops_assets.models.intervals import interval_words
from mlops_assets.models.promotion import require_version
from mlops_assets.models.records import (
    ComparisonRecord,
    TransitionRecord,
    candidates,
    comparisons,
    evaluations,
    transitions,
    versions,
)
from mlops_assets.models.states import State, version_in, version_states
from mlops_assets.models.verdict import Verdict
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ModelDefinition


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
        verdict: What the gates said, in words.
        gates: What each gate said.
        figures: Metrics by who predicted, and rows.
        model_hash: Content hash of the fit that serves.
        run_id: MLflow run.
        evaluation: Its report; None where it is gone.
        approvals: Who approved or rejected it, when and why.
        transitions: What became of it: when, by whom and why.
        comparison: The newest comparison with the champion in whose shadow it scored; None where it never did.
        intervals: What its intervals are, in words; empty where the model has none.
        leaks: Whether its features knew more than was known, in words; empty where that was not looked for.
    """

    version: int
    state: State
    trained_at_period: str
    trained_at: datetime
    trained_for: str
    requested_by: str
    verdict: str
    gates: tuple[GateOutcome, ...]
    figures: Mapping[str, float]
    model_hash: str
    run_id: str
    evaluation: Evaluation | None
    approvals: tuple[Approval, ...]
    transitions: tuple[TransitionRecord, ...]
    comparison: Comparison | None
    intervals: str
    leaks: str


def shown_models(platform: Platform) -> list[Model]:
    """The models of a project, in its order."""
    found = []
    for model in platform.project.models.values():
        states = version_states(platform, model)
        found.append(
            Model(
                model=model.name,
                champion=version_in(states, "champion"),
                previous=version_in(states, "previous"),
                challenger=version_in(states, "challenger"),
                approval=model.approval,
                versions=len(states),
            )
        )
    return found


def shown_versions(platform: Platform, model: ModelDefinition, version: int | None = None) -> list[ShownVersion]:
    """The versions of a model in the order of numbers, or one of them.

    Raises:
        MissingDataError: There is no such version.
    """
    made, states = transitions(platform, model), version_states(platform, model)
    compared = {one.challenger: _comparison(one) for one in comparisons(platform, model)}
    if version is not None:
        require_version(platform, model, version)
    chosen = [record for record in versions(platform, model) if version in (None, record.version)]
    trainings = {record.key: record for record in candidates(platform, model)}
    reports = evaluations(platform, model, [record.candidate for record in chosen])
    shown = []
    for record in chosen:
        training = trainings[record.candidate]
        shown.append(
            ShownVersion(
                version=record.version,
                state=states[record.version],
                trained_at_period=training.at,
                trained_at=training.trained_at,
                trained_for=training.reason,
                requested_by=training.requested_by,
                verdict=training.verdict,
                gates=Verdict.from_json(training.outcomes).outcomes,
                figures=training.figure_values,
                model_hash=training.model_hash,
                run_id=training.run_id,
                evaluation=reports.get(record.candidate),
                approvals=tuple(one for one in platform.approvals.of(model.name) if one.version == record.version),
                transitions=tuple(one for one in made if one.version == record.version),
                comparison=compared.get(record.version),
                intervals=interval_words(training.figure_values) if model.intervals else "",
                leaks=training.leaks,
            )
        )
    return shown


def _comparison(record: ComparisonRecord) -> Comparison:
    """What a record says of all periods so far."""
    return Comparison(
        record.champion, record.about, record.periods, record.running_rows, record.running_values, record.words
    )


def as_text(shown: ShownVersion, *, whole: bool = True) -> str:
    """A version for people; its evaluation in one line, or as a whole."""
    lines = [
        f"version {shown.version}: {shown.state}",
        f"  trained at {shown.trained_at_period} ({shown.trained_at.isoformat()}), asked for by {shown.requested_by}: "
        f"{shown.trained_for}",
        f"  gates: {shown.verdict}",
    ]
    if shown.evaluation:
        told = as_lines(shown.evaluation) if whole else [f"evaluation: {in_brief(shown.evaluation)}"]
        lines += [f"  {line}" for line in told]
    lines += [f"  {words}" for words in (shown.intervals, shown.leaks) if words]
    if shown.comparison:
        lines.append(f"  {shown.comparison.words}")
    lines += [f"  {one.meaning} at {one.at.isoformat()} by {one.by}: {one.reason}" for one in shown.approvals]
    lines += [
        f"  {one.kind} {one.number} at {one.happened_at.isoformat()} by {one.by}: {one.reason}"
        for one in shown.transitions
    ]
    return "\n".join(lines)
