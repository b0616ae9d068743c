"""Which columns a query may look at: every name in it, or all where it takes whatever there is."""

from pathlib import Path

import pytest

from mlops_assets.engines.columns import columns_named
from mlops_assets.engines.query import parse_query


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("SELECT shop, day FROM sales WHERE units > 0", {"shop", "day", "sales", "units"}),
        ('SELECT "Shop" AS s, count(*) AS n FROM sales GROUP BY "Shop"', {"shop", "s", "n", "sales"}),
        ("SELECT a.shop FROM sales AS a JOIN visits USING (shop, day)", {"a", "shop", "sales", "visits", "day"}),
        ("WITH w AS (SELECT shop FROM sales ORDER BY price) SELECT shop FROM w", {"w", "shop", "sales", "price"}),
    ],
)
def test_what_a_query_does_not_name_it_does_not_look_at(text: str, named: set[str]) -> None:
    assert columns_named(parse_query(text, file=Path("q.sql"))) == frozenset(named)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM sales",
        "SELECT s.* FROM sales AS s",
        "SELECT shop FROM (SELECT * EXCLUDE (price) FROM sales) AS s",
        "SELECT shop FROM sales NATURAL JOIN visits",
        "SELECT shop, s AS whole_row FROM sales AS s",
    ],
)
def test_a_query_that_takes_whatever_there_is_looks_at_every_column(text: str) -> None:
    assert columns_named(parse_query(text, file=Path("q.sql"))) is None
