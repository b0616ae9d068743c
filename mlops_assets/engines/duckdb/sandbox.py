"""Where the SQL of users runs: in a process that is ended when it takes too long, or when nobody waits any more."""

import atexit
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.engines.duckdb.framing import receive, send
from mlops_assets.engines.limits import GivenUpError, Limits, Work, work_within
from mlops_assets.errors import Location
from mlops_assets.lakehouse.processes import Process

if TYPE_CHECKING:
    import pyarrow as pa

_MAX_IDLE = 4
_INVALID = ("FatalException", "InternalException")
"""After which DuckDB answers nothing more from a database."""


class Sandbox:
    """Tables of one question, and a locked DuckDB that reads them and nothing else.

    Args:
        process: Where it is.
        limits: What it may take.
        what: What runs in it, for messages.
        where: Where that stands.
    """

    def __init__(
        self, process: "_Process", work: Work, limits: Limits, what: str, where: Location | None = None
    ) -> None:
        self.what = what
        self._process, self._work, self._limits, self._where = process, work, limits, where

    def give(self, name: str, rows: "pa.Table") -> None:
        """Put rows, in their order, into a temporary table, by its name as SQL text."""
        self._ask({"ask": "give", "name": name}, rows)

    def types(self, sql: str) -> dict[str, str]:
        """The columns that a query answers, with DuckDB's names of their types.

        Raises:
            duckdb.Error: It does not run.
            OverLimitError: It needs more than it may.
        """
        described = self.answer(f"DESCRIBE {sql}")
        names, types = described.column("column_name"), described.column("column_type")
        return dict(zip(names.to_pylist(), types.to_pylist(), strict=True))

    def answer(self, sql: str) -> "pa.Table":
        """What a query answers.

        Raises:
            duckdb.Error: It failed.
            OverLimitError: It needs more than it may.
        """
        answered = self._ask({"ask": "answer", "sql": sql})
        assert answered is not None
        return answered

    def _ask(self, head: dict[str, Any], rows: "pa.Table | None" = None) -> "pa.Table | None":
        import duckdb

        try:
            told = self._process.ask(head, rows, self._work.until)
        except TimeoutError:
            raise self._limits.too_long(self.what, self._where) from None
        if told is None:
            if self._work.given_up:
                raise GivenUpError
            raise self._limits.too_much(self.what, self._process.end(), self._where)
        head, answer = told
        if "error" not in head:
            return answer
        if head["error"] == "OutOfMemoryException":
            words = head["words"].strip().splitlines() or ["no memory is left"]
            self._process.end()  # what it still holds counts as what it had before
            raise self._limits.too_much(self.what, words[0], self._where)
        if head["error"] in _INVALID:
            self._process.end()
        raise getattr(duckdb, head["error"], duckdb.Error)(head["words"])


@contextmanager
def sandbox(folder: Path, limits: Limits, what: str, where: Location | None = None) -> Iterator[Sandbox]:
    """Open a sandbox.

    Args:
        folder: Where it may spill, in a folder of its own.
        limits: What it may take.
        what: What runs in it, for messages, such as "the SQL in sums.sql".
        where: Where that stands.

    Raises:
        OverLimitError: What runs in it took longer or needed more.
        GivenUpError: Nobody waits for it any more.
    """
    work, process = work_within(limits), _taken(folder)
    opened = Sandbox(process, work, limits, what, where)
    try:
        with work.ended_by(process.kill):
            head = {"megabytes": limits.megabytes, "spill_megabytes": limits.spill_megabytes}
            opened._ask({"ask": "begin", "folder": str(folder.resolve()), **head})
            yield opened
    finally:
        _give_back(process)


class _Process:
    """One process, that answers one question at a time."""

    def __init__(self) -> None:
        package = str(Path(__file__).parents[3])
        path = os.pathsep.join(dict.fromkeys(one for one in (*sys.path, package) if one))
        self._running = subprocess.Popen(
            [sys.executable, "-P", "-m", "mlops_assets.engines.duckdb.sandbox_process", str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={**os.environ, "PYTHONPATH": path},
        )
        self.owner = os.getpid()
        self.waits = True
        """Whether it waits to be asked: it has answered, and was not ended."""
        self.folders: set[Path] = set()

    def ask(
        self, head: dict[str, Any], rows: "pa.Table | None", until: float
    ) -> "tuple[dict[str, Any], pa.Table | None] | None":
        """Ask, and wait for the answer; None where it has ended.

        Raises:
            TimeoutError: It did not answer in time; it is ended.
        """
        given, answers = self._running.stdin, self._running.stdout
        assert given is not None and answers is not None
        self.waits, told = False, None
        answered = select.poll()
        answered.register(answers, select.POLLIN)
        with suppress(BrokenPipeError, ValueError):  # it ended meanwhile
            send(given, head, rows)
            if not answered.poll(max(until - time.monotonic(), 0) * 1_000):
                self.end()
                raise TimeoutError
            told = receive(answers)
        self.waits = told is not None
        return told

    def kill(self) -> None:
        """End it from another thread; who asks it is told that it has ended."""
        self._running.kill()

    def end(self) -> str:
        """End it, and say how it had ended before, where it had."""
        self.waits = False
        with suppress(subprocess.TimeoutExpired):
            self._running.wait(0.1)
        self._running.kill()
        code = self._running.wait()
        for file in (self._running.stdin, self._running.stdout):
            if file is not None:
                with suppress(OSError):
                    file.close()
        for folder in self.folders:
            shutil.rmtree(folder / _spill(self._running.pid), ignore_errors=True)
        return f"its process ended with {signal.Signals(-code).name if code < 0 else code}"


_idle: list[_Process] = []


def _taken(folder: Path) -> _Process:
    """A process that nothing else asks; of those that the process before a fork had, none."""
    process = None
    with suppress(IndexError):
        while process is None or process.owner != os.getpid():
            process = _idle.pop()
    if process is None or process.owner != os.getpid():
        process = _Process()
    if folder not in process.folders:
        process.folders.add(folder)
        for left in folder.glob(_spill("*")):
            number = left.name.removeprefix(_spill(""))
            if number.isdigit() and not Process(int(number)).is_alive():  # what was killed leaves it behind
                shutil.rmtree(left, ignore_errors=True)
    return process


def _give_back(process: _Process) -> None:
    """Keep a process for the next question, without the tables of this one."""
    try:
        kept = process.waits and len(_idle) < _MAX_IDLE and process.ask({"ask": "end"}, None, time.monotonic() + 10)
    except TimeoutError:
        return
    if kept:
        _idle.append(process)
    else:
        process.end()


def _spill(number: int | str) -> str:
    """The folder of what a process spills."""
    return f"sandbox-{number}"


@atexit.register
def _end_all() -> None:
    while _idle:
        process = _idle.pop()
        if process.owner == os.getpid():
            process.end()
