"""A model's gates, and what its evaluation tells, from its document."""

import re
from collections.abc import Mapping, Sequence, Set
from pathlib import Path

from mlops_assets.errors import DefinitionError, nearest
from mlops_assets.project import model_attributes as written
from mlops_assets.project.definition import EvaluationChoice
from mlops_assets.project.gate_function import read_gate_function
from mlops_assets.project.gates import (
    ENOUGH_ROWS,
    ComparisonGate,
    Gate,
    LatencyGate,
    LimitGate,
    OwnGate,
    SegmentGate,
    SizeGate,
)
from mlops_assets.project.tasks import METRICS, metrics_of
from mlops_assets.project.yaml_files import Document

BYTES = {"KB": 1e3, "MB": 1e6, "GB": 1e9}
SECONDS = {"ms": 1e-3, "s": 1.0}


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
                "take one of them out" if not isinstance(gate, OwnGate) else "give it another name",
                where=document.at("gates", number),
            )
        found[gate.name] = gate
    return tuple(found.values())


def load_evaluation(document: Document, parsed: written.ModelAttributes, columns: Sequence[str]) -> EvaluationChoice:
    """What is told of a candidate beside its gates.

    Raises:
        DefinitionError: It is to be told by a column that judged rows do not have.
    """
    chosen = parsed.evaluate
    for place, name in enumerate(chosen.segments):
        _require_column(document, name, columns, "evaluate", "segments", place)
    return EvaluationChoice(tuple(dict.fromkeys(chosen.segments)), chosen.min_rows, chosen.draws)


def require_no_personal_segments(document: Document, parsed: written.ModelAttributes, personal: Set[str]) -> None:
    """See that nothing is told by segments of personal columns: reports and verdicts are read by whoever reads models.

    Raises:
        DefinitionError: Something is.
    """
    asked: list[tuple[Sequence[str], tuple[str | int, ...]]] = [(parsed.evaluate.segments, ("evaluate", "segments"))]
    asked += [
        (item.by, ("gates", number, "by"))
        for number, item in enumerate(parsed.gates)
        if isinstance(item, written.SegmentGateAttributes)
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


def require_metric(
    document: Document, parsed: written.ModelAttributes, metric: str, known: Sequence[str], cure: str, *place: str | int
) -> None:
    """See that a metric is one of those that may stand at a place.

    Raises:
        DefinitionError: It is none of them.
    """
    if metric not in known:
        raise DefinitionError(
            f"metric '{metric}' of a {parsed.task} model",
            f"one of: {', '.join(known)}",
            nearest(metric, known, cure),
            where=document.at(*place),
        )


def _gate(
    document: Document,
    parsed: written.ModelAttributes,
    number: int,
    item: written.GateAttributes,
    columns: Sequence[str],
    root: Path,
) -> Gate:
    place = ("gates", number)
    if isinstance(item, written.OwnGateAttributes):
        try:
            function = read_gate_function(item.python, beside=document.file.parent, root=root)
        except DefinitionError as error:
            raise (error if error.where else error.at(document.at(*place, "python"))) from None
        return OwnGate(item.name or function.function.name, function.function.definition_hash, function)
    if isinstance(item, written.SizeGateAttributes):
        field = "model_size_at_most"
        return SizeGate(int(_quantity(document, item.model_size_at_most, BYTES, "20 MB", *place, field)))
    if isinstance(item, written.LatencyGateAttributes):
        return LatencyGate(_quantity(document, item.latency_at_most, SECONDS, "5 ms", *place, "latency_at_most"))
    if isinstance(item, written.LimitGateAttributes):
        known = [metric.name for metric in metrics_of(parsed.task)]
        require_metric(document, parsed, item.metric, known, "choose one of them", *place, "metric")
        return LimitGate(item.metric, _limit(document, item, *place))
    # Of metrics for which one of two figures is the better one.
    ordered = [metric.name for metric in metrics_of(parsed.task) if metric.is_loss or metric.greater_is_better]
    require_metric(document, parsed, item.metric, ordered, "choose one of them", *place, "metric")
    if isinstance(item, written.ComparisonGateAttributes):
        return ComparisonGate(item.metric, item.better_than, item.margin)
    for position, name in enumerate(item.by):
        _require_column(document, name, columns, *place, "by", position)
    by = tuple(dict.fromkeys(item.by))
    return SegmentGate(item.metric, by, item.better_than, item.worse_by_at_most, item.min_rows)


def _limit(document: Document, item: written.LimitGateAttributes, *place: str | int) -> float:
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
    return limit


def _quantity(document: Document, text: str, units: Mapping[str, float], example: str, *place: str | int) -> float:
    """A number with its unit, in the unit that counts 1; greater than 0."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([A-Za-z]+)", text.strip())
    size = float(match[1]) * units.get(match[2], 0) if match else 0
    if size <= 0:
        raise DefinitionError(
            f"'{text}'",
            f"a number greater than 0 and one of: {', '.join(units)}",
            f"write it as {example}",
            where=document.at(*place),
        )
    return size


def _require_column(document: Document, name: str, columns: Sequence[str], *place: str | int) -> None:
    if name not in columns:
        raise DefinitionError(
            f"segments by '{name}', which judged rows do not have",
            f"one of: {', '.join(columns)}",
            nearest(name, columns, "choose one of them, or add it to features or request"),
            where=document.at(*place),
        )
