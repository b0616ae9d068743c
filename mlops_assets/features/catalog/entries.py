"""What the catalog says of each table: its columns and their origin, who uses it, and lines to paste; and of models.

Nothing is stored: an entry follows from the YAML and the SQL, so it is that of the definitions as they stand.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from mlops_assets.engines.column_expressions import ColumnExpression, column_expressions, written_expressions
from mlops_assets.errors import DefinitionError, none_of
from mlops_assets.features.lineage import feature_table_lineage
from mlops_assets.lakehouse.schema import Column
from mlops_assets.project.definition import FeatureTableDefinition, ModelDefinition, ProjectDefinition, TableDefinition


@dataclass(frozen=True)
class ColumnEntry:
    """One column.

    Args:
        table: The table that has it.
        name: As in SQL.
        type: Logical type.
        kind: ``number`` or ``category``, or ``key`` and ``time``, which models do not use.
        description: What a value means.
        owners: Who answers for it.
        sensitivity: ``public``, ``internal`` or ``personal``.
        expression: The SQL that computes it, over the columns of the inputs where that can be told; None of a
            source's column, and where no SQL names it.
        sources: What its value is computed from, as TABLE.COLUMN; none of a source's column.
        used_by: The models that look it up.
        sensitivity_reason: Why it was declared less sensitive than what it is computed from; empty where it was not.
    """

    table: str
    name: str
    type: str
    kind: str
    description: str
    owners: tuple[str, ...]
    sensitivity: str
    expression: str | None
    sources: tuple[str, ...]
    used_by: tuple[str, ...] = ()
    sensitivity_reason: str = ""


@dataclass(frozen=True)
class TableEntry:
    """One source or feature table; or a model, as something to be found: it has no columns of its own.

    Args:
        name: Its name.
        kind: Which of them.
        description: What it is.
        owners: Who answers for it.
        tags: Labels to search by.
        keys: Columns that name an entity.
        timestamp: Column with the time of a row; None of a static table.
        columns: All columns, in the order of storage.
        online: Whether applications read it from the online store.
        used_by: The models that look it up, or read it in their population or label.
        inputs: The tables it is computed from; none of a source.
        readers: The feature tables that are computed from it.
        generation: What tells its present definition from earlier ones.
    """

    name: str
    kind: Literal["source", "feature table", "model"]
    description: str
    owners: tuple[str, ...]
    tags: Mapping[str, str]
    keys: tuple[str, ...]
    timestamp: str | None
    columns: tuple[ColumnEntry, ...]
    online: bool
    used_by: tuple[str, ...]
    inputs: tuple[str, ...]
    readers: tuple[str, ...]
    generation: str

    @property
    def features(self) -> list[str]:
        """The columns that models look up: those that are neither key nor timestamp."""
        return [column.name for column in self.columns if column.kind not in ("key", "time")]

    def column(self, name: str) -> ColumnEntry:
        """The column of a name.

        Raises:
            DefinitionError: There is none.
        """
        for column in self.columns:
            if column.name == name:
                return column
        raise none_of(f"no column '{name}' in '{self.name}'", name, (column.name for column in self.columns))


@dataclass(frozen=True)
class Catalog:
    """All tables and models of a project.

    Args:
        tables: By name; sources first, then feature tables in the order of their inputs.
        models: By name, which no table has.
    """

    tables: Mapping[str, TableEntry]
    models: Mapping[str, TableEntry] = field(default_factory=dict)

    def entry(self, name: str) -> TableEntry:
        """The table or model of a name that is there."""
        return self.tables.get(name) or self.models[name]

    def table(self, name: str) -> TableEntry:
        """The table of a name.

        Raises:
            DefinitionError: There is none.
        """
        if name not in self.tables:
            raise none_of(f"no table '{name}' in the catalog", name, self.tables, empty="none is declared")
        return self.tables[name]


def catalog(project: ProjectDefinition) -> Catalog:
    """What a project's tables are; needs no home, and reads each SQL once in a process."""
    tables = {name: _entry(project, table) for name, table in project.tables.items()}
    return Catalog(tables, {name: _entry_of_model(model) for name, model in project.models.items()})


def _entry_of_model(model: ModelDefinition) -> TableEntry:
    return TableEntry(
        name=model.name,
        kind="model",
        description=model.documentation.description,
        owners=model.documentation.owners,
        tags=model.documentation.tags,
        keys=model.schema.keys,
        timestamp=model.schema.timestamp,
        columns=(),
        online=False,
        used_by=(model.name,),
        inputs=model.inputs,
        readers=(),
        generation=model.generation,
    )


def table_expressions(project: ProjectDefinition, table: FeatureTableDefinition) -> Mapping[str, ColumnExpression]:
    """How the columns of a feature table are computed, as far as its SQL can be followed; nothing of a function."""
    if table.query is None:
        return {}
    inputs = {name: project.table(name).schema for name in table.inputs}
    return column_expressions(table.query, inputs, table.schema, table.history)


def lines_to_paste(entry: TableEntry, columns: Iterable[str] | None = None) -> str:
    """YAML that looks a table up: one item of a model's ``features``.

    Args:
        entry: The table.
        columns: The columns wanted; None for all that are neither key nor timestamp.

    Returns:
        Lines that begin with ``- table:`` and end with a line break, indented as an item below ``features:``.

    Raises:
        DefinitionError: A column is not in the table, or is a key or its timestamp; or there is none to look up.
    """
    values = entry.features
    chosen = values if columns is None else list(dict.fromkeys(columns))
    for name in chosen:
        if name not in values:
            found = "which is a key or the timestamp of" if entry.column(name) else ""
            cure = "leave it out: models look up by key and time"
            raise none_of(f"column '{name}', {found} '{entry.name}'", name, values, cure)
    if not chosen:
        raise DefinitionError(
            f"no column of '{entry.name}' to look up",
            f"one of: {', '.join(values) or 'it has keys only'}",
            "choose one",
        )
    lines = [f"- table: {entry.name}", *_in_lines("  columns: [", map(_yaml, chosen), "]")]
    return "".join(f"    {line}\n" for line in lines)


def _in_lines(begin: str, names: Iterable[str], end: str) -> list[str]:
    """A list on as few lines as hold it, each but the first indented as far as the first name."""
    lines = [begin]
    for place, name in enumerate(names):
        part = f", {name}" if place else name
        if len(lines[-1]) + len(part) > WIDTH and place:
            lines[-1] += ","
            lines.append(" " * len(begin) + name)
        else:
            lines[-1] += part
    lines[-1] += end
    return lines


WIDTH = 58
"""Letters on a line of what is pasted, before its indentation."""

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_NOT_TEXT = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})


def _yaml(name: str) -> str:
    """A name as YAML text; quoted where YAML would read it as something else."""
    plain = _PLAIN.fullmatch(name) and name.lower() not in _NOT_TEXT
    return name if plain else json.dumps(name, ensure_ascii=False)


def _entry(project: ProjectDefinition, table: TableDefinition) -> TableEntry:
    computed = isinstance(table, FeatureTableDefinition)
    sources: dict[str, list[str]] = {}
    expressions: Mapping[str, str] = {}
    if isinstance(table, FeatureTableDefinition):
        for edge in feature_table_lineage(project, table):
            if edge.how != "rows":
                sources.setdefault(edge.target.column, []).append(str(edge.source))
        told = {name: expression.sql for name, expression in table_expressions(project, table).items()}
        written = written_expressions(table.query) if table.query else {}
        expressions = {name: told.get(name) or written.get(name.lower(), "") for name in table.schema.names}
    users = [model for model in project.models.values() if table.name in (*model.inputs, *model.label.inputs)]
    return TableEntry(
        name=table.name,
        kind="feature table" if computed else "source",
        description=table.documentation.description,
        owners=table.documentation.owners,
        tags=table.documentation.tags,
        keys=table.schema.keys,
        timestamp=table.schema.timestamp,
        columns=tuple(
            _column(project, table, column, expressions.get(column.name) or None, sources.get(column.name, ()))
            for column in table.schema.columns
        ),
        online=table.online,
        used_by=tuple(model.name for model in users),
        inputs=table.inputs if isinstance(table, FeatureTableDefinition) else (),
        readers=tuple(name for name, other in project.feature_tables.items() if table.name in other.inputs),
        generation=table.generation,
    )


def _column(
    project: ProjectDefinition, table: TableDefinition, column: Column, expression: str | None, sources: Iterable[str]
) -> ColumnEntry:
    return ColumnEntry(
        table=table.name,
        name=column.name,
        type=column.type,
        kind=column.kind,
        description=column.description,
        owners=column.owners or table.documentation.owners,
        sensitivity=column.sensitivity,
        sensitivity_reason=column.sensitivity_reason,
        expression=expression,
        sources=tuple(sources),
        used_by=tuple(model.name for model in project.models_using(table.name, column.name)),
    )
