"""The sensor of incidents: it sees what is off with models and sources, keeps what is new of it, and tells of it."""

import os
from collections.abc import Iterator

import dagster as dg

from mlops_assets.automation.overdue import Overdue, overdue_periods
from mlops_assets.automation.sensors import sensor_of
from mlops_assets.components.model_asset import asset_key
from mlops_assets.errors import PlatformError
from mlops_assets.lakehouse.delta import commit_stamps
from mlops_assets.monitoring.incidents import Cause, causes_of_model, incident_events, incidents_of, record_what_is_off
from mlops_assets.monitoring.webhook import tell, untold, webhook_of
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ModelDefinition, ProjectDefinition
from mlops_assets.quality.freshness import stale_tables

NAME = "incidents"


def causes_of_tables(platform: Platform) -> Iterator[Cause]:
    """What does not come: of each source its overdue periods together, and tables whose newest rows are old."""
    late: dict[str, list[Overdue]] = {}
    for one in overdue_periods(platform):
        late.setdefault(one.source, []).append(one)
    for source, (first, *more) in late.items():
        others = f"; and {len(more)} later periods" if more else ""
        yield Cause("overdue", source, "", f"{first.period}: {first.reason}{others}")
    for table, fresh in stale_tables(platform):
        yield Cause("stale", table.name, "", fresh.found)


def incident_sensor(project: ProjectDefinition) -> dg.SensorDefinition:
    """Opens, updates and closes incidents, and tells of them by the webhook of the environment."""
    # In this process only: what is off with a model is looked at again once something new is recorded of it.
    seen: dict[str, tuple[str, list[Cause]]] = {}

    def of_model(platform: Platform, model: ModelDefinition, stamp: str) -> list[Cause]:
        if model.name not in seen or seen[model.name][0] != stamp:
            seen[model.name] = stamp, list(causes_of_model(platform, model))
        return seen[model.name][1]

    def look(context: dg.SensorEvaluationContext, platform: Platform) -> dg.SkipReason:
        stamps = commit_stamps(platform.home.tables)
        models = project.models.values()
        causes = [cause for model in models for cause in of_model(platform, model, stamps.get(model.name, ""))]
        for event in record_what_is_off(platform, [*causes, *causes_of_tables(platform)]):
            context.log.info(f"{event.event}: incident {event.incident}, {event.subject}: {event.kind}: {event.words}")
        still = [one.name for one in incidents_of(incident_events(platform)) if one.closed_at is None]
        words = f"{len(still)} open: {'; '.join(still)}" if still else "nothing is off"
        return dg.SkipReason(f"{words}{_told(context, platform)}")

    return sensor_of(
        project,
        look,
        name=NAME,
        description="Opens, updates and closes incidents, and tells of them by a webhook.",
        assets=[asset_key(model, "performance") for model in project.models.values()],
        seconds=60,
    )


def _told(context: dg.SensorEvaluationContext, platform: Platform) -> str:
    """Tell of what nobody was told of; gives what waits, in words."""
    try:
        webhook = webhook_of(os.environ)
    except PlatformError as error:  # incidents are kept all the same
        context.log.error(str(error))
        return f"; nobody is told: {error}"
    if webhook is None:
        return ""
    for notice in tell(platform, webhook):
        context.log.info(f"told of event {notice.event}: {notice.answer}")
    waiting = untold(platform)
    if not waiting:
        return ""
    event, tried = waiting[0]
    answer = tried.answer if tried else "not tried yet"
    return f"; {len(waiting)} wait to be told, the first since {event.happened_at.isoformat()}: {answer}"
