"""The periods of tables beside one another: what they share, and what stands behind the periods of another calendar."""

from collections.abc import Iterable, Mapping

from mlops_assets.errors import DefinitionError, Location
from mlops_assets.lakehouse.periods import Calendar, Period
from mlops_assets.project.definition import TableDefinition


def common_calendar(tables: Mapping[str, TableDefinition], where: Location) -> Calendar:
    """The calendar that all tables with a time share.

    Raises:
        DefinitionError: They differ, or none has a time.
    """
    calendars = {table.schema.calendar: name for name, table in tables.items() if table.schema.timestamp is not None}
    if not calendars:
        raise DefinitionError(
            "only static tables as inputs", "at least one input with a time", "read a table with a time", where=where
        )
    if len(calendars) > 1:
        listed = ", ".join(f"{name} ({calendar.unit})" for calendar, name in calendars.items())
        raise DefinitionError(
            f"inputs of different periods: {listed}",
            "inputs of one period",
            "look one of them up among the model's features, which takes a table of any periods",
            where=where,
        )
    return next(iter(calendars))


def span_in(calendar: Calendar, first: Period, last: Period | None) -> tuple[Period, Period | None]:
    """The first and last period of a calendar for which a table has something, from its own first and last ones.

    That is a period of the table's that ends in it, or the newest that ended before. The last is None where they go on.
    """
    return calendar.of(first.anchor), calendar.newest_over(last.end) if last else None


def periods_behind(table: TableDefinition, first: Period, last: Period) -> list[Period]:
    """The periods of a table that stand behind a span of periods of any calendar; none of a static table.

    Those that end within the span, or the newest that ended before it, as far as the table has them.
    """
    if table.first is None:
        return []
    calendar = table.schema.calendar
    begin, end = calendar.ending_within(first, last)
    return list(calendar.between(max(begin, table.first), min(end, table.last) if table.last else end))


def span_of_tables(
    tables: Iterable[TableDefinition], calendar: Calendar, where: Location
) -> tuple[Period, Period | None]:
    """The first and last period of a calendar for which all tables have something: a period that ends in it or before.

    Raises:
        DefinitionError: One table ends before another begins.
    """
    spans = {table.name: span_in(calendar, table.first, table.last) for table in tables if table.first}
    first_of = {name: first for name, (first, _) in spans.items()}
    last_of = {name: last for name, (_, last) in spans.items() if last}
    begins = max(first_of, key=lambda name: first_of[name])
    if not last_of:
        return first_of[begins], None
    ends = min(last_of, key=lambda name: last_of[name])
    first, last = first_of[begins], last_of[ends]
    if last < first:
        raise DefinitionError(
            f"'{ends}', which ends with {last.key}, beside '{begins}', which begins with {first.key}",
            f"tables with at least one {calendar.unit} in common",
            "correct last_period or first_period, or take one of the two out",
            where=where,
        )
    return first, last
