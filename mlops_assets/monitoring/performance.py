"""Performance: predictions against the labels known by now, by the champion that made them.

A label that is corrected is measured against again: the newest record of a period is the one there is, and which state
of the labels it rests on follows from their states alone, so that measuring again gives it again.
"""

import json
from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import ContractError, MissingDataError, PlatformError
from mlops_assets.features.labels import labelled_period
from mlops_assets.features.states import require_computed
from mlops_assets.lakehouse.periods import Period
from mlops_assets.lakehouse.records import read_records, write_record
from mlops_assets.models.agreement import agreement
from mlops_assets.models.evaluation import OTHERS, levels, ratio
from mlops_assets.models.fitting import feature_frame
from mlops_assets.models.intervals import realized_intervals
from mlops_assets.models.metrics import measure
from mlops_assets.models.predicting import scores_of_fit, stored_baseline, stored_scores, truth_of
from mlops_assets.models.records import candidate_of_version, promotions
from mlops_assets.models.scoring import predictions_about, scored_late
from mlops_assets.models.stored_fits import may_be_read, stored_fit
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ModelDefinition

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

MAX_LEVELS = 100
"""So many levels of a column are told apart in a period, those of the most rows."""


@dataclass(frozen=True)
class SegmentError:
    """How the predictions for one level of a column turned out; the levels of a column hold each row once.

    Args:
        by: The column.
        segment: Its level; of a number, the ends of a quartile of the period's values. Levels of few rows are one.
        rows: Predictions that have a label.
        error: By the model's metric.
        baseline_error: The baseline's on the same rows.
        share: Of the error over all levels, by rows and error: 0 to 1.
    """

    by: str
    segment: str
    rows: int
    error: float
    baseline_error: float
    share: float


@dataclass(frozen=True)
class PerformanceRecord:
    """How the predictions of one period turned out. How a challenger did on its rows is its comparison's to tell.

    Args:
        period: Key of the period in which the labels became known.
        about: Key of the period that was predicted from.
        version: The version that predicted.
        rows: Predictions that have a label.
        error: By the model's metric, of which less is better.
        baseline_error: The baseline's on the same rows.
        level: That of the version's judged fit when it was trained.
        figures: All metrics of the task, and how intervals turned out, by name, as JSON.
        skill: The error over the baseline's, on the same rows: below 1 the version is worth its while. None where the
            baseline made no error, as in what was measured before this was.
        skill_low: Where the 95 % interval of the skill begins; None also where there are few keys.
        skill_high: Where it ends.
        never_retrained: The error that the first champion there ever was makes on the same rows; None where it cannot
            be asked: it is gone, or was trained on other definitions.
        segments: `SegmentError` of each level of the columns that drift and evaluation are told by, as JSON.
        own: What the model's own metrics came to, by name: their expression and their value, as JSON.
    """

    period: str
    about: str
    version: int
    rows: int
    error: float
    baseline_error: float
    level: float
    figures: str
    skill: float | None = None
    skill_low: float | None = None
    skill_high: float | None = None
    never_retrained: float | None = None
    segments: str = "[]"
    own: str = "{}"

    @property
    def own_values(self) -> Mapping[str, tuple[str, float]]:
        """By name of each of the model's own metrics that has a value: its expression and its value."""
        return {name: (one["expression"], one["value"]) for name, one in json.loads(self.own).items()}

    @property
    def figure_values(self) -> Mapping[str, float]:
        """The metrics, by name."""
        return dict(json.loads(self.figures))

    @property
    def segment_errors(self) -> list[SegmentError]:
        """What ``segments`` holds."""
        return [SegmentError(**one) for one in json.loads(self.segments)]

    def without(self, columns: Set[str]) -> "PerformanceRecord":
        """The record without what it tells by level of some columns."""
        told = [asdict(one) for one in self.segment_errors if one.by not in columns]
        return replace(self, segments=json.dumps(told))


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
    about, told_by = labelled_period(model, known_in), [*model.evaluation.segments, *model.drift.segments]
    known_at = labels_known_at(platform, model, known_in)
    asked = [*model.feature_names, *(column.name for column in model.looked_up_by)]
    rows = labelled_predictions(platform, model, known_in, about, known_at, {*told_by, *asked})
    if rows.num_rows == 0:
        return None
    label, said, baseline = truth_of(model, rows), stored_scores(model, rows), stored_baseline(model, rows)
    measured, skill = measure(model.task, label, said), ratio(model, rows, label, said, baseline)
    version = int(rows.column("version")[0].as_py())
    training = candidate_of_version(platform, model, version)
    intervals = realized_intervals(training.figure_values, label, said) if model.intervals else {}
    segments = _by_segment(model, rows, told_by, label, {"error": said, "baseline_error": baseline})
    record = PerformanceRecord(
        period=known_in.key,
        about=about.key,
        version=version,
        rows=measured.rows,
        error=measured.of(model.metric),
        baseline_error=measure(model.task, label, baseline).of(model.metric),
        level=training.level,
        figures=json.dumps({**measured.values, **intervals}, sort_keys=True),
        skill=skill.value if skill else None,
        skill_low=skill.low if skill else None,
        skill_high=skill.high if skill else None,
        never_retrained=_never_retrained(platform, model, rows, label, version, measured.of(model.metric)),
        segments=json.dumps([asdict(one) for one in segments]),
        own=json.dumps(_own(platform, model, rows)),
    )
    return record, write_record(platform.records(model, "performance"), record)


def _own(platform: Platform, model: ModelDefinition, rows: "pa.Table") -> dict[str, dict[str, Any]]:
    """What the model's own metrics came to, of those whose columns the rows have and that have a value."""
    from mlops_assets.engines.duckdb.engine import DuckDBEngine

    has = {name.lower() for name in rows.column_names}
    asked = [one for one in model.own_metrics if {name.lower() for name in one.expression.columns} <= has]
    if not asked:
        return {}
    engine = DuckDBEngine(platform.home.scratch, limits=platform.project.engine.evaluation)
    try:
        values = engine.aggregate(rows, asked)
    except PlatformError as error:
        raise error.at(model.location) from None
    known = {one.name: one.expression.canonical for one in asked if values[one.name] is not None}
    return {name: {"expression": text, "value": values[name]} for name, text in known.items()}


def _by_segment(
    model: ModelDefinition,
    rows: "pa.Table",
    columns: Sequence[str],
    truth: "npt.NDArray[Any]",
    scores: "Mapping[str, npt.NDArray[Any]]",
) -> list[SegmentError]:
    """How scores of each kind did by level of some columns, of those that the rows have."""
    import numpy as np

    from mlops_assets.monitoring.segments import MIN_ROWS

    power, found = _power(model.metric), []
    for column in [name for name in dict.fromkeys(columns) if name in rows.column_names]:
        kept, others = levels(model, rows, column, MIN_ROWS, MAX_LEVELS)
        parts = [*kept, (OTHERS, others)] if len(others) else kept
        errors = [
            {name: measure(model.task, truth[places], of[places]).of(model.metric) for name, of in scores.items()}
            for _, places in parts
        ]
        sums = np.array([len(places) * each["error"] ** power for (_, places), each in zip(parts, errors, strict=True)])
        shares = sums / sums.sum() if sums.sum() > 0 else sums
        for (level, places), each, share in zip(parts, errors, shares, strict=True):
            found.append(SegmentError(column, level, len(places), **each, share=float(share)))
    return found


def _never_retrained(
    platform: Platform, model: ModelDefinition, rows: "pa.Table", truth: "npt.NDArray[Any]", version: int, error: float
) -> float | None:
    """The error of the first champion there ever was, on rows that a version predicted with an error."""
    first = promotions(platform, model)[0].version
    if version == first:
        return error
    training = candidate_of_version(platform, model, first)
    if not {*model.feature_names} <= {*rows.column_names} or not may_be_read(model, training):
        return None
    if not agreement(platform, model, training).may_score:
        return None
    try:
        fit = stored_fit(platform, model, training)
    except (MissingDataError, ContractError):
        return None
    said = scores_of_fit(model, fit, feature_frame(model, rows), f"version {first}")
    return measure(model.task, truth, said).of(model.metric)


def labels_known_at(platform: Platform, model: ModelDefinition, known_in: Period) -> datetime:
    """From when on the labels that became known in a period have been as they are now: their newest correction."""
    about, now = labelled_period(model, known_in), platform.clock.now()
    moments = platform.labels(model).moments(about, about)[about.key]
    corrected = (moment.known_at for moment in moments if moment.known_at <= now)
    return max([platform.labels_as_of(model, known_in), *corrected])


def labelled_predictions(
    platform: Platform,
    model: ModelDefinition,
    known_in: Period,
    first: Period,
    known_at: datetime,
    further: Set[str] = frozenset(),
) -> "pa.Table":
    """Predictions with their labels, as both were known at a moment.

    Args:
        platform: The platform.
        model: The model.
        known_in: The period in which the newest of the labels became known.
        first: The first period that was predicted from.
        known_at: The moment.
        further: Columns that are wanted beside, where what was predicted holds them.

    Returns:
        Keys, timestamp, ``event_time`` (UTC), prediction, baseline, ``version`` and the label; in the order of keys.
        Rows without a prediction or a label, and periods that were scored only after their labels were known, are left
        out: they are no forecasts.

    Raises:
        MissingDataError: The newest predictions or labels were not computed.
    """
    import pyarrow.compute as pc

    about = labelled_period(model, known_in)
    predictions, labels = predictions_about(platform, model, about), platform.labels(model)
    expected = "predictions and labels of the same rows"
    require_computed(predictions, about, f"predictions of '{model.name}'", expected)
    require_computed(labels, about, f"labels of '{model.name}'", expected, partition=known_in)
    names = list(model.schema.names)
    truth = platform.engine.known_at(labels, known_at, first=first, last=about)
    made = platform.engine.known_at(predictions, known_at, first=first, last=about)
    said = [column.name for column in (*model.prediction_columns, *model.baseline_columns)]
    kept = [*names, "event_time", *said, "version"]
    kept += [name for name in made.column_names if name in further and name not in kept]
    rows = joined_by_keys(model, made.select(kept), truth.select([*names, model.label.column]))
    known = reduce(and_, (pc.field(name).is_valid() for name in (*said, model.label.column)))
    return forecasts_only(platform, model, rows.filter(known))


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


def newest_of(
    history: Sequence[PerformanceRecord], periods: int, version: int | None = None
) -> tuple[list[PerformanceRecord], str]:
    """The newest periods of a version, by default of the one that predicted last; and why not, where they are fewer."""
    version = history[-1].version if version is None else version
    newest = [record for record in history if record.version == version][-periods:]
    had = f"{len(newest)} period{'s' * (len(newest) != 1)}"
    too_few = f"version {version} has {had} with labels, and {periods} are looked at together"
    return newest, too_few if len(newest) < periods else ""


def against_baseline(
    history: Sequence[PerformanceRecord], periods: int, version: int | None = None
) -> tuple[bool, str]:
    """Whether the newest version does at least as well as the baseline, over its newest periods, on the same rows.

    One odd period decides nothing: with fewer than so many nothing is held against the version.

    Args:
        history: All performance so far, in the order of periods; at least one.
        periods: Over how many of the newest periods, such as the retrain policy's ``persistence``.
        version: Which version; None for the one that predicted last.

    Example:
        >>> from dataclasses import replace
        >>> first = PerformanceRecord("2001-02", "2001-01", 3, 100, 0.12, 0.10, 0.11, "{}")
        >>> second = replace(first, period="2001-03", about="2001-02", error=0.11)
        >>> against_baseline([first], 2)
        (True, 'version 3 has 1 period with labels, and 2 are looked at together')
        >>> against_baseline([first, second], 2)
        (False, 'version 3 errs by 0.115 over its newest 2 periods, the baseline by 0.1 on the same rows')
    """
    newest, too_few = newest_of(history, periods, version)
    if too_few:
        return True, too_few
    rows = [record.rows for record in newest]
    error, baseline = (
        sum(value * of for of, value in zip(rows, values, strict=True)) / sum(rows)
        for values in ([record.error for record in newest], [record.baseline_error for record in newest])
    )
    over = f"its newest {periods} periods" if periods > 1 else "its newest period"
    mine = f"version {newest[-1].version} errs by {error:.4g} over {over}"
    return error <= baseline, f"{mine}, the baseline by {baseline:.4g} on the same rows"


def error_over(metric: str, errors: Sequence[float], rows: Sequence[int]) -> float:
    """The error over several periods together, each by its rows; of what is no mean of rows, the mean of the periods.

    Example:
        >>> round(error_over("rmse", [1.0, 2.0], [100, 100]), 4)
        1.5811
    """
    power = _power(metric)
    summed = sum(error**power * of for error, of in zip(errors, rows, strict=True))
    return float((summed / sum(rows)) ** (1 / power))


def _power(metric: str) -> int:
    """By which power errors add up: squared ones do, and not their roots."""
    return 2 if metric == "rmse" else 1


def performance_history(platform: Platform, model: ModelDefinition) -> list[PerformanceRecord]:
    """All performance of a model, in the order of periods, without segments by columns that became personal since."""
    found = read_records(platform.records(model, "performance"), PerformanceRecord)
    return [record.without(model.personal_names) if model.personal_names else record for record in found]
