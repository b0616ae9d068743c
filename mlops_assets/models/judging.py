"""Fair comparison: the same rows for candidate, champion and baseline, each by a fit that has not seen them."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from mlops_assets.errors import ContractError
from mlops_assets.lakehouse.periods import Period
from mlops_assets.project.definition import Gate, ModelDefinition

if TYPE_CHECKING:
    import numpy.typing as npt

Metric = Literal["mae", "rmse"]


@dataclass(frozen=True)
class Errors:
    """How far predictions lie from the truth.

    Args:
        rows: How many predictions were compared.
        mae: Mean absolute error, in the label's unit.
        rmse: Root of the mean squared error, in the label's unit.
    """

    rows: int
    mae: float
    rmse: float

    def of(self, metric: Metric) -> float:
        """The error by one metric."""
        return self.mae if metric == "mae" else self.rmse


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
    """What one gate said, with its reason in words."""

    name: str
    passed: bool
    reason: str


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

    def as_json(self) -> str:
        """The outcomes as JSON."""
        return json.dumps([asdict(outcome) for outcome in self.outcomes])

    @classmethod
    def from_json(cls, text: str) -> "Verdict":
        """The verdict that `as_json` wrote."""
        return cls(tuple(GateOutcome(**outcome) for outcome in json.loads(text)))


def errors(truth: "npt.ArrayLike", predicted: "npt.ArrayLike") -> Errors:
    """Compare predictions with the truth.

    Raises:
        ContractError: There is nothing to compare.
    """
    import numpy as np

    difference = np.asarray(truth, float) - np.asarray(predicted, float)
    if difference.size == 0:
        raise ContractError("no rows to compare", "at least one prediction with its label", "wait for labels")
    return Errors(difference.size, float(np.abs(difference).mean()), float(np.sqrt((difference**2).mean())))


def split(model: ModelDefinition, last: Period) -> Split:
    """Split the labels that end with period ``last``: the newest ``validation`` periods are judged on.

    Between lie horizon + delay periods, so that no label of the fit reaches into a period that is judged.
    """
    calendar = model.schema.calendar
    first_judged = calendar.shift(last, 1 - model.validation)
    return Split(calendar.shift(first_judged, -1 - model.label.known_after), first_judged, last)


def judge(
    gates: Sequence[Gate], candidate: Errors, *, baseline: Errors, champion: Errors | None, least_rows: int
) -> Verdict:
    """Put a candidate through its gates.

    Args:
        gates: The model's gates.
        candidate: Errors of the candidate's judged fit.
        baseline: Errors of the baseline on the same rows.
        champion: Errors of the champion's judged fit on the same rows; None where no champion can be compared.
        least_rows: Fewest rows that a judgement may rest on.
    """
    outcomes = [
        GateOutcome(
            "enough_rows",
            candidate.rows >= least_rows,
            f"judged on {candidate.rows} rows, {least_rows} are needed",
        )
    ]
    for gate in gates:
        other = baseline if gate.better_than == "baseline" else champion
        name = f"{gate.metric}_better_than_{gate.better_than}"
        if other is None:
            outcomes.append(GateOutcome(name, True, "there is no champion to compare with"))
            continue
        mine, theirs = candidate.of(gate.metric), other.of(gate.metric)
        passed = mine < theirs * (1 - gate.margin)
        margin = f" by {gate.margin:.0%}" if gate.margin else ""
        outcomes.append(
            GateOutcome(
                name,
                passed,
                f"{gate.metric} {mine:.4f} is {'' if passed else 'not '}below the {gate.better_than}'s "
                f"{theirs:.4f}{margin}",
            )
        )
    return Verdict(tuple(outcomes))
