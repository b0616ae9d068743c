"""What somebody reads of a table: which of its columns, and the part of its definition that decides these.

A column that nobody reads may come, go and change, and nothing rests on it: neither is it in the definition of who
reads the table, nor in what is recorded as read.
"""

import json
from collections.abc import Iterable, Mapping, Sequence

from mlops_assets.engines.column_lineage import query_lineage
from mlops_assets.engines.narrowing import narrowed
from mlops_assets.engines.query import Query
from mlops_assets.project.definition import (
    FeatureTableDefinition,
    ModelDefinition,
    ProjectDefinition,
    SourceDefinition,
    TableDefinition,
)
from mlops_assets.project.python_function import PythonFunction
from mlops_assets.project.resolving import ABSENT_AS_ZERO, generation_of, schema_parts

Reads = Mapping[str, frozenset[str] | None]
"""Which columns are read of each table, beside its keys and time; None for all, whatever they are."""

Reading = tuple[Query | PythonFunction, Mapping[str, TableDefinition], Sequence[str]]
"""What computes columns, from which tables by name, and which of the columns that it gives are wanted."""


def columns_read(
    computation: Query | PythonFunction, inputs: Mapping[str, TableDefinition], wanted: Iterable[str]
) -> Reads:
    """Which columns of its inputs a computation takes some of its columns from, by value or to choose rows.

    Args:
        computation: The computation.
        inputs: The tables that it reads, by name.
        wanted: Columns that it gives.
    """
    if isinstance(computation, PythonFunction):
        return dict.fromkeys(inputs)
    found: dict[str, set[str]] = {name: set() for name in inputs}
    names = {name: table.schema.names for name, table in inputs.items()}
    for origins in query_lineage(computation, names, wanted).values():
        for origin in origins:
            found[origin.table].add(origin.column)
    return {name: frozenset(columns) for name, columns in found.items()}


def table_reads(project: ProjectDefinition, table: FeatureTableDefinition) -> Reads:
    """What a feature table reads."""
    return columns_read(table.computation, {name: project.table(name) for name in table.inputs}, table.schema.names)


def population_reads(project: ProjectDefinition, model: ModelDefinition) -> Reads:
    """What a model's population reads."""
    inputs = {name: project.table(name) for name in model.population_inputs}
    return columns_read(model.population, inputs, [*model.schema.names, *(column.name for column in model.request)])


def label_reads(project: ProjectDefinition, model: ModelDefinition) -> Reads:
    """What a model's labels read: what its population and its label read."""
    inputs = {name: project.table(name) for name in model.label.inputs}
    label = columns_read(model.label.query, inputs, [*model.schema.names, model.label.column])
    return joined(population_reads(project, model), label)


def model_reads(project: ProjectDefinition, model: ModelDefinition) -> Reads:
    """What a model's predictions read: what its population reads, and what it looks up."""
    return joined(population_reads(project, model), lookup_reads(model))


def lookup_reads(model: ModelDefinition) -> Reads:
    """What a model's features read."""
    return joined(*({lookup.table: frozenset(lookup.columns)} for lookup in model.lookups))


def joined(*reads: Reads) -> Reads:
    """What several read together."""
    found: dict[str, frozenset[str] | None] = {}
    for read in reads:
        for name, columns in read.items():
            before = found.get(name, frozenset())
            found[name] = None if before is None or columns is None else before | columns
    return found


def parts_read(tables: Mapping[str, TableDefinition], *readings: Reading) -> dict[str, str]:
    """What tells the definitions of what is read, as parts of the definition of who reads it.

    Args:
        tables: All tables by name, also those that these rest on.
        readings: What reads them.
    """
    reads = joined(
        *(
            # Sources have one definition, whatever is read; to read the SQL once more takes milliseconds.
            dict.fromkeys(inputs)
            if all(isinstance(table, SourceDefinition) for table in inputs.values())
            else columns_read(computation, inputs, wanted)
            for computation, inputs, wanted in readings
        )
    )
    return {f"input {name}": _definition_read(tables[name], columns, tables) for name, columns in reads.items()}


def _definition_read(
    table: TableDefinition, columns: frozenset[str] | None, tables: Mapping[str, TableDefinition]
) -> str:
    """The generation that a table would have if it were declared with nothing but the columns that are read."""
    if not isinstance(table, FeatureTableDefinition) or columns is None or table.query is None:
        return table.generation
    schema = table.schema.narrowed(columns)
    kept = {**table.parts, "sql": narrowed(table.query, frozenset(name.lower() for name in schema.names))}
    zeros = [name for name in json.loads(kept.pop(ABSENT_AS_ZERO, "[]")) if name in schema.names]
    inputs = {name: tables[name] for name in table.inputs}
    parts = {
        **{name: text for name, text in kept.items() if not name.startswith(("column ", "input "))},
        **schema_parts(schema),
        **({ABSENT_AS_ZERO: json.dumps(zeros)} if zeros else {}),
        **parts_read(tables, (table.query, inputs, schema.names)),
    }
    return generation_of(parts)
