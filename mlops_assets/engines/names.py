"""What each name in a query means, as DuckDB reads it: sqlglot's ``qualify``, mended where that says something else.

Behind it every column says its table, stars are written out, the conditions of USING and NATURAL stand in ON, and all
names are in lower case (``lowered``). What sqlglot (30.30) does otherwise than DuckDB, and what becomes of it here:

- A column that USING merged is to it the first of all sides that is not null. Here it is the left one, of a right join
  the right one, and the first that is not null only of a full join.
- A star over two columns of one name it leaves as it is. Here the second gets a number first, as DuckDB calls it.
- What functions and values in FROM give, it knows only by names of columns in their alias, and passes over those of
  LATERAL. Here columns that are not named there have DuckDB's names.
- ``* LIKE 'u%'`` is one column to it. Here it is all columns of the star.
- Aliases of a select list it could write out where they are used, but each may double what stands there, and in HAVING
  and ORDER BY it takes some for an alias that DuckDB takes for a column. They stay names without a table, which may
  mean either (``Scope.meant``).
- Before an alias of the query that it stands in it takes a name for a column of the query around. Here it is the alias.
- In ``t SEMI JOIN u AS r ON t.a = r.r`` it takes the first ``r`` for a column of ``t``, if there is one, and the second
  for its field. Here it is the table.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from mlops_assets.engines.contract import PERIOD_SCHEMA, PERIOD_TABLE
from mlops_assets.engines.named_windows import windows_written_out
from mlops_assets.engines.query import Query, parsed_tree

if TYPE_CHECKING:
    from sqlglot import exp

Value = TypeVar("Value")

_WRITTEN = "written"
"""What tells in a node's meta that a user wrote it: the table of a column, or what stands first before its points."""

ANY = ""
"""The name of whatever else something gives: of columns that only running would name."""


class UnresolvedError(Exception):
    """Names of a query are not resolved here; DuckDB refuses it, too, or ``resolved`` says why."""


@dataclass(frozen=True)
class Scope(Generic[Value]):
    """What names mean at one place of a query.

    Args:
        relations: The columns of what FROM and joins read, by its alias.
        aliases: Columns of the select list that stand before this place, or all of them behind it.
    """

    relations: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    aliases: Mapping[str, Value] = field(default_factory=dict)

    def meant(self, column: "exp.Expr") -> list[Value]:
        """The values that a column may be; none where its name means nothing here."""
        table, name = column.args.get("table"), column.name
        near = [columns for alias, columns in self.relations.items() if table is None or alias == table.name]
        if table is None or not near and _WRITTEN not in table.meta:
            near.append(self.aliases)
        found = [columns[name] for columns in near if name in columns]
        return found or [columns[ANY] for columns in near if ANY in columns]


def lowered(name: str) -> str:
    """A name as it stands in a resolved tree: DuckDB takes ASCII letters alone for the same in both cases."""
    return name.encode().lower().decode()


def resolved(query: Query, columns: Mapping[str, Sequence[str]]) -> "exp.Expr":
    """The tree of a query in which each name says what it means.

    Args:
        query: What ``parse_query`` gave.
        columns: The names of the columns of each table that it reads.

    Raises:
        UnresolvedError: A name of a table means nothing, or one in USING; or an alias names the columns of a star over
            columns of one name.
    """
    from sqlglot import exp
    from sqlglot.errors import SqlglotError
    from sqlglot.optimizer.qualify import qualify
    from sqlglot.schema import MappingSchema

    tables = {**columns, PERIOD_TABLE: PERIOD_SCHEMA.names}
    known = {lowered(table): {lowered(name): "unknown" for name in names} for table, names in tables.items()}
    schema = MappingSchema({**known}, dialect="duckdb", normalize=False)
    tree = windows_written_out(parsed_tree(query))
    listed = _prepared(tree)
    again = True
    while again:
        try:
            tree = qualify(
                tree,
                dialect="duckdb",
                schema=schema,
                expand_alias_refs=False,
                validate_qualify_columns=False,
                quote_identifiers=False,
            )
        except SqlglotError as error:
            raise UnresolvedError from error
        if any(select.is_star for select in listed):
            raise UnresolvedError
        again = sum(_number_names(select) for select in tree.find_all(exp.Select)) > 0
    for node in reversed(list(tree.find_all(exp.Dot, exp.Select))):
        if isinstance(node, exp.Dot):
            _mend_field(node)
        else:
            _mend_using(node)
    return tree


def sources(select: "exp.Expr") -> "Iterator[tuple[exp.Expr, exp.Join | None]]":
    """What a SELECT reads from, in order and without parentheses around joins, each with the join that adds it."""
    from sqlglot import exp

    def opened(node: exp.Expr, join: exp.Join | None) -> "Iterator[tuple[exp.Expr, exp.Join | None]]":
        if isinstance(node, exp.Subquery) and not isinstance(node.this, exp.Query):
            yield from opened(node.this, join)
        else:
            yield node, join
        for inner in node.args.get("joins") or ():
            yield from opened(inner.this, inner)

    first = select.args.get("from_")
    yield from opened(first.this, None) if first else ()
    for join in select.args.get("joins") or ():
        yield from opened(join.this, join)
    for lateral in select.args.get("laterals") or ():
        yield lateral, None


def conjunction(node: "exp.Expr | None") -> "Iterator[exp.Expr]":
    """The conditions that AND holds together, in order; none of nothing."""
    from sqlglot import exp

    if isinstance(node, exp.Paren):
        yield from conjunction(node.this)
    elif isinstance(node, exp.And):
        yield from conjunction(node.this)
        yield from conjunction(node.expression)
    elif node is not None:
        yield node


def _prepared(tree: "exp.Expr") -> "list[exp.Query]":
    """Names each column that has no name, as DuckDB does or by its text, and marks what a user wrote.

    Returns:
        Queries that were added around those whose columns an alias names.
    """
    from sqlglot import exp

    added: list[exp.Query] = []
    for node in reversed(list(tree.find_all(exp.Column, exp.Select, exp.Table, exp.UDTF, exp.CTE, exp.Subquery))):
        alias = node.args.get("alias")
        if isinstance(node, exp.Column):
            if len(node.parts) > 1:
                node.parts[0].meta[_WRITTEN] = True
        elif isinstance(node, exp.Select):
            for item in node.expressions:
                _name(item)
        elif isinstance(node.this, exp.Query | exp.Identifier):
            if alias and alias.columns:
                added.append(_renamed_inside(node, alias))
        elif isinstance(node, exp.Table | exp.Lateral) or (
            isinstance(node, exp.UDTF) and isinstance(node.parent, exp.From | exp.Join)
        ):
            _name_given(node)
    return added


def _renamed_inside(node: "exp.Expr", alias: "exp.TableAlias") -> "exp.Query":
    """Takes the names of columns from the alias of a table or a query, and gives them in a query within.

    In a query itself its own aliases may be used, of a table they need not be all, and those of LATERAL sqlglot passes
    over: so they stand in a query of their own, around the one that is returned.
    """
    from sqlglot import exp

    of_table = isinstance(node, exp.Table)
    added = exp.select("*").from_(exp.Table(this=node.this) if of_table else node.this.subquery("_", copy=False))
    called = exp.TableAlias(this=exp.to_identifier("_"), columns=alias.columns)
    renamed = exp.select("*").from_(exp.Subquery(this=added, alias=called), copy=False)
    alias.set("columns", None)
    if of_table:
        node.replace(exp.Subquery(this=renamed, alias=alias, joins=node.args.get("joins")))
    else:
        node.set("this", exp.Subquery(this=renamed) if isinstance(node, exp.Lateral) else renamed)
    return added


def _name_given(node: "exp.Expr") -> None:
    """Names the columns of a function, or of values, in FROM."""
    from sqlglot import exp

    alias, function = node.args.get("alias") or exp.TableAlias(), node.find(exp.Unnest, exp.GenerateSeries)
    if isinstance(node, exp.Values):
        names = [f"col{place}" for place in range(len(node.expressions[0].expressions))]
    elif isinstance(function, exp.GenerateSeries):
        names = [alias.name or ("range" if function.args.get("is_end_exclusive") else "generate_series")]
    else:
        names = [alias.name or "unnest", "ordinality"][: 2 if function and function.args.get("offset") else 1]
    given = alias.columns
    alias.set("columns", [*given, *map(exp.to_identifier, names[len(given) :])])
    node.set("alias", alias)


def _name(item: "exp.Expr") -> None:
    from sqlglot import exp

    below = item
    while isinstance(below, exp.Not | exp.Like | exp.ILike | exp.Glob | exp.SimilarTo):
        below = below.this
    if below is not item and isinstance(below, exp.Star | exp.Column) and below.is_star:
        item.replace(below)
    elif not item.output_name:
        item.replace(exp.alias_(item.copy(), exp.to_identifier(item.sql("duckdb"), quoted=True)))


def _number_names(select: "exp.Select") -> bool:
    """Whether names of columns that came before got a number."""
    from sqlglot import exp

    seen: dict[str, int] = {}
    numbered = False
    for item in select.selects:
        times = seen[item.alias] = seen.get(item.alias, -1) + 1
        if times and isinstance(item, exp.Alias):
            item.set("alias", exp.to_identifier(f"{item.alias}_{times}"))
            numbered = True
    return numbered


def _mend_field(dot: "exp.Dot") -> None:
    """Makes a column of a table again of what is taken for a field of a column that is called like the table."""
    from sqlglot import exp

    column, select = dot.this, dot.parent_select
    if not isinstance(column, exp.Column) or _WRITTEN not in column.this.meta:
        return
    while select is not None:
        if any(source.alias_or_name == column.name for source, _ in sources(select)):
            dot.replace(exp.column(dot.expression, column.this))
            return
        select = select.parent_select


def _mend_using(select: "exp.Expr") -> None:
    """Makes of the columns that USING merged what DuckDB makes of them, in conditions of joins and everywhere else."""
    from sqlglot import exp

    merged: dict[str, list[exp.Expr]] = {}
    for _, join in sources(select):
        for condition in conjunction(join.args.get("on")) if join else ():
            right = condition.args.get("expression")
            if not isinstance(right, exp.Column) or _is_written(condition):
                continue
            left = merged.get(right.name, [next(condition.this.find_all(exp.Column))])
            condition.set("this", _first_not_null(left))
            if join and not join.is_semi_or_anti_join:
                merged[right.name] = {"FULL": [*left, right], "RIGHT": [right]}.get(join.side, left)
    for found in list(select.find_all(exp.Coalesce)) if merged else ():
        if found.this.name in merged and not _is_written(found) and found.parent_select is select:
            found.replace(_first_not_null(merged[found.this.name]))


def _first_not_null(columns: "list[exp.Expr]") -> "exp.Expr":
    from sqlglot import exp

    first, *more = (column.copy() for column in columns)
    return exp.Coalesce(this=first, expressions=more) if more else first


def _is_written(node: "exp.Expr") -> bool:
    """Whether a user wrote a name in an expression: those that were added stand nowhere in the text."""
    from sqlglot import exp

    return any("start" in name.meta for name in node.find_all(exp.Identifier))
