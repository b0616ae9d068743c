"""When a database is asked: once a period is due, and from time to time for what may have changed since."""

import json
from datetime import datetime

from mlops_assets.lakehouse.periods import Period
from mlops_assets.lakehouse.schema import STATIC_PERIOD
from mlops_assets.project.definition import Database, SourceDefinition
from mlops_assets.project.platform import Platform


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
    waiting: list[str] = []
    accepted, unbroken = memory["accepted"], True
    candidates = (
        [STATIC_PERIOD] if source.static else [period.key for period in _published(source, now, memory["accepted"])]
    )
    for key in candidates:
        if platform.deliveries.first_accepted(source.name, key) is None:
            waiting.append(key)
            unbroken = False
        elif unbroken:
            accepted = key
    asked = memory["asked"]
    open_ = dict.fromkeys([*waiting, *candidates[-1:]])
    due = [key for key in open_ if key not in asked or now >= datetime.fromisoformat(asked[key]) + database.check_every]
    remembered = {key: now.isoformat() if key in due else asked[key] for key in open_}
    return due, json.dumps({"accepted": accepted, "asked": remembered})


def _published(source: SourceDefinition, now: datetime, accepted: str | None) -> list[Period]:
    """The periods that are due, from the last one before which all are accepted, in their order."""
    if source.first is None:
        return []
    calendar = source.schema.calendar
    newest = calendar.shift(calendar.of(now - source.lag), -1)
    last = min(newest, source.last) if source.last else newest
    return list(calendar.between(calendar.at_key(accepted) if accepted else source.first, last))
