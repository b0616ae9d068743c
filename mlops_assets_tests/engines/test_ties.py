"""Orders under which rows may be tied are warned of, with what would tell them apart; proven ones are not."""

from pathlib import Path

import pytest

from mlops_assets.engines.query import parse_query
from mlops_assets.engines.ties import tied_orders
from mlops_assets.lakehouse.periods import Calendar
from mlops_assets.lakehouse.schema import Column, TableSchema

MONTHS = Calendar("month")
COLUMNS = tuple(Column(name, "double") for name in ("units", "cost"))
INPUTS = {
    "sales": TableSchema(("shop", "product"), "month", COLUMNS, MONTHS),
    "prices": TableSchema(("product",), "day", (Column("price", "double"),), MONTHS),
    "shops": TableSchema(("shop",), None, (Column("region", "string"),), MONTHS),
}


def warnings(sql: str) -> list[str]:
    return tied_orders(parse_query(sql, file=Path("best.sql")), INPUTS)


def tied(sql: str) -> str:
    (warning,) = warnings(sql)
    return warning


@pytest.mark.parametrize(
    ("sql", "cure"),
    [
        ("select shop from sales order by units limit 3", "add month, product, shop to the ORDER BY"),
        ("select shop, units from sales order by shop, month offset 3", "add product to the ORDER BY"),
        ("select distinct on (shop) * from sales order by month desc", "add product to the ORDER BY"),
        (
            "select shop from sales qualify row_number() over (partition by shop order by month desc) = 1",
            "add product to the ORDER BY",
        ),
        ("select lag(units) over w as u from sales window w as (partition by shop order by month)", "add product to"),
        ("select ntile(4) over (order by shop, product) as n from sales", "add month to the ORDER BY"),
        ("select sum(units) over (order by month rows 2 preceding) as n from sales", "add product, shop to"),
        ("select last_value(units) over (order by month) as u from sales", "add product, shop to the ORDER BY"),
        ("select shop, first(product order by month) as p from sales group by shop", "add product to the ORDER BY"),
        ("select shop, any_value(units order by month) as p from sales group by shop", "add product to the ORDER BY"),
        ("select listagg(product) within group (order by month) as p from sales group by shop", "add product to the"),
        (
            "select shop, arg_max(product, units) as p from sales group by shop",
            "write first(… ORDER BY …, month, product)",
        ),
        ("select shop, max_by(units, month) as p from sales group by all", "write first(… ORDER BY …, product)"),
        (
            "with s as (select shop, sum(units) as u from sales group by shop) select shop from s order by u limit 1",
            "add shop to the ORDER BY",
        ),
        (
            "select price from sales s join prices p on s.product = p.product order by shop, s.product, month limit 3",
            "add day to the ORDER BY",
        ),
        (
            "select row_number() over (partition by first(product order by month) order by shop) from sales "
            "group by shop",
            "add product to the ORDER BY",
        ),
        ("select i from range(3) r(i) order by -i limit 1", "add columns that tell all rows apart to the ORDER BY"),
        (
            "select shop, units from sales union all select shop, cost from sales order by shop desc limit 3",
            "add columns that tell all rows apart to the ORDER BY",
        ),
        (
            "select shop, (select price from prices p where p.price > 1 order by day limit 1) as p from shops",
            "add product to the ORDER BY",
        ),
        ("select units from (select distinct units, cost from sales) s order by cost limit 1", "add units to"),
        ("select units from (sales s join shops using (shop)) order by region limit 1", "columns that tell all rows"),
    ],
)
def test_an_order_that_may_leave_rows_tied_is_warned_of_with_what_is_missing(sql: str, cure: str) -> None:
    warning = tied(sql)
    assert warning.startswith("best.sql:1: ")
    assert cure in warning


@pytest.mark.parametrize(
    "sql",
    [
        "select shop, units from sales order by units, month, product, shop limit 3",
        "select shop as s, product as p, month as m from sales order by s, 2, m limit 3",
        "select shop, units from sales order by all limit 3",
        "select units from sales order by units limit 3",
        "select distinct shop from sales order by shop limit 3",
        "select distinct on (shop) shop, units from sales order by month, product",
        "select row_number() over (partition by shop, product order by month) as r from sales",
        "select lag(units) over w as u from sales window w as (partition by Shop, sales.product order by MONTH)",
        "select rank() over (order by units) as r, sum(units) over (partition by shop order by month) as s from sales",
        "select sum(units) over (rows between unbounded preceding and unbounded following) as s from sales",
        "select shop, list(product order by product) as p, string_agg(product, ',' order by product) as q from sales "
        "group by shop",
        "select shop, mode(product order by product) as p, median(units) as m from sales group by shop",
        "select shop, arg_max(units, month) as p from sales group by shop, product",
        "select shop, arg_max(units, (month, product)) as p from sales group by 1",
        "select shop, arg_max(units, units) as p, max(units) as q from sales group by shop",
        "select shop, sum(units) as u from sales group by shop order by u desc, shop limit 3",
        "select shop, month, lag(sum(units)) over (partition by shop order by month) as u from sales group by all",
        "with s as (select shop, sum(units) as u from sales group by shop) select * from s order by u, shop limit 1",
        "with a as (select * from sales), b as (select shop as s, month as m, product as p from a where units > 1) "
        "select s from b order by s, m, p limit 1",
        "select s.units from sales s join shops using (shop) semi join prices using (product) "
        "order by shop, product, month limit 3",
        "select shop, (select price from prices p where p.product = s.product and p.day <= s.month "
        "order by day desc limit 1) as p from sales s",
        "select shop from sales where product = 'a' order by shop, month limit 3",
        "select shop from sales union select shop from shops order by shop limit 3",
        "select sum(units) as u from sales order by u limit 1",
        "select region from shops order by region, shop limit 3",
    ],
)
def test_an_order_in_which_all_rows_differ_is_not_warned_of(sql: str) -> None:
    assert warnings(sql) == []


def test_a_warning_names_its_line_and_comes_once() -> None:
    sql = "select shop,\n  lag(units) over w as a,\n  lag(units) over w as b\nfrom sales\nwindow w as (order by month)"
    assert [warning.split(" ")[0] for warning in warnings(sql)] == ["best.sql:2:", "best.sql:3:"]
    assert tied("select shop\nfrom sales\norder by units limit 1").startswith(
        "best.sql:1: LIMIT takes any of the rows "
    )


def test_a_name_that_with_hides_is_not_taken_for_a_table() -> None:
    sql = "with shops as (select shop, units from sales) select units from shops order by shop limit 1"
    assert tied(sql).endswith("add columns that tell all rows apart to the ORDER BY.")
    inside = "with shops as (select * from shops order by region limit 3) select max(region) as r from shops"
    assert tied(inside).endswith("add shop to the ORDER BY.")
