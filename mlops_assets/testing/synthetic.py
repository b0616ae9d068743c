"""Periods of rows that differ from one another without drift, as those of a business do."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mlops_assets.lakehouse.periods import Calendar
from mlops_assets.project.model_attributes import DriftChoice
from mlops_assets.testing.monitored import Monitored

if TYPE_CHECKING:
    import pyarrow as pa

LEVELS = 8
"""How many levels a category has; their shares change from period to period."""
CAUSES = 3
"""How many common causes the numbers follow."""


@dataclass(frozen=True)
class SyntheticPeriods:
    """Columns that hang together, each with a season and with a level of its own in each period.

    Args:
        numbers: Columns of numbers; their deviation is 1 to 3.
        categories: Columns of texts, the same levels in each.
        calendar: How periods are cut.
        rows: Rows of a period, about: they vary by a fifth.
        seed: Of all of it; a period's rows do not depend on which others are asked for.
        season: How far seasons lie apart, in deviations.
        wander: How far periods of a season lie apart, in deviations.
    """

    numbers: tuple[str, ...]
    categories: tuple[str, ...] = ()
    calendar: Calendar = field(default_factory=lambda: Calendar("month"))
    rows: int = 300
    seed: int = 0
    season: float = 0.5
    wander: float = 0.15

    def key(self, place: int) -> str:
        """The key of a period, by its place."""
        first = self.calendar.at_key("2000-01-03" if self.calendar.unit != "month" else "2000-01")
        return self.calendar.shift(first, place).key

    def table(self, place: int) -> "pa.Table":
        """The rows of a period."""
        import numpy as np
        import pyarrow as pa

        random, (loadings, phase) = np.random.default_rng([self.seed, place]), self._columns
        count, cycle = int(self.rows * random.uniform(0.8, 1.2)), {"day": 7, "week": 52, "month": 12}
        level = phase * np.sin(2 * np.pi * place / cycle[self.calendar.unit])
        level = level + random.normal(size=len(phase)) * self.wander
        values = level + random.normal(size=(count, CAUSES)) @ loadings + random.normal(size=(count, len(phase)))
        values *= np.linspace(1, 3, len(phase))  # so that swapped columns differ
        columns: dict[str, Any] = {name: values[:, place] for place, name in enumerate(self.numbers)}
        for name in self.categories:
            shares = random.dirichlet(np.full(LEVELS, 60.0))
            columns[name] = random.choice([f"{name} {one}" for one in range(LEVELS)], size=count, p=shares)
        return pa.table(columns)

    def monitored(self, places: Sequence[int], drift: DriftChoice | None = None) -> Monitored:
        """Some periods, with how a period is judged by them."""
        import pyarrow as pa

        tables = [self.table(place) for place in places]
        keys = tuple(self.key(place) for place, table in zip(places, tables, strict=True) for _ in range(len(table)))
        return Monitored(
            rows=pa.concat_tables(tables),
            periods=keys,
            calendar=self.calendar,
            numbers=self.numbers,
            categories=self.categories,
            drift=drift or DriftChoice(),
            origin="synthetic periods",
        )

    @cached_property
    def _columns(self) -> tuple[Any, Any]:
        import numpy as np

        random, count = np.random.default_rng(self.seed), len(self.numbers)
        return random.normal(size=(CAUSES, count)) * 0.7, random.normal(size=count) * self.season
