"""Incidents: something off that a person is told of once, until it is over.

What is off now is read from records; what is kept are events, of which an incident is the sum. So the same records lead
to the same incidents, and an incident opens once for a cause, however often somebody looks.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from mlops_assets.errors import ConflictError, ContractError, MissingDataError
from mlops_assets.governance.access import Principal
from mlops_assets.lakehouse.records import read_records, write_new_record
from mlops_assets.models.records import candidate_of_version, candidates, present_champion
from mlops_assets.monitoring.drift import DriftRecord
from mlops_assets.monitoring.level import level_of
from mlops_assets.monitoring.performance import against_baseline, performance_history
from mlops_assets.monitoring.segments import SegmentFinding
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ModelDefinition

EventKind = Literal["opened", "updated", "closed", "acknowledged", "snoozed", "resumed"]
TOLD: tuple[EventKind, ...] = ("opened", "resumed", "closed")
"""The events that a webhook tells of."""

PLATFORM = "the platform"
MAX_ATTEMPTS = 5

MAX_REFUSED = 2
"""So many trainings that were refused one after the other are an incident."""


@dataclass(frozen=True)
class Cause:
    """Something that is off now.

    Args:
        kind: What it is, such as ``drift`` or ``overdue``.
        subject: The model, source or table that it is about.
        part: What of the subject, such as a segment; empty for all of it.
        words: What was found, in words; no personal value.
    """

    kind: str
    subject: str
    part: str
    words: str

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells it from other causes: of one that is still off tomorrow it is the same."""
        return self.kind, self.subject, self.part


@dataclass(frozen=True)
class IncidentEvent:
    """Something that happened to an incident, as it is kept.

    Args:
        number: Counts all events from 1.
        incident: The incident's number.
        event: What happened.
        happened_at: Platform clock, UTC.
        kind: Of the cause, as `Cause`.
        subject: As `Cause`.
        part: As `Cause`.
        words: What was found, or the reason that a person gave.
        by: Who; the platform, or a person's name.
        until: Until when it was snoozed, UTC; otherwise None.
        live: Whether it happened on the machine's clock, and not in a replay of the past, of which nobody is told.
    """

    number: int
    incident: int
    event: EventKind
    happened_at: datetime
    kind: str
    subject: str
    part: str
    words: str
    by: str
    until: datetime | None
    live: bool

    @property
    def key(self) -> tuple[str, str, str]:
        """As `Cause.key`."""
        return self.kind, self.subject, self.part


@dataclass(frozen=True)
class Incident:
    """Something off, from its begin to its end.

    Args:
        number: Counts incidents from 1.
        kind: As `Cause`.
        subject: As `Cause`.
        part: As `Cause`.
        events: All that happened to it, in their order; the first opened it.
        former: The number of the last incident of the same cause; None for the first.
    """

    number: int
    kind: str
    subject: str
    part: str
    events: tuple[IncidentEvent, ...]
    former: int | None

    @property
    def key(self) -> tuple[str, str, str]:
        """As `Cause.key`."""
        return self.kind, self.subject, self.part

    @property
    def name(self) -> str:
        """What it is about, in a few words."""
        return f"{self.subject}: {self.kind}" + (f", {self.part}" if self.part else "")

    @property
    def words(self) -> str:
        """What was found last."""
        return next(one.words for one in reversed(self.events) if one.event in ("opened", "updated", "closed"))

    @property
    def opened_at(self) -> datetime:
        """When it began."""
        return self.events[0].happened_at

    @property
    def closed_at(self) -> datetime | None:
        """When it was over; None while it is not."""
        return self.events[-1].happened_at if self.events[-1].event == "closed" else None

    @property
    def snoozed_until(self) -> datetime | None:
        """Until when a person wants to hear nothing of it."""
        last = next((one for one in reversed(self.events) if one.event in ("snoozed", "resumed")), None)
        return last.until if last and self.closed_at is None else None

    @property
    def acknowledged_by(self) -> str:
        """Who has it in hand; empty where nobody has."""
        return next((one.by for one in reversed(self.events) if one.event == "acknowledged"), "")

    def state(self, now: datetime) -> str:
        """In a word or two: open, acknowledged, snoozed or closed."""
        if self.closed_at:
            return "closed"
        if self.snoozed_until and self.snoozed_until > now:
            return f"snoozed until {self.snoozed_until:%Y-%m-%d %H:%M}"
        return f"acknowledged by {self.acknowledged_by}" if self.acknowledged_by else "open"


def incidents_of(events: Iterable[IncidentEvent]) -> list[Incident]:
    """The incidents that events make, in the order in which they were opened."""
    found: dict[int, Incident] = {}
    last: dict[tuple[str, str, str], int] = {}
    for event in events:
        if event.event == "opened":
            former = last.get(event.key)
            found[event.incident] = Incident(event.incident, *event.key, (event,), former)
            last[event.key] = event.incident
        else:
            incident = found[event.incident]
            found[event.incident] = replace(incident, events=(*incident.events, event))
    return list(found.values())


def events_due(
    causes: Sequence[Cause], events: Sequence[IncidentEvent], now: datetime, *, live: bool
) -> list[IncidentEvent]:
    """What happens to incidents, given what is off now; nothing, where the events so far say it already.

    Args:
        causes: All that is off.
        events: All events so far.
        now: Platform clock, UTC.
        live: Whether that is the machine's clock.

    Example:
        >>> from datetime import UTC, datetime
        >>> now = datetime(2001, 1, 5, tzinfo=UTC)
        >>> drift = Cause("drift", "forecast", "", "drifted: level")
        >>> opened = events_due([drift], [], now, live=True)
        >>> [event.event for event in opened], events_due([drift], opened, now, live=True)
        (['opened'], [])
        >>> [event.event for event in events_due([], opened, now, live=True)]
        ['closed']
    """
    incidents = incidents_of(events)
    still = {incident.key: incident for incident in incidents if incident.closed_at is None}
    off = {cause.key: cause for cause in causes}
    due: list[tuple[int, EventKind, tuple[str, str, str], str]] = []
    opened = max((incident.number for incident in incidents), default=0)
    for key, cause in off.items():
        if key not in still:
            opened += 1
            due.append((opened, "opened", key, cause.words))
            continue
        incident = still[key]
        if incident.words != cause.words:
            due.append((incident.number, "updated", key, cause.words))
        if incident.snoozed_until and incident.snoozed_until <= now:
            due.append((incident.number, "resumed", key, cause.words))
    due += [
        (incident.number, "closed", key, f"over; it was: {incident.words}")
        for key, incident in still.items()
        if key not in off
    ]
    return [
        IncidentEvent(number, incident, event, now, *key, words, PLATFORM, None, live)
        for number, (incident, event, key, words) in enumerate(due, len(events) + 1)
    ]


def incident_events(platform: Platform) -> list[IncidentEvent]:
    """All events of a home, in their order."""
    return read_records(platform.incidents, IncidentEvent)


def record_what_is_off(platform: Platform, causes: Sequence[Cause]) -> list[IncidentEvent]:
    """Keep what happens to incidents, given all that is off now; gives what was new.

    Raises:
        ConflictError: Others kept events at the same time, again and again.
    """
    live, now = not platform.home.clock.stands, platform.clock.note()
    return _kept(platform, lambda events: events_due(causes, events, now, live=live))


def _kept(platform: Platform, due: Callable[[Sequence[IncidentEvent]], list[IncidentEvent]]) -> list[IncidentEvent]:
    """Keep what is due after the events so far; after those of somebody who was faster, what is due then.

    Raises:
        ConflictError: Others were faster again and again.
    """
    for attempt in range(1, MAX_ATTEMPTS + 1):
        new = due(incident_events(platform))
        try:
            for event in new:
                write_new_record(platform.incidents, event)
        except ConflictError:
            if attempt == MAX_ATTEMPTS:
                raise
        else:
            break
    return new


def decide_incident(
    platform: Platform,
    number: int,
    who: Principal,
    reason: str,
    until: datetime | None = None,
) -> Incident:
    """Keep that a person has an incident in hand, or wants to hear nothing of it for a while.

    Args:
        platform: The platform.
        number: The incident's.
        who: The person.
        reason: Why, in words.
        until: Until when it is snoozed, UTC; None acknowledges it.

    Raises:
        MissingDataError: There is no such incident.
        ContractError: It is over, or is snoozed until a moment that has passed.
        ForbiddenError: The person may not decide about incidents.
    """
    who.require("features:read", platform.project.roles)
    live, now = not platform.home.clock.stands, platform.clock.note()

    def due(events: Sequence[IncidentEvent]) -> list[IncidentEvent]:
        incident = incident_numbered(events, number)
        if incident.closed_at:
            found = f"incident {number}, which was over at {incident.closed_at.isoformat()}"
            raise ContractError(found, "an incident that is open", "look at `mlops-assets incidents list`")
        if until and until <= now:
            found = f"a snooze until {until.isoformat()}, which has passed"
            raise ContractError(found, f"a moment after {now.isoformat()}", "name a later one")
        event: EventKind = "snoozed" if until else "acknowledged"
        return [IncidentEvent(len(events) + 1, number, event, now, *incident.key, reason, who.name, until, live)]

    _kept(platform, due)
    return incident_numbered(incident_events(platform), number)


def incident_numbered(events: Iterable[IncidentEvent], number: int) -> Incident:
    """The incident of a number.

    Raises:
        MissingDataError: There is none.
    """
    found = next((incident for incident in incidents_of(events) if incident.number == number), None)
    if found is None:
        raise MissingDataError(f"no incident {number}", "the number of an incident",
                               "look at `mlops-assets incidents list --all`")  # fmt: skip
    return found


def causes_of_model(platform: Platform, model: ModelDefinition) -> Iterator[Cause]:
    """What is off with a model now: its error, what it is asked, and trainings that are refused again and again."""
    champion = present_champion(platform, model)
    trained, past = candidates(platform, model), performance_history(platform, model)
    if past and champion and past[-1].version == champion.version:
        as_good, words = against_baseline(past, model.retrain.persistence)
        if not as_good:
            yield Cause("worse than the baseline", model.name, "", words)
        level = level_of(past, trained, model.schema.calendar, model.retrain)
        if not level.within:
            yield Cause("beyond its level", model.name, "", level.words)
    for drift in _newest_drift(platform, model):
        if drift.alarm:
            yield Cause("drift", model.name, "", f"{drift.period} {drift.words}")
        furthest: dict[str, Cause] = {}
        for finding in (SegmentFinding(**one) for one in drift.values["segments"]):
            cause = _moved(model, drift, finding)
            furthest.setdefault(cause.part, cause)
        yield from furthest.values()
    since = candidate_of_version(platform, model, champion.version).trained_at if champion else None
    refused = [record for record in trained if since is None or record.trained_at > since]
    if len(refused) >= MAX_REFUSED and not any(record.passed for record in refused):
        words = f"{len(refused)} trainings in a row were refused, the last at {refused[-1].at}: {refused[-1].verdict}"
        yield Cause("trainings refused", model.name, "", words)


def _newest_drift(platform: Platform, model: ModelDefinition) -> Sequence[DriftRecord]:
    """The record of the newest period alone: all of them are many files."""
    table = platform.records(model, "drift")
    newest = table.delta.newest_period()
    return [] if newest is None else read_records(table, DriftRecord, [newest])


def _moved(model: ModelDefinition, drift: DriftRecord, finding: SegmentFinding) -> Cause:
    part = f"{finding.by} {finding.segment}"
    column = next(column for column in model.training_columns if column.name == finding.column)
    figures = "" if column.is_personal else f" {finding.value:.4g}, usually {finding.usual:.4g}"
    return Cause("moved", model.name, part, f"{drift.period} {finding.column} {finding.statistic}{figures}")
