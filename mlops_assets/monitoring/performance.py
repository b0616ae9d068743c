"""Performance: predictions against the labels known by now, by the champion that made them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from mlops_assets.errors import MissingDataError
from mlops_assets.features.labels import labelled_period
from mlops_assets.features.states import is_computed
from mlops_assets.lakehouse.periods import Period
from mlops_assets.lakehouse.records import read_records, write_record
from mlops_assets.models.metrics import measure
from mlops_assets.models.predicting import stored_baseline, stored_scores, truth_of
from mlops_assets.models.records import candidate_of_version
from mlops_assets.project.definition import ModelDefinition
from mlops_assets.project.platform import Platform


@dataclass(frozen=True)
class PerformanceRecord:
    """How the predictions of one period turned out.

    Args:
        period: Key of the period in which the labels became known.
        about: Key of the period that was predicted from.
        version: The version that predicted.
        rows: Predictions that have a label.
        error: By the model's metric, of which less is better.
        baseline_error: The baseline's on the same rows.
        level: That of the version's judged fit when it was trained.
        figures: All metrics of the task, by name, as JSON.
    """

    period: str
    about: str
    version: int
    rows: int
    error: float
    baseline_error: float
    level: float
    figures: str

    @property
    def figure_values(self) -> Mapping[str, float]:
        """The metrics, by name."""
        return dict(json.loads(self.figures))


def measure_performance(
    platform: Platform, model: ModelDefinition, known_in: Period
) -> tuple[PerformanceRecord, str] | None:
    """Compare the predictions about a period with its labels, which became known in ``known_in``.

    Returns:
        The record and its data version; None where no prediction has a label.

    Raises:
        MissingDataError: The predictions or the labels were not computed.
    """
    about = labelled_period(model, known_in)
    predictions, labels = platform.predictions(model), platform.labels(model)
    for table, name, period in ((predictions, "predictions", about), (labels, "labels", known_in)):
        if not is_computed(table, about):
            raise MissingDataError(
                f"no {name} of '{model.name}' for {period.key}",
                "predictions and labels of the same rows",
                f"materialize {model.name}/{name} for {period.key} first",
            )
    known_at = platform.labels_as_of(model, known_in)
    names = list(model.schema.names)
    truth = platform.engine.known_at(labels, known_at, first=about, last=about)
    made = platform.engine.known_at(predictions, known_at, first=about, last=about)
    kept = [column.name for column in (*model.prediction_columns, *model.baseline_columns)]
    joined = made.select([*names, *kept, "version"]).join(
        truth.select([*names, model.label.column]), keys=names, join_type="inner"
    )
    joined = joined.filter(joined.column(model.label.column).is_valid())
    if joined.num_rows == 0:
        return None
    label = truth_of(model, joined)
    measured = measure(model.task, label, stored_scores(model, joined))
    version = int(joined.column("version")[0].as_py())
    record = PerformanceRecord(
        period=known_in.key,
        about=about.key,
        version=version,
        rows=measured.rows,
        error=measured.of(model.metric),
        baseline_error=measure(model.task, label, stored_baseline(model, joined)).of(model.metric),
        level=candidate_of_version(platform, model, version).level,
        figures=json.dumps(measured.values, sort_keys=True),
    )
    return record, write_record(platform.records(model, "performance"), record)


def performance_history(platform: Platform, model: ModelDefinition) -> list[PerformanceRecord]:
    """All performance of a model, in the order of periods."""
    return read_records(platform.records(model, "performance"), PerformanceRecord)
