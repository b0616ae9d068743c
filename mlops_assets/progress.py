"""How far something long is: what it tells of its steps. Who shows that, and where, it does not know."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """Something that happened on the way.

    Args:
        of: What is on its way, in a word or two: a table's name, say.
        done: How many of its parts are done by now.
        total: Of how many.
        part: Which part this is about, such as a period's key.
        words: What happened, in few words.
        minor: Whether it is told only where nothing else was for a while.
        failed: Whether it is a failure.
    """

    of: str
    done: int
    total: int
    part: str = ""
    words: str = ""
    minor: bool = False
    failed: bool = False


Progress = Callable[[Step], None]
"""What is told of each step, as it happens."""


def untold(step: Step) -> None:
    """The progress that nobody looks at."""
