"""The assets that lead to a champion: labels, training_set, candidate, version, champion."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

import dagster as dg

from mlops_assets.client import GateOutcome
from mlops_assets.components import constants
from mlops_assets.components.column_lineage import model_lineage_figures
from mlops_assets.components.conditions import ReadsChanged, carry_on, due_periods
from mlops_assets.components.evaluation import evaluation_figures
from mlops_assets.components.feature_table import table_deps
from mlops_assets.components.loading import (
    MAX_PERIODS_BACK,
    STATE_COLUMN_SCHEMA,
    column_schema,
    platform_of,
    window_mapping,
)
from mlops_assets.components.model_asset import Partitions, asset_key, model_asset, unblocking_check
from mlops_assets.components.partition_ranges import ONE_RUN, for_each_partition
from mlops_assets.components.results import in_words, result, written_figures
from mlops_assets.errors import ContractError
from mlops_assets.features.feature_tables import has_history, history_evidence
from mlops_assets.features.labels import compute_labels, label_history, label_inputs, labelled_period
from mlops_assets.features.training_sets import build_training_set, training_evidence, training_set_evidence
from mlops_assets.governance.evidence import InputEvidence, evidence
from mlops_assets.lakehouse.content_hash import definition_hash, text_hash
from mlops_assets.lakehouse.periods import Period
from mlops_assets.models.promotion import newest_candidate, promote, register
from mlops_assets.models.records import TransitionRecord, candidate_of_version
from mlops_assets.models.states import version_in, version_states
from mlops_assets.models.training import Request, train
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ModelDefinition, ProjectDefinition
from mlops_assets.project.gates import ENOUGH_ROWS
from mlops_assets.project.reads import label_reads

NOT_EARLY = "labels_not_known_early"


def labels_asset(project: ProjectDefinition, model: ModelDefinition, partitions: Partitions) -> dg.AssetsDefinition:
    """The labels that become known in a period, about the period that lies horizon + delay before it."""
    calendar, inputs, history = model.schema.calendar, label_inputs(model), label_history(model)

    def due(platform: Platform, now: datetime, periods: list[Period]) -> Iterable[Period]:
        over = [period for period in periods if platform.labels_as_of(model, period) <= now]
        return [period for period in over if has_history(platform, inputs, period, history)]

    def read(partition: str) -> list[InputEvidence]:
        reads, period = label_reads(project, model), calendar.at_key(partition)
        return history_evidence(platform_of(project), reads, period, history, calendar)

    shown = column_schema(
        model.schema,
        ("predicted_at", "timestamp", "When the period that is predicted from was known, UTC"),
        (model.label.column, model.label.type, f"The label, {model.label.unit}"),
        *((column.name, column.type, column.description) for column in model.request),
        *STATE_COLUMN_SCHEMA,
    )
    not_early = dg.AssetCheckSpec(
        NOT_EARLY,
        asset=asset_key(model, "labels"),
        blocking=True,
        partitions_def=partitions,
        description="No label is known before the as_of that it is predicted from.",
    )

    @model_asset(
        model,
        "labels",
        "What became known in a period about the predictions made a horizon before.",
        {"sql", "duckdb", "deltalake"},
        model.label.query.file,
        model.population.file,
        metadata={constants.COLUMN_SCHEMA: shown},
        partitions_def=partitions,
        deps=table_deps(project, inputs, calendar, 1 - history),
        automation_condition=carry_on(
            due_periods(project, calendar, due),
            "its as_of has come, and its inputs' history is there",
            reads=ReadsChanged(model.label_generation, read),
        ),
        check_specs=[not_early],
        backfill_policy=ONE_RUN,
        code_version=model.label_generation,
    )
    @for_each_partition
    def labels(partition: str) -> Iterator[Any]:
        yield from _labels(project, model, partition, read)

    return labels


def _labels(
    project: ProjectDefinition, model: ModelDefinition, partition: str, read: Callable[[str], list[InputEvidence]]
) -> Iterator[Any]:
    """Compute the labels of a partition, and tell Dagster of them."""
    key, platform = asset_key(model, "labels"), platform_of(project)
    period = model.schema.calendar.at_key(partition)
    try:
        with in_words():
            written = compute_labels(platform, model, period)
    except dg.Failure as failure:
        if isinstance(failure.__cause__, ContractError):
            yield dg.AssetCheckResult(
                asset_key=key, check_name=NOT_EARLY, passed=False, description=failure.description
            )
        raise
    words = f"known at {written.known_at.isoformat()}, after every prediction"
    yield result(
        platform,
        key,
        evidence(read(partition), model.label_generation, known_at=written.known_at),
        written.data_version,
        rows=written.rows,
        figures={
            **written_figures(written),
            **model_lineage_figures(project, model, "labels"),
            "about": labelled_period(model, period).key,
        },
        checks=[dg.AssetCheckResult(asset_key=key, check_name=NOT_EARLY, passed=True, description=words)],
    )


def training_set_asset(
    project: ProjectDefinition, model: ModelDefinition, partitions: Partitions
) -> dg.AssetsDefinition:
    """The labels known at a period, each joined with its features as known at the time of its prediction."""
    periods_back = model.window or MAX_PERIODS_BACK
    shown = column_schema(
        model.schema,
        ("predicted_at", "timestamp", "The as_of of the row's prediction, UTC"),
        (model.label.column, model.label.type, f"The label, {model.label.unit}"),
        *((column.name, column.type, column.description) for column in (*model.looked_up_by, *model.features)),
    )

    @model_asset(
        model,
        "training_set",
        "The labels known at a period, each with its features as known at the time of its prediction.",
        {"duckdb", "deltalake"},
        metadata={constants.COLUMN_SCHEMA: shown, constants.GENERATION: model.generation},
        partitions_def=partitions,
        deps=[
            dg.AssetDep(asset_key(model, "labels"), partition_mapping=window_mapping(1 - periods_back)),
            *table_deps(
                project,
                model.feature_tables,
                model.schema.calendar,
                1 - periods_back - model.label.known_after,
                -model.label.known_after,
            ),
        ],
    )
    def training_set(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        platform = platform_of(project)
        at = model.schema.calendar.at_key(context.partition_key)
        with in_words():
            built = build_training_set(platform, model, at)
            data_version = platform.training_sets(model).write(at.key, built.rows)
        return result(
            platform,
            asset_key(model, "training_set"),
            evidence(training_evidence(platform, model, at), model.generation, known_at=built.known_at),
            data_version,
            rows=built.rows.num_rows,
            figures={
                "first period": built.first.key,
                "last period": built.last.key,
                "rows without label": built.without_label,
                "share of missing features": built.null_share,
                **model_lineage_figures(project, model, "training_set"),
            },
        )

    return training_set


def candidate_asset(project: ProjectDefinition, model: ModelDefinition, partitions: Partitions) -> dg.AssetsDefinition:
    """A model trained on a training set: fitted once to be judged, once to serve; its gates are checks."""
    key = asset_key(model, "candidate")
    gates = {
        ENOUGH_ROWS: "The judgement rests on enough rows.",
        **{gate.name: gate.description for gate in model.gates},
    }
    definition = definition_hash({"generation": model.generation, "trained_by": model.trained_by})

    @model_asset(
        model,
        "candidate",
        "A model trained on a training set, judged against the baseline and the champion on the same rows.",
        {"scikitlearn", "mlflow"},
        partitions_def=partitions,
        deps=[asset_key(model, "training_set")],
        required_resource_keys={"mlflow"},
        check_specs=[
            dg.AssetCheckSpec(name, asset=key, description=text, partitions_def=partitions)
            for name, text in gates.items()
        ],
        code_version=definition,
    )
    def candidate(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        platform = platform_of(project)
        at = model.schema.calendar.at_key(context.partition_key)
        request = _request(context.run.tags)
        with in_words():
            run_id = context.resources.mlflow.active_run().info.run_id
            record, verdict = train(platform, model, at, run_id, request, context.log.info)
        read = training_set_evidence(platform, model, at, record.training_set)
        return result(
            platform,
            key,
            evidence([read], definition, seed=model.template.seed),
            text_hash(record.model_hash, *verdict.decisions),
            figures={
                **record.figure_values,
                **evaluation_figures(platform, model, record.key),
                "verdict": record.verdict,
                constants.REASON: request.reason,
                constants.REQUESTED_BY: request.requested_by,
                "mlflow run": run_id,
                "model hash": record.model_hash,
                constants.CANDIDATE: record.key,
            },
            checks=[_gate_check(key, outcome) for outcome in verdict.outcomes],
        )

    return candidate


def _request(tags: Mapping[str, str]) -> Request:
    """Why a run trains, and who asked for it; the user interface leaves both open."""
    return Request(
        tags.get(constants.REASON, "materialized by hand"),
        tags.get(constants.REQUESTED_BY, "a person"),
        tags.get(constants.REQUEST, ""),
        constants.BASELINE in tags,
    )


def _gate_check(key: dg.AssetKey, outcome: GateOutcome) -> dg.AssetCheckResult:
    figures = {"measured": outcome.measured, "limit": outcome.limit}
    known = {name: float(value) for name, value in figures.items() if value is not None}
    return unblocking_check(key, outcome.name, outcome.passed, outcome.reason, **known)


def version_asset(project: ProjectDefinition, model: ModelDefinition, partitions: Partitions) -> dg.AssetsDefinition:
    """The registered version of a candidate that won; nothing where the gates said no."""

    @model_asset(
        model,
        "version",
        "A candidate that won, registered in MLflow.",
        {"mlflow"},
        partitions_def=partitions,
        deps=[asset_key(model, "candidate")],
        output_required=False,
    )
    def version(context: dg.AssetExecutionContext) -> Iterator[Any]:

        platform = platform_of(project)
        at = model.schema.calendar.at_key(context.partition_key)
        with in_words():
            record = register(platform, model, at)
        if record is None:
            context.log.info(f"The champion stays: {newest_candidate(platform, model, at).verdict}.")
            return
        training = candidate_of_version(platform, model, record.version)
        read = InputEvidence(f"{model.name}/candidate", None, training.model_hash, (at.key, at.key))
        yield result(
            platform,
            asset_key(model, "version"),
            evidence([read], model.generation, seed=model.template.seed),
            training.model_hash,
            figures={
                "version": record.version,
                "level": training.level,
                "verdict": training.verdict,
                "awaits approval": model.approval == "required",
                **evaluation_figures(platform, model, record.candidate),
            },
        )

    return version


def champion_asset(project: ProjectDefinition, model: ModelDefinition, partitions: Partitions) -> dg.AssetsDefinition:
    """The version that serves; a version becomes it by itself, or waits as the challenger for a person's approval."""

    @model_asset(
        model,
        "champion",
        "The version that serves.",
        {"mlflow"},
        deps=[dg.AssetDep(asset_key(model, "version"), partition_mapping=dg.AllPartitionMapping())],
        output_required=False,
    )
    def champion(context: dg.AssetExecutionContext) -> Iterator[Any]:

        platform = platform_of(project)
        states = version_states(platform, model)
        # Only what was never decided about: not one that a person rolled back from, rejected or took out.
        waits, serves = version_in(states, "challenger"), version_in(states, "champion")
        if waits is not None and model.approval == "required":
            context.log.info(f"Version {waits} awaits approval: the champion stays.")
            waits = None
        chosen = waits or serves
        if chosen is None or (waits is None and chosen != max(states)):
            context.log.info("No version waits: the champion stays.")
            return
        with in_words():
            record = promote(platform, model, chosen)
        yield champion_result(platform, model, record)

    return champion


def champion_result(platform: Platform, model: ModelDefinition, record: TransitionRecord) -> dg.MaterializeResult:
    """What is recorded of a promotion or rollback, wherever it was decided."""
    training = candidate_of_version(platform, model, record.version)
    read = InputEvidence(f"{model.name}/version", None, training.model_hash, (training.at, training.at))
    return result(
        platform,
        asset_key(model, "champion"),
        evidence([read], model.generation),
        # The same for each champion: what was scored by the one of its time is not out of date when another comes.
        text_hash(model.name, "champion"),
        figures={
            "version": record.version,
            "model hash": training.model_hash,
            "promoted at": record.happened_at.isoformat(),
            "level": training.level,
            **transition_figures(record),
        },
    )


def transition_figures(record: TransitionRecord) -> dict[str, Any]:
    """Which transition it is, and who decided it and why, as metadata."""
    return {
        constants.TRANSITION: record.number,
        "kind": record.kind,
        "by": record.by,
        constants.REASON: record.reason,
    }
