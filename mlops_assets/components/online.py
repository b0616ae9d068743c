"""The asset TABLE/TABLE_online of a table that is ``online: true``: publishes what changed for applications."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import dagster as dg

from mlops_assets.components import constants
from mlops_assets.components.conditions import carry_on, due_periods
from mlops_assets.components.loading import documented, partitions_of_table, platform_of
from mlops_assets.components.partition_ranges import ONE_RUN, for_each_partition
from mlops_assets.components.results import in_words, result
from mlops_assets.features.online.encoding import moment
from mlops_assets.features.online.publishing import Publication, missing_past, publish
from mlops_assets.features.online.store import open_store
from mlops_assets.governance.evidence import evidence, window_evidence
from mlops_assets.lakehouse.content_hash import text_hash
from mlops_assets.lakehouse.periods import Period
from mlops_assets.platform import Platform
from mlops_assets.project.attributes import Documentation
from mlops_assets.project.definition import (
    FeatureTableDefinition,
    ProjectDefinition,
    SourceDefinition,
    TableDefinition,
)


def online_key(table: str) -> dg.AssetKey:
    """The key of the asset that publishes a table; Dagster's graph shows its last part, which names the table."""
    return dg.AssetKey([table, f"{table}_online"])


def online_assets(project: ProjectDefinition, table: TableDefinition) -> list[dg.AssetsDefinition]:
    """The asset that publishes a table; none of a table that is not online."""
    return [online_asset(project, table)] if table.online else []


def online_asset(project: ProjectDefinition, table: TableDefinition) -> dg.AssetsDefinition:
    """The asset that publishes a table, a partition for each of the table's."""
    key = online_key(table.name)
    calendar = table.schema.calendar
    partitions = partitions_of_table(table)
    pushed = isinstance(table, SourceDefinition) and table.pushed

    def due(platform: Platform, now: datetime, periods: list[Period]) -> Iterable[Period]:
        if missing_past(platform, platform.table(table.name)):
            return []
        return [period for period in periods if platform.known_from([table.name], period) <= now]

    def published(partition: str | None) -> dg.MaterializeResult:
        platform = platform_of(project)
        period = calendar.at_key(partition) if partition else None
        with in_words():
            done = publish(platform, open_store(platform), table.name, period)
        states = platform.table(table.name)
        read = window_evidence(states, [period] if period else [], platform.engine.data_versions)
        return result(
            platform,
            key,
            evidence([read], table.generation),
            text_hash(table.generation, read.data_version),
            figures=_figures(done),
        )

    described = Documentation(
        f"The newest rows of {table.name} by key, as applications read them.\n\n{table.documentation.description}",
        table.documentation.owners,
        table.documentation.tags,
    )
    group = "features" if isinstance(table, FeatureTableDefinition) else "sources"
    shared: dict[str, Any] = {
        "key": key,
        "deps": [dg.AssetKey(table.name)],
        "code_version": table.generation,
        **documented(described, table.location, group, {"online"}, **{constants.GENERATION: table.generation}),
    }
    if partitions is None:

        @dg.asset(automation_condition=carry_on(None, "the table has changed"), **shared)
        def whole() -> dg.MaterializeResult:
            return published(None)

        return whole

    @dg.asset(
        partitions_def=partitions,
        # What was pushed is read while its period runs.
        automation_condition=carry_on(
            None if pushed else due_periods(project, calendar, due),
            "everything about it is known, and its past is computed under a new definition",
        ),
        backfill_policy=ONE_RUN,
        **shared,
    )
    @for_each_partition
    def of_period(partition: str) -> Iterator[Any]:
        yield published(partition)

    return of_period


def _figures(done: Publication) -> dict[str, Any]:
    return {
        "keys written": done.outcome.written,
        "keys unchanged": done.outcome.unchanged,
        "keys removed": done.outcome.removed,
        "older answers skipped": done.outcome.older,
        "rows expired": done.expired,
        "published": "the whole table, into a space of its own" if done.whole else "what changed",
        "read at": moment(done.guard.known_us).isoformat(),
        "read at Delta version": done.guard.version,
    }
