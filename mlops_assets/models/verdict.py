"""What gates said of a candidate."""

import json
from dataclasses import asdict, dataclass


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
