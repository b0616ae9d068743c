"""How well a candidate did on the rows it was judged on, beside baseline and champion: the stored report.

Every figure carries an interval that holds its true value in 95 of 100 cases: rows are drawn anew many times, and the
middle 95 % of what is measured is the interval (the percentile bootstrap of Efron and Tibshirani, An Introduction to
the Bootstrap, 1993, chapter 13). Not rows are drawn but keys with all their rows, because rows of one series are not
independent (the pairs cluster bootstrap of Cameron, Gelbach and Miller, Review of Economics and Statistics 90, 2008).
Candidate, baseline and champion are measured on the same draws, so that the interval of a difference is that of pairs.
"""

import json
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from mlops_assets.lakehouse.exact import doubles
from mlops_assets.models.folds import period_starts
from mlops_assets.models.metrics import Measured, confidence, equal_count_bins, measure, measure_each, predicted_classes
from mlops_assets.project.definition import ModelDefinition

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa
    from pydantic import TypeAdapter

    Floats = npt.NDArray[np.float64]
    Places = npt.NDArray[np.int64]

Who = Literal["candidate", "baseline", "champion"]
RIVALS: tuple[Who, ...] = ("champion", "baseline")

FORMAT = "mlops-assets/evaluation/1"
"""Names the shape of the report as JSON; the number rises when a program that reads it must change."""

ENDS = (0.025, 0.975)
"""Of an interval, as shares of the draws."""

MIN_KEYS = 5
"""Of fewer keys nothing is said about how figures vary from key to key."""

QUARTILES = 4
MAX_LEVELS = 20
"""So many levels of a column are told apart in the report, those of the most rows."""

OTHERS = "all others"
"""The rows of the levels that are not told apart."""

RESIDUAL_BINS = 20
RESIDUAL_SHARES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
CHANGE_SHARES = (0.5, 0.9, 0.99, 1.0)
_NUMBERS_AT_ONCE = 500_000
"""Weights of so many rows times draws are held in memory at once, of many rows those of a few draws."""
_MIN_AT_ONCE = 4


@dataclass(frozen=True)
class JudgedRows:
    """What is judged: the same rows for all.

    Args:
        rows: Rows of a training set.
        truth: What came true of each, as `mlops_assets.models.metrics.measure` takes it.
        scores: What each said of them, in the same form as there; without a champion that can be compared, none of it.
    """

    rows: "pa.Table"
    truth: "npt.NDArray[Any]"
    scores: "Mapping[Who, npt.NDArray[Any]]"


@dataclass(frozen=True)
class Interval:
    """A figure and its 95 % interval.

    Args:
        value: Measured on all rows.
        low: Where its interval begins; None where too few keys or draws define one.
        high: Where it ends; None as above.
    """

    value: float
    low: float | None
    high: float | None


Figures = Mapping[str, Interval]
"""By the name of the metric; one that the rows do not define is not in it."""


@dataclass(frozen=True)
class Segment:
    """Figures over the rows of one level of a column; of a number, over a quartile of its values.

    Args:
        column: The column.
        level: Its level, or the quartile's ends.
        rows: How many rows.
        figures: By who predicted; only the metric that the model is watched by has an interval here.
    """

    column: str
    level: str
    rows: int
    figures: Mapping[Who, Figures]


@dataclass(frozen=True)
class CalibrationBin:
    """Rows of about the same predicted probability. Recorded reports hold these fields by these names.

    Args:
        rows: How many.
        claimed: Mean predicted probability: of 1, or of the class that was chosen of several.
        came_true: Observed share: the rows of which it came true.
    """

    rows: int
    claimed: float
    came_true: float


@dataclass(frozen=True)
class Residuals:
    """Prediction minus truth, in the label's unit.

    Args:
        quantiles: By who predicted and share.
        edges: Ends of the bars of the histogram, from the smallest up; what lies beyond counts to the outermost.
        counts: Rows in each bar, by who predicted.
    """

    quantiles: Mapping[Who, Mapping[str, float]]
    edges: tuple[float, ...]
    counts: Mapping[Who, tuple[int, ...]]


@dataclass(frozen=True)
class Evaluation:
    """The report of one judged fit.

    Args:
        metric: The metric that the model is watched by.
        rows: How many rows were judged.
        keys: How many keys they are of.
        draws: How often the keys were drawn anew.
        figures: By who predicted.
        differences: Of the candidate's figures minus those of another, by the other.
        segments: By each chosen column; those of one column hold every row once, `OTHERS` last.
        calibration: Of a classification, by who predicted; bins of about as many rows each.
        residuals: Of a regression.
        changes: Against the champion: of a classification the ``share`` of rows whose class changed; of a regression
            quantiles of the distance between both predictions, by share. Empty without a champion.
        importance: The mean share of each feature in what it and all others contribute to the candidate's predictions
            (`mlops_assets.models.contributions`), the greatest first. Empty where it was not measured.
    """

    metric: str
    rows: int
    keys: int
    draws: int
    figures: Mapping[Who, Figures]
    differences: Mapping[Who, Figures]
    segments: tuple[Segment, ...]
    calibration: Mapping[Who, tuple[CalibrationBin, ...]]
    residuals: Residuals | None
    changes: Mapping[str, float]
    importance: Mapping[str, float] = field(default_factory=dict)

    def without(self, columns: Collection[str]) -> "Evaluation":
        """The report without what it tells by level of some columns."""
        return replace(self, segments=tuple(segment for segment in self.segments if segment.column not in columns))

    def to_json(self) -> str:
        """The report for programs, the same for the same rows and scores."""
        return json.dumps({"format": FORMAT, **asdict(self)}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Evaluation":
        """The report that `to_json` wrote."""
        values = json.loads(text)
        values.pop("format")
        values["importance"] = dict(sorted(values.get("importance", {}).items(), key=lambda one: (-one[1], one[0])))
        return _reader().validate_python(values)


def errors_by_period(
    model: ModelDefinition, judged: JudgedRows, *said: "npt.NDArray[Any]"
) -> Iterator[tuple[datetime, int, list[float]]]:
    """The start of each judged period, in order, its rows, and the error of each of some scores by the model's metric.

    A period in which one of the errors is not defined is left out.
    """
    import numpy as np

    starts = period_starts(model, judged.rows)
    for start in sorted(set(starts)):
        places = np.flatnonzero(starts == start)
        truth = judged.truth[places]
        errors = [measure(model.task, truth, scores[places]).values.get(model.metric) for scores in said]
        known = [error for error in errors if error is not None]
        if len(known) == len(errors):
            yield start, len(places), known


def evaluate(model: ModelDefinition, judged: JudgedRows) -> Evaluation:
    """Report on what was judged.

    Args:
        model: Gives task, keys, seed, and what is told by segment.
        judged: At least one row.

    Raises:
        ContractError: There are no rows.
    """
    import numpy as np
    from threadpoolctl import threadpool_limits

    codes = key_codes(model, judged.rows)
    segments = []
    for column in told_by(model):
        found, others = levels(model, judged.rows, column, model.evaluation.min_rows, MAX_LEVELS)
        found += [(OTHERS, others)] if len(others) else []
        segments += [(column, level, places) for level, places in found]
    parts = [None, *(places for _, _, places in segments)]
    few = [len(np.unique(codes if places is None else codes[places])) < MIN_KEYS for places in parts]
    with threadpool_limits(limits=1):  # several threads add up in another order, and beside other work take longer
        values = [_values(model, judged, places) for places in parts]
        drawn = _drawn(model, judged, codes, parts, few)
    everything = _figures(values[0], drawn[0])
    return Evaluation(
        metric=model.metric,
        rows=len(judged.truth),
        keys=int(np.max(codes)) + 1,
        draws=model.evaluation.draws,
        figures=everything,
        differences={who: _difference(values[0], drawn[0], who) for who in RIVALS if who in judged.scores},
        segments=tuple(
            Segment(column, level, len(places), _figures(values[number], drawn[number]))
            for number, (column, level, places) in enumerate(segments, start=1)
        ),
        calibration={} if model.task == "regression" else {
            who: calibration_bins(model, judged.truth, scores) for who, scores in judged.scores.items()
        },
        residuals=_residuals(judged) if model.task == "regression" else None,
        changes=_changes(model, judged.scores),
    )  # fmt: skip


def ratio(
    model: ModelDefinition,
    rows: "pa.Table",
    truth: "npt.NDArray[Any]",
    mine: "npt.NDArray[Any]",
    theirs: "npt.NDArray[Any]",
) -> Interval | None:
    """The error of some scores over that of others on the same rows, by the metric that the model is watched by.

    Returns:
        With its interval, of pairs; None where the others make no error.
    """
    import numpy as np
    from threadpoolctl import threadpool_limits

    own, other = (measure(model.task, truth, scores).of(model.metric) for scores in (mine, theirs))
    if other <= 0:
        return None
    codes, drawn = key_codes(model, rows), None
    if int(np.max(codes)) + 1 >= MIN_KEYS:
        parts = []
        with threadpool_limits(limits=1), np.errstate(divide="ignore", invalid="ignore"):
            for weights in _weights(codes, model.evaluation.draws, model.template.seed):
                top, below = (measure_each(model.task, truth, of, weights, {model.metric}) for of in (mine, theirs))
                parts.append(top[model.metric] / below[model.metric])
        drawn = np.concatenate(parts)
    return _interval(own / other, drawn)


def told_by(model: ModelDefinition) -> tuple[str, ...]:
    """The columns by which figures are told: those that the model asks for, and those that its gates look at."""
    gates = [name for gate in model.gates for name in getattr(gate, "segments", ())]
    return tuple(dict.fromkeys([*model.evaluation.segments, *gates]))


def levels(
    model: ModelDefinition, rows: "pa.Table", column: str, min_rows: int, most: int | None = None
) -> "tuple[list[tuple[str, Places]], Places]":
    """The segments of a column, each with the places of its rows; and the places of the rows that are in none.

    Args:
        model: Says whether the column is a feature that is a number: these are cut into quartiles.
        rows: The judged rows.
        column: One of their columns.
        min_rows: Levels of fewer rows are no segments.
        most: So many levels at most are, those of the most rows; None for all.
    """
    import numpy as np

    names, place = _levels(model, rows, column)
    sizes = np.bincount(place, minlength=len(names))
    kept = [number for number in np.argsort(-sizes, kind="stable") if sizes[number] >= min_rows][:most]
    found = [(names[number], np.flatnonzero(place == number)) for number in sorted(kept)]
    return found, np.flatnonzero(~np.isin(place, kept))


def calibration_bins(
    model: ModelDefinition, truth: "npt.NDArray[Any]", scores: "npt.NDArray[Any]"
) -> tuple[CalibrationBin, ...]:
    """Predicted and observed shares in bins of about as many rows each; none where a prediction is missing."""
    import numpy as np

    predicted, observed = confidence(model.task, truth, scores)
    if not np.isfinite(predicted).all():
        return ()
    place = equal_count_bins(predicted)
    rows = np.bincount(place)
    return tuple(
        CalibrationBin(int(count), float(said / count), float(was / count))
        for count, said, was in zip(rows, np.bincount(place, predicted), np.bincount(place, observed), strict=True)
    )


def key_codes(model: ModelDefinition, rows: "pa.Table") -> "Places":
    """The number of each row's key, from 0 up in the order of the keys as text."""
    import numpy as np
    import pyarrow.compute as pc

    found = np.zeros(rows.num_rows, dtype=np.int64)
    for name in model.schema.keys:
        texts = pc.cast(rows.column(name), "string").to_numpy(zero_copy_only=False).astype(str)
        distinct, place = np.unique(texts, return_inverse=True)
        found = np.unique(found * len(distinct) + place, return_inverse=True)[1]
    return found


def _levels(model: ModelDefinition, rows: "pa.Table", column: str) -> tuple[list[str], "Places"]:
    """The names of a column's levels in their order, and which one each row has."""
    import numpy as np
    import pyarrow.compute as pc

    values = rows.column(column)
    if column in model.numbers:
        numbers = doubles(values).to_numpy(zero_copy_only=False).astype(float)
        known = np.isfinite(numbers)
        quartile = equal_count_bins(numbers[known], QUARTILES) if known.any() else np.zeros(0, dtype=np.int64)
        cut = [numbers[known][quartile == number] for number in range(int(np.max(quartile, initial=-1)) + 1)]
        names = [f"{part.min():.4g} to {part.max():.4g}" for part in cut]
        place = np.full(len(numbers), len(names), dtype=np.int64)
        place[known] = quartile
    else:
        texts = pc.cast(values, "string").to_numpy(zero_copy_only=False)
        names = sorted({text for text in texts if text is not None})
        numbered = {name: number for number, name in enumerate(names)}
        place = np.array([numbered.get(text, len(names)) for text in texts], dtype=np.int64)
    return [*names, "missing"], place


def _values(model: ModelDefinition, judged: JudgedRows, places: "Places | None") -> dict[Who, Measured]:
    truth = judged.truth if places is None else judged.truth[places]
    return {
        who: measure(model.task, truth, scores if places is None else scores[places])
        for who, scores in judged.scores.items()
    }


def _drawn(
    model: ModelDefinition, judged: JudgedRows, codes: "Places", parts: "Sequence[Places | None]", few: Sequence[bool]
) -> list[dict[Who, "dict[str, Floats]"]]:
    """The metrics of everybody under each draw, NaN where one is not defined: all of all rows, one of each segment."""
    import numpy as np

    found: list[dict[Who, dict[str, list[Floats]]]] = [{who: {} for who in judged.scores} for _ in parts]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a draw without any row of a segment
        for weights in _weights(codes, model.evaluation.draws, model.template.seed):
            for places, by_who, too_few in zip(parts, found, few, strict=True):
                if too_few:
                    continue
                chosen = slice(None) if places is None else places
                for who, scores in judged.scores.items():
                    only = None if places is None else {model.metric}
                    each = measure_each(model.task, judged.truth[chosen], scores[chosen], weights[chosen], only)
                    for name, values in each.items():
                        by_who[who].setdefault(name, []).append(values)
    return [
        {who: {name: np.concatenate(values) for name, values in metrics.items()} for who, metrics in by_who.items()}
        for by_who in found
    ]


def _weights(codes: "Places", draws: int, seed: int) -> "Iterator[Floats]":
    """How often each row is in each draw: rows by draws, a part of the draws at a time."""
    import numpy as np

    rng, keys = np.random.default_rng(seed), int(np.max(codes)) + 1
    at_once = max(_NUMBERS_AT_ONCE // len(codes), _MIN_AT_ONCE)
    for begin in range(0, draws, at_once):
        count = min(at_once, draws - begin)
        drawn = rng.integers(0, keys, size=(count, keys)) + keys * np.arange(count)[:, None]
        times = np.bincount(drawn.ravel(), minlength=count * keys).reshape(count, keys)
        yield np.ascontiguousarray(times[:, codes].T, dtype=float)


def _interval(value: float, drawn: "Floats | None") -> Interval:
    import numpy as np

    if drawn is None or np.isfinite(drawn).sum() * 2 < len(drawn):
        return Interval(value, None, None)
    low, high = np.quantile(drawn[np.isfinite(drawn)], ENDS)
    return Interval(value, float(low), float(high))


def _figures(values: Mapping[Who, Measured], drawn: Mapping[Who, Mapping[str, "Floats"]]) -> dict[Who, Figures]:
    return {
        who: {name: _interval(value, drawn[who].get(name)) for name, value in sorted(measured.values.items())}
        for who, measured in values.items()
    }


def _difference(values: Mapping[Who, Measured], drawn: Mapping[Who, Mapping[str, "Floats"]], other: Who) -> Figures:
    mine, theirs = values["candidate"].values, values[other].values
    drawn_mine, drawn_theirs = drawn["candidate"], drawn[other]
    return {
        name: _interval(
            mine[name] - theirs[name],
            drawn_mine[name] - drawn_theirs[name] if name in drawn_mine and name in drawn_theirs else None,
        )
        for name in sorted(set(mine) & set(theirs))
    }


def _residuals(judged: JudgedRows) -> Residuals | None:
    """None where a prediction is missing."""
    import numpy as np

    errors = {who: scores - judged.truth for who, scores in judged.scores.items()}
    everyone = np.concatenate(list(errors.values()))
    if not np.isfinite(everyone).all():
        return None
    low, high = np.quantile(everyone, (0.005, 0.995))
    edges = np.linspace(low, high if high > low else low + 1, RESIDUAL_BINS + 1)
    return Residuals(
        {who: _quantiles(error, RESIDUAL_SHARES) for who, error in errors.items()},
        tuple(edges.tolist()),
        {
            who: tuple(np.histogram(np.clip(error, edges[0], edges[-1]), edges)[0].tolist())
            for who, error in errors.items()
        },
    )


def _changes(model: ModelDefinition, scores: "Mapping[Who, npt.NDArray[Any]]") -> dict[str, float]:
    import numpy as np

    if "champion" not in scores:
        return {}
    mine, theirs = scores["candidate"], scores["champion"]
    if model.task != "regression":
        return {"share": float((predicted_classes(model.task, mine) != predicted_classes(model.task, theirs)).mean())}
    distance = np.abs(mine - theirs)
    return _quantiles(distance, CHANGE_SHARES) if np.isfinite(distance).all() else {}


def _quantiles(values: "npt.NDArray[Any]", shares: Sequence[float]) -> dict[str, float]:
    import numpy as np

    return {f"{share:g}": float(found) for share, found in zip(shares, np.quantile(values, shares), strict=True)}


@cache
def _reader() -> "TypeAdapter[Evaluation]":
    from pydantic import TypeAdapter

    return TypeAdapter(Evaluation)
