"""Statement beats arrival: an older window or snapshot that comes late never overrides what was stated later."""

import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.lakehouse.home import Home
from mlops_assets.sources.appending import compare
from mlops_assets_tests.local_paths import path_of
from mlops_assets_tests.sources.small_project import Shop, csv_of, platform_of, sales_yaml

EVER = datetime(2030, 1, 1, tzinfo=UTC)
FIRST = datetime(2024, 1, 8, 6, tzinfo=UTC)
DAYS = [f"2024-01-0{day}" for day in range(1, 7)]
LENIENT = ("max_removed_share: 1", "min_rows_share: 0")
WINDOW = ("delivers: window", "window_periods: 3")
SNAPSHOT = ("delivers: snapshot",)
Statement = tuple[str, Mapping[str, int]]
"""The period of a delivery, and its units by day."""


def shop_of(home: Home, *fields: str, lenient: Sequence[str] = LENIENT) -> Shop:
    home.clock.set(FIRST)
    return Shop(platform_of(home, sales_yaml(*fields, *lenient, period="day", first=DAYS[0])))


def deliver(shop: Shop, statement: Statement, at: datetime | None = None) -> Any:
    period, units = statement
    return shop.deliver(period, [f"north,{day},{number}" for day, number in units.items()], at)


def known(shop: Shop) -> dict[str, int]:
    return {place.removeprefix("north "): units for place, units in shop.known(EVER).items()}


THIRD: Statement = ("2024-01-03", {"2024-01-01": 10, "2024-01-02": 20, "2024-01-03": 30})
FOURTH: Statement = ("2024-01-04", {"2024-01-02": 22, "2024-01-03": 31, "2024-01-04": 40})
FIFTH: Statement = ("2024-01-05", {"2024-01-03": 33, "2024-01-04": 44, "2024-01-05": 55})
STATED = {"2024-01-01": 10, "2024-01-02": 22, "2024-01-03": 33, "2024-01-04": 44, "2024-01-05": 55}


@pytest.mark.parametrize("order", [(THIRD, FOURTH, FIFTH), (THIRD, FIFTH, FOURTH), (FIFTH, FOURTH, THIRD)])
def test_the_window_of_the_latest_period_says_what_is_so(home: Home, order: Sequence[Statement]) -> None:
    shop = shop_of(home, *WINDOW)
    for hour, statement in enumerate(order):
        deliver(shop, statement, FIRST + timedelta(hours=hour))
    assert known(shop) == STATED


def test_what_a_late_window_adds_is_told_and_again_without_effect(home: Home) -> None:
    shop = shop_of(home, *WINDOW)
    deliver(shop, THIRD)
    deliver(shop, FIFTH)
    late = deliver(shop, FOURTH, FIRST + timedelta(hours=1))
    assert (late.rows, late.stated_later, late.appended, late.delivery.accepted) == (1, 2, {"2024-01-02": 1}, True)
    before = shop.states()
    assert deliver(shop, FOURTH).appended == {} and deliver(shop, FIFTH).appended == {}
    assert shop.states() == before


def test_a_late_window_removes_nothing_that_was_stated_later(home: Home) -> None:
    shop = shop_of(home, *WINDOW)
    deliver(shop, FIFTH)
    late = deliver(shop, ("2024-01-04", {}), FIRST + timedelta(hours=1))
    assert late.removed == 0 and known(shop) == dict(FIFTH[1])


def test_a_second_delivery_of_an_older_window_corrects_only_what_no_later_one_holds(home: Home) -> None:
    shop = shop_of(home, *WINDOW)
    for statement in (THIRD, FOURTH, FIFTH):
        deliver(shop, statement)
    deliver(shop, ("2024-01-03", {"2024-01-01": 11, "2024-01-02": 99}), FIRST + timedelta(hours=1))
    assert known(shop) == STATED | {"2024-01-01": 11}


def test_an_older_snapshot_that_comes_late_says_nothing(home: Home) -> None:
    shop = shop_of(home, *SNAPSHOT)
    deliver(shop, ("2024-01-03", {"2024-01-01": 1, "2024-01-03": 3}))
    late = deliver(shop, ("2024-01-02", {"2024-01-01": 7, "2024-01-02": 2}), FIRST + timedelta(hours=1))
    assert (late.rows, late.stated_later, late.appended) == (0, 2, {})
    assert known(shop) == {"2024-01-01": 1, "2024-01-03": 3}


def test_a_later_delivery_that_was_refused_states_nothing(home: Home) -> None:
    shop = shop_of(home, *WINDOW)
    with pytest.raises(Exception, match="columns"):
        shop.land(FIFTH[0], "shop,day\nnorth,2024-01-05\n")
        shop.ingest(FIFTH[0])
    deliver(shop, FOURTH)
    assert known(shop) == dict(FOURTH[1])


@pytest.mark.parametrize("order", [(THIRD, FOURTH, FIFTH), (THIRD, FIFTH, FOURTH)])
def test_a_table_that_is_built_anew_in_the_order_of_periods_has_the_same_states(
    home: Home, order: Sequence[Statement]
) -> None:
    shop = shop_of(home, *WINDOW)
    for hour, statement in enumerate(order):
        deliver(shop, statement, FIRST + timedelta(hours=hour))
    states, versions = shop.states(), shop.versions()
    path_of(shop.table.delta.folder).rename(home.folder / "before")
    for period, _ in (THIRD, FOURTH, FIFTH):
        shop.ingest(period)
    assert (shop.states(), shop.versions()) == (states, versions)


@pytest.mark.parametrize("confirmed", [33, 30])
def test_windows_that_are_ingested_at_once_end_as_they_were_stated(
    home: Home, confirmed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = shop_of(home, *WINDOW)
    deliver(shop, THIRD)
    later = dict(FIFTH[1]) | {"2024-01-03": confirmed}
    for period, units in (FOURTH, (FIFTH[0], later)):
        shop.land(period, csv_of(f"north,{day},{number}" for day, number in units.items()))
    compared, other_at_work = compare, threading.Event()

    def compare_and_wait(*arguments: Any) -> Any:
        difference = compared(*arguments)
        if threading.current_thread().name == FOURTH[0]:
            other.start()
            other_at_work.wait(1)  # it is set where nothing keeps the other one from going on
        else:
            other_at_work.set()
        return difference

    monkeypatch.setattr("mlops_assets.sources.ingest.compare", compare_and_wait)
    one, other = (threading.Thread(target=shop.ingest, args=(key,), name=key) for key in (FOURTH[0], FIFTH[0]))
    one.start()
    one.join()
    other.join()
    assert known(shop) == STATED | later


@st.composite
def statements(draw: st.DrawFn, window: int) -> list[Statement]:
    """Deliveries in some order; a period may be delivered several times."""
    found: list[Statement] = []
    for place in draw(st.lists(st.integers(0, len(DAYS) - 1), min_size=1, max_size=8)):
        covered = DAYS[max(0, place - window + 1) : place + 1]
        held = draw(st.lists(st.sampled_from(covered), unique=True))
        found.append((DAYS[place], {day: draw(st.integers(0, 3)) for day in held}))
    return found


def as_stated(order: Sequence[Statement], window: int) -> dict[str, int]:
    """What is so once all was stated: each day as the delivery of the latest period says that covers it."""
    newest = dict(order)  # of several deliveries of one period the one that came last
    result: dict[str, int] = {}
    for period in sorted(newest):
        covered = DAYS[max(0, DAYS.index(period) - window + 1) : DAYS.index(period) + 1]
        result = {day: units for day, units in result.items() if day not in covered} | dict(newest[period])
    return result


@pytest.mark.parametrize(("fields", "window"), [(WINDOW, 3), (SNAPSHOT, len(DAYS))])
@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_whatever_order_deliveries_come_in_what_is_known_is_what_was_stated_last(
    tmp_path_factory: pytest.TempPathFactory, fields: Sequence[str], window: int, data: st.DataObject
) -> None:
    order = data.draw(statements(window))
    folder: Path = tmp_path_factory.mktemp("stated")
    shop = shop_of(Home(folder / "home").begin(), *fields)
    for hour, statement in enumerate(order):
        deliver(shop, statement, FIRST + timedelta(hours=hour))
    assert known(shop) == as_stated(order, window)
