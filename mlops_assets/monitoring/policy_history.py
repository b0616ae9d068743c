"""Gathering what the retrain policy looks at, and recording what people ask for."""

from mlops_assets.errors import MissingDataError
from mlops_assets.features.labels import newest_labelled
from mlops_assets.features.training_sets import label_window, require_training_history
from mlops_assets.lakehouse.periods import Period
from mlops_assets.lakehouse.records import read_records, write_record
from mlops_assets.models.agreement import agreement
from mlops_assets.models.folds import split
from mlops_assets.models.records import (
    candidate_of_version,
    candidates,
    present_champion,
)
from mlops_assets.monitoring.drift import drift_history
from mlops_assets.monitoring.estimation import estimates
from mlops_assets.monitoring.performance import performance_history
from mlops_assets.monitoring.retrain_policy import History, RetrainRequest
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ModelDefinition, ProjectDefinition


def policy_history(platform: Platform, model: ModelDefinition) -> History | None:
    """What the policy looks at for a model; None where no labels are known yet."""
    at = newest_labelled(platform, model)
    if at is None:
        return None
    champion = present_champion(platform, model)
    trainings = candidates(platform, model)
    lacks = _lacking(platform, model, at) or ("" if trainings else _too_few_labels(platform, model, at))
    return History(
        at=at,
        calendar=model.schema.calendar,
        definitions=agreement(platform, model, trainings[-1]) if trainings else None,
        lacks=lacks,
        trainings=trainings,
        champion=champion,
        champion_training=candidate_of_version(platform, model, champion.version) if champion else None,
        performance=performance_history(platform, model),
        known_after=model.label.known_after,
        validation=model.validation,
        drift=next(iter(drift_history(platform, model)[-1:]), None) if model.retrain.drift_importance else None,
        estimate=next(iter(estimates(platform, model)[-1:]), None) if model.retrain.drift_importance else None,
    )


def rests_on(project: ProjectDefinition, model: ModelDefinition) -> list[str]:
    """The tables that `policy_history` looks at beside the model's own; it asks no clock."""
    names = {*model.inputs, *model.label.inputs}
    return sorted(names | {source.name for source in project.upstream_sources(*names)})


def _lacking(platform: Platform, model: ModelDefinition, at: Period) -> str:
    """What of the past a training would lack because a definition is new, in words."""
    try:
        require_training_history(platform, model, at)
    except MissingDataError as error:
        return f"{error.found}; {error.cure}"
    return ""


def _too_few_labels(platform: Platform, model: ModelDefinition, at: Period) -> str:
    """What labels a first training still lacks, in words; empty where there are enough."""
    import pyarrow.compute as pc

    first, last = label_window(model, at)
    known_at, to_fit_until = platform.labels_as_of(model, at), split(model, last).last_fitted
    labels = platform.engine.known_at(platform.labels(model), known_at, first=first, last=last)
    valid = labels.filter(labels.column(model.label.column).is_valid())
    if valid.num_rows < model.min_rows:
        return f"{valid.num_rows} labels are known, and {model.min_rows} are needed (train.min_rows)"
    to_fit_on = valid.filter(pc.less(valid.column("event_time"), to_fit_until.end))
    if to_fit_on.num_rows == 0:
        return f"no label up to {to_fit_until.key} is known, before the periods that a candidate is judged on"
    if model.classes and len(to_fit_on.column(model.label.column).unique()) < 2:
        return f"all labels up to {to_fit_until.key} are of one class, of which nothing is learned"
    return ""


def record_request(
    platform: Platform, model: ModelDefinition, number: str, reason: str, requested_by: str
) -> RetrainRequest:
    """Record that a person asks for a training.

    Args:
        platform: The platform.
        model: Which model.
        number: What tells this request from others, such as the run that recorded it.
        reason: Why, in words.
        requested_by: Who.
    """
    request = RetrainRequest(number, reason, requested_by, platform.clock.note())
    write_record(platform.records(model, "retrain_request"), request)
    return request


def open_requests(platform: Platform, model: ModelDefinition) -> list[RetrainRequest]:
    """Requests that no training came after, the oldest first."""
    answered = {record.request for record in candidates(platform, model)}
    requests = read_records(platform.records(model, "retrain_request"), RetrainRequest)
    waiting = [request for request in requests if request.number not in answered]
    return sorted(waiting, key=lambda request: request.requested_at)
