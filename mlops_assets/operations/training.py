"""A training that somebody asks for on the command line: the training chain as one run of the home's Dagster."""

import dagster as dg

from mlops_assets.automation.retraining import TRAINING_STEPS
from mlops_assets.components import constants
from mlops_assets.components.model_asset import asset_key
from mlops_assets.errors import SeveralFailuresError
from mlops_assets.lakehouse.periods import Period
from mlops_assets.models.records import CandidateRecord, candidates
from mlops_assets.operations.in_process import end_what_was_killed, held_open, news_of, run_assets
from mlops_assets.platform import Platform
from mlops_assets.progress import Progress, Step, untold
from mlops_assets.project.definition import ModelDefinition


def run_training(
    platform: Platform,
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    model: ModelDefinition,
    at: Period,
    *,
    reason: str,
    requested_by: str,
    progress: Progress = untold,
) -> CandidateRecord:
    """Build the training set of a period, train on it, and register and promote what its gates and approval allow.

    Args:
        platform: The platform.
        definitions: The project's code location.
        instance: Where the events go.
        model: The model.
        at: The period to train at.
        reason: Why, in words; recorded.
        requested_by: Who asks.
        progress: Told of each step as it begins, and of what it logs.

    Raises:
        ConflictError: The same training is at work.
        SeveralFailuresError: A step failed.
    """
    ended = {dg.DagsterEventType.STEP_SUCCESS, dg.DagsterEventType.STEP_SKIPPED}
    done_steps, made = 0, ""

    def see(entry: dg.EventLogEntry) -> None:
        nonlocal done_steps, made
        event, news = entry.dagster_event, news_of(entry)
        if event and event.event_type in ended:
            done_steps += 1
        if event and event.is_step_materialization and event.asset_key == asset_key(model, "candidate"):
            made = str(event.step_materialization_data.materialization.metadata[constants.CANDIDATE].value)
        if news and not (event and event.is_step_materialization):
            progress(Step("train", done_steps, len(TRAINING_STEPS), at.key, news))

    work = f"a training of '{model.name}' at {at.key}"
    with held_open(platform.home.dagster):
        end_what_was_killed(instance, work)
        done = run_assets(
            definitions,
            instance,
            [asset_key(model, step) for step in TRAINING_STEPS],
            work=work,
            partition=at.key,
            tags={constants.MODEL_TAG: model.name, constants.REASON: reason, constants.REQUESTED_BY: requested_by},
            seen=see,
        )
    if not done.succeeded:
        raise SeveralFailuresError(
            f"{work} failed", "mend the cause, then run it again; what succeeded stands", done.failures
        )
    return {record.key: record for record in candidates(platform, model)}[made]
