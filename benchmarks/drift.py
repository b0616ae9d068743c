"""Drift: its cost beside Evidently's, how often it alarms where nothing drifts, and what it sees."""

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks import Figure

ROWS, NUMBERS, CATEGORIES, PERIODS = 1_000_000, 40, 10, 48
MIN_RATIO, MAX_GIGABYTES = 50, 0.5
MIN_RATE, MAX_RATE = 0.02, 0.08
MIN_POWER = 0.95
REFERENCE, QUIET = 72, 500


def drift() -> Figure:
    """CPU seconds of comparing a million rows with a stored reference, reading them included; Evidently's preset."""
    with tempfile.TemporaryDirectory() as folder:
        ours, gigabytes = _in_a_process("_ours", folder)
        peer, _ = _in_a_process("_evidently", folder)
    told = {"CPU seconds": round(ours, 2), "gigabytes": round(gigabytes, 2)}
    goal = f"at least {MIN_RATIO} × less CPU than Evidently's preset, under {MAX_GIGABYTES} GB"
    holds = peer / ours >= MIN_RATIO and gigabytes < MAX_GIGABYTES
    return Figure("drift", told, {"CPU seconds": round(peer, 1)}, round(ours / peer, 4), goal, holds)


def false_alarms() -> Figure:
    """The share of quiet periods that alarm: 50 columns that hang together, with seasons, 500 and 5,000 rows."""
    told = {}
    for rows in (500, 5_000):
        world = _World(rows)
        alarms = [world.null(at).judge(world.months([at])).alarm for at in range(REFERENCE, QUIET)]
        told[f"{rows} rows"] = round(statistics.mean(alarms), 3)
    goal = f"between {MIN_RATE:.0%} and {MAX_RATE:.0%} of periods"
    return Figure("false-alarms", told, None, None, goal, all(MIN_RATE <= rate <= MAX_RATE for rate in told.values()))


def power() -> Figure:
    """The share of periods in which each change alarms, with 500 rows a period, of which one column of 50 changes."""
    import numpy as np

    world, told = _World(500), {}
    changes: dict[str, Callable[[Any], Any]] = {
        "shift by 0.5 deviations": lambda x: _with(x, x[:, 0] + 0.5 * x[:, 0].std()),
        "shift by 1 deviation": lambda x: _with(x, x[:, 0] + x[:, 0].std()),
        "100 times": lambda x: _with(x, x[:, 0] * 100),
        "half null": lambda x: _with(x, np.where(np.arange(len(x)) % 2, x[:, 0], np.nan)),
        "two columns swapped": lambda x: x[:, [49, *range(1, 49), 0]],
    }
    for name, change in changes.items():
        told[name] = statistics.mean(world.null(at).judge(world.months([at], change)).alarm for at in range(72, 132))
    told["a new level at 5 %"] = statistics.mean(_new_level(at) for at in range(72, 132))
    told = {name: round(share, 2) for name, share in told.items()}
    certain = ("100 times", "half null", "two columns swapped", "a new level at 5 %")
    goal = f"at least {MIN_POWER:.0%} of " + ", ".join(certain)
    return Figure("power", told, None, None, goal, all(told[name] >= MIN_POWER for name in certain))


def _with(columns: Any, first: Any) -> Any:
    changed = columns.copy()
    changed[:, 0] = first
    return changed


class _World:
    """Months of 50 columns with five common causes, a season, and a level of their own in each month."""

    def __init__(self, rows: int) -> None:
        import numpy as np

        from mlops_assets.lakehouse.periods import Calendar

        random = np.random.default_rng(rows)
        self._rows, self._calendar, self._nulls = rows, Calendar("month"), dict[int, Any]()
        self._loadings, self._season = random.normal(size=(5, 50)) * 0.7, random.normal(size=50) * 0.5
        # So that the first and the last column, which are swapped, differ: of two that are alike no distance tells.
        self._scale = np.linspace(1, 3, 50)

    def months(self, places: Any, change: Callable[[Any], Any] = lambda columns: columns) -> Any:
        """Some months, summarized."""
        import numpy as np
        import pyarrow as pa

        from mlops_assets.monitoring.summaries import summarize

        parts = [change(self._values(place)) for place in places]
        keys = [_month(place) for place, part in zip(places, parts, strict=True) for _ in part]
        together = np.concatenate(parts)
        names = [f"x{number}" for number in range(50)]
        table = pa.table({name: together[:, place] for place, name in enumerate(names)})
        return summarize(table, keys, numbers=names, categories=[])

    def null(self, at: int) -> Any:
        """That of a model which was trained at the last January, on six years."""
        from mlops_assets.monitoring.period_null import PeriodNull

        trained = REFERENCE + (at - REFERENCE) // 12 * 12
        if trained not in self._nulls:
            reference = self.months(range(trained - REFERENCE, trained))
            self._nulls = {trained: PeriodNull.of(reference, self._calendar)}
        return self._nulls[trained]

    def _values(self, place: int) -> Any:
        import numpy as np

        random = np.random.default_rng([self._rows, place])
        count = int(self._rows * random.uniform(0.8, 1.2))
        level = self._season * np.sin(2 * np.pi * place / 12) + random.normal(size=50) * 0.15
        common = random.normal(size=(count, 5)) @ self._loadings
        return (level + common + random.normal(size=(count, 50))) * self._scale


def _month(place: int) -> str:
    return f"{1960 + place // 12}-{place % 12 + 1:02}"


def _new_level(at: int) -> bool:
    """Whether a level that is new in one row of twenty alarms, among eight whose shares change from month to month."""
    import numpy as np
    import pyarrow as pa

    from mlops_assets.lakehouse.periods import Calendar
    from mlops_assets.monitoring.period_null import PeriodNull
    from mlops_assets.monitoring.summaries import summarize

    def levels(place: int) -> Any:
        random = np.random.default_rng([8, place])
        return random.choice([f"L{one}" for one in range(8)], size=500, p=random.dirichlet(np.full(8, 60.0)))

    def summarized(columns: dict[int, Any]) -> Any:
        keys = [_month(place) for place, column in columns.items() for _ in column]
        table = pa.table({"level": np.concatenate(list(columns.values()))})
        return summarize(table, keys, numbers=[], categories=["level"])

    null = PeriodNull.of(summarized({place: levels(place) for place in range(at - REFERENCE, at)}), Calendar("month"))
    now = np.where(np.arange(500) < 25, "new", levels(at))
    return bool(null.judge(summarized({at: now})).alarm)


def _in_a_process(work: str, folder: str) -> tuple[float, float]:
    """CPU seconds, and the most memory beyond that of an idle process with the same libraries, in gigabytes."""
    command = [sys.executable, "-c", f"from benchmarks import drift; drift.{work}({folder!r})"]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(told[0]), float(told[1])


def _columns() -> Iterator[tuple[str, Any]]:
    import numpy as np

    random = np.random.default_rng(0)
    for number in range(NUMBERS):
        yield f"x{number}", random.normal(size=ROWS)
    for number in range(CATEGORIES):
        yield f"c{number}", random.choice([f"L{one}" for one in range(20)], ROWS)


def _ours(folder: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from mlops_assets.monitoring.summaries import summarize, write_summaries
    from mlops_assets.storage.opening import storage_at

    names = {"numbers": [f"x{n}" for n in range(NUMBERS)], "categories": [f"c{n}" for n in range(CATEGORIES)]}
    rows, kept = Path(folder) / "rows.parquet", storage_at(Path(folder) / "reference.npz")
    pq.write_table(pa.table(dict(_columns())), rows)
    keys = [_month(place * PERIODS // ROWS) for place in range(ROWS)]
    write_summaries(kept, summarize(pq.read_table(rows), keys, **names))
    # Measured in a child: what made the data is not to count.
    code = f"from benchmarks import drift; drift._compare({folder!r})"
    print(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)


def _compare(folder: str) -> None:
    import pyarrow.parquet as pq

    from mlops_assets.lakehouse.periods import Calendar
    from mlops_assets.monitoring.period_null import PeriodNull
    from mlops_assets.monitoring.summaries import Summaries, read_summaries, summarize
    from mlops_assets.storage.opening import storage_at

    idle, begun = _memory(), time.process_time()
    reference = read_summaries(storage_at(Path(folder) / "reference.npz"))
    assert reference is not None
    null = PeriodNull.of(reference, Calendar("month"))
    numbers, categories = dict[str, Any](), dict[str, Any]()
    file = pq.ParquetFile(Path(folder) / "rows.parquet")
    count, keys = file.metadata.num_rows, [_month(PERIODS)] * file.metadata.num_rows
    for name in (*reference.numbers, *reference.categories):  # a column at a time is all that is in memory
        kind = "numbers" if name in reference.numbers else "categories"
        one = summarize(file.read([name]), keys, **{"numbers": [], "categories": [], kind: [name]})
        numbers |= one.numbers
        categories |= one.categories
    null.judge(Summaries((_month(PERIODS),), one.rows, numbers, categories))
    assert count == int(one.rows[0])
    print(time.process_time() - begun, _memory() - idle)


def _evidently(folder: str) -> None:
    import pandas as pd
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    idle = _memory()
    frame = pd.read_parquet(Path(folder) / "rows.parquet")
    roles = DataDefinition(
        numerical_columns=[name for name in frame if name[0] == "x"],
        categorical_columns=[name for name in frame if name[0] == "c"],
    )
    sides = [Dataset.from_pandas(frame, data_definition=roles) for _ in range(2)]
    begun = time.process_time()
    Report([DataDriftPreset()]).run(*sides).dict()
    print(time.process_time() - begun, _memory() - idle)


def _memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
