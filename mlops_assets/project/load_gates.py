"""A model's gates, and what its evaluation tells, from its document."""

from collections.abc import Sequence, Set
from dataclasses import replace
from pathlib import Path

from mlops_assets.errors import DefinitionError
from mlops_assets.project import model_attributes as written
from mlops_assets.project.gates import (
    ENOUGH_ROWS,
    CustomGate,
    CustomGateAttributes,
    Gate,
    GateAttributes,
    LatencyGate,
    LatencyGateAttributes,
    LimitGate,
    SegmentGate,
    SizeGate,
    SizeGateAttributes,
)
from mlops_assets.project.model_attributes import DriftChoice, EvaluationChoice
from mlops_assets.project.python_function import GATE, read_function_for
from mlops_assets.project.tasks import METRICS, metrics_of
from mlops_assets.project.yaml_files import Document


def load_gates(
    document: Document, parsed: written.ModelAttributes, columns: Sequence[str], root: Path
) -> tuple[Gate, ...]:
    """Resolve the gates of a model.

    Args:
        document: Where they stand.
        parsed: The model.
        columns: What its judged rows may be told by.
        root: The folder of the project.

    Raises:
        DefinitionError: A metric, limit, column or function does not fit, or two gates have one name.
    """
    found: dict[str, Gate] = {}
    for number, item in enumerate(parsed.gates):
        gate = _gate(document, parsed, number, item, columns, root)
        if gate.name in (*found, ENOUGH_ROWS):
            raise DefinitionError(
                f"a second gate named '{gate.name}'",
                "each gate once, by a name of its own",
                "take one of them out" if not isinstance(gate, CustomGate) else "give it another name",
                where=document.at("gates", number),
            )
        found[gate.name] = gate
    return tuple(found.values())


def load_evaluation(document: Document, parsed: written.ModelAttributes, columns: Sequence[str]) -> EvaluationChoice:
    """What is told of a candidate beside its gates.

    Raises:
        DefinitionError: It is to be told by a column that judged rows do not have.
    """
    segments = _segments(document, parsed.evaluate.segments, columns, "evaluate", "segments")
    return replace(parsed.evaluate, segments=segments)


def load_drift(document: Document, parsed: written.ModelAttributes, columns: Sequence[str]) -> DriftChoice:
    """How drift is judged, and by which segments it is told where something moved.

    Raises:
        DefinitionError: It is to be told by a column that scored rows do not have.
    """
    drift = parsed.monitor.drift
    return replace(drift, segments=_segments(document, drift.segments, columns, "monitor", "drift", "segments"))


def require_no_personal_segments(document: Document, parsed: written.ModelAttributes, personal: Set[str]) -> None:
    """See that nothing is told by segments of personal columns: reports and verdicts are read by whoever reads models.

    Raises:
        DefinitionError: Something is.
    """
    asked: list[tuple[Sequence[str], tuple[str | int, ...]]] = [(parsed.evaluate.segments, ("evaluate", "segments"))]
    asked.append((parsed.monitor.drift.segments, ("monitor", "drift", "segments")))
    asked += [
        (item.segments, ("gates", number, "segments"))
        for number, item in enumerate(parsed.gates)
        if isinstance(item, SegmentGate)
    ]
    for names, place in asked:
        for position, name in enumerate(names):
            if name in personal:
                raise DefinitionError(
                    f"segments by '{name}', which is personal",
                    "columns whose values may stand in reports and verdicts",
                    "tell by another column, or declare it less sensitive, with a sensitivity_reason",
                    where=document.at(*place, position),
                )


def _gate(
    document: Document,
    parsed: written.ModelAttributes,
    number: int,
    item: GateAttributes,
    columns: Sequence[str],
    root: Path,
) -> Gate:
    place = ("gates", number)
    if isinstance(item, CustomGateAttributes):
        with document.located(*place, "python"):
            function = read_function_for(item.python, GATE, beside=document.file.parent, root=root)
        return CustomGate(item.name or function.name, function.definition_hash, function)
    if isinstance(item, SizeGateAttributes):
        return SizeGate(int(item.model_size_at_most.size))
    if isinstance(item, LatencyGateAttributes):
        return LatencyGate(item.latency_at_most.size)
    # What is compared needs a metric for which one of two figures is the better one.
    limits = isinstance(item, LimitGate)
    known = [of.name for of in metrics_of(parsed.task) if limits or of.is_loss or of.greater_is_better]
    found = f"metric '{item.metric}' of a {parsed.task} model"
    document.require_among(item.metric, known, found, "choose one of them", *place, "metric")
    if isinstance(item, LimitGate):
        _require_limit(document, item, *place)
    if isinstance(item, SegmentGate):
        return replace(item, segments=_segments(document, item.segments, columns, *place, "segments"))
    return item


def _require_limit(document: Document, item: LimitGate, *place: str | int) -> None:
    more = METRICS[item.metric].greater_is_better
    limit, other = (item.at_least, item.at_most) if more else (item.at_most, item.at_least)
    if limit is None or other is not None:
        right, wrong = ("at_least", "at_most") if more else ("at_most", "at_least")
        raise DefinitionError(
            f"{wrong} of {item.metric}, of which {'more' if more else 'less'} is better",
            f"{right}",
            f"write {right}, and no {wrong}",
            where=document.at(*place, wrong),
        )
    if item.metric == "bias" and limit < 0:
        raise DefinitionError(
            f"a limit of {limit:g} for the bias, which is judged by its distance from 0",
            "a number from 0 up",
            "write the greatest distance that is allowed",
            where=document.at(*place, "at_most"),
        )


def _segments(document: Document, names: Sequence[str], columns: Sequence[str], *place: str | int) -> tuple[str, ...]:
    """The columns that make segments, each once, all of which judged rows have."""
    cure = "choose one of them, or add it to features or request"
    for position, name in enumerate(names):
        found = f"segments by '{name}', which judged rows do not have"
        document.require_among(name, columns, found, cure, *place, position)
    return tuple(dict.fromkeys(names))
