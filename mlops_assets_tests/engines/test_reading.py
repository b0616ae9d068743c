"""Reading as known at a moment, running SQL on it, and finding what changed: the oracle's answers on every engine."""

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.engines.contract import Changes, Engine, QueryInput
from mlops_assets.engines.figures import COUNT, largest
from mlops_assets.engines.query import parse_query
from mlops_assets.errors import ContractError
from mlops_assets.lakehouse.periods import Period
from mlops_assets.lakehouse.schema import Column, TableSchema
from mlops_assets.lakehouse.tables import StateTable
from mlops_assets_tests.engines import contract_pack as pack
from mlops_assets_tests.engines import oracle
from mlops_assets_tests.engines.contract_pack import DAY, MICROSECOND, SALES, SHOPS, Tables, at, month, sale

if TYPE_CHECKING:
    import pyarrow as pa

READ = (*SALES.names, "event_time", "known_at")
YEARS_END = at(12, 31)
windows = st.none() | st.tuples(st.integers(1, 5), st.integers(0, 2)).map(
    lambda months: (month(months[0]), month(sum(months)))
)


def moments(states: list[dict[str, Any]]) -> st.SearchStrategy[datetime]:
    return st.sampled_from(pack.moments_of_knowledge(states))


def read_notes(engine: Engine, table: StateTable, moment: datetime) -> list[Any]:
    found: list[Any] = engine.known_at(table, moment).column("note").to_pylist()
    return found


def evaluate(
    engine: Engine,
    sql: str,
    *inputs: QueryInput,
    known_at: datetime = YEARS_END,
    schema: TableSchema = SALES,
    keep: Period | None = None,
) -> "pa.Table":
    query = parse_query(sql, file=Path("demand.sql"))
    return engine.evaluate(query, inputs, known_at=known_at, schema=schema, keep=keep)


def months_of(table: StateTable, first: int, last: int) -> QueryInput:
    return QueryInput(table, month(first), month(last))


@given(pack.sales_states, windows, st.data())
@settings(max_examples=40)
@pytest.mark.slow
def test_a_table_as_known_at_a_moment_is_the_oracles(
    engine: Engine,
    tables: Tables,
    states: list[dict[str, Any]],
    window: tuple[Period, Period] | None,
    data: st.DataObject,
) -> None:
    moment = data.draw(moments(states))
    first, last = window or (None, None)
    known = engine.known_at(tables.of(states), moment, first=first, last=last)
    expected = oracle.known_at(states, moment, SALES.keys, (window[0].start, window[1].end) if window else None)
    pack.same_states(expected, known, READ)


@given(pack.sales_states, st.integers(1, 5), st.integers(0, 2), st.data())
@settings(max_examples=20)
@pytest.mark.slow
def test_sql_sees_the_rows_of_its_history_as_the_oracle_knows_them(
    engine: Engine, tables: Tables, states: list[dict[str, Any]], last: int, further: int, data: st.DataObject
) -> None:
    moment = data.draw(moments(states))
    window = (month(max(1, last - further)), month(last))
    seen = evaluate(
        engine,
        "select * from sales",
        QueryInput(tables.of(states), *window),
        known_at=moment,
        keep=month(last),
    )
    expected = oracle.known_at(states, moment, SALES.keys, (window[0].start, window[1].end))
    kept = [state for state in expected if month(last).start <= state["event_time"] < month(last).end]
    pack.same_states(kept, seen, SALES.names)


def test_a_correction_changes_nothing_known_before(engine: Engine, tables: Tables) -> None:
    table = tables.of([sale("first", at(1), at(2))])
    before = engine.known_at(table, at(3) - MICROSECOND)
    pack.append(table, [sale("corrected", at(1), at(3), seq=2)])
    assert engine.known_at(table, at(3) - MICROSECOND).equals(before)
    assert read_notes(engine, table, at(3)) == ["corrected"]


def test_a_removed_row_is_not_read_and_one_that_came_back_is(engine: Engine, tables: Tables) -> None:
    table = tables.of(
        [sale("there", at(1), at(2))],
        [sale("gone", at(1), at(3), seq=2, removed=True)],
        [sale("back", at(1), at(4), seq=3)],
    )
    assert [read_notes(engine, table, at(number)) for number in (1, 2, 3, 4)] == [[], ["there"], [], ["back"]]


def test_of_two_states_known_at_the_same_moment_the_last_ingested_is_read(engine: Engine, tables: Tables) -> None:
    table = tables.of([sale("third", at(1), at(2), seq=3), sale("first", at(1), at(2))])
    pack.append(table, [sale("second", at(1), at(2), seq=2)])
    assert read_notes(engine, table, at(2)) == ["third"]


def test_what_is_known_later_counts_more_than_what_was_ingested_later(engine: Engine, tables: Tables) -> None:
    table = tables.of([sale("known later", at(1), at(3), seq=1)], [sale("ingested later", at(1), at(2), seq=2)])
    assert [read_notes(engine, table, at(number)) for number in (2, 3)] == [["ingested later"], ["known later"]]


def test_rows_are_read_in_the_order_of_key_and_time_however_they_were_written(engine: Engine, tables: Tables) -> None:
    rows = [
        sale(f"{shop} {product} {day}", at(2, day), at(3), shop=shop, product=product)
        for shop in ("east", "north", "west")
        for product in (2, 10)
        for day in (1, 20)
    ]
    expected = [row["note"] for row in rows]
    assert read_notes(engine, tables.of(rows[::-1]), at(3)) == expected
    assert read_notes(engine, tables.of(rows[7:], rows[3:7], rows[:3]), at(3)) == expected


def test_only_events_inside_the_periods_asked_for_are_read(engine: Engine, tables: Tables) -> None:
    events = [at(2) - MICROSECOND, at(2), at(4) - MICROSECOND, at(4)]
    table = tables.of([sale(f"event {number}", event, event) for number, event in enumerate(events)])
    known = engine.known_at(table, at(5), first=month(2), last=month(3))
    assert known.column("note").to_pylist() == ["event 1", "event 2"]


def test_known_rows_are_those_that_would_be_fetched_and_can_be_measured_where_they_are(
    engine: Engine, tables: Tables
) -> None:
    table = tables.of([sale(f"n{number}", at(number), at(number)) for number in range(1, 6)])
    rows = engine.known_rows(table, at(4), first=month(2), last=month(5))
    assert engine.to_arrow(rows).equals(engine.known_at(table, at(4), first=month(2), last=month(5)))
    assert engine.measure(rows, {"rows": COUNT, "newest": largest("event_time")}) == {"rows": 3, "newest": at(4)}
    assert engine.first_rows(rows, 2).column("note").to_pylist() == ["n2", "n3"]


def test_an_earlier_version_of_a_table_is_read_as_it_was(engine: Engine, tables: Tables) -> None:
    table = tables.of([sale("first", at(1), at(1))])
    version = table.delta.version()
    pack.append(table, [sale("second", at(1), at(1), seq=2)])
    assert engine.known_at(table, at(2), version=version).column("note").to_pylist() == ["first"]
    assert read_notes(engine, table, at(2)) == ["second"]


def test_a_static_table_is_known_at_every_moment_in_its_latest_states(engine: Engine, tables: Tables) -> None:
    table = tables.of(
        [pack.region("north", "coast"), pack.region("south", "hills"), pack.region("west", "plain")],
        [pack.region("south", "valley", seq=2), pack.region("west", None, seq=2, removed=True)],
        schema=SHOPS,
        name="shops",
    )
    known = engine.known_at(table, datetime.fromisoformat("1970-01-01T00:00Z"))
    assert known.select(["shop", "region"]).to_pylist() == [
        {"shop": "north", "region": "coast"},
        {"shop": "south", "region": "valley"},
    ]
    seen = evaluate(engine, "select * from shops", QueryInput(table, None, None), schema=SHOPS)
    assert seen.equals(known.select(["shop", "region"]))


@pytest.mark.parametrize("written", [False, True])
def test_an_empty_table_has_no_rows_and_all_columns(engine: Engine, tables: Tables, written: bool) -> None:
    table = tables.of([]) if written else tables.empty()
    known = engine.known_at(table, at(2))
    assert known.num_rows == 0
    assert known.schema.equals(SALES.stored().empty_table().select(READ).schema)
    seen = evaluate(engine, "select * from sales", months_of(table, 1, 2), keep=month(2))
    assert seen.num_rows == 0
    assert seen.schema.equals(SALES.arrow())


def test_sql_gives_only_the_rows_of_the_period_that_is_kept(engine: Engine, tables: Tables) -> None:
    events = [at(1, 31), at(3) - MICROSECOND, at(3), at(3, 31), at(4) - MICROSECOND]
    table = tables.of([sale(f"event {number}", event, event) for number, event in enumerate(events)])
    kept = evaluate(engine, "select * from sales", months_of(table, 1, 3), keep=month(3))
    assert kept.column("note").to_pylist() == ["event 2", "event 3", "event 4"]


def test_sql_computes_over_its_whole_history_before_the_period_is_cut_out(engine: Engine, tables: Tables) -> None:
    table = tables.of([sale(None, at(number), at(number), units=float(number)) for number in range(1, 6)])
    summed = evaluate(
        engine,
        "select shop, product, sold_at, sum(units) over (order by sold_at) as units, note from sales",
        months_of(table, 2, 4),
        keep=month(4),
    )
    assert summed.column("units").to_pylist() == [2.0 + 3.0 + 4.0]


def test_the_answer_of_sql_is_ordered_by_key_and_time(engine: Engine, tables: Tables) -> None:
    rows = [
        sale(f"{shop} {day}", at(1, day), at(2), shop=shop, units=float(day))
        for shop in ("east", "north")
        for day in (1, 2, 30)
    ]
    table = tables.of(rows[::-1])
    answer = evaluate(engine, "select * from sales order by units desc", months_of(table, 1, 1), keep=month(1))
    assert answer.column("note").to_pylist() == [row["note"] for row in rows]


def test_a_sum_does_not_depend_on_the_order_in_which_rows_were_written(engine: Engine, tables: Tables) -> None:
    # The sum of these depends on their order in the last bits.
    rows = [sale(None, at(1, 1 + number), at(2), units=(-1) ** number * 1e16 / (number + 3)) for number in range(28)]
    sql = "select shop, product, max(sold_at) as sold_at, sum(units) as units, null::varchar as note from sales"
    sums = set()
    for commits in ([rows], [rows[::-1]], [rows[9:], rows[:9]], [rows[::2], rows[1::2]]):
        answer = evaluate(engine, f"{sql} group by all", months_of(tables.of(*commits), 1, 1), keep=month(1))
        sums.add(answer.column("units").to_pylist()[0])
    assert len(sums) == 1


def test_numbers_are_brought_to_the_declared_types(engine: Engine, tables: Tables) -> None:
    schema = TableSchema(
        ("shop",),
        "day",
        (
            Column("shop", "string"),
            Column("day", "date"),
            Column("rows", "bigint"),
            Column("share", "double"),
            Column("late", "boolean"),
            Column("newest", "timestamp"),
        ),
        SALES.calendar,
    )
    sql = """
    select shop, cast(sold_at as date) as day, sum(product) as rows, 0.25 as share, bool_or(units > 1) as late,
           max(cast(sold_at as date)) as newest
    from sales group by shop, day
    """
    table = tables.of(
        [sale("a", at(3, 5, 7), at(4)), sale("b", at(3, 5, 8), at(4), product=2), sale("c", at(2), at(4))]
    )
    answer = evaluate(engine, sql, months_of(table, 1, 3), schema=schema, keep=month(3))
    assert answer.schema.equals(schema.arrow())
    first = {"shop": "north", "day": date(2024, 3, 5), "rows": 3, "share": 0.25, "late": False, "newest": at(3, 5)}
    assert answer.to_pylist() == [first]


def test_a_table_may_have_any_name(engine: Engine, tables: Tables) -> None:
    # An engine keeps an answer, and what stands for no rows, under names of its own.
    names = ["answer", "answered", "no_rows", "order", "temp", "main", "held", "s"]
    written = [tables.of([sale(name, at(1, 1 + place), at(2))], name=name) for place, name in enumerate(names)]
    inputs = [months_of(table, 1, 1) for table in (tables.empty(name="other"), *written)]
    sql = " union all ".join(f'select * from "{name}"' for name in (*names, "other"))
    assert evaluate(engine, sql, *inputs, keep=month(1)).column("note").to_pylist() == names


def test_a_column_may_have_any_name_that_is_not_reserved(engine: Engine, tables: Tables) -> None:
    names = ["latest", "moment", "row", "newest", "d", "h", "sale's", 'a "b"', "Größe", "select"]
    columns = (Column("shop", "string"), Column("month", "timestamp"), *(Column(name, "timestamp") for name in names))
    schema = TableSchema(("shop",), "month", columns, SALES.calendar)
    row = {"shop": "north", "month": at(1), **{name: at(7, 1 + place) for place, name in enumerate(names)}}
    state = {"event_time": at(1), "known_at": at(2), "seq": 1, "removed": False}
    table = tables.of([row | state], schema=schema)
    known = engine.known_at(table, at(3)).select(schema.names)
    assert known.to_pylist() == [row]
    assert evaluate(engine, "select * from sales", months_of(table, 1, 1), schema=schema, keep=month(1)).equals(known)
    same = engine.changes(table, known, covered=[month(1)], seen_at=None, missing_is_removed=True)
    assert (same.states.num_rows, same.held) == (0, 1)


@pytest.mark.parametrize(
    ("sql", "found", "expected", "cure"),
    [
        (
            "select shop, product, sold_at, units from sales",
            "the SQL in demand.sql gives no column 'note' (it gives shop, product, sold_at, units)",
            "a column 'note' of type string",
            "select it in the SQL, or take it out of the YAML",
        ),
        (
            "select shop, product, sold_at, note as units, note from sales",
            "column 'units' in demand.sql has type VARCHAR",
            "type double, as declared",
            "cast it in the SQL, or declare the type that it has",
        ),
        (
            "select shop, product, sold_at, units, 1 as note from sales",
            "column 'note' in demand.sql has type INTEGER",
            "type string, as declared",
            "cast it in the SQL, or declare the type that it has",
        ),
    ],
)
def test_sql_that_gives_other_columns_than_declared_is_refused(
    engine: Engine, tables: Tables, sql: str, found: str, expected: str, cure: str
) -> None:
    table = tables.of([sale("there", at(1), at(2))])
    with pytest.raises(ContractError) as refused:
        evaluate(engine, sql, months_of(table, 1, 1), keep=month(1))
    assert (refused.value.found, refused.value.expected, refused.value.cure) == (found, expected, cure)


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("select shop, product, sold_at, cast(note as double) as units, note from sales", "'there'"),
        ("select shop, product, sold_at, profit as units, note from sales", "profit"),
        ("select * from costs", "costs"),
        (
            "select shop, 9223372036854775807 + product as product, sold_at, units, note from sales",
            "verflow",
        ),
        ("select shop, sum(units) as units from sales", "GROUP BY"),
    ],
)
def test_sql_that_fails_is_refused_with_the_engines_words_and_a_cure(
    engine: Engine, tables: Tables, sql: str, told: str
) -> None:
    table = tables.of([sale("there", at(1), at(2))])
    with pytest.raises(ContractError) as refused:
        evaluate(engine, sql, months_of(table, 1, 1), keep=month(1))
    assert refused.value.found.startswith("the SQL in demand.sql failed: ")
    assert told in refused.value.found
    assert "\n" not in str(refused.value)
    assert refused.value.expected == "SQL that runs over its inputs"
    assert refused.value.cure == "correct it, and try it with `mlops-assets check`"


def rows_of(states: list[dict[str, Any]]) -> "pa.Table":
    import pyarrow as pa

    return pa.Table.from_pylist([{name: state[name] for name in SALES.names} for state in states], SALES.arrow())


def append_changes(table: StateTable, changes: Changes, known_at: datetime, seq: int) -> None:
    states = changes.states.drop_columns(["replaced_known_at"]).to_pylist()
    pack.append(table, [state | {"known_at": known_at, "seq": seq} for state in states])


@pytest.fixture
def delivered(tables: Tables) -> StateTable:
    """February's sales of three products."""
    return tables.of(
        [
            sale("first", at(2, 1), at(3), units=1.0),
            sale("second", at(2, 2), at(3), units=None, product=2),
            sale(None, at(2, 3), at(3), units=3.0, product=3),
        ]
    )


def test_rows_that_are_all_held_already_change_nothing(engine: Engine, delivered: StateTable) -> None:
    rows = engine.known_at(delivered, at(3)).select(SALES.names)
    changes = engine.changes(delivered, rows, covered=[month(2)], seen_at=None, missing_is_removed=True)
    assert (changes.states.num_rows, changes.held, changes.removed) == (0, 3, 0)


def test_only_what_changed_is_appended_and_what_is_missing_is_removed(engine: Engine, delivered: StateTable) -> None:
    rows = rows_of(
        [
            sale("first", at(2, 1), at(3), units=1.0),
            sale("second", at(2, 2), at(3), units=2.0, product=2),
            sale("new", at(2, 4), at(3), product=4),
        ]
    )
    changes = engine.changes(delivered, rows, covered=[month(2)], seen_at=None, missing_is_removed=True)
    told = changes.states.select(["product", "event_time", "units", "note", "removed", "replaced_known_at"]).to_pylist()
    assert sorted(told, key=lambda row: int(row["product"])) == [
        {"product": number, "event_time": event_time, "units": units, "note": note, "removed": removed}
        | {"replaced_known_at": replaced}
        for number, event_time, units, note, removed, replaced in [
            (2, at(2, 2), 2.0, "second", False, at(3)),
            (3, at(2, 3), 3.0, None, True, at(3)),
            (4, at(2, 4), 1.0, "new", False, None),
        ]
    ]
    assert (changes.held, changes.removed) == (3, 1)


def test_of_additions_nothing_is_removed(engine: Engine, delivered: StateTable) -> None:
    rows = rows_of([sale("new", at(2, 4), at(3), product=4)])
    changes = engine.changes(delivered, rows, covered=[month(2)], seen_at=None, missing_is_removed=False)
    assert changes.states.column("note").to_pylist() == ["new"]
    assert (changes.held, changes.removed) == (3, 0)


def test_rows_of_periods_that_are_not_covered_are_left_alone(engine: Engine, delivered: StateTable) -> None:
    changes = engine.changes(delivered, rows_of([]), covered=[month(3)], seen_at=None, missing_is_removed=True)
    assert (changes.states.num_rows, changes.held, changes.removed) == (0, 0, 0)


def test_rows_are_compared_with_what_was_known_at_the_moment_asked_for(engine: Engine, delivered: StateTable) -> None:
    pack.append(delivered, [sale("corrected", at(2, 1), at(4), seq=2, units=1.0)])
    rows = engine.known_at(delivered, at(3)).select(SALES.names)
    then = engine.changes(delivered, rows, covered=[month(2)], seen_at=at(4) - MICROSECOND, missing_is_removed=True)
    now = engine.changes(delivered, rows, covered=[month(2)], seen_at=None, missing_is_removed=True)
    assert then.states.num_rows == 0
    assert now.states.select(["note", "replaced_known_at"]).to_pylist() == [
        {"note": "first", "replaced_known_at": at(4)}
    ]


def test_a_row_that_moves_in_time_is_removed_and_inserted(engine: Engine, delivered: StateTable) -> None:
    held = engine.known_at(delivered, at(3)).select(SALES.names).to_pylist()
    held[0]["sold_at"] += timedelta(microseconds=1)
    changes = engine.changes(delivered, rows_of(held), covered=[month(2)], seen_at=None, missing_is_removed=True)
    told = sorted((row["removed"], row["event_time"]) for row in changes.states.to_pylist())
    assert told == [(False, at(2, 1) + MICROSECOND), (True, at(2, 1))]


def test_a_static_table_is_compared_as_a_whole(engine: Engine, tables: Tables) -> None:
    import pyarrow as pa

    table = tables.of([pack.region("north", "coast"), pack.region("south", "hills")], schema=SHOPS, name="shops")
    rows = pa.table({"shop": ["north", "west"], "region": ["coast", "plain"]})
    changes = engine.changes(table, rows, covered=[], seen_at=None, missing_is_removed=True)
    assert sorted((row["shop"], row["removed"]) for row in changes.states.to_pylist()) == [
        ("south", True),
        ("west", False),
    ]


def test_a_table_whose_time_is_a_date_is_read_and_compared_by_day(engine: Engine, tables: Tables) -> None:
    columns = (Column("shop", "string"), Column("day", "date"), Column("units", "double"))
    schema = TableSchema(("shop",), "day", columns, SALES.calendar)
    state = {"shop": "north", "known_at": at(3), "seq": 1, "removed": False}
    days = [(date(2024, 2, 29), at(2, 29)), (date(2024, 3, 1), at(3))]
    table = tables.of([state | {"day": day, "event_time": moment, "units": 1.0} for day, moment in days], schema=schema)
    seen = evaluate(engine, "select * from sales", months_of(table, 2, 3), schema=schema, keep=month(3))
    assert seen.to_pylist() == [{"shop": "north", "day": date(2024, 3, 1), "units": 1.0}]
    changes = engine.changes(table, seen, covered=[month(2), month(3)], seen_at=None, missing_is_removed=True)
    assert changes.states.to_pylist() == [
        {"shop": "north", "day": date(2024, 2, 29), "units": 1.0, "event_time": at(2, 29), "removed": True}
        | {"replaced_known_at": at(3)}
    ]


def unique_rows(states: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return list({tuple(state[name] for name in (*SALES.keys, "sold_at")): state for state in states}.values())


@given(pack.sales_states, pack.sales_states.map(unique_rows))
@settings(max_examples=15)
@pytest.mark.slow
def test_after_its_changes_are_appended_a_table_reads_as_was_delivered(
    engine: Engine, tables: Tables, states: list[dict[str, Any]], delivered: list[dict[str, Any]]
) -> None:
    table, now = tables.of(states), at(12)
    covered = [month(2), month(3)]
    rows = [state for state in delivered if covered[0].start <= state["sold_at"] < covered[1].end]
    changes = engine.changes(table, rows_of(rows), covered=covered, seen_at=None, missing_is_removed=True)
    before = engine.known_at(table, now - DAY)
    append_changes(table, changes, now, seq=9)
    read = engine.known_at(table, now, first=covered[0], last=covered[1])
    expected = sorted(rows, key=lambda state: tuple(state[name] for name in (*SALES.keys, "sold_at")))
    pack.same_states(expected, read.select(SALES.names), SALES.names)
    assert engine.known_at(table, now - DAY).equals(before)
    again = engine.changes(table, rows_of(rows), covered=covered, seen_at=None, missing_is_removed=True)
    assert (again.states.num_rows, again.held, again.removed) == (0, len(rows), 0)


@given(pack.sales_states, windows, st.none() | st.tuples(st.integers(0, 5), st.sampled_from(pack.EVENTS)))
@settings(max_examples=20)
@pytest.mark.slow
def test_the_keys_with_states_after_a_place_are_those_of_a_scan(
    engine: Engine,
    tables: Tables,
    states: list[dict[str, Any]],
    window: tuple[Period, Period] | None,
    after: tuple[int, datetime] | None,
) -> None:
    table = tables.of(states)
    first, last = window or (month(1), month(12))
    found = engine.changed_keys(table, first=first, last=last, after=after, version=table.delta.version() or 0)
    # Files of a period before or after it are not read; months are whole.
    within = [state for state in states if first.start <= state["event_time"] < last.end]
    new = [
        state
        for state in within
        if after is None or state["seq"] > after[0] or max(state["known_at"], state["event_time"]) > after[1]
    ]
    expected = sorted({(state["shop"], state["product"]) for state in new})
    assert found.column_names == ["shop", "product"]
    assert [tuple(row.values()) for row in found.to_pylist()] == expected


def test_the_keys_of_a_version_and_of_a_static_table_are_found(engine: Engine, tables: Tables) -> None:
    table = tables.of([sale("one", at(1), at(2))], [sale("two", at(1), at(3), seq=2, product=2)])
    version = table.delta.version() or 0
    names = {"first": month(1), "last": month(1)}
    assert engine.changed_keys(table, **names, after=(1, YEARS_END), version=version).to_pylist() == [
        {"shop": "north", "product": 2}
    ]
    assert engine.changed_keys(table, **names, after=(1, YEARS_END), version=version - 1).num_rows == 0
    shops = tables.of([pack.region("west", "w"), pack.region("east", "e")], schema=SHOPS)
    found = engine.changed_keys(shops, first=None, last=None, after=None, version=shops.delta.version() or 0)
    assert found.column("shop").to_pylist() == ["east", "west"]
