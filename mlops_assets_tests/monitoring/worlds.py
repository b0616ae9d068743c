"""Worlds of months that differ from each other without drift, as the months of a business do."""

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa

from mlops_assets.lakehouse.periods import Calendar
from mlops_assets.monitoring.summaries import Summaries, summarize

MONTHS = Calendar("month")
Change = Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]


def month(number: int) -> str:
    """The key of a month, counted from January 2000."""
    return f"{2000 + number // 12}-{number % 12 + 1:02}"


class World:
    """Months of rows with columns that hang together, a season, and a level of their own in each month.

    Args:
        seed: Of everything random.
        columns: How many columns of numbers; beside them ``level``, a category, and ``calendar``, the month's number.
        season: How far seasons lie apart, in deviations of a column.
        wander: How far months lie apart beside that.
    """

    def __init__(self, seed: int = 0, columns: int = 8, season: float = 0.5, wander: float = 0.15) -> None:
        self.seed, self.season, self.wander = seed, season, wander
        self.numbers = [f"x{number}" for number in range(columns)]
        random = np.random.default_rng(seed)
        self._loadings, self._phase = random.normal(size=(3, columns)), random.normal(size=columns) * season

    def values(self, number: int, rows: int = 300) -> dict[str, np.ndarray]:
        """The columns of a month."""
        random = np.random.default_rng([self.seed, number])
        count = int(rows * random.uniform(0.8, 1.2))
        shape = (count, len(self.numbers))
        level = self._phase * np.sin(2 * np.pi * number / 12) + random.normal(size=shape[1]) * self.wander
        found = level + random.normal(size=(count, 3)) @ self._loadings + random.normal(size=shape)
        shares = random.dirichlet(np.full(8, 60.0))
        return {
            **{name: found[:, place] for place, name in enumerate(self.numbers)},
            "level": random.choice([f"L{one}" for one in range(8)], size=count, p=shares),
            "calendar": np.full(count, float(number % 12 + 1)),
        }

    def months(self, numbers: Sequence[int], change: Change | None = None, rows: int = 300) -> Summaries:
        """Some months, each summarized as it is, or changed before."""
        parts = [self.values(number, rows) for number in numbers]
        if change is not None:
            parts = [change(part) for part in parts]
        keys = [month(number) for number, part in zip(numbers, parts, strict=True) for _ in part["level"]]
        table = pa.table(
            {name: pa.concat_arrays([pa.array(part[name], from_pandas=True) for part in parts]) for name in parts[0]}
        )
        numeric = [name for name in table.column_names if name != "level"]
        return summarize(table, keys, numbers=numeric, categories=["level"])
