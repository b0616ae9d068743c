"""What became of a model, period by period: how it erred, what drifted, what was trained, and how it stands now.

All of it is read from records; nothing is computed again. The axis is that of the periods that were predicted from, so
that what drifted in a period stands beside the error of the predictions that were made from it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from math import nan
from typing import Literal

from mlops_assets.lakehouse.records import read_records
from mlops_assets.models.evaluation import Evaluation, Interval
from mlops_assets.models.records import (
    PROMOTIONS,
    CandidateRecord,
    TransitionRecord,
    candidates,
    evaluations,
    transitions,
    versions,
)
from mlops_assets.models.states import State, version_in, version_states
from mlops_assets.monitoring.attribution import AttributionRecord
from mlops_assets.monitoring.drift import DriftRecord, drift_history
from mlops_assets.monitoring.estimation import EstimateRecord, TrackRecord, estimates, track_record
from mlops_assets.monitoring.level import level_of, with_levels
from mlops_assets.monitoring.performance import PerformanceRecord, against_baseline, error_over, performance_history
from mlops_assets.monitoring.segments import SegmentFinding
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ModelDefinition

Standing = Literal["good", "look at it", "too little history", "no labels yet", "no version yet"]
"""How a model stands, in words."""


@dataclass(frozen=True)
class TimelinePeriod:
    """A period that was predicted from.

    Args:
        key: Its key.
        performance: How its predictions turned out; None while their labels are not known.
        drift: Whether what was predicted from was as usual; None where it was not measured.
        attribution: What its predictions were made of; None likewise.
        estimate: How well its predictions probably do, estimated before their labels came; None likewise.
    """

    key: str
    performance: PerformanceRecord | None
    drift: DriftRecord | None
    attribution: AttributionRecord | None = None
    estimate: EstimateRecord | None = None

    @property
    def version(self) -> int:
        """The version that predicted."""
        return (self.performance or self.drift).version  # type: ignore[union-attr]

    @property
    def worse_than_baseline(self) -> bool:
        """Whether it erred more than the baseline on the same rows."""
        return self.performance is not None and self.performance.error > self.performance.baseline_error

    @property
    def drifted(self) -> bool:
        """Whether a column was beyond its bar, or a segment that was not in the period before."""
        return self.drift is not None and (self.drift.alarm or self.drift.moved)

    def segments(self, hidden: Collection[str] = ()) -> list[SegmentFinding]:
        """What lay beyond the bar in segments, the largest score first; figures of hidden columns are NaN.

        Args:
            hidden: Columns whose values the reader may not see; segments by them are left out.
        """
        found = [SegmentFinding(**one) for one in self.drift.values["segments"]] if self.drift else []
        shown = (one for one in found if one.by not in hidden)
        return [replace(one, value=nan, usual=nan) if one.column in hidden else one for one in shown]


@dataclass(frozen=True)
class Training:
    """A training, whatever became of it.

    Args:
        candidate: What was recorded of it.
        evaluation: Its report; None where it is gone.
        version: The version that it became; None where its gates refused it.
        state: What has become of that version.
        transitions: All that was decided about that version, in the order of time.
    """

    candidate: CandidateRecord
    evaluation: Evaluation | None
    version: int | None = None
    state: State | None = None
    transitions: tuple[TransitionRecord, ...] = ()

    @property
    def promotion(self) -> TransitionRecord | None:
        """When it began to serve first."""
        return next((one for one in self.transitions if one.kind in PROMOTIONS), None)

    @property
    def outcome(self) -> str:
        """What became of it, in words."""
        if self.version is None:
            return "refused"
        became = "promoted" if self.promotion else "waits" if self.state == "challenger" else "registered"
        return f"version {self.version}, {became}"

    @property
    def difference(self) -> Interval | None:
        """By how much its judged fit errs more than the champion's on the same rows; None where there was none."""
        if self.evaluation is None:
            return None
        return self.evaluation.differences.get("champion", {}).get(self.evaluation.metric)

    @property
    def clear(self) -> str:
        """What its difference to the champion says, in words; empty where nothing was compared."""
        found = self.difference
        if found is None or found.low is None or found.high is None:
            return ""
        return "worse" if found.low > 0 else "better" if found.high < 0 else "not distinguishable"


@dataclass(frozen=True)
class Timeline:
    """What became of a model, and how it stands.

    Args:
        model: The model.
        now: Platform clock, UTC.
        periods: All that was predicted from, in their order.
        trainings: All trainings, in the order of periods.
        states: The state of each version.
        transitions: All that was decided about versions, in the order of time.
    """

    model: ModelDefinition
    now: datetime
    periods: tuple[TimelinePeriod, ...]
    trainings: tuple[Training, ...]
    states: Mapping[int, State]
    transitions: tuple[TransitionRecord, ...]

    @cached_property
    def performance(self) -> tuple[PerformanceRecord, ...]:
        """How predictions turned out, in the order of periods."""
        return tuple(period.performance for period in self.periods if period.performance)

    @property
    def estimates_so_far(self) -> TrackRecord:
        """How far estimates were off once labels came."""
        return track_record([period.estimate for period in self.periods if period.estimate], self.performance)

    @property
    def champion(self) -> TransitionRecord | None:
        """The promotion of the version that serves."""
        return next((one for one in reversed(self.transitions) if one.kind in PROMOTIONS), None)

    @property
    def waits(self) -> int | None:
        """The version that waits for a person's approval."""
        return version_in(self.states, "challenger") if self.model.approval == "required" else None

    @cached_property
    def newest(self) -> tuple[PerformanceRecord, ...]:
        """How the champion did in its newest periods, as many as the retrain policy looks at together."""
        mine = [one for one in self.performance if self.champion and one.version == self.champion.version]
        return tuple(mine[-self.model.retrain.persistence :])

    @property
    def importance(self) -> Mapping[str, float]:
        """Share of each feature in what the champion predicts; empty where it is not known."""
        training = self.training_of(self.champion.version) if self.champion else None
        return training.evaluation.importance if training and training.evaluation else {}

    def training_of(self, version: int) -> Training | None:
        """The training that a version came from."""
        return next((training for training in self.trainings if training.version == version), None)

    def moved_in(
        self, period: TimelinePeriod, hidden: Collection[str] = ()
    ) -> tuple[list[SegmentFinding], list[SegmentFinding]]:
        """What lay beyond the bar in a period's segments: of segments that did not in the period before, and others.

        Args:
            period: One of the timeline's.
            hidden: Columns whose values the reader may not see (see `TimelinePeriod.segments`).
        """
        place = self.periods.index(period)
        earlier = self.periods[place - 1] if place and self.periods[place - 1].version == period.version else None
        known = {(one.by, one.segment) for one in earlier.segments()} if earlier else set()
        found = period.segments(hidden)
        return (
            [one for one in found if (one.by, one.segment) not in known],
            [one for one in found if (one.by, one.segment) in known],
        )

    def before(self, training: Training) -> tuple[TimelinePeriod, ...]:
        """The newest periods with labels at a training, of one version, which the policy looks at together."""
        known = [one for one in self.periods if one.performance and one.performance.period <= training.candidate.at]
        same = [one for one in known if one.version == known[-1].version]
        return tuple(same[-self.model.retrain.persistence :])


@dataclass(frozen=True)
class Errors:
    """Errors over some periods, each by its rows, all on the same ones.

    Args:
        periods: How many periods.
        champions: Of the champions of each time.
        baseline: Of the baseline.
        never_retrained: Of the first champion there ever was; None where that is not known of each period.
    """

    periods: int
    champions: float
    baseline: float
    never_retrained: float | None


def errors_over(metric: str, records: Sequence[PerformanceRecord]) -> Errors | None:
    """The errors over several periods; None of no period."""
    if not records:
        return None
    rows = [one.rows for one in records]
    never = [one.never_retrained for one in records if one.never_retrained is not None]
    return Errors(
        len(records),
        error_over(metric, [one.error for one in records], rows),
        error_over(metric, [one.baseline_error for one in records], rows),
        error_over(metric, never, rows) if len(never) == len(records) else None,
    )


def paid(timeline: Timeline) -> str:
    """What retraining has brought against never, in words; empty where that is not known."""
    known = [one for one in timeline.performance if one.never_retrained is not None]
    found = errors_over(timeline.model.metric, known)
    again = sum(training.promotion is not None for training in timeline.trainings) - 1
    if found is None or found.never_retrained is None or again < 1:
        return ""
    less = 1 - found.champions / found.never_retrained if found.never_retrained else 0.0
    made = f"{abs(less):.1%} {'smaller' if less >= 0 else 'larger'}"
    return (
        f"Over {found.periods} periods the champions erred by {found.champions:.4g}, the first one alone would have by "
        f"{found.never_retrained:.4g}, and the baseline by {found.baseline:.4g}, on the same rows: retraining made the "
        f"error {made}, by {len(timeline.trainings)} trainings, of which {again + 1} were promoted."
    )


def standing(timeline: Timeline) -> tuple[Standing, list[str]]:
    """How a model stands now, and why: a sentence for each thing that was looked at.

    It is to be looked at where its champion errs more than the baseline or than its level allows, over as many of its
    newest periods as the retrain policy looks at together, or where the newest period drifted as a whole.
    """
    champion, policy, newest = timeline.champion, timeline.model.retrain, timeline.periods[-1:]
    if champion is None:
        return "no version yet", ["No version serves yet."]
    training = timeline.training_of(champion.version)
    at = f", and was trained at {training.candidate.at}" if training else ""
    told = [f"Version {champion.version} serves since {champion.happened_at:%Y-%m-%d}{at}."]
    mine = [record for record in timeline.performance if record.version == champion.version]
    off = False
    state: Standing = "good"
    if not mine:
        state = "no labels yet"
        told.append("None of its predictions has a label yet.")
    else:
        as_good, words = against_baseline(mine, policy.persistence)
        told.append(f"{words[0].upper()}{words[1:]}.")
        if len(mine) < policy.persistence:
            state = "too little history"
        else:
            trained = [one.candidate for one in timeline.trainings]
            level = level_of(timeline.performance, trained, timeline.model.schema.calendar, policy, champion.version)
            told.append(f"{level.words[0].upper()}{level.words[1:]}.")
            off = not (as_good and level.within)
    if (so_far := timeline.estimates_so_far).periods:
        told.append(f"Before labels come: {so_far.words}.")
    if newest and newest[0].drift and newest[0].drift.alarm:
        off = True
        told.append(f"What it was asked in {newest[0].key} {newest[0].drift.words}.")
    return "look at it" if off else state, told


def timeline_of(platform: Platform, model: ModelDefinition) -> Timeline:
    """The timeline of a model, from what is recorded of it."""
    history, trained = performance_history(platform, model), candidates(platform, model)
    performance = {record.about: record for record in with_levels(history, trained, model.schema.calendar)}
    drift = {record.period: record for record in drift_history(platform, model)}
    explained = read_records(platform.records(model, "attribution"), AttributionRecord)
    attribution = {record.period: record for record in explained}
    estimated = {record.period: record for record in estimates(platform, model)} if model.classes else {}
    made = transitions(platform, model)
    registered = {record.candidate: record.version for record in versions(platform, model)}
    reports, states = evaluations(platform, model, [record.key for record in trained]), version_states(platform, model)
    trainings = []
    for record in trained:
        version = registered.get(record.key)
        decided = tuple(one for one in made if one.version == version)
        state = states[version] if version is not None else None
        trainings.append(Training(record, reports.get(record.key), version, state, decided))
    keys = sorted({*performance, *drift})
    return Timeline(
        model,
        platform.clock.now(),
        tuple(
            TimelinePeriod(key, performance.get(key), drift.get(key), attribution.get(key), estimated.get(key))
            for key in keys
        ),
        tuple(trainings),
        states,
        tuple(made),
    )
