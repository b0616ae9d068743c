"""What a candidate must win to become a version: gates, each of which is a check of the candidate."""

import re
from dataclasses import dataclass, field
from typing import Literal

from mlops_assets.project.gate_function import GateFunction
from mlops_assets.project.tasks import METRICS

Rival = Literal["baseline", "champion"]

ENOUGH_ROWS = "enough_rows"
"""The gate that every model has: whether the judgement rests on enough rows."""


@dataclass(frozen=True)
class ComparisonGate:
    """A metric must be better than another's on the same rows, by a share of the other's figure."""

    metric: str
    better_than: Rival
    margin: float = 0.0

    @property
    def name(self) -> str:
        """Name of its check."""
        return f"{self.metric}_better_than_{self.better_than}"

    @property
    def description(self) -> str:
        """What it asks for, as a sentence."""
        by = f" by {in_percent(self.margin)}" if self.margin else ""
        return f"{self.metric} is {METRICS[self.metric].better} the {self.better_than}'s{by} on the same rows."


@dataclass(frozen=True)
class LimitGate:
    """A metric must keep an absolute limit: at most, where less is better, and at least of the others.

    The bias keeps it by its distance from 0.
    """

    metric: str
    limit: float

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
    """In no segment may a metric be worse than another's by more than a share of the other's figure.

    Args:
        metric: The metric.
        by: Columns of the judged rows; the segments are those of each column.
        better_than: Whose figure it is compared with.
        worse_by_at_most: The share.
        min_rows: Segments of fewer rows are not looked at.
    """

    metric: str
    by: tuple[str, ...]
    better_than: Rival
    worse_by_at_most: float
    min_rows: int

    @property
    def name(self) -> str:
        """Name of its check."""
        by = re.sub(r"\W", "_", "_and_".join(self.by), flags=re.ASCII)  # what Dagster takes in the name of a check
        return f"{self.metric}_by_{by}_not_worse_than_{self.better_than}"

    @property
    def description(self) -> str:
        """What it asks for, as a sentence."""
        return (
            f"{self.metric} is in no segment by {', '.join(self.by)} worse than the {self.better_than}'s by more than "
            f"{in_percent(self.worse_by_at_most)}; segments of {self.min_rows} rows and more count."
        )


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


@dataclass(frozen=True)
class OwnGate:
    """What a function of the project says; ``definition_hash`` is that of its code."""

    name: str
    definition_hash: str
    function: GateFunction = field(repr=False)

    @property
    def description(self) -> str:
        """What it asks for, as a sentence."""
        return f"The function {self.function.function.name} of the project says so."


Gate = ComparisonGate | LimitGate | SegmentGate | SizeGate | LatencyGate | OwnGate


def in_percent(share: float) -> str:
    """A share for people."""
    return f"{100 * share:.4g}%"


def in_bytes(size: int) -> str:
    """A number of bytes for people."""
    return f"{size / 1e3:.4g} KB" if size < 1e6 else f"{size / 1e6:.4g} MB"


def in_milliseconds(seconds: float) -> str:
    """A short time for people."""
    return f"{seconds * 1000:.4g} ms"
