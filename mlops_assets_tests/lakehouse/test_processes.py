"""Whether a process is at work: not one that has ended, nor a later one of the same number."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mlops_assets.lakehouse import processes
from mlops_assets.lakehouse.processes import Process
from mlops_assets_tests.conftest import require_program


@pytest.fixture(params=["by /proc", "by ps"])
def told_by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways of telling when a process began."""
    if request.param == "by /proc" and not Path("/proc/self/stat").exists():
        pytest.skip("this system has no /proc")
    if request.param == "by ps":
        require_program("ps", "procps")
        monkeypatch.setattr(processes, "_began", processes._began_by_ps)


@pytest.mark.usefixtures("told_by")
def test_this_process_is_alive_and_is_the_one_that_its_text_names() -> None:
    this = Process.this()
    assert this.number == os.getpid() and this.began
    assert Process.parse(str(this)) == this
    assert this.is_alive()


@pytest.mark.usefixtures("told_by")
def test_a_later_process_of_the_same_number_is_another() -> None:
    assert not Process(os.getpid(), "1").is_alive()


def test_of_a_number_alone_only_the_number_counts() -> None:
    assert Process.parse(str(os.getpid())).is_alive()


@pytest.mark.usefixtures("told_by")
def test_one_that_was_killed_has_ended_before_its_parent_asked_about_it_and_after() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        process = Process(child.pid, processes._began(child.pid) or "")
        assert process.is_alive()
        child.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert not process.is_alive()
    assert not process.is_alive()


def test_where_nothing_tells_when_a_process_began_its_number_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_began", lambda number: None)
    assert str(Process.this()) == str(os.getpid())
    assert Process(os.getpid(), "of another time").is_alive()
