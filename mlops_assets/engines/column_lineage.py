"""Which columns of its inputs each column of a query comes from, read from the SQL alone.

Every table's columns are declared, so names are resolved here, as DuckDB does. sqlglot's own lineage (30.30) is
not used: it takes UNION BY NAME by position, gives the USING column of a left join both sides, and tells neither what
goes into a value from what only chooses rows, nor what is copied from what is aggregated.

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

from mlops_assets.engines.allow_list import AGGREGATES, ORDERED_AGGREGATES
from mlops_assets.engines.contract import PERIOD_SCHEMA, PERIOD_TABLE
from mlops_assets.engines.query import Query, parsed_tree

if TYPE_CHECKING:
    from sqlglot import exp

SqlHow = Literal["copied", "renamed", "computed", "aggregated", "unknown", "rows"]
"""How a column comes from another: ``copied`` under its own name, ``renamed``, ``computed`` from the same row,
``aggregated`` from several rows or another row (an aggregate or a window), ``unknown`` (it cannot be told from the
SQL), or not at all in its value: ``rows``."""

_STRENGTHS = ("copied", "computed", "aggregated", "unknown")
_RANKS = frozenset({"RowNumber", "Rank", "DenseRank", "PercentRank", "CumeDist", "Ntile"})
_WRAPPERS = frozenset({"IgnoreNulls", "RespectNulls", "Filter", "WithinGroup"})


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
    return {name: told.columns.get(name.lower(), told.others) for name in wanted}


@dataclass(frozen=True)
class _Told:
    columns: Mapping[str, tuple[ColumnOrigin, ...]]
    others: tuple[ColumnOrigin, ...]


@lru_cache(maxsize=1024)
def _all_origins(query: Query, columns: tuple[tuple[str, tuple[str, ...]], ...]) -> _Told:
    tables = {
        name.lower(): _Relation(
            name.lower(), tuple((column, _Flow({(name, column): "copied"})) for column in names), frozenset()
        )
        for name, names in columns
    }
    tables[PERIOD_TABLE] = _Relation("", tuple((name, _Flow()) for name in PERIOD_SCHEMA.names), frozenset())
    answer = _Walk().query(parsed_tree(query), _Scope(tables=tables))
    unnamed = answer.spread or _Flow({ref: "unknown" for _, flow in answer.columns for ref in flow.all})
    return _Told(
        {name.lower(): _origins(flow, answer.rows, name) for name, flow in reversed(answer.distinct_columns())},
        _origins(unnamed, answer.rows, ""),
    )


def _origins(flow: "_Flow", rows: "frozenset[_Ref]", name: str) -> tuple[ColumnOrigin, ...]:
    values = [
        ColumnOrigin(table, column, "renamed" if how == "copied" and column.lower() != name.lower() else how)  # type: ignore[arg-type]
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


_Columns = tuple[tuple[str, _Flow], ...]


@dataclass(frozen=True)
class _Relation:
    """Something that is read from; ``spread`` is what columns come from whose names only running would tell."""

    name: str
    columns: _Columns
    rows: frozenset[_Ref]
    spread: _Flow | None = None

    def column(self, name: str) -> _Flow | None:
        return next((flow for known, flow in self.columns if known.lower() == name), None)

    def distinct_columns(self) -> _Columns:
        """The columns as they are called outside: a name that comes again gets a number, as in DuckDB."""
        seen: dict[str, int] = {}
        columns = []
        for name, flow in self.columns:
            times = seen[name.lower()] = seen.get(name.lower(), -1) + 1
            columns.append((f"{name}_{times}" if times else name, flow))
        return tuple(columns)

    def called(self, alias: "exp.Expr | None") -> "_Relation":
        """The same under the alias's name, with its names of columns."""
        columns = self.distinct_columns()
        given = [column.name for column in alias.args.get("columns") or ()] if alias else []
        renamed = tuple((new, flow) for new, (_, flow) in zip(given, columns, strict=False))
        name = alias.name.lower() if alias and alias.name else self.name
        return replace(self, name=name, columns=renamed + columns[len(renamed) :])


@dataclass(frozen=True)
class _Joined:
    """What FROM gives: its relations, the columns in the order of ``*``, those merged by USING, and what decides."""

    relations: tuple[_Relation, ...] = ()
    columns: _Columns = ()
    merged: Mapping[str, _Flow] = field(default_factory=dict)
    rows: frozenset[_Ref] = frozenset()

    @staticmethod
    def of(relation: _Relation) -> "_Joined":
        return _Joined((relation,), relation.columns, {}, relation.rows)

    def column(self, name: str) -> _Flow | None:
        if name in self.merged:
            return self.merged[name]
        found = [flow for relation in self.relations if (flow := relation.column(name)) is not None]
        return _merged(found) if found else None


@dataclass(frozen=True)
class _Scope:
    """What names mean at one place.

    Args:
        tables: Inputs, and above them what WITH introduces.
        joined: What FROM gives.
        aliases: Columns of the select list that stand before this place, or all of them behind it.
        behind: Whether this is a clause behind the select list, where an alias and a column of one name may be meant.
        windows: What WINDOW defines.
        bound: Names of a lambda's or comprehension's parameters.
        outer: The query around, for what is correlated.
    """

    tables: Mapping[str, _Relation] = field(default_factory=dict)
    joined: _Joined = field(default_factory=_Joined)
    aliases: Mapping[str, _Flow] = field(default_factory=dict)
    behind: bool = False
    windows: "Mapping[str, exp.Expr]" = field(default_factory=dict)
    bound: frozenset[str] = frozenset()
    outer: "_Scope | None" = None

    def inside(self) -> "_Scope":
        """The scope of a query that stands at this place."""
        return _Scope(tables=self.tables, outer=self)

    def resolve(self, parts: list[str]) -> _Flow:
        """What a name of one or more parts means, from the inside out; all that is in reach where nothing fits."""
        scope: _Scope | None = self
        while scope is not None:
            found = scope._resolve_here(parts)
            if found is not None:
                return found
            scope = scope.outer
        return self._unknown()

    def _resolve_here(self, parts: list[str]) -> _Flow | None:
        first, more = parts[0], parts[1:]
        relations = [relation for relation in self.joined.relations if relation.name == first]
        if more:
            if first in self.bound:
                return _Flow()
            for relation in relations:
                flow = relation.column(more[0])
                if flow is not None:
                    return flow.by("computed") if more[1:] else flow
                if relation.spread is not None:
                    return relation.spread.by("computed")
        if first in self.bound:
            return _Flow()
        column, alias = self.joined.column(first), self.aliases.get(first)
        if self.behind and column is not None and alias is not None:
            column = _merged([column, alias])
        flow = column if column is not None else alias
        if flow is not None:
            return flow.by("computed") if more else flow
        if relations and not more:  # a whole row, as a struct
            return _merged(flow for _, flow in relations[0].columns).by("computed")
        spread = [relation.spread for relation in self.joined.relations if relation.spread is not None]
        return _merged(spread).by("computed") if spread else None

    def _unknown(self) -> _Flow:
        refs: set[_Ref] = set()
        scope: _Scope | None = self
        while scope is not None:
            for _, flow in scope.joined.columns:
                refs |= flow.all
            scope = scope.outer
        return _Flow(dict.fromkeys(refs, "unknown"))


class _Walk:
    """Goes through a tree, whose nodes are told apart by the names of their classes."""

    def query(self, node: "exp.Expr", scope: _Scope) -> _Relation:
        """What a query gives; ``scope`` is that of the place where it stands."""
        kind = type(node).__name__
        if introduced := node.args.get("with_"):
            scope = replace(scope, tables=self._with(introduced, scope))
        if kind == "Select":
            return self._select(node, scope)
        if kind in ("Union", "Except", "Intersect"):
            answer = self._set_operation(node, kind, scope)
        elif kind == "Subquery":
            answer = self.query(node.this, scope) if _is_query(node.this) else self._star_of(node, scope)
        else:
            answer = self._star_of(node, scope)
        behind = replace(scope.inside(), aliases=dict(_lowered(answer.columns)), behind=True)
        return replace(answer, rows=answer.rows | self._order_that_counts(node, behind, answer.columns))

    def _star_of(self, node: "exp.Expr", scope: _Scope) -> _Relation:
        joined = self.source(node, scope.inside())
        return _Relation("", joined.columns, joined.rows)

    def _with(self, introduced: "exp.Expr", scope: _Scope) -> dict[str, _Relation]:
        tables = dict(scope.tables)
        for cte in introduced.expressions:
            made = self.query(cte.this, replace(scope, tables=dict(tables)))
            tables[cte.alias.lower()] = made.called(cte.args.get("alias"))
        return tables

    def _set_operation(self, node: "exp.Expr", kind: str, scope: _Scope) -> _Relation:
        left, right = self.query(node.this, scope), self.query(node.expression, scope)
        if node.args.get("by_name"):
            names = {name.lower() for name, _ in left.columns}
            columns = tuple(
                (name, _merged([flow, right.column(name.lower()) or _Flow()])) for name, flow in left.columns
            )
            columns += tuple((name, flow) for name, flow in right.columns if name.lower() not in names)
        elif kind == "Union":
            others = [flow for _, flow in right.columns] + [_Flow()] * len(left.columns)
            columns = tuple(
                (name, _merged([flow, other])) for (name, flow), other in zip(left.columns, others, strict=False)
            )
        else:
            columns = left.columns
        rows = left.rows | right.rows
        if kind != "Union" or node.args.get("distinct"):  # rows are compared with each other as a whole
            rows = rows.union(*(flow.all for _, flow in (*left.columns, *right.columns)))
        return _Relation("", columns, rows, left.spread or right.spread)

    def _select(self, node: "exp.Expr", scope: _Scope) -> _Relation:
        inside = scope.inside()
        if origin := node.args.get("from_"):
            inside = replace(inside, joined=self.source(origin.this, inside))
        inside = replace(inside, joined=self._joins(node, inside))
        windows = {window.name.lower(): window for window in node.args.get("windows") or ()}
        inside = replace(inside, windows=windows)
        columns: list[tuple[str, _Flow]] = []
        spreads: list[_Flow] = []
        aliases: dict[str, _Flow] = {}
        rows = set(inside.joined.rows)
        items: list[tuple[exp.Expr, _Flow]] = []
        for item in node.expressions:
            here = replace(inside, aliases=dict(aliases))
            star = _star(item)
            if star is not None:
                expanded = self._star(star, item, here)
                columns += expanded
                items += [(item, flow) for _, flow in expanded]
                continue
            flow = self.flow(item, here)
            items.append((item, flow))
            name = item.alias_or_name or item.sql("duckdb")
            if type(item.unalias()).__name__ in ("Explode", "Unnest"):  # as many rows as elements; a struct's fields
                rows |= flow.all
                spreads.append(flow)
            columns.append((name, flow))
            if item.alias:
                aliases.setdefault(name.lower(), flow)
        behind = replace(inside, aliases=aliases, behind=True)
        if where := node.args.get("where"):
            rows |= self.flow(where.this, replace(inside, aliases=aliases)).all
        if group := node.args.get("group"):
            rows |= self._group(group, replace(inside, aliases=aliases), items)
        for clause in ("having", "qualify"):
            if found := node.args.get(clause):
                rows |= self.flow(found.this, behind).all
        rows |= self._distinct(node, behind, items)
        rows |= self._order_that_counts(node, behind, tuple(columns))
        return _Relation("", tuple(columns), frozenset(rows), _merged(spreads) if spreads else None)

    def _group(self, group: "exp.Expr", scope: _Scope, items: "list[tuple[exp.Expr, _Flow]]") -> frozenset[_Ref]:
        flows = [flow for item, flow in items if group.args.get("all") and not _aggregates(item)]
        for key in _below(group):
            flows.append(_by_position(key, [flow for _, flow in items]) or self.flow(key, scope))
        return frozenset[_Ref]().union(*(flow.all for flow in flows))

    def _distinct(self, node: "exp.Expr", scope: _Scope, items: "list[tuple[exp.Expr, _Flow]]") -> frozenset[_Ref]:
        distinct = node.args.get("distinct")
        if not distinct:
            return frozenset()
        on = distinct.args.get("on")
        return self.flow(on, scope).all if on else frozenset[_Ref]().union(*(flow.all for _, flow in items))

    def _order_that_counts(self, node: "exp.Expr", scope: _Scope, columns: _Columns) -> frozenset[_Ref]:
        """The order of a query decides where only some of its rows are taken."""
        limits = [node.args[name] for name in ("limit", "offset", "fetch") if node.args.get(name)]
        distinct = node.args.get("distinct")
        if not limits and not (distinct and distinct is not True and distinct.args.get("on")):
            return frozenset()
        order = node.args.get("order")
        flows = [self.flow(limit, scope) for limit in limits]
        selected = [flow for _, flow in columns]
        for part in order.expressions if order else ():
            if part.this.name.lower() == "all" and not scope.joined.column("all"):
                flows += selected
            else:
                flows.append(_by_position(part.this, selected) or self.flow(part.this, scope))
        return frozenset[_Ref]().union(*(flow.all for flow in flows))

    def _star(self, star: "exp.Expr", item: "exp.Expr", scope: _Scope) -> _Columns:
        table = item.args["table"].name.lower() if type(item).__name__ == "Column" and item.args.get("table") else None
        columns = scope.joined.columns
        if table is not None:
            columns = tuple(
                column for relation in scope.joined.relations if relation.name == table for column in relation.columns
            )
        left_out = {column.name.lower() for column in star.args.get("except_") or ()}
        replaced = {part.alias.lower(): self.flow(part.this, scope) for part in star.args.get("replace") or ()}
        renamed = {part.this.name.lower(): part.alias for part in star.args.get("rename") or ()}
        return tuple(
            (renamed.get(name.lower(), name), replaced.get(name.lower(), flow))
            for name, flow in columns
            if name.lower() not in left_out
        )

    # What is read from

    def source(self, node: "exp.Expr", scope: _Scope) -> _Joined:
        """What FROM or one side of a join gives; ``scope`` holds what stands before it."""
        kind, alias = type(node).__name__, node.args.get("alias")
        if kind == "Table" and type(node.this).__name__ == "Identifier":
            known = scope.tables.get(node.name.lower())
            relation = replace(known or _Relation("", (), frozenset()), name=node.name.lower())
            joined = _Joined.of(relation.called(alias))
        elif kind == "Subquery" and not _is_query(node.this):  # parentheses around a join
            joined = self.source(node.this, scope)
            if alias:
                joined = _Joined.of(_Relation("", joined.columns, joined.rows).called(alias))
        elif kind in ("Subquery", "Lateral") and (kind == "Subquery" or _is_query(node.this)):
            joined = _Joined.of(self.query(node.this, scope).called(alias))
        elif kind == "Values":
            joined = _Joined.of(self._values(node, scope).called(alias))
        else:  # unnest, range and the like
            flow = _merged(self.flow(child, scope) for child in _below(node)).by("computed")
            name = alias.name if alias else node.name or "unnest"
            joined = _Joined.of(_Relation(name.lower(), ((name, flow),), flow.all, flow).called(alias))
        return self._joins(node, replace(scope, joined=joined))

    def _values(self, node: "exp.Expr", scope: _Scope) -> _Relation:
        rows = [[self.flow(value, scope) for value in row.expressions] for row in node.expressions]
        columns = [_merged(flows) for flows in zip(*rows, strict=False)]
        return _Relation("", tuple((f"col{number}", flow) for number, flow in enumerate(columns)), frozenset())

    def _joins(self, node: "exp.Expr", scope: _Scope) -> _Joined:
        joined = scope.joined
        for join in (*(node.args.get("joins") or ()), *(node.args.get("laterals") or ())):
            read = join.this if type(join).__name__ == "Join" else join
            right = self.source(read, replace(scope.inside(), joined=joined))
            joined = self._join(join, joined, right, scope)
        return joined

    def _join(self, join: "exp.Expr", left: _Joined, right: _Joined, scope: _Scope) -> _Joined:
        side, kind = (str(join.args.get(part) or "").upper() for part in ("side", "kind"))
        names = [name.name.lower() for name in join.args.get("using") or ()]
        if str(join.args.get("method") or "").upper() == "NATURAL":
            theirs = {name.lower() for name, _ in right.columns}
            names = [name.lower() for name, _ in left.columns if name.lower() in theirs]
        keys: dict[str, _Flow] = {}
        rows = left.rows | right.rows
        for name in names:
            one, other = left.column(name) or _Flow(), right.column(name) or _Flow()
            rows |= one.all | other.all
            both = _merged([one, other]).by("computed")
            keys[name] = both if side == "FULL" else other if side == "RIGHT" else one
        both_sides = _Joined((*left.relations, *right.relations), (*left.columns, *right.columns), left.merged, rows)
        if on := join.args.get("on"):
            rows |= self.flow(on, replace(scope, joined=both_sides)).all
        kept = tuple((name, keys.get(name.lower(), flow)) for name, flow in left.columns)
        if kind in ("SEMI", "ANTI"):
            return _Joined(left.relations, kept, left.merged, rows)
        added = tuple((name, flow) for name, flow in right.columns if name.lower() not in keys)
        return _Joined(both_sides.relations, kept + added, {**left.merged, **right.merged, **keys}, rows)

    # What a value is made of

    def flow(self, node: "exp.Expr", scope: _Scope) -> _Flow:
        """What the value of an expression comes from."""
        kind = type(node).__name__
        if kind == "Column":
            return self._column(node, scope)
        if kind in ("Paren", "Alias"):
            return self.flow(node.this, scope)
        if _is_query(node):
            answer = self.query(node, scope)
            return _merged(flow for _, flow in answer.columns).chosen_by(_Flow(rows=answer.rows))
        if kind == "Exists":
            return _Flow(dict.fromkeys(self.query(node.this, scope).rows, "computed"))
        if kind == "Window":
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

    def _column(self, node: "exp.Expr", scope: _Scope) -> _Flow:
        if type(node.this).__name__ == "Star":
            return _merged(flow for _, flow in self._star(node.this, node, scope)).by("computed")
        parts = [node.args[part].name.lower() for part in ("catalog", "db", "table") if node.args.get(part)]
        return scope.resolve([*parts, node.name.lower()])

    def _window(self, node: "exp.Expr", scope: _Scope) -> _Flow:
        flow = self.flow(node.this, scope).by("aggregated")
        called = node.this
        while type(called).__name__ in _WRAPPERS:
            called = called.this
        definition: exp.Expr | None = node
        while definition is not None:
            order = definition.args.get("order")
            ordered = [self.flow(part.this, scope) for part in order.expressions] if order else []
            if type(called).__name__ in _RANKS:
                flow = _merged([flow, *(part.by("aggregated") for part in ordered)])
            spec = definition.args.get("spec")
            chosen = [*(definition.args.get("partition_by") or ()), *(_below(spec) if spec else ())]
            flow = flow.chosen_by(*ordered, *(self.flow(part, scope) for part in chosen))
            base = scope.windows.get(str(definition.alias).lower()) if definition.args.get("alias") else None
            definition = base if base is not definition else None
        return flow


def _below(node: "exp.Expr") -> "Iterator[exp.Expr]":
    for name, value in node.args.items():
        if name not in ("alias", "joins"):
            for child in value if isinstance(value, list) else [value]:
                if hasattr(child, "args"):
                    yield child


def _names(comprehension: "exp.Expr") -> "list[Any]":
    bound = comprehension.expression
    return list(bound.expressions) if type(bound).__name__ == "Tuple" else [bound]


def _lowered(columns: _Columns) -> Iterator[tuple[str, _Flow]]:
    return ((name.lower(), flow) for name, flow in columns)


def _is_query(node: "exp.Expr") -> bool:
    kind = type(node).__name__
    return kind in ("Select", "Union", "Except", "Intersect") or (kind == "Subquery" and _is_query(node.this))


def _star(item: "exp.Expr") -> "exp.Expr | None":
    """The star of a select item, also of ``t.*`` and ``* LIKE 'a%'`` (of which all columns are then kept)."""
    node: Any = item
    while type(node).__name__ in ("Not", "Like", "ILike", "Glob", "SimilarTo", "Column"):
        node = node.this
    return node if type(node).__name__ == "Star" else None


def _by_position(node: "exp.Expr", selected: list[_Flow]) -> _Flow | None:
    if type(node).__name__ == "Literal" and not node.args.get("is_string") and node.name.isdigit():
        number = int(node.name)
        return selected[number - 1] if 0 < number <= len(selected) else None
    return None


def _aggregates(item: "exp.Expr") -> bool:
    return any(is_aggregate(node) for node in item.walk(prune=_is_query))


def is_aggregate(node: "exp.Expr") -> bool:
    """Whether a function takes many rows, by its class or the name it was called by."""
    from sqlglot import exp

    if isinstance(node, exp.Anonymous):
        return node.name.lower() in AGGREGATES | ORDERED_AGGREGATES
    return isinstance(node, exp.AggFunc)
