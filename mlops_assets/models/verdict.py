"""What gates said of a candidate."""

import json
from dataclasses import asdict, dataclass

from mlops_assets.client import GateOutcome


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
