"""Which process is at work in a home, told apart from a later one that was given the same number."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_ENDED = "Z"
"""The state of a process that has ended, and whose parent has not asked about it yet."""


@dataclass(frozen=True)
class Process:
    """A process of this machine.

    Args:
        number: Its number, which the machine gives again once it has ended.
        began: When it began, in whatever the machine tells that by; empty where it cannot be told.
    """

    number: int
    began: str = ""

    @classmethod
    def this(cls) -> Self:
        """The process that asks."""
        return cls(os.getpid(), _began(os.getpid()) or "")

    @classmethod
    def parse(cls, text: str) -> Self:
        """The process of a text that `str` wrote."""
        number, _, began = text.partition(" ")
        return cls(int(number), began)

    def __str__(self) -> str:
        return f"{self.number} {self.began}".strip()

    def is_alive(self) -> bool:
        """Whether it has not ended; one of which no more than the number is known counts as that number's."""
        try:
            os.kill(self.number, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass  # somebody else's
        began = _began(self.number)
        return began != _ENDED and not (self.began and began and self.began != began)


def _began(number: int) -> str | None:
    """When a process began, `_ENDED` once it has ended; None where it cannot be told."""
    try:
        after_name = (
            Path(f"/proc/{number}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        )
    except OSError:
        return _began_by_ps(number)
    return _ENDED if after_name[0] == _ENDED else after_name[19]


def _began_by_ps(number: int) -> str | None:
    """The same on systems without /proc."""
    try:
        told = subprocess.run(
            ["ps", "-o", "stat=,lstart=", "-p", str(number)], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    state, _, began = told.stdout.strip().partition(" ")
    return _ENDED if state.startswith(_ENDED) else " ".join(began.split())
