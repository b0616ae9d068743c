"""The retrain policy: a pure function of a model's history, with its reasons in words.

Age decides, then realized performance against the level and the baseline, then drift of what matters: of the rules that
were compared, the first two with a gate before promotion are the safest. Persistence (the mean over several periods)
keeps one odd month from deciding; the cool-down keeps a policy that is never satisfied from training for ever.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from mlops_assets.lakehouse.periods import Calendar, Period
from mlops_assets.models.agreement import Agreement
from mlops_assets.models.records import CandidateRecord, TransitionRecord
from mlops_assets.monitoring.drift import DriftRecord
from mlops_assets.monitoring.estimation import EstimateRecord
from mlops_assets.monitoring.level import level_of
from mlops_assets.monitoring.performance import PerformanceRecord, against_baseline, newest_of
from mlops_assets.project.model_parts import RetrainPolicy

Cause = Literal["first", "definitions", "performance", "age", "drift", "fallback", "request", "none"]


@dataclass(frozen=True)
class RetrainRequest:
    """A person's wish to train, as recorded by the ``retrain`` job.

    Args:
        number: What tells this request from others.
        reason: Why, in words.
        requested_by: Who.
        requested_at: Platform clock, UTC.
    """

    number: str
    reason: str
    requested_by: str
    requested_at: datetime


@dataclass(frozen=True)
class History:
    """What the policy looks at.

    Args:
        at: The newest period whose labels are known: where a training would take place.
        calendar: The model's calendar.
        definitions: How the definitions as they stand relate to those of the last training; None where there was none.
        lacks: What a training would lack, in words: of the past, because a definition is new, or labels, where it is
            the first; empty where nothing.
        trainings: All trainings so far, in the order of periods.
        champion: The present champion, or None.
        champion_training: The training it came from, or None.
        performance: All performance so far, in the order of periods.
        known_after: Periods from the one that is predicted from to the one in which its label becomes known.
        validation: How many periods a candidate is judged on.
        drift: How the newest period that was scored drifted; None where that was not measured.
        estimate: How well its predictions probably do; None likewise.
    """

    at: Period
    calendar: Calendar
    definitions: Agreement | None
    lacks: str
    trainings: Sequence[CandidateRecord]
    champion: TransitionRecord | None
    champion_training: CandidateRecord | None
    performance: Sequence[PerformanceRecord]
    known_after: int = 0
    validation: int = 0
    drift: DriftRecord | None = None
    estimate: EstimateRecord | None = None


@dataclass(frozen=True)
class RetrainDecision:
    """Whether to train, and why or why not, in words.

    Args:
        cause: What decided.
        reason: In words, with the figures.
    """

    cause: Cause
    reason: str

    @property
    def retrain(self) -> bool:
        """Whether a training is asked for; with the cause ``fallback`` it is the baseline that is to serve."""
        return self.cause != "none"


def decide(policy: RetrainPolicy, history: History) -> RetrainDecision:
    """Decide whether a model should be trained at the newest period.

    Example:
        >>> from datetime import UTC, datetime
        >>> months = Calendar("month")
        >>> at = months.at_key("2001-03")
        >>> nothing = History(at, months, None, "", [], None, None, [])
        >>> decide(RetrainPolicy(worse_by=0.2, persistence=2, cool_down=3, max_age=12), nothing).reason
        'there is no champion yet'
    """
    if words := _must_fall_back(policy, history):
        return RetrainDecision("fallback", words)
    since = _since_last_training(history)
    if since == 0:
        return RetrainDecision("none", f"it was trained at {history.at.key} already")
    if history.lacks:
        return RetrainDecision("none", f"a training waits: {history.lacks}")
    if history.definitions and history.definitions.outcome == "waits":
        return RetrainDecision("none", f"the definitions are new, and {history.definitions.reason}")
    if history.definitions and not history.definitions.may_score:
        return RetrainDecision(
            "definitions", f"the last training was on other definitions, and {history.definitions.reason}"
        )
    if since is not None and (waits := _waits(policy, history, since)):
        return RetrainDecision("none", f"the last training is {since} periods ago, and {waits}")
    if history.champion is None or history.champion_training is None:
        return RetrainDecision("first", "there is no champion yet")
    if history.champion_training.is_baseline:
        return RetrainDecision("performance", "the baseline serves, until a candidate passes")
    age = history.calendar.distance(history.calendar.at_key(history.champion_training.at), history.at)
    if age >= policy.max_age:
        return RetrainDecision(
            "age", f"the champion was trained {age} periods ago, and the maximum age is {policy.max_age}"
        )
    return _by_performance(policy, history, history.champion.version)


def _own(history: History) -> list[CandidateRecord]:
    """The trainings of the model's own template."""
    return [training for training in history.trainings if not training.is_baseline]


def _must_fall_back(policy: RetrainPolicy, history: History) -> str:
    """Why the baseline is to serve in the champion's place, in words; empty where it is not.

    Once after each refused training: where somebody must approve it, or decided against it, it is not asked for again.
    """
    champion, training, own = history.champion, history.champion_training, _own(history)
    if policy.fallback is None or champion is None or training is None or training.is_baseline or history.lacks:
        return ""
    if own[-1].passed or (history.definitions and not history.definitions.may_score):
        return ""
    if any(one.is_baseline and one.trained_at >= own[-1].trained_at for one in history.trainings):
        return ""
    as_good, words = against_baseline(history.performance, policy.persistence, champion.version)
    return "" if as_good else f"{words}, and the last training, at {own[-1].at}, was refused"


def _waits(policy: RetrainPolicy, history: History, since: int) -> str:
    """Why no training may follow the last one yet, in words; empty where one may."""
    cool_down, renewed = max(policy.cool_down, history.known_after + 1), -(-history.validation // 2)
    if since < cool_down:
        raised = ", for no label about what it predicted is known sooner" if cool_down > policy.cool_down else ""
        return f"the cool-down {cool_down}{raised}"
    if not _own(history)[-1].passed and since < renewed:
        return (
            f"was refused: until {renewed} of the {history.validation} periods that a candidate is judged on are new, "
            "another would be, too"
        )
    return ""


def _by_performance(policy: RetrainPolicy, history: History, version: int) -> RetrainDecision:
    if (too_few := newest_of(history.performance, policy.persistence, version)[1]) == "":
        level = level_of(history.performance, history.trainings, history.calendar, policy, version)
        if level.above:
            return RetrainDecision("performance", level.words)
        as_good, words = against_baseline(history.performance, policy.persistence, version)
        if not as_good:
            return RetrainDecision("performance", words)
    drift = _by_drift(policy, history) or _by_estimate(policy, history, version)
    return drift or RetrainDecision("none", too_few or level.words)


def _by_drift(policy: RetrainPolicy, history: History) -> RetrainDecision | None:
    """Whether the features that drifted in the newest period hold as much of the importance as is declared."""
    if policy.drift_importance is None or history.drift is None or not history.drift.alarm:
        return None
    found = history.drift.values
    importance, beyond = found.get("importance", {}), dict.fromkeys(column for column, _ in found["beyond"] if column)
    share = sum(importance.get(column, 0.0) for column in beyond)
    if share < policy.drift_importance:
        return None
    words = f"what drifted in {history.drift.period} ({', '.join(beyond)}) holds {share:.0%} of the importance"
    return RetrainDecision("drift", f"{words}, and {policy.drift_importance:.0%} decides")


def _by_estimate(policy: RetrainPolicy, history: History, version: int) -> RetrainDecision | None:
    """Whether a version is estimated to do worse than is usual, which only drift of what it sees can bring."""
    found = history.estimate
    if policy.drift_importance is None or found is None or found.version != version or not found.worse:
        return None
    return RetrainDecision("drift", f"in {found.period} {found.words}")


def _since_last_training(history: History) -> int | None:
    own = _own(history)
    return history.calendar.distance(history.calendar.at_key(own[-1].at), history.at) if own else None
