"""When a database is asked, and when what was pushed is ingested: once due, and from time to time again."""

import json
from datetime import datetime, timedelta

from mlops_assets.lakehouse.schema import STATIC_PERIOD
from mlops_assets.platform import Platform
from mlops_assets.project.attributes import Database
from mlops_assets.project.definition import SourceDefinition


def due_periods(
    platform: Platform, source: SourceDefinition, database: Database, before: str | None
) -> tuple[list[str], str]:
    """The keys of the periods to read now, by the platform clock; nothing is read to find out.

    A period is due once its end and the publication lag have passed. It is asked for until a delivery of it was
    accepted, and the newest one (with the window that it restates, or the static table) for as long as it is the
    newest; both no more often than ``check_every``.

    Args:
        platform: The platform.
        source: The source.
        database: Where its rows are.
        before: What was remembered last time; None the first time.

    Returns:
        The keys, and what to remember: when which period was asked for, and up to where all are accepted.
    """
    now = platform.clock.now()
    memory = json.loads(before) if before else {"accepted": None, "asked": {}}
    candidates = _published(source, now, memory["accepted"])
    waiting, accepted = _not_accepted(platform, source, candidates, memory["accepted"])
    asked = memory["asked"]
    open_ = dict.fromkeys([*waiting, *candidates[-1:]])
    due = [key for key in open_ if key not in asked or now >= datetime.fromisoformat(asked[key]) + database.check_every]
    remembered = {key: now.isoformat() if key in due else asked[key] for key in open_}
    return due, json.dumps({"accepted": accepted, "asked": remembered})


BETWEEN_ATTEMPTS = timedelta(minutes=10)
"""How long after a run for pushed rows was asked for another is, if they still wait: the first one failed."""


def pushed_periods(platform: Platform, source: SourceDefinition, before: str | None) -> tuple[dict[str, int], str]:
    """The periods of a pushed source to ingest now: those for which rows wait, and those that are over.

    A period for which rows wait is asked for once for each newer batch, and one that is over until a delivery of it
    was accepted, be it without rows; both again from time to time, for as long as that did not help.

    Args:
        platform: The platform.
        source: The source.
        before: What was remembered last time; None the first time.

    Returns:
        For each key the number of the newest batch that waits (0 for none), and what to remember.
    """
    now = platform.clock.now()
    memory = json.loads(before) if before else {"accepted": None, "asked": {}}
    wanted = platform.pushed.waiting_periods(source.name)
    over, accepted = _not_accepted(platform, source, _published(source, now, memory["accepted"]), memory["accepted"])
    wanted |= {key: 0 for key in over if key not in wanted}
    asked = {key: memory["asked"].get(key) for key in wanted}
    due = {
        key: number
        for key, number in sorted(wanted.items())
        if (last := asked[key]) is None or number > last[0] or now >= datetime.fromisoformat(last[1]) + BETWEEN_ATTEMPTS
    }
    remembered = {key: [due[key], now.isoformat()] if key in due else asked[key] for key in wanted}
    return due, json.dumps({"accepted": accepted, "asked": remembered})


def _not_accepted(
    platform: Platform, source: SourceDefinition, keys: list[str], accepted: str | None
) -> tuple[list[str], str | None]:
    """Which periods no delivery was accepted of, and the last one up to which all have one; by their keys."""
    waiting = [key for key in keys if platform.deliveries.first_accepted(source.name, key) is None]
    before = keys[: keys.index(waiting[0])] if waiting else keys
    return waiting, before[-1] if before else accepted


def _published(source: SourceDefinition, now: datetime, accepted: str | None) -> list[str]:
    """The keys of the periods that are due, from the last one before which all are accepted, in their order."""
    if source.first is None:
        return [STATIC_PERIOD] if source.static else []
    calendar = source.schema.calendar
    newest = calendar.newest_over(now - source.lag)
    last = min(newest, source.last) if source.last else newest
    due = calendar.between(calendar.at_key(accepted) if accepted else source.first, last)
    return [period.key for period in due]
