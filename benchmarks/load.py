"""Loading the code location of the example, against importing Dagster alone; each in a process of its own."""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import Figure

TIMES = 9
MOST = 1.3
PEER = "import dagster"
OURS = "import dagster, mlops_assets.definitions; mlops_assets.definitions.defs()"
EMPTY = "import dagster, pathlib; dagster.load_from_defs_folder(path_within_project=pathlib.Path('empty').resolve())"
EMPTY_PROJECT = '[tool.dg]\ndirectory_type = "project"\n[tool.dg.project]\nroot_module = "empty"\n'


def load() -> Figure:
    """Median seconds from the start of a process until it has loaded, taken in turns.

    Beside it a Dagster project without a single definition: what of the ratio is Dagster's own.
    """
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "empty" / "defs").mkdir(parents=True)
        (Path(folder) / "pyproject.toml").write_text(EMPTY_PROJECT, encoding="utf-8")
        for package in ("empty", "empty/defs"):
            (Path(folder) / package / "__init__.py").touch()
        seconds: dict[str, list[float]] = {PEER: [], EMPTY: [], OURS: []}
        for _ in range(TIMES):
            for code, taken in seconds.items():
                taken.append(_seconds(code, Path(folder) if code == EMPTY else Path.cwd()))
    peer, empty, ours = (statistics.median(taken) for taken in seconds.values())
    return Figure(
        "load",
        round(ours, 3),
        {"import dagster": round(peer, 3), "an empty Dagster project": round(empty, 3)},
        round(ours / peer, 2),
        f"at most {MOST} x `import dagster` (seconds)",
        ours / peer <= MOST,
    )


def _seconds(code: str, folder: Path) -> float:
    begun = time.time()
    command = [sys.executable, "-c", f"{code}; import time; print(time.time())"]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1]) - begun
