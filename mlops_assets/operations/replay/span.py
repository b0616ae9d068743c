"""Which periods a replay lives through."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from mlops_assets.errors import DefinitionError, MissingDataError
from mlops_assets.lakehouse.periods import Calendar, Period
from mlops_assets.project.definition import (
    FeatureTableDefinition,
    ModelDefinition,
    ProjectDefinition,
    SourceDefinition,
)
from mlops_assets.project.spans import span_in

Lived = SourceDefinition | FeatureTableDefinition | ModelDefinition
"""What a replay lives through the periods of: a project's models, or where it has none, its tables with a time."""


@dataclass(frozen=True)
class Span:
    """The first and the last period that a replay lives through, of one calendar; all others go along.

    Args:
        calendar: How the periods are cut that a replay counts and tells of.
        first: The first.
        last: The last.
        lag: The largest lag: so long after a period's end everything about it was done.
        begins: The moment from which conditions and policies run; before it, history is ingested.
    """

    calendar: Calendar
    first: Period
    last: Period
    lag: timedelta
    begins: datetime

    @property
    def until(self) -> datetime:
        """The last moment."""
        return self.last.end + self.lag

    def grouped(self, moments: Sequence[datetime]) -> list[tuple[Period, list[datetime]]]:
        """Each period with the moments that belong to it: up to its as_of, and to the last all that follow.

        Args:
            moments: In order.
        """
        groups: list[tuple[Period, list[datetime]]] = [
            (period, []) for period in self.calendar.between(self.first, self.last)
        ]
        number = 0
        for moment in moments:
            while number < len(groups) - 1 and moment > groups[number][0].end + self.lag:
                number += 1
            groups[number][1].append(moment)
        return groups


def lived_through(project: ProjectDefinition) -> list[Lived]:
    """What a replay lives through the periods of."""
    models: list[Lived] = list(project.models.values())
    tables: list[Lived] = [*project.feature_tables.values(), *project.sources.values()]
    return models or [table for table in tables if table.first]


def span_of(project: ProjectDefinition, first: str, last: str) -> Span:
    """The span between two keys of periods, by the first of the project's calendars that has both.

    Raises:
        DefinitionError: The project has nothing with a time, a key is no period, or the last lies before the first.
        MissingDataError: The project's data does not reach so far.
    """
    lived = lived_through(project)
    if not lived:
        raise DefinitionError("a project without a table that has a time", "at least one source", "declare one")
    calendar = _calendar_of(list(dict.fromkeys(one.schema.calendar for one in lived)), first, last)
    begin, end = calendar.at_key(first), calendar.at_key(last)
    if end < begin:
        raise DefinitionError(f"--to {last} before --from {first}", "a later period", "swap them")
    spans = {one.name: span_in(calendar, one.first, one.last) for one in lived if one.first}
    for option, period in (("--from", begin), ("--to", end)):
        if not any(opens <= period and (ends is None or period <= ends) for opens, ends in spans.values()):
            name, (opens, ends) = next(iter(spans.items()))
            raise MissingDataError(
                f"{option} {period.key}, for which '{name}' has no data",
                f"a period from {opens.key} {f'to {ends.key}' if ends else 'on'}",
                "choose one of these",
            )
    begins = min(begin.end + one.lag for one in lived if one.schema.calendar == calendar)
    return Span(calendar, begin, end, max(one.lag for one in lived), begins)


def _calendar_of(calendars: Sequence[Calendar], *keys: str) -> Calendar:
    faults = []
    for calendar in calendars:
        try:
            for key in keys:
                calendar.at_key(key)
        except DefinitionError as fault:
            faults.append(fault)
        else:
            return calendar
    raise faults[0]
