"""Replays in forks: up to a period, standing still at each of their writes, and one after another from one process."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from mlops_assets.lakehouse.content_hash import content_hash
from mlops_assets.lakehouse.home import HOME_VARIABLE, Home
from mlops_assets.lakehouse.write_points import LOG_VARIABLE, STOP_VARIABLE
from mlops_assets_tests import forks, ready_sandbox
from mlops_assets_tests.conftest import Lived
from mlops_assets_tests.serving.running import until


def command(lived: Lived, *arguments: str, **variables: str) -> forks.Command:
    """Start a command on a project and its home."""
    given = ["--project", str(lived.project), *arguments]
    return forks.start(given, **{HOME_VARIABLE: str(lived.home.folder), **variables})


def replay(lived: Lived, last: str, **variables: str) -> forks.Command:
    """Start the replay command up to a period."""
    return command(lived, *_replay(lived, last), **variables)


def _replay(lived: Lived, last: str) -> tuple[str, ...]:
    return ("replay", "--from", lived.first, "--to", last)


def replay_stopping_at_writes(lived: Lived, last: str, log: Path) -> Iterator[str]:
    """Replay up to a period; at every write point the process stands still, and on disk is what a kill would leave."""
    begun = replay(lived, last, **{LOG_VARIABLE: str(log), STOP_VARIABLE: "yes"})
    points: list[str] = []

    def at_the_next_point() -> bool:
        if not _stands_still(begun.pid):
            return False
        points[:] = log.read_text(encoding="utf-8").splitlines()
        return len(points) > passed

    passed = 0
    try:
        while True:
            until(lambda: begun.poll() is not None or at_the_next_point(), seconds=200)
            if begun.poll() is not None:
                break
            yield points[-1].split(" ", 1)[1]
            passed = len(points)
            begun.send_signal(signal.SIGCONT)
        assert begun.wait() == 0
    finally:
        begun.kill()


def _stands_still(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "T"
    except FileNotFoundError:
        return False


@contextmanager
def replays_of_one_load(lived: Lived, last: str) -> Iterator[Connection]:
    """A process that has loaded the code location: ``send`` anything, and ``recv`` the exit code of a fork's replay.

    What lies in the home may be exchanged between two of them.
    """
    here, there = forks.CONTEXT.Pipe()
    started = forks.start_work(_replay_when_asked, there, lived, last, **{HOME_VARIABLE: str(lived.home.folder)})
    there.close()
    try:
        yield here
    finally:
        here.close()
        started.wait(60)


def _replay_when_asked(asked: Connection, lived: Lived, last: str) -> None:
    from mlops_assets import cli
    from mlops_assets.commands.opening import open_definitions
    from mlops_assets.components.loading import while_the_clock_moves
    from mlops_assets.operations.in_process import enter
    from mlops_assets.project.folder import find_project

    project = find_project(lived.project)
    enter(lived.home, project)
    with while_the_clock_moves():
        loaded = open_definitions(project)
    pytest.MonkeyPatch().setattr("mlops_assets.commands.replay.open_definitions", lambda _: loaded)
    while True:
        try:
            asked.recv()
        except EOFError:
            return
        process = os.fork()
        if process == 0:
            ready_sandbox.prepare()
            cli.main(["--project", str(lived.project), *_replay(lived, last)], prog_name="mlops-assets")
        asked.send(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))


def data_versions(home: Home) -> dict[str, str]:
    """The content of every table of a home, but for what names a run of Dagster or MLflow."""
    from mlops_assets.lakehouse.delta import tables_in
    from mlops_assets.lakehouse.tables import PeriodTable

    found = {}
    for table in tables_in(home.tables):
        rows = PeriodTable(table).read()
        assert rows is not None
        columns = [name for name in sorted(rows.column_names) if name not in ("run_id", "model_uri", "judged_uri")]
        found[table.name] = content_hash(rows, columns)
    return found
