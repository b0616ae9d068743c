"""Figures: ours beside the peer, in the same run on the same data.

``python -m benchmarks`` measures all, ``python -m benchmarks load chain`` some; one JSON object a line.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One figure.

    Args:
        name: What was measured.
        ours: What ours came to; the unit is in the goal.
        peer: What it is compared with came to, in the same run; None where there is no peer.
        ratio: Ours by peer, or None.
        goal: What is aimed at, in words.
        holds: Whether it was reached.
    """

    name: str
    ours: Any
    peer: Any
    ratio: float | None
    goal: str
    holds: bool
