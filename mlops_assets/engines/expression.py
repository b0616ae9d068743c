"""Expressions that a user wrote: one item of a SELECT, computed from the columns of its own row and nothing else."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets.engines.allow_list import AGGREGATES, ORDERED_AGGREGATES, TABLE_FUNCTIONS, WINDOW_FUNCTIONS
from mlops_assets.engines.query import called_and_named, parse_query, parsed_tree
from mlops_assets.errors import DefinitionError, Location

if TYPE_CHECKING:
    from sqlglot import exp

_MANY_ROWS = AGGREGATES | ORDERED_AGGREGATES | WINDOW_FUNCTIONS | TABLE_FUNCTIONS
_ROW_BY_ROW = "an expression over the columns of one row"


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

    query = parse_query(f"SELECT {text}", file=file)
    tree = parsed_tree(query)
    further = [name for name, part in tree.args.items() if part and name not in ("expressions", "operation_modifiers")]
    if not isinstance(tree, exp.Select) or further or len(tree.expressions) != 1:
        raise _refused("more than one expression", file)
    (item,) = tree.expressions
    for node in item.walk():
        _check_node(node, file)
    if of_many_rows := called_and_named(query.canonical)[0] & _MANY_ROWS:
        raise _refused(f"{min(of_many_rows)}(), which takes many rows or gives them", file)
    columns = dict.fromkeys(column.name for column in item.find_all(exp.Column))
    return Expression(text, query.canonical.removeprefix("SELECT "), tuple(columns))


def _check_node(node: "exp.Expr", file: Path) -> None:
    from sqlglot import exp

    if isinstance(node, exp.Alias):
        raise DefinitionError(
            f"the alias {node.alias}", "an expression; its name stands beside it", "leave AS out", where=Location(file)
        )
    if isinstance(node, exp.Query | exp.Exists):
        raise _refused("a subquery", file)
    if isinstance(node, exp.Window | exp.AggFunc):
        raise _refused(f"{node.sql('duckdb')}, which takes many rows", file)
    if isinstance(node, exp.Star | exp.Lambda | exp.Explode | exp.Unnest):
        raise _refused(f"{node.sql('duckdb')}, which is no value of a row", file)
    if isinstance(node, exp.Column) and node.table:
        raise DefinitionError(
            f"{node.sql('duckdb')}, a column of a table",
            "the plain name of a feature or request column",
            "leave the table out",
            where=Location(file),
        )


def _refused(found: str, file: Path) -> DefinitionError:
    return DefinitionError(found, _ROW_BY_ROW, "compute it in a feature table, and look it up", where=Location(file))
