"""Statement beats arrival: what a delivery says of a period yields to what was stated later, whenever either came.

A delivery states something when its period is over, so deliveries are ordered by their period first, and by their
number within it second. An older window or snapshot that comes late is history of what was said, never a correction.
"""

from collections.abc import Callable, Sequence, Set
from typing import TYPE_CHECKING

from mlops_assets.lakehouse.deliveries import Delivery
from mlops_assets.lakehouse.periods import Period
from mlops_assets.lakehouse.schema import STATIC_PERIOD
from mlops_assets.platform import Platform
from mlops_assets.project.definition import SourceDefinition
from mlops_assets.quality.contract import moments

if TYPE_CHECKING:
    import pyarrow as pa


def covered_periods(source: SourceDefinition, period: Period | None) -> list[Period]:
    """The periods whose rows a delivery holds all of."""
    if period is None:
        return []
    calendar = source.schema.calendar
    if source.delivers == "window":
        first = max(calendar.shift(period, 1 - source.window_periods), source.first or period)
        return list(calendar.between(first, period))
    if source.delivers == "snapshot" and source.first is not None:
        return list(calendar.between(source.first, period))
    return [period]


def stated_later(
    platform: Platform,
    source: SourceDefinition,
    delivery: Delivery,
    counts: Callable[[Delivery], bool] = lambda other: True,
) -> set[str]:
    """The keys of the periods of a delivery of which one that was stated later, and taken, holds all rows.

    Args:
        platform: The platform.
        source: The source; no increments.
        delivery: The delivery.
        counts: Which of the deliveries that were taken count.
    """
    later = set[str]()
    own = _keys(source, delivery.period)
    for key in platform.deliveries.periods(source.name):
        if key < delivery.period:
            continue
        if not own - later or not own & (covered := _keys(source, key)):
            break  # nor does one for a still later period
        if not covered <= later and any(
            other.accepted and (key > delivery.period or other.number > delivery.number) and counts(other)
            for other in platform.deliveries.of(source.name, key)
        ):
            later |= covered
    return own & later


def runs(periods: Sequence[Period], without: Set[str]) -> list[list[Period]]:
    """Periods that follow each other, without some of them."""
    found: list[list[Period]] = [[]]
    for period in periods:
        if period.key in without:
            found.append([])
        else:
            found[-1].append(period)
    return [run for run in found if run]


def within(rows: "pa.Table", source: SourceDefinition, run: Sequence[Period]) -> "pa.Table":
    """The rows that lie in some periods that follow each other; all of them in a static table, which has no periods."""
    import pyarrow as pa

    if not run:
        return rows
    times = moments(rows, source.schema)
    inside = (time is not None and run[0].start <= time < run[-1].end for time in times)
    return rows.filter(pa.array(inside, pa.bool_()))


def _keys(source: SourceDefinition, key: str) -> set[str]:
    if source.static:
        return {STATIC_PERIOD}
    return {period.key for period in covered_periods(source, source.schema.calendar.at_key(key))}
