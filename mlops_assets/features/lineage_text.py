"""Column lineage as text for the terminal, as JSON for programs, and as a Markdown table for an asset's page."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Literal

from mlops_assets.features.lineage import ColumnEdge, LineageGraph, TableColumn
from mlops_assets.markdown import as_table, as_text

JSON_FORMAT = "mlops-assets/lineage/1"
"""Names the shape of `as_json`; the number rises when a program that reads it must change."""


MAX_LISTED = 6
"""So many columns of one table are named in a cell of `as_markdown`; of more, their number is told."""


def as_tree(graph: LineageGraph, asked: Sequence[TableColumn], *, up: bool, down: bool) -> str:
    """A tree for each column asked for: what it comes from, and what comes from it, each with how.

    Args:
        graph: What `LineageGraph.around` gave.
        asked: The columns at the roots.
        up: Whether the graph tells what they come from.
        down: Whether it tells what comes from them.
    """
    lines = []
    for column in asked:
        lines.append(f"{column}{_sensitivity(graph, column)}")
        if up:
            lines += ["  comes from", *_branches(graph, column, "up", set())]
        if down:
            lines += ["  goes into", *_branches(graph, column, "down", set())]
    return "\n".join(lines)


def as_json(graph: LineageGraph, asked: Sequence[TableColumn]) -> str:
    """The graph for programs.

    An object with ``format``, ``asked`` and ``columns`` (objects with ``table`` and ``column``, in the order of the
    data's flow, the latter with ``sensitivity`` and ``sensitivity_reason`` where they are known), and ``edges``
    (objects with ``from``, ``to`` and ``how``: copied, renamed, computed, aggregated, unknown, learned or rows).
    """
    columns = [TableColumn(table, column) for table, names in graph.tables.items() for column in names]
    document = {
        "format": JSON_FORMAT,
        "asked": [asdict(column) for column in asked],
        "columns": [{**asdict(column), **_described(graph, column)} for column in columns],
        "edges": [{"from": asdict(edge.source), "to": asdict(edge.target), "how": edge.how} for edge in graph.edges],
    }
    return json.dumps(document, indent=2)


def as_markdown(columns: Sequence[str], edges: Iterable[ColumnEdge]) -> str:
    """A table of one table's columns, what each comes from and how, and below it what decides on the rows.

    Args:
        columns: The columns of the table, in order.
        edges: The edges that end in them.
    """
    values: dict[tuple[str, str], list[TableColumn]] = {}
    deciding: dict[TableColumn, None] = {}
    for edge in edges:
        if edge.how == "rows":
            deciding[edge.source] = None
        else:
            values.setdefault((edge.target.column, edge.how), []).append(edge.source)
    rows = []
    for column in columns:
        hows = [how for name, how in values if name == column]
        rows += [[column, _listed(values[column, how], how), how] for how in hows]
        if not hows:
            rows.append([column, "", "none: a constant, a count of rows, or set by the platform"])
    table = as_table(["column", "from", "how"], rows)
    depends = f"\n\nWhich rows are used depends on: {as_text(_listed(list(deciding), 'rows'))}." if deciding else ""
    return table + depends


def _listed(columns: Sequence[TableColumn], how: str) -> str:
    """Columns by name, and those of one table that are too many to read by their number."""
    by_table: dict[str, list[TableColumn]] = {}
    for column in columns:
        by_table.setdefault(column.table, []).append(column)
    parts = []
    for table, of_table in by_table.items():
        if how == "unknown":
            parts.append(f"any column of {table}")
        elif len(of_table) > MAX_LISTED:
            parts.append(f"{len(of_table)} columns of {table}")
        else:
            parts += [str(column) for column in of_table]
    return ", ".join(parts)


def _sensitivity(graph: LineageGraph, column: TableColumn) -> str:
    """What people should know of it: that it is personal or public, or that it was declared less sensitive, and why."""
    of = graph.described.get(column)
    if of is None or (of.sensitivity == "internal" and not of.sensitivity_reason):
        return ""
    return f"  {of.sensitivity}" + (f", for: {of.sensitivity_reason}" if of.sensitivity_reason else "")


def _described(graph: LineageGraph, column: TableColumn) -> dict[str, str]:
    of = graph.described.get(column)
    return {"sensitivity": of.sensitivity, "sensitivity_reason": of.sensitivity_reason} if of else {}


def _branches(
    graph: LineageGraph,
    column: TableColumn,
    direction: Literal["up", "down"],
    shown: set[TableColumn],
    indent: str = "  ",
) -> Iterator[str]:
    leading = graph.above if direction == "up" else graph.below
    branches: dict[str, TableColumn] = {}
    for edge in leading.get(column, ()):
        following = edge.source if direction == "up" else edge.target
        if edge.how == "unknown" and direction == "up" and following not in leading:
            branches[f"any column of {following.table}  unknown"] = following
        else:
            branches[f"{following}  {edge.how}"] = following
    for number, (text, following) in enumerate(branches.items()):
        last = number == len(branches) - 1
        again = following in leading and following in shown
        yield f"{indent}{'└─' if last else '├─'} {text}{', as above' if again else ''}"
        if not again:
            shown.add(following)
            yield from _branches(graph, following, direction, shown, indent + ("   " if last else "│  "))
    if not branches and indent == "  ":
        yield "  └─ nothing"
