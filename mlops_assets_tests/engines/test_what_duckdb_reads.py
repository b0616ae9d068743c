"""The last word on what is called has DuckDB's own reading: what passed the filter by is refused before it runs."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings

from mlops_assets.engines.allow_list import FUNCTIONS
from mlops_assets.engines.contract import ComputedFeature, Engine
from mlops_assets.engines.duckdb import reading
from mlops_assets.engines.duckdb.answers import check_answer
from mlops_assets.engines.duckdb.reading import require_same_reading
from mlops_assets.engines.expression import Expression, parse_expression
from mlops_assets.engines.limits import Limits
from mlops_assets.engines.query import Query, parse_query
from mlops_assets.errors import ContractError, DefinitionError
from mlops_assets.lakehouse.periods import Calendar
from mlops_assets.lakehouse.schema import Column, TableSchema
from mlops_assets_tests.engines.random_sql import Made, queries
from mlops_assets_tests.engines.test_query import FEATURES

FILE = Path("hostile.sql")
TOLD = TableSchema(("told",), None, (Column("told", "string"),), Calendar("month"))

PASSED_BY = [
    ("select \u200bnow()::varchar as told", "the function now()"),
    ("select \u2060now()::varchar as told", "the function now()"),
    ('select "now"()::varchar as told', "the function now()"),
    ("select (select random())::varchar as told", "the function random()"),
    ("select current_setting('threads') as told", "the function current_setting()"),
    ("select 'x' as told union all select uuid()::varchar", "the function uuid()"),
    ("select 'x' as told where exists (select 1 having version() > '')", "the function version()"),
    ("select list_transform([1], lambda x: write_log('x'))::varchar as told", "the function write_log()"),
    ("select getvariable('x') as told from range(3) group by hash(1)", "the function getvariable()"),
    ("select main.pg_sleep(1)::varchar as told", "the function main.pg_sleep()"),
    ("select content as told from read_text('x')", "the function read_text()"),
    ("select told from 'x.csv'", "the table x.csv"),
    ("select told from main.sales", "the table main.sales"),
    ("select table_name as told from duckdb_tables", "the table duckdb_tables"),
    ("select name as told from (show tables)", "SHOW_REF"),
    ('select "current_date"::varchar as told', "the column current_date"),
    ("select s.rowid::varchar as told from sales s", "the column s.rowid"),
    ("select #1::varchar as told", "POSITIONAL_REFERENCE"),
    ("select try(x)::varchar as told from sales", "OPERATOR_TRY"),
    ("select told from sales tablesample 3", "a sample"),
    ("with recursive r as (select 1 as a union all select a from r) select 'x' as told from r", "RECURSIVE_CTE_NODE"),
    ("select \u200bfirst(x order by y) as told from sales", "the function first()"),
]


@pytest.mark.parametrize(("text", "found"), PASSED_BY)
def test_what_passed_the_filter_by_is_refused_by_what_duckdb_reads(engine: Engine, text: str, found: str) -> None:
    query = Query(text, text, "", frozenset(), None, FILE)
    with pytest.raises(DefinitionError) as refused:
        engine.evaluate(query, [], known_at=datetime(2024, 1, 1, tzinfo=UTC), schema=TOLD, keep=None)
    assert refused.value.found == f"{found} in what DuckDB reads"
    assert str(refused.value).startswith("hostile.sql: ")


def test_what_passed_the_filter_by_is_refused_in_an_expression_too(engine: Engine) -> None:
    import pyarrow as pa

    rows = engine.rows(pa.table({"a": [1]}))
    for written in ("\u200bnow()", "(SELECT content FROM read_text('x'))", "a + rowid", "\ufeffrandom()"):
        made = ComputedFeature("made", "string", Expression(written, written, ("a",)))
        with pytest.raises(DefinitionError, match="in what DuckDB reads"):
            engine.compute(rows, [made])


def test_what_is_run_but_was_not_written_is_refused() -> None:
    with pytest.raises(DefinitionError, match="SQL that DuckDB reads in another way than it is run"):
        require_same_reading("SELECT a + ( ~ b ) FROM t", "select a +~ b from t")
    with pytest.raises(DefinitionError, match="SQL that DuckDB reads in another way than it is run"):
        require_same_reading("SELECT 'x' AS a", "select 'y' as a")


@pytest.mark.parametrize("text", FEATURES)
def test_realistic_features_are_read_as_the_filter_reads_them(text: str) -> None:
    require_same_reading(parse_query(text, file=FILE).canonical, text)


@given(queries())
@settings(max_examples=60)
def test_random_queries_are_read_as_the_filter_reads_them(made: Made) -> None:
    require_same_reading(parse_query(made.text, file=FILE).canonical, made.text)


@pytest.mark.parametrize("arguments", ["a", "a, b", "a, b, c", "a order by b", ""])
@pytest.mark.parametrize("over", ["", " over (order by a)"])
def test_each_function_of_the_list_is_read_as_the_filter_reads_it(arguments: str, over: str) -> None:
    import duckdb

    read = 0
    for function in sorted(FUNCTIONS):
        text = f"select {function}({arguments}){over} as made from sales"
        try:
            canonical = parse_query(text, file=FILE).canonical
            require_same_reading(canonical, text)
        except duckdb.ParserException:
            continue  # DuckDB takes it for nothing
        except DefinitionError as error:
            assert "DuckDB reads" not in error.found, text
            continue
        read += 1
    assert read > 50


SYNTAX = """
a between 1 and 2; a not in (1, 2); a in (select b from u); exists (from u); a is not null; not a; a is distinct from b;
a not like 'x' escape '!'; a ilike 'b'; a similar to 'x'; a glob 'x'; a ~ 'x'; a !~ 'x'; a || b; a // b; a % b; a ** b;
a ^ b; -a; +a; a & b; a | b; ~a; @a; a[1]; a[1:4:2]; {'a': 1}.a; map {'a': 1}; a->'x'; a->>'$.x'; nullif(a, b);
case a when 1 then b else c end; try_cast(a as decimal(3, 1)); extract('epoch' from a); substring(a from 1 for 2);
position('a' in b); trim(both 'x' from a); trim(leading from a); overlay(a placing b from 1); a at time zone 'UTC';
interval '1 year 2 months'; interval (a) quarter; interval 3 millennia; timestamp '2020-01-01'; (a, b) = (1, 2);
a > all (select b from u); a = any ([1]); array[1, 2]; list_reduce(a, lambda x, y: x + y); [x + 1 for x in y if x > 2];
count(*); count(); a::struct(x int, y varchar[]); percentile_disc(0.5) within group (order by a desc); a.upper();
mode() within group (order by a); sum(a) over (order by b rows between 1 preceding and current row exclude current row);
lag(a, 2, 0 ignore nulls) over (order by b); first(a) over (order by b); 1_000; .5; a::timestamp with time zone
"""


@pytest.mark.parametrize("written", [item.strip() for item in SYNTAX.split(";")])
def test_syntax_that_is_a_function_to_duckdb_is_not_taken_for_a_call(written: str) -> None:
    text = f"select {written} as made from t"
    require_same_reading(parse_query(text, file=FILE).canonical, text)


def test_a_sum_of_many_columns_is_not_too_deep() -> None:
    text = f"select {' + '.join(f'column_{number}' for number in range(800))} as total from sales"
    require_same_reading(parse_query(text, file=FILE).canonical, text)


def test_a_tree_of_any_depth_is_read_or_refused_in_words() -> None:
    with pytest.raises(DefinitionError, match="nested too deep to be read"):
        reading._tree('{"a":' * 60_000 + "1" + "}" * 60_000, None)


def test_a_text_is_read_by_duckdb_once(monkeypatch: pytest.MonkeyPatch) -> None:
    expression = parse_expression("a + 1 - 2 * a", file=FILE)
    query = f"SELECT {expression.canonical}"
    require_same_reading(query, query)
    monkeypatch.setattr(reading, "_serialized", lambda text: pytest.fail(f"{text} is read again"))
    require_same_reading(query, query)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("-- first\nselect\n    told,\n    tolt\nfrom sales", ("x.sql:4", "Binder Error: Referenced column")),
        ("select told\n  , generate_series(told)\nfrom sales;\n", ("x.sql:2", "Binder Error: No function matches")),
        ("select told\nfrom sales\nwhere tolt > told", ("x.sql:3", "Binder Error: Referenced column")),
        ("select told\nfrom sales\ngroup by told\nwhere 0", ("x.sql:4", "Parser Error: syntax error at or near")),
        ("select 1 as said\nfrom sales", ("x.sql", "the SQL in x.sql gives no column 'told' (it gives said)")),
        ("select 1 as told\nfrom sales", ("x.sql", "column 'told' in x.sql has type INTEGER")),
    ],
)
def test_sql_that_does_not_run_is_refused_with_its_line(tmp_path: Path, text: str, found: tuple[str, str]) -> None:
    query = parse_query(text, file=Path("x.sql"))
    with pytest.raises(ContractError) as refused:
        check_answer(query, {"sales": TOLD}, TOLD, tmp_path, Limits())
    assert (str(refused.value.where), found[1] in refused.value.found) == (found[0], True), str(refused.value)
