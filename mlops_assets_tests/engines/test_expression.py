"""Expressions of request-time features: what may be written, and one meaning for one row and for many."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.engines.contract import ComputedFeature, Engine
from mlops_assets.engines.duckdb import DuckDBEngine
from mlops_assets.engines.expression import Expression, parse_aggregate, parse_expression
from mlops_assets.errors import ContractError, DefinitionError
from mlops_assets.lakehouse.schema import ColumnType

FILE = Path("defs.yaml")


def feature(expression: str, type_: ColumnType = "double", name: str = "made") -> ComputedFeature:
    return ComputedFeature(name, type_, parse_expression(expression, file=FILE))


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("price - class_price", ("price", "class_price")),
        ("ln(units + 1) / nullif(Price, 0) -- a comment", ("units", "Price")),
        ("case when price > 1 then 'sum ( x' else note end", ("price", "note")),
        ("greatest(a, b, 0)", ("a", "b")),
        ("month(day) in (6, 7, 8)", ("day",)),
        ("1", ()),
        ("case when a > .5 then .25 else .75 end", ("a",)),
        ("größe || ' 🎉\u200b' -- 🎉", ("größe",)),
    ],
)
def test_an_expression_reads_these_columns(text: str, columns: tuple[str, ...]) -> None:
    assert set(parse_expression(text, file=FILE).columns) == set(columns)


def test_layout_and_comments_change_nothing_in_what_runs() -> None:
    texts = ("a+ln( b )", "A + LN(b)".replace("A", "a"), "a + -- first\n ln(b)")
    assert len({parse_expression(text, file=FILE).canonical for text in texts}) == 1


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a, b", "more than one expression"),
        ("a FROM sales", "more than one expression"),
        ("a WHERE a > 1", "more than one expression"),
        ("DISTINCT a", "more than one expression"),
        ("a UNION SELECT b", "more than one expression"),
        ("", "more than one expression"),
        ("sum(a)", "SUM(a), which takes many rows"),
        ('"sum"(a)', "SUM(a), which takes many rows"),
        ("1 + favg(a)", "favg(), which takes many rows or gives them"),
        ("count(*)", "COUNT(*), which takes many rows"),
        ("max(a) OVER (PARTITION BY b)", "MAX(a) OVER (PARTITION BY b), which takes many rows"),
        ("(SELECT max(a) FROM sales)", "a subquery"),
        ("a IN (SELECT b FROM sales)", "a subquery"),
        ("EXISTS (SELECT 1)", "a subquery"),
        ("unnest([1, 2])", "UNNEST([1, 2]), which is no value of a row"),
        ("range(3)", "range(), which takes many rows or gives them"),
        ("*", "*, which is no value of a row"),
        ("a AS b", "the alias b"),
        ("sales.a", "sales.a, a column of a table"),
        ("a; SELECT 1", "more than one statement"),
        ("now()", "now, which asks for the clock"),
        ("\u200bnow()", "the character U+200B (ZERO WIDTH SPACE) outside of quotation marks"),
        ("rowid", "rowid, which asks for the place at which a row happened to be kept"),
        ("random()", "random, which asks for randomness"),
        ("read_text('x')", "read_text, which asks for a file or the environment"),
    ],
)
def test_what_is_more_than_a_value_of_its_own_row_is_refused(text: str, found: str) -> None:
    with pytest.raises(DefinitionError) as refused:
        parse_expression(text, file=FILE)
    assert refused.value.found == found
    assert refused.value.where is not None
    assert refused.value.where.file == FILE


@pytest.mark.parametrize("text", ["a) , (b", "a +", "(a"])
def test_what_does_not_parse_is_refused(text: str) -> None:
    with pytest.raises(DefinitionError) as refused:
        parse_expression(text, file=FILE)
    assert "does not parse" in refused.value.found


def rows_of(**columns: Any) -> Any:
    import pyarrow as pa

    return pa.table(columns)


def compute(engine: Engine, rows: Any, *features: ComputedFeature) -> Any:
    return engine.to_arrow(engine.compute(engine.rows(rows), features))


EXPRESSIONS = [
    feature("ln(abs(price) + 1) * exp(-abs(level)) + sin(price)", name="a"),
    feature("price / nullif(level, 0) + power(abs(level), 0.3)", name="b"),
    feature("case when price is null then 'none' when price > level then 'above' else 'below' end", "string", "c"),
    feature("units * 3 - coalesce(units, 0)", "bigint", "d"),
    feature("price > level", "boolean", "e"),
]
numbers = st.none() | st.floats(-1e6, 1e6)


@given(rows=st.lists(st.tuples(numbers, numbers, st.none() | st.integers(-(10**6), 10**6)), min_size=1, max_size=60))
@settings(max_examples=12)
def test_a_row_alone_gives_what_it_gives_among_many(engine: Engine, rows: list[tuple[Any, ...]]) -> None:
    import pyarrow as pa

    price, level, units = zip(*rows, strict=True)
    many = rows_of(
        row=list(range(len(rows))),
        price=pa.array(price, pa.float64()),
        level=pa.array(level, pa.float64()),
        units=pa.array(units, pa.int64()),
    )
    computed = compute(engine, many, *EXPRESSIONS)
    assert computed.select(many.column_names).equals(many)
    assert computed.column_names == [*many.column_names, "a", "b", "c", "d", "e"]
    for number in {0, len(rows) // 2, len(rows) - 1}:
        assert compute(engine, many.slice(number, 1), *EXPRESSIONS).equals(computed.slice(number, 1))


def test_times_are_seen_in_utc_and_come_back_as_moments(engine: Engine) -> None:
    import pyarrow as pa

    moment = datetime(2024, 3, 31, 23, 30, tzinfo=UTC)
    rows = rows_of(seen=pa.array([moment], pa.timestamp("us", "UTC")), day=pa.array([date(2024, 3, 31)]))
    (row,) = compute(
        engine,
        rows,
        feature("hour(seen)", "bigint", "hour"),
        feature("seen + INTERVAL 1 HOUR", "timestamp", "later"),
        feature("cast(seen as date)", "date", "on"),
        feature("date_diff('day', day, seen)", "bigint", "days"),
    ).to_pylist()
    assert row == {
        "seen": moment, "day": date(2024, 3, 31), "hour": 23, "later": datetime(2024, 4, 1, 0, 30, tzinfo=UTC),
        "on": date(2024, 3, 31), "days": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("computed", "found"),
    [
        (feature("note"), "computed feature 'made' of type VARCHAR"),
        (feature("price / 2", "bigint"), "computed feature 'made' of type DOUBLE"),
        (feature("cost"), "computed feature 'made' of a column 'cost' that the rows do not have"),
        (feature("cast(note as double)"), "computed feature 'made' failed: "),
        (feature("note + 1"), "computed feature 'made' failed: "),
    ],
)
def test_what_does_not_hold_for_the_rows_is_said(engine: Engine, computed: ComputedFeature, found: str) -> None:
    with pytest.raises(ContractError) as refused:
        compute(engine, rows_of(price=[1.5], note=["x"]), computed)
    assert refused.value.found.startswith(found)


def test_a_column_may_have_any_name(engine: Engine) -> None:
    names = ["row", "value", "given", "handed", "the row", "made"]
    rows = rows_of(**{name: [place, 10 * place] for place, name in enumerate(names, start=1)})
    twice = [feature(f'"{name}" * 2', "bigint", f"twice {name}") for name in names]
    computed = compute(engine, rows, *twice)
    for place, name in enumerate(names, start=1):
        assert computed.column(f"twice {name}").to_pylist() == [2 * place, 20 * place], name


def test_rows_computed_in_several_threads_do_not_meet(engine: Engine) -> None:
    def twice(number: int) -> list[Any]:
        found: list[Any] = compute(engine, rows_of(a=[number] * 3), feature("a * 2", "bigint", "b"))["b"].to_pylist()
        return found

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(twice, range(8))) == [[number * 2] * 3 for number in range(8)]


def test_nothing_outside_the_rows_can_be_reached_even_past_the_list(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlops_assets.engines.duckdb.engine.require_same_reading", lambda *_: None)
    file = tmp_path / "secret.txt"
    file.write_text("secret", encoding="utf-8")
    stolen = Expression("", f"(SELECT content FROM read_text('{file}'))", ())
    with pytest.raises(ContractError) as refused:
        compute(engine, rows_of(a=[1]), ComputedFeature("stolen", "string", stolen))
    assert "secret" not in str(refused.value).replace(str(file), "")


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("sum(abs(prediction - growth) * units)", ("prediction", "growth", "units")),
        ("1 - sum(a) / count(*)", ("a",)),
        ("count(*) FILTER (WHERE a > 1)", ("a",)),
        ("quantile_cont(a, 0.9)", ("a",)),
        ("favg(a)", ("a",)),
    ],
)
def test_one_figure_of_many_rows_reads_these_columns(text: str, columns: tuple[str, ...]) -> None:
    assert set(parse_aggregate(text, file=FILE).columns) == set(columns)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a + 1", "no aggregate"),
        ("1", "no aggregate"),
        ("sum(a) / b", "b outside of an aggregate"),
        ("sum(a - avg(b))", "AVG(b) inside of another aggregate"),
        ("sum(a), sum(b)", "more than one expression"),
        ("sum(a) FROM sales", "more than one expression"),
        ("sum(a) OVER ()", "SUM(a) OVER (), which takes many rows"),
        ("sum((SELECT 1))", "a subquery"),
        ("sum(t.a)", "t.a, a column of a table"),
        ("first(a ORDER BY b)", "first(), which is no figure of all rows"),
    ],
)
def test_what_is_no_single_figure_of_all_rows_is_refused(text: str, found: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        parse_aggregate(text, file=FILE)
    assert caught.value.found == found


def test_figures_of_many_rows_are_computed_in_the_sandbox(tmp_path: Path) -> None:
    import pyarrow as pa

    asked = {"risk": "sum(abs(a - b))", "rows": "count(*)", "none": "sum(a) / 0.0", "most": "max(b)"}
    figures = [ComputedFeature(name, "double", parse_aggregate(text, file=FILE)) for name, text in asked.items()]
    rows, engine = pa.table({"a": [1.0, 2.0, None], "b": [3, 3, 4]}), DuckDBEngine(tmp_path)
    assert engine.aggregate(rows, figures) == {"risk": 3.0, "rows": 3.0, "none": None, "most": 4.0}
    words = ComputedFeature("words", "double", parse_aggregate("max(c)", file=FILE))
    with pytest.raises(ContractError) as caught:
        engine.aggregate(pa.table({"c": ["x"]}), [words])
    assert caught.value.found == "metric 'words' of type VARCHAR"
