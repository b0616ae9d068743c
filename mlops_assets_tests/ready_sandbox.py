"""A sandbox that is ready: forked from a process that has imported what it needs, where users' are started anew."""

import os
import subprocess
import sys
from typing import Any
from unittest.mock import patch

from mlops_assets.engines.duckdb import sandbox, sandbox_process


class _Forked(subprocess.Popen[bytes]):
    """The program as a function: the fork, its streams and its folder are there, and nothing is executed."""

    def __init__(self, command: list[str], **given: Any) -> None:
        super().__init__(command, preexec_fn=lambda: _answer(int(command[-1])), **given)


def _answer(parent: int) -> None:
    os.closerange(3, 1 << 16)  # who starts it waits until it has closed what it inherited
    sys.stdin = os.fdopen(0)
    try:
        sandbox_process.main(parent)
    finally:
        os._exit(0)


def prepare() -> None:
    """Have one ready for the next question; only while this process has one thread."""
    with patch.object(subprocess, "Popen", _Forked):
        sandbox._idle.append(sandbox._Process())
