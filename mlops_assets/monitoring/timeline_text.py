"""The timeline of a model for a terminal: how it stands, and a line for each period, with what happened in it."""

from collections.abc import Collection, Iterator, Sequence
from math import isnan

from mlops_assets.lakehouse.masking import MASK
from mlops_assets.models.evaluation_text import in_words
from mlops_assets.monitoring.segments import SegmentFinding
from mlops_assets.monitoring.timeline import Timeline, TimelinePeriod, Training, paid, standing

MAX_SEGMENTS = 3
"""So many segments are told of a period, those that lie furthest."""


def as_text(timeline: Timeline, hidden: Collection[str] = (), policy: str = "") -> str:
    """The timeline as lines.

    Args:
        timeline: What to tell.
        hidden: Columns whose values the reader may not see.
        policy: What the retrain policy says now, in words; empty where it has nothing to look at.
    """
    state, sentences = standing(timeline)
    lines = [f"{timeline.model.name}: {state}", *(f"  {sentence}" for sentence in sentences)]
    if timeline.waits:
        lines.append(f"  Version {timeline.waits} waits for a person's approval.")
    lines += [f"  The retrain policy: {policy}."] if policy else []
    lines += [f"  {brought}"] if (brought := paid(timeline)) else []
    return "\n".join([*lines, "", *_lines(timeline, hidden)])


def _lines(timeline: Timeline, hidden: Collection[str]) -> Iterator[str]:
    header = ["period", "version", timeline.model.metric, "baseline", "level", "rows", "features"]
    rows = [_row(timeline, period, hidden) for period in timeline.periods]
    widths = [max(len(row[place]) for row in (header, *rows)) for place in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()

    yield line(header)
    waiting, version = list(timeline.trainings), 0
    for period, row in zip(timeline.periods, rows, strict=True):
        while waiting and waiting[0].candidate.at < period.key:
            yield from _training_lines(waiting.pop(0), timeline.model.metric)
        yield line(row)
        if period.drift and period.version != version:
            yield f"    {bar_words(period)}"
            version = period.version
        if period.drift and period.drift.alarm:
            yield f"    {period.drift.words}"
        if period.estimate and (period.estimate.worse or not period.performance):
            yield f"    {period.estimate.words}"
        if period.attribution and period.attribution.alarm:
            yield f"    what predictions are made of {period.attribution.words}"
        new, _ = timeline.moved_in(period, hidden)
        yield from (f"    moved: {segment_words(one)}" for one in new[:MAX_SEGMENTS])
        yield from (f"    and {len(new) - MAX_SEGMENTS} more" for _ in new[MAX_SEGMENTS : MAX_SEGMENTS + 1])
    for training in waiting:
        yield from _training_lines(training, timeline.model.metric)
    if not timeline.periods:
        yield "nothing was predicted yet"


def _row(timeline: Timeline, period: TimelinePeriod, hidden: Collection[str]) -> list[str]:
    record = period.performance
    told = [f"{one:.4g}" for one in (record.error, record.baseline_error, record.level)] if record else [""] * 3
    if period.worse_than_baseline:
        told[0] += " !"
    rows = (record or period.drift).rows  # type: ignore[union-attr]
    return [period.key, str(period.version), *told, str(rows), drift_words(timeline, period, hidden)]


def drift_words(timeline: Timeline, period: TimelinePeriod, hidden: Collection[str]) -> str:
    """Whether what was predicted from was as usual, in a few words; empty where it was not measured."""
    if period.drift is None:
        return ""
    told = ["drifted"] if period.drift.alarm else []
    for name, found in zip(("moved", "still off"), timeline.moved_in(period, hidden), strict=True):
        segments = list(dict.fromkeys(f"{one.by} {one.segment}" for one in found))
        more = f" and {len(segments) - MAX_SEGMENTS} more" if len(segments) > MAX_SEGMENTS else ""
        told += [f"{name}: {', '.join(segments[:MAX_SEGMENTS])}{more}"] if segments else []
    return "; ".join(told) or ("not judged" if period.drift.values["bar"] is None else "as usual")


def bar_words(period: TimelinePeriod) -> str:
    """By what the periods of a version are judged, and how often that would have been wrong."""
    assert period.drift is not None
    found = period.drift.values
    if found["bar"] is None:
        return f"version {period.version}: {period.drift.words}"
    past = f"of {found['past_periods']} past periods {found['alarms_in_past']} would have been"
    return f"version {period.version}: features are off beyond {found['bar']:.3g}; {past}"


def segment_words(one: SegmentFinding) -> str:
    """What moved in a segment, and by how much."""
    value, usual = (MASK if isnan(figure) else f"{figure:.4g}" for figure in (one.value, one.usual))
    return f"{one.by} {one.segment}: {one.column} {one.statistic} {value}, usually {usual} ({one.rows} rows)"


def _training_lines(training: Training, metric: str) -> Iterator[str]:
    """What became of a training: why it was asked for, and how it was judged."""
    record = training.candidate
    yield f"  trained at {record.at}, asked for by {record.requested_by}: {record.reason}"
    yield f"    {training.outcome}: {record.verdict}"
    if training.difference:
        yield f"    {metric} minus the champion's on the same rows {in_words(training.difference)}: {training.clear}"
