"""SQL that a user writes: what is accepted, what is refused and why, what its hash depends on."""

import json
import re
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from mlops_assets.engines.allow_list import FUNCTIONS, PARTS_OF_NAMES
from mlops_assets.engines.query import Query, parse_query
from mlops_assets.engines.row_frames import row_based_frames
from mlops_assets.errors import DefinitionError

FILE = Path("demand.sql")

TABLES = """
create table sales (shop int, product varchar, month date, ts timestamp, units double, cost double,
                    tags varchar[], details json, place struct(city varchar, zip varchar), active boolean);
create table prices (product varchar, ts timestamp, price double);
create table shops (shop int, region varchar, opened date);
"""

FEATURE_SQL = """
select shop, month, sum(units) as units from sales group by shop, month;

select shop, month, units / nullif(cost, 0) as ratio, ln(greatest(units, 1)) as log_units from sales;

with monthly as (select shop, month, sum(units) as units from sales group by all) select shop,
month, ln(units / nullif(before, 0)) as change from (select *, max(units) over (partition by shop
order by month range between interval 1 month preceding and interval 1 month preceding) as before
from monthly);

select s.shop, s.month, avg(s.units) over w as mean_3m, stddev_samp(units) over w as spread_3m from
sales as s window w as (partition by s.shop order by s.month range between interval 2 months
preceding and current row);

select * from sales asof join prices using (product, ts);

select s.shop, p.price from sales s asof left join prices p on s.product = p.product and s.ts >=
p.ts;

select shop, product, month from sales qualify row_number() over (partition by shop order by month
desc) = 1;

select shop, sum(units) over w as total, row_number() over (w order by month) as place
from sales window w as (partition by shop);

select * exclude (tags) replace (units * 2 as units) from sales;

select shop, units from sales union all by name (select units, shop from sales where units > 0);

select shop, list_transform(tags, lambda tag: upper(tag)) as tags, list_filter(tags, lambda t: t <> '')
as kept from sales;

select shop, [upper(tag) for tag in tags if tag like 'a%'] as tags, tags[1] as first_tag, tags[1:2]
as two from sales;

select shop, count(*) filter (where units > 0) as sold, count(distinct product) as products from
sales group by 1;

select shop, case when units > 10 then 'high' when units is null then null else 'low' end as level
from sales;

select shop, date_trunc('month', ts) as month, extract(year from ts) as year, date_part('dow', ts)
as dow, date_diff('day', month, ts::date) as age, month + interval 1 month as following from sales;

select shop, coalesce(region, 'unknown') as region from sales left join shops using (shop) where
active;

select shop, first(product order by month) as oldest, string_agg(product, ',' order by product) as
products, arg_max(product, units) as best from sales group by shop;

select shop, median(units) as middle, quantile_cont(units, 0.9) as top, percentile_cont(0.5) within
group (order by units) as half from sales group by shop;

select shop, units from sales union all select shop, cost from sales order by shop, units limit 10;

select shop, units from sales where shop in (select shop from shops where region = 'north') and
month between date '2020-01-01' and date '2020-12-31' and exists (select 1 from prices where
prices.product = sales.product);

select shop, details->>'$.color' as color, json_extract_string(details, '$.size') as size,
place.city as city from sales;

select distinct on (shop) shop, product from sales order by shop, month desc;

select shop, unnest(range(1, 4)) as horizon from shops;

select shop, r.day from shops, unnest(generate_series(date '2020-01-01', date '2020-01-03', interval
1 day)) as r(day);

from sales select shop, try_cast(product as decimal(10, 2)) as code, units // 2 as half, units ** 2
as square, -units as negative, cost * .5 as discounted, not active as closed;

select shop, regexp_replace(product, '[^a-z]+', '', 'g') as word, product ilike 'a%' as has_a,
trim(product) as t, substring(product, 1, 3) as code, position('a' in product) as at, product || '-'
|| shop as both_names from sales;

select shop, grouping(product) as level, sum(units) as units from sales group by rollup (shop,
product);

select v.code, s.shop from sales s join (values ('a', 1), ('b', 2)) as v(code, shop) on v.shop =
s.shop;

(select shop, struct_pack(a := units, b := cost).a as a, {'k': units} as pair, map {'x': units} as
entries from sales);

select "sales"."shop" as "Shop", Sales.Units as Units from "Sales" where product = 'it''s';

select shop, lag(units, 1) over (partition by shop order by month) as before from sales;

select s.shop, l.most from sales s, lateral (select max(price) as most from prices p where p.product
= s.product) l;

select sales.active as user, shop as today from sales semi join shops using (shop);

select .5 as a, case when units > .5 then .25 else .75e1 end as b, units between .1 and .9 as c, [.5, 1.] as d,
(.5) as e from sales where units > .5 or -.5 < units;

select (shop & 7) << 2 as up, (shop & 7)>>1 as down, product !~ 'a' as a, product!~~'a%' as b, product !~~* 'A%' as c,
sum(units) over (rows between unbounded preceding and unbounded following) as total from sales;

select shop as größe, ts as 売上, product as हिन्दी, 'Grüße 🎉, \u200b.5 * . 5' as "Ünï 🎉 \u200b" -- ein 🎉\u200b
/* größer \ufeff */ from sales as umsätze order by 2, größe limit 3;

select * from sales order by 1, 2, 3, 4 limit 3;

select shop, units from sales order by all limit 3
"""
FEATURES = [text.strip() for text in FEATURE_SQL.split(";")]

HOSTILE = [
    ("select now() as t from sales", "clock"),
    ("select current_date as t from sales", "clock"),
    ("select CURRENT_TIMESTAMP from sales", "clock"),
    ("select today() from sales", "clock"),
    ("select get_current_time() from sales", "clock"),
    ("select localtime from sales", "clock"),
    ('select "current_date" from sales', "clock"),  # DuckDB reads the clock in spite of the quotation marks
    ('select "Localtime" from sales', "clock"),
    ("select * from (show tables)", "engine's own"),
    ("select localtimestamp from sales", "clock"),
    ("select current_localtimestamp() from sales", "clock"),
    ("select age(ts) from sales", "clock"),
    ("select ago(interval 1 day)", "clock"),
    ("select 'Now'::timestamp as t from sales", "clock"),
    ("select chr(65, now()) from sales", "clock"),
    ('select "now"() from sales', "clock"),
    ("select main.now() from sales", "clock"),
    ("select random() from sales", "random"),
    ("select uuid(), gen_random_uuid() from sales", "random"),
    ("select setseed(0.5)", "random"),
    ("select * from sales tablesample 10%", "random"),
    ("select * from sales using sample 5 rows", "random"),
    ("select * from read_csv('a.csv')", "file"),
    ("select * from READ_PARQUET(['a.parquet'])", "file"),
    ("select content from read_text('/etc/passwd')", "file"),
    ("select * from glob('*')", "file"),
    ("select * from parquet_scan('a')", "file"),
    ("from 'file.csv'", "file"),
    ('from "x.parquet"', "file"),
    ("select * from sales, '/etc/passwd'", "file"),
    ('select * from "s3://bucket/key"', "file"),
    ("select getenv('HOME')", "environment"),
    ("copy sales to 'x.csv'", "not a SELECT"),
    ("attach 'x.db'", "not a SELECT"),
    ("install httpfs", "not a SELECT"),
    ("load httpfs", "not a SELECT"),
    ("pragma database_list", "not a SELECT"),
    ("set threads = 1", "not a SELECT"),
    ("create table x as select 1", "not a SELECT"),
    ("insert into sales select * from sales", "not a SELECT"),
    ("with x as (select 1) insert into sales select * from x", ""),
    ("describe sales", "not a SELECT"),
    ("values (1)", "not a SELECT"),
    ("pivot sales on product using sum(units)", "not a SELECT"),
    ("select * from (pivot sales on product using sum(units))", "PIVOT"),
    ("select * from sales pivot (sum(units) for product in ('a', 'b'))", "PIVOT"),
    ("select * from sales unpivot (v for n in (units, cost))", "PIVOT"),
    ("select * from (describe sales)", ""),
    ("select 1; drop table sales", "more than one statement"),
    ("select nextval('s')", "side effect"),
    ("select * from query('select 1')", "side effect"),
    ("select * from query_table('sales')", "side effect"),
    ("select getvariable('x')", "side effect"),
    ("select write_log('x')", "side effect"),
    ("select current_setting('threads')", "environment"),
    ("select current_user", "environment"),
    ("select user", "environment"),
    ("select version()", "environment"),
    ("select rowid from sales", "the place at which a row happened to be kept"),
    ("select sales.rowid from sales", "the place at which a row happened to be kept"),
    ('select s."RowId" from sales s', "the place at which a row happened to be kept"),
    ("select shop from sales join shops using (rowid)", "the place at which a row happened to be kept"),
    ("select 'now UTC'::timestamp as t from sales", "clock"),
    ("select ran\u212a() over (order by units) from sales", "a word that is no name"),
    ("select \u0301abs(units) from sales", "\u0301abs(), which is not on the list"),
    ("select units a\u017f amount from sales", "the character U+017F (LATIN SMALL LETTER LONG S)"),
    ("\ufeffselect 1", "the character U+FEFF (ZERO WIDTH NO-BREAK SPACE) outside of quotation marks"),
    ("select \u200bnow() from sales", "the character U+200B (ZERO WIDTH SPACE) outside of quotation marks"),
    ("select * from duckdb_settings()", "duckdb_settings"),
    ("select * from duckdb_tables", "engine's own"),
    ("select * from sqlite_master", "engine's own"),
    ("select * from information_schema.tables", "schema or catalog"),
    ("select * from pg_catalog.pg_class", "schema or catalog"),
    ("select * from main.sales", "schema or catalog"),
    ("select * from repeat('x', 3)", "repeat"),
    ("select * from sales at (version => 1)", "version"),
    ("select frobnicate(units) from sales", "frobnicate()"),
    ("select units.hash() from sales", "hash()"),
    ("select columns(*) from sales", "COLUMNS"),
    ("select columns('u.*') from sales", "COLUMNS"),
    ("select #1 from sales", "position"),
    ("select ? from sales", "parameter"),
    ("select $1 from sales", "parameter"),
    ("select $name from sales", "parameter"),
    ("select first(units) from sales", "ORDER BY"),
    ("select last(units) filter (units > 1) from sales", "ORDER BY"),
    ("select any_value(units) from sales", "ORDER BY"),
    ("select list(distinct units) from sales", "ORDER BY"),
    ("select array_agg(units) from sales", "ORDER BY"),
    ("select string_agg(product, ',') from sales", "ORDER BY"),
    ("select mode(product) from sales", "ORDER BY"),
    ("select row_number() over (partition by shop) from sales", "ORDER BY"),
    ("select lag(units) over () from sales", "ORDER BY"),
    ("select lead(units) ignore nulls over w from sales window w as (partition by shop)", "ORDER BY"),
    ("select first_value(units) over (partition by shop) from sales", "ORDER BY"),
    ("select sum(units) over (partition by first(units)) from sales", "ORDER BY"),
    ("select row_number() over (order by 1) from sales", "ORDER BY"),
    ("select rank() over (order by null, 'x') from sales", "ORDER BY"),
    ("select lag(units) over w from sales window w as (order by (select 1))", "ORDER BY"),
    ("select list(units order by 1) from sales", "ORDER BY"),
    ("select listagg(product) within group (order by 1) from sales", "ORDER BY"),
    ("select sum(units) over (rows 2 preceding) from sales", "a frame of rows in a window without ORDER BY"),
    ("select sum(units) over w from sales window w as (order by 1 rows current row)", "without ORDER BY"),
    ("select units from sales order by date '2020-01-01' limit 3", "ORDER BY"),
    ("select units, 1 as one from sales order by one limit 3", "ORDER BY"),
    ("select 'x' as x, units from sales order by 1 fetch first 3 rows only", "ORDER BY"),
    ("select distinct on (shop) shop, units from sales order by 'x'", "ORDER BY"),
    ("select units from sales limit 3", "ORDER BY"),
    ("select units from sales offset 3", "ORDER BY"),
    ("(select units from sales) limit 3", "ORDER BY"),
    ("select shop from sales where units > (select units from sales limit 1)", "ORDER BY"),
    ("select distinct on (shop) shop, units from sales", "ORDER BY"),
    ("select * from sales positional join shops", "POSITIONAL"),
    ("with recursive r as (select 1 as a union all select a + 1 from r) select a from r", "RECURSIVE"),
    ("select 0x1F", "0x1F"),
    ("select 'a'\n'b'", "side by side"),
    ("select e'\\x41'", "ByteString"),
    ("select from where", "does not parse"),
    ("select (1", "does not parse"),
    ("select 'abc", "never closed"),
    ("select " + "(" * 5000 + "1" + ")" * 5000, "nested too deeply"),
    ("", "empty"),
    ("-- nothing", "empty"),
]


@pytest.fixture(scope="module")
def engine() -> Any:
    import duckdb

    connection = duckdb.connect()
    connection.execute(TABLES)
    return connection


def parsed(text: str) -> Query:
    return parse_query(text, file=FILE)


def refusal(text: str) -> DefinitionError:
    with pytest.raises(DefinitionError) as caught:
        parsed(text)
    return caught.value


def structure(engine: Any, text: str) -> Any:
    """What DuckDB's own parser makes of a text, without places and without the case of a type's name or an exponent."""

    def without_places(node: Any) -> Any:
        if isinstance(node, dict):
            kept = {key: without_places(value) for key, value in node.items() if "location" not in key}
            if kept.get("kind") == "NUMERIC":
                kept["text"] = kept["text"].upper()  # the e of an exponent
            return json.loads(json.dumps(kept).lower()) if node.get("class") == "TYPE" else kept
        return [without_places(value) for value in node] if isinstance(node, list) else node

    serialized = json.loads(engine.execute("select json_serialize_sql(?)", [text]).fetchone()[0])
    assert not serialized["error"], serialized
    return without_places(serialized["statements"])


def base_tables(node: Any) -> set[str]:
    """Names of tables in what DuckDB's parser made, for a query whose WITH hides no table."""
    if isinstance(node, list):
        return set().union(*map(base_tables, node))
    if not isinstance(node, dict):
        return set()
    own = {node["table_name"].lower()} if node.get("type") == "BASE_TABLE" else set()
    introduced = {entry["key"].lower() for entry in node.get("cte_map", {}).get("map", [])}
    return (own | base_tables(list(node.values()))) - introduced


@pytest.mark.parametrize("text", FEATURES)
def test_realistic_features_are_accepted_and_planned_as_written(engine: Any, text: str) -> None:
    query = parsed(text)
    engine.execute(f"explain {query.canonical}")
    assert structure(engine, query.canonical) == structure(engine, text)
    assert query.tables == base_tables(structure(engine, text))
    names = [column[0] for column in engine.execute(f"select * from ({query.canonical}) limit 0").description]
    assert query.output_columns is None or list(query.output_columns) == names


@pytest.mark.parametrize(("text", "found"), HOSTILE)
def test_what_could_see_the_future_or_change_anything_is_refused(text: str, found: str) -> None:
    error = refusal(text)
    assert found in error.found
    assert error.expected and error.cure and error.where
    assert str(error).startswith("demand.sql")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("select shop,\n  now()\nfrom sales", 2),
        ("select shop,\n\n  current_date\nfrom sales", 3),
        ("select *\nfrom sales\njoin 'x.csv' using (shop)", 3),
        ("select\n  shop\nfrom sales\nwhere shop = = 3", 4),
        ("select shop\nfrom sales;\n\nselect 1", 4),
        ("select shop,\n  first(units)\nfrom sales", 2),
        ("-- a comment\n/* and\n another */ drop table sales", 3),
        ("select shop\nfrom sales\ntablesample 10%", 3),
    ],
)
def test_a_refusal_names_the_line(text: str, line: int) -> None:
    where = refusal(text).where
    assert where is not None
    assert where.line == line


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        ("select now()", "timestamp column"),
        ("select random()", "md5(key)"),
        ("from 'x.csv'", "declare the file as a source"),
        ("select medain(units) from sales", "median"),
        ("select first(units) from sales", "first(… ORDER BY …), or use min or max"),
        ("select * from (pivot sales on shop using sum(units))", "FILTER (WHERE"),
        ("select units from sales limit 1", "unique key"),
    ],
)
def test_a_refusal_says_what_to_do(text: str, cure: str) -> None:
    assert cure in refusal(text).cure


@pytest.mark.parametrize(
    ("text", "tables"),
    [
        ("select 1 as one", set()),
        ("with sales as (select * from sales) select * from sales", {"sales"}),
        ("with a as (select 1 as x), b as (select * from a) select * from b, shops", {"shops"}),
        ("select * from (with shops as (select 1 as x) select * from shops) as inside, shops", {"shops"}),
        ("select * from Sales as prices, (select * from PRICES) as p", {"sales", "prices"}),
        ("select * from unnest([1, 2]) as t(x)", set()),
    ],
)
def test_tables_are_those_that_no_with_hides(text: str, tables: set[str]) -> None:
    assert parsed(text).tables == tables


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        (
            "select shop, s.units, cost * 2 as Twice, place.city from sales s",
            ("shop", "units", "Twice", "city"),
        ),
        ("select shop from sales union all select cost from sales", ("shop",)),
        ("select shop from sales union all by name select Shop, cost from sales", ("shop", "cost")),
        ("select * from sales", None),
        ("select sales.* from sales", None),
        ("select sum(units) from sales", None),
        ("select unnest(place) as place from sales", None),
        ("with a as (select 1 as x) select x from a", ("x",)),
    ],
)
def test_output_columns_are_told_where_no_schema_is_needed(text: str, columns: tuple[str, ...] | None) -> None:
    assert parsed(text).output_columns == columns


def test_every_function_of_the_list_is_known_to_duckdb_as_consistent(engine: Any) -> None:
    rows = engine.execute("select function_name, function_type, stability from duckdb_functions()").fetchall()
    known = {name for name, *_ in rows}
    with_a_syntax_of_their_own = {
        "cast",
        "try_cast",
        "coalesce",
        "ifnull",
        "extract",
        "grouping",
        "grouping_id",
    }
    with_a_syntax_of_their_own |= {"percentile_cont", "percentile_disc", "listagg"}
    assert known >= FUNCTIONS - with_a_syntax_of_their_own
    of_a_row_or_group = {(name, stability) for name, kind, stability in rows if kind in ("scalar", "aggregate")}
    assert {pair for pair in of_a_row_or_group if pair[0] in FUNCTIONS and pair[1] != "CONSISTENT"} == set()


def test_no_macro_of_the_list_asks_for_the_clock_or_for_chance(engine: Any) -> None:
    macros = engine.execute(
        "select function_name, macro_definition from duckdb_functions() where function_type = 'macro'"
    ).fetchall()
    of_the_list = [(name, definition) for name, definition in macros if name in FUNCTIONS]
    assert of_the_list
    for name, definition in of_the_list:
        forbidden = "now|current_date|current_timestamp|get_current_timestamp|random|nextval|age"
        assert not re.search(rf"\b({forbidden})\b", definition), name


def test_no_built_in_view_of_duckdb_can_be_read(engine: Any) -> None:
    views = {row[0] for row in engine.execute("select distinct view_name from duckdb_views()").fetchall()}
    import duckdb

    assert views
    for view in views - {"columns", "tables", "schemata", "views"}:  # found in information_schema only
        try:
            engine.execute(f'explain select * from "{view}"')
        except duckdb.Error:
            continue
        refusal(f'select * from "{view}"')


def test_no_bare_name_that_duckdb_answers_without_a_table_is_accepted(engine: Any) -> None:
    import duckdb

    names = {row[0] for row in engine.execute("select function_name from duckdb_functions()").fetchall()}
    names |= {row[0] for row in engine.execute("select keyword_name from duckdb_keywords()").fetchall()}
    answered = set()
    for name in sorted(name for name in names if name.isidentifier()):
        for written in (name, f'"{name}"', f'"{name.upper()}"'):
            try:
                engine.execute(f"select {written}")
            except duckdb.Error:
                continue
            if name not in {"true", "false", "null"}:
                answered.add(name)
                refusal(f"select {written} from sales")
    assert {"current_date", "current_user", "user"} <= answered


GAPS = st.sampled_from([" ", "\n", "\t", "  \n ", " -- a comment; now()\n", " /* read_csv('x') */", " /*;*/ "])
# Two of DuckDB's keywords of two words each are one token to sqlglot, and stay together.
KEYWORDS = {
    "select",
    "from",
    "where",
    "group by",
    "order by",
    "as",
    "and",
    "case",
    "when",
    "then",
    "else",
    "end",
    "over",
}


@given(st.data())
def test_layout_comments_and_the_case_of_keywords_change_no_hash(data: st.DataObject) -> None:
    from sqlglot import tokenize

    text = data.draw(st.sampled_from(FEATURES))
    parts = []
    for token in tokenize(text, dialect="duckdb"):
        written = text[token.start : token.end + 1]
        if written.lower() in KEYWORDS:
            written = data.draw(st.sampled_from([written.upper(), written.lower(), written.title()]))
        parts.append(written)
        # a point and the digits behind it are one number, as two signs may be one
        parts.append("" if written in {".", "<", ">", "!"} else data.draw(GAPS))
    changed = parsed("".join(parts) + data.draw(st.sampled_from(["", ";", " ; -- end"])))
    assert changed.definition_hash == parsed(text).definition_hash


SIGNS = st.text("+-*/<>=!~^@&|%:.?", min_size=1, max_size=3)
OPERANDS = st.sampled_from(["units", "5", ".5", "1.", "1e3", "1.5e-3", "(cost)", "'x'", '"cost"', "-1", "+.5"])


@given(OPERANDS, st.sampled_from(["", " "]), SIGNS, st.sampled_from(["", " "]), OPERANDS)
@example(".5", "", "*", "", ".5")
@example("units", "", "<<", "", "5")
@settings(max_examples=400)
def test_what_duckdb_runs_it_reads_as_what_was_written(
    engine: Any, left: str, gap: str, signs: str, other_gap: str, right: str
) -> None:
    import duckdb

    assume("--" not in signs + right and "/*" not in signs)  # a comment
    text = f"select {left}{gap}{signs}{other_gap}{right} as made from sales"
    try:
        engine.execute(f"explain {text}")
        canonical = parsed(text).canonical
    except (duckdb.Error, DefinitionError):
        return
    assert structure(engine, canonical) == structure(engine, text)


def may_hide(point: int) -> bool:
    """Whatever is drawn as nothing or space, and below the ideographs each sign and one letter in 16."""
    category = unicodedata.category(chr(point))
    return category in {"Cf", "Cc", "Zs", "Zl", "Zp"} or point < 0x3000 and (category[0] not in "LC" or point % 16 == 0)


def escaping(function: str, character: str) -> list[str]:
    """Texts that call a function, with a character at the four places where it could hide that."""
    return [f"select {text} as t from sales" for text in (
        f"{character}{function}()", f"{function[0]}{character}{function[1:]}()", f"{function}({character})",
        f"{function}{character}()",
    )]  # fmt: skip


def is_called(engine: Any, text: str, function: str) -> bool:
    """Whether DuckDB calls a function, or reads a column, in what it is handed of an accepted text."""
    try:
        canonical = parsed(text).canonical
    except DefinitionError:
        return False
    serialized = engine.execute("select json_serialize_sql(?)", [canonical]).fetchone()[0]
    return f'"function_name":"{function}"' in serialized or f'"{function}"]' in serialized


def test_no_character_hides_a_function_from_the_filter(engine: Any) -> None:
    escaped = [
        text
        for character in map(chr, filter(may_hide, range(0x110000)))
        for text in escaping("now", character)
        if is_called(engine, text, "now") and f"now{character}()" not in text  # "now" < () reads a column
    ]
    assert escaped == []


@given(st.characters(exclude_categories=["Cs"]), st.sampled_from(["random", "read_csv", "current_setting", "today"]))
@example("\u200b", "random")
def test_no_character_hides_any_refused_word(engine: Any, character: str, word: str) -> None:
    for text in escaping(word, character)[:-1]:
        assert not is_called(engine, text, word), text


def test_every_character_of_a_name_is_one_to_duckdb(engine: Any) -> None:
    characters = [chr(point) for point in range(0x80, 0x110000) if unicodedata.category(chr(point)) in PARTS_OF_NAMES]
    columns = ", ".join(f"{character}a{character}b{character}" for character in characters)
    (statement,) = structure(engine, f"select {columns}")
    named = [column["column_names"] for column in statement["node"]["select_list"]]
    assert named == [[f"{character}a{character}b{character}"] for character in characters]


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8))
@example("'\u200b\"\ufeff--\0/*")
def test_between_quotation_marks_any_character_may_stand(engine: Any, text: str) -> None:
    literal, name = text.replace("'", "''"), text.replace('"', '""')
    canonical = parsed(f"select '{literal}' as \"{name}\" -- {text.splitlines()[0] if text.split() else ''}").canonical
    answer = engine.execute(canonical)
    assert answer.description[0][0] == text
    assert answer.fetchall() == [(text,)]


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_another_number_is_another_definition(one: int, other: int) -> None:
    first = parsed(f"select shop from sales where units > {one}").definition_hash
    second = parsed(f"select shop from sales where units > {other}").definition_hash
    assert (first == second) == (one == other)


@given(st.text(max_size=8), st.text(max_size=8))
def test_another_text_is_another_definition(one: str, other: str) -> None:
    hashes = [
        parsed("select shop from sales where product = '" + text.replace("'", "''") + "'").definition_hash
        for text in (one, other)
    ]
    assert (hashes[0] == hashes[1]) == (one == other)


@pytest.mark.parametrize("text", FEATURES)
def test_the_canonical_form_of_a_canonical_form_is_itself(text: str) -> None:
    canonical = parsed(text).canonical
    assert parsed(canonical).canonical == canonical


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("select shop as a from sales", "select shop as A from sales"),  # DuckDB returns the case as written
        ("select units - cost as a from sales", "select cost - units as a from sales"),
        (
            "select date_diff('day', month, ts) as a from sales",
            "select date_sub('day', month, ts) as a from sales",
        ),
        ("select 'a b' as a", "select 'a  b' as a"),
        ("select 'a -- b' as a", "select 'a ' as a -- b'"),
        (
            "select shop from sales union select shop from shops",
            "select shop from sales union all select shop from shops",
        ),
    ],
)
def test_another_meaning_is_another_definition(one: str, other: str) -> None:
    assert parsed(one).definition_hash != parsed(other).definition_hash


@pytest.mark.parametrize(
    ("text", "line", "form"),
    [
        (
            "select shop,\n  lag(units) over (partition by shop order by month) as before\nfrom sales",
            2,
            "max(units) OVER (PARTITION BY shop ORDER BY date_trunc('month', month) RANGE BETWEEN "
            "INTERVAL (1) MONTH PRECEDING AND INTERVAL (1) MONTH PRECEDING)",
        ),
        (
            "select lead(units, 3) ignore nulls over w as later\nfrom sales\nwindow w as (order by month)",
            1,
            "max(units) OVER (ORDER BY date_trunc('month', month) RANGE BETWEEN "
            "INTERVAL (3) MONTH FOLLOWING AND INTERVAL (3) MONTH FOLLOWING)",
        ),
        (
            "select\n\n sum(units) over (order by month rows between 2 preceding and current row) from sales",
            3,
            "SUM(units) OVER (ORDER BY date_trunc('month', month) RANGE BETWEEN "
            "INTERVAL (2) MONTH PRECEDING AND CURRENT ROW)",
        ),
        (
            "select avg(units) filter (where active) over (order by month rows 2 preceding) as s from sales",
            1,
            "AVG(units) FILTER(WHERE active) OVER (ORDER BY date_trunc('month', month) RANGE BETWEEN "
            "INTERVAL (2) MONTH PRECEDING AND CURRENT ROW)",
        ),
    ],
)
def test_windows_that_count_rows_are_warned_of_with_a_form_that_runs(
    engine: Any, text: str, line: int, form: str
) -> None:
    (warning,) = row_based_frames(parsed(text))
    assert warning.startswith(f"demand.sql:{line}: ")
    assert f"write {form}" in warning
    engine.execute(f"explain select {form} from sales")


@pytest.mark.parametrize(
    "frame",
    [
        "range between interval 2 months preceding and current row",
        "rows between unbounded preceding and current row",
        "rows between unbounded preceding and unbounded following",
    ],
)
def test_a_window_that_no_gap_can_mislead_is_not_warned_of(frame: str) -> None:
    query = parsed(f"select sum(units) over (partition by shop order by month {frame}) as s from sales")
    assert row_based_frames(query) == []


def test_a_named_window_of_rows_is_warned_of_once() -> None:
    query = parsed("select sum(units) over w as s from sales window w as (order by month rows 3 preceding)")
    (warning,) = row_based_frames(query)
    assert "a ROWS frame" in warning
    assert "RANGE BETWEEN INTERVAL (3) MONTH PRECEDING AND CURRENT ROW" in warning


def test_the_form_that_is_advised_finds_the_month_before_of_a_months_last_day() -> None:
    import re

    import duckdb

    written = "SELECT lag(units) OVER (PARTITION BY shop ORDER BY day) AS before FROM sales"
    (warning,) = row_based_frames(parsed(written), "month")
    advised = re.search(r"write (.*)\.$", warning)
    assert advised is not None
    ends = ["2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30", "2024-06-30"]
    rows = ", ".join(f"('a', DATE '{day}', {number})" for number, day in enumerate(ends))
    sales = f"(VALUES {rows}) AS sales (shop, day, units)"
    found = duckdb.sql(f"SELECT {advised[1]} FROM {sales} ORDER BY day").fetchall()
    assert found == [(None,), (0,), (1,), (2,), (None,)], "before June is a gap"
