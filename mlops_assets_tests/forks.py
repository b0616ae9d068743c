"""`mlops-assets …` in forks of a process that has imported everything: an import costs more than most commands."""

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

from mlops_assets_tests import ready_sandbox

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["mlops_assets_tests.imported"])


@dataclass(frozen=True)
class Command:
    """A command that was started.

    Args:
        process: Its process.
        stdout: The file that it prints to.
        stderr: The file that its errors go to.
    """

    process: BaseProcess
    stdout: Path
    stderr: Path

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def poll(self) -> int | None:
        """Its exit code, negative for the signal that killed it; None while it runs."""
        return self.process.exitcode

    def wait(self, seconds: float | None = None) -> int:
        """Its exit code, once it has ended; fails if it does not in time."""
        self.process.join(seconds)
        code = self.process.exitcode
        assert code is not None, f"it runs still after {seconds} s:\n{self.printed}{self.complained}"
        return code

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        self.process.kill()

    def end(self) -> "subprocess.CompletedProcess[str]":
        """What it printed and how it ended, once it has."""
        code = self.wait()
        return subprocess.CompletedProcess(str(self.pid), code, self.printed, self.complained)

    @property
    def printed(self) -> str:
        return self.stdout.read_text(encoding="utf-8")

    @property
    def complained(self) -> str:
        return self.stderr.read_text(encoding="utf-8")


def start(arguments: Sequence[str], *, folder: Path | str | None = None, **variables: str) -> Command:
    """Start `mlops-assets` as typed in a folder, by default the working folder.

    Args:
        arguments: What follows the program's name.
        folder: Its working folder.
        **variables: Of its environment, beside those of this process.
    """
    return start_work(command, list(arguments), folder=folder, **variables)


def start_work(work: Callable[..., object], *given: Any, folder: Path | str | None = None, **variables: str) -> Command:
    """Start a function of a module, with what it is given, as `start` does."""
    output = Path(mkdtemp(dir=_outputs().name))
    stdout, stderr = output / "stdout", output / "stderr"
    stdout.touch()
    stderr.touch()
    place, environment = str(folder or Path.cwd()), {**os.environ, **variables}
    process = CONTEXT.Process(target=_work, args=(work, given, place, environment, output))
    process.start()
    return Command(process, stdout, stderr)


def run(
    arguments: Sequence[str], *, folder: Path | str | None = None, **variables: str
) -> "subprocess.CompletedProcess[str]":
    """Run `mlops-assets` to its end, as `start` does."""
    return start(arguments, folder=folder, **variables).end()


@cache
def _outputs() -> "TemporaryDirectory[str]":
    """Where commands print to, until this process ends."""
    return TemporaryDirectory(prefix="commands-")


def _work(
    work: Callable[..., object], given: Sequence[Any], folder: str, environment: Mapping[str, str], output: Path
) -> None:
    """What a fork does: all of it that a new process would have of its own."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.path.insert(0, folder)
    for number, mode, name in ((0, os.O_RDONLY, os.devnull), (1, os.O_WRONLY, "stdout"), (2, os.O_WRONLY, "stderr")):
        file = os.open(output / name, mode)
        os.dup2(file, number)
        os.close(file)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    ready_sandbox.prepare()
    work(*given)


def command(arguments: list[str]) -> None:
    """What `start` starts, in this process."""
    from mlops_assets.cli import main

    sys.argv = ["mlops-assets", *arguments]
    main(arguments, prog_name="mlops-assets")
