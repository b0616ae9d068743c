"""The Source component: a table brought in from outside, with a contract."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import dagster as dg

from mlops_assets.components import constants
from mlops_assets.components.loading import (
    STATE_COLUMN_SCHEMA,
    ProjectComponent,
    column_schema,
    documented,
    partitions_of_table,
    platform_of,
    project_of,
)
from mlops_assets.components.online import online_assets
from mlops_assets.components.results import (
    CONTRACT,
    DELIVERY_WHOLE,
    blocking_specs,
    check_results,
    expectation_specs,
    failed_checks,
    failure,
    plotted,
    quarantine_specs,
    reach_table,
    report_outcome,
    result,
)
from mlops_assets.errors import PlatformError
from mlops_assets.features.correction_report import reach_of
from mlops_assets.governance.evidence import InputEvidence, evidence
from mlops_assets.lakehouse.periods import Period
from mlops_assets.lakehouse.schema import STATIC_PERIOD
from mlops_assets.lakehouse.tables import StateTable
from mlops_assets.platform import Platform
from mlops_assets.project.attributes import Database, Push, SourceAttributes
from mlops_assets.project.definition import Files, ProjectDefinition, SourceDefinition
from mlops_assets.quality.contract import CheckOutcome
from mlops_assets.quality.freshness import freshness
from mlops_assets.sources.ingest import Ingested, ingest, is_correction
from mlops_assets.sources.quarantine import quarantine_outcome
from mlops_assets.sources.quarantine_replay import Replayed


class Source(ProjectComponent):
    """A table brought in from outside, with a contract."""

    attributes_model = SourceAttributes

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """One asset, which a sensor materializes when a delivery arrives."""
        project = project_of(context)
        source = project.sources[self.name]
        return dg.Definitions(assets=[source_asset(project, source), *online_assets(project, source)])


_KINDS = {"csv": "csv", "parquet": "parquet", "json_lines": "json"}


def _comes_from(origin: Files | Database | Push) -> str:
    """Where deliveries come from, for people; of a database only the variable that holds its URL."""
    if isinstance(origin, Push):
        return "applications that push"
    if isinstance(origin, Files):
        return f"files {origin.pattern.text}"
    return f"{origin.table or 'a query'} of the database in {origin.url_variable}"


def _kind(origin: Files | Database | Push) -> str:
    if isinstance(origin, Files):
        return _KINDS[origin.format]
    return "json" if isinstance(origin, Push) else "sql"


def source_asset(project: ProjectDefinition, source: SourceDefinition) -> dg.AssetsDefinition:
    """The asset of a source: ingests the delivery of its partition."""
    key, partitions = dg.AssetKey(source.name), partitions_of_table(source)

    @dg.asset(
        key=key,
        partitions_def=partitions,
        check_specs=[
            *blocking_specs(key, partitions, CONTRACT, DELIVERY_WHOLE),
            *expectation_specs(key, partitions, source.expectations),
            *quarantine_specs(key, source),
        ],
        output_required=True,
        **documented(
            source.documentation,
            source.location,
            "sources",
            {_kind(source.origin), "deltalake"},
            **{
                constants.COLUMN_SCHEMA: column_schema(source.schema, *STATE_COLUMN_SCHEMA),
                "publication lag": str(source.lag),
                "comes from": _comes_from(source.origin),
                "assumption": "Rows are taken as known always." if source.static else "",
            },
        ),
    )
    def ingested(context: dg.AssetExecutionContext) -> Iterator[Any]:
        platform = platform_of(project)
        period = source.schema.calendar.at_key(context.partition_key) if partitions else None
        try:
            done = ingest(platform, source, period)
        except PlatformError as error:
            yield from failed_checks(key, error)
            raise failure(error) from error
        table = platform.table(source.name)
        if partitions:
            _tell_restated(context, table, done.appended)
        outcomes = [
            *done.checks,
            CheckOutcome(DELIVERY_WHOLE, True, f"{done.rows} rows", 0),
            *freshness(platform, source),
        ]
        if source.max_bad_share:
            outcomes.append(quarantine_outcome(platform, source))
        delivered = InputEvidence(f"{source.name} delivery", None, done.delivery.sha256, None)
        yield result(
            platform,
            key,
            evidence([delivered], source.definition_hash, known_at=done.delivery.known_at),
            table.data_version(period),
            rows=done.rows,
            figures={**_figures(platform, source, period, done), **plotted(outcomes)},
            checks=check_results(key, outcomes),
        )

    return ingested


def _tell_restated(context: dg.AssetExecutionContext, table: StateTable, appended: Iterable[str]) -> None:
    """Record that a delivery restated other periods than its own: their partitions have changed as well."""
    for touched in appended:
        if touched != context.partition_key:
            context.log_event(
                dg.AssetMaterialization(
                    context.asset_key,
                    partition=touched,
                    description=f"Restated by the delivery for {context.partition_key}",
                    tags={"dagster/data_version": table.data_version(table.schema.calendar.at_key(touched))},
                )
            )


def _figures(platform: Platform, source: SourceDefinition, period: Period | None, done: Ingested) -> dict[str, Any]:
    """What a delivery did, as figures; of a correction also what rests on it."""
    figures: dict[str, Any] = {"states appended": sum(done.appended.values()), "rows removed": done.removed}
    if done.stated_later:
        figures["rows stated later"] = done.stated_later
    if done.held_back:
        figures["removals held back"] = done.held_back
    if source.max_bad_share:
        figures["rows put aside"] = done.put_aside
    if done.put_aside:
        figures["quarantine"] = platform.home.name_of(platform.quarantine(source.name).delta.folder)
    figures["delivery"] = done.delivery.number
    if done.appended and is_correction(source, period, done.delivery):
        figures |= reach_table(reach_of(platform.project, source.name, period.key if period else STATIC_PERIOD))
    return {**figures, constants.URI: platform.home.name_of(platform.table(source.name).delta.folder)}


def report_replayed(
    instance: dg.DagsterInstance, platform: Platform, source: SourceDefinition, replayed: Sequence[Replayed]
) -> None:
    """Record what a replay of the quarantine changed, so that what rests on it follows, and how much still waits."""
    key, table = dg.AssetKey(source.name), platform.table(source.name)
    calendar = source.schema.calendar
    for done in replayed:
        # Rows that were in the table already, because a replay was killed before it recorded them, changed nothing now.
        for touched in done.appended or ([done.period] if done.ingested else []):
            period = None if source.static else calendar.at_key(touched)
            instance.report_runless_asset_event(
                dg.AssetMaterialization(
                    key,
                    partition=None if source.static else touched,
                    description=f"Rows from quarantine, of deliveries for {done.period}",
                    metadata={"states appended": done.appended.get(touched, 0), "rows from quarantine": done.ingested},
                    tags={"dagster/data_version": table.data_version(period)},
                )
            )
    if source.max_bad_share:
        report_outcome(instance, key, quarantine_outcome(platform, source))
