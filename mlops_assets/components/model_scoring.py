"""The assets that a model leaves behind every period: predictions, performance, drift_report."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from math import isfinite
from typing import Any

import dagster as dg

from mlops_assets.components import constants
from mlops_assets.components.column_lineage import model_lineage_figures
from mlops_assets.components.conditions import Due, ReadsChanged, at_its_time, carry_on, due_periods
from mlops_assets.components.feature_table import table_deps
from mlops_assets.components.loading import (
    MAX_PERIODS_BACK,
    STATE_COLUMN_SCHEMA,
    column_schema,
    platform_of,
    window_mapping,
)
from mlops_assets.components.model_asset import Partitions, asset_key, check_specs, model_asset, unblocking_check
from mlops_assets.components.results import in_words, result
from mlops_assets.features.feature_tables import history_evidence, missing_inputs
from mlops_assets.features.labels import labelled_period
from mlops_assets.governance.evidence import InputEvidence, evidence, window_evidence
from mlops_assets.lakehouse.content_hash import text_hash
from mlops_assets.lakehouse.periods import Period
from mlops_assets.markdown import as_table
from mlops_assets.models.records import candidates, periods_with_champion
from mlops_assets.models.scoring import periods_to_score, predictions_about, score, scored_late
from mlops_assets.monitoring.drift import Drift, measure_drift, name_of
from mlops_assets.monitoring.estimation import EstimateRecord, TrackRecord, estimate_performance
from mlops_assets.monitoring.level import LevelVerdict, level_of, own_as_usual
from mlops_assets.monitoring.performance import (
    PerformanceRecord,
    against_baseline,
    labels_known_at,
    measure_performance,
    performance_history,
)
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ModelDefinition, ProjectDefinition
from mlops_assets.project.reads import model_reads
from mlops_assets.project.windows import periods_spanned

AS_USUAL = "estimate_as_usual"


def predictions_asset(
    project: ProjectDefinition, model: ModelDefinition, partitions: Partitions
) -> dg.AssetsDefinition:
    """Predictions for the population of a period, by the champion of that time."""
    calendar = model.schema.calendar
    reaches = [periods_spanned(lookup.lookback, calendar) for lookup in model.lookups if lookup.lookback]
    back = min(max([*reaches, model.history]), MAX_PERIODS_BACK)

    def read(partition: str) -> list[InputEvidence]:
        reads, period = model_reads(project, model), calendar.at_key(partition)
        return history_evidence(platform_of(project), reads, period, back, calendar)

    shown = column_schema(model.predictions_schema, *STATE_COLUMN_SCHEMA)
    key = asset_key(model, "predictions")
    described = (
        "Without labels, the champion is estimated to do no worse than in past periods: a period like these is, in "
        f"{model.drift.false_alarms:.0%} of cases."
    )

    @model_asset(
        model,
        "predictions",
        "What the champion of that time predicted for a period's population.",
        {"scikitlearn", "deltalake"},
        model.population.file,
        metadata={constants.COLUMN_SCHEMA: shown},
        partitions_def=partitions,
        deps=[*table_deps(project, model.inputs, calendar, 1 - back), asset_key(model, "champion")],
        automation_condition=_when_to_score(project, model, ReadsChanged(model.generation, read)),
        check_specs=check_specs(key, partitions, {AS_USUAL: described} if model.classes else {}),
    )
    def predictions(context: dg.AssetExecutionContext) -> dg.MaterializeResult:

        platform = platform_of(project)
        period = calendar.at_key(context.partition_key)
        with in_words():
            scored = score(platform, model, period)
            estimated = estimate_performance(platform, model, period)
        by = InputEvidence(f"{model.name} version {scored.by.version}", None, scored.by.training.model_hash, None)
        read_now, known_at = [*read(context.partition_key), by], scored.written.known_at
        return result(
            platform,
            key,
            evidence(read_now, model.generation, known_at=known_at, seed=model.template.seed),
            scored.written.data_version,
            rows=scored.written.rows,
            figures={
                "version": scored.by.version,
                "scored after its labels were known": scored.late,
                "definitions": scored.by.agreement.reason,
                "states appended": scored.written.appended,
                "share of missing features": scored.null_share,
                "rows without a prediction": scored.without,
                **(_estimate_figures(*estimated) if estimated else {}),
                **model_lineage_figures(project, model, "predictions"),
            },
            checks=[_as_usual(key, estimated)] if model.classes else [],
        )

    return predictions


def _estimate_figures(record: EstimateRecord, so_far: TrackRecord) -> dict[str, Any]:
    """What Dagster shows of an estimate: the figure, and how far earlier ones were off."""
    return {f"estimated {record.metric}": record.estimated, "estimates so far": so_far.words}


def _as_usual(key: dg.AssetKey, estimated: tuple[EstimateRecord, TrackRecord] | None) -> dg.AssetCheckResult:
    if estimated is None:
        return unblocking_check(key, AS_USUAL, True, "nothing was predicted, so there is nothing to estimate")
    record, _ = estimated
    return unblocking_check(key, AS_USUAL, not record.worse, record.words)


def _when_to_score(
    project: ProjectDefinition, model: ModelDefinition, reads: ReadsChanged
) -> dg.AutomationCondition[dg.AssetKey]:
    """When a period is scored: once its inputs are there, or at its as_of, whatever of them is there then."""
    calendar, waits = model.schema.calendar, model.when_late == "wait"
    others = [name for name in model.inputs if project.table(name).first and project.calendar_of(name) != calendar]

    def due(platform: Platform, now: datetime, periods: list[Period]) -> Iterable[Period]:
        scorable = periods_to_score(platform, model, periods)
        spoken = [period for period in scorable if platform.model_as_of(model, period) <= now]
        return [period for period in spoken if not waits or not missing_inputs(platform, others, period)]

    label = "its as_of has come, a champion was there, and what it rests on is computed"
    due_keys = due_periods(project, calendar, due)
    if not waits:
        return at_its_time(due_keys, label)
    champion, sees_to = asset_key(model, "champion"), list(map(dg.AssetKey, others))
    return carry_on(due_keys, label, champion, sees_to=sees_to, reads=reads)


def due_with_labels(
    project: ProjectDefinition,
    model: ModelDefinition,
    predicted: Callable[[Platform, ModelDefinition, Iterable[Period]], Iterable[Period]],
) -> Due:
    """What is due once labels tell how predictions turned out: the periods in which those about others become known.

    Args:
        project: The project.
        model: The model.
        predicted: Those of some periods that somebody predicted about.
    """

    def due(platform: Platform, now: datetime, periods: list[Period]) -> Iterable[Period]:
        known_in = {labelled_period(model, period): period for period in periods}
        told = [known_in[about] for about in predicted(platform, model, [at for at in known_in if at >= model.first])]
        return [period for period in told if platform.labels_as_of(model, period) <= now]

    return due_periods(project, model.schema.calendar, due)


NOT_WORSE, WITHIN_LEVEL, OWN = "not_worse_than_baseline", "within_level", "own_metrics_as_usual"


def performance_asset(
    project: ProjectDefinition, model: ModelDefinition, partitions: Partitions
) -> dg.AssetsDefinition:
    """How the predictions turned out whose labels became known in a period."""
    back, key, persistence = -model.label.known_after, asset_key(model, "performance"), model.retrain.persistence
    described = {
        NOT_WORSE: f"Over its newest {persistence} periods the champion errs by no more than the baseline.",
        WITHIN_LEVEL: f"Over its newest {persistence} periods its skill is as past periods of the season let expect.",
    }
    if model.own_metrics:
        described[OWN] = f"{', '.join(one.name for one in model.own_metrics)}: as past periods let expect, or less."

    @model_asset(
        model,
        "performance",
        "How the predictions turned out whose labels became known in a period.",
        {"deltalake"},
        partitions_def=partitions,
        deps=[
            asset_key(model, "labels"),
            dg.AssetDep(asset_key(model, "predictions"), partition_mapping=window_mapping(back, back)),
        ],
        automation_condition=carry_on(
            due_with_labels(project, model, periods_with_champion), "its as_of has come, and a champion had predicted"
        ),
        check_specs=check_specs(key, partitions, described),
        output_required=False,
    )
    def performance(context: dg.AssetExecutionContext) -> Iterator[Any]:
        platform = platform_of(project)
        period = model.schema.calendar.at_key(context.partition_key)
        about = labelled_period(model, period)
        with in_words():
            measured = measure_performance(platform, model, period)
        if measured is None:
            words = f"No prediction about {about.key} has a label."
            if scored_late(platform, model, [about]):
                words = f"{about.key} was scored after its labels were known: no forecast, and not measured."
            context.log.warning(words)
            yield from (unblocking_check(key, name, True, words) for name in described)
            return
        record, data_version = measured
        compared = (predictions_about(platform, model, about), platform.labels(model))
        read = [window_evidence(table, [about]) for table in compared]
        so_far = [one for one in performance_history(platform, model) if one.period <= period.key]
        trained = [one for one in candidates(platform, model) if one.at <= period.key]
        level = level_of(so_far, trained, model.schema.calendar, model.retrain)
        yield result(
            platform,
            key,
            evidence(read, text_hash(model.metric), known_at=labels_known_at(platform, model, period)),
            data_version,
            rows=record.rows,
            figures=_performance_figures(model, record, level),
            checks=[
                unblocking_check(key, NOT_WORSE, *against_baseline(so_far, persistence)),
                unblocking_check(key, WITHIN_LEVEL, level.within, level.words),
                *([unblocking_check(key, OWN, *own_as_usual(model, so_far))] if model.own_metrics else []),
            ],
        )

    return performance


def _performance_figures(model: ModelDefinition, record: PerformanceRecord, level: LevelVerdict) -> dict[str, Any]:
    """What Dagster shows and plots: rounded, for the record holds every digit."""
    figures: dict[str, float | None] = {
        **record.figure_values,
        **{name: value for name, (_, value) in record.own_values.items()},
        f"baseline {model.metric}": record.baseline_error,
        "level of the skill": level.level,
        "bar of the skill": level.bar,
        "skill": record.skill,
        "skill at least": record.skill_low,
        "skill at most": record.skill_high,
        f"never retrained {model.metric}": record.never_retrained,
    }
    told = {name: float(f"{value:.4g}") for name, value in figures.items() if value is not None and isfinite(value)}
    worst = sorted(record.segment_errors, key=lambda one: -one.share)[:20]
    table = as_table(
        ["segment", "share of the error", model.metric, "baseline's", "rows"],
        [
            [
                f"{one.by} {one.segment}",
                f"{one.share:.0%}",
                f"{one.error:.4g}",
                f"{one.baseline_error:.4g}",
                f"{one.rows}",
            ]
            for one in worst
        ],
    )
    segments = {"segments": dg.MarkdownMetadataValue(table)} if worst else {}
    return {**told, **segments, "version": record.version, "about": record.about}


NO_DRIFT, NO_SEGMENT_MOVED = "no_drift", "no_segment_moved"


def once_spoken(project: ProjectDefinition, model: ModelDefinition) -> dg.AutomationCondition[dg.AssetKey]:
    """When something is told of what was scored in a period: once it was, whichever training sets come later."""

    def due(platform: Platform, now: datetime, periods: list[Period]) -> Iterable[Period]:
        return [period for period in periods if platform.model_as_of(model, period) <= now]

    due_keys = due_periods(project, model.schema.calendar, due)
    return carry_on(due_keys, "its as_of has come", asset_key(model, "training_set"))


def drift_asset(project: ProjectDefinition, model: ModelDefinition, partitions: Partitions) -> dg.AssetsDefinition:
    """Whether the features scored in a period are off, judged by the periods that the champion learned from."""
    key, training_sets = asset_key(model, "drift_report"), asset_key(model, "training_set")
    rate = f"a period without drift is, in {model.drift.false_alarms:.0%} of cases"
    described = {NO_DRIFT: f"No feature is further off than past periods were from one another: {rate}."}
    if model.drift.segments:
        described[NO_SEGMENT_MOVED] = (
            f"No segment by {', '.join(model.drift.segments)} is further off than ever: {rate}."
        )

    @model_asset(
        model,
        "drift_report",
        "Whether the features scored in a period are off, judged by how past periods differ from one another.",
        {"deltalake", "evidently"},
        partitions_def=partitions,
        deps=[
            asset_key(model, "predictions"),
            # Those that a champion of its time can have been trained on, so that a later one does not make it stale.
            dg.AssetDep(training_sets, partition_mapping=window_mapping(-MAX_PERIODS_BACK, -1)),
        ],
        automation_condition=once_spoken(project, model),
        check_specs=check_specs(key, partitions, described),
        output_required=False,
    )
    def drift_report(context: dg.AssetExecutionContext) -> Iterator[Any]:
        platform = platform_of(project)
        period = model.schema.calendar.at_key(context.partition_key)
        with in_words():
            drift = measure_drift(platform, model, period)
        if drift is None:
            words = f"nothing was scored in {period.key}: there is nothing to compare"
            yield from (unblocking_check(key, name, True, words) for name in described)
            return
        record = drift.record
        told = {NO_DRIFT: (not record.alarm, record.words), NO_SEGMENT_MOVED: (not record.moved, record.segment_words)}
        read = [window_evidence(platform.predictions(model), [period]), drift.training_set]
        definition = text_hash(str(model.drift), model.generation)
        yield result(
            platform,
            key,
            evidence(read, definition, known_at=platform.model_as_of(model, period)),
            drift.data_version,
            rows=record.rows,
            figures=_drift_figures(platform, drift),
            checks=[unblocking_check(key, name, *told[name]) for name in described],
        )

    return drift_report


def _drift_figures(platform: Platform, drift: Drift) -> dict[str, Any]:
    """What Dagster shows: the largest score beside its bar, what is beyond, and how often past periods were."""
    found = drift.record.values
    figures: dict[str, Any] = {"verdict": drift.record.words}
    if found["findings"]:
        figures["largest score"] = max(one["score"] for one in found["findings"])
    if found["bar"] is not None:
        figures |= {"bar": found["bar"], "past periods": found["past_periods"]}
        figures["past periods that would have alarmed"] = found["alarms_in_past"]
    figures["findings"] = dg.MarkdownMetadataValue(_table(found["findings"][:20], found))
    if found["segments"]:
        figures["segments"] = dg.MarkdownMetadataValue(_segments_table(found["segments"][:20]))
    if drift.page is not None:
        figures["Evidently's page"] = dg.PathMetadataValue(platform.home.name_of(drift.page))
    return figures


def _table(findings: Sequence[Mapping[str, Any]], found: Mapping[str, Any]) -> str:
    heads = [
        "feature",
        "importance",
        "statistic",
        "value",
        "usually",
        "score",
        "a shift by half a deviation is seen in",
    ]
    power, importance = found["power"], found.get("importance", {})
    rows = [
        [
            name_of(one["column"]),
            f"{importance[one['column']]:.1%}" if one["column"] in importance else "",
            one["statistic"],
            f"{one['value']:.4g}", f"{one['usual']:.4g}", f"{one['score']:.3g}",
            f"{power[one['column']]:.0%}" if one["column"] in power and one["statistic"] == "distance" else "",
        ]
        for one in findings
    ]  # fmt: skip
    return as_table(heads, rows)


def _segments_table(segments: Sequence[Mapping[str, Any]]) -> str:
    heads = ["segment", "feature", "statistic", "value", "usually", "score", "rows"]
    rows = [
        [
            f"{one['by']} {one['segment']}", one["column"], one["statistic"], f"{one['value']:.4g}",
            f"{one['usual']:.4g}", f"{one['score']:.3g}", str(one["rows"]),
        ]
        for one in segments
    ]  # fmt: skip
    return as_table(heads, rows)
