"""The schedule that deletes the fits of candidates that never served, once they are older than a model's retention."""

import dagster as dg

from mlops_assets.components.loading import platform_of
from mlops_assets.components.results import in_words
from mlops_assets.models.retirement import prunable, prune
from mlops_assets.project.definition import ProjectDefinition

EVERY_SUNDAY_NIGHT = "30 3 * * 0"


def retention_schedule(project: ProjectDefinition) -> dg.ScheduleDefinition:
    """Deletes what the retention of each model's YAML says; records stay."""

    @dg.op(description="Delete the fits of candidates that never served and are older than their model's retention.")
    def prune_all(context: dg.OpExecutionContext) -> None:
        platform = platform_of(project)
        for model in project.models.values():
            if not prunable(platform, model):
                continue

            with in_words():
                for done in prune(platform, model):
                    context.log.info(f"{model.name}: the fits of {done.candidate} were deleted")

    @dg.job(name="prune", description="Delete the fits of candidates that never served, as models' retention says.")
    def prune_models() -> None:
        prune_all()

    return dg.ScheduleDefinition(
        name="retention",
        job=prune_models,
        cron_schedule=EVERY_SUNDAY_NIGHT,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Deletes the fits of candidates that never served and are older than their model's retention.",
    )
