"""What the predictions of a period are made of, as an asset: each feature's share, and whether that is as usual."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from mlops_assets.components.loading import MAX_PERIODS_BACK, platform_of, window_mapping
from mlops_assets.components.model_asset import Partitions, asset_key, model_asset, unblocking_check
from mlops_assets.components.model_scoring import once_spoken
from mlops_assets.components.results import in_words, result
from mlops_assets.governance.evidence import InputEvidence, evidence, window_evidence
from mlops_assets.lakehouse.content_hash import text_hash
from mlops_assets.markdown import as_table
from mlops_assets.models.records import candidate_of_version
from mlops_assets.monitoring.attribution import AttributionRecord, measure_attribution, ranks
from mlops_assets.project.definition import ModelDefinition, ProjectDefinition

NO_DRIFT = "no_attribution_drift"


def attribution_asset(
    project: ProjectDefinition, model: ModelDefinition, partitions: Partitions
) -> dg.AssetsDefinition:
    """What the predictions of a period are made of, judged by the periods that the champion learned from."""
    key = asset_key(model, "attribution")
    as_usual = (
        f"No feature's share in predictions is further off than in past periods; "
        f"in a period without drift one is, in {model.drift.false_alarms:.0%} of cases."
    )

    @model_asset(
        model,
        "attribution",
        "What the predictions of a period are made of: the share of each feature in a sample of rows.",
        {"scikitlearn"},
        partitions_def=partitions,
        deps=[
            asset_key(model, "predictions"),
            dg.AssetDep(asset_key(model, "training_set"), partition_mapping=window_mapping(-MAX_PERIODS_BACK, -1)),
        ],
        automation_condition=once_spoken(project, model),
        check_specs=[dg.AssetCheckSpec(NO_DRIFT, asset=key, partitions_def=partitions, description=as_usual)],
        output_required=False,
    )
    def attribution(context: dg.AssetExecutionContext) -> Iterator[Any]:
        platform = platform_of(project)
        period = model.schema.calendar.at_key(context.partition_key)
        with in_words():
            measured = measure_attribution(platform, model, period)
        if measured is None:
            words = f"nothing was scored in {period.key}: there is nothing to explain"
            yield unblocking_check(key, NO_DRIFT, True, words)
            return
        record, data_version = measured
        by = candidate_of_version(platform, model, record.version).model_hash
        read = [
            window_evidence(platform.predictions(model), [period]),
            InputEvidence(f"{model.name} version {record.version}", None, by, None),
        ]
        definition = text_hash(str(model.drift), model.generation)
        yield result(
            platform,
            key,
            evidence(read, definition, known_at=platform.model_as_of(model, period), seed=model.template.seed),
            data_version,
            rows=record.rows,
            figures=_figures(record),
            checks=[unblocking_check(key, NO_DRIFT, not record.alarm, record.words)],
        )

    return attribution


def _figures(record: AttributionRecord) -> dict[str, Any]:
    found = record.values
    shares, usual, scores = found["shares"], found["usual"], found["scores"]
    now, before = ranks(shares), ranks(usual)
    rows = [
        [
            name, f"{shares[name]:.1%}", f"{usual[name]:.1%}", str(rank), str(before[name]),
            f"{scores[name]:.3g}" if name in scores else "", "yes" if name in found["beyond"] else "",
        ]
        for name, rank in now.items()
    ]  # fmt: skip
    heads = ["feature", "share", "usually", "rank", "usually", "score", "beyond"]
    figures = {"verdict": record.words, "version": record.version}
    if found["bar"] is not None:
        figures |= {"bar": found["bar"], "past periods that would have alarmed": found["alarms_in_past"]}
    return {**figures, "shares": dg.MarkdownMetadataValue(as_table(heads, rows))}
