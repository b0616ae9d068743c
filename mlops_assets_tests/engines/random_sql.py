"""Random queries over two small tables, for what must hold of every query; each gives the same rows each time."""

from dataclasses import dataclass

from hypothesis import strategies as st

TABLES = {"t": ("a", "b", "c"), "u": ("a", "d", "e")}
ROWS = """
create table t as select i % 4 as a, i * 7 % 23 as b, i * 11 % 19 as c from range(12) r(i);
create table u as select i % 3 as a, i * 5 % 17 as d, i * 3 % 13 as e from range(9) r(i)
"""


@dataclass(frozen=True)
class Made:
    """A query without parentheses around it, and the names of its columns."""

    text: str
    columns: tuple[str, ...]


@st.composite
def queries(draw: st.DrawFn, depth: int = 3) -> Made:
    """A SELECT of any of the forms that feature tables are written in, nested in each other."""
    forms = [_plain] if depth == 0 else [_plain, _grouped, _windowed, _joined, _united, _with, _starred, _correlated]
    made: Made = draw(draw(st.sampled_from(forms))(depth))
    return made


def _source(draw: st.DrawFn, depth: int, alias: str) -> Made:
    """A table or a query in FROM, under an alias."""
    if depth == 0 or draw(st.booleans()):
        name = draw(st.sampled_from(sorted(TABLES)))
        return Made(f"{name} as {alias}", TABLES[name])
    inner = draw(queries(depth - 1))
    return Made(f"({inner.text}) as {alias}", inner.columns)


def _expression(draw: st.DrawFn, names: list[str]) -> str:
    one, other, third = (draw(st.sampled_from(names)) for _ in range(3))
    return draw(
        st.sampled_from(
            [
                one,
                f"{one} + {other}",
                f"case when {one} > {third} then {other} else 0 end",
                f"coalesce(nullif({one}, {other}), {third})",
                f"({one} in (select d from u where u.e > {other}))::int",
                f"(select max(u.e) from u where u.a = {one} and u.d < {other})",
                f"({one})",
            ]
        )
    )


def _named(alias: str, columns: tuple[str, ...]) -> list[str]:
    return [f"{alias}.{column}" for column in columns]


@st.composite
def _plain(draw: st.DrawFn, depth: int) -> Made:
    source = _source(draw, depth, "s")
    names = _named("s", source.columns)
    condition = draw(st.sampled_from(["", f"where {draw(st.sampled_from(names))} > 3"]))
    first = _expression(draw, names)
    second = _expression(draw, names if "select" in first else [*names, "x"])  # DuckDB's own limit
    end = draw(st.sampled_from(["", "order by all limit 5", "qualify rank() over (order by x) < 6"]))
    distinct = draw(st.sampled_from(["", "distinct"]))
    return Made(f"select {distinct} {first} as x, {second} as y from {source.text} {condition} {end}", ("x", "y"))


@st.composite
def _grouped(draw: st.DrawFn, depth: int) -> Made:
    source = _source(draw, depth, "s")
    names = _named("s", source.columns)
    key, value, other = (_expression(draw, names) for _ in range(3))
    taken = {"k", "m"} & set(source.columns)  # where a column would be meant, and not the alias
    by = draw(st.sampled_from(["1", "all", *([] if taken else ["k", "rollup (k)"])]))
    having = draw(st.sampled_from(["", f"having max({other}) > 4", *([] if taken else ["having m > 4"])]))
    text = f"select {key} as k, sum({value}) filter (where {other} > 2) as m, count(*) as n from {source.text}"
    return Made(f"{text} group by {by} {having}", ("k", "m", "n"))


@st.composite
def _windowed(draw: st.DrawFn, depth: int) -> Made:
    source = _source(draw, depth, "s")
    names = _named("s", source.columns)
    part, order, value = (draw(st.sampled_from(names)) for _ in range(3))
    text = f"select {value} as v, rank() over (w order by {order}) as r, max({value}) over w as m, "
    text += f"sum({value}) over (v range between 2 preceding and current row) as q from {source.text} "
    return Made(text + f"window w as (partition by {part}), v as (w order by {order})", ("v", "r", "m", "q"))


@st.composite
def _joined(draw: st.DrawFn, depth: int) -> Made:
    left, right = _source(draw, depth, "l"), _source(draw, depth - 1, "r")
    side = draw(st.sampled_from(["", "left", "right", "full"]))
    shared = sorted(set(left.columns) & set(right.columns))
    names = [*_named("l", left.columns), *_named("r", right.columns)]
    by_name = draw(st.booleans())
    if shared and by_name:
        key = draw(st.sampled_from(shared))
        text = f"select {key} as k, {_expression(draw, [*names, key])} as x from {left.text} {side} join {right.text}"
        return Made(f"{text} using ({key})", ("k", "x"))
    on = f"l.{draw(st.sampled_from(left.columns))} = r.{draw(st.sampled_from(right.columns))}"
    kind = draw(st.sampled_from([side, "semi", "anti"]))
    names = _named("l", left.columns) if kind in ("semi", "anti") else names
    text = f"select {_expression(draw, names)} as x, {_expression(draw, names)} as y from {left.text} {kind} join"
    return Made(f"{text} {right.text} on {on}", ("x", "y"))


@st.composite
def _united(draw: st.DrawFn, depth: int) -> Made:
    left, right = draw(_plain(depth - 1)), draw(_plain(depth - 1))
    kind = draw(st.sampled_from(["union", "union all", "except", "intersect", "union all by name"]))
    swapped = "*" if "name" not in kind else "y as x, x as z"
    return Made(
        f"({left.text}) {kind} select {swapped} from ({right.text})", ("x", "y", "z") if "name" in kind else ("x", "y")
    )


@st.composite
def _with(draw: st.DrawFn, depth: int) -> Made:
    first, second = draw(queries(depth - 1)), draw(_plain(depth - 1))
    renamed = ", ".join(f"n{number}" for number in range(len(first.columns)))
    text = f"with w as ({second.text}), t({renamed}) as ({first.text}) select t.n0 as x, w.x + t.n1 as y from t, w"
    return Made(f"{text} where w.y > 2", ("x", "y"))


@st.composite
def _starred(draw: st.DrawFn, depth: int) -> Made:
    inner = draw(queries(depth - 1))
    replaced = f"replace ({_expression(draw, list(inner.columns))} as {inner.columns[1]})"
    if len(inner.columns) < 3:
        return Made(f"select * {replaced} from ({inner.text})", inner.columns)
    return Made(f"select * exclude ({inner.columns[0]}) {replaced} from ({inner.text})", inner.columns[1:])


@st.composite
def _correlated(draw: st.DrawFn, depth: int) -> Made:
    source = _source(draw, depth, "s")
    inner = _source(draw, depth - 1, "i")
    where = f"i.{draw(st.sampled_from(inner.columns))} < s.{draw(st.sampled_from(source.columns))}"
    value = f"i.{draw(st.sampled_from(inner.columns))} + s.{draw(st.sampled_from(source.columns))}"
    text = f"select s.{source.columns[0]} as x, l.m as y from {source.text}, lateral (select sum({value}) as m "
    return Made(f"{text} from {inner.text} where {where}) l", ("x", "y"))
