"""An ingestion that somebody asks for on the command line: a run of the home's Dagster for each period."""

from collections.abc import Iterator
from dataclasses import dataclass

import dagster as dg

from mlops_assets.automation.ingestion import waits_for_ingestion
from mlops_assets.components import constants
from mlops_assets.errors import MissingDataError
from mlops_assets.lakehouse.schema import STATIC_PERIOD
from mlops_assets.operations.in_process import NOT_FINISHED, end_what_was_killed, held_open, run_assets
from mlops_assets.platform import Platform
from mlops_assets.progress import Progress, Step, untold
from mlops_assets.project.definition import SourceDefinition


@dataclass(frozen=True)
class IngestedPeriod:
    """What an ingestion did.

    Args:
        period: Key of the period, or ``static``.
        rows: How many rows were taken; None where it failed.
        states: How many states were appended; None where it failed.
        failure: Why it failed, in words; empty where it did not.
    """

    period: str
    rows: int | None
    states: int | None
    failure: str = ""


def run_ingestion(
    platform: Platform,
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    source: SourceDefinition,
    period: str | None = None,
    progress: Progress = untold,
) -> Iterator[IngestedPeriod]:
    """Ingest what waits of a source, or what came for one period, in the order of periods; one that fails stops none.

    Args:
        platform: The platform.
        definitions: The project's code location.
        instance: Where the events go.
        source: The source.
        period: Key of one period; None for all for which something waits.
        progress: Told of each.

    Raises:
        MissingDataError: The period is not over by the platform clock.
        ConflictError: Another ingestion of the source is at work.
    """
    work = f"an ingestion of '{source.name}'"
    keys = sorted(waits_for_ingestion(platform, source)) if period is None else [_over(platform, source, period)]
    events: list[dg.AssetMaterialization] = []

    def see(entry: dg.EventLogEntry) -> None:
        if entry.asset_materialization:
            events.append(entry.asset_materialization)

    with held_open(platform.home.dagster):
        end_what_was_killed(instance, work)
        for number, key in enumerate(keys):
            progress(Step(source.name, number, len(keys), key, minor=True))
            partition = None if key == STATIC_PERIOD else key
            events.clear()
            ran = run_assets(
                definitions, instance, [dg.AssetKey(source.name)], work=work, partition=partition, seen=see
            )
            found = [event for event in events if event.partition == partition]  # it may restate other periods
            if ran.succeeded and found:
                rows, states = (found[-1].metadata[name].value for name in (constants.ROW_COUNT, "states appended"))
                yield IngestedPeriod(key, rows, states)  # type: ignore[arg-type]  # the asset records whole numbers
            else:
                yield IngestedPeriod(key, None, None, "\n".join(ran.failures or (NOT_FINISHED,)))


def _over(platform: Platform, source: SourceDefinition, key: str) -> str:
    """The key of a period of a source, which has a partition by now."""
    if source.static:
        return STATIC_PERIOD
    period, now = source.schema.calendar.at_key(key), platform.clock.now()
    if (period.start if source.pushed else period.end) > now:
        raise MissingDataError(
            f"{key} of source '{source.name}', which is not over at {now.isoformat()}",
            "a period that is over by the platform clock",
            "wait, or name an earlier one",
        )
    return key
