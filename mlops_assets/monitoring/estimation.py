"""How well a classification probably does, before its labels come: what its own probabilities say of it.

Confidence-based performance estimation: if of the rows with probability 0.8 eight in ten come true, then how often a
prediction is right, and by how much it errs, follows from the probabilities alone. Each row counts once for each class,
as if that came true, with the probability that it does (NannyML, https://nannyml.readthedocs.io, How it works:
Estimation of Performance of the Monitored Model; Garg and others, Leveraging Unlabeled Data to Predict
Out-of-Distribution Performance, ICLR 2022). Whether probabilities are right is seen on the judged rows of the training
(`mlops_assets.models.calibration`).

So an estimate sees that rows come which are harder to tell apart. It cannot see concept drift: that what is seen of a
row no longer says of the label what it said. Beside each stands how far estimates were off once labels came.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.lakehouse.periods import Period
from mlops_assets.lakehouse.records import read_records, write_record
from mlops_assets.models.calibration import Calibration
from mlops_assets.models.intervals import conformal_quantile
from mlops_assets.models.metrics import Measured, measure
from mlops_assets.models.predicting import stored_scores
from mlops_assets.models.records import candidate_of_version
from mlops_assets.models.scoring import scored_rows
from mlops_assets.monitoring.performance import PerformanceRecord, performance_history
from mlops_assets.monitoring.period_null import MIN_PERIODS
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ModelDefinition
from mlops_assets.project.tasks import DEFAULT_METRIC, Task

if TYPE_CHECKING:
    import numpy.typing as npt

MAX_ROWS = 100_000
"""Of more rows, every second, third and so on is looked at."""

NOT_ESTIMATED = "calibration_error"
"""An estimate takes calibrated probabilities for right, so it says nothing of this."""


@dataclass(frozen=True)
class EstimateRecord:
    """How well the predictions of a period probably do.

    Args:
        period: Key of the period that was predicted from.
        version: The version that predicted.
        rows: Predictions that it was estimated on.
        metric: The metric that the model is watched by; log loss where that cannot be estimated.
        estimated: What the metric, of which less is better, probably comes to.
        level: That of the version's judged fit when it was trained.
        bar: Beyond it the estimate is worse than those of past periods, each held against its own version's level;
            None where there are too few of these.
        past: How many past periods it was compared with.
        figures: All metrics that were estimated, by name, as JSON.
    """

    period: str
    version: int
    rows: int
    metric: str
    estimated: float
    level: float
    bar: float | None
    past: int
    figures: str

    @property
    def worse(self) -> bool:
        """Whether the estimate is worse than is usual."""
        return self.bar is not None and self.estimated > self.bar

    @property
    def words(self) -> str:
        """The estimate beside its bar, in a sentence."""
        said = f"{self.metric} of {self.estimated:.4g} is estimated of {self.rows} rows, without their labels"
        if self.bar is None:
            return f"{said}: not judged, for {self.past} past periods are too few to tell what is usual"
        of = f"by {self.past} past periods as much as {self.bar:.4g} is usual"
        return f"{said}; {of}" + ("; what it cannot see, concept drift, comes on top" if self.worse else "")


@dataclass(frozen=True)
class TrackRecord:
    """How estimates compared with what came true.

    Args:
        periods: How many were compared.
        off: Mean distance of the estimate from the realized metric.
        level_off: The same of who takes the level at training for an estimate.
    """

    periods: int
    off: float
    level_off: float

    @property
    def words(self) -> str:
        """The same in words, with what no estimate sees."""
        blind = "no estimate sees concept drift"
        if not self.periods:
            return f"no estimate has been compared with labels yet; {blind}"
        over = f"over {self.periods} past period{'s' * (self.periods > 1)}"
        off = f"estimates were off by {self.off:.4g} on average, the level at training by {self.level_off:.4g}"
        return f"{over} {off}; {blind}"


def estimate(task: Task, scores: "npt.NDArray[Any]", calibrated: "npt.NDArray[Any] | None" = None) -> Measured:
    """What the metrics of a classification are expected to come to, its labels unseen.

    Args:
        task: ``binary`` or ``multiclass``.
        scores: At least one row, as `mlops_assets.models.metrics.measure` takes them; what is predicted follows from
            them.
        calibrated: The probabilities of what comes true, in the same form; by default the scores.

    Example:
        >>> import numpy as np
        >>> round(estimate("binary", np.array([0.9, 0.2])).of("accuracy"), 9)
        0.85
    """
    import numpy as np

    shares = scores if calibrated is None else calibrated
    if task == "binary":
        shares = np.column_stack([1 - shares, shares])
    rows, classes = shares.shape
    truth, said = np.repeat(np.arange(classes), rows), np.concatenate([scores] * classes)
    found = measure(task, truth, said, shares.T.ravel())
    return Measured(rows, {name: value for name, value in found.values.items() if name != NOT_ESTIMATED})


def estimate_performance(
    platform: Platform, model: ModelDefinition, period: Period
) -> tuple[EstimateRecord, TrackRecord] | None:
    """Estimate how well the predictions of a period do, and record it.

    Returns:
        The record, and how estimates of earlier periods compared with what came true; None of a regression, and where
        nothing was predicted.

    Raises:
        MissingDataError: The period was not scored.
    """
    import numpy as np

    rows = scored_rows(platform, model, period) if model.classes else None
    if rows is None or rows.num_rows == 0:
        return None
    version = int(rows.column("version")[0].as_py())
    training = candidate_of_version(platform, model, version)
    scores = stored_scores(model, rows)
    scores = scores[np.isfinite(scores.reshape(len(scores), -1)).all(axis=1)]
    scores = scores[:: 1 + (len(scores) - 1) // MAX_ROWS]
    if not len(scores):
        return None
    found = estimate(model.task, scores, Calibration.from_json(training.calibration).of(scores))
    metric = DEFAULT_METRIC[model.task] if model.metric == NOT_ESTIMATED else model.metric
    level = training.figure_values[f"candidate_{metric}"]
    before = [one for one in estimates(platform, model) if one.period < period.key and one.metric == metric]
    bar = usual(before, model.drift.false_alarms)
    record = EstimateRecord(
        period=period.key,
        version=version,
        rows=found.rows,
        metric=metric,
        estimated=found.of(metric),
        level=level,
        bar=None if bar is None else level * bar,
        past=len(before),
        figures=json.dumps(found.values, sort_keys=True),
    )
    write_record(platform.records(model, "estimate"), record)
    return record, track_record(before, performance_history(platform, model))


def usual(before: Sequence[EstimateRecord], rate: float) -> float | None:
    """How large an estimate over its version's level is usual, by those of past periods.

    Args:
        before: The past.
        rate: Share of periods that may lie beyond, if past ones and the next come in any order alike.

    Returns:
        The quantile that as many of the past lie beyond; None where they are fewer than 24, or than one over the rate.
    """
    shares = [one.estimated / one.level for one in before if one.level > 0]
    return conformal_quantile(shares, 1 - rate) if len(shares) >= MIN_PERIODS else None


def estimates(platform: Platform, model: ModelDefinition) -> list[EstimateRecord]:
    """All estimates of a model, in the order of periods."""
    return read_records(platform.records(model, "estimate"), EstimateRecord)


def track_record(made: Sequence[EstimateRecord], performance: Sequence[PerformanceRecord]) -> TrackRecord:
    """How estimates compared with what came true, in the periods of which both are known by the same version."""
    realized: Mapping[tuple[str, int], PerformanceRecord] = {(one.about, one.version): one for one in performance}
    pairs = [
        (one, realized[key].figure_values[one.metric])
        for one in made
        if (key := (one.period, one.version)) in realized and one.metric in realized[key].figure_values
    ]
    count = max(len(pairs), 1)
    return TrackRecord(
        len(pairs),
        sum(abs(one.estimated - came) for one, came in pairs) / count,
        sum(abs(one.level - came) for one, came in pairs) / count,
    )
