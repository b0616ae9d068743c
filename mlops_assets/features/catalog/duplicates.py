"""Columns of feature tables that repeat one another: the same expression over the same source columns.

What counts as the same is said in `engines/column_expressions.py`: equal forms have the same value in every row that
both tables have. Beside that:

- A plain copy of a source's column repeats nothing, however many tables have it: nothing is computed, and a table that
  carries a key's attribute along, under whatever name, is how one looks it up by another key.
- A plain copy of another feature table's feature repeats that feature: it can be looked up where it is.
- Keys and timestamps repeat nothing, nor do constants.
- Of a Python function's columns nothing can be told.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mlops_assets.features.catalog.entries import table_expressions
from mlops_assets.features.lineage import TableColumn
from mlops_assets.project.definition import ProjectDefinition


@dataclass(frozen=True)
class Repeat:
    """One column that repeats another.

    Args:
        column: The column that is there once too often.
        of: The one to keep: it copies no other, and a model looks it up where one looks up any of them.
        sql: What both compute, over the columns of the inputs of ``column``'s table.
    """

    column: TableColumn
    of: TableColumn
    sql: str


def repeated_columns(project: ProjectDefinition) -> tuple[Repeat, ...]:
    """Every column that repeats another; each is told once, with the one to keep."""
    found = []
    for same in _alike(project):
        (first, _), *others = same.items()
        found += [Repeat(column, first, sql) for column, sql in others]
    return tuple(found)


def repeats_of(project: ProjectDefinition, table: str) -> Mapping[str, tuple[str, ...]]:
    """The columns of a table that others are alike with, each with these as TABLE.COLUMN."""
    found: dict[str, tuple[str, ...]] = {}
    for same in _alike(project):
        for column in same:
            if column.table == table:
                found[column.column] = tuple(str(other) for other in same if other != column)
    return found


def repeat_warnings(project: ProjectDefinition) -> list[str]:
    """A sentence for each column that repeats another, with the place of its table."""
    return [
        f"{project.feature_tables[repeat.column.table].location}: {repeat.column} repeats {repeat.of} ({repeat.sql}): "
        f"{'take one of them out' if repeat.of.table == repeat.column.table else 'look that one up, or say why not'}."
        for repeat in repeated_columns(project)
    ]


@dataclass(frozen=True)
class _ComputedColumn:
    """What a column computes, and whether it only copies another feature table's."""

    sql: str
    copied: bool


def _alike(project: ProjectDefinition) -> Iterator[dict[TableColumn, str]]:
    """Columns that are alike, with the SQL of each; the first is the one to keep.

    That is one that copies no other; of several one that a model looks up; of several the first in the project.
    """
    for same in _by_form(project):
        ordered = sorted(same, key=lambda of: (same[of].copied, not project.models_using(of.table, of.column)))
        yield {column: same[column].sql for column in ordered}


def _by_form(project: ProjectDefinition) -> Iterator[dict[TableColumn, _ComputedColumn]]:
    by_form: dict[str, dict[TableColumn, _ComputedColumn]] = {}
    for name, table in project.feature_tables.items():  # inputs come before those that read them
        expressions = table_expressions(project, table)
        for column in table.schema.value_names:
            expression = expressions.get(column)
            if expression is None or expression.canonical is None or expression.constant:
                continue
            form = expression.canonical
            if expression.copies:
                read, copied = expression.copies
                if read not in project.feature_tables or copied not in project.feature_tables[read].schema.value_names:
                    continue
                form = f"{read}.{copied}"
                by_form.setdefault(form, {TableColumn(read, copied): _ComputedColumn(copied, False)})
            same = by_form.setdefault(form, {})
            same[TableColumn(name, column)] = _ComputedColumn(expression.sql, expression.copies is not None)
            by_form[f"{name}.{column}"] = same  # what copies this column is like it, too
    distinct = {id(same): same for same in by_form.values()}
    yield from (same for same in distinct.values() if len(same) > 1)
