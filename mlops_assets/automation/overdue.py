"""The schedule that only reports: periods that are overdue or refused, tables that are stale, files of no period."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

import dagster as dg

from mlops_assets.components.loading import platform_of
from mlops_assets.components.results import report_outcome
from mlops_assets.features.correction_report import reach_of
from mlops_assets.lakehouse.content_hash import text_hash
from mlops_assets.lakehouse.periods import Period
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ProjectDefinition, SourceDefinition
from mlops_assets.quality.freshness import stale_tables
from mlops_assets.sources.landing import passed_over_in_words

EVERY_MORNING = "0 6 * * *"


@dataclass(frozen=True)
class Overdue:
    """A period that should be in the lakehouse and is not.

    Args:
        source: The source.
        period: Key of the period.
        due: When it should have come.
        refused: How many deliveries of it were refused.
        project: The project, which says what rests on it.
    """

    source: str
    period: str
    due: date
    refused: int
    project: ProjectDefinition = field(repr=False)

    @property
    def waiting(self) -> tuple[str, ...]:
        """The tables and models that rest on it: looked for among all of a project, so only where somebody is told."""
        reach = reach_of(self.project, self.source, self.period)
        return (*(name for name in reach.tables if "/" not in name), *reach.models)

    @property
    def reason(self) -> str:
        """Since when, whether something came, and what waits for it."""
        came = "" if not self.refused else ", and the one delivery of it was refused"
        if self.refused > 1:
            came = f", and its {self.refused} deliveries were refused"
        waiting = ", ".join(self.waiting)
        return f"due {self.due}{came}{f'; for it wait: {waiting}' if waiting else ''}"

    @property
    def words(self) -> str:
        """All of it in a sentence."""
        return f"{self.source} {self.period} is overdue: {self.reason}"


def overdue_periods(platform: Platform) -> list[Overdue]:
    """The periods that are overdue by the platform clock, since the source went live or began."""
    sources = platform.project.sources.values()
    return [item for source in sources for item in _absent(platform, source, source.overdue_after)]


def unread_files(platform: Platform) -> list[str]:
    """For each source with files in its landing folder that nothing will ever read, a sentence that names them."""
    sources = platform.project.sources.values()
    return [words for source in sources if (words := passed_over_in_words(platform, source))]


def lacking(platform: Platform, since: datetime | None = None) -> list[Overdue]:
    """The periods that should have come by now, with no patience; of those that were due after a moment, or of all."""
    sources = platform.project.sources.values()
    return [item for source in sources for item in _absent(platform, source, timedelta(0), since)]


def _absent(
    platform: Platform, source: SourceDefinition, patience: timedelta, since: datetime | None = None
) -> Iterator[Overdue]:
    for period in _expected(platform, source, patience, since):
        deliveries = platform.deliveries.of(source.name, period.key)
        if not any(delivery.accepted for delivery in deliveries):
            due = (period.end + source.lag).date()
            yield Overdue(source.name, period.key, due, len(deliveries), platform.project)


def overdue_schedule(project: ProjectDefinition) -> dg.ScheduleDefinition:
    """Reports every morning what does not come: periods, fresh rows, and files of no period; starts nothing else."""

    @dg.op(description="Report every overdue period as an observation, and every table's freshness as its check.")
    def report(context: dg.OpExecutionContext) -> None:
        platform = platform_of(project)
        for table, fresh in stale_tables(platform):
            context.log.warning(f"{table.name} is stale: {fresh.found}")
            report_outcome(context.instance, dg.AssetKey(table.name), fresh)
        for late in overdue_periods(platform):
            context.log.warning(late.words)
            context.log_event(dg.AssetObservation(late.source, partition=late.period, description=late.words))
        for words in unread_files(platform):
            context.log.warning(words)

    @dg.job(name="report_overdue", description="Report overdue periods, stale tables and files of no period.")
    def report_overdue() -> None:
        report()

    @dg.schedule(
        name="overdue",
        job=report_overdue,
        cron_schedule=EVERY_MORNING,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Reports deliveries that are overdue or were refused, stale tables and files of no period.",
    )
    def overdue(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        platform = platform_of(project)
        words = [f"{item.source} {item.period} {item.reason}" for item in overdue_periods(platform)]
        words += [f"{table.name} {fresh.name} {fresh.found}" for table, fresh in stale_tables(platform)]
        words += unread_files(platform)
        if not words:
            return dg.SkipReason("nothing is overdue or stale")
        return dg.RunRequest(run_key=text_hash(*words))

    return overdue


def _expected(
    platform: Platform, source: SourceDefinition, patience: timedelta, since: datetime | None
) -> list[Period]:
    """Periods whose delivery should have arrived so long ago; of history, nothing is expected."""
    first = source.live_since or source.first
    if first is None or source.pushed:  # a period into which nobody pushed is not late
        return []
    calendar = source.schema.calendar
    if since is not None:
        first = max(first, calendar.of(since - source.lag - patience))
    last = calendar.newest_over(platform.clock.now() - source.lag - patience)
    if source.last is not None:
        last = min(last, source.last)
    return list(calendar.between(first, last))
