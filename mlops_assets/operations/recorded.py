"""What assets took, as the home recorded it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Recorded:
    """What an asset took in the newest runs that a home recorded.

    Args:
        partitions: How many of its partitions were materialized, in whichever run.
        seconds_each: One of them in these runs, from the step's begin to its end.
    """

    partitions: int
    seconds_each: float

    @property
    def seconds(self) -> float:
        """All its partitions once more."""
        return self.partitions * self.seconds_each
