"""SQL written once: each construct answers the same on every engine, to the last bit, or is refused with its line."""

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.engines.contract import Engine, QueryInput
from mlops_assets.engines.duckdb import DuckDBEngine
from mlops_assets.engines.query import parse_query
from mlops_assets.engines.spark.translate import translate
from mlops_assets.errors import ContractError, DefinitionError
from mlops_assets.lakehouse.schema import Column, ColumnType, TableSchema
from mlops_assets.lakehouse.tables import StateTable
from mlops_assets_tests.engines.contract_pack import DAY, HOUR, SALES, Tables, at, month, sale

if TYPE_CHECKING:
    import pyarrow as pa

SCALARS: list[tuple[ColumnType, str]] = [
    # division is of doubles, whatever is divided
    ("double", "product / 2"),
    ("double", "product / 3 / 7"),
    ("double", "1 / (product - 1)"),
    ("double", "units / (product - 1)"),
    ("double", "-units / (product - 1)"),
    ("double", "(units - units) / (units - units)"),
    ("double", "1.5 / 0.7"),
    ("bigint", "product % 3"),
    ("bigint", "-7 % (product + 1)"),
    # arithmetic of mixed types
    ("double", "0.1 + 0.2"),
    ("double", "units * 1.5 + 0.1"),
    ("double", "product * 0.1"),
    ("double", "units + product"),
    ("bigint", "product * 1000000000 * month(sold_at)"),
    ("double", "abs(-units)"),
    # the last digit of logarithms and powers
    ("double", "ln(units + 1)"),
    ("double", "log10(units + 1) + log2(units + 2) + log(units + 3)"),
    ("double", "exp(units / 100) + pow(units, 0.3) + units ** 2"),
    ("double", "sin(units) + cbrt(units) + sqrt(units)"),
    ("double", "round(units / 3, 2)"),
    ("double", "floor(units / 3) + ceil(-units / 3)"),
    ("bigint", "sign(-units)"),
    ("double", "ln(units - units)"),
    ("double", "sqrt(-1 - units) + ln(-1 - units)"),
    # what only chosen branches compute
    ("double", "case when units > 0 then ln(units) else null end"),
    ("double", "coalesce(ln(nullif(units, 0)), -1.0)"),
    ("double", "if(units > 0 and ln(units) > 1, ln(units), 0.0)"),
    ("boolean", "units > 0 and ln(units) > 1"),
    # casts
    ("bigint", "cast(units as bigint)"),
    ("bigint", "cast(2.5 as integer) + cast(units / 2 as bigint)"),
    ("double", "cast('1.5' as double) + cast(product as double)"),
    ("string", "cast(units as varchar) || '/' || cast(product as varchar)"),
    ("string", "cast(sold_at as varchar)"),
    ("date", "cast(sold_at as date)"),
    ("timestamp", "cast('2024-02-29 12:30:00' as timestamp)"),
    ("bigint", "try_cast(note as integer)"),
    ("double", "try_cast(note as double)"),
    # nulls
    ("double", "greatest(units, null, 2.5) + least(units, 3)"),
    ("double", "ifnull(units, 0) + coalesce(null, product)"),
    ("boolean", "units is distinct from null"),
    ("boolean", "units in (1, 2, null)"),
    ("boolean", "not (units between 1 and 2)"),
    ("boolean", "note is null or shop = 'north'"),
    # texts
    ("string", "upper(note) || lower(note)"),
    ("string", "concat(note, null, shop)"),
    ("string", "concat_ws('-', note, shop)"),
    ("string", "substr(note, 2, 3) || left(shop, 2) || right(shop, 2)"),
    ("string", "replace(note, 'a', 'b\\n') || 'it''s \\d \"x\"'"),
    ("string", "regexp_replace(note, '[aeiou]', '_', 'g')"),
    ("string", "split_part(note, ' ', 2)"),
    ("string", "trim('  x ') || lpad(shop, 8, '*')"),
    ("string", "md5(note)"),
    ("boolean", "note like 'f%t'"),
    ("boolean", "regexp_matches(note, 'r.t') or contains(note, 'x') or starts_with(note, 'f')"),
    ("bigint", "length(note) + strpos(note, 'r')"),
    # times
    ("bigint", "year(sold_at) * 10000 + month(sold_at) * 100 + day(sold_at)"),
    ("bigint", "hour(sold_at) + minute(sold_at) + quarter(sold_at)"),
    ("bigint", "extract(day from sold_at) + extract(dow from sold_at) + extract(week from sold_at)"),
    ("bigint", "date_part('isodow', sold_at) + dayofweek(sold_at) + dayofyear(sold_at) + isodow(sold_at)"),
    ("bigint", "date_diff('day', date '2024-01-31', sold_at) + datediff('month', sold_at, timestamp '2025-01-01')"),
    ("timestamp", "date_trunc('month', sold_at)"),
    ("timestamp", "date_trunc('week', sold_at) + interval 1 month"),
    ("timestamp", "sold_at - interval '3' day + interval 90 minute"),
    ("timestamp", "cast(sold_at as date) + interval 1 month"),
    ("date", "last_day(sold_at)"),
    ("string", "strftime(sold_at, '%Y-%m-%d %H')"),
    ("timestamp", "strptime('03/2024', '%m/%Y')"),
    ("double", "epoch(sold_at)"),
    ("boolean", "sold_at > date '2024-02-15' and sold_at - interval 1 month < timestamp '2024-02-01'"),
]

OVER_ROWS: list[tuple[ColumnType, str]] = [
    ("double", "sum(units) over series"),
    ("double", "avg(units) over (series rows between 2 preceding and current row)"),
    ("double", "max(units) over (series range between interval 1 month preceding and interval 1 month preceding)"),
    ("double", "min(ln(units + 1)) over (series range between interval 40 day preceding and current row)"),
    ("bigint", "count(*) over (series range between interval 90 day preceding and interval 1 day preceding)"),
    ("bigint", "count(distinct note) over (series range between interval 70 day preceding and current row)"),
    ("double", "stddev(units) over (series range between interval 90 day preceding and current row)"),
    ("double", "var_pop(units) over series"),
    ("double", "sum(units) filter (where product > 1) over series"),
    ("bigint", "count(*) filter (where units > 2) over series"),
    ("double", "lag(units) over series"),
    ("double", "lead(units, 2, -1) over series"),
    ("double", "first_value(units) over series"),
    ("double", "last_value(units ignore nulls) over series"),
    ("bigint", "row_number() over (partition by shop order by units desc, sold_at)"),
    ("bigint", "rank() over (partition by shop order by note) + dense_rank() over (order by note)"),
    ("double", "percent_rank() over (partition by shop order by sold_at)"),
    (
        "double",
        "sum(units) over (partition by shop order by cast(sold_at as date) range between interval 31 day "
        "preceding and current row)",
    ),
]

GROUPED: list[tuple[ColumnType, str]] = [
    ("bigint", "count(*)"),
    ("bigint", "count(units) + count(distinct note)"),
    ("bigint", "sum(product)"),
    ("double", "sum(units)"),
    ("double", "avg(units) + avg(product)"),
    ("double", "avg(1.5 * product)"),
    ("double", "min(units) + max(units)"),
    ("string", "max(note)"),
    ("double", "stddev(units)"),
    ("double", "stddev_pop(units) + var_samp(units) + var_pop(product)"),
    ("double", "sum(units) filter (where product = 1)"),
    ("bigint", "count(*) filter (where product = 1) + count_if(units > 2)"),
    ("boolean", "bool_and(units > 1) or bool_or(product = 2)"),
    ("double", "sum(case when units > 0 then ln(units) end)"),
    ("double", "ln(sum(units) / count(*))"),
]


def answer(engine: Engine, table: StateTable, sql: str, schema: TableSchema) -> "pa.Table":
    inputs = [QueryInput(table, month(1), month(6))]
    query = parse_query(sql, file=Path("same.sql"))
    return engine.evaluate(query, inputs, known_at=at(12), schema=schema, keep=None)


def columns_of(kinds: list[tuple[ColumnType, str]]) -> tuple[Column, ...]:
    return tuple(Column(f"c{place}", type_) for place, (type_, _) in enumerate(kinds))


def listed(kinds: list[tuple[ColumnType, str]]) -> str:
    return ", ".join(f"{sql} as c{place}" for place, (_, sql) in enumerate(kinds))


@pytest.fixture(scope="module")
def table(tables: Tables) -> StateTable:
    """Sales with ends of months, nulls, signs, accents, and fractions whose sums depend on their order."""
    notes = ["fört", "first", "Ärger", None, "", "12", "2.5", "f r t", "ﬀ ß", "x"]
    rows = [
        sale(
            notes[(number + product) % len(notes)],
            at(1, 31) + number * 17 * DAY + product * HOUR,
            at(7),
            shop=shop,
            product=product,
            units=None if number == 4 else math.pi * number**2 / (product + 0.3),
        )
        for shop in ("north", "söuth")
        for product in (1, 2, 3)
        for number in range(9)
    ]
    return tables.of(rows)


def same(engine: Engine, reference: "pa.Table", sql: str, table: StateTable, schema: TableSchema) -> None:
    found = answer(engine, table, sql, schema)
    for name in schema.names:
        assert repr(found.column(name).to_pylist()) == repr(reference.column(name).to_pylist()), name
    assert found.schema.equals(reference.schema)


def test_each_scalar_is_the_same_to_the_last_bit(engine: Engine, table: StateTable, tmp_path: Path) -> None:
    schema = TableSchema(SALES.keys, "sold_at", (*SALES.columns[:3], *columns_of(SCALARS)), SALES.calendar)
    sql = f"select shop, product, sold_at, {listed(SCALARS)} from sales"
    same(engine, answer(DuckDBEngine(tmp_path), table, sql, schema), sql, table, schema)


def test_each_window_is_the_same_to_the_last_bit(engine: Engine, table: StateTable, tmp_path: Path) -> None:
    schema = TableSchema(SALES.keys, "sold_at", (*SALES.columns[:3], *columns_of(OVER_ROWS)), SALES.calendar)
    sql = f"""select shop, product, sold_at, {listed(OVER_ROWS)} from sales
    window series as (partition by shop, product order by sold_at)"""
    same(engine, answer(DuckDBEngine(tmp_path), table, sql, schema), sql, table, schema)


def test_each_aggregate_is_the_same_to_the_last_bit(engine: Engine, table: StateTable, tmp_path: Path) -> None:
    columns = (Column("shop", "string"), Column("sold_at", "timestamp"), *columns_of(GROUPED))
    schema = TableSchema(("shop",), "sold_at", columns, SALES.calendar)
    sql = f"""select shop, date_trunc('month', sold_at) as sold_at, {listed(GROUPED)} from sales
    where units > 0 group by all"""
    same(engine, answer(DuckDBEngine(tmp_path), table, sql, schema), sql, table, schema)


@pytest.mark.parametrize(
    "sql",
    [
        "with a as (select * from sales), b as (select shop, max(units) as most from a group by shop) "
        "select a.shop, a.product, a.sold_at, b.most as units, a.note from a join b using (shop) "
        "where a.units < b.most",
        "select shop, product, sold_at, units, note from sales qualify row_number() over "
        "(partition by shop order by units desc nulls last, sold_at) <= 2",
        "select * exclude (note), note from sales where exists (select 1 from sales s where s.units > 3)",
        "select shop, product, sold_at, units, note from sales where product = 1 union all "
        "select shop, product + 10, sold_at, units, note from sales where product = 2",
        "select l.shop, l.product, l.sold_at, r.units, coalesce(r.note, l.note) as note from sales l left join sales r "
        "on l.shop = r.shop and l.product = r.product and r.sold_at = l.sold_at + interval 17 day",
        "select shop, product, sold_at, units, note from sales order by units desc, shop, product, sold_at limit 3",
        "select distinct shop, 1 as product, date '2024-01-01' as sold_at, 1.5 as units, null::varchar as note "
        "from sales",
        "select shop, product, sold_at, (select sum(units) from sales) as units, note from sales",
        "from sales select shop, product, sold_at, units * 2 as double_units, double_units as units, note",
    ],
)
def test_each_query_is_the_same(engine: Engine, table: StateTable, tmp_path: Path, sql: str) -> None:
    same(engine, answer(DuckDBEngine(tmp_path), table, sql, SALES), sql, table, SALES)


@pytest.mark.parametrize("sql", ["cast(note as double)", "cast(note as bigint)", "9223372036854775807 + product"])
def test_what_fails_on_one_engine_fails_on_the_other(engine: Engine, table: StateTable, sql: str) -> None:
    with pytest.raises(ContractError) as refused:
        answer(engine, table, f"select shop, product, sold_at, {sql} as units, note from sales", SALES)
    assert refused.value.found.startswith("the SQL in same.sql failed: ")


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("median(units)", "MEDIAN(units)"),
        ("list(units order by sold_at)", "ORDER BY sold_at"),
        ("arg_max(units, sold_at)", "ARG_MAX(units, sold_at)"),
        ("units // 2", "units // 2"),
        ("cast(sold_at as timestamptz)", "cast to TIMESTAMPTZ"),
        ("[units, 1][1]", "[units, 1]"),
        ("note like shop", "LIKE with a pattern that is no plain text"),
        (
            "sum(units) over (order by sold_at range between interval 1 month preceding and interval 1 day preceding)",
            "a frame from months to days",
        ),
        ("sum(units) over (order by sold_at groups between 1 preceding and current row)", "GROUPS"),
        ("sum(units) over (order by sold_at rows between 1 preceding and current row exclude current row)", "EXCLUDE"),
        ("case when units > 1 then round(units) else product end || ''", None),
        ("sold_at > 'today'", "'today', which is the clock beside a time"),
        ("greatest(sold_at, ' Now UTC ')", "' Now UTC ', which is the clock beside a time"),
        ("note = 'today is open'", None),
    ],
)
def test_what_spark_answers_otherwise_is_refused_with_its_line(written: str, told: str | None) -> None:
    sql = f"select shop,\n  {written} as told\nfrom sales"
    query = parse_query(sql, file=Path("other.sql"))
    if told is None:
        translate(query.text, query.file)
        return
    with pytest.raises(DefinitionError) as refused:
        translate(query.text, query.file)
    assert told in refused.value.found
    assert str(refused.value).startswith("other.sql:2: ")
    assert "engine: duckdb" in refused.value.cure


@given(st.text("a.ä売🎉\u200b\ufeff'`\"\\ ", min_size=1, max_size=6))
def test_what_spark_is_handed_is_ascii_outside_of_quotation_marks(text: str) -> None:
    literal, name = text.replace("'", "''"), text.replace('"', '""')
    sql = f"select 'x{literal}' as \"{name}\", sum(größe) as summe from sales as umsätze group by größe"
    handed = translate(parse_query(sql, file=Path("other.sql")).canonical, Path("other.sql")).sql
    outside = re.sub(r"`(?:[^`]|``)*`|'(?:[^'\\]|\\.)*'", "", handed)
    assert outside.isascii()
    assert not set("'`") & set(outside)


@pytest.mark.parametrize(
    "sql",
    [
        "select a.units from sales a asof join sales b on a.shop = b.shop and a.sold_at >= b.sold_at",
        "select distinct on (shop) units from sales order by shop",
        "select * replace (1 as units) from sales",
        "select units from sales union by name select units from sales",
        "select g from generate_series(1, 3) t(g)",
    ],
)
def test_queries_of_a_form_that_spark_lacks_are_refused(sql: str) -> None:
    with pytest.raises(DefinitionError):
        translate(parse_query(sql, file=Path("other.sql")).text, Path("other.sql"))
