"""The main job: the replay of 48 months of the example, its time and memory, and what it came to."""

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from benchmarks import Figure
from mlops_assets.lakehouse.home import HOME_VARIABLE, Home
from mlops_assets.operations.replay.summary import ModelSummary, summarize
from mlops_assets.platform import Platform
from mlops_assets.project.folder import find_project

PROJECT = Path(__file__).parent.parent
FIRST, LAST = "1998-01", "2001-12"
MAX_SECONDS, MAX_GIGABYTES, FEWER_TRAININGS = 240, 1.5, 16


@dataclass(frozen=True)
class Replayed:
    """One whole replay.

    Args:
        seconds: From the start of the command to its end.
        gigabytes: Largest resident memory.
        summaries: What became of each model.
    """

    seconds: float
    gigabytes: float
    summaries: list[ModelSummary]


def demo() -> Figure:
    """Time and memory of the demo, after installation."""
    done = _replayed()
    return Figure(
        "demo",
        {"seconds": round(done.seconds, 1), "gigabytes": round(done.gigabytes, 2)},
        None,
        None,
        f"under {MAX_SECONDS} seconds on 2 cores, and under {MAX_GIGABYTES} gigabytes",
        done.seconds < MAX_SECONDS and done.gigabytes < MAX_GIGABYTES,
    )


def replay() -> Figure:
    """The watched loss of each model's champions, against never retraining and the baseline, on the same rows."""
    found = _replayed().summaries
    ratios = {each.model: each.champions / _min_of_others(each) for each in found}
    return Figure(
        "replay",
        {
            each.model: {
                each.metric: round(each.champions, 5),
                "trainings": each.trainings,
                "rows": each.rows,
            }
            for each in found
        },
        {
            each.model: {
                "never retrained": each.never_retrained and round(each.never_retrained, 5),
                "baseline": round(each.baseline, 5),
            }
            for each in found
        },
        round(max(ratios.values()), 4),
        f"each model's loss below both, with fewer than {FEWER_TRAININGS} trainings",
        max(ratios.values()) < 1 and all(each.trainings < FEWER_TRAININGS for each in found),
    )


def _min_of_others(summary: ModelSummary) -> float:
    return min(other for other in (summary.never_retrained, summary.baseline) if other is not None)


@lru_cache(maxsize=1)
def _replayed() -> Replayed:
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "mlops_assets", "--project", str(PROJECT), "replay", "--from", FIRST, "--to", LAST],
            env={**os.environ, HOME_VARIABLE: folder},
            stdout=subprocess.DEVNULL,
        )
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begun
        if status:
            raise RuntimeError(f"the replay ended with status {os.waitstatus_to_exitcode(status)}")
        project = find_project(PROJECT).read()
        platform = Platform.of(project, Home(Path(folder)))
        summaries = [summary for model in project.models.values() if (summary := summarize(platform, model))]
        if len(summaries) < len(project.models):
            raise RuntimeError("the replay left a model without a prediction that has a label")
        return Replayed(seconds, used.ru_maxrss / 1e6, summaries)
