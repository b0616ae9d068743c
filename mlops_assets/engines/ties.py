"""Orders that may leave rows tied, so that which of them comes first is nobody's choice.

A table's rows differ in its keys and time; from there it is followed which columns tell rows apart: through WITH and
subqueries, joins (those of both sides), groups (what is grouped by) and DISTINCT. Columns are compared by their names,
and WHERE pins those that it sets equal to a value of the query around or a constant. Where that is not enough to prove
an order, it is warned of: no answer is refused for it.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from mlops_assets.engines.named_windows import windows_written_out
from mlops_assets.engines.names import conjunction, sources
from mlops_assets.engines.query import Query, parsed_tree
from mlops_assets.engines.sql_tree import (
    aggregates,
    called_in,
    counts_rows,
    cte_of,
    line_of,
    meant,
    ordered_by,
    window_of,
)
from mlops_assets.errors import Location
from mlops_assets.lakehouse.schema import TableSchema

if TYPE_CHECKING:
    from sqlglot import exp

_Names = frozenset[str]
"""Columns by their names, other expressions by their SQL; in lower case."""


def tied_orders(query: Query, inputs: Mapping[str, TableSchema]) -> list[str]:
    """Warnings, one sentence each, of what takes rows by an order in which two of them may be equal.

    Args:
        query: What ``parse_query`` gave.
        inputs: The tables that it reads, by name.
    """
    keys = {name.lower(): frozenset(key.lower() for key in schema.identity) for name, schema in inputs.items()}
    tree = windows_written_out(parsed_tree(query))
    found = ((line_of(node), words) for node in tree.walk() for words in _Ties(keys).of(node))
    told = dict.fromkeys(sorted(found, key=lambda pair: pair[0] or 0))
    return [f"{Location(query.file, line)}: {words}." for line, words in told]


class _Ties:
    """Which columns tell the rows of each part of a query apart."""

    def __init__(self, keys: Mapping[str, _Names]) -> None:
        self._keys = keys

    def of(self, node: "exp.Expr") -> Iterator[str]:
        """What is to be said of one node, if it takes rows by an order."""
        from sqlglot import exp

        select = node.find_ancestor(exp.Select)
        if isinstance(node, exp.Query):
            yield from self._of_query(node)
        elif select is None:
            return
        elif isinstance(node, exp.Window):
            called, order = called_in(node), ordered_by(node)
            by_value = isinstance(called, (*_ordered(), exp.FirstValue, exp.LastValue)) and not _holds_value(
                order, called
            )
            if node.args.get("over") and (by_value or counts_rows(node) or isinstance(called, _by_place())):
                order += node.args.get("partition_by") or ()
                yield from _told(f"{called.sql('duckdb')} in a window", order, self.rows(select), select)
        elif isinstance(node, (*_ordered(), exp.ArgMax, exp.ArgMin)) and window_of(node) is None:
            best = isinstance(node, exp.ArgMax | exp.ArgMin)
            within = node.parent if isinstance(node.parent, exp.WithinGroup) else node
            order = _parts(node.expression) if best else ordered_by(within)
            if not _holds_value(order, node):
                order += self.groups(select)
                yield from _told(node.sql("duckdb"), order, self.before_groups(select), select, best=best)

    def _of_query(self, node: "exp.Query") -> Iterator[str]:
        from sqlglot import exp

        on = getattr(node.args.get("distinct"), "args", {}).get("on")
        taken = [part for part in ("limit", "offset", "fetch") if node.args.get(part)]
        order = ordered_by(node)
        if not (on or taken) or any(isinstance(item, exp.Var) for item in order):
            return
        order = [*order, *(on.expressions if on else ())]
        items = [] if isinstance(node, exp.Subquery) else node.selects
        if items and {_key(item.unalias()) for item in items} <= {_key(item) for item in order}:
            return  # rows that are tied are the same
        found = "DISTINCT ON" if on else taken[0].upper()
        if isinstance(node, exp.Select):
            yield from _told(found, order, self.rows(node), node)
        else:
            yield from _told(found, order, self.answer(node), None)

    def answer(self, query: "exp.Expr") -> _Names | None:
        """The names of a query's columns that tell its rows apart; None where that is not known."""
        from sqlglot import exp

        if isinstance(query, exp.Subquery):
            return self.answer(query.this)
        distinct = query.args.get("distinct")
        if isinstance(query, exp.SetOperation):
            return _outputs(query) if distinct or not isinstance(query, exp.Union) else None
        if not isinstance(query, exp.Select):
            return None  # parentheses around joins
        if distinct and not distinct.args.get("on"):
            return _outputs(query)
        rows = self.rows(query)
        if rows is None:
            return None
        given = {_key(item.unalias()): item.alias_or_name.lower() for item in query.selects if not item.is_star}
        star = any(item.is_star for item in query.selects)
        named = [given.get(name, name if star else None) for name in rows]
        return frozenset(name for name in named if name) if all(named) else None

    def rows(self, select: "exp.Select") -> _Names | None:
        """What tells the rows apart that windows are over, and of which one each is selected."""
        distinct, group = select.args.get("distinct"), select.args.get("group")
        if distinct and not distinct.args.get("on"):
            return None if any(item.is_star for item in select.selects) else frozenset(
                _key(item.unalias()) for item in select.selects
            )  # fmt: skip
        if group and any(group.args.get(part) for part in ("rollup", "cube", "grouping_sets")):
            return None
        if group or any(map(aggregates, select.selects)):
            return frozenset(map(_key, self.groups(select)))
        return self.before_groups(select)

    def groups(self, select: "exp.Select") -> "list[exp.Expr]":
        """What a SELECT groups by."""
        group = select.args.get("group")
        if not group:
            return []
        if group.args.get("all"):
            return [item.unalias() for item in select.selects if not aggregates(item)]
        return [meant(item, select) for item in group.expressions]

    def before_groups(self, select: "exp.Select") -> _Names | None:
        """What tells the rows of FROM and its joins apart, WHERE included."""
        kept = [source for source, join in sources(select) if join is None or not join.is_semi_or_anti_join]
        told = [self._source(source) for source in kept]
        if None in told or any(join and join.parent is not select for _, join in sources(select)):
            return None  # parentheses around joins are not looked into
        return frozenset().union(*(names or () for names in told)) - _pinned(select, kept)

    def _source(self, source: "exp.Expr") -> _Names | None:
        from sqlglot import exp

        alias = source.args.get("alias")
        if alias and alias.args.get("columns"):
            return None
        if isinstance(source, exp.Subquery):
            return self.answer(source.this)
        if not isinstance(source, exp.Table):
            return None
        cte = cte_of(source)
        if cte is not None:
            return None if cte.args["alias"].args.get("columns") else self.answer(cte.this)
        return self._keys.get(source.name.lower())


def _told(
    found: str, order: "list[exp.Expr]", rows: _Names | None, select: "exp.Select | None", *, best: bool = False
) -> Iterator[str]:
    """The sentence, unless the order is one of rows that all differ."""
    have = {_key(meant(item, select) if select else item) for item in order}
    have |= {_key(item) for item in order}
    if rows is not None and rows <= have:
        return
    missing = ", ".join(sorted(rows - have)) if rows is not None else "columns that tell all rows apart"
    cure = f"write first(… ORDER BY …, {missing})" if best else f"add {missing} to the ORDER BY"
    yield f"{found} takes any of the rows that its order leaves tied: {cure}"


def _key(node: "exp.Expr") -> str:
    from sqlglot import exp

    while isinstance(node, exp.Paren):
        node = node.this
    return (node.name if isinstance(node, exp.Column) else node.sql("duckdb")).lower()


def _parts(node: "exp.Expr") -> "list[exp.Expr]":
    """The columns of a row that is compared, or the one value."""
    from sqlglot import exp

    whole = isinstance(node, exp.Tuple) or isinstance(node, exp.Anonymous) and node.name.lower() == "row"
    return list(node.expressions) if whole else [node]


def _outputs(query: "exp.Query") -> _Names | None:
    if any(item.is_star for item in query.selects):
        return None
    return frozenset(item.alias_or_name.lower() for item in query.selects)


def _pinned(select: "exp.Select", kept: "list[exp.Expr]") -> _Names:
    """Columns that WHERE sets equal to a constant, or to something of the query around."""
    from sqlglot import exp

    where, own = select.args.get("where"), {source.alias_or_name.lower() for source in kept}
    pinned = set()
    for condition in conjunction(where.this) if where else ():
        if not isinstance(condition, exp.EQ):
            continue
        for column, other in ((condition.this, condition.expression), (condition.expression, condition.this)):
            elsewhere = all(part.table and part.table.lower() not in own for part in other.find_all(exp.Column))
            if isinstance(column, exp.Column) and elsewhere and not other.find(exp.Query):
                pinned.add(column.name.lower())
    return frozenset(pinned)


def _holds_value(order: "list[exp.Expr]", called: "exp.Expr") -> bool:
    """Whether rows that are tied have one value, so that it does not count which of them is taken."""
    value = called.this.this if type(called.this).__name__ == "Order" else called.this
    return _key(value) in {_key(item) for item in order}


def _by_place() -> "tuple[type[exp.Expr], ...]":
    from sqlglot import exp

    return (exp.RowNumber, exp.Ntile, exp.Lag, exp.Lead, exp.NthValue)


def _ordered() -> "tuple[type[exp.Expr], ...]":
    from sqlglot import exp

    return (exp.First, exp.Last, exp.AnyValue, exp.ArrayAgg, exp.GroupConcat, exp.Mode)
