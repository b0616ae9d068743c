"""What each column of a query is computed by: SQL to read, and a form in which equal expressions are equal texts.

Names are resolved through WITH, subqueries, aliases and stars down to the columns of the inputs, so that layout, names
and detours do not count. What counts beside the expression:

- of an aggregate or a window, the rows that it is over: FROM, joins, WHERE and GROUP BY; and ``history``, unless a
  frame, the timestamp among the groups or a FILTER bounds how far back it looks;
- of a column that was joined, the condition, unless it only says that columns of one name in two tables are equal;
- where a row of the answer does not tell the row of the input that a value comes from (its keys are not among those of
  the answer), what chooses rows.

So two columns of one form have the same value in every row that both have. Where a query holds what is not followed
here (a subquery within an expression, unnest, lambdas …), a column has no form: two that are equal may be missed, two
that differ are not taken for one.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from mlops_assets.engines.column_lineage import is_aggregate
from mlops_assets.engines.contract import PERIOD_SCHEMA, PERIOD_TABLE
from mlops_assets.engines.named_windows import windows_written_out
from mlops_assets.engines.query import Query, parsed_tree
from mlops_assets.lakehouse.schema import TableSchema

if TYPE_CHECKING:
    from sqlglot import exp


@dataclass(frozen=True)
class ColumnExpression:
    """How one column of a query is computed.

    Args:
        sql: The expression over the columns of the inputs, in DuckDB's dialect.
        canonical: The form in which equal expressions are equal texts; None where it cannot be told.
        copies: The input's column that it is a plain copy of, as (table, column); None of anything computed.
        constant: Whether it reads no column.
    """

    sql: str
    canonical: str | None
    copies: tuple[str, str] | None
    constant: bool


def column_expressions(
    query: Query, inputs: Mapping[str, TableSchema], schema: TableSchema, history: int
) -> Mapping[str, ColumnExpression]:
    """The expressions of a query's columns, by name as the schema has it; a column that cannot be followed is left out.

    Args:
        query: What ``parse_query`` gave.
        inputs: The tables that it reads.
        schema: The keys, timestamp and columns of the answer.
        history: How many periods the query sees.
    """
    return _expressions(query, tuple(sorted(inputs.items())), schema, history)


def written_expressions(query: Query) -> Mapping[str, str]:
    """The SQL of each column that the query's own select list names, as it stands there; by name in lower case."""
    tree = parsed_tree(query)
    if type(tree).__name__ != "Select":
        return {}
    return {item.alias_or_name.lower(): item.unalias().sql("duckdb") for item in tree.expressions if item.alias_or_name}


class _NotFollowed(Exception):
    """Something that is not followed here."""


@dataclass(frozen=True)
class _Value:
    """A value over the columns of the inputs.

    Args:
        text: Its canonical form.
        sql: SQL to read.
        copies: The column that it is a copy of.
        needs: What tells the row that it comes from: names of columns, or canonical forms.
        bounded: Whether it does not depend on how much history is seen.
        constant: Whether it reads no column.
        whole: Whether the SQL needs no parentheses within another.
    """

    text: str
    sql: str
    copies: tuple[str, str] | None = None
    needs: frozenset[str] = frozenset()
    bounded: bool = True
    constant: bool = False
    whole: bool = True

    @property
    def token(self) -> str:
        """How it tells rows apart where it is a key: the name of the column that it copies, or its form."""
        return self.copies[1].lower() if self.copies else self.text


_Columns = tuple[tuple[str, _Value | None], ...]
"""Names and values; None for what is not followed."""


@dataclass(frozen=True)
class _Relation:
    """Something that is read from.

    Args:
        name: What it is called.
        columns: Its columns.
        rows: What decides which rows it has.
        identity: What tells a row of it from others.
        bases: The inputs that it comes from.
    """

    name: str
    columns: _Columns
    rows: str
    identity: frozenset[str]
    bases: frozenset[str]

    def called(self, alias: "exp.Expr | None") -> "_Relation":
        """The same under an alias, with its names of columns."""
        given = [column.name for column in alias.args.get("columns") or ()] if alias else []
        renamed = tuple((new, value) for new, (_, value) in zip(given, self.columns, strict=False))
        columns = renamed + self.columns[len(renamed) :]
        return replace(self, name=alias.name.lower() if alias and alias.name else self.name, columns=columns)


@dataclass(frozen=True)
class _Scope:
    """What names mean within one SELECT.

    Args:
        tables: Inputs, and what WITH introduces.
        relations: What FROM and joins read.
        columns: Their columns, in the order of ``*``.
        merged: Columns that USING merged.
        aliases: What the select list defines before this place.
        rows: What decides which rows there are; windows are over them.
        identity: What tells a row from others.
        bases: The inputs that the rows come from.
        grouped: The same as ``rows`` for aggregates; None where there are none, or within one.
        bounded: Whether the groups are of one time each.
        behind: Whether this is a clause where a column and an alias of one name may be meant.
    """

    tables: Mapping[str, _Relation]
    relations: tuple[_Relation, ...] = ()
    columns: _Columns = ()
    merged: Mapping[str, _Value | None] = field(default_factory=dict)
    aliases: Mapping[str, _Value | None] = field(default_factory=dict)
    rows: str = ""
    identity: frozenset[str] = frozenset()
    bases: frozenset[str] = frozenset()
    grouped: str | None = None
    bounded: bool = False
    behind: bool = False

    def resolve(self, parts: list[str]) -> _Value:
        *table, name = parts
        if len(table) > 1:
            raise _NotFollowed
        if table:
            found = [
                value
                for relation in self.relations
                if relation.name == table[0]
                for known, value in relation.columns
                if known.lower() == name
            ]
        elif name in self.merged:
            found = [self.merged[name]]
        else:
            found = [value for known, value in self.columns if known.lower() == name][:1]
            if name in self.aliases and (not found or self.behind):
                if found and found[0] != self.aliases[name]:
                    raise _NotFollowed  # one or the other
                found = [self.aliases[name]]
        if not found or found[0] is None:
            raise _NotFollowed
        return found[0]


@lru_cache(maxsize=1024)
def _expressions(
    query: Query, inputs: tuple[tuple[str, TableSchema], ...], schema: TableSchema, history: int
) -> Mapping[str, ColumnExpression]:
    walk = _Walk({(name, schema.timestamp) for name, schema in inputs})
    tables = {name.lower(): _input(name, schema, alone=len(inputs) == 1) for name, schema in inputs}
    moments = ((name, _Value(of := f"{PERIOD_TABLE}.{name}", of, constant=True)) for name in PERIOD_SCHEMA.names)
    tables[PERIOD_TABLE] = _Relation("", tuple(moments), "", frozenset(), frozenset())
    try:
        answer = walk.query(windows_written_out(parsed_tree(query)), tables)
    except _NotFollowed:
        return {}
    found = {name.lower(): value for name, value in reversed(answer.columns) if value is not None}
    values = {name: found[name.lower()] for name in schema.names if name.lower() in found}
    keys = [
        values[name] for name in (*schema.keys, *([schema.timestamp] if schema.timestamp else [])) if name in values
    ]
    told = frozenset(key.token for key in keys)
    return {
        name: ColumnExpression(value.sql, _whole_form(value, answer.rows, told, history), value.copies, value.constant)
        for name, value in values.items()
    }


def _whole_form(value: _Value, rows: str, told: frozenset[str], history: int) -> str:
    """A value's form, with what else decides on it where the keys do not."""
    form = value.text
    if not value.needs <= told:
        form += f" of {rows} by {', '.join(sorted(told))}"
    return form if value.bounded else f"{form} within {history}"


def _input(name: str, schema: TableSchema, *, alone: bool) -> _Relation:
    identity = frozenset(key.lower() for key in (*schema.keys, *([schema.timestamp] if schema.timestamp else [])))
    columns = tuple(
        (column, _Value(f"{name}.{column.lower()}", _name(name, column, alone), (name, column), identity))
        for column in schema.names
    )
    return _Relation(name.lower(), columns, name, identity, frozenset({name}))


def _name(table: str, column: str, alone: bool) -> str:
    from sqlglot import exp

    quoted = not column.isidentifier()
    return exp.column(exp.to_identifier(column, quoted=quoted), None if alone else table).sql("duckdb")


class _Walk:
    """Goes through a tree, whose nodes are told apart by the names of their classes."""

    def __init__(self, timestamps: set[tuple[str, str | None]]) -> None:
        self._timestamps = timestamps

    def query(self, node: "exp.Expr", tables: Mapping[str, _Relation]) -> _Relation:
        """What a query gives.

        Raises:
            _NotFollowed: It has a form that is not followed.
        """
        kind = type(node).__name__
        if introduced := node.args.get("with_"):
            tables = dict(tables)
            for cte in introduced.expressions:
                tables[cte.alias.lower()] = self.query(cte.this, tables).called(cte.args.get("alias"))
        if kind == "Select":
            return self._select(node, tables)
        if kind == "Subquery":
            return self.query(node.this, tables)
        if kind in ("Union", "Except", "Intersect") and not node.args.get("by_name"):
            left, right = self.query(node.this, tables), self.query(node.expression, tables)
            rows = f"{kind} {bool(node.args.get('distinct'))} ({left.rows}) ({right.rows})"
            pairs = zip(left.columns, right.columns, strict=False)
            columns = tuple((name, _either(kind, left, one, right, other)) for (name, one), (_, other) in pairs)
            rows += self._taken(node, _Scope(tables), columns)
            return _Relation("", columns, rows, left.identity | right.identity, left.bases | right.bases)
        raise _NotFollowed

    def _select(self, node: "exp.Expr", tables: Mapping[str, _Relation]) -> _Relation:
        if node.args.get("laterals") or not node.args.get("from_"):
            raise _NotFollowed
        first = self._source(node.args["from_"].this, tables)
        scope = _Scope(tables, (first,), first.columns, rows=first.rows, identity=first.identity, bases=first.bases)
        for join in node.args.get("joins") or ():
            scope = self._joined(join, scope)
        items = list(self._items(node))
        named = {item.alias.lower(): item.unalias() for item in items if item.alias and type(item).__name__ == "Alias"}
        if where := node.args.get("where"):
            scope = replace(scope, rows=f"{scope.rows} where {self._condition(where.this, scope, named)}")
        group = node.args.get("group")
        if group or any(_aggregates(item) for item in items):
            scope = self._grouped(group, items, scope, named)
        over = scope
        if having := node.args.get("having"):
            over = replace(scope, rows=f"{scope.rows} having {self._condition(having.this, scope, named)}")
        columns: list[tuple[str, _Value | None]] = []
        for item in items:
            star = _star(item)
            if star is not None:
                columns += self._starred(star, item, over)
                continue
            value = self._item(item, over)
            columns.append((item.alias_or_name or item.sql("duckdb"), value))
            if item.alias:
                over = replace(over, aliases={item.alias.lower(): value, **over.aliases})
        if scope.grouped is not None:  # whatever is selected of a group, the group tells
            columns = [(name, value and replace(value, needs=scope.identity)) for name, value in columns]
        rows = over.rows
        if qualify := node.args.get("qualify"):
            rows += f" qualify {self._condition(qualify.this, over, {})}"
        if distinct := node.args.get("distinct"):
            on = distinct.args.get("on")
            rows += f" distinct {self._condition(on, over, {}) if on else _forms(columns)}"
        rows += self._taken(node, over, tuple(columns))
        return _Relation("", tuple(columns), rows, over.identity, over.bases)

    def _items(self, node: "exp.Expr") -> "Iterator[exp.Expr]":
        for item in node.expressions:
            if type(item.unalias()).__name__ in ("Explode", "Unnest"):
                raise _NotFollowed
            yield item

    def _item(self, node: "exp.Expr", scope: _Scope) -> _Value | None:
        """A value with its SQL."""
        from sqlglot import exp

        value, node = self._tried(node, scope), node.unalias()
        if value is None or value.sql:
            return value
        whole = isinstance(node, exp.Func | exp.Window | exp.Filter) and not isinstance(node, exp.Binary)
        return replace(value, sql=self._sql(node, scope), whole=whole)

    def _tried(self, node: "exp.Expr", scope: _Scope) -> _Value | None:
        try:
            return self.value(node, scope)
        except _NotFollowed:
            return None

    def _condition(self, node: "exp.Expr", scope: _Scope, named: "Mapping[str, exp.Expr]") -> str:
        """The form of a condition, which may name what the select list defines."""
        aliases = {name: self._tried(item, scope) for name, item in named.items()}
        return self.value(node, replace(scope, aliases={**aliases, **scope.aliases}, behind=True)).text

    def _taken(self, node: "exp.Expr", scope: _Scope, columns: _Columns) -> str:
        """What takes some rows of an ordered answer, where something does."""
        limits = [node.args[part].sql("duckdb") for part in ("limit", "offset", "fetch") if node.args.get(part)]
        distinct = node.args.get("distinct")
        if not limits and not (distinct and distinct is not True and distinct.args.get("on")):
            return ""
        order = node.args.get("order")
        forms = []
        for part in order.expressions if order else ():
            key, how = part.this, f"{part.args.get('desc')} {part.args.get('nulls_first')}"
            plain = type(key).__name__ == "Column" and not key.args.get("table")
            if type(key).__name__ == "Literal" and not key.args.get("is_string"):
                forms.append(_forms(columns[int(key.name) - 1 :][:1]) + how)
            elif key.name.lower() == "all":
                forms.append(_forms(columns) + how)
            elif plain and any(name.lower() == key.name.lower() for name, _ in columns):
                forms.append(_forms([("", _first_of(key.name.lower(), columns))]) + how)
            else:
                forms.append(self._condition(key, scope, {}) + how)
        return f" first {' '.join(limits)} by [{', '.join(forms)}]"

    def _grouped(
        self, group: "exp.Expr | None", items: "list[exp.Expr]", scope: _Scope, named: "Mapping[str, exp.Expr]"
    ) -> _Scope:
        keys: list[exp.Expr] = []
        if group:
            keys = list(group.expressions)
            if any(type(key).__name__ in ("Rollup", "Cube", "GroupingSets") for key in keys):
                raise _NotFollowed
            if group.args.get("all"):
                keys = [item.unalias() for item in items if not _aggregates(item)]
        values = []
        for key in keys:
            if type(key).__name__ == "Literal" and not key.args.get("is_string"):
                key = items[int(key.name) - 1].unalias()
            aliased = (
                named.get(key.name.lower()) if type(key).__name__ == "Column" and not key.args.get("table") else None
            )
            found = self._tried(key, scope)
            values.append(found if found is not None or aliased is None else self.value(aliased, scope))
        if None in values:
            raise _NotFollowed
        told = [value for value in values if value is not None and not value.constant]
        forms = ", ".join(sorted(value.text for value in told))
        rows = f"{scope.rows} group by [{forms}]"
        return replace(
            scope,
            rows=rows,
            identity=frozenset(value.token for value in told),
            grouped=rows,
            bounded=any(value.copies in self._timestamps for value in told),
        )

    def _starred(self, star: "exp.Expr", item: "exp.Expr", scope: _Scope) -> Iterator[tuple[str, _Value | None]]:
        columns = scope.columns
        if type(item).__name__ == "Column" and item.args.get("table"):
            table = item.args["table"].name.lower()
            columns = tuple(
                column for relation in scope.relations if relation.name == table for column in relation.columns
            )
        elif type(item).__name__ not in ("Star", "Column"):
            raise _NotFollowed  # * LIKE …
        left_out = {column.name.lower() for column in star.args.get("except_") or ()}
        replaced = {part.alias.lower(): self._item(part.this, scope) for part in star.args.get("replace") or ()}
        renamed = {part.this.name.lower(): part.alias for part in star.args.get("rename") or ()}
        for name, value in columns:
            if name.lower() not in left_out:
                yield renamed.get(name.lower(), name), replaced.get(name.lower(), value)

    # What is read from

    def _source(self, node: "exp.Expr", tables: Mapping[str, _Relation]) -> _Relation:
        kind, alias = type(node).__name__, node.args.get("alias")
        if node.args.get("joins"):
            raise _NotFollowed
        if kind == "Table" and type(node.this).__name__ == "Identifier" and node.name.lower() in tables:
            return replace(tables[node.name.lower()], name=node.name.lower()).called(alias)
        if kind == "Subquery":
            return self.query(node.this, tables).called(alias)
        raise _NotFollowed

    def _joined(self, join: "exp.Expr", scope: _Scope) -> _Scope:
        """What a join makes of a scope; a column of its right side carries the condition, unless that is natural."""
        right = self._source(join.this, scope.tables)
        side, kind, method = (str(join.args.get(part) or "").upper() for part in ("side", "kind", "method"))
        names = [name.name.lower() for name in join.args.get("using") or ()]
        if method == "NATURAL":
            here = {name.lower() for name, _ in scope.columns}
            names = [name.lower() for name, _ in right.columns if name.lower() in here]
        marked = tuple((name, value and replace(value, text=f"joined {value.text}")) for name, value in right.columns)
        there = replace(right, columns=marked)
        both = replace(scope, relations=(*scope.relations, there), columns=(*scope.columns, *marked))
        parts = list(_conjunction(join.args.get("on")))
        conditions = sorted(self.value(part, both).text for part in parts)
        natural = all(self._is_natural(part, both) for part in parts) and not right.bases & scope.bases
        how = f"{method} on {conditions} using {sorted(names)}"
        rows = f"{scope.rows} {side} {kind} join ({right.rows}) {how}"
        if kind in ("SEMI", "ANTI"):
            return replace(scope, rows=rows)
        columns = right.columns
        if not natural or method == "ASOF":
            columns = tuple((name, _joined_value(value, f"@[{how}]", scope.identity)) for name, value in right.columns)
        mine = {name: _first_of(name, scope.columns) for name in names}
        theirs = {name: _first_of(name, columns) for name in names}
        keys = {name: None if side == "FULL" else (theirs if side == "RIGHT" else mine)[name] for name in names}
        kept = tuple((name, keys.get(name.lower(), value)) for name, value in scope.columns)
        added = tuple((name, value) for name, value in columns if name.lower() not in keys)
        return replace(
            scope,
            relations=(*scope.relations, replace(right, columns=columns)),
            columns=kept + added,
            merged={**scope.merged, **keys},
            rows=rows,
            identity=scope.identity | right.identity,
            bases=scope.bases | right.bases,
        )

    def _is_natural(self, node: "exp.Expr", scope: _Scope) -> bool:
        """Whether a condition only says that two columns of one name, each a copy, are equal."""
        if type(node).__name__ != "EQ":
            return False
        sides = [self._tried(node.this, scope), self._tried(node.expression, scope)]
        names = {side.copies[1].lower() if side and side.copies else None for side in sides}
        return len(names) == 1 and None not in names

    # What a value is made of

    def value(self, node: "exp.Expr", scope: _Scope) -> _Value:
        """The value of an expression.

        Raises:
            _NotFollowed: A part of it is not followed.
        """
        kind = type(node).__name__
        if kind in ("Paren", "Alias"):
            return self.value(node.this, scope)
        if kind == "Column":
            if type(node.this).__name__ == "Star":
                raise _NotFollowed
            parts = [node.args[part].name.lower() for part in ("catalog", "db", "table") if node.args.get(part)]
            return scope.resolve([*parts, node.name.lower()])
        if kind in _NOT_FOLLOWED or "query" in node.args and node.args["query"]:
            raise _NotFollowed
        found: list[_Value] = []
        form = self._form(node, scope, found)
        needs = frozenset[str]().union(*(value.needs for value in found))
        bounded = all(value.bounded for value in found)
        if kind == "Window":
            bounded = bounded and _is_bounded(node.args.get("spec"))
            return _Value(f"{form} in {scope.rows}", "", None, needs | scope.identity, bounded)
        if scope.grouped is not None and _is_call_of_aggregate(node):
            bounded = bounded and scope.bounded or self._looks_back_so_far(node, scope)
            return _Value(f"{form} in {scope.grouped}", "", None, scope.identity, bounded)
        return _Value(form, "", None, needs, bounded, constant=not found)

    def _form(self, node: "exp.Expr", scope: _Scope, found: list[_Value]) -> str:
        """The canonical form of a node; values of columns and aggregates below it are added to ``found``."""
        kind = type(node).__name__
        if kind in ("Literal", "Boolean", "Null", "DataType", "Var", "Identifier"):
            return node.sql("duckdb") if kind == "Literal" else node.sql("duckdb").upper()
        within = replace(scope, grouped=None) if _is_call_of_aggregate(node) else scope

        def of(part: Any) -> str:
            if isinstance(part, str | bool | int) or not hasattr(part, "args"):
                return str(part).lower()
            if type(part).__name__ in _INNER:
                return self._form(part, within, found)
            value = self.value(part, within)
            if not value.constant:
                found.append(value)
            return value.text

        parts = []
        for name, content in sorted(node.args.items()):
            if content in (None, False, []) or name.startswith("_") or name == "alias":
                continue
            texts = [of(part) for part in content] if isinstance(content, list) else [of(content)]
            unordered = (kind, name) in (("Window", "partition_by"), ("In", "expressions"))
            parts.append((name, ", ".join(sorted(texts) if unordered else texts)))
        if kind in _SWAPPED:
            kind, parts = _SWAPPED[kind], [("this", dict(parts)["expression"]), ("expression", dict(parts)["this"])]
        if kind in _COMMUTATIVE:
            parts = [("", text) for text in sorted(text for _, text in parts)]
        called = node.name.lower() if kind == "Anonymous" else kind
        return f"{called}({'; '.join(f'{name} {text}' for name, text in sorted(parts))})"

    def _sql(self, node: "exp.Expr", scope: _Scope) -> str:
        """SQL over the columns of the inputs."""
        from sqlglot import exp

        def replaced(part: exp.Expr) -> exp.Expr:
            if not isinstance(part, exp.Column):
                return part
            names = [part.args[name].name.lower() for name in ("catalog", "db", "table") if part.args.get(name)]
            value = scope.resolve([*names, part.name.lower()])
            alone = isinstance(part.parent, exp.Func) and not isinstance(part.parent, exp.Binary)
            return exp.Var(this=value.sql if value.whole or alone else f"({value.sql})")

        return node.copy().transform(replaced).sql("duckdb")

    def _looks_back_so_far(self, node: "exp.Expr", scope: _Scope) -> bool:
        """Whether an aggregate's FILTER says from which time on rows count."""
        if type(node).__name__ != "Filter":
            return False
        for part in _conjunction(node.expression.this):
            kind = type(part).__name__
            later = {"GTE": "this", "GT": "this", "LTE": "expression", "LT": "expression"}.get(kind)
            value = self._tried(part.args[later], replace(scope, grouped=None)) if later else None
            if value is not None and value.copies in self._timestamps:
                return True
        return False


_NOT_FOLLOWED = frozenset(
    ["Select", "Union", "Except", "Intersect", "Subquery", "Exists", "Lambda", "Comprehension", "Explode", "Unnest"]
)
_INNER = frozenset(
    ["Order", "Ordered", "Where", "WindowSpec", "Distinct", "If", "Interval", "Var", "DataType", "Identifier", "Star"]
)
"""Parts of an expression that are no values themselves."""

_COMMUTATIVE = frozenset(["Add", "Mul", "And", "Or", "EQ", "NEQ", "NullSafeEQ", "NullSafeNEQ"])
_SWAPPED = {"GT": "LT", "GTE": "LTE"}
_WRAPPERS = ("Filter", "WithinGroup", "IgnoreNulls", "RespectNulls")


def _is_call_of_aggregate(node: "exp.Expr") -> bool:
    """Whether a node is an aggregate with all that belongs to it, such as its FILTER."""
    while type(node).__name__ in _WRAPPERS:
        node = node.this
    return is_aggregate(node)


def _aggregates(item: "exp.Expr") -> bool:
    """Whether an aggregate is in an item of a select list that is not the function of a window."""
    for node in item.walk(prune=lambda part: type(part).__name__ in _NOT_FOLLOWED):
        if is_aggregate(node):
            around: exp.Expr | None = node.parent
            while around is not None and type(around).__name__ in _WRAPPERS:
                around = around.parent
            if type(around).__name__ != "Window":
                return True
    return False


def _is_bounded(spec: "exp.Expr | None") -> bool:
    """Whether a frame says by time how far it reaches to both sides."""
    if spec is None or str(spec.args.get("kind")).upper() != "RANGE":
        return False
    return all(str(spec.args.get(side) or "CURRENT ROW").upper() != "UNBOUNDED" for side in ("start", "end"))


def _conjunction(node: "exp.Expr | None") -> "Iterator[exp.Expr]":
    if node is None:
        return
    if type(node).__name__ == "Paren":
        yield from _conjunction(node.this)
    elif type(node).__name__ == "And":
        yield from _conjunction(node.this)
        yield from _conjunction(node.expression)
    else:
        yield node


def _forms(columns: Sequence[tuple[str, _Value | None]]) -> str:
    values = [value for _, value in columns]
    if None in values:
        raise _NotFollowed
    return f"[{', '.join(value.text for value in values if value is not None)}]"


def _joined_value(value: _Value | None, words: str, identity: frozenset[str]) -> _Value | None:
    if value is None:
        return None
    return replace(value, text=value.text + words, copies=None, needs=value.needs | identity)


def _either(kind: str, left: _Relation, one: _Value | None, right: _Relation, other: _Value | None) -> _Value | None:
    """A value of a set operation: of one side or the other, by the rows that these have."""
    if one is None or other is None:
        return None
    return _Value(
        f"{kind}({one.text} of {left.rows}; {other.text} of {right.rows})",
        one.sql if one.sql == other.sql else f"{one.sql} or {other.sql}",
        None,
        one.needs | other.needs,
        one.bounded and other.bounded,
        one.constant and other.constant,
    )


def _first_of(name: str, columns: _Columns) -> _Value | None:
    return next((value for known, value in columns if known.lower() == name), None)


def _star(item: "exp.Expr") -> "exp.Expr | None":
    """The star of a select item, also of ``t.*``."""
    node = item
    while type(node).__name__ in ("Not", "Like", "ILike", "Glob", "SimilarTo", "Column"):
        node = node.this
    return node if type(node).__name__ == "Star" else None
