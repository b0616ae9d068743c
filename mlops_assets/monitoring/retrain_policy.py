"""The retrain policy: a pure function of a model's history, with its reasons in words.

Realized performance decides first, then age: of the rules that were compared, those two with a gate before promotion
are the safest. Persistence (the mean over several periods) keeps one odd month from deciding; the cool-down keeps a
policy that is never satisfied from training for ever.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from mlops_assets.lakehouse.periods import Calendar, Period
from mlops_assets.models.agreement import Agreement
from mlops_assets.models.records import CandidateRecord, TransitionRecord
from mlops_assets.monitoring.performance import PerformanceRecord
from mlops_assets.project.model_parts import RetrainPolicy

Cause = Literal["first", "definitions", "performance", "age", "request", "none"]


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
    """

    at: Period
    calendar: Calendar
    definitions: Agreement | None
    lacks: str
    trainings: Sequence[CandidateRecord]
    champion: TransitionRecord | None
    champion_training: CandidateRecord | None
    performance: Sequence[PerformanceRecord]


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
        """Whether a training is asked for."""
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
    if since is not None and since < policy.cool_down:
        return RetrainDecision(
            "none", f"the last training is {since} periods ago, and the cool-down {policy.cool_down}"
        )
    if history.champion is None or history.champion_training is None:
        return RetrainDecision("first", "there is no champion yet")
    age = history.calendar.distance(history.calendar.at_key(history.champion_training.at), history.at)
    if age >= policy.max_age:
        return RetrainDecision(
            "age", f"the champion was trained {age} periods ago, and the maximum age is {policy.max_age}"
        )
    return _by_performance(policy, history, history.champion.version)


def _by_performance(policy: RetrainPolicy, history: History, version: int) -> RetrainDecision:
    newest = [record for record in history.performance if record.version == version][-policy.persistence :]
    if len(newest) < policy.persistence:
        return RetrainDecision(
            "none",
            f"version {version} has {len(newest)} periods of performance, {policy.persistence} are needed",
        )
    rows = sum(record.rows for record in newest)
    error = sum(record.error * record.rows for record in newest) / rows
    level = newest[-1].level
    limit = level * (1 + policy.worse_by)
    words = (
        f"the error over the last {policy.persistence} periods is {error:.4f}; at training it was {level:.4f}, "
        f"and the limit is {limit:.4f}"
    )
    return RetrainDecision("performance" if error > limit else "none", words)


def _since_last_training(history: History) -> int | None:
    if not history.trainings:
        return None
    return history.calendar.distance(history.calendar.at_key(history.trainings[-1].at), history.at)
