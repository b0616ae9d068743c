"""Replaying in processes that are forked from one that has imported everything: an import costs more than a day."""

import multiprocessing
import os
import signal
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path

from mlops_assets.lakehouse.content_hash import content_hash
from mlops_assets.lakehouse.home import HOME_VARIABLE, Home
from mlops_assets.lakehouse.write_points import LOG_VARIABLE, STOP_VARIABLE
from mlops_assets_tests.conftest import Lived
from mlops_assets_tests.serving.running import until


def replay_in_fork(lived: Lived, last: str, told: Path | None = None, **variables: str) -> int | None:
    """Run the replay command up to a period; its exit code, negative for the signal that killed it."""
    return run_in_fork(lived, ["replay", "--from", lived.first, "--to", last], told, **variables)


def run_in_fork(lived: Lived, arguments: list[str], told: Path | None = None, **variables: str) -> int | None:
    """Run a command on a project, and keep what it prints; its exit code, negative for the signal that killed it."""
    process = _started(lived, arguments, variables, told)
    process.join()
    return process.exitcode


def replay_stopping_at_writes(lived: Lived, last: str, log: Path) -> Iterator[str]:
    """Replay up to a period; at every write point the process stands still, and on disk is what a kill would leave."""
    process = _started(
        lived, ["replay", "--from", lived.first, "--to", last], {LOG_VARIABLE: str(log), STOP_VARIABLE: "yes"}
    )
    points: list[str] = []

    def at_the_next_point() -> bool:
        if not _stands_still(process):
            return False
        points[:] = log.read_text(encoding="utf-8").splitlines()
        return len(points) > passed

    passed = 0
    try:
        while True:
            until(lambda: process.exitcode is not None or at_the_next_point(), seconds=200)
            if process.exitcode is not None:
                break
            yield points[-1].split(" ", 1)[1]
            passed = len(points)
            assert process.pid is not None
            os.kill(process.pid, signal.SIGCONT)
        assert process.exitcode == 0
    finally:
        process.kill()


def _stands_still(process: BaseProcess) -> bool:
    try:
        return Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "T"
    except FileNotFoundError:
        return False


def _started(lived: Lived, arguments: list[str], variables: dict[str, str], told: Path | None = None) -> BaseProcess:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["mlops_assets_tests.end_to_end.heavy"])
    process = context.Process(target=_run, args=(lived, arguments, variables, told or Path(os.devnull)))
    process.start()
    return process


def _run(lived: Lived, arguments: list[str], variables: dict[str, str], told: Path) -> None:
    os.environ.update({HOME_VARIABLE: str(lived.home.folder), **variables})
    with told.open("w") as file:
        os.dup2(file.fileno(), 2)
        os.dup2(file.fileno(), 1)
    from mlops_assets.cli import main

    main(["--project", str(lived.project), *arguments], standalone_mode=False)


def data_versions(home: Home) -> dict[str, str]:
    """The content of every table of a home, but for what names a run of Dagster or MLflow."""
    from mlops_assets.lakehouse.delta import DeltaFolder
    from mlops_assets.lakehouse.tables import PeriodTable

    found = {}
    for log in sorted(home.tables.rglob("_delta_log")):
        rows = PeriodTable(DeltaFolder(log.parent, log.parent.name)).read()
        assert rows is not None
        columns = [name for name in sorted(rows.column_names) if name not in ("run_id", "model_uri", "judged_uri")]
        found[log.parent.parent.name] = content_hash(rows, columns)
    return found
