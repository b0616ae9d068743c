"""Appending what a delivery changed: compared with the table, given its times, and written in one commit."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from mlops_assets.lakehouse.deliveries import Delivery
from mlops_assets.lakehouse.periods import Period
from mlops_assets.lakehouse.schema import ALWAYS, STATIC_PERIOD
from mlops_assets.platform import Platform
from mlops_assets.project.definition import SourceDefinition
from mlops_assets.sources.row_faults import BadRows, may_be_among

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class StatesToAppend:
    """What must be appended so that a table holds what was delivered.

    Args:
        states: The user's columns, ``event_time``, ``removed`` and ``replaced_known_at``.
        held: How many rows of the covered periods the table holds.
        removed: How many of the states are removals.
        held_back: How many rows are missing, but may be those that were put aside: their last good state stays.
    """

    states: "pa.Table"
    held: int
    removed: int
    held_back: int


def compare(
    platform: Platform, source: SourceDefinition, rows: "pa.Table", bad: BadRows, covered: Sequence[Period]
) -> StatesToAppend:
    """Compare the rows that a delivery holds of some periods with the table.

    Args:
        platform: The platform.
        source: The source.
        rows: The good rows, all of covered periods.
        bad: What else was delivered: a row that is missing because it is bad was not removed.
        covered: The periods, in their order; none for a static table.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    changes = platform.engine.changes(
        platform.table(source.name),
        platform.engine.rows(rows),
        covered=covered,
        seen_at=None,
        missing_is_removed=source.delivers != "increment",
    )
    states = platform.engine.to_arrow(changes.states)
    if not bad.faults or not changes.removed:
        return StatesToAppend(states, changes.held, changes.removed, 0)
    keys = [tuple(row.values()) for row in states.select(source.schema.identity).to_pylist()]
    may_be_bad = pa.array(may_be_among(keys, bad.identities(source.schema)), pa.bool_())
    explained = pc.and_(states.column("removed"), may_be_bad)
    held_back = int(pc.sum(explained).as_py())
    return StatesToAppend(states.filter(pc.invert(explained)), changes.held, changes.removed - held_back, held_back)


def append(
    platform: Platform,
    source: SourceDefinition,
    difference: StatesToAppend,
    delivery: Delivery,
    counters: Mapping[str, int],
    *,
    corrected_at: datetime,
    corrects: bool = False,
) -> Mapping[str, int]:
    """Append a difference.

    Args:
        platform: The platform.
        source: The source.
        difference: What `compare` found.
        delivery: Where it came from.
        counters: How many times each of the periods had been committed before it was compared.
        corrected_at: The platform clock, from which corrections are known.
        corrects: Whether all of it is a correction, also in periods that hold nothing yet.

    Returns:
        How many states each period got.

    Raises:
        ConflictError: Another run writes one of the periods at the same time.
    """
    states = _states(source, difference.states, delivery, counters, corrected_at, corrects)
    if states.num_rows:
        touched = sorted(set(states.column("period").to_pylist()))
        platform.table(source.name).delta.append(states, {key: counters[key] for key in touched})
    return Counter(states.column("period").to_pylist())


def first_known_at(source: SourceDefinition, period: Period | None, arrived_at: datetime) -> datetime:
    """From when the rows of a period's first delivery count as known (docs/concepts.md#states)."""
    if period is None:
        return ALWAYS
    published = period.end + source.lag
    if source.live_since and period.start < source.live_since.start:
        return published
    return arrived_at if source.pushed else max(published, arrived_at)


def _states(
    source: SourceDefinition,
    states: "pa.Table",
    delivery: Delivery,
    counters: Mapping[str, int],
    corrected_at: datetime,
    corrects: bool,
) -> "pa.Table":
    """Give each state its times, its place in the order, and its period."""
    import pyarrow as pa

    events = states.column("event_time").to_pylist()
    periods = [None if source.static else source.schema.calendar.of(time) for time in events]
    keys = [period.key if period else STATIC_PERIOD for period in periods]

    def known_at(period: Period | None, key: str, event_time: datetime, replaced: datetime | None) -> datetime:
        if period is None:
            return ALWAYS
        if replaced is not None:
            return max(corrected_at, replaced)
        if source.pushed:
            return max(first_known_at(source, period, corrected_at), event_time)
        if counters[key] or corrects:
            return max(corrected_at, period.end + source.lag)
        return delivery.known_at if key == delivery.period else first_known_at(source, period, delivery.arrived_at)

    known = list(map(known_at, periods, keys, events, states.column("replaced_known_at").to_pylist()))
    moment = pa.timestamp("us", "UTC")
    columns = {name: states.column(name) for name in source.schema.names}
    columns |= {
        "event_time": pa.array([time or ALWAYS for time in events], moment),
        "known_at": pa.array(known, moment),
        "seq": pa.array([counters[key] + 1 for key in keys], pa.int64()),
        "removed": states.column("removed"),
        "period": pa.array(keys, pa.string()),
    }
    return pa.table(columns, schema=source.schema.stored())
