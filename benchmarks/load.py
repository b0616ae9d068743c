"""Loading the code location of the example, against importing Dagster alone; each in a process of its own."""

import statistics
import subprocess
import sys
import time

from benchmarks import Figure

TIMES = 9
MOST = 1.3


def load() -> Figure:
    """Median seconds of a whole process, taken in turns."""
    ours, peer = [], []
    for _ in range(TIMES):
        peer.append(_seconds("import dagster"))
        ours.append(_seconds("import dagster, mlops_assets.definitions; mlops_assets.definitions.defs()"))
    mine, other = statistics.median(ours), statistics.median(peer)
    return Figure(
        "load",
        round(mine, 3),
        round(other, 3),
        round(mine / other, 2),
        f"at most {MOST} x `import dagster` (seconds)",
        mine / other <= MOST,
    )


def _seconds(code: str) -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - begun
