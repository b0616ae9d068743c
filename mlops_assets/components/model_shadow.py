"""The further assets of a model whose versions wait for approval: what a challenger says, and how that turns out."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import dagster as dg

from mlops_assets.components import constants
from mlops_assets.components.conditions import carry_on, due_periods
from mlops_assets.components.loading import (
    STATE_COLUMN_SCHEMA,
    column_schema,
    platform_of,
    window_mapping,
)
from mlops_assets.components.model_asset import Partitions, asset_key, model_asset, unblocking_check
from mlops_assets.components.model_scoring import due_with_labels
from mlops_assets.components.results import in_words, result
from mlops_assets.features.labels import labelled_period
from mlops_assets.governance.evidence import InputEvidence, evidence, window_evidence
from mlops_assets.lakehouse.content_hash import text_hash
from mlops_assets.lakehouse.periods import Period
from mlops_assets.models.records import ComparisonRecord
from mlops_assets.models.shadow import periods_to_shadow, score_in_shadow
from mlops_assets.models.states import challengers_at
from mlops_assets.monitoring.comparison import compare_challenger, first_shadowed
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ModelDefinition, ProjectDefinition
from mlops_assets.project.tasks import METRICS

NOT_WORSE = "challenger_not_worse"


def challenger_predictions_asset(
    project: ProjectDefinition, model: ModelDefinition, partitions: Partitions
) -> dg.AssetsDefinition:
    """What the challenger of that time says of the rows that the champion scored; nobody is answered with it."""

    def due(platform: Platform, now: datetime, periods: list[Period]) -> Iterable[Period]:
        shadowed = periods_to_shadow(platform, model, periods)
        return [period for period in shadowed if platform.model_as_of(model, period) <= now]

    shown = column_schema(model.challenger_predictions_schema, *STATE_COLUMN_SCHEMA)

    @model_asset(
        model,
        "challenger_predictions",
        "What the challenger of that time predicts for the rows that the champion predicted, kept apart.",
        {"scikitlearn", "deltalake"},
        metadata={constants.COLUMN_SCHEMA: shown},
        partitions_def=partitions,
        deps=[asset_key(model, "predictions")],
        automation_condition=carry_on(
            due_periods(project, model.schema.calendar, due),
            "its as_of has come, and a challenger was there that may score",
        ),
    )
    def challenger_predictions(context: dg.AssetExecutionContext) -> dg.MaterializeResult:

        platform = platform_of(project)
        period = model.schema.calendar.at_key(context.partition_key)
        with in_words():
            scored = score_in_shadow(platform, model, period)
        by = InputEvidence(f"{model.name} version {scored.by.version}", None, scored.by.training.model_hash, None)
        read, known_at = [window_evidence(platform.predictions(model), [period]), by], scored.written.known_at
        return result(
            platform,
            asset_key(model, "challenger_predictions"),
            evidence(read, model.generation, known_at=known_at, seed=model.template.seed),
            scored.written.data_version,
            rows=scored.written.rows,
            figures={
                "version": scored.by.version,
                "champion": scored.champion or "none",
                "definitions": scored.by.agreement.reason,
                "states appended": scored.written.appended,
            },
        )

    return challenger_predictions


def challenger_comparison_asset(
    project: ProjectDefinition, model: ModelDefinition, partitions: Partitions
) -> dg.AssetsDefinition:
    """How challenger and champion did on the same rows: in a period, and over all periods of the two so far."""
    key = asset_key(model, "challenger_comparison")
    of_the_period = window_mapping(-model.label.known_after, -model.label.known_after)
    not_worse = f"By {model.metric} over all periods so far the challenger is not worse than the champion."

    @model_asset(
        model,
        "challenger_comparison",
        "How challenger and champion did on the same rows whose labels are known, in a period and so far.",
        {"deltalake"},
        partitions_def=partitions,
        deps=[
            asset_key(model, "labels"),
            dg.AssetDep(asset_key(model, "predictions"), partition_mapping=of_the_period),
            dg.AssetDep(asset_key(model, "challenger_predictions"), partition_mapping=of_the_period),
        ],
        automation_condition=carry_on(
            due_with_labels(project, model, challengers_at), "its as_of has come, and a challenger had predicted"
        ),
        check_specs=[dg.AssetCheckSpec(NOT_WORSE, asset=key, partitions_def=partitions, description=not_worse)],
        output_required=False,
    )
    def challenger_comparison(context: dg.AssetExecutionContext) -> Iterator[Any]:
        platform = platform_of(project)
        period = model.schema.calendar.at_key(context.partition_key)
        with in_words():
            compared = compare_challenger(platform, model, period)
        about = labelled_period(model, period)
        if compared is None:
            words = f"no row about {about.key} that both predicted has a label: there is nothing to compare"
            yield unblocking_check(key, NOT_WORSE, True, words)
            return
        record, data_version = compared
        first = first_shadowed(platform, model, record.challenger)
        window = list(model.schema.calendar.between(max(first, model.first), about))
        tables = (platform.predictions(model), platform.challenger_predictions(model), platform.labels(model))
        read, known_at = [window_evidence(table, window) for table in tables], platform.labels_as_of(model, period)
        words = f"version {record.challenger} {record.words}"
        yield result(
            platform,
            key,
            evidence(read, text_hash(model.metric), known_at=known_at),
            data_version,
            rows=record.rows,
            figures={
                **record.figure_values,
                **{f"running {name}": value for name, value in record.running_values.items()},
                "running rows": record.running_rows,
                "periods": record.periods,
                "champion": record.champion,
                "challenger": record.challenger,
                "about": record.about,
            },
            checks=[unblocking_check(key, NOT_WORSE, _is_not_worse(record), words)],
        )

    return challenger_comparison


def _is_not_worse(record: ComparisonRecord) -> bool:
    mine, theirs = (record.running_values.get(f"{who}_{record.metric}") for who in ("challenger", "champion"))
    return mine is not None and theirs is not None and not METRICS[record.metric].is_better(theirs, mine)
