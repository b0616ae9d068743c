"""Fair comparison: which periods are judged on, by fits that have not seen them, and what the gates said."""

import json
from dataclasses import asdict, dataclass

from mlops_assets.lakehouse.periods import Period
from mlops_assets.project.definition import ModelDefinition


@dataclass(frozen=True)
class Split:
    """Which periods a judged fit is trained on, and which it is judged on; an embargo lies between.

    Args:
        last_fitted: Last period that the judged fit sees.
        first_judged: First period of the validation.
        last_judged: Last period of the validation.
    """

    last_fitted: Period
    first_judged: Period
    last_judged: Period


@dataclass(frozen=True)
class GateOutcome:
    """What one gate said.

    Args:
        name: The gate; its asset check is called the same.
        passed: Whether the candidate may become a version, as far as this gate is asked.
        reason: Its reason in words.
        measured: What it measured, where that is a number; else None.
        limit: What that was held against.
    """

    name: str
    passed: bool
    reason: str
    measured: float | None = None
    limit: float | None = None


@dataclass(frozen=True)
class Verdict:
    """What all gates said together."""

    outcomes: tuple[GateOutcome, ...]

    @property
    def passed(self) -> bool:
        """Whether the candidate may become a version."""
        return all(outcome.passed for outcome in self.outcomes)

    @property
    def reason(self) -> str:
        """All reasons in words."""
        return "; ".join(outcome.reason for outcome in self.outcomes)

    @property
    def decisions(self) -> tuple[str, ...]:
        """Which gates passed and which did not, without what was measured: times differ from run to run."""
        return tuple(f"{outcome.name} {outcome.passed}" for outcome in self.outcomes)

    def as_json(self) -> str:
        """The outcomes as JSON."""
        return json.dumps([asdict(outcome) for outcome in self.outcomes])

    @classmethod
    def from_json(cls, text: str) -> "Verdict":
        """The verdict that `as_json` wrote."""
        return cls(tuple(GateOutcome(**outcome) for outcome in json.loads(text)))


def split(model: ModelDefinition, last: Period) -> Split:
    """Split the labels that end with period ``last``: the newest ``validation`` periods are judged on.

    Between lie horizon + delay periods, so that no label of the fit reaches into a period that is judged.
    """
    return split_before(model, model.schema.calendar.shift(last, 1 - model.validation), last)


def split_before(model: ModelDefinition, first: Period, last: Period) -> Split:
    """The split that judges the periods from first to last, with the embargo before them."""
    return Split(model.schema.calendar.shift(first, -1 - model.label.known_after), first, last)
