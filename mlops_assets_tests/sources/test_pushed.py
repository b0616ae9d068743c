"""Rows that applications push: judged at the border, durable once accepted, in the lakehouse once and in order."""

import resource
import signal
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.engines.contract import ResolvedLookup
from mlops_assets.errors import (
    ConflictError,
    ContractError,
    DefinitionError,
    MissingDataError,
    ReusedKeyError,
    StoreUnavailableError,
)
from mlops_assets.lakehouse.home import Home
from mlops_assets.lakehouse.periods import Duration
from mlops_assets.lakehouse.write_points import KILL_AT_VARIABLE, LOG_VARIABLE
from mlops_assets.sources import ingest
from mlops_assets_tests import forks
from mlops_assets_tests.engines import oracle
from mlops_assets_tests.serving.running import until
from mlops_assets_tests.sources.pushing import Pushed, ingest_there, push_rows, row
from mlops_assets_tests.sources.small_project import Shop, platform_of, sales_yaml

NOON = datetime(2024, 1, 10, 12, tzinfo=UTC)
LATER = NOON + timedelta(minutes=5)
OVER = datetime(2024, 2, 1, tzinfo=UTC)


@pytest.fixture
def shop(home: Home) -> Pushed:
    """Pushed sales by month, at noon of a day in January."""
    home.clock.set(NOON)
    return Pushed.of(home)


# What is accepted, and what is refused


def test_a_batch_is_accepted_with_its_periods_and_waits(shop: Pushed) -> None:
    shop.platform.home.clock.set(OVER + timedelta(hours=1))
    done = shop.push("one", row("north", "2024-02-01", 1), row("south", "2024-01-09T10:00:00+01:00", 2))
    assert (done.rows, done.periods, done.repeated) == (2, ("2024-01", "2024-02"), False)
    assert list(shop.platform.pushed.waiting_periods("sales")) == ["2024-01", "2024-02"]
    assert not shop.table.delta.exists()


@pytest.mark.parametrize(
    ("rows", "found", "expected"),
    [
        ([], "a batch without rows for 'sales'", "at least one row"),
        (["text"], "row 1 of the batch for 'sales', which is no object", "shop, day, units"),
        ([{"shop": "a", "day": "2024-01-09"}], "row 1 of the batch for 'sales' without column 'units'", "shop, day"),
        ([row("a", "2024-01-09", 1) | {"unit": 1}], "row 1, column 'unit', which 'sales' does not have", "units"),
        ([row("a", "2024-01-09", 1), row("b", "2024-01-09", -1)], "row 2, column 'units'", "at least 0"),
        ([row("a", "2024-01-09", 1.5)], "row 1, column 'units' of the batch for 'sales': 1.5", "of type bigint"),  # type: ignore[arg-type]
        ([row("a", "2024-01-09", "1")], "row 1, column 'units' of the batch for 'sales': '1'", "of type bigint"),  # type: ignore[arg-type]
        ([row(" ", "2024-01-09", 1)], "row 1, column 'shop' of the batch for 'sales': null", "nulls are not allowed"),
        ([row("a", "soon", 1)], "row 1, column 'day' of the batch for 'sales': 'soon'", "a value of type timestamp"),
        ([row("a", None, 1)], "row 1, column 'day' of the batch for 'sales': null", "nulls are not allowed"),  # type: ignore[arg-type]
        ([row("a", "2024-01-10T12:00:01", 1)], "row 1, column 'day'", "not after now, 2024-01-10T12:00:00+00:00"),
        ([row("a", "2023-12-31T23:59:59", 1)], "row 1, column 'day'", "from first_period on, 2024-01-01"),
        (
            [row("a", "2024-01-09", 1), row("b", "2024-01-09", 1), row("a", "2024-01-09T00:00:00Z", 2)],
            "row 3, column 'shop' of the batch for 'sales': shop=a, day=2024-01-09 00:00:00+00:00",
            "each key and time once, and row 1 has this one",
        ),
        (
            [row("a", "2024-01-09", -1), row("b", "2025-01-09", -2), row("\ud800", "2024-01-09", 1)],
            r"row 3, column 'shop' of the batch for 'sales': '\ud800'",
            "a value of type string",
        ),
        (
            [row("a", "2024-01-09", -1), row("b", "2025-01-09", -2)],
            "row 1, column 'units' of the batch for 'sales': -1, and 2 more faults",
            "at least 0",
        ),
    ],
)
def test_a_batch_with_a_fault_is_refused_whole_with_row_and_column(
    shop: Pushed, rows: list[Any], found: str, expected: str
) -> None:
    with pytest.raises(ContractError) as refused:
        shop.push("one", *rows)
    assert refused.value.found.startswith(found)
    assert expected in refused.value.expected
    assert shop.platform.pushed.waiting_periods("sales") == {}
    assert not shop.push("one", row("a", "2024-01-09", 1)).repeated  # its key was not used up


def test_a_row_after_the_last_period_is_refused(home: Home) -> None:
    shop = Pushed.of(home, "last_period: 2024-02")
    with pytest.raises(ContractError) as refused:
        shop.push("one", row("a", "2024-03-01", 1), at=datetime(2024, 3, 2, tzinfo=UTC))
    assert refused.value.expected == "a time before the end of last_period, 2024-03-01T00:00:00+00:00"


@pytest.mark.parametrize("key", ["", "x" * 201, "a\nb", "ключ"])
def test_an_idempotency_key_is_short_plain_text(shop: Pushed, key: str) -> None:
    with pytest.raises(ContractError, match="1 to 200 printable ASCII characters"):
        shop.push(key, row("a", "2024-01-09", 1))


def test_only_a_source_that_declares_it_is_pushed_into(home: Home) -> None:
    with pytest.raises(DefinitionError, match="source 'sales', which is not pushed"):
        Pushed(platform_of(home, sales_yaml())).push("one", row("a", "2024-01-09", 1))


# Idempotency


def test_the_same_key_with_the_same_rows_answers_the_same_and_is_taken_once(shop: Pushed) -> None:
    first = shop.push("one", row("a", "2024-01-09", 1))
    again = shop.push("one", row("a", "2024-01-09T00:00:00Z", 1), at=LATER)  # the same, written otherwise
    assert (again.rows, again.periods, again.repeated) == (first.rows, first.periods, True)
    assert shop.ingest("2024-01").rows == 1
    assert shop.push("one", row("a", "2024-01-09", 1)).repeated  # ingested, and still known
    assert shop.platform.pushed.waiting_periods("sales") == {}
    assert shop.states() == [("a 2024-01-09 00:00:00+00:00", 1, LATER, False)]


def test_the_same_key_with_other_rows_is_refused_before_and_after_ingestion(shop: Pushed) -> None:
    shop.push("one", row("a", "2024-01-09", 1))
    for _ in range(2):
        with pytest.raises(ReusedKeyError) as refused:
            shop.push("one", row("a", "2024-01-09", 2))
        shop.ingest("2024-01")
    assert str(refused.value) == (
        "Found: idempotency key 'one', under which source 'sales' accepted other rows. Expected: a new key for each "
        "batch, and the same key only to push the same rows again. What to do: push these rows under a key of their "
        "own."
    )


def test_keys_are_remembered_for_the_declared_time_and_while_rows_wait(home: Home) -> None:
    home.clock.set(NOON)
    shop = Pushed.of(home, period="day", first="2024-01-01")
    assert shop.source.origin.remember_keys == timedelta(days=7)  # type: ignore[union-attr]
    shop.push("ingested", row("a", "2024-01-09", 1))
    shop.ingest("2024-01-09")
    shop.push("waiting", row("a", "2024-01-10", 1))
    week = NOON + timedelta(days=7)
    assert shop.push("ingested", row("a", "2024-01-09", 1), at=week).repeated
    assert shop.push("waiting", row("a", "2024-01-10", 1), at=week + timedelta(seconds=1)).repeated
    assert not shop.push("ingested", row("a", "2024-01-09", 1)).repeated


# When rows become known


def test_a_row_is_known_from_its_ingestion_on_also_before_its_period_is_over(shop: Pushed) -> None:
    shop.push("one", row("a", "2024-01-10T11:59:00", 1))
    shop.platform.home.clock.set(LATER)
    done = shop.ingest("2024-01")
    assert (done.rows, done.appended) == (1, {"2024-01": 1})
    assert shop.known(LATER - timedelta(microseconds=1)) == {}
    assert shop.known(LATER) == {"a 2024-01-10 11:59:00+00:00": 1}


def test_rows_of_history_are_known_at_the_end_of_their_period(home: Home) -> None:
    shop = Pushed.of(home, "live_since: 2024-02", "publication_lag: 1 days")
    march = datetime(2024, 3, 5, tzinfo=UTC)
    shop.push("one", row("a", "2024-01-10", 1), row("a", "2024-02-10", 1), at=march)
    shop.push("two", row("b", "2024-01-10", 1))
    for key in ("2024-01", "2024-02"):
        shop.ingest(key)
    shop.push("three", row("c", "2024-01-10", 1), row("a", "2024-01-10", 2), at=march + timedelta(days=1))
    shop.ingest("2024-01")
    published = OVER + timedelta(days=1)
    assert sorted((name, value, known_at) for name, value, known_at, _ in shop.states()) == [
        ("a 2024-01-10 00:00:00+00:00", 1, published),
        ("a 2024-01-10 00:00:00+00:00", 2, march + timedelta(days=1)),  # a correction is known when it comes
        ("a 2024-02-10 00:00:00+00:00", 1, march),
        ("b 2024-01-10 00:00:00+00:00", 1, published),
        ("c 2024-01-10 00:00:00+00:00", 1, published),
    ]


def test_all_that_waits_for_a_period_is_one_commit_in_which_the_later_batch_wins(shop: Pushed) -> None:
    for number in range(50):
        shop.push(f"batch {number}", row("a", "2024-01-09", number), row(f"b {number}", "2024-01-09", number))
    done = shop.ingest("2024-01")
    assert (done.rows, done.appended, done.delivery.number) == (51, {"2024-01": 51}, 1)
    assert shop.table.delta.counters(["2024-01"]) == {"2024-01": 1}
    assert shop.known(NOON)["a 2024-01-09 00:00:00+00:00"] == 49
    (file,) = shop.platform.deliveries.content_files(done.delivery)
    assert len(file.read_bytes().splitlines()) == 100  # kept as it came, superseded rows too


def test_a_value_that_comes_back_is_a_state_of_its_own(shop: Pushed) -> None:
    for number, units in enumerate([1, 2, 1, 1]):
        at = NOON + timedelta(hours=number)
        shop.push(f"batch {number}", row("a", "2024-01-09", units), at=at)
        shop.ingest("2024-01")
    assert [(units, known_at) for _, units, known_at, _ in shop.states()] == [
        (1, NOON),
        (2, NOON + timedelta(hours=1)),
        (1, NOON + timedelta(hours=2)),
    ]


def test_a_batch_of_several_periods_is_ingested_into_each(shop: Pushed) -> None:
    shop.push("one", row("a", "2024-01-31", 1), row("a", "2024-02-01", 2), at=OVER)
    assert shop.ingest("2024-02").appended == {"2024-02": 1}
    assert list(shop.platform.pushed.waiting_periods("sales")) == ["2024-01"]
    assert shop.ingest("2024-01").appended == {"2024-01": 1}
    assert shop.platform.pushed.waiting_periods("sales") == {}


def test_a_period_without_rows_is_delivered_once_it_is_over_and_its_lag_has_passed(home: Home) -> None:
    shop = Pushed.of(home, "publication_lag: 6 hours")
    home.clock.set(OVER + timedelta(hours=5))
    with pytest.raises(MissingDataError) as refused:
        shop.ingest("2024-01")
    assert str(refused.value) == (
        "Found: period 2024-01 of source 'sales', into which rows may be pushed until 2024-02-01T06:00:00+00:00. "
        "Expected: a period that is over, its publication lag included. What to do: wait until then."
    )
    home.clock.set(OVER + timedelta(hours=6))
    for _ in range(2):
        done = shop.ingest("2024-01")
        assert (done.rows, done.appended, done.delivery.number, done.delivery.accepted) == (0, {}, 1, True)
    shop.push("late", row("a", "2024-01-31", 1))
    assert shop.ingest("2024-01").appended == {"2024-01": 1}
    assert shop.ingest("2024-01").appended == {}


def test_rows_that_no_longer_keep_a_changed_contract_wait_until_it_is_mended(shop: Pushed, home: Home) -> None:
    shop.push("one", row("a", "2024-01-09", 1), row("b", "2024-01-09", 20))
    narrowed = sales_yaml("push: {}", columns=_columns("minimum: 0, maximum: 10"))
    with pytest.raises(ContractError, match="above 10"):
        Shop(platform_of(home, narrowed)).ingest("2024-01")
    widened = sales_yaml("push: {}", columns=_columns("minimum: 0") + "    note: {type: string, description: Note}\n")
    assert Shop(platform_of(home, widened)).ingest("2024-01").appended == {"2024-01": 2}


def _columns(rules: str) -> str:
    return f"""
    shop: {{type: string, description: Shop}}
    day: {{type: timestamp, description: Moment of the sale}}
    units: {{type: bigint, description: Units sold, {rules}}}
"""


@pytest.mark.slow
@settings(max_examples=6)
@given(
    batches=st.lists(
        st.dictionaries(
            st.tuples(
                st.sampled_from("ab") | st.text(min_size=1, max_size=3),  # so that batches meet in a row
                st.just(datetime(2024, 1, 2)) | st.datetimes(datetime(2024, 1, 1), datetime(2024, 1, 10)),  # noqa: DTZ001
            ),
            st.none() | st.integers(0, 2**63 - 1),
            min_size=1,
            max_size=6,
        ),
        min_size=3,
        max_size=5,
    )
)
def test_what_was_accepted_is_in_the_table_as_the_last_batch_had_it(
    tmp_path_factory: pytest.TempPathFactory, batches: list[dict[tuple[str, datetime], int | None]]
) -> None:
    home = Home(tmp_path_factory.mktemp("pushed") / "home").prepare()
    home.clock.set(NOON)
    shop = Pushed.of(home)
    expected: dict[tuple[str, datetime], int | None] = {}
    for number, batch in enumerate(batches):
        rows = [row(name, time.isoformat(), units) for (name, time), units in batch.items()]
        try:
            shop.push(f"batch {number}", *rows)
        except ContractError:  # a text of spaces is null, and two texts may differ in spaces alone
            continue
        expected |= {(name.strip(), time.replace(tzinfo=UTC)): units for (name, time), units in batch.items()}
        if number % 2:
            shop.ingest("2024-01")
    if expected:
        shop.ingest("2024-01")
    known = shop.platform.engine.known_at(shop.table, NOON).to_pylist() if expected else []
    assert {(found["shop"], found["day"].replace(tzinfo=UTC)): found["units"] for found in known} == expected


moments = st.integers(0, 50).map(lambda hours: datetime(2024, 1, 30, tzinfo=UTC) + timedelta(hours=hours))


@pytest.mark.slow
@settings(max_examples=4)
@given(
    pushes=st.lists(st.tuples(moments, moments, st.booleans()), min_size=3, max_size=8),
    lags=st.lists(st.integers(0, 30).map(lambda hours: timedelta(hours=hours)), min_size=1, max_size=3),
    lookback=st.sampled_from([None, Duration.parse("5 hours")]),
)
def test_a_lookup_finds_what_the_oracle_finds_in_rows_that_are_known_before_their_period_is_over(
    tmp_path_factory: pytest.TempPathFactory,
    pushes: list[tuple[datetime, datetime, bool]],
    lags: list[timedelta],
    lookback: Duration | None,
) -> None:
    import pyarrow as pa

    shop = Pushed.of(Home(tmp_path_factory.mktemp("pushed") / "home").prepare(), "publication_lag: 6 hours")
    for number, (event, now, ingested) in enumerate(sorted(pushes, key=lambda item: max(item[:2]))):
        shop.push(f"batch {number}", row("a", event.isoformat(), number), at=max(event, now))
        for key in shop.platform.pushed.waiting_periods("sales") if ingested else ():
            shop.ingest(key)
    for key in shop.platform.pushed.waiting_periods("sales"):
        shop.ingest(key)
    states = shop.table.states().to_pylist()
    turning = {state[name] for state in states for name in ("event_time", "known_at")}
    anchors = sorted({moment + step * timedelta(microseconds=1) for moment in turning for step in (-1, 0, 1)})
    asked = [{"shop": "a", "anchor": anchor, "as_of": anchor + lag} for anchor in anchors for lag in lags]
    types = [("shop", pa.string()), ("anchor", pa.timestamp("us", "UTC")), ("as_of", pa.timestamp("us", "UTC"))]
    engine = shop.platform.engine
    found = engine.lookup(
        engine.rows(pa.Table.from_pylist(asked, schema=pa.schema(types))),
        [ResolvedLookup(shop.table, ("units",), lookback)],
    )
    expected = [oracle.lookup(states, label, ("shop",), lookback.rest if lookback else None) for label in asked]
    assert engine.to_arrow(found).column("units").to_pylist() == [state and state["units"] for state in expected]


# Kills, crowds, and full disks


def test_of_many_that_send_the_same_batch_at_once_one_is_the_first(shop: Pushed) -> None:
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda _: shop.push("one", row("a", "2024-01-09", 1)), range(24)))
    assert sorted(accepted.repeated for accepted in done) == [False, *[True] * 23]
    assert shop.ingest("2024-01").rows == 1


@pytest.mark.slow
def test_what_was_answered_survives_a_kill_at_once_after_the_answer(shop: Pushed) -> None:
    process = forks.start_work(push_rows, shop.platform.home.folder, "a", 100000)
    until(lambda: process.printed.count("\n") >= 30)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    answered = process.printed.split("\n")[:-1]
    assert answered[:2] == ["a 0", "a 1"]
    rows = [row("a", "2024-01-05", number) for number in range(len(answered) + 1)]
    assert all(shop.push(key, rows[number]).repeated for number, key in enumerate(answered))
    assert shop.ingest("2024-01").rows == 1
    assert shop.known(NOON)["a 2024-01-05 00:00:00+00:00"] in (len(answered) - 1, len(answered))


@pytest.mark.slow
def test_a_batch_whose_answer_was_lost_in_a_kill_is_sent_again_and_counts_once(shop: Pushed) -> None:
    process = forks.start_work(push_rows, shop.platform.home.folder, "a", 1, **{KILL_AT_VARIABLE: "1"})
    assert (process.wait(), process.printed) == (-signal.SIGKILL, "")
    assert shop.push("a 0", row("a", "2024-01-05", 0)).repeated
    assert shop.ingest("2024-01").appended == {"2024-01": 1}


@pytest.mark.slow
def test_an_ingestion_that_is_killed_at_any_write_brings_no_earlier_batch_back(tmp_path: Path) -> None:
    points = ["delivery content", "delivery record", "create sales", "commit sales", "sums sales", "delivery accepted"]
    points.append("batches settled sales")
    log = tmp_path / "points.txt"
    shops = []
    for number in range(len(points) + 1):
        shop = Pushed.of(Home(tmp_path / f"killed {number}" / "home").prepare())
        shop.push("one", row("a", "2024-01-09", 1), row("b", "2024-01-09", 1), at=NOON)
        shops.append(shop)
    variables = [{LOG_VARIABLE: str(log)}, *({KILL_AT_VARIABLE: str(number + 1)} for number in range(len(points)))]
    codes = [
        forks.start_work(ingest_there, shop.platform.home.folder, "2024-01", **given).wait()
        for shop, given in zip(shops, variables, strict=True)
    ]
    assert codes == [0, *(-signal.SIGKILL for _ in points)]
    assert [line.split(" ", 1)[1] for line in log.read_text(encoding="utf-8").splitlines()] == points
    for number, shop in enumerate(shops):
        shop.push("two", row("a", "2024-01-09", 2), at=LATER)
        for _ in range(2):
            shop.ingest("2024-01")
        assert shop.known(LATER) == {"a 2024-01-09 00:00:00+00:00": 2, "b 2024-01-09 00:00:00+00:00": 1}, number
        assert shop.platform.pushed.waiting_periods("sales") == {}, number
        units = [units for name, units, _, _ in shop.states() if name.startswith("a")]
        assert units in ([1, 2], [2]), number  # never 1 again after 2
        assert shop.push("one", row("a", "2024-01-09", 1), row("b", "2024-01-09", 1)).repeated, number


def test_an_ingestion_that_read_before_another_one_took_newer_rows_looks_again(
    shop: Pushed, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.push("one", row("a", "2024-01-09", 1))
    keep, others = ingest._keep, [True]

    def keep_while_another_ingests(*args: Any, **kwargs: Any) -> Any:
        kept = keep(*args, **kwargs)
        if others:
            others.pop()
            shop.push("two", row("a", "2024-01-09", 2))
            shop.ingest("2024-01")
        return kept

    monkeypatch.setattr(ingest, "_keep", keep_while_another_ingests)
    shop.ingest("2024-01")
    assert [units for _, units, _, _ in shop.states()] == [2]


@pytest.mark.slow
def test_many_that_push_while_others_ingest_lose_nothing(shop: Pushed) -> None:
    pushing = [forks.start_work(push_rows, shop.platform.home.folder, name, 30) for name in "abc"]
    while any(process.poll() is None for process in pushing) or shop.platform.pushed.waiting_periods("sales"):
        if shop.platform.pushed.waiting_periods("sales"):
            with ThreadPoolExecutor(2) as pool:
                list(pool.map(lambda _: _ingest_once_more(shop), range(2)))
    assert [process.wait() for process in pushing] == [0, 0, 0]
    assert shop.known(NOON) == {f"{name} 2024-01-05 00:00:00+00:00": 29 for name in "abc"}
    for name in "abc":
        units = [units for key, units, _, _ in shop.states() if key.startswith(name)]
        assert units == sorted(set(units))


def _ingest_once_more(shop: Pushed) -> None:
    try:
        shop.ingest("2024-01")
    except (ConflictError, MissingDataError):
        return


def test_a_disk_without_room_accepts_nothing_and_keeps_what_was_accepted(shop: Pushed) -> None:
    shop.push("one", row("a", "2024-01-09", 1))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    many = [row(f"shop {number:05d}", "2024-01-09", number) for number in range(5000)]
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(StoreUnavailableError) as refused:
            shop.push("two", *many)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert refused.value.found.startswith("the batches pushed into 'sales' cannot be read or written (")
    assert shop.ingest("2024-01").rows == 1
    assert not shop.push("two", *many).repeated
    assert shop.ingest("2024-01").rows == 5000
