"""Which columns of its inputs each column of a query comes from, read from the SQL alone.

Every table's columns are declared, so names are resolved (``engines.names``). sqlglot's own lineage (30.30) is not
used: it takes UNION BY NAME by position, and tells neither what goes into a value from what only chooses rows, nor what
is copied from what is aggregated.

Two kinds of influence are kept apart:

- **Values**: what a value is copied, renamed, computed or aggregated from. All parts of an expression count, the
  conditions of a CASE and both sides of a comparison among them.
- **Rows**: what only decides which rows are used, or how they are joined, grouped or ordered: WHERE, ON and USING,
  GROUP BY, HAVING, QUALIFY, DISTINCT, PARTITION BY and ORDER BY of a window or an aggregate, FILTER, the second
  argument of arg_max, and ORDER BY of a query with LIMIT.

A rank, ``count(*) FILTER`` and EXISTS take no value from the rows: theirs is the rows' place, number or presence. So
what they order by, filter by and look for counts as values.

Where a name cannot be told (a struct's fields, columns that only running would name), all that may be meant counts:
an origin too many is possible, an origin too few is not.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from mlops_assets.engines.contract import PERIOD_SCHEMA, PERIOD_TABLE
from mlops_assets.engines.names import ANY, Scope, UnresolvedError, lowered, resolved, sources
from mlops_assets.engines.query import Query
from mlops_assets.engines.sql_tree import aggregates, called_in, is_aggregate

if TYPE_CHECKING:
    from sqlglot import exp

SqlHow = Literal["copied", "renamed", "computed", "aggregated", "unknown", "rows"]
"""How a column comes from another: ``copied`` under its own name, ``renamed``, ``computed`` from the same row,
``aggregated`` from several rows or another row (an aggregate or a window), ``unknown`` (it cannot be told from the
SQL), or not at all in its value: ``rows``."""

_STRENGTHS = ("copied", "computed", "aggregated", "unknown")
_RANKS = frozenset({"RowNumber", "Rank", "DenseRank", "PercentRank", "CumeDist", "Ntile"})


@dataclass(frozen=True, order=True)
class ColumnOrigin:
    """A column of an input, and how a column of the query comes from it."""

    table: str
    column: str
    how: SqlHow


def query_lineage(
    query: Query, columns: Mapping[str, tuple[str, ...]], wanted: Iterable[str]
) -> dict[str, tuple[ColumnOrigin, ...]]:
    """The origins of columns of a query: each column of an input once, values before rows.

    Args:
        query: What ``parse_query`` gave.
        columns: For each table that it reads, the names of its columns.
        wanted: The columns to tell of, in any case; a constant has no origin of values.

    Example:
        >>> from pathlib import Path
        >>> from mlops_assets.engines.query import parse_query
        >>> query = parse_query("SELECT shop, ln(units) AS level FROM sales WHERE open", file=Path("level.sql"))
        >>> for origin in query_lineage(query, {"sales": ("shop", "units", "open")}, ["level"])["level"]:
        ...     print(origin.table, origin.column, origin.how)
        sales units computed
        sales open rows
    """
    told = _all_origins(query, tuple(sorted((table, names) for table, names in columns.items())))
    return {name: told.columns.get(lowered(name), told.others) for name in wanted}


@dataclass(frozen=True)
class _Told:
    columns: Mapping[str, tuple[ColumnOrigin, ...]]
    others: tuple[ColumnOrigin, ...]


@lru_cache(maxsize=1024)
def _all_origins(query: Query, columns: tuple[tuple[str, tuple[str, ...]], ...]) -> _Told:
    tables = {
        lowered(table): _Relation({lowered(name): _Flow({(table, name): "copied"}) for name in names})
        for table, names in columns
    }
    tables[PERIOD_TABLE] = _Relation({name: _Flow() for name in PERIOD_SCHEMA.names})
    unknown = _Flow({(table, name): "unknown" for table, names in columns for name in names})
    try:
        answer = _Walk().query(resolved(query, dict(columns)), _Scope(tables=tables))
    except (UnresolvedError, RecursionError):  # a sum of a thousand columns is a thousand levels deep
        answer = _Relation({ANY: unknown})
    return _Told(
        {name: _origins(flow, answer.rows, name) for name, flow in answer.columns.items()},
        _origins(answer.columns.get(ANY, unknown), answer.rows, ""),
    )


def _origins(flow: "_Flow", rows: "frozenset[_Ref]", name: str) -> tuple[ColumnOrigin, ...]:
    values = [
        ColumnOrigin(table, column, "renamed" if how == "copied" and lowered(column) != name else how)  # type: ignore[arg-type]
        for (table, column), how in sorted(flow.values.items())
    ]
    others = sorted((flow.rows | rows) - set(flow.values))
    return (*values, *(ColumnOrigin(table, column, "rows") for table, column in others))


_Ref = tuple[str, str]


@dataclass(frozen=True)
class _Flow:
    """What one value comes from: columns of inputs with how, and the columns that only decide on rows."""

    values: Mapping[_Ref, str] = field(default_factory=dict)
    rows: frozenset[_Ref] = frozenset()

    @property
    def all(self) -> frozenset[_Ref]:
        return self.rows.union(self.values)

    def by(self, how: str) -> "_Flow":
        """The same columns, gone through one more step."""
        return _Flow({ref: _stronger(how, before) for ref, before in self.values.items()}, self.rows)

    def chosen_by(self, *others: "_Flow") -> "_Flow":
        """The same values, of rows on which others decide."""
        return _Flow(self.values, self.rows.union(*(other.all for other in others)))


def _stronger(one: str, other: str) -> str:
    return max(one, other, key=_STRENGTHS.index)


def _merged(flows: Iterable[_Flow]) -> _Flow:
    values: dict[_Ref, str] = {}
    rows: frozenset[_Ref] = frozenset()
    for flow in flows:
        rows |= flow.rows
        for ref, how in flow.values.items():
            values[ref] = _stronger(how, values.get(ref, how))
    return _Flow(values, rows)


@dataclass(frozen=True)
class _Relation:
    """Something that is read from: its columns by name, and what decides which rows it has."""

    columns: Mapping[str, _Flow]
    rows: frozenset[_Ref] = frozenset()

    @property
    def all(self) -> frozenset[_Ref]:
        return _merged(self.columns.values()).all


@dataclass(frozen=True)
class _Scope(Scope[_Flow]):
    """What names mean at one place.

    Args:
        tables: Inputs, and above them what WITH introduces.
        bound: Names of a lambda's or comprehension's parameters.
        outer: The query around, for what is correlated.
    """

    tables: Mapping[str, _Relation] = field(default_factory=dict)
    bound: frozenset[str] = frozenset()
    outer: "_Scope | None" = None

    def inside(self) -> "_Scope":
        """The scope of a query that stands at this place."""
        return _Scope(tables=self.tables, outer=self)

    def outwards(self) -> "Iterator[_Scope]":
        """This scope and those around it."""
        yield self
        if self.outer is not None:
            yield from self.outer.outwards()

    def reached(self) -> _Flow:
        """All columns of what is read here, and those of the select list."""
        return _merged(flow for columns in (*self.relations.values(), self.aliases) for flow in columns.values())

    def flow(self, column: "exp.Expr") -> _Flow:
        """What a name means, from the inside out; all that is in reach where nothing fits."""
        alone = not column.args.get("table")
        for scope in self.outwards():
            if alone and column.name in scope.bound:
                return _Flow()
            if found := scope.meant(column):
                return _merged(found)
            if alone and column.name in scope.relations:  # a whole row, as a struct
                return _merged(scope.relations[column.name].values()).by("computed")
        return _Flow(dict.fromkeys(_merged(scope.reached() for scope in self.outwards()).all, "unknown"))


class _Walk:
    """Goes through a resolved tree, whose nodes are told apart by the names of their classes."""

    def query(self, node: "exp.Expr", scope: _Scope) -> _Relation:
        """What a query gives; ``scope`` is that of the place where it stands."""
        kind = type(node).__name__
        if introduced := node.args.get("with_"):
            for cte in introduced.expressions:
                scope = replace(scope, tables={**scope.tables, cte.alias: self.query(cte.this, scope)})
        if kind == "Select":
            return self._select(node, scope)
        answer = self.query(node.this, scope) if kind == "Subquery" else self._set_operation(node, kind, scope)
        behind = replace(scope.inside(), aliases=answer.columns)
        return replace(answer, rows=answer.rows | self._order_that_counts(node, behind))

    def _set_operation(self, node: "exp.Expr", kind: str, scope: _Scope) -> _Relation:
        left, right = self.query(node.this, scope), self.query(node.expression, scope)
        columns = dict(left.columns)
        if node.args.get("by_name"):
            columns |= {name: _merged([flow, columns.get(name, _Flow())]) for name, flow in right.columns.items()}
        elif kind == "Union":
            columns |= {
                name: _merged(pair)
                for name, *pair in zip(left.columns, left.columns.values(), right.columns.values(), strict=False)
            }
        rows = left.rows | right.rows
        if kind != "Union" or node.args.get("distinct"):  # rows are compared with each other as a whole
            rows |= left.all | right.all
        return _Relation(columns, rows)

    def _select(self, node: "exp.Expr", outer: _Scope) -> _Relation:
        scope, rows = outer.inside(), set[_Ref]()
        for source, _ in sources(node):
            relation = self.source(source, scope)
            rows |= relation.rows
            scope = replace(scope, relations={**scope.relations, source.alias_or_name: relation.columns})
        for _, join in sources(node):
            if join and (on := join.args.get("on")):
                rows |= self.flow(on, scope).all
        columns: dict[str, _Flow] = {}
        for item in node.expressions:
            flow = scope.reached().by("computed") if item.is_star else self.flow(item, replace(scope, aliases=columns))
            if type(item.unalias()).__name__ in ("Explode", "Unnest"):  # as many rows as elements; a struct's fields
                rows |= flow.all
                columns[ANY] = _merged([flow, columns.get(ANY, _Flow())])
            columns.setdefault(ANY if item.is_star else item.alias, flow)
        scope = replace(scope, aliases=columns)
        if where := node.args.get("where"):
            rows |= self.flow(where.this, scope).all
        if group := node.args.get("group"):
            by_all = group.args.get("all")
            keys = [item for item in node.expressions if by_all and not aggregates(item)] + list(_below(group))
            rows |= _merged(self.flow(key, scope) for key in keys).all
        for clause in ("having", "qualify"):
            if found := node.args.get(clause):
                rows |= self.flow(found.this, scope).all
        if distinct := node.args.get("distinct"):
            on = distinct.args.get("on")
            rows |= self.flow(on, scope).all if on else _merged(columns.values()).all
        return _Relation(columns, frozenset(rows) | self._order_that_counts(node, scope))

    def _order_that_counts(self, node: "exp.Expr", scope: _Scope) -> frozenset[_Ref]:
        """The order of a query decides where only some of its rows are taken."""
        limits = [node.args[name] for name in ("limit", "offset", "fetch") if node.args.get(name)]
        distinct = node.args.get("distinct")
        if not limits and not (distinct and distinct is not True and distinct.args.get("on")):
            return frozenset()
        order = node.args.get("order")
        flows = [self.flow(limit, scope) for limit in limits]
        for part in order.expressions if order else ():
            by_all = type(part.this).__name__ in ("Literal", "Var") or part.this.name == "all"
            flows += scope.aliases.values() if by_all else [self.flow(part.this, scope)]
        return _merged(flows).all

    # What is read from

    def source(self, node: "exp.Expr", scope: _Scope) -> _Relation:
        """What FROM or one side of a join gives; ``scope`` holds what stands before it."""
        kind = type(node).__name__
        if kind == "Table" and type(node.this).__name__ == "Identifier":
            return scope.tables.get(node.name, _Relation({}))
        if kind in ("Subquery", "Lateral") and _is_query(node.this):
            return self.query(node.this, scope)
        flow = _merged(self.flow(child, scope) for child in _below(node)).by("computed")
        columns = dict.fromkeys((*node.alias_column_names, ANY), flow)
        if kind == "Values":
            rows = [[self.flow(value, scope) for value in row.expressions] for row in node.expressions]
            return _Relation(dict(zip(columns, map(_merged, zip(*rows, strict=False)), strict=False)))
        return _Relation(columns, flow.all)

    # What a value is made of

    def flow(self, node: "exp.Expr", scope: _Scope) -> _Flow:
        """What the value of an expression comes from."""
        from sqlglot import exp

        kind = type(node).__name__
        if kind in ("Column", "TableColumn"):
            return scope.reached().by("computed") if node.is_star else scope.flow(node)
        if kind in ("Paren", "Alias"):
            return self.flow(node.this, scope)
        if _is_query(node):
            answer = self.query(node, scope)
            return _merged(answer.columns.values()).chosen_by(_Flow(rows=answer.rows))
        if kind == "Exists":
            return _Flow(dict.fromkeys(self.query(node.this, scope).rows, "computed"))
        if isinstance(node, exp.Window):
            return self._window(node, scope)
        if kind == "Filter":
            value, condition = self.flow(node.this, scope), self.flow(node.expression.this, scope)
            return value.chosen_by(condition) if value.values else condition.by("aggregated")
        if kind == "WithinGroup":  # percentile_cont(0.5) WITHIN GROUP (ORDER BY value)
            ordered = [self.flow(part.this, scope) for part in node.expression.expressions]
            return _merged([self.flow(node.this, scope), *ordered]).by("aggregated")
        if kind == "Order":  # of what an aggregate takes
            ordered = [self.flow(part.this, scope) for part in node.expressions]
            return (self.flow(node.this, scope) if node.this else _Flow()).chosen_by(*ordered)
        if kind in ("ArgMax", "ArgMin"):
            value, other = self.flow(node.this, scope), self.flow(node.expression, scope)
            return value.by("aggregated").chosen_by(other)
        if kind == "Comprehension":
            inner = replace(scope, bound=scope.bound | {part.name.lower() for part in _names(node)})
            parts = [self.flow(node.args["iterator"], scope)]
            parts += [self.flow(node.args[name], inner) for name in ("this", "condition") if node.args.get(name)]
            return _merged(parts).by("computed")
        if kind == "Lambda":
            inner = replace(scope, bound=scope.bound | {part.name.lower() for part in node.expressions})
            return self.flow(node.this, inner).by("computed")
        how = "aggregated" if is_aggregate(node) else "computed"
        return _merged(self.flow(child, scope) for child in _below(node)).by(how)

    def _window(self, node: "exp.Window", scope: _Scope) -> _Flow:
        flow = self.flow(node.this, scope).by("aggregated")
        order, spec = node.args.get("order"), node.args.get("spec")
        ordered = [self.flow(part.this, scope) for part in order.expressions] if order else []
        if type(called_in(node)).__name__ in _RANKS:
            flow = _merged([flow, *(part.by("aggregated") for part in ordered)])
        chosen = [*(node.args.get("partition_by") or ()), *(_below(spec) if spec else ())]
        return flow.chosen_by(*ordered, *(self.flow(part, scope) for part in chosen))


def _below(node: "exp.Expr") -> "Iterator[exp.Expr]":
    for name, value in node.args.items():
        if name not in ("alias", "joins"):
            for child in value if isinstance(value, list) else [value]:
                if hasattr(child, "args"):
                    yield child


def _names(comprehension: "exp.Expr") -> "list[Any]":
    bound = comprehension.expression
    return list(bound.expressions) if type(bound).__name__ == "Tuple" else [bound]


def _is_query(node: "exp.Expr") -> bool:
    kind = type(node).__name__
    return kind in ("Select", "Union", "Except", "Intersect") or (kind == "Subquery" and _is_query(node.this))
