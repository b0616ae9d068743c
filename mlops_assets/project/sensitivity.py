"""How sensitive a column is: as the most sensitive of what it is computed from, unless less is declared with a reason.

By value or by rows: a column that only decides which rows are used (WHERE, ON, GROUP BY, a window's order) counts as
much as one that is copied, keys among them, for a figure of one person tells about that person. What a model finds its
rows by, its own keys and time, does not count again: whoever declared the table that it looks up in has said how
sensitive a value is beside its key.
"""

from collections.abc import Mapping
from dataclasses import replace

from mlops_assets.engines.column_lineage import query_lineage
from mlops_assets.engines.query import Query
from mlops_assets.errors import DefinitionError
from mlops_assets.lakehouse.schema import Column, Sensitivity, greatest
from mlops_assets.project import attributes as written
from mlops_assets.project.definition import TableDefinition
from mlops_assets.project.yaml_files import Document

Origins = Mapping[str, Sensitivity]
"""What a column is computed from, as people name it, and how sensitive that is."""


def table_origins(tables: Mapping[str, TableDefinition]) -> Origins:
    """All columns of some tables: what a function may compute from."""
    return {
        f"{name}.{column.name}": column.sensitivity for name, table in tables.items() for column in table.schema.columns
    }


def sql_origins(
    query: Query, tables: Mapping[str, TableDefinition], declared: Mapping[str, written.SensitivityAttributes | None]
) -> Mapping[str, Origins]:
    """What each of some columns of a query is computed from, by value or by rows.

    Args:
        query: The SQL.
        tables: The tables that it reads, by name.
        declared: Columns that it gives, with what is declared of them.
    """
    levels = table_origins(tables)
    if set(levels.values()) <= {"internal"} and not any(one and one.sensitivity for one in declared.values()):
        return dict.fromkeys(declared, levels)  # whichever of them count; to read the SQL once more takes milliseconds
    names = {name: table.schema.names for name, table in tables.items()}
    return {
        name: {(of := f"{origin.table}.{origin.column}"): levels[of] for origin in origins}
        for name, origins in query_lineage(query, names, declared).items()
    }


def resolved(
    column: Column,
    declared: written.SensitivityAttributes | None,
    origins: Origins,
    document: Document,
    *place: str | int,
) -> Column:
    """A column with its sensitivity: that of its origins, or the declared one.

    Args:
        column: The column.
        declared: What is declared of it, if anything.
        origins: What it is computed from.
        document: Where it is declared.
        place: The column's place there.

    Raises:
        DefinitionError: It is declared less sensitive than its origins without a reason, or a reason without a
            sensitivity.
    """
    inherited = greatest(origins.values())
    own, reason = (declared.sensitivity, declared.sensitivity_reason.strip()) if declared else (None, "")
    if own is None:
        if reason:
            raise DefinitionError(
                f"a sensitivity_reason for '{column.name}' without a sensitivity",
                "both, or neither",
                f"declare the sensitivity that it gives the reason for; by default it is {inherited}",
                where=document.at(*place, "sensitivity_reason"),
            )
        return replace(column, sensitivity=inherited, sensitivity_reason="")
    if origins and greatest([own, inherited]) != own and not reason:
        of = [name for name, level in origins.items() if level == inherited]
        listed = ", ".join(of[:MAX_NAMED]) + (f" and {len(of) - MAX_NAMED} more" if len(of) > MAX_NAMED else "")
        raise DefinitionError(
            f"sensitivity '{own}' for '{column.name}', which is computed, by value or by rows, from what is "
            f"{inherited}: {listed}",
            f"{inherited}, or a sensitivity_reason that says why it is less",
            "leave sensitivity out, or give the reason, which is shown and kept with the column",
            where=document.at(*place, "sensitivity"),
        )
    return replace(column, sensitivity=own, sensitivity_reason=reason)


MAX_NAMED = 3
"""So many of a column's origins are named in an error."""
