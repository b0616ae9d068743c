"""The asset that compares what was answered over HTTP with what the lakehouse knew."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import dagster as dg

from mlops_assets.components.conditions import at_its_time, due_periods
from mlops_assets.components.feature_table import table_deps
from mlops_assets.components.loading import platform_of
from mlops_assets.components.model_asset import Partitions, asset_key, model_asset, unblocking_check
from mlops_assets.components.results import in_words, result
from mlops_assets.governance.evidence import evidence, window_evidence
from mlops_assets.lakehouse.content_hash import text_hash
from mlops_assets.lakehouse.periods import Period
from mlops_assets.markdown import as_table
from mlops_assets.monitoring.skew import SkewRecord, measure_skew
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ModelDefinition, ProjectDefinition
from mlops_assets.project.gates import in_percent

NO_SKEW = "no_skew"
WRITTEN_AFTER = timedelta(minutes=10)
"""Servers have written what they kept of a period by then, seconds after they answered."""


def skew_asset(project: ProjectDefinition, model: ModelDefinition, partitions: Partitions) -> dg.AssetsDefinition:
    """Whether the requests of a period were answered with the features that the lakehouse knew."""
    key, max_skew = asset_key(model, "skew"), model.request_log.max_skew
    described = (
        f"At most {in_percent(max_skew)} of the requests kept were answered otherwise than computed again from the "
        "lakehouse, and none without a cause."
    )

    def due(platform: Platform, now: datetime, periods: list[Period]) -> Iterable[Period]:
        kept = platform.requests(model).delta.counters([period.key for period in periods])
        return [period for period in periods if period.end + WRITTEN_AFTER <= now and kept[period.key]]

    @model_asset(
        model,
        "skew",
        "Whether requests were answered with the features that the lakehouse knew at their moment, bit for bit.",
        {"deltalake"},
        partitions_def=partitions,
        deps=table_deps(project, model.feature_tables, model.schema.calendar, 0),
        automation_condition=at_its_time(
            due_periods(project, model.schema.calendar, due), "it is over, and requests were kept"
        ),
        check_specs=[dg.AssetCheckSpec(NO_SKEW, asset=key, partitions_def=partitions, description=described)],
        output_required=False,
    )
    def skew(context: dg.AssetExecutionContext) -> Iterator[Any]:
        platform = platform_of(project)
        period = model.schema.calendar.at_key(context.partition_key)
        with in_words():
            measured = measure_skew(platform, model, period)
        if measured is None:
            yield unblocking_check(key, NO_SKEW, True, f"no request of {period.key} was kept")
            return
        record, data_version = measured
        read = [window_evidence(platform.requests(model), [period])]
        yield result(
            platform,
            key,
            evidence(read, text_hash(str(max_skew), model.generation), known_at=platform.clock.now()),
            data_version,
            rows=record.rows,
            figures=_figures(record),
            checks=[unblocking_check(key, NO_SKEW, record.within(max_skew), record.words)],
        )

    return skew


def _figures(record: SkewRecord) -> dict[str, Any]:
    figures: dict[str, Any] = {"verdict": record.words, "rows compared": record.compared}
    if record.compared:
        figures["share equal"] = record.equal / record.compared
    if record.differences:
        heads = ["request", "row", "asked at", "feature", "answered", "known", "cause", "why"]
        rows = [[str(value) for value in asdict(one).values()] for one in record.differences]
        figures["the first that differ"] = dg.MarkdownMetadataValue(as_table(heads, rows))
    return figures
