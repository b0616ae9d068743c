"""Replays in forks: up to a period, or standing still at each of their writes."""

import signal
from collections.abc import Iterator
from pathlib import Path

from mlops_assets.lakehouse.content_hash import content_hash
from mlops_assets.lakehouse.home import HOME_VARIABLE, Home
from mlops_assets.lakehouse.write_points import LOG_VARIABLE, STOP_VARIABLE
from mlops_assets_tests import forks
from mlops_assets_tests.conftest import Lived
from mlops_assets_tests.serving.running import until


def replay_in_fork(lived: Lived, last: str, **variables: str) -> int:
    """Run the replay command up to a period; its exit code, negative for the signal that killed it."""
    return run_in_fork(lived, ["replay", "--from", lived.first, "--to", last], **variables)


def run_in_fork(lived: Lived, arguments: list[str], **variables: str) -> int:
    """Run a command on a project; its exit code, negative for the signal that killed it."""
    return _started(lived, arguments, **variables).wait()


def replay_stopping_at_writes(lived: Lived, last: str, log: Path) -> Iterator[str]:
    """Replay up to a period; at every write point the process stands still, and on disk is what a kill would leave."""
    arguments = ["replay", "--from", lived.first, "--to", last]
    command = _started(lived, arguments, **{LOG_VARIABLE: str(log), STOP_VARIABLE: "yes"})
    points: list[str] = []

    def at_the_next_point() -> bool:
        if not _stands_still(command.pid):
            return False
        points[:] = log.read_text(encoding="utf-8").splitlines()
        return len(points) > passed

    passed = 0
    try:
        while True:
            until(lambda: command.poll() is not None or at_the_next_point(), seconds=200)
            if command.poll() is not None:
                break
            yield points[-1].split(" ", 1)[1]
            passed = len(points)
            command.send_signal(signal.SIGCONT)
        assert command.wait() == 0
    finally:
        command.kill()


def _stands_still(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "T"
    except FileNotFoundError:
        return False


def _started(lived: Lived, arguments: list[str], **variables: str) -> forks.Command:
    given = ["--project", str(lived.project), *arguments]
    return forks.start(given, **{HOME_VARIABLE: str(lived.home.folder), **variables})


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
