"""The rules of docs/concepts.md, written down a second time: slow, in plain Python, one row after the other.

Nothing here is shared with an engine, nor with the package's own arithmetic of periods and lookbacks. A state is a
mapping of the user's columns with ``event_time``, ``known_at``, ``seq`` and ``removed``.
"""

import calendar
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

State = Mapping[str, Any]
Lookback = timedelta | int | None
"""A length of time, a number of months, or None for any age."""


def lookup(states: Iterable[State], label: Mapping[str, Any], keys: Sequence[str], lookback: Lookback) -> State | None:
    """The state that answers a label; None where nothing does."""
    anchor, as_of = label["anchor"], label["as_of"]
    if anchor is None or as_of is None or any(label[key] is None for key in keys):
        return None
    mine = [state for state in states if all(state[key] == label[key] for key in keys)]
    usable = [state for state in mine if state["event_time"] <= anchor and state["known_at"] <= as_of]
    event_times = {state["event_time"] for state in usable}
    latest = [_latest(state for state in usable if state["event_time"] == event_time) for event_time in event_times]
    there = [state for state in latest if not state["removed"]]
    if not there:
        return None
    greatest = max(there, key=lambda state: state["event_time"])
    if lookback is not None and greatest["event_time"] <= last_instant_outside(anchor, lookback):
        return None
    return greatest


def known_at(
    states: Iterable[State], moment: datetime, keys: Sequence[str], window: tuple[datetime, datetime] | None = None
) -> list[State]:
    """The rows of a table as known at a moment, ordered by key and time; window: from start to before end."""
    rows: dict[tuple[Any, ...], list[State]] = {}
    for state in states:
        if state["known_at"] > moment:
            continue
        if window is not None and not window[0] <= state["event_time"] < window[1]:
            continue
        rows.setdefault((*(state[key] for key in keys), state["event_time"]), []).append(state)
    latest = [_latest(rows[row]) for row in sorted(rows)]
    return [state for state in latest if not state["removed"]]


def last_instant_outside(anchor: datetime, lookback: timedelta | int) -> datetime:
    """The greatest instant that is too old: one microsecond later is inside.

    An anchor is the last instant of a period, so months go back from the instant after it, and a day that the month
    does not have becomes its last day.
    """
    if isinstance(lookback, timedelta):
        return anchor - lookback
    end = anchor + timedelta(microseconds=1)
    year, month = end.year, end.month
    for _ in range(lookback):
        year, month = (year - 1, 12) if month == 1 else (year, month - 1)
    day = min(end.day, calendar.monthrange(year, month)[1])
    return end.replace(year=year, month=month, day=day) - timedelta(microseconds=1)


def _latest(states: Iterable[State]) -> State:
    return max(states, key=lambda state: (state["known_at"], state["seq"]))
