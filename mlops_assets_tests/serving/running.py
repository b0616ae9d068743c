"""A server in a process of its own, as `mlops-assets serve` starts it."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mlops_assets.lakehouse.home import HOME_VARIABLE


@dataclass(frozen=True)
class Served:
    """A server that answers.

    Args:
        url: Its address.
        token: The token that it printed; None if it printed none.
        printed: What it printed.
        process: Its process.
    """

    url: str
    token: str | None
    printed: tuple[str, ...]
    process: "subprocess.Popen[str]"

    @property
    def address(self) -> tuple[str, int]:
        """Host and port, to open a socket to."""
        host, _, port = self.url.removeprefix("http://").rpartition(":")
        return host, int(port)


def serve_command(project: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "mlops_assets", "--project", str(project), "serve", *arguments]


@contextmanager
def served(project: Path, home: Path, *arguments: str, **variables: str) -> Iterator[Served]:
    """Serve on a free port; ended at the end, if it has not ended before."""
    process = subprocess.Popen(
        serve_command(project, "--port", "0", *arguments),
        env={**os.environ, HOME_VARIABLE: str(home), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield _started(process)
    finally:
        process.kill()
        process.communicate()


def _started(process: "subprocess.Popen[str]") -> Served:
    assert process.stdout is not None
    token, printed = None, []
    for line in process.stdout:
        printed.append(line.rstrip())
        if found := re.search(r"mlops_\S{43}", line):
            token = found[0]
        if found := re.search(r"http://\S+", line):
            return Served(found[0], token, tuple(printed), process)
    raise AssertionError(process.communicate()[1])


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Wait until something holds; fails if it does not in time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.02)
