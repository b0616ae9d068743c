"""Ingestion: what becomes known when, what is refused, and what stays as it was."""

import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mlops_assets.errors import ConflictError, ContractError, DefinitionError, MissingDataError
from mlops_assets.lakehouse.home import Home
from mlops_assets.lakehouse.schema import ALWAYS
from mlops_assets.quality.contract import BrokenContractError
from mlops_assets.sources.landing import landed_periods
from mlops_assets_tests.local_paths import path_of
from mlops_assets_tests.sources.small_project import (
    STATIC,
    Arrival,
    Shop,
    csv_of,
    ingest_apart,
    platform_of,
    sales_yaml,
)

LAG = timedelta(days=5)
PUBLISHED = datetime(2024, 2, 6, tzinfo=UTC)  # January's end and the lag
LATE = datetime(2024, 2, 9, 7, 30, tzinfo=UTC)
CORRECTED = datetime(2024, 3, 20, 12, tzinfo=UTC)
JANUARY = ["north,2024-01-01,1", "south,2024-01-01,2", "west,2024-01-31,3"]
FEBRUARY = ["north,2024-02-01,4", "south,2024-02-01,5", "west,2024-02-29,6"]
KNOWN_JANUARY = {"north 2024-01-01": 1, "south 2024-01-01": 2, "west 2024-01-31": 3}


def moment(month: int, day: int) -> datetime:
    return datetime(2024, month, day, tzinfo=UTC)


def shop_of(home: Home, *fields: str, period: str = "month", first: str = "2024-01") -> Shop:
    lag = () if any(field.startswith("publication_lag") for field in fields) else ("publication_lag: 5 days",)
    return Shop(platform_of(home, sales_yaml(*lag, *fields, period=period, first=first)))


@pytest.fixture
def shop(home: Home) -> Shop:
    """A source of months with a lag of five days, of which a delivery may remove or lack any share."""
    return shop_of(home, "max_removed_share: 1", "min_rows_share: 0")


def refused(shop: Shop, key: str, rows: list[str], at: datetime | None = None) -> ContractError:
    with pytest.raises(ContractError) as caught:
        shop.deliver(key, rows, at)
    return caught.value


def many(count: int, day: str = "2024-01-01", units: int = 1) -> list[str]:
    return [f"shop {number},{day},{units}" for number in range(count)]


# What becomes known when


@pytest.mark.parametrize(
    ("arrival", "known_at"),
    [(PUBLISHED, PUBLISHED), (LATE, LATE), (moment(2, 2), PUBLISHED), (moment(1, 20), PUBLISHED)],
    ids=["on time", "late", "early", "before the period has ended"],
)
def test_a_first_delivery_is_known_at_end_and_lag_or_at_its_arrival_if_that_is_later(
    shop: Shop, arrival: datetime, known_at: datetime
) -> None:
    done = shop.deliver("2024-01", JANUARY, arrival)
    assert {state[2] for state in shop.states()} == {known_at}
    assert (done.delivery.arrived_at, done.delivery.known_at) == (arrival, known_at)
    assert shop.known(known_at) == KNOWN_JANUARY
    assert shop.known(known_at - timedelta(microseconds=1)) == {}


def test_a_period_before_live_since_is_known_at_end_and_lag_whenever_it_is_loaded(home: Home) -> None:
    shop = shop_of(home, "live_since: 2024-02")
    shop.deliver("2024-01", JANUARY, datetime(2030, 1, 1, tzinfo=UTC))
    shop.deliver("2024-02", FEBRUARY)
    assert {(state[0][-10:-3], state[2]) for state in shop.states()} == {
        ("2024-01", PUBLISHED),
        ("2024-02", datetime(2030, 1, 1, tzinfo=UTC)),
    }


def test_history_that_is_corrected_is_known_from_the_correction_on(home: Home) -> None:
    shop = shop_of(home, "live_since: 2024-06")
    shop.deliver("2024-01", JANUARY, CORRECTED)
    shop.deliver("2024-01", [*JANUARY, "east,2024-01-02,9"], CORRECTED + timedelta(days=1))
    assert shop.known(CORRECTED) == KNOWN_JANUARY
    assert shop.known(CORRECTED + timedelta(days=1)) == {**KNOWN_JANUARY, "east 2024-01-02": 9}


@pytest.mark.parametrize(
    ("period", "key", "rows", "known_at"),
    [
        ("day", "2024-01-01", ["north,2024-01-01,1"], moment(1, 7)),
        ("week", "2024-01-01", ["north,2024-01-07,1"], moment(1, 13)),
        ("month", "2024-01", ["north,2024-01-31,1"], moment(2, 6)),
    ],
)
def test_a_day_a_week_and_a_month_end_by_the_calendar(
    home: Home, period: str, key: str, rows: list[str], known_at: datetime
) -> None:
    shop = shop_of(home, period=period, first=key)
    shop.deliver(key, rows)
    assert [state[2] for state in shop.states()] == [known_at]


def test_a_correction_appends_only_the_rows_that_changed(shop: Shop) -> None:
    shop.deliver("2024-01", JANUARY, PUBLISHED)
    before = shop.states()
    done = shop.deliver("2024-01", [JANUARY[0], "south,2024-01-01,20", JANUARY[2]], CORRECTED)
    assert (done.rows, done.appended, done.removed, done.delivery.number) == (3, {"2024-01": 1}, 0, 2)
    added = [state for state in shop.states() if state not in before]
    assert added == [("south 2024-01-01", 20, CORRECTED, False)]
    assert len(shop.states()) == len(before) + 1


def test_a_correction_changes_nothing_that_was_known_before_it(shop: Shop) -> None:
    shop.deliver("2024-01", JANUARY, PUBLISHED)
    shop.deliver("2024-01", ["north,2024-01-01,10", "east,2024-01-05,7"], CORRECTED)
    assert shop.known(CORRECTED - timedelta(microseconds=1)) == KNOWN_JANUARY
    assert shop.known(CORRECTED) == {"north 2024-01-01": 10, "east 2024-01-05": 7}


def test_a_correction_is_never_known_before_what_it_replaces(shop: Shop) -> None:
    # Both files come before the period's publication: the second may not be known while the first is not.
    shop.deliver("2024-01", JANUARY, moment(2, 1))
    shop.deliver("2024-01", ["north,2024-01-01,10", "east,2024-01-05,7"], moment(2, 2))
    assert {state[2] for state in shop.states()} == {PUBLISHED}
    assert shop.known(PUBLISHED - timedelta(microseconds=1)) == {}
    assert shop.known(PUBLISHED) == {"north 2024-01-01": 10, "east 2024-01-05": 7}


def test_a_value_that_becomes_null_and_one_that_was_null_are_corrections(shop: Shop) -> None:
    shop.deliver("2024-01", ["north,2024-01-01,", "south,2024-01-01,2"], PUBLISHED)
    done = shop.deliver("2024-01", ["north,2024-01-01,1", "south,2024-01-01,"], CORRECTED)
    assert done.appended == {"2024-01": 2}
    assert shop.known(PUBLISHED) == {"north 2024-01-01": None, "south 2024-01-01": 2}
    assert shop.known(CORRECTED) == {"north 2024-01-01": 1, "south 2024-01-01": None}


def test_nulls_that_stay_null_are_no_correction(shop: Shop) -> None:
    shop.deliver("2024-01", ["north,2024-01-01,", "south,2024-01-01,2"], PUBLISHED)
    assert shop.deliver("2024-01", ["south,2024-01-01,2", "north,2024-01-01,"], CORRECTED).appended == {}


def test_a_row_that_a_delivery_lacks_was_removed(shop: Shop) -> None:
    shop.deliver("2024-01", JANUARY, PUBLISHED)
    done = shop.deliver("2024-01", JANUARY[:2], CORRECTED)
    assert (done.appended, done.removed) == ({"2024-01": 1}, 1)
    assert shop.states()[-1] == ("west 2024-01-31", 3, CORRECTED, True)
    assert "west 2024-01-31" in shop.known(CORRECTED - timedelta(microseconds=1))
    assert "west 2024-01-31" not in shop.known(CORRECTED)


def test_a_removed_row_that_comes_back_is_known_again_from_then_on(shop: Shop) -> None:
    back = CORRECTED + timedelta(days=1)
    shop.deliver("2024-01", JANUARY, PUBLISHED)
    shop.deliver("2024-01", JANUARY[:2], CORRECTED)
    assert shop.deliver("2024-01", JANUARY, back).appended == {"2024-01": 1}
    west = [state[1:] for state in shop.states() if state[0].startswith("west")]
    assert west == [(3, PUBLISHED, False), (3, CORRECTED, True), (3, back, False)]
    assert "west 2024-01-31" not in shop.known(back - timedelta(microseconds=1))
    assert shop.known(back) == KNOWN_JANUARY


def test_a_row_removed_and_brought_back_at_one_moment_of_the_clock_is_there(shop: Shop) -> None:
    # Three states with one known_at: the order of ingestion decides.
    for rows in (JANUARY, JANUARY[:2], JANUARY):
        shop.deliver("2024-01", rows, moment(2, 1))
    assert shop.known(PUBLISHED) == KNOWN_JANUARY


def test_a_changed_key_is_a_removal_and_an_insertion(shop: Shop) -> None:
    shop.deliver("2024-01", JANUARY, PUBLISHED)
    done = shop.deliver("2024-01", [*JANUARY[:2], "far west,2024-01-31,3"], CORRECTED)
    assert (done.appended, done.removed) == ({"2024-01": 2}, 1)
    assert {(state[0], state[3]) for state in shop.states() if state[2] == CORRECTED} == {
        ("west 2024-01-31", True),
        ("far west 2024-01-31", False),
    }


def test_a_delivery_that_was_refused_and_is_taken_later_corrects_from_then_on(home: Home) -> None:
    # Until it was taken, readers saw the old rows; they must still see them as known at that time.
    taken = CORRECTED + timedelta(days=3)
    strict = shop_of(home)
    strict.deliver("2024-01", JANUARY, PUBLISHED)
    refused(strict, "2024-01", JANUARY[:2], CORRECTED)
    lenient = shop_of(home, "max_removed_share: 1")
    home.clock.set(taken)
    assert lenient.ingest("2024-01").delivery.number == 2
    assert lenient.known(taken - timedelta(microseconds=1)) == KNOWN_JANUARY
    assert "west 2024-01-31" not in lenient.known(taken)


# What a delivery holds


def test_an_increment_removes_nothing_and_adds_and_corrects_what_it_holds(home: Home) -> None:
    shop = shop_of(home, "delivers: increment")
    shop.deliver("2024-01", JANUARY, PUBLISHED)
    done = shop.deliver("2024-01", ["east,2024-01-09,8", "north,2024-01-01,10"], CORRECTED)
    assert (done.rows, done.appended, done.removed) == (2, {"2024-01": 2}, 0)
    assert shop.known(CORRECTED) == {**KNOWN_JANUARY, "east 2024-01-09": 8, "north 2024-01-01": 10}
    assert shop.known(PUBLISHED) == KNOWN_JANUARY


def test_a_window_restates_the_periods_that_it_covers_and_no_others(home: Home) -> None:
    shop = shop_of(home, "delivers: window", "window_periods: 2", "max_removed_share: 0.6", "min_rows_share: 0")
    shop.deliver("2024-01", JANUARY, PUBLISHED)
    shop.deliver("2024-02", [*JANUARY, *FEBRUARY], moment(3, 5))
    done = shop.deliver("2024-03", ["north,2024-02-01,40", "south,2024-02-01,5", "north,2024-03-01,7"], moment(4, 5))
    # January is outside the window and stays, though the file lacks it.
    assert (done.appended, done.removed) == ({"2024-02": 2, "2024-03": 1}, 1)
    assert shop.known(moment(4, 5)) == {**KNOWN_JANUARY, "north 2024-02-01": 40, "south 2024-02-01": 5}
    assert shop.known(moment(4, 6)) == {
        **KNOWN_JANUARY,
        "north 2024-02-01": 40,
        "south 2024-02-01": 5,
        "north 2024-03-01": 7,
    }


def test_a_window_gives_a_period_that_never_came_its_own_publication(home: Home) -> None:
    shop = shop_of(home, "delivers: window", "window_periods: 3", "live_since: 2024-02")
    shop.deliver("2024-03", [*JANUARY, *FEBRUARY, "north,2024-03-01,7"], moment(4, 2))
    assert [(state[0][-10:-3], state[2]) for state in shop.states()] == [
        *[("2024-01", PUBLISHED)] * 3,
        *[("2024-02", moment(4, 2))] * 3,
        ("2024-03", moment(4, 6)),
    ]


def test_a_row_added_to_a_past_period_is_known_with_the_corrections_beside_it(home: Home) -> None:
    # March's file comes before March's publication; what it says of January needs no waiting for that.
    shop = shop_of(home, "delivers: window", "window_periods: 3")
    shop.deliver("2024-01", JANUARY, PUBLISHED)
    restated = ["north,2024-01-01,10", *JANUARY[1:], "east,2024-01-09,8"]
    shop.deliver("2024-03", [*restated, *FEBRUARY, "north,2024-03-01,7", "south,2024-03-01,7"], moment(4, 2))
    assert {state[0]: state[2] for state in shop.states() if state[1] in (8, 10)} == {
        "north 2024-01-01": moment(4, 2),
        "east 2024-01-09": moment(4, 2),
    }


def test_a_window_at_the_start_covers_no_period_before_the_first(home: Home) -> None:
    shop = shop_of(home, "delivers: window", "window_periods: 12")
    assert shop.deliver("2024-01", JANUARY, PUBLISHED).appended == {"2024-01": 3}
    error = refused(shop, "2024-02", [*FEBRUARY, "north,2023-12-31,1"])
    assert error.expected == "rows from 2024-01-01T00:00:00+00:00 to before 2024-03-01T00:00:00+00:00"


def test_a_snapshot_restates_everything_from_the_first_period_on(home: Home) -> None:
    shop = shop_of(home, "delivers: snapshot", "max_removed_share: 0.5")
    shop.deliver("2024-01", JANUARY, PUBLISHED)
    shop.deliver("2024-02", [*JANUARY, *FEBRUARY], moment(3, 6))
    done = shop.deliver("2024-03", ["north,2024-01-01,10", *FEBRUARY, "north,2024-03-01,7", *many(2, "2024-03-02")])
    assert (done.appended, done.removed) == ({"2024-01": 3, "2024-03": 3}, 2)
    assert {key for key in shop.known(moment(4, 6)) if "2024-01" in key} == {"north 2024-01-01"}


def test_a_past_window_that_is_ingested_again_does_not_undo_what_came_after_it(home: Home) -> None:
    # January's own file still says 1, February's window said 10: backfilling January must not bring 1 back.
    shop = shop_of(home, "delivers: window", "window_periods: 2")
    shop.deliver("2024-01", JANUARY, PUBLISHED)
    shop.deliver("2024-02", ["north,2024-01-01,10", *JANUARY[1:], *FEBRUARY], moment(3, 6))
    before = shop.versions()
    done = shop.ingest("2024-01")
    assert (done.rows, done.appended, done.removed) == (3, {}, 0)
    assert shop.versions() == before
    assert shop.known(moment(3, 6))["north 2024-01-01"] == 10


def test_a_static_table_is_known_always(home: Home) -> None:
    shops = Shop(platform_of(home, STATIC), "shops")
    home.clock.set(CORRECTED)
    shops.land(None, "shop,region\nnorth,uplands\nsouth,coast\n")
    assert shops.ingest(None).appended == {"static": 2}
    assert shops.known(ALWAYS) == {"north": "uplands", "south": "coast"}


def test_a_static_table_that_changes_was_always_so(home: Home) -> None:
    shops = Shop(platform_of(home, STATIC), "shops")
    rows = [f"shop {number},coast" for number in range(20)]
    shops.deliver(None, rows)
    done = shops.deliver(None, [*rows[1:-1], "shop 0,uplands", "new,coast"], CORRECTED)
    assert (done.appended, done.removed) == ({"static": 3}, 1)
    known = shops.known(ALWAYS)
    assert (known["shop 0"], known["new"], len(known)) == ("uplands", "coast", 20)


# What does nothing


def test_the_same_delivery_twice_does_nothing(shop: Shop) -> None:
    shop.deliver("2024-01", JANUARY, PUBLISHED)
    before = (shop.versions(), shop.states(), shop.table.delta.version())
    again = shop.deliver("2024-01", JANUARY, CORRECTED)
    assert (again.rows, again.appended, again.removed, again.delivery.number) == (3, {}, 0, 1)
    assert again.delivery.arrived_at == PUBLISHED
    assert (shop.versions(), shop.states(), shop.table.delta.version()) == before


@pytest.mark.parametrize(
    "content",
    [
        csv_of(reversed(JANUARY)),
        csv_of(JANUARY).replace("\n", "\r\n"),
        "units,day,shop\n" + "".join(",".join(reversed(row.split(","))) + "\n" for row in JANUARY),
        csv_of(['"north","2024-01-01","1"', *JANUARY[1:]]),
        "\ufeff" + csv_of(JANUARY),
    ],
    ids=["other order", "other line ends", "other order of columns", "quoted", "byte order mark"],
)
def test_the_same_rows_in_other_bytes_are_kept_and_change_nothing(shop: Shop, content: str) -> None:
    shop.deliver("2024-01", JANUARY, PUBLISHED)
    before = (shop.versions(), shop.table.delta.version())
    shop.land("2024-01", content)
    done = shop.ingest("2024-01")
    assert (done.appended, done.delivery.number, done.delivery.accepted) == ({}, 2, True)
    assert (shop.versions(), shop.table.delta.version()) == before


def test_deliveries_in_another_order_of_rows_have_the_same_data_version(shop: Shop, tmp_path: Path) -> None:
    shop.deliver("2024-01", JANUARY, PUBLISHED)
    other = shop_of(Home(tmp_path / "other" / "home").prepare(), "max_removed_share: 1")
    other.deliver("2024-01", reversed(JANUARY), PUBLISHED)
    assert other.versions() == shop.versions()


def test_the_data_version_does_not_depend_on_when_it_was_ingested_but_on_when_it_was_known(
    shop: Shop, tmp_path: Path
) -> None:
    shop.deliver("2024-01", JANUARY, moment(1, 15))
    versions = []
    for name, arrival in (("on time", PUBLISHED), ("late", LATE)):
        other = shop_of(Home(tmp_path / name / "home").prepare())
        other.deliver("2024-01", JANUARY, arrival)
        versions.append(other.versions())
    assert versions[0] == shop.versions()
    assert versions[1] != shop.versions()


def test_a_table_that_was_lost_is_built_anew_from_the_same_deliveries(shop: Shop, home: Home) -> None:
    import shutil

    shop.deliver("2024-01", JANUARY, LATE)
    shop.deliver("2024-02", FEBRUARY, moment(3, 8))
    before = shop.versions()
    shutil.rmtree(path_of(home.tables))
    home.clock.set(CORRECTED)
    for key in ("2024-01", "2024-02"):
        shop.ingest(key)
    assert shop.versions() == before


def test_two_who_ingest_one_period_at_once_do_not_both_write(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.deliver("2024-01", JANUARY, PUBLISHED)
    shop.land("2024-01", csv_of([*JANUARY, "east,2024-01-09,8"]))
    engine = type(shop.platform.engine)
    compare = engine.changes

    def overtaken(*arguments: object, **options: object) -> object:
        found = compare(*arguments, **options)  # type: ignore[arg-type]
        monkeypatch.setattr(engine, "changes", compare)
        shop.ingest("2024-01")
        return found

    monkeypatch.setattr(engine, "changes", overtaken)
    with pytest.raises(ConflictError):
        shop.ingest("2024-01")
    assert [state[0] for state in shop.states()].count("east 2024-01-09") == 1
    assert shop.ingest("2024-01").appended == {}


# What is refused


def test_a_delivery_that_removes_more_than_a_tenth_is_refused(home: Home) -> None:
    shop = shop_of(home)
    shop.deliver("2024-01", many(20), PUBLISHED)
    error = refused(shop, "2024-01", many(17), CORRECTED)
    assert isinstance(error, BrokenContractError)
    assert [(outcome.name, outcome.failures) for outcome in error.outcomes] == [("delivery_whole", 3)]
    assert error.found == "in 'sales': a delivery that would remove 3 of 20 rows"
    assert error.expected == "at most 10% removed: more is likely a file cut short"
    assert error.cure == "ask for the whole file, or raise max_removed_share if so much was really removed"
    assert len(shop.known(CORRECTED)) == 20


def test_a_delivery_that_removes_just_a_tenth_is_taken(home: Home) -> None:
    shop = shop_of(home)
    shop.deliver("2024-01", many(20), PUBLISHED)
    assert shop.deliver("2024-01", many(18), CORRECTED).removed == 2


def test_a_first_delivery_of_far_fewer_rows_than_the_last_period_is_refused(home: Home) -> None:
    shop = shop_of(home)
    shop.deliver("2024-01", many(20), PUBLISHED)
    error = refused(shop, "2024-02", many(9, "2024-02-01"), moment(3, 6))
    assert error.found == "in 'sales': 9 rows of 2024-02 in its first delivery, after 20 rows in 2024-01"
    assert error.expected == "at least 50% of the last period's: fewer is likely a file cut short"
    assert error.cure == "ask for the whole file, or lower min_rows_share if there are really so few"
    assert shop.deliver("2024-02", many(10, "2024-02-01")).appended == {"2024-02": 10}


def test_a_delivery_without_rows_after_a_period_with_rows_is_refused(home: Home) -> None:
    shop = shop_of(home)
    shop.deliver("2024-01", JANUARY, PUBLISHED)
    assert "0 rows of 2024-02" in refused(shop, "2024-02", [], moment(3, 6)).found


@pytest.mark.parametrize("delivers", ["window", "snapshot"])
def test_a_restatement_that_ends_before_its_own_period_is_refused(home: Home, delivers: str) -> None:
    # Nothing is removed, for the period was never there: a file cut short between rows, sorted by time.
    shop = shop_of(home, f"delivers: {delivers}", "window_periods: 2")
    shop.deliver("2024-01", many(20), PUBLISHED)
    error = refused(shop, "2024-02", [*many(20), *many(2, "2024-02-01")], moment(3, 6))
    assert "2 rows of 2024-02 in its first delivery, after 20 rows in 2024-01" in error.found


def test_an_increment_may_hold_as_little_as_it_likes(home: Home) -> None:
    shop = shop_of(home, "delivers: increment")
    shop.deliver("2024-01", many(20), PUBLISHED)
    assert shop.deliver("2024-02", many(1, "2024-02-01"), moment(3, 6)).appended == {"2024-02": 1}


def test_a_file_cut_short_between_rows_is_refused_at_every_row(home: Home) -> None:
    shop = shop_of(home, "max_removed_share: 0")
    shop.deliver("2024-01", many(6), PUBLISHED)
    for kept in range(6):
        assert f"would remove {6 - kept} of 6 rows" in refused(shop, "2024-01", many(kept), CORRECTED).found
    assert len(shop.states()) == 6


def test_a_row_outside_its_period_is_refused(shop: Shop) -> None:
    for row in ("north,2024-02-01,1", "north,2023-12-31,1"):
        error = refused(shop, "2024-01", [*JANUARY, row], PUBLISHED)
        assert error.found == f"a row of {row.split(',')[1]}T00:00:00+00:00 in the delivery of 'sales' for 2024-01"
        assert error.expected == "rows from 2024-01-01T00:00:00+00:00 to before 2024-02-01T00:00:00+00:00"
        assert error.cure == "put the row into its own period's file, or declare what a delivery holds"
    assert not shop.table.delta.exists()


def test_a_missing_file_is_asked_for(shop: Shop) -> None:
    with pytest.raises(MissingDataError) as missing:
        shop.ingest("2024-01")
    assert missing.value.found == f"no file {shop.landing('2024-01')} for period 2024-01 of source 'sales'"
    assert missing.value.cure == "deliver the file, or choose a period that was delivered"


def test_a_file_that_went_away_after_it_was_ingested_is_asked_for(shop: Shop) -> None:
    shop.deliver("2024-01", JANUARY, PUBLISHED)
    shop.landing("2024-01").unlink()
    with pytest.raises(MissingDataError):
        shop.ingest("2024-01")
    assert shop.known(PUBLISHED) == KNOWN_JANUARY


@pytest.mark.parametrize("delivers", ["period", "window", "snapshot", "increment"])
@pytest.mark.parametrize("key", ["2023-12", "2024-07"])
def test_a_partition_that_does_not_exist_is_refused(home: Home, delivers: str, key: str) -> None:
    shop = shop_of(home, f"delivers: {delivers}", "last_period: 2024-06")
    with pytest.raises(MissingDataError) as missing:
        shop.deliver(key, [f"north,{key}-01,1"])
    assert missing.value.found == f"no period {key} of source 'sales'"
    assert missing.value.expected == "a period from 2024-01 to 2024-06"
    assert missing.value.cure == "choose one of these, or correct first_period and last_period in YAML"
    assert not shop.platform.deliveries.folder.exists()


def test_a_period_that_the_calendar_does_not_have_is_refused(shop: Shop) -> None:
    for key in ("2024-13", "2024-01-01", "january"):
        with pytest.raises(DefinitionError) as unknown:
            shop.ingest(key)
        assert unknown.value.found == f"period '{key}'"


BROKEN: dict[str, str | bytes] = {
    "text in a number column": csv_of([*JANUARY, "east,2024-01-02,many"]),
    "a key twice": csv_of([*JANUARY, JANUARY[0]]),
    "a null in a key": csv_of([*JANUARY, ",2024-01-02,1"]),
    "a value out of range": csv_of([*JANUARY, "east,2024-01-02,-1"]),
    "another header": csv_of(JANUARY, header="store,day,units"),
    "a row cut short": csv_of(JANUARY)[: -len("01-31,3\n")],
    "nothing": "",
    "a row outside its period": csv_of([*JANUARY, "east,2024-03-02,1"]),
    "another encoding": csv_of(JANUARY).replace("west", "Köln").encode("latin-1"),
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN.keys())
def test_a_refused_delivery_is_kept_as_it_came_and_leaves_the_last_good_state(home: Home, content: str | bytes) -> None:
    shop = shop_of(home)
    shop.deliver("2024-01", JANUARY, PUBLISHED)
    before = (shop.versions(), shop.table.delta.version())
    home.clock.set(CORRECTED)
    file = shop.land("2024-01", content)
    for _ in range(2):  # asking again changes nothing either
        with pytest.raises(ContractError):
            shop.ingest("2024-01")
    assert (shop.versions(), shop.table.delta.version()) == before
    assert shop.known(CORRECTED) == KNOWN_JANUARY
    first, second = shop.platform.deliveries.of("sales", "2024-01")
    assert (first.accepted, second.accepted, second.arrived_at) == (True, False, CORRECTED)
    assert shop.platform.deliveries.content_files(second)[0].read_bytes() == file.read_bytes()


def test_a_good_delivery_after_a_refused_one_is_taken(shop: Shop) -> None:
    shop.land("2024-01", BROKEN["text in a number column"])
    with pytest.raises(ContractError):
        shop.ingest("2024-01")
    assert shop.platform.deliveries.first_accepted("sales", "2024-01") is None
    done = shop.deliver("2024-01", JANUARY, LATE)
    assert (done.delivery.number, done.delivery.known_at) == (2, LATE)
    assert shop.known(LATE) == KNOWN_JANUARY


def test_what_was_checked_is_said(shop: Shop) -> None:
    done = shop.deliver("2024-01", JANUARY, PUBLISHED)
    assert {outcome.name: (outcome.passed, outcome.found) for outcome in done.checks} == {
        "columns_and_types": (True, "3 columns as declared"),
        "keys_unique": (True, "3 rows, each key once"),
        "values_not_null": (True, "no nulls where none are allowed"),
        "values_allowed": (True, "all values allowed"),
    }


def test_a_source_with_a_landing_folder_of_its_own_is_read_from_there(home: Home) -> None:
    shop = shop_of(home, "landing: incoming")
    assert shop.landing("2024-01") == home.folder.parent / "project" / "incoming" / "2024-01.csv"
    assert shop.deliver("2024-01", JANUARY, PUBLISHED).appended == {"2024-01": 3}


# Killed anywhere, and run again


@pytest.mark.slow
def test_a_delivery_that_is_killed_at_any_write_and_run_again_ends_the_same(tmp_path: Path) -> None:
    restated = ["north,2024-01-01,10", *JANUARY[2:]]  # one row corrected, one removed
    steps = [("2024-01", PUBLISHED, csv_of(JANUARY)), ("2024-02", CORRECTED, csv_of([*restated, *FEBRUARY]))]
    later = ["delivery content", "delivery record", "commit sales", "sums sales", "delivery accepted"]
    points = [[*later[:2], "create sales", *later[2:]], later]

    def waiting(name: str) -> Shop:
        fields = ("max_removed_share: 0.5", "delivers: window", "window_periods: 2")
        return shop_of(Home(tmp_path / name / "home").prepare(), *fields)

    calm, log = waiting("calm"), tmp_path / "points.txt"
    arrivals = [Arrival(calm, *step, {"MLOPS_WRITE_POINT_LOG": str(log)}) for step in steps]
    codes = [0 for _ in steps]
    killed = {number: waiting(f"killed {number}") for number in range(1, 7)}
    for number, shop in killed.items():
        for step, named in zip(steps, points, strict=True):
            if number <= len(named):
                arrivals.append(Arrival(shop, *step, {"MLOPS_KILL_AT_WRITE": str(number)}))
                codes.append(-signal.SIGKILL)
            arrivals.append(Arrival(shop, *step, {}))
            codes.append(0)
    assert ingest_apart(arrivals) == codes
    assert [line.split(" ", 1)[1] for line in log.read_text().splitlines()] == [*points[0], *points[1]]
    assert len(calm.states()) == len([*JANUARY, *FEBRUARY, "corrected", "removed"])
    for number, shop in killed.items():
        assert shop.states() == calm.states(), number
        assert shop.versions() == calm.versions(), number
        for key in ("2024-01", "2024-02"):
            assert [kept.accepted for kept in shop.platform.deliveries.of("sales", key)] == [True], number


def test_importing_ingestion_imports_no_vendor() -> None:
    code = "import sys, mlops_assets.sources.ingest, mlops_assets.sources.publisher\n"
    code += "print([name for name in ('pyarrow', 'duckdb', 'deltalake', 'sqlglot', 'dagster') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# Where the home lies


@pytest.mark.parametrize("name", ["home *", "home?", "{home,other}", "50% home", "home #1", "it's"])
def test_a_home_may_lie_in_a_folder_whose_name_would_match_others(tmp_path: Path, name: str) -> None:
    shop = shop_of(Home(tmp_path / name / "home").begin())
    shop.deliver("2024-01", ["north,2024-01-01,5"], datetime(2024, 2, 1, tzinfo=UTC))
    shop.deliver("2024-01", ["north,2024-01-01,6"], datetime(2024, 2, 2, tzinfo=UTC))
    assert shop.known(datetime(2024, 3, 1, tzinfo=UTC)) == {"north 2024-01-01": 6}


def test_files_may_land_in_a_folder_with_brackets_in_its_name(home: Home, tmp_path: Path) -> None:
    shop = shop_of(home, "landing: 'arrivals [prod]'", 'files: {pattern: "[shop] {period}.csv"}')
    shop.deliver("2024-01", ["north,2024-01-01,5"], datetime(2024, 2, 1, tzinfo=UTC))
    assert [period.key for period, _ in landed_periods(shop.platform, shop.source) if period] == ["2024-01"]
    assert shop.known(datetime(2024, 3, 1, tzinfo=UTC)) == {"north 2024-01-01": 5}
