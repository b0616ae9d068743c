"""The schedule that only reports: which periods of which sources are overdue or refused, and which tables are stale."""

from dataclasses import dataclass

import dagster as dg

from mlops_assets.components.loading import platform_of
from mlops_assets.components.results import report_outcome
from mlops_assets.lakehouse.content_hash import text_hash
from mlops_assets.lakehouse.periods import Period
from mlops_assets.project.definition import ProjectDefinition, SourceDefinition
from mlops_assets.project.platform import Platform
from mlops_assets.sources.freshness import stale_tables

EVERY_MORNING = "0 6 * * *"


@dataclass(frozen=True)
class Overdue:
    """A period that should be in the lakehouse and is not."""

    source: str
    period: str
    reason: str


def overdue_periods(platform: Platform) -> list[Overdue]:
    """The periods that are overdue by the platform clock, since the source went live or began."""
    found = []
    for source in platform.project.sources.values():
        for period in _expected(platform, source):
            deliveries = platform.deliveries.of(source.name, period.key)
            if any(delivery.accepted for delivery in deliveries):
                continue
            due = (period.end + source.lag).date().isoformat()
            reason = f"due {due}, and {len(deliveries)} deliveries were refused" if deliveries else f"due {due}"
            found.append(Overdue(source.name, period.key, reason))
    return found


def overdue_schedule(project: ProjectDefinition) -> dg.ScheduleDefinition:
    """Reports every morning what does not come: overdue periods, and tables that are stale; starts nothing else."""

    @dg.op(description="Report every overdue period as an observation, and every table's freshness as its check.")
    def report(context: dg.OpExecutionContext) -> None:
        platform = platform_of(project)
        for table, fresh in stale_tables(platform):
            context.log.warning(f"{table.name} is stale: {fresh.found}")
            report_outcome(context.instance, dg.AssetKey(table.name), fresh)
        for late in overdue_periods(platform):
            words = f"{late.source} {late.period} is overdue: {late.reason}"
            context.log.warning(words)
            context.log_event(dg.AssetObservation(late.source, partition=late.period, description=words))

    @dg.job(name="report_overdue", description="Report the periods that are overdue, and the tables that are stale.")
    def report_overdue() -> None:
        report()

    @dg.schedule(
        name="overdue",
        job=report_overdue,
        cron_schedule=EVERY_MORNING,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Reports deliveries that are overdue or were refused, and tables that are stale.",
    )
    def overdue(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        platform = platform_of(project)
        words = [f"{item.source} {item.period} {item.reason}" for item in overdue_periods(platform)]
        words += [f"{table.name} {fresh.name} {fresh.found}" for table, fresh in stale_tables(platform)]
        if not words:
            return dg.SkipReason("nothing is overdue or stale")
        return dg.RunRequest(run_key=text_hash(*words))

    return overdue


def _expected(platform: Platform, source: SourceDefinition) -> list[Period]:
    """Periods whose delivery should have arrived by now; of history, nothing is expected."""
    first = source.live_since or source.first
    if first is None or source.pushed:  # a period into which nobody pushed is not late
        return []
    calendar = source.schema.calendar
    now = platform.clock.now()
    newest = calendar.of(now - source.lag - source.overdue_after)
    last = calendar.shift(newest, -1)
    if source.last is not None:
        last = min(last, source.last)
    return list(calendar.between(first, last))
