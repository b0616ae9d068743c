"""A server in a process of its own, as `mlops-assets serve` starts it."""

import re
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mlops_assets.lakehouse.home import HOME_VARIABLE
from mlops_assets_tests import forks

_URL = re.compile(r"(http://\S+).*\n")


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
    process: forks.Command

    @property
    def address(self) -> tuple[str, int]:
        """Host and port, to open a socket to."""
        host, _, port = self.url.removeprefix("http://").rpartition(":")
        return host, int(port)


@contextmanager
def served(
    project: Path, home: Path, *arguments: str, max_files: int | None = None, **variables: str
) -> Iterator[Served]:
    """Serve on a free port; ended at the end, if it has not ended before."""
    command = ["--project", str(project), "serve", "--port", "0", *arguments]
    process = forks.start_work(_serve, command, max_files, **{HOME_VARIABLE: str(home), **variables})
    try:
        until(lambda: _URL.search(process.printed) is not None or process.poll() is not None, seconds=60)
        yield _started(process)
    finally:
        process.kill()
        process.wait()


def _serve(command: list[str], max_files: int | None) -> None:
    if max_files:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max_files, max_files))
    forks.command(command)


def _started(process: forks.Command) -> Served:
    printed = process.printed
    url, token = _URL.search(printed), re.search(r"mlops_\S{43}", printed)
    assert url is not None, printed + process.complained
    return Served(url[1], token and token[0], tuple(printed.splitlines()), process)


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Wait until something holds; fails if it does not in time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.02)
