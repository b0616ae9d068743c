"""What starts a training: the retrain sensor, by the policy, or a person, through the ``retrain`` job."""

import json
from collections.abc import Mapping, Sequence

import dagster as dg

from mlops_assets.automation.sensors import sensor_of
from mlops_assets.components import constants
from mlops_assets.components.loading import platform_of
from mlops_assets.components.model_asset import asset_key
from mlops_assets.components.results import failure
from mlops_assets.errors import PlatformError
from mlops_assets.lakehouse.delta import commit_stamps
from mlops_assets.monitoring.policy_history import open_requests, policy_history, record_request, rests_on
from mlops_assets.monitoring.retrain_policy import decide
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ModelDefinition, ProjectDefinition

TRAINING_STEPS = ("training_set", "candidate", "version", "champion")
POLICY = "the retrain policy"


class RetrainConfig(dg.Config):
    """Which model a person wants trained, and why; both are recorded."""

    model: str
    reason: str
    requested_by: str = "a person"


def retrain_job(project: ProjectDefinition) -> dg.JobDefinition:
    """The job by which a person asks for a training; the retrain sensor starts it."""

    @dg.op(description="Record the request; the retrain sensor starts the training at its next tick.")
    def request_retrain(context: dg.OpExecutionContext, config: RetrainConfig) -> None:
        try:
            model = project.model(config.model)
            request = record_request(platform_of(project), model, context.run_id, config.reason, config.requested_by)
        except PlatformError as error:
            raise failure(error) from error
        context.log.info(f"Recorded: train {model.name} at its newest period, because {request.reason}.")

    @dg.job(name="retrain", description="Ask for a training of a model, with a reason that is recorded.")
    def retrain() -> None:
        request_retrain()

    return retrain


def retrain_sensor(project: ProjectDefinition) -> dg.SensorDefinition:
    """Starts the training chain of each model whose policy, or a person, asks for it; once for each reason."""
    # In this process only, so that new definitions and a new policy decide anew.
    decided: dict[str, tuple[Sequence[str], str]] = {}

    def look(context: dg.SensorEvaluationContext, platform: Platform) -> dg.SensorResult:
        requests, reasons = [], {}
        stamps = commit_stamps(platform.home.tables)
        for model in project.models.values():
            read = [stamps.get(name, "") for name in (model.name, *rests_on(project, model))]
            if model.name in decided and decided[model.name][0] == read:
                reasons[model.name] = decided[model.name][1]
                continue
            try:
                made, reasons[model.name] = _requests(context, platform, model)
            except PlatformError as error:  # of one model; the others are looked at all the same
                context.log.error(f"{model.name}: {error}")
                reasons[model.name] = str(error)
                continue
            if not made:
                decided[model.name] = (read, reasons[model.name])
            requests += made
        words = "\n".join(f"{name}: {reason}" for name, reason in reasons.items()) or "no model is declared"
        if not requests:
            return dg.SensorResult(skip_reason=words, cursor=json.dumps(reasons))
        return dg.SensorResult(run_requests=requests, cursor=json.dumps(reasons))

    return sensor_of(
        project,
        look,
        name="retrain_policy",
        description="Retrains a model on performance, age, changed definitions, or a person's request.",
        assets=[asset_key(model, step) for model in project.models.values() for step in TRAINING_STEPS],
        seconds=60,
    )


def _requests(
    context: dg.SensorEvaluationContext, platform: Platform, model: ModelDefinition
) -> tuple[list[dg.RunRequest], str]:
    """The trainings of a model that its policy or a person asks for, and why, or why not, in words."""
    history = policy_history(platform, model)
    if history is None:
        return [], "no labels are known yet"
    requests = []
    decision = decide(model.retrain, history)
    context.log.info(f"{model.name}: {'retrain' if decision.retrain else 'no'}, {decision.reason}")
    if decision.retrain:
        run_key = f"{model.name}|{history.at.key}|{decision.cause}"
        serving = {constants.BASELINE: "serves"} if decision.cause == "fallback" else {}
        requests.append(_request(model, history.at.key, run_key, decision.reason, POLICY, serving))
    for asked in [] if history.lacks else open_requests(platform, model):
        run_key, number = f"{model.name}|request|{asked.number}", {constants.REQUEST: asked.number}
        requests.append(_request(model, history.at.key, run_key, asked.reason, asked.requested_by, number))
    return requests, decision.reason


def _request(
    model: ModelDefinition, at: str, run_key: str, reason: str, requested_by: str, tags: Mapping[str, str]
) -> dg.RunRequest:
    return dg.RunRequest(
        run_key=run_key,
        partition_key=at,
        asset_selection=[asset_key(model, step) for step in TRAINING_STEPS],
        tags={
            constants.MODEL_TAG: model.name,
            constants.REASON: reason,
            constants.REQUESTED_BY: requested_by,
            **tags,
        },
    )
