"""What is remembered of a model: its trainings, its versions, and what became of each; records are never changed."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from mlops_assets.lakehouse.periods import Period
from mlops_assets.lakehouse.records import read_records
from mlops_assets.models.evaluation import Evaluation
from mlops_assets.models.fit_files import FitFile
from mlops_assets.models.intervals import HALF_WIDTH
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ModelDefinition


@dataclass(frozen=True)
class JudgedPeriod:
    """How a judged fit did in one period of its validation.

    Args:
        period: Key of the period that was predicted from.
        rows: How many.
        error: By the metric that the model is watched by.
        baseline_error: The baseline's on the same rows.
    """

    period: str
    rows: int
    error: float
    baseline_error: float


@dataclass(frozen=True)
class CandidateRecord:
    """One training and its judgement.

    Args:
        key: The period trained at and the beginning of ``inputs_hash`` (see `candidate_key`): trainings of one period
            on other rows, by other rules or asked for again are candidates of their own.
        at: Key of the period trained at.
        trained_at: Platform clock, UTC.
        reason: Why it was asked for, in words.
        requested_by: The policy, or a person.
        request: Which recorded request of a person it answers; empty for the policy's.
        inputs_hash: Hash of the training set and of all that decided how it was trained.
        run_id: MLflow run.
        model_uri: The fit on everything known, which serves once it won.
        judged_uri: The fit without the newest periods, which is judged.
        model_hash: Content hash of the fit that serves.
        level: Error of the judged fit on the validation, by the model's metric: what performance is held against.
        verdict: What the gates said, in words.
        outcomes: What each gate said, as JSON.
        passed: Whether it may become a version.
        generation: The model's generation: its own definition.
        trained_on: Generations of labels and tables, and the columns of them that it uses, as JSON.
        baseline: What the baseline learned from everything known, as JSON.
        figures: Metrics by who predicted, and rows, as JSON.
        template: Name and version of the template.
        template_hash: Hash of its recipe.
        params: The template's parameters that both fits were given, chosen ones among them, as JSON.
        training_set: Data version of the training set.
        fitting: What else decides a fit, beside rows, template and parameters: seed, threads, weights, as JSON.
        environment: Hash of the environment that it was fitted in.
        files: How its fits were kept, by name, as JSON.
        calibration: What brings the probabilities of a classification to what came true of the judged rows, as JSON
            (`mlops_assets.models.calibration`); empty of what was trained before it was looked at.
        leaks: Whether its features know more than was known, in words; empty where that was not looked for yet.
        judged_by_period: `JudgedPeriod` of each period of the validation, in their order, as JSON.
        kind: What was fitted: the model's ``template``, or the ``baseline``, to serve in the place of a champion that
            is worse (`mlops_assets.models.fallback`).
    """

    key: str
    at: str
    trained_at: datetime
    reason: str
    requested_by: str
    request: str
    inputs_hash: str
    run_id: str
    model_uri: str
    judged_uri: str
    model_hash: str
    level: float
    verdict: str
    outcomes: str
    passed: bool
    generation: str
    trained_on: str
    baseline: str
    figures: str
    template: str
    template_hash: str
    params: str
    training_set: str
    fitting: str
    environment: str
    files: str
    calibration: str = ""
    leaks: str = ""
    judged_by_period: str = "[]"
    kind: str = "template"

    @property
    def judged_periods(self) -> list[JudgedPeriod]:
        """What ``judged_by_period`` holds."""
        return [JudgedPeriod(**one) for one in json.loads(self.judged_by_period)]

    @property
    def is_baseline(self) -> bool:
        """Whether it is the baseline, fitted to serve."""
        return self.kind == "baseline"

    @property
    def kept(self) -> Mapping[str, FitFile]:
        """How its fits were kept, by name."""
        return {name: FitFile.from_json(of) for name, of in json.loads(self.files).items()}

    @property
    def figure_values(self) -> Mapping[str, float]:
        """The figures, by name."""
        return dict(json.loads(self.figures))

    @property
    def half_width(self) -> float:
        """How far its intervals reach to each side, in the label's unit; NaN where it has none."""
        return self.figure_values.get(HALF_WIDTH, math.nan)


@dataclass(frozen=True)
class EvaluationRecord:
    """The report of a candidate.

    Args:
        key: The candidate's.
        report: What `mlops_assets.models.evaluation.Evaluation.to_json` wrote.
    """

    key: str
    report: str


@dataclass(frozen=True)
class VersionRecord:
    """A candidate that was registered.

    Args:
        version: MLflow's number.
        candidate: Key of the candidate.
        at: Key of the period trained at.
    """

    version: int
    candidate: str
    at: str


TransitionKind = Literal["promotion", "rollback", "retirement", "deletion"]
PROMOTIONS: tuple[TransitionKind, ...] = ("promotion", "rollback")
"""What makes a version the one that serves."""


@dataclass(frozen=True)
class TransitionRecord:
    """What became of a version; all transitions of a model are one row of numbers, so that no two cross.

    Args:
        number: Counts a model's transitions from 1.
        version: Which version.
        kind: It serves from now on (``promotion``, or ``rollback`` to one that served before), takes no more part
            (``retirement``), or is gone (``deletion``).
        happened_at: Platform clock, UTC; never before the transition before it.
        by: Who or what decided it.
        reason: Why, in words.
    """

    number: int
    version: int
    kind: TransitionKind
    happened_at: datetime
    by: str
    reason: str


@dataclass(frozen=True)
class ComparisonRecord:
    """How a challenger did in the shadow of the champion: on the rows of one period, and on all of both so far.

    Args:
        period: Key of the period in which the labels became known.
        about: Key of the period that was predicted from.
        champion: The version that served.
        challenger: The version that competed with it.
        metric: The metric that the model is watched by.
        rows: Rows of the period that both predicted and that have a label.
        figures: All metrics of the task that these rows define, by ``champion_…``, ``challenger_…`` and
            ``difference_…`` (challenger minus champion), as JSON.
        periods: How many periods this challenger has been compared with this champion in, this one among them.
        running_rows: Rows of all these periods.
        running_figures: As ``figures``, on all these rows together.
    """

    period: str
    about: str
    champion: int
    challenger: int
    metric: str
    rows: int
    figures: str
    periods: int
    running_rows: int
    running_figures: str

    @property
    def figure_values(self) -> Mapping[str, float]:
        """The figures of the period, by name."""
        return dict(json.loads(self.figures))

    @property
    def running_values(self) -> Mapping[str, float]:
        """The running figures, by name."""
        return dict(json.loads(self.running_figures))

    @property
    def words(self) -> str:
        """The running comparison in one line."""
        found = self.running_values
        mine, theirs = (found.get(f"{who}_{self.metric}") for who in ("challenger", "champion"))
        figures = "no figure yet" if mine is None or theirs is None else f"{mine:.4f}, the champion's {theirs:.4f}"
        return (
            f"in the shadow of version {self.champion} over {self.periods} periods with {self.running_rows} rows, up "
            f"to {self.about}: {self.metric} {figures}"
        )


def candidate_key(at: Period, inputs_hash: str) -> str:
    """The key of a candidate."""
    return f"{at.key}.{inputs_hash[:8]}"


def candidates(platform: Platform, model: ModelDefinition) -> list[CandidateRecord]:
    """Every training of a model, in the order of periods, and of time where there are several at one."""
    records = read_records(platform.records(model, "candidate"), CandidateRecord)
    return sorted(records, key=lambda record: (record.at, record.trained_at))


def evaluation_of(platform: Platform, model: ModelDefinition, candidate: str) -> Evaluation | None:
    """The report of a candidate; None where there is none of that key."""
    return evaluations(platform, model, [candidate]).get(candidate)


def evaluations(platform: Platform, model: ModelDefinition, of: Sequence[str]) -> dict[str, Evaluation]:
    """The reports of some candidates, by their keys, without segments of columns that became personal since."""
    found = read_records(platform.records(model, "evaluation"), EvaluationRecord, of)
    return {record.key: Evaluation.from_json(record.report).without(model.personal_names) for record in found}


def versions(platform: Platform, model: ModelDefinition) -> list[VersionRecord]:
    """Every registered version of a model, in the order of numbers."""
    return read_records(platform.records(model, "version"), VersionRecord)


def transitions(platform: Platform, model: ModelDefinition) -> list[TransitionRecord]:
    """All that became of a model's versions, in the order of numbers, which is that of time."""
    return read_records(platform.records(model, "transition"), TransitionRecord)


def comparisons(platform: Platform, model: ModelDefinition) -> list[ComparisonRecord]:
    """Every comparison of a challenger with the champion of its time, in the order of periods."""
    return read_records(platform.records(model, "challenger_comparison"), ComparisonRecord)


def promotions(platform: Platform, model: ModelDefinition) -> list[TransitionRecord]:
    """The transitions that made a version the one that serves, rollbacks among them, in the order of time."""
    return [record for record in transitions(platform, model) if record.kind in PROMOTIONS]


def champion_at(platform: Platform, model: ModelDefinition, period: Period) -> TransitionRecord | None:
    """The promotion of the champion that a period is scored by: the last one before its as_of.

    Strictly before, for at one moment of the clock a period is scored first, then judged, then trained on.
    """
    return champion_before(promotions(platform, model), platform.model_as_of(model, period))


def champion_before(promoted: Sequence[TransitionRecord], as_of: datetime) -> TransitionRecord | None:
    """The last of some promotions, in the order of time, before an as_of; None where there is none."""
    return next((record for record in reversed(promoted) if record.happened_at < as_of), None)


def periods_with_champion(platform: Platform, model: ModelDefinition, periods: Iterable[Period]) -> set[Period]:
    """Those of the periods that have a champion to be scored by (see `champion_at`)."""
    promoted = promotions(platform, model)
    if not promoted:
        return set()
    return {period for period in periods if promoted[0].happened_at < platform.model_as_of(model, period)}


def present_champion(platform: Platform, model: ModelDefinition) -> TransitionRecord | None:
    """The promotion of the champion now."""
    return champion_after(transitions(platform, model))


def champion_after(made: Sequence[TransitionRecord]) -> TransitionRecord | None:
    """The promotion of the champion after some transitions, in the order of numbers."""
    return next((record for record in reversed(made) if record.kind in PROMOTIONS), None)


def candidate_of_version(platform: Platform, model: ModelDefinition, version: int) -> CandidateRecord:
    """The training that a version came from; KeyError where there is no such version."""
    key = {record.version: record.candidate for record in versions(platform, model)}[version]
    return {record.key: record for record in candidates(platform, model)}[key]
