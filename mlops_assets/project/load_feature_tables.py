"""Feature tables from their documents, in the order of their inputs."""

from collections.abc import Mapping, Sequence

from mlops_assets.engines.query import Query
from mlops_assets.errors import DefinitionError
from mlops_assets.lakehouse.periods import Duration
from mlops_assets.lakehouse.schema import TableSchema
from mlops_assets.project import attributes as written
from mlops_assets.project.definition import (
    FeatureTableDefinition,
    SourceDefinition,
    TableDefinition,
    common_calendar,
)
from mlops_assets.project.resolving import (
    check_output,
    columns_of,
    documentation_of,
    located,
    read_query,
    short_hash,
    span_of_tables,
    unknown_table,
)
from mlops_assets.project.yaml_files import Document


def load_feature_tables(
    documents: Sequence[tuple[Document, written.FeatureTableAttributes]],
    sources: Mapping[str, SourceDefinition],
) -> dict[str, FeatureTableDefinition]:
    """Resolve feature tables in the order of their inputs."""
    tables: dict[str, FeatureTableDefinition] = {}
    waiting = [(document, parsed, read_query(document, parsed.sql, "sql")) for document, parsed in documents]
    declared = {parsed.name for _, parsed, _ in waiting} | set(sources)
    for document, parsed, query in waiting:
        for name in sorted(query.tables - declared):
            raise unknown_table(name, sorted(declared), query)
        if parsed.name in query.tables:
            raise DefinitionError(
                f"'{parsed.name}' reads itself",
                "a table that reads others",
                "read its source",
                where=document.at("sql"),
            )
    while waiting:
        ready = [item for item in waiting if item[2].tables <= {*sources, *tables}]
        if not ready:
            names = ", ".join(parsed.name for _, parsed, _ in waiting)
            raise DefinitionError(
                f"feature tables that read each other in a circle: {names}",
                "inputs that come before the table",
                "break the circle",
                where=waiting[0][0].at("sql"),
            )
        for document, parsed, query in ready:
            tables[parsed.name] = _feature_table(document, parsed, query, {**sources, **tables})
        waiting = [item for item in waiting if item not in ready]
    return tables


def _feature_table(
    document: Document,
    parsed: written.FeatureTableAttributes,
    query: Query,
    tables: Mapping[str, TableDefinition],
) -> FeatureTableDefinition:
    inputs = {name: tables[name] for name in sorted(query.tables)}
    calendar = common_calendar(inputs, document.at("sql"))
    schema = TableSchema(
        tuple(parsed.primary_keys),
        parsed.timestamp,
        columns_of(document, parsed.columns, parsed.primary_keys, parsed.timestamp, parsed.owners),
        calendar,
    )
    check_output(document, query, [*parsed.columns], "columns")
    first, last = span_of_tables(inputs.values())
    return FeatureTableDefinition(
        name=parsed.name,
        documentation=documentation_of(parsed),
        location=document.at(),
        schema=schema,
        query=query,
        inputs=tuple(inputs),
        history=located(document, "history", lambda: Duration.parse(parsed.history).periods(calendar)),
        lag=max(table.lag for table in inputs.values()),
        first=first,
        last=last,
        generation=short_hash(
            query.definition_hash,
            parsed.history,
            *(f"{column.name} {column.type}" for column in schema.columns),
            *schema.keys,
            parsed.timestamp,
            *(f"{name} {table.generation}" for name, table in inputs.items()),
        ),
    )
