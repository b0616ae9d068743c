"""Gates: whether a candidate may become a version, each with what it measured, its limit and its verdict.

What cannot be measured passes no gate; what compares with a champion passes only where there is none.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from mlops_assets.client import GateOutcome
from mlops_assets.errors import PlatformError
from mlops_assets.features.frames import pandas_types
from mlops_assets.features.python_functions import called
from mlops_assets.models.evaluation import Figures, JudgedRows, Who, levels
from mlops_assets.models.evaluation_text import difference_in_words
from mlops_assets.models.fitting import feature_frame
from mlops_assets.models.footprint import seconds_for_one_row
from mlops_assets.models.metrics import Measured, measure
from mlops_assets.project.definition import ModelDefinition
from mlops_assets.project.gates import (
    ComparisonGate,
    CustomGate,
    Gate,
    LatencyGate,
    LimitGate,
    ProtectionGate,
    Rival,
    SegmentGate,
    SizeGate,
    in_bytes,
    in_milliseconds,
    in_percent,
)
from mlops_assets.project.tasks import METRICS

NO_CHAMPION = "there is no champion to compare with"
MAX_WORDS = 500
"""So many characters of what a function says are recorded."""


@dataclass(frozen=True)
class Facts:
    """What gates look at.

    Args:
        model: The model.
        judged: The judged rows, and what each said of them.
        measured: Figures over them, by who predicted; no champion's where none can be compared.
        fit: The fit that serves once the candidate won.
        size: Bytes of the file that it is kept in.
        champion_lacks: Why the champion that there is said nothing of the rows, in words; empty where it did.
        differences: Of the candidate's figures minus those of another, by the other, with intervals of pairs.
        earlier: Figures over the same rows of versions that served before the champion and did better in each period,
            by version.
    """

    model: ModelDefinition
    judged: JudgedRows
    measured: Mapping[Who, Measured]
    fit: Any
    size: int
    champion_lacks: str = ""
    differences: Mapping[Who, Figures] = field(default_factory=dict)
    earlier: Mapping[int, Measured] = field(default_factory=dict)


def outcome_of(gate: Gate, facts: Facts) -> GateOutcome:
    """What one gate says."""
    if isinstance(gate, ComparisonGate):
        return _comparison(gate, facts)
    if isinstance(gate, ProtectionGate):
        return _protection(gate, facts)
    if isinstance(gate, LimitGate):
        return _limit(gate, facts)
    if isinstance(gate, SegmentGate):
        return _segments(gate, facts)
    try:
        if isinstance(gate, SizeGate):
            return _size(gate, facts)
        return _latency(gate, facts) if isinstance(gate, LatencyGate) else _custom(gate, facts)
    except PlatformError as error:
        return GateOutcome(gate.name, False, str(error)[:MAX_WORDS])


def _comparison(gate: ComparisonGate, facts: Facts) -> GateOutcome:
    rival, metric = gate.better_than, METRICS[gate.metric]
    if refusal := _cannot_compare(gate, rival, facts):
        return refusal
    mine, theirs = (facts.measured[who].of(gate.metric) for who in ("candidate", rival))
    passed = metric.is_better(mine, theirs, gate.by)
    by = f" by {in_percent(gate.by)}" if gate.by else ""
    words = (
        f"{gate.metric} {mine:.4f} is {'' if passed else 'not '}{metric.better} the {rival}'s {theirs:.4f}{by}"
        f"{_difference(gate.metric, rival, facts)}"
    )
    return GateOutcome(gate.name, passed, words, mine, metric.moved(theirs, gate.by))


def _protection(gate: ProtectionGate, facts: Facts) -> GateOutcome:
    rival, metric = gate.not_worse_than, METRICS[gate.metric]
    if refusal := _cannot_compare(gate, rival, facts):
        return refusal
    mine, theirs = (facts.measured[who].of(gate.metric) for who in ("candidate", rival))
    limit, before, is_near = metric.moved(theirs, -gate.by), "", not metric.is_worse(mine, theirs, gate.by)
    earlier = {version: of.of(gate.metric) for version, of in facts.earlier.items() if gate.metric in of.values}
    if rival == "champion" and earlier and is_near:
        best = max if metric.greater_is_better else min
        version = best(earlier, key=lambda one: earlier[one])
        limit = best(limit, metric.moved(earlier[version], -gate.by))
        before = ", but it is than" if metric.is_worse(mine, limit) else ", nor than"
        before += (
            f" version {version}'s {earlier[version]:.4f}, the best of {len(earlier)} that served before and did "
            "better in each period"
        )
    words = (
        f"{gate.metric} {mine:.4f} is {'not ' if is_near else ''}worse than the {rival}'s {theirs:.4f} by more than "
        f"{in_percent(gate.by)}{_difference(gate.metric, rival, facts)}{before}"
    )
    return GateOutcome(gate.name, not metric.is_worse(mine, limit), words, mine, limit)


def _cannot_compare(gate: ComparisonGate | ProtectionGate, rival: Rival, facts: Facts) -> GateOutcome | None:
    """What is said where one of both figures is not there; None where both are."""
    if rival not in facts.measured:
        return _not_compared(gate, facts)
    lacking = _lacking(gate.metric, {who: facts.measured[who] for who in ("candidate", rival)})
    return GateOutcome(gate.name, False, f"{lacking} on these rows") if lacking else None


def _difference(metric: str, rival: Rival, facts: Facts) -> str:
    """By how much the candidate's figure differs, in words; empty where that was not evaluated."""
    found = facts.differences.get(rival, {}).get(metric)
    return f", {difference_in_words(found)}" if found else ""


def _not_compared(gate: ComparisonGate | ProtectionGate | SegmentGate, facts: Facts) -> GateOutcome:
    """A champion that cannot be compared stays: whoever wants another without a comparison takes the gate out."""
    if not facts.champion_lacks:
        return GateOutcome(gate.name, True, NO_CHAMPION)
    words = (
        f"the champion stays, for it cannot be compared on these rows: {facts.champion_lacks}; to replace it all the "
        f"same, take {gate.name} out of the model's gates and train once by hand with a reason"
    )
    return GateOutcome(gate.name, False, words)


def _limit(gate: LimitGate, facts: Facts) -> GateOutcome:
    if lacking := _lacking(gate.metric, {"candidate": facts.measured["candidate"]}):
        return GateOutcome(gate.name, False, f"{lacking} on these rows")
    value = facts.measured["candidate"].of(gate.metric)
    if gate.metric == "bias":
        passed = abs(value) <= gate.limit
        words = f"bias {value:.4f} is {'' if passed else 'not '}within {gate.limit:g} of 0"
    else:
        passed = value >= gate.limit if METRICS[gate.metric].greater_is_better else value <= gate.limit
        words = f"{gate.metric} {value:.4f} is {'' if passed else 'not '}{gate.bound} {gate.limit:g}"
    return GateOutcome(gate.name, passed, words, value, gate.limit)


def _segments(gate: SegmentGate, facts: Facts) -> GateOutcome:
    if gate.not_worse_than not in facts.measured:
        return _not_compared(gate, facts)
    metric = METRICS[gate.metric]
    compared: dict[str, tuple[float, float]] = {}
    for column in gate.segments:
        for level, places in levels(facts.model, facts.judged.rows, column, gate.min_rows)[0]:
            whose: tuple[Who, Who] = ("candidate", gate.not_worse_than)
            found = {
                who: measure(facts.model.task, facts.judged.truth[places], facts.judged.scores[who][places])
                for who in whose
            }
            if lacking := _lacking(gate.metric, found):
                words = f"{lacking} in the segment {column} {level} of {len(places)} rows"
                return GateOutcome(gate.name, False, words)
            compared[f"{column} {level}"] = (
                found["candidate"].of(gate.metric),
                found[gate.not_worse_than].of(gate.metric),
            )
    if not compared:
        words = f"no segment by {', '.join(gate.segments)} has {gate.min_rows} rows"
        return GateOutcome(gate.name, False, words, 0, gate.min_rows)

    def worse_by(figures: tuple[float, float]) -> float:
        mine, theirs = figures
        worse = theirs - mine if metric.greater_is_better else mine - theirs
        return worse / abs(theirs) if theirs else math.copysign(math.inf, worse) if worse else 0.0

    worst = max(compared, key=lambda name: worse_by(compared[name]))
    mine, theirs = compared[worst]
    failed = [name for name, figures in compared.items() if metric.is_worse(*figures, gate.by)]
    by = worse_by(compared[worst])
    words = (
        f"{gate.metric} is worse than the {gate.not_worse_than}'s by more than {in_percent(gate.by)} in "
        f"{len(failed) or 'none'} of {len(compared)} segments, {'most' if failed else 'nearest to it'} in {worst}: "
        f"{mine:.4f} against {theirs:.4f}"
    )
    return GateOutcome(gate.name, not failed, words, by if math.isfinite(by) else None, gate.by)


def _size(gate: SizeGate, facts: Facts) -> GateOutcome:
    words = f"the model's file has {in_bytes(facts.size)}, {in_bytes(gate.at_most)} are allowed"
    return GateOutcome(gate.name, facts.size <= gate.at_most, words, facts.size, gate.at_most)


def _latency(gate: LatencyGate, facts: Facts) -> GateOutcome:
    seconds = seconds_for_one_row(facts.model, facts.fit, feature_frame(facts.model, facts.judged.rows.slice(0, 20)))
    words = f"predicting one row takes {in_milliseconds(seconds)}, {in_milliseconds(gate.at_most)} are allowed"
    return GateOutcome(gate.name, seconds <= gate.at_most, words, seconds, gate.at_most)


def _custom(gate: CustomGate, facts: Facts) -> GateOutcome:
    """What a function of the project says, which is given copies: nothing that it does to them is seen elsewhere."""
    import numpy as np

    function = gate.function
    given: Mapping[str, Callable[[], Any]] = {
        "figures": lambda: {who: dict(measured.values) for who, measured in facts.measured.items()},
        "rows": partial(facts.judged.rows.to_pandas, types_mapper=pandas_types),
        "truth": facts.judged.truth.copy,
        "scores": lambda: {who: scores.copy() for who, scores in facts.judged.scores.items()},
    }
    expected = "a function that gives whether the candidate passes, and why in words"
    with called(function, expected, facts.model.training_columns) as call:
        answer = call(**{name: given[name]() for name in function.given})
    said = answer if isinstance(answer, tuple) and len(answer) == 2 else (None, None)
    if not isinstance(said[0], bool | np.bool_) or not isinstance(said[1], str):
        words = f"'{function.name}' answered with {answer!r}, and not with (passed, words)"
        return GateOutcome(gate.name, False, words[:MAX_WORDS])
    return GateOutcome(gate.name, bool(said[0]), said[1][:MAX_WORDS])


def _lacking(metric: str, measured: Mapping[Who, Measured]) -> str:
    """Of whom a metric could not be measured, in words; empty where it could."""
    lacking = [who for who, of in measured.items() if metric not in of.values]
    return f"{metric} could not be measured of the {' and the '.join(lacking)}" if lacking else ""
