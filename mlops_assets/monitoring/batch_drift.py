"""Drift of what was scored in a period against what its champion was trained on."""

from mlops_assets.governance.evidence import InputEvidence
from mlops_assets.lakehouse.content_hash import text_hash
from mlops_assets.lakehouse.periods import Period
from mlops_assets.models.records import candidate_of_version
from mlops_assets.models.scoring import scored_rows
from mlops_assets.models.training import read_training_set
from mlops_assets.monitoring.drift import DriftReport, drift_report, write_report
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ModelDefinition
from mlops_assets.storage.path import StoragePath


def report_drift(
    platform: Platform, model: ModelDefinition, period: Period
) -> tuple[DriftReport, InputEvidence, StoragePath, str] | None:
    """Compare the features of a period's predictions with those of the champion's training set, and keep the report.

    Returns:
        The report, evidence of the training set, the report's file, and its data version; None where nothing was
        scored.

    Raises:
        MissingDataError: The period was not scored, or the training set is gone.
    """
    scored = scored_rows(platform, model, period)
    if scored.num_rows == 0:
        return None
    version = int(scored.column("version")[0].as_py())
    trained_at = model.schema.calendar.at_key(candidate_of_version(platform, model, version).at)
    reference = read_training_set(platform, model, trained_at)
    report = drift_report(
        reference,
        scored,
        numbers=model.numbers,
        categories=model.categories,
        drift_share=model.drift_share,
        personal=model.personal_names,
    )
    file = write_report(report, platform.home.reports / model.name / period.key)
    sets = platform.training_sets(model)
    training_set = InputEvidence(
        sets.delta.name,
        sets.delta.version(),
        sets.data_version(trained_at.key) or "",
        (trained_at.key, trained_at.key),
    )
    return report, training_set, file, text_hash(report.json)
