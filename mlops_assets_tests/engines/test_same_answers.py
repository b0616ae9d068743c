"""SQL written once: each construct answers the same on every engine, to the last bit, or is refused with its line."""

import math
import re
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

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


# Decimals


PRICES = TableSchema(
    ("shop",),
    "sold_at",
    (
        Column("shop", "string", kind="key"),
        Column("sold_at", "timestamp", kind="time"),
        Column("product", "bigint"),
        Column("units", "double"),
        Column("note", "string"),
        Column("price", "decimal(12,2)"),
        Column("wide", "decimal(38,6)"),
    ),
    SALES.calendar,
)
DECIMALS: list[tuple[ColumnType, str]] = [
    ("decimal(12,2)", "price"),
    ("decimal(12,2)", "product"),
    ("decimal(38,6)", "wide"),
    ("decimal(14,4)", "price"),
    ("double", "price"),
    ("double", "wide"),
    ("decimal(13,2)", "price + 1"),
    ("decimal(14,3)", "price * 1.1"),
    ("decimal(38,8)", "wide * price"),
    ("decimal(38,6)", "wide - price"),
    ("decimal(38,2)", "price * product"),
    ("decimal(12,2)", "price % 7"),
    ("decimal(12,2)", "-abs(price)"),
    ("double", "price / 3"),
    ("double", "1 / (price - price)"),
    ("double", "price * units + wide"),
    ("decimal(12,2)", "cast(price * 1.195 as decimal(12,2))"),
    ("decimal(12,2)", "cast(units as decimal(12,2))"),
    ("decimal(15,0)", "cast(wide / 1e15 as decimal(5)) * 2"),
    ("decimal(18,3)", "cast(price as decimal)"),
    ("decimal(12,2)", "try_cast(note as decimal(12,2))"),
    ("decimal(12,2)", "coalesce(try_cast(note as decimal(12,2)), price, 0)"),
    ("bigint", "cast(price as bigint)"),
    ("string", "cast(price as varchar) || cast(wide as varchar) || cast(price * 2 as varchar)"),
    ("double", "ln(abs(price) + 1) + sqrt(abs(wide))"),
    ("boolean", "price > 10.5 or price = 3 or price < units"),
    ("boolean", "price in (1.5, 2) or price between 2 and 3.25"),
    ("decimal(12,2)", "case when price > 0 then price else 0 end"),
    ("decimal(12,2)", "greatest(price, 1.5)"),
    ("decimal(12,2)", "nullif(price, 3)"),
    ("decimal(12,2)", "lag(price) over series"),
    ("decimal(38,2)", "sum(price) over series"),
    ("decimal(38,6)", "sum(wide) over series"),
    ("decimal(38,2)", "sum(price) filter (where product > 1) over series"),
    ("double", "avg(cast(price as double)) over series"),
    ("double", "stddev(price) over series"),
    ("decimal(12,2)", "max(price) over (series rows between 2 preceding and current row)"),
    ("bigint", "count(distinct price) over series"),
    ("bigint", "rank() over (order by price desc, sold_at)"),
]
"""Of decimals beside whole numbers, doubles and texts."""


def priced(number: int) -> dict[str, Any]:
    """A state of a price, null or of either sign, and of a number of more digits than a double tells apart."""
    price = None if number == 4 else Decimal((-1) ** number * (number**5 + 5)).scaleb(-2)
    wide = Decimal(number - 3) * Decimal("1234567890123456789.012345")
    note = ["12.345", "x", "7", "-0.005"][number % 4]
    row = sale(note, at(1, 31) + number * 5 * DAY, at(7), product=number % 3, units=math.pi * (number - 2))
    return row | {"price": price, "wide": wide}


@pytest.fixture(scope="module")
def prices(tables: Tables) -> StateTable:
    return tables.of(map(priced, range(12)), schema=PRICES)


def test_decimals_are_the_same_to_the_last_digit(engine: Engine, prices: StateTable, tmp_path: Path) -> None:
    columns = (Column("shop", "string"), Column("sold_at", "timestamp"), *columns_of(DECIMALS))
    schema = TableSchema(PRICES.keys, "sold_at", columns, PRICES.calendar)
    sql = f"""select shop, sold_at, {listed(DECIMALS)} from sales
    window series as (partition by shop order by sold_at)"""
    reference = answer(DuckDBEngine(tmp_path), prices, sql, schema)
    same(engine, reference, sql, prices, schema)
    kept = [priced(number) for number in range(12)]
    assert reference.column("c0").to_pylist() == [row["price"] for row in kept]
    assert reference.column("c4").to_pylist() == [row["price"] and float(row["price"]) for row in kept]
    assert reference.column("c5").to_pylist() == [float(row["wide"]) for row in kept]
    # Spark reads their files, and computes the same hash of them.
    assert engine.data_versions(prices, [month(2)]) == prices.data_versions([month(2)])


@pytest.mark.parametrize(
    ("declared", "sql", "told"),
    [
        ("decimal(12,2)", "price * 1.1", "has type DECIMAL(14,3)"),
        ("decimal(12,2)", "price / 2", "has type DOUBLE"),
        ("bigint", "price", "has type DECIMAL(12,2)"),
        ("decimal(4,2)", "price", "failed: "),
        ("decimal(12,2)", "cast(note as decimal(12,2))", "failed: "),
    ],
)
def test_what_a_decimal_does_not_hold_is_refused_and_not_rounded(
    engine: Engine, prices: StateTable, declared: ColumnType, sql: str, told: str
) -> None:
    columns = (Column("shop", "string"), Column("sold_at", "timestamp"), Column("value", declared))
    schema = TableSchema(PRICES.keys, "sold_at", columns, PRICES.calendar)
    with pytest.raises(ContractError) as refused:
        answer(engine, prices, f"select shop, sold_at, {sql} as value from sales", schema)
    assert told in refused.value.found


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("select avg(price) as told from sales", "AVG(price) of a decimal"),
        ("select round(price * 1.1, 2) as told from sales", "ROUND(price * 1.1, 2) of a decimal"),
        ("with p as (select price as paid from sales) select avg(paid) as told from p", "AVG(paid) of a decimal"),
        ("with p(paid) as (select price from sales) select floor(paid) as told from p", "FLOOR(paid) of a decimal"),
        ("select avg(cast(units as decimal(4, 2))) as told from sales", "of a decimal"),
        ("with p as (select price / 2 as half from sales) select avg(half) as told from p", None),
        ("select avg(cast(price as double)) + avg(units) + round(ln(price), 2) as told from sales", None),
    ],
)
def test_a_mean_or_rounding_of_decimals_is_refused_on_spark_unless_it_is_cast(sql: str, told: str | None) -> None:
    query = parse_query(sql, file=Path("other.sql"))
    if told is None:
        translate(query.text, query.file, PRICES.columns)
        return
    with pytest.raises(DefinitionError) as refused:
        translate(query.text, query.file, PRICES.columns)
    assert told in refused.value.found
    assert refused.value.cure.startswith("cast what it is of to DOUBLE, round with CAST(… AS DECIMAL(p, s))")


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
