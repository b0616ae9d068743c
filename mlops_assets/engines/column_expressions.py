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

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from mlops_assets.engines.contract import PERIOD_SCHEMA, PERIOD_TABLE
from mlops_assets.engines.names import Scope, UnresolvedError, conjunction, lowered, resolved, sources
from mlops_assets.engines.query import Query, parsed_tree
from mlops_assets.engines.sql_tree import aggregates, function_of, is_aggregate
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


_Columns = Mapping[str, _Value | None]
"""Columns by name; None for what is not followed."""


@dataclass(frozen=True)
class _Relation:
    """Something that is read from.

    Args:
        columns: Its columns.
        rows: What decides which rows it has.
        identity: What tells a row of it from others.
        bases: The inputs that it comes from.
    """

    columns: _Columns
    rows: str
    identity: frozenset[str] = frozenset()
    bases: frozenset[str] = frozenset()


@dataclass(frozen=True)
class _Scope(Scope[_Value | None]):
    """What names mean within one SELECT.

    Args:
        rows: What decides which rows there are; windows are over them.
        identity: What tells a row from others.
        bases: The inputs that the rows come from.
        grouped: The same as ``rows`` for aggregates; None where there are none, or within one.
        bounded: Whether the groups are of one time each.
    """

    rows: str = ""
    identity: frozenset[str] = frozenset()
    bases: frozenset[str] = frozenset()
    grouped: str | None = None
    bounded: bool = False

    def value(self, column: "exp.Expr") -> _Value:
        """The one value that a column may be."""
        found, *others = set(self.meant(column)) or {None}
        if found is None or others:
            raise _NotFollowed
        return found


@lru_cache(maxsize=1024)
def _expressions(
    query: Query, inputs: tuple[tuple[str, TableSchema], ...], schema: TableSchema, history: int
) -> Mapping[str, ColumnExpression]:
    walk = _Walk({(name, schema.timestamp) for name, schema in inputs})
    tables = {lowered(name): _input(name, schema, alone=len(inputs) == 1) for name, schema in inputs}
    moments = (f"{PERIOD_TABLE}.{name}" for name in PERIOD_SCHEMA.names)
    tables[PERIOD_TABLE] = _Relation({of.rpartition(".")[2]: _Value(of, of, constant=True) for of in moments}, "")
    try:
        answer = walk.query(resolved(query, {name: schema.names for name, schema in inputs}), tables)
    except (_NotFollowed, UnresolvedError, RecursionError):
        return {}
    found = {name: value for name, value in answer.columns.items() if value is not None}
    values = {name: found[lowered(name)] for name in schema.names if lowered(name) in found}
    told = frozenset(values[name].token for name in schema.identity if name in values)
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
    identity = frozenset(key.lower() for key in schema.identity)
    columns = {
        (lower := lowered(column)): _Value(f"{name}.{lower}", _name(name, column, alone), (name, column), identity)
        for column in schema.names
    }
    return _Relation(columns, name, identity, frozenset({name}))


def _name(table: str, column: str, alone: bool) -> str:
    from sqlglot import exp

    quoted = not column.isidentifier()
    return exp.column(exp.to_identifier(column, quoted=quoted), None if alone else table).sql("duckdb")


class _Walk:
    """Goes through a resolved tree, whose nodes are told apart by the names of their classes."""

    def __init__(self, timestamps: set[tuple[str, str | None]]) -> None:
        self._timestamps = timestamps

    def query(self, node: "exp.Expr", tables: Mapping[str, _Relation]) -> _Relation:
        """What a query gives.

        Raises:
            _NotFollowed: It has a form that is not followed.
        """
        kind = type(node).__name__
        if introduced := node.args.get("with_"):
            for cte in introduced.expressions:
                tables = {**tables, cte.alias: self.query(cte.this, tables)}
        if kind == "Select":
            return self._select(node, tables)
        if kind == "Subquery":
            return self.query(node.this, tables)
        if kind in ("Union", "Except", "Intersect") and not node.args.get("by_name"):
            left, right = self.query(node.this, tables), self.query(node.expression, tables)
            rows = f"{kind} {bool(node.args.get('distinct'))} ({left.rows}) ({right.rows})"
            pairs = zip(left.columns.items(), right.columns.values(), strict=False)
            columns = {name: _either(kind, left, one, right, other) for (name, one), other in pairs}
            if kind != "Union" or node.args.get("distinct"):  # rows are compared with each other as a whole
                rows += f" of {_forms(left.columns.values())} {_forms(right.columns.values())}"
            rows += self._taken(node, _Scope(aliases=columns))
            return _Relation(columns, rows, left.identity | right.identity, left.bases | right.bases)
        raise _NotFollowed

    def _select(self, node: "exp.Expr", tables: Mapping[str, _Relation]) -> _Relation:
        scope = self._read(node, tables)
        items = {item.alias: item.unalias() for item in node.expressions}
        if any(type(item).__name__ in ("Explode", "Unnest", "Star") or item.is_star for item in items.values()):
            raise _NotFollowed
        if where := node.args.get("where"):
            scope = replace(scope, rows=f"{scope.rows} where {self._condition(where.this, scope, items)}")
        group = node.args.get("group")
        if group or any(aggregates(item) for item in items.values()):
            scope = self._grouped(group, items, scope)
        over = scope
        if having := node.args.get("having"):
            over = replace(scope, rows=f"{scope.rows} having {self._condition(having.this, scope, items)}")
        columns: dict[str, _Value | None] = {}
        for name, item in items.items():
            columns[name] = self._item(item, replace(over, aliases=columns))
        over = replace(over, aliases=dict(columns))
        if scope.grouped is not None:  # whatever is selected of a group, the group tells
            columns = {name: value and replace(value, needs=scope.identity) for name, value in columns.items()}
        rows = over.rows
        if qualify := node.args.get("qualify"):
            rows += f" qualify {self._condition(qualify.this, over, {})}"
        if distinct := node.args.get("distinct"):
            on = distinct.args.get("on")
            rows += f" distinct {self._condition(on, over, {}) if on else _forms(columns.values())}"
        rows += self._taken(node, over)
        return _Relation(columns, rows, over.identity, over.bases)

    def _item(self, node: "exp.Expr", scope: _Scope) -> _Value | None:
        """A value with its SQL."""
        from sqlglot import exp

        value = self._tried(node, scope)
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
        from sqlglot import exp

        used = {column.name for column in node.find_all(exp.Column)}
        aliases = {name: self._tried(item, scope) for name, item in named.items() if name in used}
        return self.value(node, replace(scope, aliases={**aliases, **scope.aliases})).text

    def _taken(self, node: "exp.Expr", scope: _Scope) -> str:
        """What takes some rows of an ordered answer, whose columns are the aliases, where something does."""
        from sqlglot import exp

        limits = [node.args[part].sql("duckdb") for part in ("limit", "offset", "fetch") if node.args.get(part)]
        distinct, columns = node.args.get("distinct"), scope.aliases
        if not limits and not (distinct and distinct is not True and distinct.args.get("on")):
            return ""
        order = node.args.get("order")
        forms = []
        for part in order.expressions if order else ():
            key, how = part.this, f"{part.args.get('desc')} {part.args.get('nulls_first')}"
            if key.name.lower() == "all":
                forms.append(_forms(columns.values()) + how)
            elif isinstance(key, exp.Column) and not key.table and key.name in columns:
                forms.append(_forms([columns[key.name]]) + how)
            else:
                forms.append(self._condition(key, scope, {}) + how)
        return f" first {' '.join(limits)} by [{', '.join(forms)}]"

    def _grouped(self, group: "exp.Expr | None", items: "Mapping[str, exp.Expr]", scope: _Scope) -> _Scope:
        from sqlglot import exp

        keys = list(group.expressions) if group else []
        if group and group.args.get("all"):
            keys = [item for item in items.values() if not aggregates(item)]
        if any(type(key).__name__ in ("Rollup", "Cube", "GroupingSets") for key in keys):
            raise _NotFollowed
        named = [items.get(key.name) if isinstance(key, exp.Column) and not key.table else None for key in keys]
        values = [self.value(item or key, scope) for item, key in zip(named, keys, strict=True)]
        told = [value for value in values if not value.constant]
        forms = ", ".join(sorted(value.text for value in told))
        rows = f"{scope.rows} group by [{forms}]"
        return replace(
            scope,
            rows=rows,
            identity=frozenset(value.token for value in told),
            grouped=rows,
            bounded=any(value.copies in self._timestamps for value in told),
        )

    # What is read from

    def _read(self, node: "exp.Expr", tables: Mapping[str, _Relation]) -> _Scope:
        """The scope of what FROM and joins read, without parentheses around joins."""
        scope = _Scope()
        for source, join in sources(node):
            if type(source).__name__ == "Subquery":
                right = self.query(source.this, tables)
            elif type(source).__name__ == "Table" and source.name in tables:
                right = tables[source.name]
            else:
                raise _NotFollowed
            if join is None:
                scope = _Scope({source.alias_or_name: right.columns}, {}, right.rows, right.identity, right.bases)
            elif join.parent is node:
                scope = self._joined(source.alias_or_name, right, join, scope)
            else:
                raise _NotFollowed
        if not scope.relations:
            raise _NotFollowed
        return scope

    def _joined(self, alias: str, right: _Relation, join: "exp.Expr", scope: _Scope) -> _Scope:
        """What a join makes of a scope; a column of its right side carries the condition, unless that is natural."""
        side, kind, method = (str(join.args.get(part) or "").upper() for part in ("side", "kind", "method"))
        there = {name: value and replace(value, text=f"joined {value.text}") for name, value in right.columns.items()}
        both = replace(scope, relations={**scope.relations, alias: there})
        parts = list(conjunction(join.args.get("on")))
        how = f"{method} on {sorted(self.value(part, both).text for part in parts)}"
        rows = f"{scope.rows} {side} {kind} join ({right.rows}) {how}"
        if kind in ("SEMI", "ANTI"):
            return replace(scope, rows=rows)
        columns = right.columns
        natural = all(self._is_natural(part, both) for part in parts) and not right.bases & scope.bases
        if not natural or method == "ASOF":
            columns = {name: _joined_value(value, f"@[{how}]", scope.identity) for name, value in columns.items()}
        return replace(
            scope,
            relations={**scope.relations, alias: columns},
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
            return scope.value(node)
        if kind in _NOT_FOLLOWED or "query" in node.args and node.args["query"]:
            raise _NotFollowed
        found: list[_Value] = []
        form = self._form(node, scope, found)
        needs = frozenset[str]().union(*(value.needs for value in found))
        bounded = all(value.bounded for value in found)
        if kind == "Window":
            bounded = bounded and _is_bounded(node.args.get("spec"))
            return _Value(f"{form} in {scope.rows}", "", None, needs | scope.identity, bounded)
        if scope.grouped is not None and is_aggregate(function_of(node)):
            bounded = bounded and scope.bounded or self._looks_back_so_far(node, scope)
            return _Value(f"{form} in {scope.grouped}", "", None, scope.identity, bounded)
        return _Value(form, "", None, needs, bounded, constant=not found)

    def _form(self, node: "exp.Expr", scope: _Scope, found: list[_Value]) -> str:
        """The canonical form of a node; values of columns and aggregates below it are added to ``found``."""
        kind = type(node).__name__
        if kind in ("Literal", "Boolean", "Null", "DataType", "Var", "Identifier"):
            return node.sql("duckdb") if kind == "Literal" else node.sql("duckdb").upper()
        within = replace(scope, grouped=None) if is_aggregate(function_of(node)) else scope

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
            value = scope.value(part)
            alone = isinstance(part.parent, exp.Func) and not isinstance(part.parent, exp.Binary)
            return exp.Var(this=value.sql if value.whole or alone else f"({value.sql})")

        return node.copy().transform(replaced).sql("duckdb")

    def _looks_back_so_far(self, node: "exp.Expr", scope: _Scope) -> bool:
        """Whether an aggregate's FILTER says from which time on rows count."""
        if type(node).__name__ != "Filter":
            return False
        for part in conjunction(node.expression.this):
            kind = type(part).__name__
            later = {"GTE": "this", "GT": "this", "LTE": "expression", "LT": "expression"}.get(kind)
            value = self._tried(part.args[later], replace(scope, grouped=None)) if later else None
            if value is not None and value.copies in self._timestamps:
                return True
        return False


_NOT_FOLLOWED = frozenset(
    [
        "Select",
        "Union",
        "Except",
        "Intersect",
        "Subquery",
        "Exists",
        "Lambda",
        "Comprehension",
        "Explode",
        "Unnest",
        "TableColumn",
    ]
)
_INNER = frozenset(
    ["Order", "Ordered", "Where", "WindowSpec", "Distinct", "If", "Interval", "Var", "DataType", "Identifier", "Star"]
)
"""Parts of an expression that are no values themselves."""

_COMMUTATIVE = frozenset(["Add", "Mul", "And", "Or", "EQ", "NEQ", "NullSafeEQ", "NullSafeNEQ"])
_SWAPPED = {"GT": "LT", "GTE": "LTE"}


def _is_bounded(spec: "exp.Expr | None") -> bool:
    """Whether a frame says by time how far it reaches to both sides."""
    if spec is None or str(spec.args.get("kind")).upper() != "RANGE":
        return False
    return all(str(spec.args.get(side) or "CURRENT ROW").upper() != "UNBOUNDED" for side in ("start", "end"))


def _forms(values: Iterable[_Value | None]) -> str:
    forms = [value.text if value else None for value in values]
    if None in forms:
        raise _NotFollowed
    return f"[{', '.join(filter(None, forms))}]"


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
