"""What an alarm comes from: the columns and segments that are off, the sources behind them, and what came late there.

A correction or a late delivery that is among a period's rows may be what moved them. So the period's features are
computed again from the states as they would be without it, by the same definitions, and judged as they were.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from mlops_assets.errors import MissingDataError
from mlops_assets.features.correction_report import corrections_of
from mlops_assets.features.lineage import TableColumn, lineage_graph
from mlops_assets.features.recomputing import Span, recomputed, spans_read
from mlops_assets.lakehouse.periods import Period
from mlops_assets.lakehouse.schema import ALWAYS, STATIC_PERIOD
from mlops_assets.models.scoring import features_to_score
from mlops_assets.monitoring.drift import DriftRecord, drift_of, judged, name_of
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ModelDefinition, SourceDefinition

if TYPE_CHECKING:
    import pyarrow as pa

MAX_TRIED = 5
"""Without so many at most the period is computed again, each by itself: those that changed most come first."""


@dataclass(frozen=True)
class Late:
    """States of a source that became known after their period's time, and before the model spoke.

    Args:
        source: The source.
        known_at: When, UTC.
        periods: Keys of the periods that they are of.
        states: How many.
        corrects: Whether something had been known of any of these periods before: a correction, otherwise a delivery
            that came late.
        columns: In how many rows each column was corrected, of those that the drifted features come from.
    """

    source: str
    known_at: datetime
    periods: tuple[str, ...]
    states: int
    corrects: bool
    columns: Mapping[str, int]

    @property
    def words(self) -> str:
        """It in a line."""
        kind = "correction" if self.corrects else "late delivery"
        of = self.periods[0] if len(self.periods) == 1 else f"{self.periods[0]} to {self.periods[-1]}"
        changed = "".join(f", {name} in {rows} rows" for name, rows in self.columns.items())
        return f"{kind} of {self.source} {of}, known from {self.known_at.isoformat()}: {self.states} states{changed}"


@dataclass(frozen=True)
class Explanation:
    """What a period's drift comes from.

    Args:
        record: The drift, as it was measured.
        sources: Of each column beyond the bar, or off in a segment, the columns of sources that it comes from.
        late: Corrections and late deliveries that the period's features rest on, those that are suspected first.
        without: What would have been found without each of the first of them.
    """

    record: DriftRecord
    sources: Mapping[str, tuple[TableColumn, ...]]
    late: tuple[Late, ...]
    without: tuple[DriftRecord, ...]


def explain(platform: Platform, model: ModelDefinition, period: Period) -> Explanation:
    """Say what the drift of a period comes from; nothing of production is written.

    Raises:
        MissingDataError: The period's drift was not measured, or its training set is gone.
        ContractError: A definition does not compute over the states without a delivery.
    """
    record = drift_of(platform, model, period)
    if record is None:
        raise MissingDataError(
            f"no drift of '{model.name}' in {period.key}",
            "a period that was scored, and whose drift was measured",
            f"materialize {model.name}/drift_report for {period.key} first",
        )
    found = record.values
    off = [column for column, _ in found["beyond"] if column] + [one["column"] for one in found["segments"]]
    graph, sources = lineage_graph(platform.project), {}
    for column in dict.fromkeys(off):
        behind = graph.around([TableColumn(f"{model.name}.predictions", column)], up=True, down=False)
        above = (TableColumn(table, name) for table, names in behind.tables.items() for name in names)
        sources[column] = tuple(one for one in above if one.table in platform.project.sources)
    spans = spans_read(platform, model, period)
    late = sorted(
        _late(platform, model, period, spans, {one for of in sources.values() for one in of}),
        key=lambda one: (-sum(one.columns.values()), one.corrects, -one.states, one.source, one.known_at),
    )
    tried = late[:MAX_TRIED] if record.alarm or found["segments"] else []
    without = [
        judged(platform, model, period, record.version, rows_without(platform, model, period, one, spans))[0]
        for one in tried
    ]
    return Explanation(record, sources, tuple(late), tuple(without))


def as_lines(explanation: Explanation, hidden: Sequence[str] = ()) -> Iterator[str]:
    """An explanation for the terminal.

    Args:
        explanation: The explanation.
        hidden: Columns whose values the reader may not see; segments by them are left out.
    """
    record, found = explanation.record, explanation.record.values
    yield f"{record.period} version {record.version}, {record.rows} rows: {record.words}"
    importance, told = found.get("importance", {}), list[str]()
    for one in found["findings"][: len(found["beyond"])]:
        counts = f" (importance {importance[one['column']]:.1%})" if one["column"] in importance else ""
        told.append(f"{name_of(one['column'])}{counts} {one['statistic']}{_from(explanation, one['column'])}")
    for one in found["segments"]:
        if one["by"] not in hidden:
            of = f"{one['column']} {one['statistic']}{_from(explanation, one['column'])}"
            told.append(f"in {one['by']} {one['segment']}: {of}")
    yield from (f"  {line}" for line in told)
    if not found["beyond"] and not found["segments"]:
        yield "  nothing is off: there is nothing to explain"
    elif not explanation.late:
        yield "  no correction and no late delivery is among its rows: it came with deliveries in time"
    for place, late in enumerate(explanation.late):
        yield f"  {late.words}"
        if place < len(explanation.without):
            other = explanation.without[place]
            left = [one for one in other.values["segments"] if one["by"] not in hidden]
            if not other.alarm and not other.values["segments"]:
                yield f"    without it the alarm goes away: {other.words}"
            else:
                segments = f"; {len(left)} segments are off" if left else ""
                yield f"    without it the alarm stays: {other.words}{segments}"


def _from(explanation: Explanation, column: str) -> str:
    sources = ", ".join(map(str, explanation.sources.get(column, ())))
    return f", from {sources}" if sources else ""


def _late(
    platform: Platform, model: ModelDefinition, period: Period, spans: Mapping[str, Span], behind: set[TableColumn]
) -> Iterator[Late]:
    as_of = platform.model_as_of(model, period)
    for name, span in spans.items():
        definition = platform.project.table(name)
        if not isinstance(definition, SourceDefinition):
            continue
        table, known = platform.table(name), dict[datetime, list[tuple[str, int, bool]]]()
        for key, of in table.moments(*(span or (None, None))).items():
            in_time = ALWAYS if key == STATIC_PERIOD else table.schema.calendar.at_key(key).end + definition.lag
            for place, moment in enumerate(of):
                if in_time < moment.known_at <= as_of and (place or key != STATIC_PERIOD):
                    known.setdefault(moment.known_at, []).append((key, moment.states, place > 0))
        corrections = corrections_of(platform, name, min(known)) if known else []
        for known_at, found in known.items():
            columns: dict[str, int] = {}
            for one in corrections:
                if one.known_at == known_at and one.period in {key for key, _, _ in found}:
                    for column, rows in one.columns.items():
                        if TableColumn(name, column) in behind:
                            columns[column] = columns.get(column, 0) + rows
            keys = tuple(dict.fromkeys(key for key, _, _ in found))
            states, corrects = sum(states for _, states, _ in found), any(again for _, _, again in found)
            yield Late(name, known_at, keys, states, corrects, columns)


def rows_without(
    platform: Platform, model: ModelDefinition, period: Period, late: Late | None, spans: Mapping[str, Span]
) -> "pa.Table":
    """The rows to score in a period with their features, from the states as they would be without what came late.

    Args:
        platform: The platform.
        model: The model.
        period: The period.
        late: What is left out; None for nothing.
        spans: The periods of each table that the features rest on.
    """
    import pyarrow.compute as pc

    def kept(name: str, states: "pa.Table") -> "pa.Table":
        return states.filter(pc.field("known_at") != late.known_at) if late and late.source == name else states

    order = [(name, "ascending") for name in model.schema.names]
    with recomputed(platform, spans, platform.model_as_of(model, period), kept) as made:
        return platform.engine.to_arrow(features_to_score(made, model, period)).sort_by(order)
