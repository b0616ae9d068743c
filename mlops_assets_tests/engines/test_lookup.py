"""Lookups as of a time: one answer for each label, the oracle's, on every engine."""

import json
import math
import os
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.engines.contract import Engine, ResolvedLookup
from mlops_assets.engines.duckdb import DuckDBEngine
from mlops_assets.errors import DefinitionError
from mlops_assets.lakehouse.periods import Calendar, Duration
from mlops_assets.lakehouse.schema import Column, TableSchema
from mlops_assets_tests.engines import contract_pack as pack
from mlops_assets_tests.engines import in_another_zone, oracle
from mlops_assets_tests.engines import lookup_cases as cases
from mlops_assets_tests.engines.contract_pack import (
    DAY,
    MICROSECOND,
    MONTHS,
    SALES,
    SHOPS,
    Tables,
    at,
    label,
    notes,
    sale,
)

if TYPE_CHECKING:
    import pyarrow as pa


@pytest.fixture(scope="module")
def asked_together(engine: Engine, tables: Tables) -> dict[int | None, dict[str, list[Any]]]:
    """What the labels of all cases find, asked with few distances from anchor to asking, and with all at once."""
    return {lags: cases.ask_together(engine, tables, cases.CASES, lags) for lags in (8, None)}


@pytest.mark.parametrize("max_lags", [8, None], ids=["in order", "by definition"])
@pytest.mark.parametrize("case", cases.CASES)
def test_of_what_many_labels_ask_each_finds(
    asked_together: dict[int | None, dict[str, list[Any]]], case: str, max_lags: int | None
) -> None:
    assert asked_together[max_lags][case] == cases.CASES[case].expected


# DuckDB joins fewer than 64 labels by another plan, and has others where no state is late or none was corrected.
@pytest.mark.parametrize("times", [1, 300])
@pytest.mark.parametrize("case", cases.CASES)
def test_of_few_states_a_label_finds(tmp_path: Path, tables: Tables, case: str, times: int) -> None:
    found = cases.ask_alone(DuckDBEngine(tmp_path), tables, cases.CASES[case], times)
    assert found == cases.CASES[case].expected * times


# Of each table: few labels and many, asked at constant distances from their anchors and at any time.
QUESTIONS = [(1, False), (3, True), (60, False), (1000, False), (1000, True)]


@given(pack.seeds)
@settings(max_examples=30)
@pytest.mark.slow
def test_labels_find_what_the_oracle_finds(engine: Engine, tables: Tables, seed: int) -> None:
    states, chosen = pack.random_states(seed), random.Random(seed)
    table = tables.of(states)
    for count, at_any_time in QUESTIONS:
        lookback = chosen.choice(pack.LOOKBACKS)
        lags = None if at_any_time else chosen.sample(pack.LAGS, chosen.randint(1, 4))
        labels = pack.random_labels(states, lookback, lags, count, chosen.random())
        pack.assert_looked_up_as_the_oracle_does(engine, table, states, labels, lookback)


def test_many_thousand_labels_keep_their_order(engine: Engine, tables: Tables) -> None:
    # Engines work on batches of a few thousand rows, and on several at once.
    count = 9_000
    table = tables.of([sale(f"product {number}", at(1), at(1), product=number) for number in range(97)])
    labels = [label(at(2), at(2), product=number * 31 % 100) for number in range(count)]
    expected = [f"product {row['product']}" if row["product"] < 97 else None for row in labels]
    assert notes(engine, table, labels) == expected


def test_labels_in_several_chunks_are_answered_as_one_table(engine: Engine, tables: Tables) -> None:
    import pyarrow as pa

    table = tables.of([sale("one", at(1), at(1)), sale("two", at(1), at(1), product=2)])
    whole = pack.label_table([label(at(2), at(2), product=number) for number in (2, 1, 2, 3, 1)])
    chunks = pa.concat_tables([whole.slice(3), whole.slice(1, 2), whole.slice(0, 1)])
    answered = engine.lookup(chunks, [ResolvedLookup(table, ("note",))])
    assert answered.column("note").to_pylist() == [None, "one", "one", "two", "two"]
    assert answered.column("number").to_pylist() == [3, 4, 1, 2, 0]


def test_columns_that_are_no_keys_are_carried_along_unchanged(engine: Engine, tables: Tables) -> None:
    import pyarrow as pa

    table = tables.of([sale("found", at(1), at(1))])
    rows = pack.label_table([label(at(2), at(2))]).append_column("row", pa.array([[1, None]]))
    answered = engine.lookup(rows, [ResolvedLookup(table, ("note",))])
    assert answered.select(rows.column_names).equals(rows)
    assert answered.column("note").to_pylist() == ["found"]


def test_a_null_in_the_newest_row_is_not_filled_from_an_older_one(engine: Engine, tables: Tables) -> None:
    table = tables.of([sale("old", at(1), at(1), units=7.0), sale(None, at(2), at(2), units=None)])
    answered = engine.lookup(pack.label_table([label(at(3), at(3))]), [ResolvedLookup(table, ("units", "note"))])
    assert answered.select(["units", "note"]).to_pylist() == [{"units": None, "note": None}]


# An engine may read only the periods in which an answer can lie.
@pytest.mark.parametrize("calendar", [Calendar("day"), Calendar("week"), Calendar("week", "friday"), Calendar("month")])
@pytest.mark.parametrize("others", [[], [at(1, 3), at(11, 20)]])
def test_rows_of_every_period_that_a_lookback_touches_are_found(
    engine: Engine, tables: Tables, calendar: Calendar, others: list[datetime]
) -> None:
    lookbacks = [Duration.parse(text) for text in ("1 days", "1 weeks", "10 days", "1 months")]
    anchors = [at(6, day) - MICROSECOND for day in (1, 8, 9, 15)] + [at(6, 20, 5)]
    states: list[dict[str, Any]] = []
    labels: list[dict[str, Any]] = []
    for anchor, lookback in product(anchors, lookbacks):
        oldest = oracle.last_instant_outside(anchor, pack.plain(lookback) or 0) + MICROSECOND
        for note, moment in (("oldest", oldest), ("newest", anchor)):
            labels.append(label(anchor, anchor + 200 * DAY, product=len(labels)))
            states.append(sale(f"{note} of {lookback} before {anchor}", moment, moment, product=len(states)))
    labels += [label(anchor, anchor + 200 * DAY, product=999) for anchor in others]
    table = tables.of(states, schema=replace(SALES, calendar=calendar))
    answered = engine.lookup(
        pack.label_table(labels),
        [ResolvedLookup(table, ("note",), lookback, rename={"note": str(lookback)}) for lookback in lookbacks],
    ).to_pylist()
    for number, lookback in enumerate(lookbacks):
        of_lookback = [place for place in range(len(states)) if place // 2 % len(lookbacks) == number]
        found = [answered[place][str(lookback)] for place in of_lookback]
        assert found == [states[place]["note"] for place in of_lookback]
        assert [row[str(lookback)] for row in answered[len(states) :]] == [None] * len(others)


def test_an_anchor_at_the_end_of_all_time_is_answered(engine: Engine, tables: Tables) -> None:
    end, table = datetime.max.replace(tzinfo=UTC), tables.of([sale("old", at(1), at(1))])
    lookbacks = {"any": None, "1 days": Duration.parse("1 days"), "2 months": Duration.parse("2 months")}
    answered = engine.lookup(
        pack.label_table([label(end, end), label(at(1), end)]),
        [ResolvedLookup(table, ("note",), lookback, rename={"note": name}) for name, lookback in lookbacks.items()],
    )
    found = {name: answered.column(name).to_pylist() for name in lookbacks}
    assert found == {"any": ["old", "old"], "1 days": [None, "old"], "2 months": [None, "old"]}


@pytest.mark.parametrize("distances", [8, 9])  # so many can be answered one after the other
def test_how_many_distances_from_anchor_to_asking_there_are_makes_no_difference(
    engine: Engine, tables: Tables, distances: int
) -> None:
    table = tables.of(
        [sale(f"day {day}", at(2, day), at(2, day) + 3 * DAY) for day in range(1, 29)],
        [sale("gone", at(2, 14), at(2, 20), seq=2, removed=True)],
    )
    labels, expected = [], []
    for number in range(distances):
        lag = timedelta(hours=21 * number)
        known = (at(2, 14) + lag - 3 * DAY).day if lag < 3 * DAY else 14
        removed = known == 14 and at(2, 14) + lag >= at(2, 20)
        labels.append(label(at(2, 14), at(2, 14) + lag))
        expected.append("day 13" if removed else f"day {known}")
    assert expected[-1] == "day 13"
    assert notes(engine, table, labels) == expected


def test_several_tables_are_looked_up_at_once_each_with_its_own_lookback(engine: Engine, tables: Tables) -> None:
    quick = tables.of([sale("quick", at(2), at(2, 2), units=1.0), sale("quicker", at(3), at(3, 2), units=2.0)])
    slow = tables.of([sale("slow", at(1), at(4))], name="slow")
    shops = tables.of([pack.region("north", "coast")], schema=SHOPS, name="shops")
    rows = pack.label_table([label(at(3) - MICROSECOND, at(4)), label(at(4) - MICROSECOND, at(4, 2), product=2)])
    answered = engine.lookup(
        rows,
        [
            ResolvedLookup(quick, ("units",), Duration.parse("2 months")),
            ResolvedLookup(slow, ("note",), Duration.parse("3 months"), rename={"note": "slow_note"}),
            ResolvedLookup(shops, ("region",)),
            ResolvedLookup(slow, ("sold_at",), Duration.parse("1 months")),
        ],
    )
    assert answered.column_names == [*rows.column_names, "units", "slow_note", "region", "sold_at"]
    answers = [column.to_pylist() for column in answered.columns[rows.num_columns :]]
    assert answers == [[1.0, None], ["slow", None], ["coast", "coast"], [None, None]]


def test_each_table_is_asked_with_its_own_keys(engine: Engine, tables: Tables) -> None:
    by_product = TableSchema(
        ("product",), "sold_at", tuple(column for column in SALES.columns if column.name != "shop"), SALES.calendar
    )
    totals = tables.of([sale("total", at(1), at(1), product=2)], schema=by_product, name="totals")
    sales = tables.of([sale("sold", at(1), at(1), product=2, shop="south")])
    rows = pack.label_table([label(at(2), at(2), product=2), label(at(2), at(2), product=2, shop=None)])
    answered = engine.lookup(
        rows, [ResolvedLookup(totals, ("note",), rename={"note": "total"}), ResolvedLookup(sales, ("units",))]
    )
    assert answered.column("total").to_pylist() == ["total", "total"]
    assert answered.column("units").to_pylist() == [None, None]


def test_a_static_table_answers_at_any_time_with_its_latest_states(engine: Engine, tables: Tables) -> None:
    table = tables.of(
        [pack.region("north", "coast"), pack.region("south", "hills"), pack.region("west", "plain")],
        [pack.region("south", "valley", seq=2), pack.region("west", None, seq=2, removed=True)],
        schema=SHOPS,
        name="shops",
    )
    labels = [label(at(1), at(1) + lag, shop=shop) for lag in (-DAY, DAY) for shop in ("north", "south", "west")]
    answered = engine.lookup(pack.label_table(labels), [ResolvedLookup(table, ("region",))])
    assert answered.column("region").to_pylist() == ["coast", "valley", None] * 2


@pytest.mark.parametrize("written", [False, True])
def test_in_an_empty_table_nothing_is_found(engine: Engine, tables: Tables, written: bool) -> None:
    table = tables.of([]) if written else tables.empty()
    answered = engine.lookup(pack.label_table([label(at(2), at(2))] * 2), [ResolvedLookup(table, ("units", "note"))])
    assert answered.select(["units", "note"]).to_pylist() == [{"units": None, "note": None}] * 2
    assert answered.schema.field("units").type == SALES.arrow().field("units").type


@pytest.mark.parametrize("states", [0, 1])
def test_no_labels_are_answered_by_no_rows_with_all_columns(engine: Engine, tables: Tables, states: int) -> None:
    table = tables.of([sale("there", at(1), at(1))] * states)
    rows = pack.label_table([])
    answered = engine.lookup(rows, [ResolvedLookup(table, ("units", "sold_at"))])
    assert answered.num_rows == 0
    wanted = [SALES.arrow().field(name) for name in ("units", "sold_at")]
    assert list(answered.schema) == [*rows.schema, *wanted]


def test_values_of_every_type_come_back_exactly(engine: Engine, tables: Tables) -> None:
    schema = TableSchema(
        ("shop",),
        "sold_at",
        (
            Column("shop", "string"),
            Column("sold_at", "timestamp"),
            Column("text", "string"),
            Column("whole", "bigint"),
            Column("size", "double"),
            Column("price", "decimal(38,2)"),
            Column("yes", "boolean"),
            Column("day", "date"),
            Column("seen", "timestamp"),
        ),
        SALES.calendar,
    )
    times = {"sold_at": at(1), "event_time": at(1), "known_at": at(1), "seq": 1, "removed": False}
    seen = at(2, 29) - MICROSECOND
    values: dict[str, dict[str, Any]] = {
        "full": {
            "text": "Größe\n",
            "whole": 2**53 + 1,
            "size": 0.1 + 0.2,
            "price": Decimal("-123456789012345678901234567890123456.70"),
            "yes": False,
            "day": date(1969, 12, 31),
            "seen": seen,
        },
        "nulls": {},
        "odd": {"text": "", "whole": -(2**63), "size": -math.inf, "yes": True, "day": date(2024, 2, 29)},
        "nan": {"size": math.nan},
    }
    names = schema.value_names
    table = tables.of(
        [{"shop": shop} | {name: row.get(name) for name in names} | times for shop, row in values.items()],
        schema=schema,
    )
    rows = pack.label_table([label(at(2), at(2), shop=shop) for shop in values])
    default = {"price": Decimal("0.10")}
    defaulted = engine.lookup(rows, [ResolvedLookup(table, names, default=default)]).column("price").to_pylist()
    assert list(map(str, defaulted)) == [str(values["full"]["price"]), "0.10", "0.10", "0.10"]
    answered = engine.lookup(rows, [ResolvedLookup(table, names)]).select(names)
    assert answered.schema.equals(schema.arrow().empty_table().select(names).schema)
    *found, of_nan = answered.to_pylist()
    assert found == [{name: row.get(name) for name in names} for shop, row in values.items() if shop != "nan"]
    assert math.isnan(of_nan.pop("size")) and set(of_nan.values()) == {None}


def test_a_key_can_be_a_feature_too(engine: Engine, tables: Tables) -> None:
    table = tables.of([sale("there", at(1), at(1), product=2)])
    rows = pack.label_table([label(at(2), at(2), product=2), label(at(2), at(2), product=3)])
    asked = ResolvedLookup(table, ("product", "shop"), rename={"product": "sold_product", "shop": "by"}, found="found")
    answered = engine.lookup(rows, [asked])
    assert answered.column("sold_product").to_pylist() == [2, None]
    assert [value is None for value in answered.column("found").to_pylist()] == [False, True]


@given(states=pack.sales_states, lookback=st.sampled_from(pack.LOOKBACKS), seed=pack.seeds)
@settings(max_examples=8)
def test_features_under_another_key_and_name_are_the_same_with_their_default_where_they_are_null(
    engine: Engine,
    tables: Tables,
    states: list[oracle.State],
    lookback: Duration | None,
    seed: int,
) -> None:
    table = tables.of(states)
    labels = pack.random_labels(states, lookback, [DAY], 80, seed)
    rows = pack.label_table(labels).rename_columns(["number", "their_shop", "their_product", "anchor", "as_of"])
    dressed = ResolvedLookup(
        table,
        ("units", "note"),
        lookback,
        lookup_key=("their_shop", "their_product"),
        rename={"units": "their_units"},
        default={"units": -1.0},
        found="the row",
    )
    answered = engine.lookup(rows, [dressed])
    assert answered.column_names == [*rows.column_names, "their_units", "note", "the row"]
    for row, answer in zip(labels, answered.to_pylist(), strict=True):
        answering = oracle.lookup(states, row, table.schema.keys, pack.plain(lookback))
        found = answering or {"units": None, "note": None}
        assert (answer["the row"] is None) == (answering is None)
        assert answer["note"] == found["note"]
        assert answer["their_units"] == (-1.0 if found["units"] is None else found["units"])


def test_one_table_is_looked_up_twice_by_different_columns_of_the_rows(engine: Engine, tables: Tables) -> None:
    import pyarrow as pa

    shops = tables.of([pack.region("north", "coast"), pack.region("south", "hills")], schema=SHOPS, name="shops")
    moment = pa.timestamp("us", "UTC")
    rows = pa.table(
        {
            "sender": ["north", "south", None],
            "receiver": ["south", "west", "north"],
            "anchor": pa.array([at(2)] * 3, moment),
            "as_of": pa.array([at(2)] * 3, moment),
        }
    )
    answered = engine.lookup(
        rows,
        [
            ResolvedLookup(shops, ("region",), lookup_key=("sender",), rename={"region": "from"}),
            ResolvedLookup(
                shops, ("region",), lookup_key=("receiver",), rename={"region": "to"}, default={"region": "-"}
            ),
        ],
    )
    assert answered.column("from").to_pylist() == ["coast", "hills", None]
    assert answered.column("to").to_pylist() == ["hills", "-", "coast"]


def test_one_column_of_the_rows_may_stand_for_two_keys(engine: Engine, tables: Tables) -> None:
    pairs = TableSchema(
        ("shop", "other"),
        None,
        (Column("shop", "string"), Column("other", "string"), Column("miles", "double")),
        MONTHS,
    )
    always = {key: pack.region("", None)[key] for key in ("event_time", "known_at", "seq", "removed")}
    table = tables.of(
        [
            {"shop": "north", "other": other, "miles": miles} | always
            for other, miles in (("north", 0.0), ("west", 9.0))
        ],
        schema=pairs,
        name="distances",
    )
    rows = pack.label_table([label(at(2), at(2)), label(at(2), at(2), shop="west")])
    answered = engine.lookup(rows, [ResolvedLookup(table, ("miles",), lookup_key=("shop", "shop"))])
    assert answered.column("miles").to_pylist() == [0.0, None]


@pytest.mark.parametrize("first", ["note", "units"])
def test_two_columns_of_one_name_are_refused(engine: Engine, tables: Tables, first: str) -> None:
    table = tables.empty()
    rows = pack.label_table([label(at(2), at(2))])
    with pytest.raises(DefinitionError) as refused:
        engine.lookup(rows, [ResolvedLookup(table, (first,)), ResolvedLookup(table, ("note",), rename={"note": first})])
    assert refused.value.found == f"a second column '{first}', looked up in 'sales'"
    assert refused.value.cure == "rename the feature"
    with pytest.raises(DefinitionError):
        engine.lookup(rows, [ResolvedLookup(table, ("product",))])


# Names that an engine may well use for columns of its own.
NAMES = ["row", "latest", "newest", "event_us", "known_us", "anchor_us", "lag_us", "state_row", "available", "rowid"]


@pytest.mark.parametrize("are_keys", [False, True])
def test_a_column_may_have_any_name_that_is_not_reserved(engine: Engine, tables: Tables, are_keys: bool) -> None:
    import pyarrow as pa

    named = tuple(Column(name, "bigint") for name in NAMES)
    columns = (Column("shop", "string"), *named, Column("month", "timestamp"), Column("note", "string"))
    schema = TableSchema(("shop", *NAMES) if are_keys else ("shop",), "month", columns, SALES.calendar)
    values = {name: 500 + place for place, name in enumerate(NAMES)}
    states = [
        {"shop": "north", **values, "month": at(month), "note": f"month {month}"}
        | {"event_time": at(month), "known_at": at(month), "seq": 1, "removed": False}
        for month in (1, 2)
    ]
    moment = pa.timestamp("us", "UTC")
    rows = pa.table(
        {
            "shop": ["north", "north", "south"],
            "anchor": pa.array([at(1, 9), at(2, 9), at(2, 9)], moment),
            "as_of": pa.array([at(3)] * 3, moment),
            **({name: [value] * 3 for name, value in values.items()} if are_keys else {}),
        }
    )
    features = ("note",) if are_keys else (*NAMES, "note")
    answered = engine.lookup(rows, [ResolvedLookup(tables.of(states, schema=schema), features)])
    assert answered.column("note").to_pylist() == ["month 1", "month 2", None]
    nothing = values if are_keys else dict.fromkeys(NAMES)
    assert answered.select(NAMES).to_pylist() == [values, values, nothing]


def test_an_earlier_version_of_a_table_answers_as_it_did(engine: Engine, tables: Tables) -> None:
    table = tables.of([sale("first", at(1), at(1))])
    version = table.delta.version()
    pack.append(table, [sale("second", at(1), at(1), seq=2)])
    rows = pack.label_table([label(at(2), at(2))])
    for number, found in ((version, "first"), (None, "second")):
        answered = engine.lookup(rows, [ResolvedLookup(table, ("note",), version=number)])
        assert answered.column("note").to_pylist() == [found]


def test_lookups_in_several_threads_do_not_meet(engine: Engine, tables: Tables) -> None:
    written = {number: tables.of([sale(f"table {number}", at(1), at(1))]) for number in range(4)}

    def ask(number: int) -> list[Any]:
        return notes(engine, written[number % 4], [label(at(2), at(2))] * (number + 1))

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(ask, range(8)))
    assert answers == [[f"table {number % 4}"] * (number + 1) for number in range(8)]


def _without(rows: "pa.Table", name: str) -> "pa.Table":
    return rows.drop_columns([name])


def _as(rows: "pa.Table", name: str, type_: "pa.DataType") -> "pa.Table":
    return rows.set_column(rows.column_names.index(name), name, rows.column(name).cast(type_))


def test_times_in_another_zone_are_refused_and_brought_to_utc_they_are_the_same(engine: Engine, tables: Tables) -> None:
    import pyarrow as pa

    lookup = ResolvedLookup(tables.of([sale("exact", at(2), at(2))]), ("note",))
    utc = pack.label_table([label(at(2), at(2)), label(at(2) - MICROSECOND, at(2))])
    new_york = _as(
        _as(utc, "anchor", pa.timestamp("us", "America/New_York")), "as_of", pa.timestamp("us", "Asia/Tokyo")
    )
    with pytest.raises(DefinitionError):
        engine.lookup(new_york, [lookup])
    moment = pa.timestamp("us", "UTC")
    answered = engine.lookup(_as(_as(new_york, "anchor", moment), "as_of", moment), [lookup])
    assert answered.column("note").to_pylist() == ["exact", None]


@pytest.mark.parametrize("name", ["anchor", "as_of"])
@pytest.mark.parametrize("case", ["missing", "no zone", "another zone", "another unit", "text"])
def test_labels_without_times_in_utc_are_refused(engine: Engine, tables: Tables, name: str, case: str) -> None:
    import pyarrow as pa

    rows = pack.label_table([label(at(2), at(2))])
    types = {
        "no zone": pa.timestamp("us"),
        "another zone": pa.timestamp("us", "Europe/Berlin"),
        "another unit": pa.timestamp("ns", "UTC"),
        "text": pa.string(),
    }
    wrong = _without(rows, name) if case == "missing" else _as(rows, name, types[case])
    with pytest.raises(DefinitionError) as refused:
        engine.lookup(wrong, [ResolvedLookup(tables.empty(), ("note",))])
    assert refused.value.found == f"rows without a column '{name}' of type timestamp[us, tz=UTC]"
    assert refused.value.expected == "a time in UTC for each row"
    assert refused.value.cure == f"add '{name}'"


def test_labels_without_a_key_are_refused(engine: Engine, tables: Tables) -> None:
    rows = _without(pack.label_table([label(at(2), at(2))]), "product")
    with pytest.raises(DefinitionError) as refused:
        engine.lookup(rows, [ResolvedLookup(tables.empty(), ("note",))])
    assert refused.value.found == "rows without the key column 'product'"
    assert refused.value.expected == "the keys of 'sales': shop, product"
    assert refused.value.cure == "add the column"


def test_labels_whose_key_has_another_type_are_refused(engine: Engine, tables: Tables) -> None:
    import pyarrow as pa

    rows = _as(pack.label_table([label(at(2), at(2))]), "product", pa.string())
    with pytest.raises(DefinitionError) as refused:
        engine.lookup(rows, [ResolvedLookup(tables.empty(), ("note",))])
    assert refused.value.found == "key column 'product' of type string"
    assert refused.value.expected == "type int64, as in 'sales'"
    assert refused.value.cure == "cast the column"


@pytest.mark.slow
@pytest.mark.parametrize("zone", ["America/New_York", "Pacific/Auckland"])
def test_the_machines_time_zone_changes_no_answer(tmp_path: Path, zone: str) -> None:
    # A process of its own, because DuckDB takes the zone over when a program starts.
    done = subprocess.run(
        [sys.executable, "-m", in_another_zone.__name__, str(tmp_path)],
        env={**os.environ, "TZ": zone},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told.pop("hours from UTC") == {"America/New_York": -4, "Pacific/Auckland": 13}[zone]
    assert told == in_another_zone.EXPECTED


def test_in_utc_the_answers_are_those_of_any_zone(engine: Engine, tables: Tables) -> None:
    assert in_another_zone.answers(engine, tables) == in_another_zone.EXPECTED
