"""Evidently's report with its page, as a small model asks for it each period."""

import statistics
import time

from benchmarks import Figure
from mlops_assets.monitoring.drift import drift_report

ROWS, NUMBERS, CATEGORIES, TIMES = 200, 9, 3, 5
MAX_SECONDS = 1.0


def drift() -> Figure:
    """CPU seconds of a report on few rows: what it costs however small a model is."""
    import numpy
    import pyarrow as pa

    random = numpy.random.default_rng(1)
    numbers = {f"n{number}": random.normal(size=ROWS) for number in range(NUMBERS)}
    categories = {f"c{number}": random.choice(list("abcd"), ROWS) for number in range(CATEGORIES)}
    table = pa.table(numbers | categories)

    def measured() -> float:
        begun = time.process_time()
        drift_report(table, table, numbers=list(numbers), categories=list(categories))
        return time.process_time() - begun

    measured()
    seconds = statistics.median(measured() for _ in range(TIMES))
    goal = f"under {MAX_SECONDS} CPU seconds"
    return Figure("drift", round(seconds, 2), None, None, goal, seconds < MAX_SECONDS)
