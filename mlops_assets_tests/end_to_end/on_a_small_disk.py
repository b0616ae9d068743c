"""Replays one more day on a disk that is nearly full, and again with room: run inside a mount namespace of its own.

Its arguments are FOLDER PROJECT HOME FIRST LAST FREE_KILOBYTES…: for each size of what is free, a copy of HOME is lived
on with on a disk of its own; output and last state are kept in FOLDER.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from mlops_assets.lakehouse.home import HOME_VARIABLE
from mlops_assets_tests import forks

SIZE = 64 << 20


def main(folder: Path, project: str, home: Path, first: str, last: str, sizes: list[int]) -> None:
    for free in sizes:
        disk = folder / f"disk {free}"
        disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", disk], check=True)
        shutil.copytree(home, disk / "home")
        filler = disk / "filler"
        with filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(disk).free - free * 1024)
        for attempt in ("full", "with room"):
            done = forks.run(
                ["--project", project, "replay", "--from", first, "--to", last],
                **{HOME_VARIABLE: str(disk / "home"), "MLOPS_SMALLEST_FREE_MEGABYTES": "1"},
            )
            (folder / f"{attempt} {free}").write_text(
                f"{done.stdout}{done.stderr}{done.returncode}\n", encoding="utf-8"
            )
            filler.unlink(missing_ok=True)
        shutil.copytree(disk / "home", folder / f"kept {free}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), sys.argv[4], sys.argv[5], list(map(int, sys.argv[6:])))
