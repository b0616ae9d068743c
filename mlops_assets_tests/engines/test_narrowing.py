"""What is left of a query when some of its columns are not read: the same rows, the text from before they came."""

from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlops_assets.engines.narrowing import narrowed
from mlops_assets.engines.query import Query, parse_query
from mlops_assets_tests.engines import random_sql
from mlops_assets_tests.engines.test_column_lineage import CASES, values_of
from mlops_assets_tests.engines.test_query import FEATURES

EXAMPLE = Path(__file__).parents[2] / "mlops_assets/defs/prescriptions"


def query_of(text: str) -> Query:
    return parse_query(text, file=Path("demand.sql"))


def left(text: str, *columns: str) -> str:
    return narrowed(query_of(text), frozenset(columns))


ADDED = [
    # a column that came, and what it needs; what was there before; which columns are read
    ("select a, b, c from t", "select a, b from t", "a b"),
    ("select c, a from t", "select a from t", "a"),
    ("select a, b + 1 as d, b from t", "select a, b + 1 as d from t", "a d"),
    ("select a, ln(b) as d, ln(c) as e from t where c > 1", "select a, ln(b) as d from t where c > 1", "a d"),
    ("with x as (select a, b, c * 2 as e from t) select a, b, e from x",
     "with x as (select a, b from t) select a, b from x", "a b"),
    ("with x as (select *, c * 2 as e from t) select a, e from x", "with x as (select * from t) select a from x", "a"),
    ("with x as (select a, sum(b) as b, max(c) as m from t group by a), y as (select *, b - m as d from x) "
     "select a, b, d from y",
     "with x as (select a, sum(b) as b from t group by a), y as (select * from x) select a, b from y", "a b"),
    ("with x as (select a from t), y as (select max(d) as d from u) select a, (select d from y) as newest from x",
     "with x as (select a from t) select a from x", "a"),
    ("select a, max(b) over w as m, sum(c) over v as s from t window w as (order by a), v as (order by b)",
     "select a, max(b) over w as m from t window w as (order by a)", "a m"),
    ("select a, sum(c) over v as s from t window v as (order by b)", "select a from t", "a"),
    ("select a, b is distinct from c as d, c from t", "select a, b is distinct from c as d from t", "a d"),
    ("select a, b, extract(year from c) as y from t order by b", "select a, b from t order by b", "a b"),
    ("select a, max(b) as b, max(c) as c from t group by a", "select a, max(b) as b from t group by a", "a b"),
]  # fmt: skip


@pytest.mark.parametrize(("now", "before", "read"), ADDED)
def test_a_column_that_came_leaves_to_who_does_not_read_it_the_text_that_was_there(
    now: str, before: str, read: str
) -> None:
    assert left(now, *read.split()) == query_of(before).canonical


KEPT = [
    ("select a, count(*) as n from t", "a", "an aggregate without groups makes one row"),
    ("select a, unnest([b, c]) as n from t", "a", "unnest makes rows"),
    ("select distinct a, b from t", "a", "distinct counts all that is there"),
    ("select a, b from t union select a, d from u", "a", "a union goes by place"),
    ("select a, b from t order by 2 limit 1", "a", "an order by place"),
    ("select a, b, sum(c) as s from t group by all", "a s", "groups of all that is no aggregate"),
    ("select * from (select a, b from t) x natural join (select a, b from u) y", "a", "whatever both have"),
    ("with x(a, b) as (select a, b from t) select a, b from x", "a", "names by place"),
    ("select b + 1 as d, d * 2 as e from t", "e", "a name that another column uses"),
    ("select a, b + 1 as d from t where d > 2", "a", "a name that chooses rows"),
    ("select a, x from (select a, b from t) x", "a", "a row as a value"),
]


@pytest.mark.parametrize(("text", "read", "reason"), KEPT)
def test_what_decides_on_rows_or_is_used_elsewhere_stays(text: str, read: str, reason: str) -> None:
    assert left(text, *read.split()) == query_of(text).canonical, reason


def test_a_feature_of_the_example_is_left_with_what_it_needs_alone() -> None:
    text = (EXAMPLE / "series_demand.sql").read_text(encoding="utf-8")
    kept = left(text, "concession", "type", "atc2", "month", "growth_2m")
    assert 'AS "level_2m"' in kept
    assert "level_1m" not in kept
    assert left(text, *query_of(text).output_columns or ()) == query_of(text).canonical


@pytest.mark.parametrize("text", FEATURES + [case[0] for case in CASES])
def test_the_columns_that_are_left_are_as_they_were(text: str, feature_tables: Any) -> None:
    assert_same_values(feature_tables, query_of(text), None)


@pytest.mark.slow
@given(made=random_sql.queries(), chosen=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_of_random_queries_too(made: random_sql.Made, chosen: st.DataObject, small_tables: Any) -> None:
    read = chosen.draw(st.sets(st.sampled_from(made.columns), min_size=1))
    assert_same_values(small_tables, query_of(made.text), read)


def assert_same_values(connection: Any, query: Query, read: set[str] | None) -> None:
    before = values_of(connection, query.canonical)
    for names in [read] if read else [*map(set, combinations(before, 1)), *map(set, combinations(before, 2))]:
        text = narrowed(query, frozenset(name.lower() for name in names))
        found = values_of(connection, text)
        assert {name: found[name] for name in names} == {name: before[name] for name in names}, text
        assert narrowed(query_of(text), frozenset(name.lower() for name in names)) == text
