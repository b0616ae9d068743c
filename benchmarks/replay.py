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
from mlops_assets.project.folder import find_project
from mlops_assets.project.platform import Platform
from mlops_assets.replay.summary import ModelSummary, summarize

PROJECT = Path(__file__).parent.parent
FIRST, LAST = "1998-01", "2001-12"
MOST_SECONDS, MOST_GIGABYTES, FEWER_TRAININGS = 240, 1.5, 16


@dataclass(frozen=True)
class Replayed:
    """One whole replay.

    Args:
        seconds: From the start of the command to its end.
        gigabytes: Largest resident memory.
        summary: What became of the model.
    """

    seconds: float
    gigabytes: float
    summary: ModelSummary


def demo() -> Figure:
    """Time and memory of the demo, after installation."""
    done = _replayed()
    return Figure(
        "demo",
        {"seconds": round(done.seconds, 1), "gigabytes": round(done.gigabytes, 2)},
        None,
        None,
        f"under {MOST_SECONDS} seconds on 2 cores, and under {MOST_GIGABYTES} gigabytes",
        done.seconds < MOST_SECONDS and done.gigabytes < MOST_GIGABYTES,
    )


def replay() -> Figure:
    """Mean absolute error of the champions, against never retraining and against the baseline, on the same rows."""
    found = _replayed().summary
    best = min(found.never_retrained.of("mae"), found.baseline.of("mae"))
    return Figure(
        "replay",
        {"champions": round(found.champions.of("mae"), 5), "trainings": found.trainings, "rows": found.champions.rows},
        {"never retrained": round(found.never_retrained.of("mae"), 5), "baseline": round(found.baseline.of("mae"), 5)},
        round(found.champions.of("mae") / best, 4),
        f"mean absolute error below both, with fewer than {FEWER_TRAININGS} trainings",
        found.champions.of("mae") < best and found.trainings < FEWER_TRAININGS,
    )


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
        (model,) = project.models.values()
        summary = summarize(Platform.of(project, Home(Path(folder))), model)
        if summary is None:
            raise RuntimeError("the replay left no prediction with a label")
        return Replayed(seconds, used.ru_maxrss / 1e6, summary)
