"""What a candidate must win to become a version: gates, each of which is a check of the candidate, and their YAML.

A gate that its YAML says whole is read as it is; of the others the YAML has a class of its own.
"""

import re
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from mlops_assets.project.attributes import Attributes
from mlops_assets.project.field_types import FileSize, FiniteNumber, ShareOfFigure, ShortTime
from mlops_assets.project.names import Name
from mlops_assets.project.python_function import PythonFunction
from mlops_assets.project.tasks import METRICS

Rival = Literal["baseline", "champion"]

ENOUGH_ROWS = "enough_rows"
"""The gate that every model has: whether the judgement rests on enough rows."""

_METRIC = (
    "mae, rmse, median_absolute_error, r2; of a classification log_loss, brier, accuracy, calibration_error, of two "
    "classes also roc_auc, average_precision, of several also macro_f1."
)
_Compared = Annotated[str, Field(description=f"The figure to compare: {_METRIC}")]


@dataclass(frozen=True)
class ComparisonGate:
    """A metric must be better than another's on the same rows, by a share of the other's figure."""

    metric: _Compared
    better_than: Rival
    """What the candidate must beat on the same rows."""
    by: Annotated[ShareOfFigure, Field(ge=0, lt=1)] = 0.0
    """By which share of the other's figure, such as 5%; left out for any."""

    @property
    def name(self) -> str:
        """Name of its check."""
        return f"{self.metric}_better_than_{self.better_than}"

    @property
    def description(self) -> str:
        """What it asks for, as a sentence."""
        by = f" by {in_percent(self.by)}" if self.by else ""
        return f"{self.metric} is {METRICS[self.metric].better} the {self.better_than}'s{by} on the same rows."


@dataclass(frozen=True)
class ProtectionGate:
    """A metric may not be worse than another's on the same rows by more than a share of the other's figure.

    A fresher fit is better before any test, so this stops harm and demands no proof. Against the champion, it may
    not be worse by more than that than the best of those that served before and did better in each judged period,
    either: small losses do not add up.
    """

    metric: _Compared
    not_worse_than: Rival
    """Whose figure on the same rows is compared."""
    by: Annotated[ShareOfFigure, Field(gt=0)]
    """Share of the other's figure by which it may be worse, such as 2%."""

    @property
    def name(self) -> str:
        """Name of its check."""
        return f"{self.metric}_not_worse_than_{self.not_worse_than}"

    @property
    def description(self) -> str:
        """What it asks for, as a sentence."""
        before = ", nor than that of the best before" if self.not_worse_than == "champion" else ""
        return (
            f"{self.metric} is not worse than the {self.not_worse_than}'s by more than {in_percent(self.by)} on the "
            f"same rows{before}."
        )


@dataclass(frozen=True)
class LimitGate:
    """A metric must keep an absolute limit, one of the two; the bias keeps it by its distance from 0."""

    metric: Annotated[str, Field(description=f"The figure to limit: bias (by its distance from 0), {_METRIC}")]
    at_most: FiniteNumber | None = None
    """Greatest value, where less is better."""
    at_least: FiniteNumber | None = None
    """Smallest value, where more is better."""

    @property
    def limit(self) -> float:
        """The one of the two that is given."""
        return next(limit for limit in (self.at_most, self.at_least) if limit is not None)

    @property
    def bound(self) -> str:
        """On which side of the limit the metric must lie."""
        return "at least" if METRICS[self.metric].greater_is_better else "at most"

    @property
    def name(self) -> str:
        """Name of its check."""
        return f"{self.metric}_{self.bound.replace(' ', '_')}"

    @property
    def description(self) -> str:
        """What it asks for, as a sentence."""
        what = f"{self.metric}, as a distance from 0," if self.metric == "bias" else self.metric
        return f"{what} is {self.bound} {self.limit:g}."


@dataclass(frozen=True)
class SegmentGate:
    """In no segment may a metric be worse than another's by more than a share of the other's figure."""

    metric: _Compared
    not_worse_than: Rival
    """Whose figure on the same rows is compared."""
    by: Annotated[ShareOfFigure, Field(gt=0)]
    """Share of the other's figure by which it may be worse, such as 10%."""
    segments: Annotated[tuple[str, ...], Field(min_length=1)]
    """Keys, the timestamp, request columns or features; each level, or quartile of a number, is a segment."""
    min_rows: Annotated[int, Field(ge=1)] = 50
    """Segments of fewer rows do not count; without any it fails."""

    @property
    def name(self) -> str:
        """Name of its check."""
        told = re.sub(r"\W", "_", "_and_".join(self.segments), flags=re.ASCII)  # what Dagster takes in a check's name
        return f"{self.metric}_by_{told}_not_worse_than_{self.not_worse_than}"

    @property
    def description(self) -> str:
        """What it asks for, as a sentence."""
        return (
            f"{self.metric} is in no segment by {', '.join(self.segments)} worse than the {self.not_worse_than}'s by "
            f"more than {in_percent(self.by)}; segments of {self.min_rows} rows and more count."
        )


class SizeGateAttributes(Attributes):
    """How large the model may be."""

    model_size_at_most: FileSize
    """Size of the model's file, such as 20 MB (KB, MB or GB)."""


@dataclass(frozen=True)
class SizeGate:
    """The model's file may have at most so many bytes."""

    at_most: int

    @property
    def name(self) -> str:
        """Name of its check."""
        return "model_size"

    @property
    def description(self) -> str:
        """What it asks for, as a sentence."""
        return f"The model's file has at most {in_bytes(self.at_most)}."


class LatencyGateAttributes(Attributes):
    """How long a prediction may take."""

    latency_at_most: ShortTime
    """Median time of predicting one row, such as 5 ms (ms or s)."""


@dataclass(frozen=True)
class LatencyGate:
    """Predicting one row may take at most so many seconds, the median of several tries."""

    at_most: float

    @property
    def name(self) -> str:
        """Name of its check."""
        return "latency"

    @property
    def description(self) -> str:
        """What it asks for, as a sentence."""
        return f"Predicting one row takes at most {in_milliseconds(self.at_most)}, the median of several tries."


class CustomGateAttributes(Attributes):
    """What a function of the project decides."""

    python: str
    """MODULE:FUNCTION that gives whether the candidate passes, and why in words."""
    name: Name | None = None
    """Name of the check; by default the function's."""


@dataclass(frozen=True)
class CustomGate:
    """What a function of the project says; ``definition_hash`` is that of its code."""

    name: str
    definition_hash: str
    function: PythonFunction = field(repr=False)

    @property
    def description(self) -> str:
        """What it asks for, as a sentence."""
        return f"The function {self.function.name} of the project says so."


Gate = ComparisonGate | ProtectionGate | LimitGate | SegmentGate | SizeGate | LatencyGate | CustomGate

_BY_FIELD = {
    "python": "custom",
    "model_size_at_most": "size",
    "latency_at_most": "latency",
    "segments": "by_segment",
    "not_worse_than": "protection",
    "at_most": "limit",
    "at_least": "limit",
}


def _form(value: Any) -> str:
    """Which kind of gate is meant, by the field that only it has."""
    return next((form for name, form in _BY_FIELD.items() if isinstance(value, dict) and name in value), "comparison")


GateAttributes = Annotated[
    Annotated[ComparisonGate, Tag("comparison")]
    | Annotated[ProtectionGate, Tag("protection")]
    | Annotated[LimitGate, Tag("limit")]
    | Annotated[SegmentGate, Tag("by_segment")]
    | Annotated[SizeGateAttributes, Tag("size")]
    | Annotated[LatencyGateAttributes, Tag("latency")]
    | Annotated[CustomGateAttributes, Tag("custom")],
    Discriminator(_form),
]
"""A gate as its YAML says it."""


def in_percent(share: float) -> str:
    """A share for people."""
    return f"{100 * share:.4g}%"


def in_bytes(size: int) -> str:
    """A number of bytes for people."""
    return f"{size / 1e3:.4g} KB" if size < 1e6 else f"{size / 1e6:.4g} MB"


def in_milliseconds(seconds: float) -> str:
    """A short time for people."""
    return f"{seconds * 1000:.4g} ms"
