"""Feature tables from their documents, in the order of their inputs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mlops_assets.engines.query import Query
from mlops_assets.errors import DefinitionError
from mlops_assets.lakehouse.periods import Calendar
from mlops_assets.lakehouse.schema import TableSchema
from mlops_assets.project import attributes as written
from mlops_assets.project.definition import FeatureTableDefinition, SourceDefinition, TableDefinition
from mlops_assets.project.load_expectations import load_expectations
from mlops_assets.project.lookups import typed_default
from mlops_assets.project.python_function import PythonFunction, read_function
from mlops_assets.project.reads import parts_read
from mlops_assets.project.resolving import (
    ABSENT_AS_ZERO,
    check_output,
    columns_of,
    counted,
    generation_of,
    read_query,
    schema_parts,
    unknown_table,
)
from mlops_assets.project.sensitivity import resolved, sql_origins, table_origins
from mlops_assets.project.spans import common_calendar, span_of_tables
from mlops_assets.project.windows import Windows, expand_windows
from mlops_assets.project.yaml_files import Document


@dataclass(frozen=True)
class _Unresolved:
    """A feature table whose inputs are known by name only.

    Args:
        document: Where it is declared.
        parsed: What is declared.
        computation: What computes it; None for windows, which need the columns of their source.
    """

    document: Document
    parsed: written.FeatureTableAttributes
    computation: Query | PythonFunction | None

    @property
    def reads(self) -> frozenset[str]:
        """The names of its inputs."""
        if isinstance(self.computation, Query):
            return self.computation.tables
        return frozenset({self.parsed.windows.source} if self.parsed.windows else self.parsed.inputs)

    @property
    def reads_at(self) -> tuple[str, ...]:
        """The field of the YAML that names the inputs."""
        return ("sql",) if self.parsed.sql else ("windows", "source") if self.parsed.windows else ("inputs",)


def load_feature_tables(
    documents: Sequence[tuple[Document, written.FeatureTableAttributes]],
    sources: Mapping[str, SourceDefinition],
    folder: Path,
) -> dict[str, FeatureTableDefinition]:
    """Resolve feature tables in the order of their inputs.

    Args:
        documents: What is declared.
        sources: The sources, by name.
        folder: The folder of all definitions, in the project's package.
    """
    tables: dict[str, FeatureTableDefinition] = {}
    waiting = [_unresolved(document, parsed, folder.parent.parent) for document, parsed in documents]
    declared = sorted({item.parsed.name for item in waiting} | set(sources))
    for item in waiting:
        _require_declared(item, declared)
        if item.parsed.name in item.reads:
            raise DefinitionError(
                f"'{item.parsed.name}' reads itself",
                "a table that reads others",
                "read its source",
                where=item.document.at(*item.reads_at),
            )
    while waiting:
        ready = [item for item in waiting if item.reads <= {*sources, *tables}]
        if not ready:
            names = ", ".join(item.parsed.name for item in waiting)
            raise DefinitionError(
                f"feature tables that read each other in a circle: {names}",
                "inputs that come before the table",
                "break the circle",
                where=waiting[0].document.at(*waiting[0].reads_at),
            )
        for item in ready:
            tables[item.parsed.name] = _feature_table(item, {**sources, **tables})
        waiting = [item for item in waiting if item not in ready]
    return tables


def _unresolved(document: Document, parsed: written.FeatureTableAttributes, root: Path) -> _Unresolved:
    fields = {"sql": parsed.sql, "python": parsed.python, "windows": parsed.windows}
    given = [name for name, value in fields.items() if value is not None]
    if len(given) != 1:
        raise DefinitionError(
            f"'{parsed.name}' with {' and '.join(given) or 'nothing that computes it'}",
            "exactly one of: sql, python, windows",
            "take the others out" if given else "add one",
            where=document.at(*given[1:2]),
        )
    needed = ["columns", "history"] if parsed.windows is None else []
    needed += ["inputs"] if parsed.python is not None else []
    for name in needed:
        if not getattr(parsed, name):
            raise DefinitionError(
                f"missing field '{name}'", f"'{name}' beside '{given[0]}'", "add it", where=document.at(name)
            )
    if parsed.python is None and parsed.inputs:
        raise DefinitionError(
            f"inputs beside '{given[0]}'",
            "inputs only with python; elsewhere they are read from the definition",
            "take them out",
            where=document.at("inputs"),
        )
    if parsed.sql is not None:
        return _Unresolved(document, parsed, read_query(document, parsed.sql, "sql"))
    if parsed.python is None:
        return _Unresolved(document, parsed, None)
    with document.located("python"):
        function = read_function(parsed.python, parsed.inputs, beside=document.file.parent, root=root)
    return _Unresolved(document, parsed, function)


def _require_declared(item: _Unresolved, declared: Sequence[str]) -> None:
    """See that all inputs are declared, or tell the line in the SQL or YAML."""
    for name in sorted(item.reads - set(declared)):
        if isinstance(item.computation, Query):
            raise unknown_table(name, declared, item.computation)
        position = [item.parsed.inputs.index(name)] if item.computation else []
        found, cure = f"an input '{name}', which no component declares", "correct the name, or declare the table"
        item.document.require_among(name, declared, found, cure, *item.reads_at, *position)


def _feature_table(item: _Unresolved, tables: Mapping[str, TableDefinition]) -> FeatureTableDefinition:
    document, parsed, computation = item.document, item.parsed, item.computation
    inputs = {name: tables[name] for name in sorted(item.reads)}
    calendar = common_calendar(inputs, document.at(*item.reads_at))
    columns, windows = parsed.columns, None
    if parsed.windows is not None:
        windows = expand_windows(document, parsed, tables[parsed.windows.source])
        columns, computation = dict(windows.columns), windows.query
    assert computation is not None  # only windows have none before their source is known
    declared = columns_of(document, columns, parsed.primary_keys, parsed.timestamp, parsed.owners)
    origins = dict.fromkeys(columns, table_origins(inputs))
    if isinstance(computation, Query):
        check_output(document, computation, [*columns], "columns")
        origins |= sql_origins(computation, inputs, columns)
    zeros = windows.zeros if windows else frozenset[str]()
    resolved_columns = []
    for column in declared:
        absent = replace(column, absent_as=typed_default(column, 0) if column.name in zeros else None)
        place = ("columns", column.name)
        resolved_columns.append(resolved(absent, columns[column.name], origins[column.name], document, *place))
    schema = TableSchema(tuple(parsed.primary_keys), parsed.timestamp, tuple(resolved_columns), calendar)
    first, last = span_of_tables(inputs.values(), calendar, document.at(*item.reads_at))
    history = _history(document, parsed, calendar, windows)
    parts = {
        "python" if parsed.python else "sql": computation.canonical,
        "history": f"{history} {calendar.unit}s",
        **schema_parts(schema),
        **({ABSENT_AS_ZERO: json.dumps(sorted(zeros))} if zeros else {}),
        **parts_read(tables, (computation, inputs, list(columns))),
    }
    return FeatureTableDefinition(
        name=parsed.name,
        documentation=parsed.documentation,
        location=document.at(),
        schema=schema,
        computation=computation,
        inputs=tuple(inputs),
        history=history,
        history_location=document.at("history"),
        lag=max(table.lag for table in inputs.values()),
        first=first,
        last=last,
        parts=parts,
        generation=generation_of(parts),
        expectations=load_expectations(document, parsed.expectations, schema, delivers=None),
        engine=parsed.engine,
        online=parsed.online,
    )


def _history(
    document: Document, parsed: written.FeatureTableAttributes, calendar: Calendar, windows: Windows | None
) -> int:
    """How many periods are seen: as declared, or as far as the longest window reaches."""
    if parsed.history is None:
        assert windows is not None  # everything else declares it
        return windows.history
    with document.located("history"):
        history = counted(parsed.history, calendar)
    if windows is not None and history < windows.history:
        raise DefinitionError(
            f"a history of {history} {calendar.unit}s with windows that need {windows.history}",
            f"at least {windows.history} {calendar.unit}s",
            "leave history out: windows know it themselves",
            where=document.at("history"),
        )
    return history
