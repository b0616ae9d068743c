"""The sensor that shows in Dagster what was decided about versions outside of its runs, and ends what was cut short."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

import dagster as dg

from mlops_assets.automation.sensors import sensor_of
from mlops_assets.components import constants
from mlops_assets.components.model_asset import asset_key
from mlops_assets.components.model_training import champion_result, transition_figures
from mlops_assets.errors import PlatformError
from mlops_assets.governance.approvals import Approval
from mlops_assets.models.approving import finish_approved
from mlops_assets.models.promotion import sync_aliases
from mlops_assets.models.records import PROMOTIONS, TransitionRecord, transitions
from mlops_assets.models.retirement import finish_deletions
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ModelDefinition, ProjectDefinition

MAX_EVENTS = 1000
DATA_VERSION_TAG = "dagster/data_version"


def promotion_sensor(project: ProjectDefinition) -> dg.SensorDefinition:
    """Reports decisions as events of each model's champion, once each; starts no run."""

    def look(context: dg.SensorEvaluationContext, platform: Platform) -> dg.SensorResult:
        cursor: dict[str, tuple[int | None, int]] = json.loads(context.cursor) if context.cursor else {}
        reported = []
        for model in project.models.values():
            version, decisions = cursor.get(model.name, (None, 0))
            try:
                words, cursor[model.name] = _look(context, platform, model, version, decisions)
            except PlatformError as error:  # of one model; the others are looked at all the same
                context.log.error(f"{model.name}: {error}")
                continue
            reported += words
        return dg.SensorResult(skip_reason="; ".join(reported) or "nothing was decided", cursor=json.dumps(cursor))

    return sensor_of(
        project,
        look,
        name="promotions",
        description="Shows who approved, promoted, rolled back, retired or deleted versions outside of a run.",
        assets=[asset_key(model, "champion") for model in project.models.values()],
    )


def _look(
    context: dg.SensorEvaluationContext, platform: Platform, model: ModelDefinition, version: int | None, decisions: int
) -> tuple[list[str], tuple[int | None, int]]:
    """Report what is new of one model; gives it in words, with the Delta version and the decisions that were seen."""
    table = platform.records(model, "transition").delta
    made_approvals = platform.approvals.of(model.name)
    fresh = made_approvals[decisions:] if decisions <= len(made_approvals) else made_approvals
    if not fresh and table.is_at(version):
        return [], (version, len(made_approvals))
    words = list(_finish(context, platform, model)) if fresh else []
    seen = table.version() if table.exists() else None
    made = transitions(platform, model)
    if _runs_now(context.instance, asset_key(model, "champion")):
        return words, (version, decisions)  # it reports its promotion itself
    words += _report(context.instance, platform, model, made, list(enumerate(made_approvals, start=1)))
    return words, (seen, len(made_approvals))


def _finish(context: dg.SensorEvaluationContext, platform: Platform, model: ModelDefinition) -> Iterator[str]:

    try:
        done = finish_approved(platform, model)
    except PlatformError as error:
        context.log.error(f"{model.name}: an approved version cannot be promoted: {error}")
        return
    if done:
        yield f"{model.name}: version {done.version} was promoted, as {done.by} had approved"


def _runs_now(instance: dg.DagsterInstance, champion: dg.AssetKey) -> bool:
    under_way = dg.RunsFilter(
        statuses=[dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
    )
    return any(champion in (run.asset_selection or ()) for run in instance.get_runs(under_way))


def _report(
    instance: dg.DagsterInstance,
    platform: Platform,
    model: ModelDefinition,
    made: Iterable[TransitionRecord],
    decisions: Iterable[tuple[int, Approval]],
) -> Iterator[str]:
    """Report what has no event yet, in the order of time."""
    key = asset_key(model, "champion")
    transitions_known = _numbers(instance, key, constants.TRANSITION)
    decisions_known = _numbers(instance, key, constants.DECISION)
    new: list[tuple[Any, str, dg.AssetMaterialization | dg.AssetObservation]] = []
    for number, approval in decisions:
        if number not in decisions_known:
            words = f"version {approval.version} was {approval.meaning} by {approval.by}"
            new.append((approval.at, words, _approval_event(key, number, approval)))
    for record in made:
        if record.number not in transitions_known:
            words = f"version {record.version}: {record.kind} by {record.by}"
            new.append((record.happened_at, words, _transition_event(platform, model, key, record)))
    if new:
        finish_deletions(platform, model)
        sync_aliases(platform, model)
    for _, words, event in sorted(new, key=lambda item: item[0]):
        instance.report_runless_asset_event(event)
        yield f"{model.name}: {words}"


def _approval_event(key: dg.AssetKey, number: int, approval: Approval) -> dg.AssetObservation:
    return dg.AssetObservation(
        key,
        description=f"version {approval.version} was {approval.meaning}",
        metadata={
            constants.DECISION: number,
            "version": approval.version,
            "kind": approval.meaning,
            "by": approval.by,
            "roles": ", ".join(approval.roles),
            constants.REASON: approval.reason,
            "decided at": approval.at.isoformat(),
            "model hash": approval.model_hash,
        },
    )


def _transition_event(
    platform: Platform, model: ModelDefinition, key: dg.AssetKey, record: TransitionRecord
) -> dg.AssetMaterialization | dg.AssetObservation:
    if record.kind not in PROMOTIONS:
        return dg.AssetObservation(
            key,
            description=f"{record.kind} of version {record.version}",
            metadata={
                "version": record.version,
                "decided at": record.happened_at.isoformat(),
                **transition_figures(record),
            },
        )
    shown = champion_result(platform, model, record)
    tags = {DATA_VERSION_TAG: shown.data_version.value} if shown.data_version else None
    return dg.AssetMaterialization(key, metadata=shown.metadata, tags=tags)


def _numbers(instance: dg.DagsterInstance, key: dg.AssetKey, name: str) -> set[int]:
    """The numbers that events of an asset carry under a name."""
    chosen = dg.AssetRecordsFilter(asset_key=key)
    events = [record.asset_materialization for record in instance.fetch_materializations(chosen, MAX_EVENTS).records]
    found = [event.metadata for event in events if event]
    for record in instance.fetch_observations(chosen, MAX_EVENTS).records:
        observed = record.event_log_entry.asset_observation
        found += [observed.metadata] if observed else []
    return {int(str(metadata[name].value)) for metadata in found if name in metadata}
