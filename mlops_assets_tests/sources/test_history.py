"""Random histories of deliveries, read as known at any moment, against a plain model of docs/concepts.md#states."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.lakehouse.home import Home
from mlops_assets.lakehouse.periods import Calendar, Period
from mlops_assets_tests.sources.small_project import Shop, platform_of, sales_yaml

LAG = timedelta(days=3)
KEYS = {
    "day": ["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04"],
    "week": ["2024-01-01", "2024-01-08", "2024-01-15", "2024-01-22"],
    "month": ["2024-01", "2024-02", "2024-03", "2024-04"],
}
WINDOW = 2
Row = tuple[str, str]
"""Shop and day."""


@dataclass(frozen=True)
class Step:
    """One delivery: for which period, how long after the last one, and the units of each shop in each period."""

    place: int
    hours_later: int
    units: tuple[tuple[int | None, ...], ...]


@dataclass
class Model:
    """The rules of states, with dictionaries: no engine, no files."""

    calendar: Calendar
    periods: list[Period]
    delivers: str
    live_since: Period | None
    states: list[tuple[Row, Period, datetime, int | None]] = field(default_factory=list)
    held: set[str] = field(default_factory=set)
    newest: dict[str, dict[Row, int]] = field(default_factory=dict)

    def covered(self, place: int) -> list[Period]:
        first = {"window": max(0, place - WINDOW + 1), "snapshot": 0}.get(self.delivers, place)
        return self.periods[first : place + 1]

    def stated_after(self, place: int) -> list[Period]:
        """The periods that windows and snapshots for later periods told of already: what they said of these stays."""
        if self.delivers not in ("window", "snapshot"):
            return []
        later = [other for other, period in enumerate(self.periods) if other > place and period.key in self.newest]
        return [period for other in later for period in self.covered(other)]

    def first_known(self, period: Period, arrival: datetime) -> datetime:
        published = period.end + LAG
        return published if self.live_since and period < self.live_since else max(published, arrival)

    def deliver(self, place: int, rows: dict[Row, int], clock: datetime) -> None:
        key = self.periods[place].key
        if self.newest.get(key) == rows:  # the same file again
            return
        self.newest[key] = rows
        held_before = set(self.held)
        for period in self.covered(place):
            if period in self.stated_after(place):
                continue
            now = {row: state for state in self.states if state[1] == period for row in [state[0]]}
            for row in {*now, *(row for row in rows if self.period_of(row) == period)}:
                there = now[row][3] if row in now else None
                wanted = rows.get(row) if self.delivers != "increment" or row in rows else there
                if wanted == there:
                    continue
                if there is not None:
                    moment = max(clock, now[row][2])
                elif period.key in held_before:
                    moment = max(clock, period.end + LAG)
                else:
                    moment = self.first_known(period, clock)
                self.states.append((row, period, moment, wanted))
                self.held.add(period.key)

    def period_of(self, row: Row) -> Period:
        return self.calendar.of(datetime.fromisoformat(row[1]).replace(tzinfo=UTC))

    def known(self, moment: datetime) -> dict[str, int]:
        """The latest state of each row by (known_at, order), unless it is a removal."""
        latest: dict[Row, tuple[datetime, int | None]] = {}
        for row, _, known_at, units in self.states:
            if known_at <= moment and (row not in latest or known_at >= latest[row][0]):
                latest[row] = (known_at, units)
        return {" ".join(row): units for row, (_, units) in latest.items() if units is not None}


UNITS = st.none() | st.integers(0, 2)
HISTORIES = st.lists(
    st.builds(
        Step,
        place=st.integers(0, 3),
        hours_later=st.sampled_from([0, 1, 30, 24 * 9, 24 * 40]),
        units=st.tuples(*[st.tuples(UNITS, UNITS, UNITS, UNITS)] * 4),
    ),
    min_size=2,
    max_size=5,
)


def rows_of(model: Model, step: Step) -> dict[Row, int]:
    """What a step's file holds; each shop sells on one day of a period."""
    rows: dict[Row, int] = {}
    for period in model.covered(step.place):
        for number, units in enumerate(step.units[model.periods.index(period)]):
            if units is not None:
                rows[f"shop {number}", period.start.date().isoformat()] = units
    return rows


def lives(folder: Path, unit: str, delivers: str, live_since: str | None) -> tuple[Shop, Model]:
    fields = [f"delivers: {delivers}", "publication_lag: 3 days", "max_removed_share: 1", "min_rows_share: 0"]
    fields += [f"window_periods: {WINDOW}", *([f"live_since: {live_since}"] if live_since else [])]
    shop = Shop(platform_of(Home(folder / "home").prepare(), sales_yaml(*fields, period=unit, first=KEYS[unit][0])))
    periods = [shop.period(key) for key in KEYS[unit]]
    live = shop.period(live_since) if live_since else None
    return shop, Model(shop.source.schema.calendar, periods, delivers, live)


def live_through(shop: Shop, model: Model, steps: list[Step], after: Callable[[Step], None]) -> list[datetime]:
    """Deliver every step to both; the moments at which anything happened."""
    clock = model.periods[0].start + timedelta(hours=7)
    moments = []
    for step in steps:
        clock += timedelta(hours=step.hours_later)
        rows = rows_of(model, step)
        shop.deliver(KEYS[model.calendar.unit][step.place], [f"{row[0]},{row[1]},{rows[row]}" for row in rows], clock)
        model.deliver(step.place, rows, clock)
        moments.append(clock)
        after(step)
    return moments


@pytest.mark.slow
@pytest.mark.parametrize(
    ("unit", "delivers", "live_since"),
    [
        ("month", "period", None),
        ("day", "period", "2024-01-03"),
        ("week", "window", "2024-01-08"),
        ("month", "snapshot", None),
        ("day", "increment", None),
    ],
)
@given(steps=HISTORIES)
@settings(max_examples=6)
def test_any_history_read_as_known_at_any_moment_is_what_the_rules_say(
    tmp_path_factory: pytest.TempPathFactory, unit: str, delivers: str, live_since: str | None, steps: list[Step]
) -> None:
    shop, model = lives(tmp_path_factory.mktemp("lived"), unit, delivers, live_since)
    happened = live_through(shop, model, steps, lambda step: None)
    assert sorted((" ".join(row), known_at, units is None) for row, _, known_at, units in model.states) == sorted(
        (row, known_at, removed) for row, _, known_at, removed in shop.states()
    )
    changed = {state[2] for state in model.states} | {happened[0], happened[-1]}
    for moment in sorted({moment + by for moment in changed for by in (timedelta(0), timedelta(microseconds=-1))}):
        assert shop.known(moment) == model.known(moment), moment


@pytest.mark.slow
@pytest.mark.parametrize("delivers", ["period", "window", "snapshot"])
@given(steps=HISTORIES)
@settings(max_examples=4)
def test_no_delivery_changes_what_was_known_before_it_came(
    tmp_path_factory: pytest.TempPathFactory, delivers: str, steps: list[Step]
) -> None:
    shop, model = lives(tmp_path_factory.mktemp("lived"), "month", delivers, None)
    seen: list[tuple[datetime, dict[str, object]]] = []

    def look(step: Step) -> None:
        # What was known just before now is settled: whatever comes next comes later.
        just_before = shop.platform.clock.now() - timedelta(microseconds=1)
        for moment, known in seen:
            assert shop.known(moment) == known
        seen.append((just_before, shop.known(just_before)))

    live_through(shop, model, steps, look)


@pytest.mark.slow
@given(steps=HISTORIES)
@settings(max_examples=4)
def test_any_history_lived_again_has_the_same_data_versions(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Step]
) -> None:
    versions = []
    for again in (False, True):
        shop, model = lives(tmp_path_factory.mktemp("lived"), "week", "window", None)

        def twice(step: Step, shop: Shop = shop, again: bool = again) -> None:
            if again:
                shop.ingest(KEYS["week"][step.place])

        live_through(shop, model, steps, twice)
        versions.append(shop.versions())
    assert versions[0] == versions[1]
