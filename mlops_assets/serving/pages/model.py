"""The page of a model: how it stands, its periods, what drifted, what was trained, and what it rests on."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from mlops_assets.features.catalog.shown import masked_columns
from mlops_assets.features.lineage import LineageGraph
from mlops_assets.governance.access import ANONYMOUS, visible
from mlops_assets.models.evaluation_text import in_words
from mlops_assets.models.version_changes import LearnedFrom, changes
from mlops_assets.monitoring.incidents import Incident
from mlops_assets.monitoring.timeline import Timeline, TimelinePeriod, errors_over, paid, standing
from mlops_assets.monitoring.timeline_text import drift_words
from mlops_assets.monitoring.worst_rows import WorstRow
from mlops_assets.serving.pages.rendering import Frame, render
from mlops_assets.serving.pages.search import address_of, model_address
from mlops_assets.serving.pages.table import picture_of
from mlops_assets.serving.pages.timeline_chart import Axis, axis_of, error_chart, heat_map
from mlops_assets.serving.pages.words import number

MAX_FINDINGS = 8
"""So many statistics of a period's features are told, those that lay furthest, and so many of its worst segments."""


@dataclass(frozen=True)
class ModelContent:
    """All that the page of a model is made of.

    Args:
        timeline: What became of it.
        policy: What the retrain policy says now, in words; empty where it has nothing to look at.
        learned: What each version's candidate learned from, by its key.
        freshness: ``fresh``, ``late`` or ``never`` of each table that it rests on.
        lineage: The part of the column lineage above its predictions.
        worst: The worst predictions of each period that is told in full.
        incidents: What was off with it and with what it rests on, in the order of their begin.
    """

    timeline: Timeline
    policy: str
    learned: Mapping[str, LearnedFrom]
    freshness: Mapping[str, str]
    lineage: LineageGraph
    worst: Mapping[str, tuple[WorstRow, ...]]
    incidents: tuple[Incident, ...] = ()


def model_page(content: ModelContent, frame: Frame) -> str:
    """The page of a model, as one text; values of personal columns are masked unless its reader may see them."""
    timeline, model = content.timeline, content.timeline.model
    reader = frame.principal or ANONYMOUS
    hidden = {*masked_columns(model.predictions_schema, reader)}
    hidden |= set() if visible(reader, model.label_column) else {model.label.column}
    axis, (state, sentences) = axis_of(timeline), standing(timeline)
    assets = f"{frame.dagster.rstrip('/')}/assets/{quote(model.name, safe='')}"
    return render(
        "model",
        frame,
        model=model,
        timeline=timeline,
        state=state,
        sentences=sentences,
        policy_words=content.policy,
        paid=paid(timeline),
        predicted=model.prediction_columns[-1 if model.task == "binary" else 0].name,
        chosen=next(iter(content.worst), None) if frame.served else None,
        chart=error_chart(timeline, axis, lambda period: _in_a_line(timeline, period)),
        heat=heat_map(timeline, axis, hidden),
        told=[
            _told(content, timeline_period, hidden)
            for timeline_period in timeline.periods
            if timeline_period.key in content.worst
        ],
        period_link=lambda key: _period_link(content, axis, frame, key),
        drift_words=lambda period: drift_words(timeline, period, hidden),
        versions=list(_versions(content)),
        incidents=[(one, one.state(timeline.now)) for one in reversed(content.incidents)],
        address_of=address_of,
        in_words=in_words,
        inputs=[(name, content.freshness[name], address_of(name)) for name in content.freshness],
        personal=sorted(model.personal_names),
        masked=sorted(hidden),
        lineage=picture_of(content.lineage, f"{model.name}.predictions"),
        assets=assets,
        mlflow=frame.mlflow and frame.mlflow.rstrip("/"),
        rule=model.gates_location.file.relative_to(model.gates_location.file.parents[1]),
    )


def _period_link(content: ModelContent, axis: Axis, frame: Frame, key: str) -> str | None:
    """Where a period is told in full; None in a file that does not."""
    if frame.served:
        return model_address(content.timeline.model.name, key)
    return f"#period-{key}" if key in content.worst else None


def _in_a_line(timeline: Timeline, period: TimelinePeriod) -> str:
    """What is known of a period, for who points at it."""
    told = [f"{period.key}, version {period.version}"]
    if record := period.performance:
        told.append(f"{timeline.model.metric} {number(record.error)}, baseline {number(record.baseline_error)}")
    return ": ".join([", ".join(told), *([period.drift.words] if period.drift and period.drift.alarm else [])])


def _told(content: ModelContent, period: TimelinePeriod, hidden: set[str]) -> dict[str, Any]:
    """What the page tells of one period."""
    found = period.drift.values if period.drift else {}
    new, still = content.timeline.moved_in(period, hidden)
    errors = period.performance.segment_errors if period.performance else []
    return {
        "period": period,
        "worst": content.worst[period.key],
        "errors": sorted((one for one in errors if one.by not in hidden), key=lambda one: -one.error)[:MAX_FINDINGS],
        "off": {(one.by, one.segment) for one in (*new, *still)},
        "hidden": hidden,
        "findings": found.get("findings", [])[:MAX_FINDINGS],
        "bar": found.get("bar"),
        "power": found.get("power", {}),
        "new": new,
        "still": still,
        "trainings": [one for one in content.timeline.trainings if period in content.timeline.before(one)],
    }


def _versions(content: ModelContent) -> Iterator[dict[str, Any]]:
    """Each version with what changed since the one before it, the newest first."""
    trainings = [training for training in content.timeline.trainings if training.version is not None]
    for before, training in reversed(list(zip([None, *trainings], trainings, strict=False))):
        yield {
            "training": training,
            "before": before,
            "learned": content.learned[training.candidate.key],
            "learned_before": before and content.learned[before.candidate.key],
            "periods": (periods := [one for one in content.timeline.periods if one.version == training.version]),
            "errors": errors_over(
                content.timeline.model.metric, [one.performance for one in periods if one.performance]
            ),
            "changes": changes(before.candidate, training.candidate) if before else [],
        }
