"""Replaying the quarantine after a fix: rows that keep today's contract are ingested after all, as corrections.

A row is taken only where no later delivery holds what it is about: of additions, a good row with its key and time; of
all else, its period. But for keys of rows that still wait, the table then holds what it would hold had the deliveries
been read against today's contract when they came; what was known before the replay stays as it was.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mlops_assets.lakehouse.deliveries import Delivery
from mlops_assets.lakehouse.periods import Period
from mlops_assets.lakehouse.schema import STATIC_PERIOD
from mlops_assets.platform import Platform
from mlops_assets.progress import Progress, Step, untold
from mlops_assets.project.definition import SourceDefinition
from mlops_assets.quality.contract import moments
from mlops_assets.sources.appending import append, compare
from mlops_assets.sources.ingest import read_kept, require_few_removed, require_inside, require_kept_by
from mlops_assets.sources.quarantine import QuarantinedRow, quarantined, refreshed, write_quarantine
from mlops_assets.sources.row_faults import BadRows, find_bad_rows
from mlops_assets.sources.statements import covered_periods, runs, stated_later, within

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Replayed:
    """What the replay of one period's quarantine did.

    Args:
        period: Key of the period.
        ingested: How many rows were taken.
        superseded: How many are no longer owed, because a later delivery holds what they are about.
        waiting: How many still break the contract.
        appended: How many states were appended to each period that was touched.
    """

    period: str
    ingested: int
    superseded: int
    waiting: int
    appended: Mapping[str, int]


def replay_quarantine(
    platform: Platform, source: SourceDefinition, period: str | None = None, progress: Progress = untold
) -> list[Replayed]:
    """Read the deliveries of rows that wait again, and ingest what now keeps the contract, known from now on.

    Doing it again changes nothing.

    Args:
        platform: The platform.
        source: The source.
        period: Key of the period whose deliveries are replayed; None for all.
        progress: Told of each period.

    Returns:
        What was done, for each period with rows that waited.

    Raises:
        ContractError: An expectation that blocks is broken, so much would be removed that the delivery looks cut
            short, or a row lies in another period; nothing of that period was written.
        ConflictError: Another run writes one of the periods at the same time.
    """
    waiting = [row for row in quarantined(platform, source, period) if row.waits]
    keys = list(dict.fromkeys(row.period for row in waiting))
    replayed = []
    for number, key in enumerate(keys, start=1):
        with platform.deliveries.held(source.name):
            replayed.append(_replay_period(platform, source, key))
        progress(Step(source.name, number, len(keys), key, f"{replayed[-1].ingested} rows ingested", minor=True))
    return replayed


def _replay_period(platform: Platform, source: SourceDefinition, key: str) -> Replayed:
    before = quarantined(platform, source, key)
    rows, appended = list(before), dict[str, int]()
    for delivery in platform.deliveries.of(source.name, key):
        waiting = {row.row for row in rows if row.waits and row.delivery == delivery.number}
        if not waiting or not delivery.accepted:  # one that was never accepted is for the next ingestion
            continue
        delivered = read_kept(platform, source, delivery)
        bad = find_bad_rows(platform.engine, delivered, source.schema)
        owed = _owed(platform, source, delivery, bad)
        passing = waiting - bad.faults.keys()
        taken = {row for row in passing if row in owed}
        if taken:
            for touched, count in _append(platform, source, delivery, bad, owed, taken).items():
                appended[touched] = appended.get(touched, 0) + count
        now = platform.clock.note()
        rows = [
            _settled(row, delivery, bad, passing, taken, now) if row.waits and row.delivery == delivery.number else row
            for row in rows
        ]
        write_quarantine(platform, source, key, rows)
    outcomes = [row.outcome for row, old in zip(rows, before, strict=True) if old.waits]
    return Replayed(key, outcomes.count("ingested"), outcomes.count("superseded"), outcomes.count("waiting"), appended)


def _settled(
    row: QuarantinedRow, delivery: Delivery, bad: BadRows, passing: set[int], taken: set[int], now: datetime
) -> QuarantinedRow:
    if row.row not in passing:
        return refreshed(row, delivery, bad)
    return replace(row, outcome="ingested" if row.row in taken else "superseded", settled_at=now)


def _owed(platform: Platform, source: SourceDefinition, delivery: Delivery, bad: BadRows) -> set[int]:
    """The places (from 1) of a delivery's rows of which none that was stated later holds what they are about."""
    rows = bad.delivered.rows
    places = range(1, rows.num_rows + 1)
    if source.delivers == "increment":
        later = set[tuple[Any, ...]]()
        for other in platform.deliveries.of(source.name, delivery.period):
            if other.accepted and other.number > delivery.number:
                read = read_kept(platform, source, other)
                later |= set(_identities(find_bad_rows(platform.engine, read, source.schema).good, source))
        return {place for place, key in zip(places, _identities(rows, source), strict=True) if key not in later}
    calendar = source.schema.calendar
    keys = [calendar.of(time).key if time else STATIC_PERIOD for time in moments(rows, source.schema)]
    covered_later = stated_later(platform, source, delivery)
    return {place for place, key in zip(places, keys, strict=True) if key not in covered_later}


def _append(
    platform: Platform, source: SourceDefinition, delivery: Delivery, bad: BadRows, owed: set[int], taken: set[int]
) -> Mapping[str, int]:
    """Bring what the delivery holds of the periods that no later one covers into the table."""
    period = None if source.static else source.schema.calendar.at_key(delivery.period)
    covered: list[Period] = covered_periods(source, period)
    whole = source.delivers != "increment"
    wanted = sorted(owed - bad.faults.keys()) if whole else sorted(taken)
    rows = bad.delivered.at(wanted)
    require_kept_by(platform, source, period, bad.good)
    require_inside(rows, source, covered)
    covered_later = stated_later(platform, source, delivery) if whole else set()
    table, appended = platform.table(source.name), dict[str, int]()
    for run in runs(covered, covered_later) if covered else [[]]:
        counters = table.delta.counters(table.period_keys(run))
        difference = compare(platform, source, within(rows, source, run), bad, run)
        require_few_removed(source, difference)
        appended |= append(
            platform, source, difference, delivery, counters, corrected_at=platform.clock.note(), corrects=True
        )
    return appended


def _identities(rows: "pa.Table", source: SourceDefinition) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in rows.select(source.schema.identity).to_pylist()]
