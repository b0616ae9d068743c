"""The FeatureTable component: columns computed for a primary key and a time, by SQL, Python or time windows."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

import dagster as dg

from mlops_assets.components import constants
from mlops_assets.components.column_lineage import feature_table_lineage_figures
from mlops_assets.components.conditions import ReadsChanged, carry_on, due_periods
from mlops_assets.components.loading import (
    STATE_COLUMN_SCHEMA,
    ProjectComponent,
    column_schema,
    documented,
    partitions_of_table,
    platform_of,
    project_of,
    window_mapping,
)
from mlops_assets.components.online import online_assets
from mlops_assets.components.partition_ranges import ONE_RUN, for_each_partition
from mlops_assets.components.results import (
    CONTRACT,
    blocking_specs,
    check_results,
    expectation_specs,
    failed_checks,
    failure,
    plotted,
    result,
    written_figures,
)
from mlops_assets.errors import PlatformError
from mlops_assets.features.feature_tables import evaluate_feature_table, has_history, history_evidence
from mlops_assets.governance.evidence import InputEvidence, evidence
from mlops_assets.lakehouse.periods import Calendar, Period, Unit
from mlops_assets.markdown import as_code
from mlops_assets.platform import Platform
from mlops_assets.project.attributes import FeatureTableAttributes
from mlops_assets.project.definition import FeatureTableDefinition, ProjectDefinition
from mlops_assets.project.reads import table_reads
from mlops_assets.quality.freshness import freshness


class FeatureTable(ProjectComponent):
    """Columns computed for a primary key and a time by SQL, Python or time windows, kept in the lakehouse."""

    attributes_model = FeatureTableAttributes

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """One asset, which a condition materializes when its inputs of a period are there."""
        project = project_of(context)
        table = project.feature_tables[self.name]
        return dg.Definitions(assets=[feature_table_asset(project, table), *online_assets(project, table)])


def feature_table_asset(project: ProjectDefinition, table: FeatureTableDefinition) -> dg.AssetsDefinition:
    """The asset of a feature table: a partition as known at its as_of, and at each correction since."""
    key, partitions, calendar = dg.AssetKey(table.name), partitions_of_table(table), table.schema.calendar

    def due(platform: Platform, now: datetime, periods: list[Period]) -> Iterable[Period]:
        over = [period for period in periods if platform.feature_table_as_of(table, period) <= now]
        return [period for period in over if has_history(platform, table.inputs, period, table.history)]

    def read(partition: str) -> list[InputEvidence]:
        reads, period = table_reads(project, table), calendar.at_key(partition)
        return history_evidence(platform_of(project), reads, period, table.history, calendar)

    @dg.asset(
        key=key,
        partitions_def=partitions,
        deps=table_deps(project, table.inputs, calendar, 1 - table.history),
        automation_condition=carry_on(
            due_periods(project, calendar, due),
            "its as_of has come, and its inputs' history is there",
            reads=ReadsChanged(table.generation, read),
        ),
        check_specs=[
            *blocking_specs(key, partitions, CONTRACT),
            *expectation_specs(key, partitions, table.expectations),
        ],
        backfill_policy=ONE_RUN,
        code_version=table.generation,
        **_documented(project, table),
    )
    @for_each_partition
    def evaluated(partition: str) -> Iterator[Any]:
        platform = platform_of(project)
        try:
            written, outcomes = evaluate_feature_table(platform, table, calendar.at_key(partition))
        except PlatformError as error:
            yield from failed_checks(key, error)
            raise failure(error) from error
        outcomes += freshness(platform, table)
        yield result(
            platform,
            key,
            evidence(read(partition), table.generation, known_at=written.known_at),
            written.data_version,
            rows=written.rows,
            figures={
                **written_figures(written),
                **feature_table_lineage_figures(project, table),
                **plotted(outcomes),
                constants.URI: platform.home.name_of(platform.table(table.name).delta.folder),
            },
            checks=check_results(key, outcomes),
        )

    return evaluated


def _documented(project: ProjectDefinition, table: FeatureTableDefinition) -> dict[str, Any]:
    """What people read of the asset, and the SQL (of windows, that they stand for) or function that computes it."""
    language = "sql" if table.query else "python"
    computed_by = table.engine or project.engine.chosen() if table.query else "python"
    return documented(
        table.documentation,
        table.location,
        "features",
        {"deltalake", language, computed_by},
        table.computation.file,
        **{
            constants.COLUMN_SCHEMA: column_schema(table.schema, *STATE_COLUMN_SCHEMA),
            constants.GENERATION: table.generation,
            language: dg.MarkdownMetadataValue(as_code(table.computation.text, language)),
        },
    )


def table_deps(
    project: ProjectDefinition, names: Iterable[str], calendar: Calendar, first_offset: int, last_offset: int = 0
) -> list[dg.AssetDep]:
    """Dependence on the periods of tables behind those from one offset to another; on static tables as a whole.

    Args:
        project: The project.
        names: Which tables.
        calendar: How the asset that depends on them is cut into periods; offsets count these.
        first_offset: From the asset's own period to the first that counts.
        last_offset: Likewise to the last.
    """
    return [
        dg.AssetDep(dg.AssetKey(name))
        if project.table(name).schema.timestamp is None
        else dg.AssetDep(
            dg.AssetKey(name),
            partition_mapping=window_mapping(
                first_offset, last_offset - _PERIODS_BEFORE_OVER.get((calendar.unit, project.calendar_of(name).unit), 0)
            ),
        )
        for name in names
    ]


_PERIODS_BEFORE_OVER: Mapping[tuple[Unit, Unit], int] = {("day", "week"): 6, ("day", "month"): 27, ("week", "month"): 3}
"""Dagster maps a period to those that overlap it; one so many periods earlier overlaps the newest that is over.

Months are of unequal length: at their end a few days map to the month itself, which is more than they rest on.
"""
