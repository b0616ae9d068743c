"""What is expected of a table beyond its contract: each an asset check of its own, with its numbers plotted."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from mlops_assets.project.field_types import FiniteNumber

Severity = Literal["warn", "block"]
"""Whether a broken expectation is only shown, or keeps the rows out (the last good state stays in service)."""


@dataclass(frozen=True)
class NullShare:
    """At most a share of a column's values is null."""

    column: str
    most: float

    def __str__(self) -> str:
        return f"At most {self.most:.4g} of the values of '{self.column}' are null."


@dataclass(frozen=True)
class Values:
    """The values of a column lie in a range, or in a set; nulls are left alone."""

    column: str
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[str, ...] = ()

    def __str__(self) -> str:
        parts = [f"at least {self.minimum:g}"] if self.minimum is not None else []
        parts += [f"at most {self.maximum:g}"] if self.maximum is not None else []
        parts += [f"one of {', '.join(self.allowed)}"] if self.allowed else []
        return f"Values of '{self.column}' are {' and '.join(parts)}."


@dataclass(frozen=True)
class RowCount:
    """A period has between ``least`` and ``most`` times as many rows as the period before it."""

    least: Annotated[FiniteNumber, Field(ge=0)] = 0
    """Fewest rows, as a share of the last period's: 0.5."""
    most: Annotated[FiniteNumber, Field(gt=0)] | None = None
    """Most rows, as a share of the last period's."""

    def __str__(self) -> str:
        ends = f"at least {self.least:g}" + (f" and at most {self.most:g}" if self.most is not None else "")
        return f"There are {ends} times as many rows as in the last period."


@dataclass(frozen=True)
class Freshness:
    """The newest row, or the newest delivery, is at most so old by the platform clock."""

    of: Literal["row", "delivery"]
    oldest: timedelta

    def __str__(self) -> str:
        return f"The newest {self.of} is at most {in_days(self.oldest):g} days old."


@dataclass(frozen=True)
class Expectation:
    """One expectation.

    Args:
        name: Name of its check, unique in the table.
        rule: What is expected.
        severity: What happens where it is broken.
        reason: Why it is expected, for people; may be empty.
    """

    name: str
    rule: NullShare | Values | RowCount | Freshness
    severity: Severity
    reason: str

    @property
    def description(self) -> str:
        """What is expected and why, as sentences."""
        return f"{self.rule} {self.reason}".strip()


def in_days(length: timedelta) -> float:
    """A length of time in days, to a thousandth."""
    return round(length / timedelta(days=1), 3)
