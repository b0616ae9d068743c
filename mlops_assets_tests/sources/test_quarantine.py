"""Quarantine: bad rows are put aside with their reason, stay in service as they were, and come in after a fix."""

import json
import signal
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.lakehouse.home import Home
from mlops_assets.quality.contract import BrokenContractError
from mlops_assets.sources.ingest import Ingested
from mlops_assets.sources.quarantine import QuarantinedRow, quarantined
from mlops_assets.sources.quarantine_replay import Replayed, replay_quarantine
from mlops_assets.sources.row_faults import may_be_among
from mlops_assets_tests.sources.small_project import (
    STATIC,
    Arrival,
    Shop,
    csv_of,
    ingest_apart,
    platform_of,
    sales_yaml,
)

COLUMNS = """
    shop: {type: string, description: Shop, allowed: [north, south, west, east]}
    day: {type: date, description: Day of the sales}
    units: {type: bigint, description: Units sold, minimum: 0, nullable: false}
"""
LENIENT = """
    shop: {type: string, description: Shop}
    day: {type: date, description: Day of the sales}
    units: {type: bigint, description: Units sold}
"""
FIRST = datetime(2024, 2, 6, tzinfo=UTC)
LATER = FIRST + timedelta(days=3)
FIXED = FIRST + timedelta(days=9)
GOOD = ["north,2024-01-01,1", "south,2024-01-01,2"]


def shop_of(home: Home, *fields: str, share: float = 1, columns: str = COLUMNS) -> Shop:
    shares = (f"max_bad_share: {share}", "max_removed_share: 1", "min_rows_share: 0")
    return Shop(platform_of(home, sales_yaml(*shares, *fields, columns=columns)))


def waiting(shop: Shop) -> list[QuarantinedRow]:
    return [row for row in quarantined(shop.platform, shop.source) if row.waits]


def replay(shop: Shop, at: datetime = FIXED) -> list[Replayed]:
    shop.platform.home.clock.set(at)
    return replay_quarantine(shop.platform, shop.source)


# What is put aside


@pytest.mark.parametrize(
    ("row", "rules", "reason"),
    [
        ("west,2024-01-01,many", "columns_and_types", "'units' is 'many', not a value of type bigint"),
        ("west,2024-01-01,", "values_not_null", "'units' is null"),
        (",2024-01-01,1", "values_not_null", "'shop' is null"),
        ("west,2024-01-01,-3", "values_allowed", "'units' is below 0: -3"),
        ("mars,2024-01-01,1", "values_allowed", "'shop' is not in north, south, west, east: mars"),
        (
            "mars,2024-01-01,-1",
            "values_allowed",
            "'shop' is not in north, south, west, east: mars; 'units' is below 0: -1",
        ),
        (
            "west,soon,",
            "columns_and_types, values_not_null",
            "'day' is 'soon', not a value of type date: 2001-03, 2001-03-05 or 2001-03-05T12:00:00+00:00; no offset "
            "means UTC, and no zone has a name; 'units' is null",
        ),
    ],
)
def test_a_bad_row_is_put_aside_as_it_came_with_all_that_is_wrong(
    home: Home, row: str, rules: str, reason: str
) -> None:
    shop = shop_of(home)
    done = shop.deliver("2024-01", [GOOD[0], row, GOOD[1]], FIRST)
    assert (done.rows, done.put_aside, done.appended) == (2, 1, {"2024-01": 2})
    assert shop.known(FIRST) == {"north 2024-01-01": 1, "south 2024-01-01": 2}
    (aside,) = quarantined(shop.platform, shop.source, "2024-01")
    assert (aside.rules, aside.reason) == (rules, reason)
    assert (aside.delivery, aside.sha256, aside.row, aside.place) == (
        1,
        done.delivery.sha256,
        2,
        "row 2 below the header",
    )
    assert json.loads(aside.original) == dict(
        zip(("shop", "day", "units"), (text or None for text in row.split(",")), strict=True)
    )
    assert (aside.arrived_at, aside.outcome, aside.settled_at) == (FIRST, "waiting", None)


OF_DECIMALS = """
    shop: {type: "decimal(4, 2)", description: Number of a shop}
    day: {type: date, description: Day of the sales}
    units: {type: "decimal(6,2)", description: Litres sold, minimum: 0.1}
"""


def test_decimals_are_keys_and_values_whose_spelling_does_not_count(home: Home) -> None:
    shop = shop_of(home, columns=OF_DECIMALS)
    lines = ["1.5,2024-01-01,0.1", "2,2024-01-01,1.234", "3,2024-01-01,0.09", "4,2024-01-01,1", "4.00,2024-01-01,1.0"]
    shop.deliver("2024-01", lines, FIRST)
    assert [(row.row, row.reason) for row in waiting(shop)] == [
        (2, "'units' is '1.234', not a value of type decimal(6,2)"),
        (3, "'units' is below 0.1: 0.09"),
        (4, "2 rows have the key shop=4.00, day=2024-01-01"),
        (5, "2 rows have the key shop=4.00, day=2024-01-01"),
    ]
    assert shop.known(FIRST) == {"1.50 2024-01-01": Decimal("0.1")}
    again = shop.deliver("2024-01", ["1.50,2024-01-01,0.10", "3,2024-01-01,0.09"], LATER)
    assert again.appended == {}, "other spellings are no correction"
    lenient = shop_of(home, columns=OF_DECIMALS.replace("0.1}", "0.01}"))
    assert [done.ingested for done in replay(lenient)] == [1]
    assert lenient.known(FIXED) == {"1.50 2024-01-01": Decimal("0.10"), "3.00 2024-01-01": Decimal("0.09")}


def test_all_rows_of_a_repeated_key_are_put_aside_because_nobody_knows_which_is_right(home: Home) -> None:
    shop = shop_of(home)
    done = shop.deliver("2024-01", [*GOOD, "north,2024-01-01,5", "west,2024-01-01,9"], FIRST)
    assert (done.rows, done.put_aside) == (2, 2)
    assert shop.known(FIRST) == {"south 2024-01-01": 2, "west 2024-01-01": 9}
    assert {(row.row, row.reason) for row in waiting(shop)} == {
        (1, "2 rows have the key shop=north, day=2024-01-01"),
        (3, "2 rows have the key shop=north, day=2024-01-01"),
    }


@pytest.mark.parametrize(("share", "taken"), [(0, False), (0.24, False), (0.25, True), (1, True)])
def test_more_bad_rows_than_the_declared_share_refuse_the_delivery(home: Home, share: float, taken: bool) -> None:
    shop = shop_of(home, share=share)
    rows = [*GOOD, "west,2024-01-01,3", "east,2024-01-01,-3"]
    if taken:
        assert shop.deliver("2024-01", rows, FIRST).put_aside == 1
        return
    with pytest.raises(BrokenContractError) as refused:
        shop.deliver("2024-01", rows, FIRST)
    assert (shop.table.states().num_rows, waiting(shop)) == (0, [])
    assert [check.name for check in refused.value.outcomes if not check.passed] == ["values_allowed"]
    if share:
        assert refused.value.found == "in 'sales': 1 rows where 'units' is below 0: -3"
        assert refused.value.expected == "at most 0.24 of the rows to be put aside, and not 1 of 4"


def test_a_fault_of_structure_refuses_the_delivery_whatever_may_be_put_aside(home: Home) -> None:
    shop = shop_of(home)
    for content in ("shop,day\nnorth,2024-01-01\n", "shop,day,units\nnorth,2024-01-01\n", 'shop,day,units\n"north'):
        shop.land("2024-01", content)
        with pytest.raises(BrokenContractError):
            shop.ingest("2024-01")
    assert waiting(shop) == []


def test_a_source_without_bad_rows_has_no_quarantine(home: Home) -> None:
    shop = shop_of(home)
    assert shop.deliver("2024-01", GOOD, FIRST).put_aside == 0
    assert not shop.platform.quarantine("sales").delta.exists()


def test_ingesting_again_changes_nothing_and_says_the_same(home: Home) -> None:
    shop = shop_of(home)
    rows = [*GOOD, "west,2024-01-01,-3"]
    shop.deliver("2024-01", rows, FIRST)
    before = (shop.states(), waiting(shop), shop.platform.quarantine("sales").delta.version())
    again = shop.deliver("2024-01", rows, LATER)
    assert (again.rows, again.put_aside, again.appended) == (2, 1, {})
    assert (shop.states(), waiting(shop), shop.platform.quarantine("sales").delta.version()) == before


# What is missing because it was put aside


def test_a_row_that_was_put_aside_keeps_its_last_good_state_in_service(home: Home) -> None:
    shop = shop_of(home)
    shop.deliver("2024-01", [*GOOD, "west,2024-01-01,3"], FIRST)
    done = shop.deliver("2024-01", ["north,2024-01-01,-1", "south,2024-01-01,2"], LATER)
    assert (done.removed, done.held_back) == (1, 1)
    assert shop.known(LATER) == {"north 2024-01-01": 1, "south 2024-01-01": 2}


@pytest.mark.parametrize(
    ("row", "kept"),
    [
        (",2024-01-01,1", {"north", "west"}),
        ("north,soon,1", {"north"}),
        (",soon,1", {"north", "west", "east"}),
        ("mars,2024-01-01,1", set()),
    ],
    ids=["no key", "no time", "neither", "another key"],
)
def test_a_row_whose_key_cannot_be_read_may_be_any_that_is_missing(home: Home, row: str, kept: set[str]) -> None:
    shop = shop_of(home)
    shop.deliver("2024-01", [*GOOD, "west,2024-01-01,3", "east,2024-01-20,4"], FIRST)
    done = shop.deliver("2024-01", [GOOD[1], row], LATER)
    assert {key.split()[0] for key in shop.known(LATER)} == {"south", *kept}
    assert (done.held_back, done.removed) == (len(kept), 3 - len(kept))


def test_keys_of_which_a_part_is_unknown_may_be_any() -> None:
    rows = [("a", 1), ("a", 2), ("b", 3)]
    assert may_be_among(rows, []) == [False, False, False]
    assert may_be_among(rows, [("a", None)]) == [True, True, False]
    assert may_be_among(rows, [(None, None)]) == [True, True, True]


# Replay


def test_after_a_fix_the_rows_that_pass_are_ingested_as_a_correction_and_the_rest_waits(home: Home) -> None:
    shop_of(home).deliver("2024-01", [*GOOD, "west,2024-01-01,-3", "east,2024-01-01,many"], FIRST)
    fixed = shop_of(home, columns=LENIENT)
    (done,) = replay(fixed)
    assert (done.period, done.ingested, done.superseded, done.waiting, done.appended) == (
        "2024-01",
        1,
        0,
        1,
        {"2024-01": 1},
    )
    assert fixed.states()[-1] == ("west 2024-01-01", -3, FIXED, False)
    assert "west 2024-01-01" not in fixed.known(FIXED - timedelta(microseconds=1))
    west, east = quarantined(fixed.platform, fixed.source)
    assert (west.outcome, west.settled_at, east.outcome) == ("ingested", FIXED, "waiting")


def test_a_replay_without_a_fix_and_one_after_another_change_nothing(home: Home) -> None:
    shop = shop_of(home)
    shop.deliver("2024-01", [*GOOD, "west,2024-01-01,-3"], FIRST)
    before = (shop.states(), quarantined(shop.platform, shop.source))
    (done,) = replay(shop)
    assert (done.ingested, done.waiting, done.appended) == (0, 1, {})
    assert (shop.states(), quarantined(shop.platform, shop.source)) == before
    fixed = shop_of(home, columns=LENIENT)
    replay(fixed)
    after = (fixed.states(), quarantined(fixed.platform, fixed.source), fixed.table.delta.version())
    assert replay(fixed, FIXED + timedelta(days=1)) == []
    assert fixed.ingest("2024-01").appended == {}
    assert (fixed.states(), quarantined(fixed.platform, fixed.source), fixed.table.delta.version()) == after


def test_a_reason_follows_the_contract_of_today(home: Home) -> None:
    shop_of(home).deliver("2024-01", [*GOOD, "mars,2024-01-01,-3"], FIRST)
    stricter = shop_of(home, columns=LENIENT.replace("Units sold", "Units sold, minimum: -2"))
    replay(stricter)
    assert [row.reason for row in waiting(stricter)] == ["'units' is below -2: -3"]


def test_rows_of_a_period_that_was_all_bad_are_known_from_the_replay_on(home: Home) -> None:
    shop_of(home).deliver("2024-01", ["west,2024-01-01,-3"], FIRST)
    fixed = shop_of(home, columns=LENIENT)
    replay(fixed)
    assert fixed.known(FIXED - timedelta(microseconds=1)) == {}
    assert fixed.known(FIXED) == {"west 2024-01-01": -3}


def test_corrected_data_supersedes_what_its_earlier_delivery_put_aside(home: Home) -> None:
    shop = shop_of(home)
    shop.deliver("2024-01", [*GOOD, "west,2024-01-01,-3"], FIRST)
    shop.deliver("2024-01", [*GOOD, "west,2024-01-01,3"], LATER)
    (row,) = quarantined(shop.platform, shop.source)
    assert (row.outcome, row.settled_at) == ("superseded", LATER)
    assert replay(shop_of(home, columns=LENIENT)) == []


def test_what_a_later_window_holds_is_not_brought_back(home: Home) -> None:
    fields = ("delivers: window", "window_periods: 2")
    shop = shop_of(home, *fields)
    shop.deliver("2024-01", [*GOOD, "west,2024-01-01,-3"], FIRST)
    shop.deliver("2024-02", [*GOOD, "north,2024-02-01,1", "west,2024-02-01,-9"], FIRST + timedelta(days=29))
    fixed = shop_of(home, *fields, columns=LENIENT)
    first, second = replay(fixed, FIRST + timedelta(days=40))
    assert (first.period, first.ingested, first.superseded) == ("2024-01", 0, 1)
    assert (second.period, second.ingested, second.superseded) == ("2024-02", 1, 0)
    assert "west 2024-01-01" not in fixed.known(FIRST + timedelta(days=40))


def test_additions_leave_what_is_owed_and_a_later_one_with_the_key_settles_it(home: Home) -> None:
    shop = shop_of(home, "delivers: increment")
    shop.deliver("2024-01", [*GOOD, "west,2024-01-01,-3", "east,2024-01-01,-4"], FIRST)
    shop.deliver("2024-01", ["west,2024-01-01,7"], LATER)
    assert [row.row for row in waiting(shop)] == [3, 4]
    (done,) = replay(shop_of(home, "delivers: increment", columns=LENIENT))
    assert (done.ingested, done.superseded, done.appended) == (1, 1, {"2024-01": 1})
    known = shop.known(FIXED)
    assert (known["west 2024-01-01"], known["east 2024-01-01"], len(known)) == (7, -4, 4)


def test_a_removal_that_was_held_back_is_made_once_it_is_certain(home: Home) -> None:
    shop = shop_of(home)
    shop.deliver("2024-01", [*GOOD, "west,2024-01-01,3"], FIRST)
    assert shop.deliver("2024-01", [*GOOD, "west,soon,3", "east,2024-01-05,-1"], LATER).held_back == 1
    assert "west 2024-01-01" in shop.known(LATER)
    assert shop.deliver("2024-01", GOOD, LATER + timedelta(days=1)).removed == 1
    assert "west 2024-01-01" not in shop.known(LATER + timedelta(days=1))


def test_a_replay_keeps_out_what_an_expectation_blocks(home: Home) -> None:
    shop_of(home).deliver("2024-01", [*GOOD, "west,2024-01-01,-3"], FIRST)
    strict = ("expectations:", "  - {column: units, minimum: -2, severity: block}")
    with pytest.raises(BrokenContractError, match="1 values of 'units' below -2, such as -3"):
        replay(shop_of(home, *strict, columns=LENIENT))
    shop = shop_of(home, columns=LENIENT)
    assert (len(shop.states()), [row.row for row in waiting(shop)]) == (2, [3])


def test_a_static_table_is_replayed(home: Home) -> None:
    share = "  static: true\n  max_bad_share: 0.5"
    shops = Shop(platform_of(home, STATIC.replace("  static: true", share)), "shops")
    shops.deliver(None, ["north,coast", "south,"], FIRST)
    assert [row.reason for row in waiting(shops)] == ["'region' is null"]
    lenient = STATIC.replace("  static: true", share).replace(", nullable: false", "")
    fixed = Shop(platform_of(home, lenient), "shops")
    (done,) = replay(fixed)
    assert (done.ingested, done.appended) == (1, {"static": 1})
    assert fixed.known(FIXED) == {"north": "coast", "south": None}


# Any delivery


TEXTS = st.tuples(
    st.sampled_from(["north", "south", "mars", "", " north "]),
    st.sampled_from(["2024-01-01", "2024-01-02", "soon", ""]),
    st.sampled_from(["1", "2", "-1", "many", ""]),
)
DELIVERIES = st.lists(st.lists(TEXTS, max_size=8), min_size=2, max_size=3)


def lived(folder: Path, fields: list[str], deliveries: list[list[tuple[str, ...]]]) -> tuple[Shop, list[Ingested]]:
    shop = shop_of(Home(folder / "home").prepare(), *fields)
    return shop, [
        shop.deliver("2024-01", [",".join(row) for row in rows], FIRST + timedelta(days=place))
        for place, rows in enumerate(deliveries)
    ]


@pytest.mark.slow
@given(rows=st.lists(TEXTS, max_size=12))
@settings(max_examples=6)
def test_every_row_is_in_the_table_unchanged_or_in_quarantine_with_a_reason(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, ...]]
) -> None:
    shop, (done,) = lived(tmp_path_factory.mktemp("shop"), [], [rows])
    aside = waiting(shop)
    assert all(row.reason and row.rules for row in aside)
    assert [tuple(text or "" for text in json.loads(row.original).values()) for row in aside] == [
        rows[row.row - 1] for row in aside
    ]
    places = {row.row for row in aside}
    others = [[text.strip() for text in row] for place, row in enumerate(rows, 1) if place not in places]
    table = [[state["shop"], str(state["day"]), str(state["units"])] for state in shop.table.states().to_pylist()]
    assert sorted(table) == sorted(others)
    assert (done.rows, done.put_aside) == (len(others), len(aside))


@pytest.mark.slow
@pytest.mark.parametrize("delivers", ["period", "increment"])
@given(deliveries=DELIVERIES)
@settings(max_examples=4)
def test_after_a_replay_is_known_what_would_be_had_the_contract_been_right_from_the_start(
    tmp_path_factory: pytest.TempPathFactory, delivers: str, deliveries: list[list[tuple[str, ...]]]
) -> None:
    folder = tmp_path_factory.mktemp("shops")
    shop, _ = lived(folder, [f"delivers: {delivers}"], deliveries)
    fields = (f"delivers: {delivers}",)
    fixed = shop_of(shop.platform.home, *fields, columns=LENIENT)
    before = fixed.known(FIXED - timedelta(microseconds=1))
    replay(fixed)
    right = shop_of(Home(folder / "right" / "home").prepare(), *fields, columns=LENIENT)
    for place, rows in enumerate(deliveries):
        right.deliver("2024-01", [",".join(row) for row in rows], FIRST + timedelta(days=place))
    texts = [list(json.loads(row.original).values()) for row in waiting(right)]
    unclear = [((shop or "").strip() or None, day if (day or "").startswith("2") else None) for shop, day, _ in texts]

    def clear(known: dict[str, Any]) -> dict[str, Any]:
        doubtful = may_be_among([tuple(key.split()) for key in known], unclear)
        return {key: units for (key, units), may in zip(known.items(), doubtful, strict=True) if not may}

    assert clear(fixed.known(FIXED)) == clear(right.known(FIXED))
    assert fixed.known(FIXED - timedelta(microseconds=1)) == before
    assert {(row.delivery, row.row) for row in waiting(fixed)} == {(row.delivery, row.row) for row in waiting(right)}


def test_nothing_of_the_table_is_asked_of_sources_that_put_nothing_aside(home: Home) -> None:
    shop = shop_of(home, share=0)
    known: dict[str, Any] = {"north 2024-01-01": 1, "south 2024-01-01": 2}
    shop.deliver("2024-01", GOOD, FIRST)
    assert (shop.known(FIRST), replay(shop)) == (known, [])


@pytest.mark.slow
def test_an_ingestion_killed_anywhere_and_run_again_puts_each_row_in_one_place(tmp_path: Path) -> None:
    rows = [*GOOD, "west,2024-01-01,-3", "north,2024-01-01,5"]
    calm = shop_of(Home(tmp_path / "calm" / "home").prepare())
    log = tmp_path / "points.log"
    assert ingest_apart([Arrival(calm, "2024-01", FIRST, csv_of(rows), {"MLOPS_WRITE_POINT_LOG": str(log)})]) == [0]
    points = [line.split(" ", 1)[1] for line in log.read_text(encoding="utf-8").splitlines()]
    assert points.index("commit sales.quarantine") < points.index("commit sales")
    for number in range(1, len(points) + 1):
        killed = shop_of(Home(tmp_path / str(number) / "home").prepare())
        arrivals = [
            Arrival(killed, "2024-01", FIRST, csv_of(rows), variables)
            for variables in ({"MLOPS_KILL_AT_WRITE": str(number)}, {})
        ]
        assert ingest_apart(arrivals) == [-signal.SIGKILL, 0]
        assert killed.states() == calm.states(), points[number - 1]
        assert waiting(killed) == waiting(calm), points[number - 1]


@pytest.mark.parametrize(
    ("form", "content", "places", "originals"),
    [
        (
            "json_lines",
            b'{"shop": "north", "day": "2024-01-01", "units": 1}\n'
            b'{"shop": "west", "day": "2024-01-01", "units": "x"}\n',
            ["line 2"],
            [{"shop": "west", "day": "2024-01-01", "units": "x"}],
        ),
        (
            "csv",
            b'"shop","day",units\nnorth,2024-01-01,1\n"we\nst",2024-01-01,2\n',
            ["row 2 below the header"],
            [{"shop": "we\nst", "day": "2024-01-01", "units": "2"}],
        ),
    ],
)
def test_a_row_is_kept_as_it_came_in_each_format(
    home: Home, form: str, content: bytes, places: list[str], originals: list[dict[str, Any]]
) -> None:
    shop = shop_of(home, f"files: {{format: {form}}}")
    home.clock.set(FIRST)
    shop.land("2024-01", content)
    assert shop.ingest("2024-01").put_aside == 1
    assert [row.place for row in waiting(shop)] == places
    assert [json.loads(row.original) for row in waiting(shop)] == originals


def test_a_typed_file_has_rows_to_put_aside_as_well(home: Home) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    shop = shop_of(home, "files: {format: parquet}")
    home.clock.set(FIRST)
    days = [datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, 5, tzinfo=UTC)]
    file = shop.land("2024-01", b"")
    pq.write_table(pa.table({"shop": ["north", "south"], "day": days, "units": [1.5, 2.5]}).slice(1), file)
    assert shop.ingest("2024-01").put_aside == 1
    (row,) = waiting(shop)
    assert row.reason.startswith("'day' is 2024-01-02 05:00:00+00:00, not a value of type date; 'units' is 2.5, not")
    assert json.loads(row.original) == {"shop": "south", "day": "2024-01-02 05:00:00+00:00", "units": 2.5}
