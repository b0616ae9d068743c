"""From YAML and SQL to a `ProjectDefinition`, with every name and type checked before anything runs."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from mlops_assets.engines.query import Query, parse_query
from mlops_assets.errors import DefinitionError, Location, PlatformError
from mlops_assets.lakehouse.content_hash import text_hash
from mlops_assets.lakehouse.periods import Calendar, Duration, Period
from mlops_assets.lakehouse.schema import RESERVED_COLUMNS, Column, TableSchema
from mlops_assets.project import attributes as written
from mlops_assets.project.definition import (
    Documentation,
    FeatureTableDefinition,
    Gate,
    LabelDefinition,
    LookupDefinition,
    ModelDefinition,
    ProjectDefinition,
    RetrainPolicy,
    SourceDefinition,
    TableDefinition,
    TemplateChoice,
    common_calendar,
)
from mlops_assets.project.yaml_files import Document, read_documents

KINDS: Mapping[str, type[written.SharedAttributes]] = {
    "Source": written.SourceAttributes,
    "FeatureTable": written.FeatureTableAttributes,
    "Model": written.ModelAttributes,
}


def load_project(folder: Path) -> ProjectDefinition:
    """Read and check all definitions below a folder.

    Raises:
        DefinitionError: The first fault found, with file and line.
    """
    documents: dict[str, list[tuple[Document, Any]]] = {kind: [] for kind in KINDS}
    places: dict[str, Location] = {}
    for document in read_documents(folder):
        if document.kind not in KINDS:
            raise DefinitionError(
                f"component type 'mlops_assets.{document.kind}'",
                "mlops_assets.Source, mlops_assets.FeatureTable or mlops_assets.Model",
                "correct the type",
                where=document.at(),
            )
        parsed = document.parse(KINDS[document.kind])
        if parsed.name in places:
            raise DefinitionError(
                f"a second '{parsed.name}'; the first is at {places[parsed.name]}",
                "one definition for each name",
                "rename one of them",
                where=document.at("name"),
            )
        places[parsed.name] = document.at("name")
        documents[document.kind].append((document, parsed))
    sources = {parsed.name: _source(document, parsed) for document, parsed in documents["Source"]}
    feature_tables = _feature_tables(documents["FeatureTable"], sources)
    project = ProjectDefinition(folder, sources, feature_tables, {})
    models = {parsed.name: _model(document, parsed, project) for document, parsed in documents["Model"]}
    return replace(project, models=models)


def _source(document: Document, parsed: written.SourceAttributes) -> SourceDefinition:
    columns = _columns(document, parsed.columns, [*parsed.primary_keys], parsed.timestamp)
    if parsed.static != (parsed.timestamp is None):
        raise DefinitionError(
            f"static: {str(parsed.static).lower()} with {'a' if parsed.timestamp else 'no'} timestamp",
            "a timestamp, or static: true",
            "add the timestamp, or declare the table static",
            where=document.at("static"),
        )
    if not parsed.static and (parsed.period is None or parsed.first_period is None):
        missing = "period" if parsed.period is None else "first_period"
        raise DefinitionError(
            f"no {missing}",
            "period and first_period in a source with a time",
            f"add {missing}",
            where=document.at(),
        )
    calendar = Calendar(parsed.period or "day", parsed.week_ends_on)

    def period(field: str, key: str | None) -> Period | None:
        return _at(document, field, lambda: calendar.at_key(key)) if key else None

    lag = _at(document, "publication_lag", lambda: _fixed(parsed.publication_lag))
    overdue = _at(document, "overdue_after", lambda: _fixed(parsed.overdue_after))
    published_from = document.file.parent / parsed.published_from if parsed.published_from else None
    if published_from and not published_from.exists():
        raise DefinitionError(
            f"no file {published_from}", "the data file that is published from", "put it there, or correct the name",
            where=document.at("published_from"),
        )  # fmt: skip
    return SourceDefinition(
        name=parsed.name,
        documentation=_documentation(parsed),
        location=document.at(),
        schema=TableSchema(tuple(parsed.primary_keys), parsed.timestamp, columns, calendar),
        lag=lag,
        first=period("first_period", parsed.first_period),
        last=period("last_period", parsed.last_period),
        live_since=period("live_since", parsed.live_since),
        delivers="snapshot" if parsed.static else parsed.delivers,
        window_periods=parsed.window_periods,
        most_removed_share=parsed.most_removed_share,
        least_rows_share=parsed.least_rows_share,
        overdue_after=overdue,
        landing=(document.file.parent / parsed.landing).resolve() if parsed.landing else None,
        published_from=published_from,
    )


def _feature_tables(
    documents: Sequence[tuple[Document, written.FeatureTableAttributes]],
    sources: Mapping[str, SourceDefinition],
) -> dict[str, FeatureTableDefinition]:
    """Resolve feature tables in the order of their inputs."""
    tables: dict[str, FeatureTableDefinition] = {}
    waiting = [(document, parsed, _query(document, parsed.sql, "sql")) for document, parsed in documents]
    declared = {parsed.name for _, parsed, _ in waiting} | set(sources)
    for document, parsed, query in waiting:
        for name in sorted(query.tables - declared):
            raise _unknown_table(name, sorted(declared), query)
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
        _columns(document, parsed.columns, parsed.primary_keys, parsed.timestamp),
        calendar,
    )
    _check_output(document, query, [*parsed.columns], "columns")
    first, last = _span(inputs.values())
    return FeatureTableDefinition(
        name=parsed.name,
        documentation=_documentation(parsed),
        location=document.at(),
        schema=schema,
        query=query,
        inputs=tuple(inputs),
        history=_at(document, "history", lambda: Duration.parse(parsed.history).periods(calendar)),
        lag=max(table.lag for table in inputs.values()),
        first=first,
        last=last,
        generation=_short_hash(
            query.definition_hash,
            parsed.history,
            *(f"{column.name} {column.type}" for column in schema.columns),
            *schema.keys,
            parsed.timestamp,
            *(f"{name} {table.generation}" for name, table in inputs.items()),
        ),
    )


def _model(document: Document, parsed: written.ModelAttributes, project: ProjectDefinition) -> ModelDefinition:
    population = _query(document, parsed.population, "population")
    label_query = _query(document, parsed.label.sql, "label", "sql")
    declared = [*project.sources, *project.feature_tables]
    for query in (population, label_query):
        for name in sorted(query.tables - set(declared)):
            raise _unknown_table(name, declared, query)
    inputs = {name: project.table(name) for name in sorted(population.tables)}
    label_inputs = {name: project.table(name) for name in sorted(label_query.tables)}
    calendar = common_calendar({**inputs, **label_inputs}, document.at("population"))
    lookups, features = _lookups(document, parsed, project)
    looked_up = {lookup.table: project.table(lookup.table) for lookup in lookups}
    common_calendar({**inputs, **looked_up}, document.at("features"))
    everything: dict[str, TableDefinition] = {**inputs, **looked_up}
    key_columns = tuple(
        _key_column(document, name, [*looked_up.values(), *inputs.values()]) for name in parsed.primary_keys
    )
    time_column = _key_column(document, parsed.timestamp, list(inputs.values()))
    schema = TableSchema(
        tuple(parsed.primary_keys),
        parsed.timestamp,
        (*key_columns, replace(time_column, kind="time")),
        calendar,
    )
    _check_output(document, population, [*schema.names], "population")
    _check_output(document, label_query, [*schema.names, parsed.label.column], "label", "sql")
    for number, lookup in enumerate(lookups):
        strange = set(project.table(lookup.table).schema.keys) - set(parsed.primary_keys)
        if strange:
            raise DefinitionError(
                f"'{lookup.table}' has the key {', '.join(sorted(strange))}, which {parsed.name} lacks",
                f"keys among {', '.join(parsed.primary_keys)}",
                "add the key to the model, or look up another table",
                where=document.at("features", number, "table"),
            )
    first, last = _span(everything.values())
    label = LabelDefinition(
        label_query,
        tuple(label_inputs),
        parsed.label.column,
        parsed.label.horizon,
        parsed.label.delay,
        parsed.label.unit,
    )

    def periods(*path: str) -> int:
        value: Any = parsed
        for part in path:
            value = getattr(value, part)
        counted: int = _at(document, path, lambda: Duration.parse(value).periods(calendar))
        return counted

    history = periods("history")
    if history <= label.known_after:
        raise DefinitionError(
            f"history of {history} {calendar.unit}s with a label known after {label.known_after}",
            f"at least {label.known_after + 1} {calendar.unit}s",
            "lengthen the history: the label's SQL must see both ends",
            where=document.at("history"),
        )
    generations = [f"{name} {project.table(name).generation}" for name in sorted({*everything})]
    shape = [f"{column.name} {column.type}" for column in (*schema.columns, *features)]
    choices = [f"{lookup.table} {lookup.lookback} {' '.join(lookup.columns)}" for lookup in lookups]
    label_generation = _short_hash(
        label_query.definition_hash,
        population.definition_hash,
        f"{parsed.label.column} {label.horizon} {label.delay} {history}",
        *(f"{column.name} {column.type}" for column in schema.columns),
        *(f"{name} {project.table(name).generation}" for name in sorted({*inputs, *label_inputs})),
    )
    return ModelDefinition(
        name=parsed.name,
        documentation=_documentation(parsed),
        location=document.at(),
        schema=schema,
        population=population,
        population_inputs=tuple(inputs),
        history=history,
        label=label,
        baseline=_baseline(document, parsed, lookups),
        lookups=lookups,
        features=features,
        template=TemplateChoice(
            parsed.template.name, parsed.template.version, parsed.template.params, parsed.template.seed
        ),
        window=None if parsed.train.window == "expanding" else periods("train", "window"),
        validation=periods("train", "validation"),
        threads=parsed.train.threads,
        min_rows=parsed.train.min_rows,
        gates=tuple(Gate(gate.metric, gate.better_than, gate.margin) for gate in parsed.gates),
        approval=parsed.approval,
        when_late=parsed.when_late,
        drift_share=parsed.monitor.drift.share,
        metric=parsed.monitor.metric,
        retrain=RetrainPolicy(
            parsed.retrain.worse_by,
            parsed.retrain.persistence,
            periods("retrain", "cool_down"),
            periods("retrain", "max_age"),
        ),
        lag=max(table.lag for table in everything.values()),
        first=first,
        last=last,
        generation=_short_hash(population.definition_hash, label_generation, *generations, *shape, *choices),
        label_generation=label_generation,
    )


def _lookups(
    document: Document, parsed: written.ModelAttributes, project: ProjectDefinition
) -> tuple[tuple[LookupDefinition, ...], tuple[Column, ...]]:
    lookups = []
    features: dict[str, Column] = {}
    for number, lookup in enumerate(parsed.features):
        place = ("features", number)
        table = _at(document, (*place, "table"), lambda lookup=lookup: project.table(lookup.table))
        for position, name in enumerate(lookup.columns):
            if name not in table.schema.value_names:
                raise DefinitionError(
                    f"column '{name}', which '{table.name}' does not have",
                    f"one of: {', '.join(table.schema.value_names)}",
                    "correct the name, or add the column to the feature table",
                    where=document.at(*place, "columns", position),
                )
            if name in features:
                raise DefinitionError(
                    f"two features named '{name}'",
                    "each feature once",
                    "take one of them out",
                    where=document.at(*place, "columns", position),
                )
            features[name] = table.schema.column(name)
        lookback = lookup.lookback
        duration = _at(document, (*place, "lookback"), lambda text=lookback: Duration.parse(text)) if lookback else None
        lookups.append(LookupDefinition(table.name, tuple(lookup.columns), duration))
    return tuple(lookups), tuple(features.values())


def _baseline(document: Document, parsed: written.ModelAttributes, lookups: Sequence[LookupDefinition]) -> str:
    table, _, column = parsed.baseline.partition(".")
    if not any(lookup.table == table and column in lookup.columns for lookup in lookups):
        listed = ", ".join(f"{lookup.table}.{name}" for lookup in lookups for name in lookup.columns)
        raise DefinitionError(
            f"baseline '{parsed.baseline}', which the model does not look up",
            f"one of: {listed}",
            "add it to features, or choose another",
            where=document.at("baseline"),
        )
    return column


def _key_column(document: Document, name: str, tables: Sequence[TableDefinition]) -> Column:
    """A key's or timestamp's column, as the first table that has it declares it."""
    for table in tables:
        if name in table.schema.names:
            return replace(table.schema.column(name), nullable=False)
    listed = ", ".join(table.name for table in tables)
    raise DefinitionError(
        f"'{name}', which no table of the model has",
        f"a column of {listed}",
        "use the name that the tables use",
        where=document.at("primary_keys"),
    )


def _columns(
    document: Document,
    columns: Mapping[str, written.ColumnAttributes],
    keys: Sequence[str],
    timestamp: str | None,
) -> tuple[Column, ...]:
    for field, name in [
        *(("primary_keys", key) for key in keys),
        *([("timestamp", timestamp)] if timestamp else []),
    ]:
        if name not in columns:
            raise DefinitionError(
                f"{'primary key' if field == 'primary_keys' else 'timestamp'} '{name}', which is not among the columns",
                f"one of: {', '.join(columns)}",
                "add the column, or correct the name",
                where=document.at(field),
            )
    if timestamp in keys:
        raise DefinitionError(
            f"the timestamp '{timestamp}' among the primary keys",
            "keys that name an entity; the time of a row is no part of them",
            "take it out of primary_keys",
            where=document.at("primary_keys"),
        )
    result = []
    for name, column in columns.items():
        if name in RESERVED_COLUMNS:
            raise DefinitionError(
                f"a column named '{name}'",
                f"any name but {', '.join(RESERVED_COLUMNS)}, which the lakehouse adds to every table",
                "rename it",
                where=document.at("columns", name),
            )
        kind = column.kind or ("category" if column.type in ("string", "boolean") else "number")
        fixed = name in keys or name == timestamp
        result.append(
            Column(
                name=name,
                type=column.type,
                description=column.description,
                kind="key" if name in keys else "time" if name == timestamp else kind,
                nullable=column.nullable and not fixed,
                minimum=column.minimum,
                maximum=column.maximum,
                allowed=tuple(column.allowed),
            )
        )
    if timestamp and columns[timestamp].type not in ("date", "timestamp"):
        raise DefinitionError(
            f"timestamp '{timestamp}' of type {columns[timestamp].type}",
            "type date or timestamp",
            "declare it so; text such as 2001-03 is read as a date",
            where=document.at("columns", timestamp, "type"),
        )
    return tuple(result)


def _check_output(document: Document, query: Query, expected: Sequence[str], *place: str) -> None:
    """See that the SQL gives the declared columns, as far as its text tells."""
    if query.output_columns is None:
        return
    for name in expected:
        if name not in query.output_columns:
            raise DefinitionError(
                f"no column '{name}' in what {query.file.name} selects ({', '.join(query.output_columns)})",
                f"the columns {', '.join(expected)}",
                "select it in the SQL, or correct the YAML",
                where=document.at(*place, name),
            )


def _query(document: Document, name: str, *place: str) -> Query:
    file = document.file.parent / name
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DefinitionError(
            f"no readable file {file}", "a file in UTF-8 with one SELECT", "write it, or correct the name",
            where=document.at(*place),
        ) from error  # fmt: skip
    return parse_query(text, file=file)


def _span(tables: Any) -> tuple[Period, Period | None]:
    """From the latest first period of the tables to the earliest last one."""
    firsts = [table.first for table in tables if table.first is not None]
    lasts = [table.last for table in tables if table.last is not None]
    return max(firsts), min(lasts) if lasts else None


def _documentation(parsed: written.SharedAttributes) -> Documentation:
    return Documentation(parsed.description, tuple(parsed.owners), parsed.tags)


def _fixed(text: str) -> timedelta:
    duration = Duration.parse(text)
    if duration.months:
        raise DefinitionError(
            f"'{text}'",
            "hours, days or weeks: months have no fixed length",
            f"write, say, '{duration.months * 30} days'",
        )
    return duration.rest


def _at(document: Document, place: Any, make: Any) -> Any:
    """Call, and give an error the place in the YAML."""
    try:
        return make()
    except PlatformError as error:
        path = place if isinstance(place, tuple) else (place,)
        raise error.at(document.at(*path)) from None


def _unknown_table(name: str, declared: Sequence[str], query: Query) -> DefinitionError:
    read = re.search(rf"\b(from|join)\s+\W?{re.escape(name)}\b", query.text, re.IGNORECASE)
    mentioned = read or re.search(rf"\b{re.escape(name)}\b", query.text, re.IGNORECASE)
    line = query.text.count("\n", 0, mentioned.end()) + 1 if mentioned else None
    return DefinitionError(
        f"the SQL reads '{name}', which no component declares",
        f"one of: {', '.join(declared)}",
        "correct the name, or declare the table",
        where=Location(query.file, line),
    )


def _short_hash(*parts: str) -> str:
    return text_hash(*parts)[:16]
