"""How far a command is: a bar where a person looks at a terminal, lines that are complete everywhere else."""

import io
import os
import pty
import select
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

import pytest

from mlops_assets.commands import progress
from mlops_assets.commands.progress import Lines, shown_progress
from mlops_assets.progress import Step

TRAINED = "forecast: trained, version 3 promoted (mae 0.1029 against 0.1049)"


@pytest.fixture(autouse=True)
def five_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "MAX_SILENCE", 5.0)


@contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch, *outputs: str) -> Iterator[Callable[[], str]]:
    """Some outputs are a terminal; gives what was written to it."""
    ours, theirs = pty.openpty()
    with open(theirs, "w", encoding="utf-8") as stream, monkeypatch.context() as patched:
        for output in outputs:
            patched.setattr(sys, output, stream)
        patched.setenv("COLUMNS", "100")

        def written() -> str:
            stream.flush()
            found = b""
            while select.select([ours], [], [], 0)[0]:
                found += os.read(ours, 100_000)
            return found.decode()

        yield written
    os.close(ours)


class Seconds:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@contextmanager
def lines_on(stream: TextIO, clock: Callable[[], float] = lambda: 0.0) -> Iterator[Lines]:
    lines = Lines(stream, clock)
    try:
        yield lines
    finally:
        lines.close()


def test_without_a_terminal_each_step_is_a_line_on_the_error_output(capsys: pytest.CaptureFixture[str]) -> None:
    with shown_progress() as shown:
        shown(Step("replay", 11, 48, "1998-11", "forecast: scored 24 rows"))
        shown(Step("replay", 11, 48, "1998-12", "orders at 1998-12: no file", failed=True))
        shown(Step("replay", 12, 48, "1998-12", TRAINED))
        assert capsys.readouterr() == (
            "",
            "replay 11/48 1998-11 forecast: scored 24 rows\n"
            "replay 11/48 1998-12 failed: orders at 1998-12: no file\n"
            f"replay 12/48 1998-12 {TRAINED}\n",
        )


def test_a_minor_step_is_a_line_after_five_seconds_of_silence_and_where_it_is_the_last() -> None:
    stream, clock = io.StringIO(), Seconds()
    with lines_on(stream, clock) as lines:
        for second in range(12):
            clock.now = second
            lines(Step("orders", second + 1, 12, f"day {second}", minor=True))
    assert stream.getvalue() == "orders 6/12 day 5\norders 11/12 day 10\norders 12/12 day 11\n"


def test_what_is_done_in_a_moment_is_not_told() -> None:
    stream = io.StringIO()
    with lines_on(stream) as lines:
        lines(Step("check", 1, 2, "orders", minor=True))
        lines(Step("check", 2, 2, minor=True))
    assert stream.getvalue() == ""


def test_the_beginning_of_something_long_is_told_though_nothing_follows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "MAX_SILENCE", 0.01)
    clock, told = Seconds(), threading.Event()

    class Stream(io.StringIO):
        def flush(self) -> None:
            told.set()

    stream = Stream()
    with lines_on(stream, clock) as lines:
        lines(Step("replay", 3, 7, "2024-01-27", "forecast/candidate", minor=True))
        assert not stream.getvalue()
        clock.now = 1.0
        assert told.wait(10)
        clock.now = 2.0
        lines(Step("replay", 3, 7, "2024-01-27", "forecast/candidate", minor=True))  # its end, in the same words
    assert stream.getvalue() == "replay 3/7 2024-01-27 forecast/candidate\n"


def test_work_goes_on_when_nobody_reads_the_lines_any_more() -> None:
    class Closed(io.StringIO):
        def flush(self) -> None:
            raise BrokenPipeError

    with lines_on(Closed()) as lines:
        lines(Step("replay", 1, 2, "1998-01"))


def test_on_a_terminal_a_bar_names_part_and_newest_step_and_a_failure_stays_above_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with terminal(monkeypatch, "stdout", "stderr") as written, shown_progress() as shown:
        shown(Step("replay", 0, 2, "1998-01", "forecast/candidate"))
        shown(Step("replay", 1, 2, "1998-01", TRAINED))
        shown(Step("replay", 1, 2, "1998-02", "orders at 1998-02: no file", failed=True))
        shown(Step("replay", 2, 2, "1998-02", "forecast: scored 24 rows"))
        shown(Step("publish", 1, 1))
        found = written()
    assert "replay  [--------------------]  0/2  1998-01 forecast/candidate" in found
    assert "replay  [##########----------]  1/2  1998-01 forecast: trained, version 3 promot…" in found
    assert "\r\x1b[Kreplay 1/2 1998-02 failed: orders at 1998-02: no file\r\n" in found
    assert "replay  [####################]  2/2  1998-02 forecast: scored 24 rows" in found
    assert found.count("\x1b[?25h\r\n") == 2, "each bar ends its line, and shows the cursor again"


def test_on_a_terminal_what_is_done_in_a_moment_has_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch, "stdout", "stderr") as written:
        with shown_progress() as shown:
            shown(Step("check", 1, 2, "orders", minor=True))
        print("ok")
        assert written() == "ok\r\n"


@pytest.mark.parametrize("piped", ["stdout", "stderr"])
def test_whoever_pipes_one_output_sees_lines(
    piped: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = {"stdout": "stderr", "stderr": "stdout"}[piped]
    with terminal(monkeypatch, other) as written:
        with shown_progress() as shown:
            shown(Step("replay", 1, 2, "1998-01", TRAINED))
        found = written() if other == "stderr" else capsys.readouterr().err
    assert found.splitlines() == [f"replay 1/2 1998-01 {TRAINED}"]
