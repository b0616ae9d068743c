"""Column lineage of one query: told exactly for each construct, and never less than what DuckDB shows to matter."""

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, reject, settings

from mlops_assets.engines.column_lineage import query_lineage
from mlops_assets.engines.query import parse_query
from mlops_assets_tests.engines import random_sql
from mlops_assets_tests.engines.test_query import FEATURES

TABLES = {
    "sales": ("shop", "product", "month", "ts", "units", "cost", "tags", "details", "place", "active"),
    "prices": ("product", "ts", "price"),
    "shops": ("shop", "region", "opened"),
}


def origins(sql: str, column: str) -> str:
    """What a column comes from, as ``table.column how, … | the columns that decide on rows``."""
    query = parse_query(sql, file=Path("demand.sql"))
    tables = {name: TABLES[name] for name in query.tables}
    found = query_lineage(query, tables, [column])[column]
    values = ", ".join(f"{origin.table}.{origin.column} {origin.how}" for origin in found if origin.how != "rows")
    rows = " ".join(f"{origin.table}.{origin.column}" for origin in found if origin.how == "rows")
    return f"{values} | {rows}".strip()


CASES = [
    # copied, renamed, computed, aggregated
    ("select units from sales", "units", "sales.units copied |"),
    ("select (s.units) as sold from sales s", "sold", "sales.units renamed |"),
    ("select units + 0 as units from sales", "units", "sales.units computed |"),
    ("select sum(units) as units from sales", "units", "sales.units aggregated |"),
    ("select ln(sum(units) + max(cost)) as x from sales", "x", "sales.cost aggregated, sales.units aggregated |"),
    ("select units::varchar as units from sales", "units", "sales.units computed |"),
    ("select 1 as one from sales", "one", "|"),
    ("select count(*) as n from sales where active group by shop", "n", "| sales.active sales.shop"),
    ("select place.city as city from sales", "city", "sales.place computed |"),
    ("select sales.place.city as city from sales", "city", "sales.place computed |"),
    ("select s from sales join shops s using (shop)", "s",
     "shops.opened computed, shops.region computed, shops.shop computed | sales.shop"),
    # which rows
    ("select units from sales where cost > 1 and active", "units", "sales.units copied | sales.active sales.cost"),
    ("select sum(units) as u from sales group by shop having max(cost) > 1", "u",
     "sales.units aggregated | sales.cost sales.shop"),
    ("select date_trunc('month', ts) as m, sum(units) as u from sales group by m", "u",
     "sales.units aggregated | sales.ts"),
    ("select shop, sum(units) as u from sales group by 1", "u", "sales.units aggregated | sales.shop"),
    ("select shop, sum(units) as u from sales group by all", "u", "sales.units aggregated | sales.shop"),
    ("select shop, sum(units) as u from sales group by rollup (shop, product)", "u",
     "sales.units aggregated | sales.product sales.shop"),
    ("select distinct shop, units from sales", "shop", "sales.shop copied | sales.units"),
    ("select distinct on (shop) units from sales order by month", "units",
     "sales.units copied | sales.month sales.shop"),
    ("select units from sales order by cost", "units", "sales.units copied |"),
    ("select units from sales order by cost limit 3", "units", "sales.units copied | sales.cost"),
    ("select -cost as c, units from sales order by c, 2 limit 3", "units", "sales.units copied | sales.cost"),
    ("select shop, units from sales order by all limit 3", "units", "sales.units copied | sales.shop"),
    ("select units from sales qualify row_number() over (partition by shop order by month) = 1", "units",
     "sales.units copied | sales.month sales.shop"),
    # case
    ("select case when units > 1 then cost else 0 end as c from sales", "c",
     "sales.cost computed, sales.units computed |"),
    ("select case shop when 1 then 'a' end as c from sales", "c", "sales.shop computed |"),
    # aggregates
    ("select sum(units) filter (where active) as u from sales", "u", "sales.units aggregated | sales.active"),
    ("select first(product order by month) as p from sales", "p", "sales.product aggregated | sales.month"),
    ("select arg_max(product, units) as p from sales", "p", "sales.product aggregated | sales.units"),
    ("select percentile_cont(0.5) within group (order by units) as h from sales", "h", "sales.units aggregated |"),
    ("select mode() within group (order by product) as p from sales", "p", "sales.product aggregated |"),
    ("select kahan_sum(units) as u from sales", "u", "sales.units aggregated |"),
    # windows
    ("select sum(units) over (partition by shop order by month) as u from sales", "u",
     "sales.units aggregated | sales.month sales.shop"),
    ("select lag(units ignore nulls) over (order by month) as u from sales", "u",
     "sales.units aggregated | sales.month"),
    ("select max(units) over w as u from sales window w as (partition by shop order by month)", "u",
     "sales.units aggregated | sales.month sales.shop"),
    ("select max(units) over (w order by month) as u from sales window w as (partition by shop)", "u",
     "sales.units aggregated | sales.month sales.shop"),
    ("select max(units) over v as u from sales window w as (partition by shop), v as (w order by month)", "u",
     "sales.units aggregated | sales.month sales.shop"),
    ("select rank() over (partition by shop order by units) as r from sales", "r",
     "sales.units aggregated | sales.shop"),
    ("select row_number() over w as r from sales window w as (order by units)", "r", "sales.units aggregated |"),
    ("select sum(units) filter (where active) over (partition by shop) as u from sales", "u",
     "sales.units aggregated | sales.active sales.shop"),
    # stars
    ("select * from sales", "units", "sales.units copied |"),
    ("from sales", "cost", "sales.cost copied |"),
    ("select * exclude (tags) from sales", "units", "sales.units copied |"),
    ("select * replace (units + cost as units) from sales", "units", "sales.cost computed, sales.units computed |"),
    ("select * rename (units as sold) from sales", "sold", "sales.units renamed |"),
    ("select p.* from sales s join prices p using (product)", "product", "prices.product copied | sales.product"),
    ("select * from (select units as units, cost as units from sales)", "units_1", "sales.cost renamed |"),
    ("select * like 'u%' from sales", "units", "sales.units copied |"),
    # joins
    ("select price, region from sales, prices, shops", "price", "prices.price copied |"),
    ("select price from sales s join prices p on s.product = p.product and s.ts > p.ts", "price",
     "prices.price copied | prices.product prices.ts sales.product sales.ts"),
    ("select a.units as before from sales a join sales b on a.month = b.month", "before",
     "sales.units renamed | sales.month"),
    ("select product from sales join prices using (product)", "product", "sales.product copied | prices.product"),
    ("select product from sales left join prices using (product)", "product",
     "sales.product copied | prices.product"),
    ("select product from sales right join prices using (product)", "product",
     "prices.product copied | sales.product"),
    ("select product from sales full join prices using (product)", "product",
     "prices.product computed, sales.product computed |"),
    ("select prices.product from sales full join prices using (product)", "product",
     "prices.product copied | sales.product"),
    ("select * from sales right join prices using (product)", "product", "prices.product copied | sales.product"),
    ("select region from sales natural join shops", "region", "shops.region copied | sales.shop shops.shop"),
    ("select units from sales semi join shops using (shop)", "units",
     "sales.units copied | sales.shop shops.shop"),
    ("select units from sales anti join shops on sales.shop = shops.shop and region = 'x'", "units",
     "sales.units copied | sales.shop shops.region shops.shop"),
    ("select price from sales asof left join prices using (product, ts)", "price",
     "prices.price copied | prices.product prices.ts sales.product sales.ts"),
    ("select j.region from (sales join shops using (shop)) j", "region",
     "shops.region copied | sales.shop shops.shop"),
    ("select region, price from (sales join shops using (shop)) join prices using (product)", "region",
     "shops.region copied | prices.product sales.product sales.shop shops.shop"),
    ("select shop as place from sales join shops using (shop) where place is not null", "place",
     "sales.shop renamed | sales.place shops.shop"),
    ("select product from sales left join prices using (product) full join (select product, ts from prices) o "
     "using (product)", "product", "prices.product computed, sales.product computed |"),
    ("select units from sales semi join shops as product on product.shop = sales.shop and product.region = 'x'",
     "units", "sales.units copied | sales.shop shops.region shops.shop"),
    # with
    ("with a as (select units as u from sales), b as (select u * 2 as v from a) select v as w from b", "w",
     "sales.units computed |"),
    ("with t(v) as (select units from sales where active) select v from t", "v",
     "sales.units renamed | sales.active"),
    ("with sales as (select cost as units from sales) select units from sales", "units", "sales.cost renamed |"),
    ("with a as (select units from sales) select * from (with a as (select cost from sales) from a)", "cost",
     "sales.cost copied |"),
    ("with a as (select shop, sum(units) as u from sales group by shop) select u as total from a where shop > 1",
     "total", "sales.units aggregated | sales.shop"),
    # set operations
    ("select shop, units from sales union all select shop, cost from sales", "units",
     "sales.cost renamed, sales.units copied |"),
    ("select shop, units from sales union select shop, cost from sales", "units",
     "sales.cost renamed, sales.units copied | sales.shop"),
    ("select units as a from sales union all by name select cost as a, shop as b from sales", "b",
     "sales.shop renamed |"),
    ("select units as b, shop as a from sales union all by name select cost as a from sales", "a",
     "sales.cost renamed, sales.shop renamed |"),
    ("select product from sales except select product from prices", "product",
     "sales.product copied | prices.product"),
    ("select product, ts from sales intersect select product, ts from prices", "ts",
     "sales.ts copied | prices.product prices.ts sales.product"),
    ("select units from sales union all select price from prices order by units limit 2", "units",
     "prices.price renamed, sales.units copied |"),
    ("with t as (select 1 as one) (select units from sales) union all select cost from sales", "units",
     "sales.cost renamed, sales.units copied |"),
    # subqueries
    ("select u from (select units as u from sales where active) where u > 0", "u",
     "sales.units renamed | sales.active"),
    ("select t.x from (select units from sales) as t(x)", "x", "sales.units renamed |"),
    ("select (select max(price) from prices p where p.product = s.product) as m from sales s", "m",
     "prices.price aggregated | prices.product sales.product"),
    ("select units - (select avg(units) from sales) as d from sales", "d", "sales.units aggregated |"),
    ("select units from sales where shop in (select shop from shops where region = 'x')", "units",
     "sales.units copied | sales.shop shops.region shops.shop"),
    ("select shop in (select shop from shops) as known from sales", "known",
     "sales.shop computed, shops.shop computed |"),
    ("select exists (select price from prices p where p.product = s.product) as e from sales s", "e",
     "prices.product computed, sales.product computed |"),
    ("select units from sales s where not exists (select 1 from prices p where p.product = s.product)", "units",
     "sales.units copied | prices.product sales.product"),
    ("select count(*) filter (where active) as n from sales", "n", "sales.active aggregated |"),
    ("select m from sales s, lateral (select max(price) as m from prices p where p.ts < s.ts) l", "m",
     "prices.price aggregated | prices.ts sales.ts"),
    ("select units from sales s where cost > (select avg(cost) from sales o where o.shop = s.shop)", "units",
     "sales.units copied | sales.cost sales.shop"),
    # aliases in the same select list; a column of that name comes first
    ("select units * 2 as double, double + cost as both from sales", "both",
     "sales.cost computed, sales.units computed |"),
    ("select cost as units, units + 1 as more from sales", "more", "sales.units computed |"),
    ("select units as u from sales where u > 0 and cost > 0", "u", "sales.units renamed | sales.cost"),
    ("select cost as units, units as z from sales group by all having units > 1", "z",
     "sales.units renamed | sales.cost"),
    ("select (select max(u) from (select price as units, units as u from prices)) as m from sales", "m",
     "prices.price aggregated |"),
    # names
    ('select "Units" as "Sold" from SALES as S where s."COST" > 1', "sold", "sales.units renamed | sales.cost"),
    ('select UNITS from "Sales"', "Units", "sales.units copied |"),
    ('select units as "ÜBER", cost as "über" from sales', "Über", "sales.units renamed |"),
    # lists and tables made of values
    ("select tag from sales, unnest(tags) as t(tag)", "tag", "sales.tags computed |"),
    ("select units from sales, unnest(tags) as t(tag)", "units", "sales.units copied | sales.tags"),
    ("select unnest(tags) as tag, units from sales", "units", "sales.units copied | sales.tags"),
    ("select tag from sales, unnest(tags) as tag", "tag", "sales.tags computed |"),
    ("select a from (select unnest({'a': units, 'b': 1}) from sales)", "a", "sales.units computed |"),
    ("select day from shops, generate_series(1, 3) as days(day)", "day", "|"),
    ("select list_transform(tags, lambda cost: upper(cost)) as t from sales", "t", "sales.tags computed |"),
    ("select list_filter(tags, lambda t: t = product) as t from sales", "t",
     "sales.product computed, sales.tags computed |"),
    ("select [upper(cost) for cost in tags if cost <> product] as t from sales", "t",
     "sales.product computed, sales.tags computed |"),
    ("select code, w from sales join (values (1, 'a')) as v(shop, code) using (shop), (select units as w from sales)",
     "w", "sales.units renamed | sales.shop"),
    ("select struct_pack(a := units).a as a from sales", "a", "sales.units computed |"),
    ("select * from sales, unnest(tags)", "cost", "sales.cost copied | sales.tags"),
    ("select * from range(3) r, sales", "cost", "sales.cost copied |"),
    ("select * from (values (1, 2)) as v(x), shops", "region", "shops.region copied |"),
    ("select * from sales s, lateral (select max(price) as m, 1 as o from prices p where p.ts < s.ts) l(k)", "k",
     "prices.price aggregated | prices.ts sales.ts"),
    ("select units from shops as s(units, product)", "units", "shops.shop renamed |"),
    ("select * from shops as s(units)", "region", "shops.region copied |"),
    ("select opened from (shops join (select shop, units from sales) as s using (shop)) as j(units)", "opened",
     "shops.opened copied | sales.shop shops.shop"),
    # columns that an alias names of a star over columns of one name
    ("with c(a, b, c) as (select * from (select * from shops x join shops y using (shop))) select c from c", "c",
     "shops.opened unknown, shops.region unknown, shops.shop unknown |"),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "column", "expected"), CASES)
def test_a_column_comes_from(sql: str, column: str, expected: str) -> None:
    assert origins(sql, column) == expected


def test_what_cannot_be_told_comes_from_everything_in_reach() -> None:
    told = origins("select somewhere as x from prices", "x")
    assert told == "prices.price unknown, prices.product unknown, prices.ts unknown |"


def test_of_a_sum_of_a_thousand_columns_every_column_may_come_from_everything() -> None:
    told = origins(f"select {' + '.join(['price'] * 1000)} as x from prices", "x")
    assert told == "prices.price unknown, prices.product unknown, prices.ts unknown |"


# Whatever orders rows is different in each of them: their place in the table must not matter.
ROWS = """
insert into sales select i % 3, chr((97 + i % 4)::int), date '2020-01-01' + to_months(i::int * 7 % 41),
timestamp '2020-01-01' + to_hours(i * 17 % 43), i * 11 % 47, i * 13 % 53 + 1, ['a' || i % 3, 'b'],
{'color': 'c' || i % 3, 'size': i % 4}, {'city': 'x' || i % 3, 'zip': 'z' || i % 4}, i % 3 > 0 from range(40) t(i);
insert into prices select chr((97 + i % 5)::int), timestamp '2020-01-01' + to_hours(i * 19 % 31), i * 7 % 37
from range(30) t(i);
insert into shops select i, ['north', 'south'][i % 2 + 1], date '2019-01-01' + i::int from range(4) t(i);
"""
OTHER_VALUE = {
    "shop": "1 - shop",
    "product": "chr(ascii(product) + 1)",
    "month": "month + interval 17 year",
    "units": "90.5 - units",
    "ts": "ts + interval 61 minutes",
    "cost": "80.5 - cost",
    "tags": "list_reverse(tags)",
    "details": '\'{"color": "d"}\'',
    "place": "{'city': 'w', 'zip': place.zip}",
    "active": "not active",
    "price": "60.5 - price",
    "region": "reverse(region)",
    "opened": "opened + 7",
}


@pytest.mark.parametrize("sql", FEATURES + [case[0] for case in CASES])
def test_no_column_changes_a_value_without_being_among_its_origins(sql: str, feature_tables: Any) -> None:
    query = parse_query(sql, file=Path("demand.sql"))
    before = values_of(feature_tables, query.canonical)
    told = query_lineage(query, {name: TABLES[name] for name in query.tables}, list(before))
    for table in query.tables:
        for column in TABLES[table]:
            feature_tables.execute("begin")
            feature_tables.execute(f"update {table} set {column} = {OTHER_VALUE[column]} where rowid % 5 < 2")
            after = values_of(feature_tables, query.canonical)
            feature_tables.execute("rollback")
            for name, values in after.items():
                if values != before[name]:
                    assert (table, column) in {(origin.table, origin.column) for origin in told[name]}, name


@pytest.mark.slow
@given(made=random_sql.queries())
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_random_query_has_a_value_that_a_column_changes_without_being_among_its_origins(
    made: random_sql.Made, small_tables: Any
) -> None:
    import duckdb

    query = parse_query(made.text, file=Path("demand.sql"))
    try:
        before = values_of(small_tables, query.canonical)
    except duckdb.BinderException:  # some forms of LATERAL
        reject()
    told = query_lineage(query, {name: random_sql.TABLES[name] for name in query.tables}, list(before))
    assert all(origin.how != "unknown" for found in told.values() for origin in found)
    for table in query.tables:
        for column in random_sql.TABLES[table]:
            small_tables.execute("begin")
            small_tables.execute(f"update {table} set {column} = 29 - {column} where rowid % 2 = 0")
            after = values_of(small_tables, query.canonical)
            small_tables.execute("rollback")
            for name, values in after.items():
                if values != before[name]:
                    assert (table, column) in {(origin.table, origin.column) for origin in told[name]}, name


def values_of(connection: Any, sql: str) -> dict[str, list[str]]:
    """The values of each column in an order of their own."""
    done = connection.execute(sql)
    names = [description[0] for description in done.description]
    rows = done.fetchall()
    first = {name: names.index(name) for name in names}  # of two columns with one name, the lakehouse takes the first
    return {name: sorted(str(row[number]) for row in rows) for name, number in first.items()}


def test_a_query_of_many_columns_is_read_in_one_walk() -> None:
    names = [f"c{number}" for number in range(300)]
    inner = ", ".join(f"units + {number} as {name}" for number, name in enumerate(names))
    outer = ", ".join(
        f"{name} + {random.Random(number).choice(names)} as d{number}" for number, name in enumerate(names)
    )
    query = parse_query(f"with a as (select {inner} from sales) select {outer} from a", file=Path("wide.sql"))
    told = query_lineage(query, {"sales": TABLES["sales"]}, [f"d{number}" for number in range(300)])
    assert {origin.how for found in told.values() for origin in found} == {"computed"}
