"""Fair comparison: the same rows for candidate, champion and baseline, each by a fit that has not seen them."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from mlops_assets.lakehouse.periods import Period
from mlops_assets.models.metrics import Measured
from mlops_assets.project.definition import Gate, ModelDefinition
from mlops_assets.project.tasks import METRICS


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


def split(model: ModelDefinition, last: Period) -> Split:
    """Split the labels that end with period ``last``: the newest ``validation`` periods are judged on.

    Between lie horizon + delay periods, so that no label of the fit reaches into a period that is judged.
    """
    return split_before(model, model.schema.calendar.shift(last, 1 - model.validation), last)


def split_before(model: ModelDefinition, first: Period, last: Period) -> Split:
    """The split that judges the periods from first to last, with the embargo before them."""
    return Split(model.schema.calendar.shift(first, -1 - model.label.known_after), first, last)


def judge(
    gates: Sequence[Gate], candidate: Measured, *, baseline: Measured, champion: Measured | None, least_rows: int
) -> Verdict:
    """Put a candidate through its gates.

    Args:
        gates: The model's gates.
        candidate: Figures of the candidate's judged fit.
        baseline: Those of the baseline on the same rows.
        champion: Those of the champion's judged fit on the same rows; None where no champion can be compared.
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
        lacking = [
            who for who, of in (("candidate", candidate), (gate.better_than, other)) if gate.metric not in of.values
        ]
        if lacking:
            words = f"{gate.metric} could not be measured of the {' and the '.join(lacking)} on these rows"
            outcomes.append(GateOutcome(name, False, words))
            continue
        mine, theirs = candidate.of(gate.metric), other.of(gate.metric)
        metric = METRICS[gate.metric]
        passed = metric.is_better(mine, theirs, gate.margin)
        margin = f" by {gate.margin:.0%}" if gate.margin else ""
        outcomes.append(
            GateOutcome(
                name,
                passed,
                f"{gate.metric} {mine:.4f} is {'' if passed else 'not '}{metric.better} the {gate.better_than}'s "
                f"{theirs:.4f}{margin}",
            )
        )
    return Verdict(tuple(outcomes))
