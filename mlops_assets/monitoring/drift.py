"""Drift of what was scored in a period, judged against the training set of the version that scored it."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import inf, isfinite
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import MissingDataError
from mlops_assets.governance.evidence import InputEvidence
from mlops_assets.lakehouse.content_hash import text_hash
from mlops_assets.lakehouse.periods import Period
from mlops_assets.lakehouse.records import read_records, write_record
from mlops_assets.lakehouse.write_points import write_point
from mlops_assets.models.contributions import importance_of
from mlops_assets.models.records import candidate_of_version
from mlops_assets.models.scoring import scored_rows
from mlops_assets.models.training import read_training_set
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ModelDefinition
from mlops_assets.storage.path import StoragePath

if TYPE_CHECKING:
    import pyarrow as pa

    from mlops_assets.monitoring.period_null import Finding, PeriodNull, Verdict
    from mlops_assets.monitoring.segments import SegmentFinding, SegmentNull
    from mlops_assets.monitoring.summaries import Summaries

MAX_PAGES = 12
"""So many of Evidently's pages are kept of a model, the newest; each can be made again."""

PAGE = "evidently.html"
_SHOWN = 5


@dataclass(frozen=True)
class DriftRecord:
    """What was found in one period.

    Args:
        period: Its key.
        version: The version that scored it.
        rows: Rows that were scored.
        alarm: Whether a column is beyond its bar.
        moved: Whether a segment is beyond its own that was not in the period before.
        words: The verdict in a line.
        segment_words: The verdict on segments in a line.
        found: All of it, as JSON: the bars, their rates, every statistic with its score, segments, and the power.
    """

    period: str
    version: int
    rows: int
    alarm: bool
    moved: bool
    words: str
    segment_words: str
    found: str

    @property
    def values(self) -> dict[str, Any]:
        """What ``found`` holds."""
        return dict(json.loads(self.found))


@dataclass(frozen=True)
class Drift:
    """What measuring a period's drift did.

    Args:
        record: What was found, as it is kept.
        data_version: Of the record.
        training_set: Evidence of the training set that the period was compared with.
        page: Evidently's page of the two; None where there was no alarm.
    """

    record: DriftRecord
    data_version: str
    training_set: InputEvidence
    page: StoragePath | None


def measure_drift(platform: Platform, model: ModelDefinition, period: Period) -> Drift | None:
    """Compare a period's rows with the training set of the version that scored them, and keep what was found.

    Returns:
        What was found; None where nobody was scored.

    Raises:
        MissingDataError: The period was not scored, or the training set is gone.
    """
    scored = scored_in(platform, model, period)
    if scored.num_rows == 0:
        return None
    version = int(scored.column("version")[0].as_py())
    record, training_set = judged(platform, model, period, version, scored)
    data_version = write_record(platform.records(model, "drift"), record)
    page = write_page(platform, model, period) if record.alarm else None
    return Drift(record, data_version, training_set, page)


def judged(
    platform: Platform, model: ModelDefinition, period: Period, version: int, rows: "pa.Table"
) -> tuple[DriftRecord, InputEvidence]:
    """What is found in some rows as those that a version scored in a period; nothing of it is kept.

    Returns:
        The record that it would be, and evidence of the training set that the rows were compared with.

    Raises:
        MissingDataError: The training set is gone.
    """
    at = model.schema.calendar.at_key(candidate_of_version(platform, model, version).at)
    sets = platform.training_sets(model)
    training_set = InputEvidence(
        sets.delta.name, sets.delta.version(), sets.data_version(at.key) or "", (at.key, at.key)
    )
    null, segments = _nulls(platform, model, at, training_set.data_version)
    verdict = null.judge(_summarized(model, rows), _before(platform, model, period))
    moved = segments.findings(rows) if segments else []
    known = _segments_before(platform, model, period, version) if moved else set[tuple[str, str]]()
    importance = importance_of(platform, model, version)
    record = DriftRecord(
        period=period.key,
        version=version,
        rows=rows.num_rows,
        alarm=verdict.alarm,
        moved=any((one.by, one.segment) not in known for one in moved),
        words=verdict_words(null, verdict, importance),
        segment_words=_segment_words(segments, moved, known),
        found=_as_json(null, verdict, segments, moved, importance),
    )
    return record, training_set


def drift_of(platform: Platform, model: ModelDefinition, period: Period) -> DriftRecord | None:
    """The drift of a period; None where it was not measured."""
    return next(iter(read_records(platform.records(model, "drift"), DriftRecord, [period.key])), None)


def drift_history(platform: Platform, model: ModelDefinition) -> list[DriftRecord]:
    """The drift of all periods, in their order."""
    return read_records(platform.records(model, "drift"), DriftRecord)


def write_page(platform: Platform, model: ModelDefinition, period: Period) -> StoragePath:
    """Make Evidently's page of a period, beside our verdict, and keep it among the newest.

    Raises:
        MissingDataError: The period's drift was not measured, or the training set is gone.
    """
    from mlops_assets.monitoring.evidently_report import evidently_page

    record = drift_of(platform, model, period)
    if record is None:
        raise MissingDataError(
            f"no drift of '{model.name}' in {period.key}",
            "a period that was scored, and whose drift was measured",
            f"materialize {model.name}/drift_report for {period.key} first",
        )
    at = model.schema.calendar.at_key(candidate_of_version(platform, model, record.version).at)
    page = evidently_page(
        read_training_set(platform, model, at),
        scored_in(platform, model, period),
        numbers=model.numbers,
        categories=model.categories,
        personal=model.personal_names,
        title=f"{model.name}, version {record.version} of {at.key}: {period.key}, {record.rows} rows",
        verdict=record.words,
        beyond=[column for column, _ in record.values["beyond"]],
    ).encode()
    pages = platform.home.reports / model.name
    file = pages / period.key / PAGE
    if not (file.exists() and file.read_bytes() == page):
        file.write(page)
        write_point("drift page")
    kept = sorted(name for name in pages.names() if (pages / name / PAGE).exists())
    for older in [name for name in kept if name != period.key][: max(len(kept) - MAX_PAGES, 0)]:
        (pages / older / PAGE).delete()
        write_point("drift page")
    return file


def scored_in(platform: Platform, model: ModelDefinition, period: Period) -> "pa.Table":
    """The rows that were scored in a period, in the order of their keys: sums of them come out the same each time."""
    rows = scored_rows(platform, model, period)
    return rows.sort_by([(name, "ascending") for name in model.schema.names])


def _nulls(
    platform: Platform, model: ModelDefinition, at: Period, data_version: str
) -> "tuple[PeriodNull, SegmentNull | None]":
    """How the periods of a training set lie; their summaries are made once, and made again where they are gone."""
    from mlops_assets.monitoring.period_null import PeriodNull
    from mlops_assets.monitoring.segments import SegmentNull
    from mlops_assets.monitoring.summaries import read_summaries, write_summaries

    columns = text_hash(*model.numbers, "", *model.categories)
    file = platform.home.reports / model.name / f"reference-{data_version[:16]}-{columns[:8]}.npz"
    asked, summaries, segments = model.drift, read_summaries(file), None
    if summaries is None or asked.segments:
        rows = read_training_set(platform, model, at)
        if summaries is None:
            summaries = _summarized(model, rows)
            write_summaries(file, summaries)
            write_point("drift reference")
        if asked.segments:
            segments = SegmentNull.of(
                rows,
                periods_of(model, rows),
                by=asked.segments,
                numbers=model.numbers,
                categories=model.categories,
                rate=asked.false_alarms,
            )
    return PeriodNull.of(summaries, model.schema.calendar, asked.reference, asked.false_alarms), segments


def _summarized(model: ModelDefinition, rows: "pa.Table") -> "Summaries":
    from mlops_assets.monitoring.summaries import summarize

    return summarize(rows, periods_of(model, rows), numbers=model.numbers, categories=model.categories)


def periods_of(model: ModelDefinition, rows: "pa.Table") -> list[str]:
    """The key of the period that each row is about."""
    import pyarrow as pa
    import pyarrow.compute as pc

    times = pc.cast(rows.column(str(model.schema.timestamp)), pa.timestamp("us", "UTC")).combine_chunks()
    encoded = times.dictionary_encode()
    keys = [model.schema.calendar.of(moment).key for moment in encoded.dictionary.to_pylist()]
    return [keys[place] for place in encoded.indices.to_pylist()]


def _before(platform: Platform, model: ModelDefinition, period: Period) -> "Summaries | None":
    """The period before, where that is what counts, and it was scored."""
    if model.drift.reference != "previous":
        return None
    before = model.schema.calendar.shift(period, -1)
    if drift_of(platform, model, before) is None:
        return None
    return _summarized(model, scored_in(platform, model, before))


def _segments_before(platform: Platform, model: ModelDefinition, period: Period, version: int) -> set[tuple[str, str]]:
    """The segments that were beyond the bar in the period before, by the same version: they are told, and not again."""
    before = drift_of(platform, model, model.schema.calendar.shift(period, -1))
    if before is None or before.version != version:
        return set()
    return {(one["by"], one["segment"]) for one in before.values["segments"]}


def verdict_words(null: "PeriodNull", verdict: "Verdict", importance: Mapping[str, float]) -> str:
    """A verdict in a line, what matters most first, with its bar and how often past periods were beyond theirs."""
    if verdict.why_not:
        return f"shown and not judged: {verdict.why_not}"
    rate = f"of {len(null.largest)} past periods {null.alarms_in_past} would have alarmed"
    if not verdict.alarm:
        return f"as usual: no score is beyond {null.bar:.3g}; {rate}"
    ordered = by_importance(verdict.beyond, importance)
    beyond = [f"{name_of(one.column)} {one.statistic} {one.score:.3g}" for one in ordered]
    more = f", and {len(beyond) - _SHOWN} more" if len(beyond) > _SHOWN else ""
    return f"drifted: {', '.join(beyond[:_SHOWN])}{more}, beyond {null.bar:.3g}; {rate}"


def _segment_words(null: "SegmentNull | None", moved: "Sequence[SegmentFinding]", known: set[tuple[str, str]]) -> str:
    if null is None:
        return "no segments are declared"
    if not isfinite(null.bar):
        return f"shown and not judged: {null.periods} past periods are too few"
    if not moved:
        return f"as usual: no segment is beyond {null.bar:.3g}"
    told = []
    for one in sorted(moved, key=lambda one: (one.by, one.segment) in known):  # what is new comes first
        still = "still " if (one.by, one.segment) in known else ""
        figure = f"{one.column} {one.statistic} {one.value:.4g}, usually {one.usual:.4g}"
        told.append(f"{still}{one.by} {one.segment}: {figure}")
    return f"moved: {'; '.join(told[:_SHOWN])}" + (f"; and {len(told) - _SHOWN} more" if len(told) > _SHOWN else "")


def by_importance(findings: "Iterable[Finding]", importance: Mapping[str, float]) -> "list[Finding]":
    """Findings with those first whose features count most; what is of all rows before them, and else as they were."""
    return sorted(findings, key=lambda one: -importance.get(one.column, 0.0) if one.column else -inf)


def name_of(column: str) -> str:
    """A column in words; all rows are called so."""
    return column or "all rows:"


def _as_json(
    null: "PeriodNull",
    verdict: "Verdict",
    segments: "SegmentNull | None",
    moved: "Sequence[SegmentFinding]",
    importance: Mapping[str, float],
) -> str:
    beyond, of = by_importance(verdict.beyond, importance), {one.column for one in verdict.findings}
    values = {
        "reference": null.kind,
        "rate": null.rate,
        "bar": None if verdict.why_not else null.bar,
        "past_periods": len(null.largest),
        "alarms_in_past": null.alarms_in_past if len(null.largest) > 1 else 0,
        "beyond": [(one.column, one.statistic) for one in beyond],
        "findings": [asdict(one) for one in (*beyond, *verdict.findings[len(beyond) :])],
        "importance": {name: share for name, share in importance.items() if name in of},
        "segment_bar": segments.bar if segments and isfinite(segments.bar) else None,
        "segments": [asdict(one) for one in moved],
        "power": {} if verdict.why_not else null.power,
    }
    return json.dumps(rounded(values), sort_keys=True)


def rounded(value: Any) -> Any:
    """Numbers of anything to six digits: what comes after differs from processor to processor."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {name: rounded(item) for name, item in value.items()}
    return [rounded(item) for item in value] if isinstance(value, list | tuple) else value
