"""The form of a column's expression: the same for what computes the same, another for what may differ."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from mlops_assets.engines.column_expressions import ColumnExpression, column_expressions
from mlops_assets.engines.query import parse_query
from mlops_assets.lakehouse.periods import Calendar
from mlops_assets.lakehouse.schema import Column, TableSchema
from mlops_assets_tests.engines.random_sql import ROWS, TABLES, Made, queries


def schema(keys: tuple[str, ...], timestamp: str | None, *columns: str) -> TableSchema:
    names = (*keys, *([timestamp] if timestamp else []), *columns)
    return TableSchema(keys, timestamp, tuple(Column(name, "double") for name in names), Calendar("day"))


INPUTS = {
    "sales": schema(("shop",), "day", "units", "price", "channel", "supplier"),
    "visits": schema(("shop",), "day", "visitors"),
    "shops": schema(("shop",), None, "region"),
}
ANSWER = schema(("shop",), "day", "x")


def expression(sql: str, answer: TableSchema = ANSWER, history: int = 9) -> ColumnExpression | None:
    query = parse_query(sql, file=Path("q.sql"))
    inputs = {name: INPUTS[name] for name in query.tables}
    return column_expressions(query, inputs, answer, history).get("x")


def form(sql: str, answer: TableSchema = ANSWER, history: int = 9) -> str:
    found = expression(sql, answer, history)
    assert found is not None and found.canonical is not None, sql
    return found.canonical


LEVEL = "SELECT shop, day, ln(units + 1) AS x FROM sales"
LAST = (
    "max(units) OVER (PARTITION BY shop, channel ORDER BY day RANGE BETWEEN INTERVAL 7 DAY PRECEDING AND CURRENT ROW)"
)
TOTAL = "SELECT shop, day, sum(units) AS x FROM sales GROUP BY shop, day"


@pytest.mark.parametrize(
    ("sql", "same"),
    [
        (LEVEL, "select  SHOP,day, LN( (Units+1) ) as x -- layout\nfrom Sales"),
        (LEVEL, "SELECT s.shop, s.day, ln(1 + s.units) AS x FROM sales AS s"),
        (LEVEL, "WITH a AS (SELECT *, units + 1 AS u FROM sales), b(k, d, v) AS (SELECT shop, day, u FROM a) "
                "SELECT k AS shop, d AS day, ln(v) AS x FROM b"),
        (LEVEL, "SELECT * FROM (SELECT shop, day, units + 1 AS more, ln(more) AS x FROM sales)"),
        (LEVEL, "SELECT * EXCLUDE (units, price, channel, supplier), ln(units + 1) AS x FROM sales"),
        (LEVEL, "SELECT * RENAME (units AS x) FROM (SELECT * REPLACE (ln(units + 1) AS units) FROM sales)"),
        (LEVEL, f"{LEVEL} JOIN visits USING (shop, day) LEFT JOIN shops USING (shop)"),
        (LEVEL, "SELECT sales.shop, sales.day, ln(units + 1) AS x "
                "FROM visits JOIN sales ON sales.shop = visits.shop AND visits.day = sales.day"),
        (LEVEL, f"{LEVEL} WHERE channel = 'web'"),
        (f"SELECT shop, day, {LAST} AS x FROM sales",
         "SELECT shop, day, max(units) OVER (w RANGE BETWEEN INTERVAL '7' DAY PRECEDING AND CURRENT ROW) AS x "
         "FROM sales WINDOW w AS (PARTITION BY channel, shop ORDER BY day)"),
        (TOTAL,
         "SELECT shop, day, t AS x FROM (SELECT day, shop, sum(units) AS t FROM sales GROUP BY ALL) WHERE t > 3"),
        (TOTAL, "SELECT shop, day, sum(units) AS x FROM sales GROUP BY 2, 1 HAVING count(*) > 2"),
        ("SELECT shop, day, units > 1 AND price <= 2 AS x FROM sales",
         "SELECT shop, day, 2 >= price AND 1 < units AS x FROM sales"),
        ("SELECT shop, day, CAST(units AS DOUBLE) AS x FROM sales", "SELECT shop, day, units::double AS x FROM sales"),
    ],
)  # fmt: skip
def test_layout_names_and_detours_do_not_count(sql: str, same: str) -> None:
    assert form(sql) == form(same)


def windowed(frame: str) -> str:
    return f"SELECT shop, day, sum(units) OVER (PARTITION BY shop ORDER BY day {frame}) AS x FROM sales"


LATER = (
    "SELECT a.shop, a.day, b.units / a.units AS x "
    "FROM sales a JOIN sales b ON a.shop = b.shop AND b.day = a.day + INTERVAL {} DAY"
)


@pytest.mark.parametrize(
    ("sql", "other"),
    [
        (LEVEL, LEVEL.replace("+ 1", "+ 2")),
        (LEVEL, LEVEL.replace("units", "price")),
        ("SELECT shop, day, units - price AS x FROM sales", "SELECT shop, day, price - units AS x FROM sales"),
        ("SELECT shop, day, channel = 'web' AS x FROM sales", "SELECT shop, day, channel = 'Web' AS x FROM sales"),
        (TOTAL, TOTAL.replace("FROM sales", "FROM sales WHERE channel = 'web'")),
        (TOTAL, TOTAL.replace("sum(units)", "sum(units) FILTER (WHERE channel = 'web')")),
        (TOTAL, TOTAL.replace("sum(units)", "sum(DISTINCT units)")),
        (TOTAL, TOTAL.replace("GROUP BY", "JOIN visits USING (shop, day) GROUP BY")),
        (TOTAL, "SELECT any_value(shop ORDER BY shop) AS shop, day, sum(units) AS x FROM sales GROUP BY day, channel"),
        (windowed(""), windowed("DESC")),
        (windowed(""), windowed("").replace("FROM sales", "FROM sales WHERE units > 0")),
        (windowed(""), windowed("").replace("shop ORDER", "channel ORDER")),
        (LATER.format(1), LATER.format(7)),
        ("SELECT sales.shop, day, upper(shops.region) AS x FROM sales JOIN shops ON shops.shop = sales.shop",
         "SELECT sales.shop, day, upper(shops.region) AS x FROM sales JOIN shops ON shops.shop = supplier"),
        ("SELECT shop, day, units + 1 AS x FROM sales UNION ALL SELECT shop, day, visitors FROM visits",
         "SELECT shop, day, units + 1 AS x FROM sales UNION ALL SELECT shop, day, visitors + 1 FROM visits"),
    ],
)  # fmt: skip
def test_what_may_differ_has_another_form(sql: str, other: str) -> None:
    assert form(sql) != form(other)


def test_which_rows_are_chosen_counts_where_the_keys_do_not_tell_the_row() -> None:
    by_channel = schema(("channel",), "day", "x")
    both = "SELECT channel, day, units AS x, {} AS y FROM sales UNION SELECT channel, day, price, 1 FROM sales"
    assert form(both.format("units"), by_channel) != form(both.format("price"), by_channel)
    web = "SELECT channel, day, units + 1 AS x FROM sales WHERE supplier = 'a'"
    assert form(web, by_channel) != form(web.replace("'a'", "'b'"), by_channel)
    assert form(web, by_channel) == form(f"SELECT * FROM ({web})", by_channel)


def test_history_counts_where_nothing_bounds_how_far_back_it_looks() -> None:
    def same(sql: str) -> bool:
        return form(sql, history=9) == form(sql, history=30)

    assert same(LEVEL) and same(TOTAL)
    assert same(windowed("RANGE BETWEEN INTERVAL 6 DAY PRECEDING AND CURRENT ROW"))
    assert not same(windowed("")) and not same(windowed("RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW"))
    assert not same(windowed("ROWS BETWEEN 6 PRECEDING AND CURRENT ROW"))
    total = "SELECT shop, max(day) AS day, sum(units){} AS x FROM sales GROUP BY shop"
    assert not same(total.format(""))
    assert same(total.format(" FILTER (WHERE sales.day >= DATE '2024-01-01')"))
    assert not same(total.format(" FILTER (WHERE sales.day < DATE '2024-01-01')"))
    total = "(SELECT shop, sum(units) AS t FROM sales GROUP BY shop)"
    assert not same(f"SELECT shop, day, price - t AS x FROM sales JOIN {total} USING (shop)")


def test_a_copy_says_of_what_and_a_constant_that_it_is_one() -> None:
    copied = expression("WITH s AS (SELECT *, units AS u FROM sales) SELECT shop, day, u AS x FROM s")
    assert copied is not None and (copied.copies, copied.sql, copied.constant) == (("sales", "units"), "units", False)
    for constant in ("1", "ln(2) + 3", "'a'", "NULL"):
        found = expression(f"SELECT shop, day, {constant} AS x FROM sales")
        assert found is not None and found.constant and found.copies is None
    counted = expression("SELECT shop, day, count(*) AS x FROM sales GROUP BY ALL")
    assert counted is not None and not counted.constant


def test_the_sql_to_read_is_over_the_columns_of_the_inputs() -> None:
    def sql(text: str) -> str:
        found = expression(text)
        assert found is not None
        return found.sql

    assert sql("WITH s AS (SELECT *, units + 1 AS u FROM sales) SELECT shop, day, ln(u) * u AS x FROM s") == (
        "LN(units + 1) * (units + 1)"
    )
    assert sql("SELECT s.shop, day, s.units / v.visitors AS x FROM sales s JOIN visits v USING (shop, day)") == (
        "sales.units / visits.visitors"
    )
    named = "SELECT shop, day, max(units) OVER w AS x FROM sales WINDOW w AS (PARTITION BY shop ORDER BY day)"
    assert sql(named) == "MAX(units) OVER (PARTITION BY shop ORDER BY day)"


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT shop, day, (SELECT max(visitors) FROM visits WHERE visits.shop = sales.shop) AS x FROM sales",
        "SELECT shop, day, units IN (SELECT visitors FROM visits) AS x FROM sales",
        "SELECT shop, day, unnest([units]) AS x FROM sales",
        "SELECT shop, day, list_sum(list_transform([units], u -> u + 1)) AS x FROM sales",
        "SELECT shop, day, sum(units) AS x FROM sales GROUP BY ROLLUP (shop, day)",
        "SELECT shop, day, units AS x FROM sales UNION BY NAME SELECT shop, day, visitors AS x FROM visits",
    ],
)
def test_what_is_not_followed_has_no_form(sql: str) -> None:
    assert expression(sql) is None


RANDOM = {name: schema(columns, None) for name, columns in TABLES.items()}
SEEN: dict[str, tuple[str, list[Any]]] = {}


def expressions_of(made: Made) -> dict[str, ColumnExpression]:
    answer = TableSchema((), None, tuple(Column(name, "double") for name in made.columns), Calendar("day"))
    query = parse_query(made.text, file=Path("q.sql"))
    return dict(column_expressions(query, RANDOM, answer, 1))


@pytest.mark.slow
@settings(max_examples=60)
@given(made=queries())
def test_columns_of_one_form_have_the_same_values_whatever_the_query(made: Made) -> None:
    import duckdb

    with duckdb.connect() as connection:
        connection.execute(ROWS)
        try:
            relation = connection.sql(made.text)
            rows = relation.fetchall()
        except duckdb.Error:  # some forms of LATERAL, and WITH in a join
            reject()
        values = dict(zip(relation.columns, zip(*rows, strict=True), strict=False))
    for name, found in expressions_of(made).items():
        assert found.canonical is not None
        mine = sorted(map(str, values.get(name, ())))
        text, others = SEEN.setdefault(found.canonical, (made.text, mine))
        if " of " in found.canonical or (mine and others):  # of an aggregate of all rows there may be none
            assert mine == others or not found.canonical.count(" of ") and set(mine) == set(others), (made.text, text)


@settings(max_examples=40)
@given(made=queries(), names=st.permutations(["p", "q", "r", "s"]))
def test_a_query_within_another_under_other_names_keeps_its_forms(made: Made, names: list[str]) -> None:
    renamed = names[: len(made.columns)]
    outer = Made(f"WITH outside({', '.join(renamed)}) AS ({made.text}) SELECT * FROM outside", tuple(renamed))
    inside = expressions_of(made)
    outside = expressions_of(outer)
    assert [inside[name].canonical for name in made.columns if name in inside] == [
        outside[new].canonical for name, new in zip(made.columns, renamed, strict=True) if name in inside
    ]
