"""Performance: predictions against the labels known by now, by the champion that made them.

A label that is corrected is measured against again: the newest record of a period is the one there is, and which state
of the labels it rests on follows from their states alone, so that measuring again gives it again.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from mlops_assets.features.labels import labelled_period
from mlops_assets.features.states import require_computed
from mlops_assets.lakehouse.periods import Period
from mlops_assets.lakehouse.records import read_records, write_record
from mlops_assets.models.intervals import realized_intervals
from mlops_assets.models.metrics import measure
from mlops_assets.models.predicting import stored_baseline, stored_scores, truth_of
from mlops_assets.models.records import candidate_of_version
from mlops_assets.models.scoring import predictions_about, scored_late
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ModelDefinition

if TYPE_CHECKING:
    import pyarrow as pa


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
        figures: All metrics of the task, and how intervals turned out, by name, as JSON.
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
    """Compare the predictions about a period with its labels, as those that became known in ``known_in`` are known now.

    Returns:
        The record and its data version; None where no prediction has a label, or the period was scored only after its
        labels were known.

    Raises:
        MissingDataError: The predictions or the labels were not computed.
    """
    about = labelled_period(model, known_in)
    rows = labelled_predictions(platform, model, known_in, about, labels_known_at(platform, model, known_in))
    if rows.num_rows == 0:
        return None
    label, scores = truth_of(model, rows), stored_scores(model, rows)
    measured = measure(model.task, label, scores)
    version = int(rows.column("version")[0].as_py())
    training = candidate_of_version(platform, model, version)
    intervals = realized_intervals(training.figure_values, label, scores) if model.intervals else {}
    record = PerformanceRecord(
        period=known_in.key,
        about=about.key,
        version=version,
        rows=measured.rows,
        error=measured.of(model.metric),
        baseline_error=measure(model.task, label, stored_baseline(model, rows)).of(model.metric),
        level=training.level,
        figures=json.dumps({**measured.values, **intervals}, sort_keys=True),
    )
    return record, write_record(platform.records(model, "performance"), record)


def labels_known_at(platform: Platform, model: ModelDefinition, known_in: Period) -> datetime:
    """From when on the labels that became known in a period have been as they are now: their newest correction."""
    about, now = labelled_period(model, known_in), platform.clock.now()
    moments = platform.labels(model).moments(about, about)[about.key]
    corrected = (moment.known_at for moment in moments if moment.known_at <= now)
    return max([platform.labels_as_of(model, known_in), *corrected])


def labelled_predictions(
    platform: Platform, model: ModelDefinition, known_in: Period, first: Period, known_at: datetime
) -> "pa.Table":
    """Predictions with their labels, as both were known at a moment.

    Args:
        platform: The platform.
        model: The model.
        known_in: The period in which the newest of the labels became known.
        first: The first period that was predicted from.
        known_at: The moment.

    Returns:
        Keys, timestamp, ``event_time`` (UTC), prediction, baseline, ``version`` and the label; in the order of keys.
        Rows without a prediction or a label, and periods that were scored only after their labels were known, are left
        out: they are no forecasts.

    Raises:
        MissingDataError: The newest predictions or labels were not computed.
    """
    about = labelled_period(model, known_in)
    predictions, labels = predictions_about(platform, model, about), platform.labels(model)
    expected = "predictions and labels of the same rows"
    require_computed(predictions, about, f"predictions of '{model.name}'", expected)
    require_computed(labels, about, f"labels of '{model.name}'", expected, partition=known_in)
    names = list(model.schema.names)
    truth = platform.engine.known_at(labels, known_at, first=first, last=about)
    made = platform.engine.known_at(predictions, known_at, first=first, last=about)
    kept = [column.name for column in (*model.prediction_columns, *model.baseline_columns)]
    rows = joined_by_keys(
        model, made.select([*names, "event_time", *kept, "version"]), truth.select([*names, model.label.column])
    )
    return forecasts_only(platform, model, rows.drop_null())


def forecasts_only(platform: Platform, model: ModelDefinition, rows: "pa.Table") -> "pa.Table":
    """Rows with their ``event_time``, without those of periods that were scored after their labels were known."""
    import pyarrow as pa

    calendar = model.schema.calendar
    periods = {moment: calendar.of(moment) for moment in rows.column("event_time").unique().to_pylist()}
    late = scored_late(platform, model, sorted(set(periods.values()), key=lambda period: period.start))
    if not late:
        return rows
    return rows.filter(pa.array([periods[moment] not in late for moment in rows.column("event_time").to_pylist()]))


def joined_by_keys(model: ModelDefinition, left: "pa.Table", right: "pa.Table", suffix: str = "") -> "pa.Table":
    """The rows of a model that two tables both have, in the order of keys: sums of them come out the same each time.

    Args:
        model: The model.
        left: With its keys and timestamp.
        right: Likewise.
        suffix: What is added to the names of columns of ``right`` that ``left`` has, too.
    """
    names = list(model.schema.names)
    joined = left.join(right, keys=names, join_type="inner", right_suffix=suffix)
    return joined.sort_by([(name, "ascending") for name in names])


def against_baseline(history: Sequence[PerformanceRecord], periods: int) -> tuple[bool, str]:
    """Whether the newest version does at least as well as the baseline, over its newest periods, on the same rows.

    One odd period decides nothing: with fewer than so many nothing is held against the version.

    Args:
        history: All performance so far, in the order of periods; at least one.
        periods: Over how many of the newest periods, such as the retrain policy's ``persistence``.

    Example:
        >>> from dataclasses import replace
        >>> first = PerformanceRecord("2001-02", "2001-01", 3, 100, 0.12, 0.10, 0.11, "{}")
        >>> second = replace(first, period="2001-03", about="2001-02", error=0.11)
        >>> against_baseline([first], 2)
        (True, 'version 3 has 1 period with labels, and 2 are looked at together')
        >>> against_baseline([first, second], 2)
        (False, 'version 3 errs by 0.115 over its newest 2 periods, the baseline by 0.1 on the same rows')
    """
    version = history[-1].version
    newest = [record for record in history if record.version == version][-periods:]
    if len(newest) < periods:
        had = f"{len(newest)} period{'s' * (len(newest) > 1)}"
        return True, f"version {version} has {had} with labels, and {periods} are looked at together"
    rows = sum(record.rows for record in newest)
    error, baseline = (
        sum(value * record.rows for record, value in zip(newest, values, strict=True)) / rows
        for values in ([record.error for record in newest], [record.baseline_error for record in newest])
    )
    over = f"its newest {periods} periods" if periods > 1 else "its newest period"
    words = f"version {version} errs by {error:.4g} over {over}, the baseline by {baseline:.4g} on the same rows"
    return error <= baseline, words


def performance_history(platform: Platform, model: ModelDefinition) -> list[PerformanceRecord]:
    """All performance of a model, in the order of periods."""
    return read_records(platform.records(model, "performance"), PerformanceRecord)
