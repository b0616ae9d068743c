"""The schedule that keeps reading fast: small files become few, every week, and no answer changes."""

import dagster as dg

from mlops_assets.components.loading import platform_of
from mlops_assets.lakehouse.compaction import compact_tables
from mlops_assets.project.definition import ProjectDefinition

EVERY_SUNDAY_NIGHT = "0 3 * * 0"


def compaction_schedule(project: ProjectDefinition) -> dg.ScheduleDefinition:
    """Compacts every table that has too many small files; beside it, everything else may go on."""

    @dg.op(description="Compact every table that has too many small files.")
    def compact_all(context: dg.OpExecutionContext) -> None:
        for done in compact_tables(platform_of(project).home.tables):
            context.log.info(str(done))

    @dg.job(name="compact", description="Put the small files of each period into one; no answer changes.")
    def compact() -> None:
        compact_all()

    return dg.ScheduleDefinition(
        name="compaction",
        job=compact,
        cron_schedule=EVERY_SUNDAY_NIGHT,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Compacts the tables that have too many small files.",
    )
