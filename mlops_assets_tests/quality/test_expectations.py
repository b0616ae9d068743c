"""Expectations beyond the contract: what each finds, what it plots, and what it keeps out."""

from datetime import UTC, datetime, timedelta

import pytest

from mlops_assets.errors import DefinitionError
from mlops_assets.lakehouse.home import Home
from mlops_assets.quality.contract import BrokenContractError, CheckOutcome
from mlops_assets.quality.freshness import freshness, stale_tables
from mlops_assets_tests.sources.small_project import STATIC, Shop, platform_of, sales_yaml

COLUMNS = """
    shop: {type: string, description: Shop}
    day: {type: date, description: Day of the sales}
    units: {type: bigint, description: Units sold}
    channel: {type: string, description: Where}
"""
START = datetime(2024, 2, 6, tzinfo=UTC)


def expecting(home: Home, *expectations: str, fields: tuple[str, ...] = ()) -> Shop:
    listed = ["expectations:", *(f"  - {{{expectation}}}" for expectation in expectations)]
    return Shop(platform_of(home, sales_yaml(*fields, "min_rows_share: 0", *listed, columns=COLUMNS)))


def outcome(shop: Shop, name: str, rows: list[str], key: str = "2024-01", at: datetime = START) -> CheckOutcome:
    (found,) = [check for check in shop.deliver(key, rows, at).checks if check.name == name]
    return found


@pytest.mark.parametrize(
    ("expectation", "name", "passed", "found", "failures", "figures"),
    [
        (
            "column: units, null_share: 0.5",
            "units_null_share",
            True,
            "2 of 4 values of 'units' are null (50.0%)",
            0,
            {"null share": 0.5, "most": 0.5},
        ),
        (
            "column: units, null_share: 0.4",
            "units_null_share",
            False,
            "2 of 4 values of 'units' are null (50.0%)",
            2,
            {"null share": 0.5, "most": 0.4},
        ),
        (
            "column: units, minimum: 1, maximum: 4",
            "units_range",
            False,
            "1 values of 'units' above 4, such as 5",
            1,
            {"values outside": 1, "least": 1, "most": 4, "smallest": 1, "largest": 5},
        ),
        (
            "column: channel, allowed: [web]",
            "channel_allowed",
            False,
            "3 values of 'channel' not in web, such as counter",
            3,
            {"values outside": 3},
        ),
        (
            "column: channel, allowed: [web, counter]",
            "channel_allowed",
            True,
            "all values of 'channel' are as expected",
            0,
            {"values outside": 0},
        ),
        (
            "rows: {against_last_period: {least: 0.5}}",
            "rows_against_last_period",
            True,
            "4 rows, and no last period to compare them with",
            0,
            {"rows": 4},
        ),
    ],
)
def test_an_expectation_says_what_it_found_and_plots_it(
    home: Home, expectation: str, name: str, passed: bool, found: str, failures: int, figures: dict[str, float]
) -> None:
    rows = ["a,2024-01-01,1,web", "b,2024-01-01,5,counter", "c,2024-01-01,,counter", "d,2024-01-01,,counter"]
    check = outcome(expecting(home, expectation), name, rows)
    assert (check.passed, check.found, check.failures, check.figures) == (passed, found, failures, figures)
    assert not check.blocks


@pytest.mark.parametrize(("count", "passed"), [(1, False), (2, True), (8, True), (9, False)])
def test_rows_are_counted_against_the_last_period(home: Home, count: int, passed: bool) -> None:
    shop = expecting(home, "rows: {against_last_period: {least: 0.5, most: 2.0}}")
    shop.deliver("2024-01", [f"{number},2024-01-01,1,web" for number in range(4)], START)
    rows = [f"{number},2024-02-01,1,web" for number in range(count)]
    check = outcome(shop, "rows_against_last_period", rows, "2024-02", START + timedelta(days=29))
    assert (check.passed, check.figures["against last period"]) == (passed, count / 4)
    assert check.found == f"{count} rows after 4 in the last period ({count / 4:.2f} times as many)"


def test_a_window_counts_the_rows_of_its_own_period(home: Home) -> None:
    shop = expecting(home, "rows: {against_last_period: {most: 1}}", fields=("delivers: window", "window_periods: 2"))
    shop.deliver("2024-01", ["a,2024-01-01,1,web"], START)
    rows = ["a,2024-01-01,1,web", "a,2024-02-01,1,web"]
    assert outcome(shop, "rows_against_last_period", rows, "2024-02", START + timedelta(days=29)).passed


def test_what_warns_stops_nothing_and_what_blocks_keeps_the_rows_out(home: Home) -> None:
    shop = expecting(home, "column: units, null_share: 0")
    assert not outcome(shop, "units_null_share", ["a,2024-01-01,,web"]).passed
    assert shop.table.states().num_rows == 1
    strict = expecting(home, "column: units, null_share: 0, severity: block, description: Needed for growth.")
    with pytest.raises(BrokenContractError) as refused:
        strict.deliver("2024-01", ["a,2024-01-01,,web", "b,2024-01-01,,web"], START + timedelta(days=1))
    assert refused.value.found == "in 'sales': 2 of 2 values of 'units' are null (100.0%)"
    assert refused.value.expected == "At most 0 of the values of 'units' are null. Needed for growth."
    assert strict.table.states().num_rows == 1


def test_a_refusal_says_only_what_refused_but_all_outcomes_are_kept(home: Home) -> None:
    shop = expecting(home, "column: units, null_share: 0", "column: channel, allowed: [web], severity: block")
    with pytest.raises(BrokenContractError) as refused:
        shop.deliver("2024-01", ["a,2024-01-01,,fax"], START)
    assert refused.value.found == "in 'sales': 1 values of 'channel' not in web, such as fax"
    assert [check.name for check in refused.value.outcomes if not check.passed] == [
        "units_null_share",
        "channel_allowed",
    ]


# Freshness


def age(shop: Shop, at: datetime) -> CheckOutcome:
    shop.platform.home.clock.set(at)
    (found,) = freshness(shop.platform, shop.source)
    return found


def test_the_newest_row_may_be_so_old_by_the_clock(home: Home) -> None:
    shop = expecting(home, "freshness: {newest_row: 10 days}")
    shop.deliver("2024-01", ["a,2024-01-30,1,web", "b,2024-01-02,1,web"], START)
    fresh = age(shop, START)
    assert (fresh.passed, fresh.found) == (True, "the newest row is of 2024-01-30T00:00:00+00:00: 7 days")
    assert age(shop, datetime(2024, 2, 9, tzinfo=UTC)).passed
    stale = age(shop, datetime(2024, 2, 9, 12, tzinfo=UTC))
    assert (stale.passed, stale.figures) == (False, {"age in days": 10.5, "most days": 10})
    assert [(table.name, found.name) for table, found in stale_tables(shop.platform)] == [("sales", "newest_row")]


@pytest.mark.parametrize("of", ["row", "delivery"])
def test_a_table_whose_last_period_is_there_grows_no_older(home: Home, of: str) -> None:
    shop = expecting(home, f"freshness: {{newest_{of}: 10 days}}", fields=("last_period: 2024-02",))
    shop.deliver("2024-01", ["a,2024-01-30,1,web"], START)
    assert not age(shop, START + timedelta(days=20)).passed
    shop.deliver("2024-02", ["a,2024-02-01,1,web"], datetime(2024, 3, 20, tzinfo=UTC))
    old = age(shop, datetime(2030, 1, 1, tzinfo=UTC))
    assert old.passed and old.found.endswith("days, and the last period is there")


def test_a_row_counts_from_when_it_is_known(home: Home) -> None:
    shop = expecting(home, "freshness: {newest_row: 10 days}", fields=("publication_lag: 5 days",))
    shop.deliver("2024-01", ["a,2024-01-30,1,web"], datetime(2024, 2, 1, tzinfo=UTC))
    assert "there is no row yet" in age(shop, datetime(2024, 2, 5, tzinfo=UTC)).found
    assert age(shop, datetime(2024, 2, 5, tzinfo=UTC)).figures["age in days"] == 35
    assert age(shop, datetime(2024, 2, 6, tzinfo=UTC)).passed


def test_the_newest_delivery_is_the_last_that_was_taken(home: Home) -> None:
    shop = expecting(home, "freshness: {newest_delivery: 10 days}")
    shop.deliver("2024-01", ["a,2024-01-30,1,web"], START)
    with pytest.raises(BrokenContractError):
        shop.deliver("2024-01", ["a,2024-01-30,much,web"], START + timedelta(days=9))
    assert age(shop, START + timedelta(days=10)).passed
    assert not age(shop, START + timedelta(days=11)).passed


def test_a_static_table_has_deliveries_and_no_time_to_count_from(home: Home) -> None:
    fresh = STATIC.replace(
        "  static: true", "  static: true\n  expectations: [{freshness: {newest_delivery: 1 weeks}}]"
    )
    shop = Shop(platform_of(home, fresh), "shops")
    assert age(shop, START).found == "nothing was delivered yet, and no period says since when"
    shop.deliver(None, ["a,coast"], START)
    assert age(shop, START + timedelta(days=7)).passed
    assert not age(shop, START + timedelta(days=8)).passed


# What is refused


@pytest.mark.parametrize(
    ("expectation", "found"),
    [
        ("severity: warn", "an expectation of no rule"),
        ("column: units, null_share: 0.1, minimum: 3", "an expectation of null_share and minimum"),
        ("column: units, minimum: 3, allowed: [x]", "an expectation of minimum and allowed"),
        ("null_share: 0.1", "an expectation of null_share with no column"),
        ("column: units, rows: {against_last_period: {least: 1}}", "an expectation of rows with a column"),
        ("column: unit, null_share: 0.1", "an expectation of 'unit', which is not among the columns"),
        ("column: shop, null_share: 0.1", "a share of nulls in 'shop', in which the contract allows none"),
        ("column: units, null_share: 5", "wrong value in 'expectations.0.null_share'"),
        ("column: units, allowed: [x]", "allowed values for 'units', which is of type bigint"),
        ("column: channel, allowed: []", "no allowed values for 'channel'"),
        ("column: channel, minimum: 1", "a minimum for 'channel', which is of type string"),
        ("rows: {against_last_period: {}}", "There are at least 0 times as many rows as in the last period"),
        (
            "rows: {against_last_period: {least: 2, most: 1}}",
            "There are at least 2 and at most 1 times as many rows as in the last period",
        ),
        ("freshness: {}", "a freshness of nothing"),
        (
            "freshness: {newest_row: 1 days, newest_delivery: 1 day}",
            "a freshness of both newest_row and newest_delivery",
        ),
        ("freshness: {newest_row: 2 months}", "'2 months'"),
        ("freshness: {newest_row: 2 days}, severity: block", "an expectation of freshness that blocks"),
        ("rule: x", "unknown field 'expectations.0.rule'"),
    ],
)
def test_an_expectation_that_means_nothing_is_refused_with_its_line(home: Home, expectation: str, found: str) -> None:
    with pytest.raises(DefinitionError) as refused:
        expecting(home, expectation)
    assert refused.value.found == found
    assert refused.value.where is not None
    text = refused.value.where.file.read_text(encoding="utf-8").splitlines()
    assert refused.value.where.line == next(n for n, line in enumerate(text, 1) if line.startswith("    - {"))


def test_a_rule_comes_once_for_a_column(home: Home) -> None:
    with pytest.raises(DefinitionError, match="a second check named 'units_range'"):
        expecting(home, "column: units, minimum: 1", "column: units, maximum: 4")


def test_rows_of_additions_and_rows_without_time_have_no_last_period(home: Home) -> None:
    rows = "rows: {against_last_period: {least: 1}}"
    with pytest.raises(DefinitionError, match="rows against the last period of additions only"):
        expecting(home, rows, fields=("delivers: increment",))
    for field, found in (
        (rows, "of a table without time"),
        ("freshness: {newest_row: 1 days}", "newest row of a table"),
    ):
        with pytest.raises(DefinitionError, match=found):
            platform_of(home, STATIC.replace("  static: true", f"  static: true\n  expectations: [{{{field}}}]"))
