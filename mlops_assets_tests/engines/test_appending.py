"""Appending what changed, and hashing it: by the engine, with one table for all engines as the result."""

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from mlops_assets.engines.contract import Engine, ResolvedLookup
from mlops_assets.errors import ConflictError
from mlops_assets.lakehouse import tables as lakehouse_tables
from mlops_assets.lakehouse.schema import Column, TableSchema
from mlops_assets.lakehouse.tables import StateTable
from mlops_assets_tests.engines import contract_pack as pack
from mlops_assets_tests.engines.contract_pack import SALES, SHOPS, Tables, at, month, sale

if TYPE_CHECKING:
    import pyarrow as pa

MARCH = month(3)


def rows(*states: dict[str, Any]) -> "pa.Table":
    import pyarrow as pa

    return pa.Table.from_pylist([{name: state[name] for name in SALES.names} for state in states], SALES.arrow())


def appended(engine: Engine, table: StateTable, given: "pa.Table", moment: datetime) -> int:
    """Append what changed, as a feature table does; by the engine itself, whose rows never come here."""
    own = getattr(engine, "engine", engine)
    counters = table.delta.counters([MARCH.key])
    changes = own.changes(table, own.rows(given), covered=[MARCH], seen_at=moment, missing_is_removed=True)
    own.append(table, changes, period=MARCH, known_at=moment, counters=counters)
    return int(changes.count)


def hashed_here(table: StateTable) -> dict[str, str]:
    """The data versions as this process computes them."""
    lakehouse_tables._DATA_VERSIONS.clear()
    found = table.data_versions([month(number) for number in range(1, 5)])
    lakehouse_tables._DATA_VERSIONS.clear()
    return found


def test_what_an_engine_appends_is_read_and_hashed_alike_by_all(engine: Engine, tables: Tables) -> None:
    table, reference = tables.empty(), tables.empty()
    first = rows(
        sale("a", at(3), at(4), units=0.1), sale("ä", at(3, 2), at(4), units=None), sale(None, at(3, 3), at(4))
    )
    second = rows(sale("a", at(3), at(4), units=0.2), sale("new", at(3, 9), at(4), units=float("nan")))
    assert [appended(engine, table, given, moment) for given, moment in ((first, at(4)), (second, at(5)))] == [3, 4]
    pack.append(reference, [sale("a", at(3), at(4), units=0.1), sale("ä", at(3, 2), at(4), units=None)])
    assert sorted(set(table.states().column("seq").to_pylist())) == [1, 2]
    assert engine.known_at(table, at(4)).select(SALES.names).to_pylist() == first.to_pylist()
    assert repr(engine.known_at(table, at(5)).select(SALES.names).to_pylist()) == repr(second.to_pylist())
    periods = [month(number) for number in range(1, 5)]
    here = hashed_here(table)
    assert engine.data_versions(table, periods) == here
    assert len(set(here.values())) == 2
    assert table.states().schema.equals(SALES.stored().remove(SALES.stored().get_field_index("period")))


def test_states_that_were_never_known_or_say_nothing_new_do_not_count_in_the_hash(
    engine: Engine, tables: Tables
) -> None:
    table = tables.of(
        [sale("never known", at(3), at(4)), sale("kept", at(3, 2), at(4), units=float("nan"))],
        [sale("first", at(3), at(4), seq=2), sale("kept", at(3, 2), at(5), seq=2, units=float("nan"))],
        [sale("gone", at(2), at(3), removed=True), sale("there", at(1), at(2))],
    )
    assert engine.data_versions(table, [month(number) for number in range(1, 5)]) == hashed_here(table)
    shops = tables.of([pack.region("north", "coast")], [pack.region("north", None, seq=2)], schema=SHOPS, name="shops")
    lakehouse_tables._DATA_VERSIONS.clear()
    of_engine = engine.data_versions(shops, [])
    lakehouse_tables._DATA_VERSIONS.clear()
    assert of_engine == shops.data_versions([])


def test_decimals_are_keys_and_values_that_all_append_and_hash_alike(engine: Engine, tables: Tables) -> None:
    import pyarrow as pa

    columns = (
        Column("code", "decimal(6,1)"),
        Column("sold_at", "timestamp"),
        Column("price", "decimal(12,2)"),
        Column("wide", "decimal(38,6)"),
    )
    schema = TableSchema(("code",), "sold_at", columns, SALES.calendar)

    def priced(*prices: str | None) -> "pa.Table":
        given = [
            {"code": Decimal(place) / 2, "sold_at": at(3), "price": price and Decimal(price), "wide": 10**31 + place}
            for place, price in enumerate(prices)
        ]
        return pa.Table.from_pylist(given, schema.arrow())

    table = tables.empty(schema)
    for prices, count in ((("12.3", None, "-0.07"), 3), (("12.30", None, "-0.070"), 0), (("12.31", None, "-0.07"), 1)):
        assert appended(engine, table, priced(*prices), at(4)) == count
    assert engine.known_at(table, at(5)).select(schema.names).equals(priced("12.31", None, "-0.07"))
    assert engine.data_versions(table, [month(3)]) == {key: of for key, of in hashed_here(table).items() if "03" in key}
    assert table.states().select(schema.names).schema.equals(schema.arrow())
    moment = pa.timestamp("us", "UTC")
    types = pa.schema([("code", pa.decimal128(6, 1)), ("anchor", moment), ("as_of", moment)])
    asked = pa.Table.from_pylist([{"code": Decimal(1), "anchor": at(4), "as_of": at(5)}], types)
    assert engine.lookup(asked, [ResolvedLookup(table, ("price",))])["price"].to_pylist() == [Decimal("-0.07")]


def test_a_partition_without_rows_is_a_commit_too(engine: Engine, tables: Tables) -> None:
    table = tables.empty()
    assert appended(engine, table, rows(), at(4)) == 0
    assert table.delta.counters([MARCH.key]) == {MARCH.key: 1}
    assert table.states().num_rows == 0


def test_of_two_writers_of_a_period_the_second_fails_and_writes_nothing(engine: Engine, tables: Tables) -> None:
    table = tables.empty()
    own = getattr(engine, "engine", engine)
    counters = table.delta.counters([MARCH.key])
    given = rows(sale("mine", at(3), at(4)))
    changes = own.changes(table, own.rows(given), covered=[MARCH], seen_at=at(4), missing_is_removed=True)
    pack.append(table, [sale("theirs", at(3, 2), at(4))])
    with pytest.raises(ConflictError):
        own.append(table, changes, period=MARCH, known_at=at(4), counters=counters)
    assert table.states().column("note").to_pylist() == ["theirs"]
