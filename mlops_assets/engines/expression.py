"""Expressions that a user wrote: one item of a SELECT, of the columns of its own row, or one figure of many rows."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets.engines.allow_list import AGGREGATES, ORDERED_AGGREGATES, TABLE_FUNCTIONS, WINDOW_FUNCTIONS
from mlops_assets.engines.query import Query, called_and_named, parse_query, parsed_tree
from mlops_assets.engines.sql_tree import is_aggregate
from mlops_assets.errors import DefinitionError, Location

if TYPE_CHECKING:
    from sqlglot import exp

_MANY_ROWS = AGGREGATES | ORDERED_AGGREGATES | WINDOW_FUNCTIONS | TABLE_FUNCTIONS
_ROW_BY_ROW = "an expression over the columns of one row"
_ONE_FIGURE = "one figure of all rows: each column inside of one aggregate"


@dataclass(frozen=True)
class Expression:
    """One expression that passed the checks.

    Attributes:
        text: The expression as the user wrote it.
        canonical: What engines run, in DuckDB's dialect; layout, comments and the case of keywords change nothing.
        columns: The columns that it reads, as written.
    """

    text: str
    canonical: str
    columns: tuple[str, ...]


def parse_expression(text: str, *, file: Path) -> Expression:
    """Read one item of a SELECT, on the same allow-list as a whole query, and refuse what needs more than one row.

    Args:
        text: The expression, without an alias.
        file: Where it stands, for the message of an error.

    Raises:
        DefinitionError: It is not one expression, or an aggregate, a window or a subquery, or asks for what no SQL
            of a user may ask for.
    """
    from sqlglot import exp

    query, item = _item(text, _ROW_BY_ROW, file)
    for node in item.walk():
        _check_node(node, _ROW_BY_ROW, file)
        if isinstance(node, exp.AggFunc):
            raise _refused(f"{node.sql('duckdb')}, which takes many rows", _ROW_BY_ROW, file)
    if of_many_rows := called_and_named(query.canonical)[0] & _MANY_ROWS:
        raise _refused(f"{min(of_many_rows)}(), which takes many rows or gives them", _ROW_BY_ROW, file)
    return _expression(query, item, text)


def parse_aggregate(text: str, *, file: Path) -> Expression:
    """Read one figure of many rows, such as ``sum(price) / count(*)``, on the same allow-list.

    Args:
        text: The expression, without an alias.
        file: Where it stands, for the message of an error.

    Raises:
        DefinitionError: It is not one expression, not one figure of all rows, or asks for what no SQL of a user may
            ask for.
    """
    from sqlglot import exp

    query, item = _item(text, _ONE_FIGURE, file)
    found = [node for node in item.walk() if is_aggregate(node)]
    if not found:
        raise _refused("no aggregate", _ONE_FIGURE, file)
    for node in item.walk():
        if not (isinstance(node, exp.Star) and isinstance(node.parent, exp.Count)):
            _check_node(node, _ONE_FIGURE, file)
        above = [parent for parent in _ancestors(node) if is_aggregate(parent)]
        if isinstance(node, exp.Column) and not above and not node.find_ancestor(exp.Filter):
            raise _refused(f"{node.sql('duckdb')} outside of an aggregate", _ONE_FIGURE, file)
        if is_aggregate(node) and above:
            raise _refused(f"{node.sql('duckdb')} inside of another aggregate", _ONE_FIGURE, file)
    if strange := called_and_named(query.canonical)[0] & (_MANY_ROWS - AGGREGATES):
        raise _refused(f"{min(strange)}(), which is no figure of all rows", _ONE_FIGURE, file)
    return _expression(query, item, text)


def _ancestors(node: "exp.Expr") -> "Iterator[exp.Expr]":
    while (parent := node.parent) is not None:
        yield parent
        node = parent


def _item(text: str, expected: str, file: Path) -> "tuple[Query, exp.Expr]":
    from sqlglot import exp

    query = parse_query(f"SELECT {text}", file=file)
    tree = parsed_tree(query)
    further = [name for name, part in tree.args.items() if part and name not in ("expressions", "operation_modifiers")]
    if not isinstance(tree, exp.Select) or further or len(tree.expressions) != 1:
        raise _refused("more than one expression", expected, file)
    return query, tree.expressions[0]


def _expression(query: Query, item: "exp.Expr", text: str) -> Expression:
    from sqlglot import exp

    columns = dict.fromkeys(column.name for column in item.find_all(exp.Column))
    return Expression(text, query.canonical.removeprefix("SELECT "), tuple(columns))


def _check_node(node: "exp.Expr", expected: str, file: Path) -> None:
    from sqlglot import exp

    if isinstance(node, exp.Alias):
        raise DefinitionError(
            f"the alias {node.alias}", "an expression; its name stands beside it", "leave AS out", where=Location(file)
        )
    if isinstance(node, exp.Query | exp.Exists):
        raise _refused("a subquery", expected, file)
    if isinstance(node, exp.Window):
        raise _refused(f"{node.sql('duckdb')}, which takes many rows", expected, file)
    if isinstance(node, exp.Star | exp.Lambda | exp.Explode | exp.Unnest):
        raise _refused(f"{node.sql('duckdb')}, which is no value of a row", expected, file)
    if isinstance(node, exp.Column) and node.table:
        raise DefinitionError(
            f"{node.sql('duckdb')}, a column of a table",
            "the plain name of a feature or request column",
            "leave the table out",
            where=Location(file),
        )


def _refused(found: str, expected: str, file: Path) -> DefinitionError:
    cure = "compute it in a feature table, and look it up" if expected == _ROW_BY_ROW else "write, say, sum(abs(x - y))"
    return DefinitionError(found, expected, cure, where=Location(file))
