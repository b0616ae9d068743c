"""A backfill of one feature table of the example over all its months, against the same calls in a bare script."""

import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import Figure
from mlops_assets.features.feature_tables import evaluate_feature_table
from mlops_assets.lakehouse.home import HOME_VARIABLE, Home
from mlops_assets.lakehouse.periods import Period
from mlops_assets.platform import Platform
from mlops_assets.project.definition import FeatureTableDefinition, SourceDefinition
from mlops_assets.project.folder import find_project
from mlops_assets.sources.ingest import ingest
from mlops_assets.sources.publisher import publish_due

if TYPE_CHECKING:
    import dagster as dg

PROJECT = Path(__file__).parent.parent
TABLE = "series_demand"
MAX_SECONDS = 0.3


def backfill() -> Figure:
    """Seconds a month, each month with an event, a data version and a check of its own, on the default storage."""
    with tempfile.TemporaryDirectory() as folder:
        home, bare = Home(Path(folder) / "home").prepare(), Home(Path(folder) / "bare")
        os.environ[HOME_VARIABLE] = str(home.folder)
        project = find_project(PROJECT)
        definition = project.read()
        table = definition.feature_tables[TABLE]
        _deliver(Platform.of(definition, home), table)
        shutil.copytree(home.folder, bare.folder)
        from mlops_assets.definitions import defs
        from mlops_assets.operations.backfill import run_backfill
        from mlops_assets.operations.in_process import enter, held_open, open_instance

        enter(home, project)
        definitions = defs()
        months = list(table.schema.calendar.between(table.first, _last(table)))
        with open_instance(home) as instance, held_open(home.dagster):
            _report_sources(Platform.of(definition, home), table, instance)
            begun = time.perf_counter()
            done = run_backfill(Platform.of(definition, home), definitions, instance, TABLE)
            ours = (time.perf_counter() - begun) / len(months)
            begun = time.perf_counter()
            again = run_backfill(Platform.of(definition, home), definitions, instance, TABLE)
            resumed = (time.perf_counter() - begun) / len(months)
            _require_whole(Platform.of(definition, home), table, instance, months)
        begun = time.perf_counter()
        for month in months:
            evaluate_feature_table(Platform.of(definition, bare), table, month)
        peer = (time.perf_counter() - begun) / len(months)
    if (len(done.computed), again.current) != (len(months), len(months)):
        raise RuntimeError(f"computed {len(done.computed)}, then current {again.current}, of {len(months)}: {done}")
    return Figure(
        "backfill",
        {"a month": round(ours, 3), "a month that was current": round(resumed, 4), "months": len(months)},
        round(peer, 3),
        round(ours / peer, 2),
        f"at most {MAX_SECONDS} s a month with an event, a data version and checks for each (seconds)",
        ours <= MAX_SECONDS,
    )


def _last(table: FeatureTableDefinition) -> Period:
    if table.last is None:
        raise RuntimeError(f"the months of {table.name} have no end")
    return table.last


def _months(source: SourceDefinition) -> list[Period]:
    return list(source.schema.calendar.between(source.first, source.last)) if source.first and source.last else []


def _deliver(platform: Platform, table: FeatureTableDefinition) -> None:
    """Everything is published and ingested; the clock stands after the last month is known."""
    sources = [source for source in platform.project.sources.values() if not source.static]
    platform.home.clock.set(_last(table).end + max(source.lag for source in sources))
    publish_due(platform)
    for source in platform.project.upstream_sources(table.name):
        months: list[Period | None] = [*_months(source)]
        for month in months or [None]:
            ingest(platform, source, month)


def _report_sources(platform: Platform, table: FeatureTableDefinition, instance: "dg.DagsterInstance") -> None:
    """The events that ingesting through Dagster would have left."""
    import dagster as dg

    for source in platform.project.upstream_sources(table.name):
        versions = platform.table(source.name).data_versions(_months(source))
        for key, version in versions.items():
            tags = {"dagster/data_version": version}
            partition = None if source.static else key
            instance.report_runless_asset_event(dg.AssetMaterialization(source.name, partition=partition, tags=tags))


def _require_whole(
    platform: Platform, table: FeatureTableDefinition, instance: "dg.DagsterInstance", months: list[Period]
) -> None:
    """See that every month has an event with its content as data version, and a check."""
    import dagster as dg

    key = dg.AssetKey(table.name)
    tags = instance.event_log_storage.get_latest_tags_by_partition(
        key, dg.DagsterEventType.ASSET_MATERIALIZATION, ["dagster/data_version"]
    )
    found = {month: tag["dagster/data_version"] for month, tag in tags.items()}
    if found != platform.table(table.name).data_versions(months):
        raise RuntimeError(f"events of {len(found)} months do not say what {len(months)} months hold")
    checks = instance.event_log_storage.get_asset_check_execution_history(dg.AssetCheckKey(key, "contract"), 1000)
    if sorted(str(check.partition) for check in checks) != [month.key for month in months]:
        raise RuntimeError(f"{len(checks)} checks for {len(months)} months")
