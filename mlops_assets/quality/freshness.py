"""How fresh tables are by the platform clock: judged when something is written, and by a schedule when nothing is."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from mlops_assets.engines.figures import largest
from mlops_assets.platform import Platform
from mlops_assets.project.definition import TableDefinition
from mlops_assets.project.expectations import Expectation, Freshness, in_days
from mlops_assets.quality.contract import CheckOutcome
from mlops_assets.quality.expectations import outcome_of


def freshness(platform: Platform, table: TableDefinition) -> list[CheckOutcome]:
    """What each expectation of freshness of a table finds now."""
    return [
        _judged(platform, table, expectation, expectation.rule)
        for expectation in table.expectations
        if isinstance(expectation.rule, Freshness)
    ]


def stale_tables(platform: Platform) -> Iterator[tuple[TableDefinition, CheckOutcome]]:
    """The expectations of freshness that are broken now, with their tables."""
    for table in platform.project.tables.values():
        for outcome in freshness(platform, table):
            if not outcome.passed:
                yield table, outcome


def _judged(platform: Platform, table: TableDefinition, expectation: Expectation, rule: Freshness) -> CheckOutcome:
    newest = _newest_row(platform, table) if rule.of == "row" else _newest_delivery(platform, table)
    # Of a table that never got anything, the age counts from the start of its first period.
    since = newest or (table.first.start if table.first else None)
    if since is None:
        return outcome_of(expectation, True, "nothing was delivered yet, and no period says since when", 0, {})
    age = max(platform.clock.now() - since, timedelta(0))
    what = f"the newest {rule.of} is of {since.isoformat()}" if newest else f"there is no {rule.of} yet"
    complete = newest is not None and _is_complete(platform, table, rule, newest)
    return outcome_of(
        expectation,
        complete or age <= rule.oldest,
        f"{what}: {in_days(age):g} days" + (", and the last period is there" if complete else ""),
        0,
        {"age in days": in_days(age), "most days": in_days(rule.oldest)},
    )


def _is_complete(platform: Platform, table: TableDefinition, rule: Freshness, newest: datetime) -> bool:
    """Whether the last period that there will ever be is there, so that nothing newer can come."""
    if table.last is None:
        return False
    if rule.of == "row":
        return newest >= table.last.start
    return platform.deliveries.first_accepted(table.name, table.last.key) is not None


def _newest_row(platform: Platform, table: TableDefinition) -> datetime | None:
    """The time of the newest row that is known by now."""
    states, engine = platform.table(table.name), platform.engine_of(table.name)
    for period in states.newest_first(table.first):  # some hold nothing that is known already, or removed rows alone
        rows = engine.known_rows(states, platform.clock.now(), first=period, last=period)
        found: datetime | None = engine.measure(rows, {"newest": largest("event_time")})["newest"]
        if found is not None:
            return found
    return None


def _newest_delivery(platform: Platform, table: TableDefinition) -> datetime | None:
    return max((delivery.arrived_at for delivery in platform.deliveries.accepted(table.name)), default=None)
