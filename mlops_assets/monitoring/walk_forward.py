"""Walking through recorded history by a policy: who would have trained when, who would have served, and how well.

At each period whose labels become known, in this order and by the functions of production: the champion of the time of
the prediction is measured, the policy decides, and what is trained goes through its gates. Nothing that became known
later is looked at, so that each walk is a walk-forward (Tashman, International Journal of Forecasting 16, 2000).
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from mlops_assets.lakehouse.periods import Period, Unit
from mlops_assets.models.agreement import Agreement
from mlops_assets.models.promotion import BY_GATES
from mlops_assets.models.records import CandidateRecord, TransitionRecord, champion_before
from mlops_assets.monitoring.performance import PerformanceRecord
from mlops_assets.monitoring.retrain_policy import History, RetrainDecision, decide
from mlops_assets.project.definition import ModelDefinition
from mlops_assets.project.gates import Gate
from mlops_assets.project.model_parts import RetrainPolicy

A_YEAR: Mapping[Unit, int] = {"month": 12, "week": 52, "day": 365}
NEXT_PERIODS = 6
"""Over so many periods a promotion is held against the version before it."""

HARM = 0.02
"""A promotion that was worse by more than this share did harm; by less, near equals differ by chance."""

CLOSE = 0.005
"""Of policies whose error is within this share of the least, the one with the fewest trainings is chosen."""

_AS_THEY_STAND = Agreement("same", "a backtest trains on the definitions as they stand")


@dataclass(frozen=True)
class Step:
    """A period in which labels became known.

    Args:
        at: The period.
        known_at: When they were known, in UTC: the moment of measuring, deciding and training.
        about: The period that they are about.
        spoken_at: When that was predicted, in UTC.
    """

    at: Period
    known_at: datetime
    about: Period
    spoken_at: datetime


@dataclass(frozen=True)
class Policy:
    """What decides about trainings, and what they must win.

    Args:
        name: What it is called.
        retrain: When to train; a number trains each so many periods, and None once.
        gates: What a candidate must win; None for nothing.
    """

    name: str
    retrain: RetrainPolicy | int | None
    gates: tuple[Gate, ...] | None = None

    def decide(self, history: History) -> RetrainDecision:
        """Whether to train: by the retrain policy of production, or by the calendar alone."""
        if isinstance(self.retrain, RetrainPolicy):
            return decide(self.retrain, history)
        if history.lacks or not history.trainings:
            return RetrainDecision("none" if history.lacks else "first", history.lacks or "nothing was trained yet")
        since = history.calendar.distance(history.calendar.at_key(history.trainings[-1].at), history.at)
        due = self.retrain is not None and since >= self.retrain
        return RetrainDecision("age" if due else "none", f"the last training is {since} periods ago")


class Past(Protocol):
    """What was made of history beforehand: a training at each period, and what its fits say."""

    def trained(self, at: Period) -> CandidateRecord | str:
        """The training at a period before it is judged, or why there can be none, in words."""
        ...

    def judged(
        self, training: CandidateRecord, policy: Policy, champions: Sequence[CandidateRecord]
    ) -> CandidateRecord:
        """The same after the policy's gates, in view of those that served so far, the present champion last."""
        ...

    def performance(self, training: CandidateRecord, at: Period) -> PerformanceRecord | None:
        """How it predicted what became known in a period; None where none of that has a label."""
        ...


@dataclass(frozen=True)
class Walk:
    """What came of a policy.

    Args:
        policy: Its name.
        trainings: All trainings of the model's template, judged, in the order of periods.
        promoted: What became of those that won.
        performance: Of the champions, in the order of periods.
        ratios: Of each promotion that enough periods followed, its error over them by that of the version before on
            the same rows: above 1 it is regretted.
    """

    policy: str
    trainings: Sequence[CandidateRecord]
    promoted: Sequence[TransitionRecord]
    performance: Sequence[PerformanceRecord]
    ratios: Sequence[float]

    def regretted(self, by: float = 0.0) -> int:
        """How many promotions were worse than the version before, by more than a share of its error."""
        return sum(ratio > 1 + by for ratio in self.ratios)

    def turned_out(self, periods: Collection[str]) -> tuple[float, float]:
        """The champions' error and the baseline's over some periods in which there were champions, by rows."""
        chosen = [record for record in self.performance if record.period in periods]
        rows = sum(record.rows for record in chosen)
        errors = ([record.error for record in chosen], [record.baseline_error for record in chosen])
        mine, theirs = (
            sum(error * record.rows for error, record in zip(of, chosen, strict=True)) / rows for of in errors
        )
        return mine, theirs

    def trainings_in(self, periods: Collection[str]) -> int:
        """How many trainings there were in some periods."""
        return sum(training.at in periods for training in self.trainings)


def yardsticks(model: ModelDefinition) -> tuple[Policy, ...]:
    """What every policy is held against: by the calendar alone, and without gates."""
    unit = model.schema.calendar.unit
    return Policy("never again", None), Policy("every year", A_YEAR[unit]), Policy(f"every {unit}", 1)


def walk(model: ModelDefinition, steps: Sequence[Step], past: Past, policy: Policy) -> Walk:
    """Let a policy live through some periods, in their order."""
    trainings, served = list[CandidateRecord](), list[CandidateRecord]()
    promoted, performance = list[TransitionRecord](), list[PerformanceRecord]()
    for step in steps:
        champion = champion_before(promoted, step.spoken_at)
        found = champion and _turned_out(past, served[champion.version - 1], step.at)
        if champion and found:
            performance.append(replace(found, version=champion.version))
        candidate = past.trained(step.at)
        history = History(
            at=step.at,
            calendar=model.schema.calendar,
            definitions=_AS_THEY_STAND if trainings else None,
            lacks=candidate if isinstance(candidate, str) else "",
            trainings=tuple(trainings),
            champion=promoted[-1] if promoted else None,
            champion_training=served[-1] if served else None,
            performance=performance,
            known_after=model.label.known_after,
            validation=model.validation,
        )
        while not isinstance(candidate, str) and (decision := policy.decide(history)).retrain:
            asked = replace(candidate, reason=decision.reason, trained_at=step.known_at)
            if decision.cause == "fallback":
                trainings.append(replace(asked, kind="baseline", passed=True, verdict=decision.reason))
            else:
                trainings.append(past.judged(asked, policy, served))
            if trainings[-1].passed:
                served.append(trainings[-1])
                number, verdict = len(served), trainings[-1].verdict
                promoted.append(TransitionRecord(number, number, "promotion", step.known_at, BY_GATES, verdict))
                break
            # After a refusal the policy is asked again: the baseline may be to serve.
            history = replace(history, definitions=_AS_THEY_STAND, trainings=tuple(trainings))
    own = [training for training in trainings if not training.is_baseline]
    return Walk(policy.name, own, promoted, performance, list(_ratios(steps, past, served, promoted)))


def _turned_out(past: Past, training: CandidateRecord, at: Period) -> PerformanceRecord | None:
    """How a training's fit, or the baseline in its place, predicted what became known in a period."""
    found = past.performance(training, at)
    return replace(found, error=found.baseline_error) if found and training.is_baseline else found


def _ratios(
    steps: Sequence[Step], past: Past, served: Sequence[CandidateRecord], promoted: Sequence[TransitionRecord]
) -> Iterator[float]:
    for before, after, promotion in zip(served, served[1:], promoted[1:], strict=False):
        following = [step for step in steps if step.spoken_at > promotion.happened_at][:NEXT_PERIODS]
        pairs = [(_turned_out(past, after, step.at), _turned_out(past, before, step.at)) for step in following]
        both = [(mine, theirs) for mine, theirs in pairs if mine and theirs]
        if len(both) == NEXT_PERIODS and any(theirs.error for _, theirs in both):
            errors = (sum(mine.error * mine.rows for mine, _ in both), sum(one.error * one.rows for _, one in both))
            yield errors[0] / errors[1]


def same_periods(walks: Sequence[Walk]) -> list[str]:
    """The periods in which every policy had a champion, so that all are measured on the same rows."""
    each = [{record.period for record in one.performance} for one in walks]
    return sorted(set.intersection(*each)) if each else []


@dataclass(frozen=True)
class Tuned:
    """What choosing a policy by the past would have brought.

    Args:
        years: By year, the policy chosen on the periods before it.
        periods: The periods that were judged: all of these years.
        error: The chosen policies' error over them, each in its year.
        trainings: How many trainings they had in them.
        chosen: What is chosen on all periods, for what comes.
    """

    years: Mapping[str, str] = field(default_factory=dict)
    periods: tuple[str, ...] = ()
    error: float = float("nan")
    trainings: int = 0
    chosen: str = ""


def tune(walks: Sequence[Walk], min_periods: int) -> Tuned:
    """Choose among policies, year by year, on the periods before each year and never on those that judge the choice.

    Chosen is the one with the fewest trainings of all whose error is within `CLOSE` of the least; of equal ones the
    first.

    Args:
        walks: Of the policies among which to choose, through the same steps.
        min_periods: How many periods a first choice needs.
    """
    periods = same_periods(walks)

    def best(before: Sequence[str]) -> Walk:
        errors = {one.policy: one.turned_out(before)[0] for one in walks}
        close = [one for one in walks if errors[one.policy] <= min(errors.values()) * (1 + CLOSE)]
        return min(close, key=lambda one: one.trainings_in(before))

    years, judged, sums, trainings = {}, list[str](), 0.0, 0
    rows = {record.period: record.rows for record in walks[0].performance}
    for year in sorted({key[:4] for key in periods}):
        before, its = [key for key in periods if key < year], [key for key in periods if key[:4] == year]
        if len(before) < min_periods:
            continue
        chosen = best(before)
        years[year] = chosen.policy
        judged += its
        sums += chosen.turned_out(its)[0] * sum(rows[key] for key in its)
        trainings += chosen.trainings_in(its)
    error = sums / sum(rows[key] for key in judged) if judged else float("nan")
    return Tuned(years, tuple(judged), error, trainings, best(periods).policy if periods else "")
