"""What the sensors have in common: how often they look, and that they stand aside while somebody works alone."""

from collections.abc import Callable, Iterable

import dagster as dg

from mlops_assets.components.loading import platform_of
from mlops_assets.lakehouse.working_alone import who_works_alone
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ProjectDefinition


def sensor_of(
    project: ProjectDefinition,
    look: Callable[[dg.SensorEvaluationContext, Platform], dg.SensorResult | dg.SkipReason],
    *,
    name: str,
    description: str,
    assets: Iterable[dg.AssetKey],
    seconds: int = 30,
) -> dg.SensorDefinition:
    """A sensor that looks while nobody works on the home alone.

    Args:
        project: The project.
        look: What a tick does with the project's platform.
        name: The sensor's name.
        description: What it does, in a sentence.
        assets: What it is about; as ``target`` they would become one job, and a job has one partitions definition.
        seconds: From one tick to the next, at least.
    """

    def evaluation(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        platform = platform_of(project)
        if other := who_works_alone(platform.home):
            return dg.SensorResult(skip_reason=f"{other} is at work", cursor=context.cursor)
        return look(context, platform)

    return dg.SensorDefinition(
        name=name,
        evaluation_fn=evaluation,
        asset_selection=dg.AssetSelection.assets(*assets),
        minimum_interval_seconds=seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=description,
    )
