"""A model from its document, resolved against the tables it reads."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mlops_assets.errors import DefinitionError, Location
from mlops_assets.lakehouse.periods import Calendar, Duration
from mlops_assets.lakehouse.schema import Column, TableSchema
from mlops_assets.project import model_attributes as written
from mlops_assets.project.definition import (
    LabelDefinition,
    LookupDefinition,
    ModelDefinition,
    ProjectDefinition,
    RequestLog,
    RetrainPolicy,
    TableDefinition,
    TemplateChoice,
    common_calendar,
)
from mlops_assets.project.gates import Gate, OwnGate
from mlops_assets.project.load_gates import (
    load_evaluation,
    load_gates,
    require_metric,
    require_no_personal_segments,
)
from mlops_assets.project.load_templates import load_fitting, load_template
from mlops_assets.project.lookups import (
    absent_defaults,
    check_chosen,
    check_feature,
    check_lookback,
    check_lookup_key,
    check_new_name,
    typed_default,
)
from mlops_assets.project.model_columns import (
    computed_columns,
    label_and_prediction,
    looked_up_columns,
    population_columns,
    require_own_names,
    with_read,
)
from mlops_assets.project.reads import parts_read
from mlops_assets.project.request import computed_features, request_columns, request_parts, taken_names
from mlops_assets.project.resolving import (
    check_output,
    counted,
    documentation_of,
    generation_of,
    located,
    read_query,
    schema_parts,
    span_of_tables,
    unknown_table,
)
from mlops_assets.project.tasks import DEFAULT_METRIC, LABEL_TYPES, metrics_of
from mlops_assets.project.written import as_written
from mlops_assets.project.yaml_files import Document

PRIOR = "prior"
"""The baseline of a classification that looks at no feature."""


def load_model(document: Document, parsed: written.ModelAttributes, project: ProjectDefinition) -> ModelDefinition:
    """Resolve a model against the tables of the project.

    Raises:
        DefinitionError: A name, type or duration in it is wrong.
    """
    population = read_query(document, parsed.population, "population")
    label_query = read_query(document, parsed.label.sql, "label", "sql")
    declared = [*project.sources, *project.feature_tables]
    for query in (population, label_query):
        for name in sorted(query.tables - set(declared)):
            raise unknown_table(name, declared, query)
    inputs = {name: project.table(name) for name in sorted(population.tables)}
    label_inputs = {name: project.table(name) for name in sorted(label_query.tables)}
    calendar = common_calendar({**inputs, **label_inputs}, document.at("population"))
    lookups, features = _lookups(document, parsed, project, calendar)
    looked_up = {lookup.table: project.table(lookup.table) for lookup in lookups}
    everything: dict[str, TableDefinition] = {**inputs, **looked_up}
    request = request_columns(document, parsed, [column.name for column in features])
    key_columns = [_key_column(document, name, [*looked_up.values(), *inputs.values()]) for name in parsed.primary_keys]
    time_table, time_column = _key_column(document, parsed.timestamp, list(inputs.values()))
    named = [*key_columns, (time_table, replace(time_column, kind="time"))]
    require_own_names(document, parsed, [column.name for column in (*(column for _, column in named), *features)])
    own_columns, request = population_columns(document, parsed, population, inputs, named, request)
    schema = TableSchema(tuple(parsed.primary_keys), parsed.timestamp, own_columns, calendar)
    check_output(document, population, [*schema.names, *(column.name for column in request)], "population")
    check_output(document, label_query, [*schema.names, parsed.label.column], "label", "sql")
    given = {column.name: column.type for column in (*schema.columns, *request) if column.kind != "time"}
    for number, lookup in enumerate(lookups):
        keys = project.table(lookup.table).schema
        strange = set(keys.keys) - set(given)
        if strange and lookup.lookup_key is None:
            raise DefinitionError(
                f"'{lookup.table}' has the key {', '.join(sorted(strange))}, which {parsed.name} lacks",
                f"keys among {', '.join(given)}",
                "say in lookup_key which columns of the population hold the table's keys, or look up another table",
                where=document.at("features", number, "table"),
            )
        located(
            document,
            ("features", number, "lookup_key" if lookup.lookup_key else "table"),
            lambda lookup=lookup, keys=keys: check_lookup_key(
                lookup.table, keys, lookup.lookup_key or keys.keys, given
            ),
        )
    by = {name for lookup in lookups for name in lookup.lookup_key or ()}
    features = looked_up_columns(document, parsed, project, lookups, features, request)
    computed, made = computed_features(document, parsed, [*given, *(column.name for column in features)])
    computed = with_read(computed, [*own_columns, *request, *features])
    made = computed_columns(document, parsed, computed, made)
    features = (*features, *(column for column in request if column.name not in by), *made)
    first, last = span_of_tables(everything.values(), calendar, document.at("features"))
    label = LabelDefinition(
        label_query,
        tuple(label_inputs),
        parsed.label.column,
        parsed.label.horizon,
        parsed.label.delay,
        parsed.label.unit,
        *span_of_tables(label_inputs.values(), calendar, document.at("label", "sql")),
        LABEL_TYPES[parsed.task],
        _classes(document, parsed),
    )
    label_column, prediction = label_and_prediction(document, parsed, label, label_inputs, features)

    def periods(*path: str, least: int = 1) -> int:
        value: Any = parsed
        for part in path:
            value = getattr(value, part)
        found: int = located(document, path, lambda: counted(value, calendar, least))
        return found

    _require_learnable(document, features)
    history, kept = periods("history"), parsed.retention.candidates
    if history <= label.known_after:
        raise DefinitionError(
            f"history of {history} {calendar.unit}s with a label known after {label.known_after}",
            f"at least {label.known_after + 1} {calendar.unit}s",
            "lengthen the history: the label's SQL must see both ends",
            where=document.at("history"),
        )
    label_parts = {
        "population": population.canonical,
        "label": label_query.canonical,
        "label column": f"{parsed.label.column}, horizon {label.horizon}, delay {label.delay}",
        **({} if parsed.task == "regression" else {"label values": f"{label.type} {', '.join(label.classes)}".strip()}),
        "history": f"{history} {calendar.unit}s",
        **schema_parts(replace(schema, columns=(*schema.columns, *request))),
    }
    read = parts_read(
        {**project.sources, **project.feature_tables},
        (population, inputs, [*schema.names, *(column.name for column in request)]),
        (label_query, label_inputs, [*schema.names, label.column]),
    )
    parts = {**label_parts, **_lookup_parts(project, lookups), **request_parts(request, computed, made)}
    root = project.folder.parent.parent
    template = load_template(document, parsed, features, root)
    told_by = list(dict.fromkeys([*schema.names, *(column.name for column in (*request, *features))]))
    gates = load_gates(document, parsed, told_by, root)
    loaded = ModelDefinition(
        name=parsed.name,
        documentation=documentation_of(parsed),
        location=document.at(),
        schema=schema,
        population=population,
        population_inputs=tuple(inputs),
        history=history,
        history_location=document.at("history"),
        task=parsed.task,
        label=label,
        label_column=label_column,
        prediction=prediction,
        baseline=_baseline(document, parsed, lookups, features),
        lookups=lookups,
        request=request,
        computed=computed,
        features=features,
        template=template,
        fitting=load_fitting(document, parsed, template, features, periods),
        window=None if parsed.train.window == "expanding" else periods("train", "window"),
        validation=periods("train", "validation"),
        threads=parsed.train.threads,
        min_rows=parsed.train.min_rows,
        gates=gates,
        evaluation=load_evaluation(document, parsed, told_by),
        approval=parsed.approval,
        candidate_retention=located(document, ("retention", "candidates"), lambda: Duration.parse(kept))
        if kept
        else None,
        when_late=parsed.when_late,
        unknown_keys=parsed.unknown_keys,
        drift_share=parsed.monitor.drift.share,
        metric=_watched_metric(document, parsed),
        request_log=RequestLog(parsed.serve.log_share, parsed.serve.log_personal),
        retrain=RetrainPolicy(
            parsed.retrain.worse_by,
            parsed.retrain.persistence,
            periods("retrain", "cool_down", least=0),
            periods("retrain", "max_age"),
        ),
        lag=max(table.lag for table in everything.values()),
        first=first,
        last=last,
        parts=parts,
        generation=generation_of(parts),
        label_generation=generation_of({**label_parts, **read}),
        trained_by=_trained_by(parsed, template, gates),
    )
    if loaded.window is not None and loaded.window <= loaded.validation + label.known_after:
        raise DefinitionError(
            f"a window of {loaded.window} {calendar.unit}s, of which {loaded.validation} judge a candidate and "
            f"{label.known_after} before them are left out",
            f"at least {loaded.validation + label.known_after + 1}, so that something is left to learn from",
            "lengthen train.window, or shorten train.validation",
            where=document.at("train", "window"),
        )
    require_no_personal_segments(document, parsed, loaded.personal_names)
    return loaded


_TRAINED_BY = ("task", "baseline", "template", "train", "gates", "evaluate")


def _trained_by(
    parsed: written.ModelAttributes, template: TemplateChoice, gates: Sequence[Gate]
) -> Mapping[str, object]:
    """What the user wrote of how a candidate is trained and judged, with the hashes of their own functions' code."""
    found = as_written(parsed)
    chosen = {name: found[name] for name in _TRAINED_BY if name in found}
    if "metric" in found.get("monitor", {}):
        chosen["metric"] = found["monitor"]["metric"]
    if template.function:
        chosen["template_code"] = template.definition_hash
    own = {gate.name: gate.definition_hash for gate in gates if isinstance(gate, OwnGate)}
    return {**chosen, **({"gates_code": own} if own else {})}


def _require_learnable(document: Document, features: Sequence[Column]) -> None:
    """See that every feature is something that an estimator learns from.

    Raises:
        DefinitionError: One is a point in time, which never comes again.
    """
    for column in features:
        if column.type in ("date", "timestamp"):
            raise DefinitionError(
                f"a feature '{column.name}' of type {column.type}",
                "a number, text or boolean",
                f"compute how long ago it was, such as date_diff('day', {column.name}, …), in the table's SQL",
                where=document.at("features"),
            )


def require_features(documents: Sequence[tuple[Document, written.ModelAttributes]], project: ProjectDefinition) -> None:
    """See that no column is gone that several models look up; with one model, its own loading says so.

    Raises:
        DefinitionError: One is, with every model that looks it up.
    """
    tables: dict[str, TableDefinition] = {**project.sources, **project.feature_tables}
    gone: dict[tuple[str, str], dict[str, Location]] = {}
    for document, parsed in documents:
        for number, lookup in enumerate(parsed.features):
            for position, name in enumerate(lookup.columns):
                if lookup.table in tables and name not in tables[lookup.table].schema.names:
                    place = document.at("features", number, "columns", position)
                    gone.setdefault((lookup.table, name), {})[parsed.name] = place
    for (table, name), places in gone.items():
        if len(places) > 1:
            listed = ", ".join(f"{model} ({place})" for model, place in places.items())
            raise DefinitionError(
                f"column '{name}', which '{table}' does not have, and which {len(places)} models look up: {listed}",
                f"one of: {', '.join(tables[table].schema.value_names)}",
                "put the column back, or take it out of these models first",
                where=next(iter(places.values())),
            )


def _lookup_parts(project: ProjectDefinition, lookups: Sequence[LookupDefinition]) -> dict[str, str]:
    """What a model looks up, in the order that its estimator sees."""
    parts = {}
    for number, lookup in enumerate(lookups, start=1):
        schema = project.table(lookup.table).schema
        chosen = [schema.column(name) for name in lookup.columns]
        columns = [
            f"{column.name} {column.type} {column.kind} as {new} default {lookup.default.get(column.name)!r}"
            for column, new in zip(chosen, lookup.names, strict=True)
        ]
        keys = [f"{key} = {own}" for key, own in zip(schema.keys, lookup.lookup_key or schema.keys, strict=True)]
        parts[f"lookup {number} in {lookup.table}"] = f"{', '.join(columns)}; by {', '.join(keys)}; {lookup.lookback}"
    return parts


def _lookups(
    document: Document, parsed: written.ModelAttributes, project: ProjectDefinition, calendar: Calendar
) -> tuple[tuple[LookupDefinition, ...], tuple[Column, ...]]:
    lookups = []
    features: dict[str, Column] = {}
    taken = taken_names(parsed)
    for number, lookup in enumerate(parsed.features):
        place = ("features", number)
        table = located(document, (*place, "table"), lambda lookup=lookup: project.table(lookup.table))
        columns = {
            name: located(
                document,
                (*place, "columns", position),
                lambda table=table, name=name: check_feature(table.name, table.schema, name),
            )
            for position, name in enumerate(lookup.columns)
        }
        for field, names in (("rename", lookup.rename), ("default", lookup.default)):
            located(
                document,
                (*place, field),
                lambda field=field, names=names, columns=columns: check_chosen(field, names, columns),
            )
        for name in lookup.rename.values():
            located(document, (*place, "rename"), lambda name=name: check_new_name(name))
        default = {
            name: located(
                document,
                (*place, "default", name),
                lambda column=columns[name], value=value: typed_default(column, value),
            )
            for name, value in lookup.default.items()
        }
        text = lookup.lookback
        lookback = located(document, (*place, "lookback"), lambda text=text: _lookback(text)) if text else None
        located(
            document,
            (*place, "lookback"),
            lambda table=table, columns=columns, lookback=lookback: check_lookback(
                table, columns.values(), lookback, calendar
            ),
        )
        resolved = LookupDefinition(
            table.name,
            tuple(lookup.columns),
            lookback,
            tuple(lookup.lookup_key) if lookup.lookup_key is not None else None,
            lookup.rename,
            {**absent_defaults(columns), **default},
        )
        for position, (column, name) in enumerate(zip(lookup.columns, resolved.names, strict=True)):
            if name in features or name in taken:
                raise DefinitionError(
                    f"two features named '{name}'" if name in features else f"a feature with the name '{name}'",
                    "each feature once" if name in features else "a name that no other column of the model has",
                    f"take one of them out, or give it another name with rename: {{{column}: …}}",
                    where=document.at(*place, "columns", position),
                )
            features[name] = replace(columns[column], name=name)
        lookups.append(resolved)
    return tuple(lookups), tuple(features.values())


def _lookback(text: str) -> Duration:
    lookback = Duration.parse(text)
    if lookback == Duration():
        raise DefinitionError(f"a lookback of '{text}'", "a length of time", "leave it out for ever, or write '1 day'")
    return lookback


def _classes(document: Document, parsed: written.ModelAttributes) -> tuple[str, ...]:
    """The classes of a multiclass label."""
    classes = parsed.label.classes
    if (parsed.task == "multiclass") != bool(classes) or len(classes) == 1 or len(set(classes)) < len(classes):
        raise DefinitionError(
            f"a {parsed.task} label with " + (f"the classes {', '.join(classes)}" if classes else "no classes"),
            "two classes or more, each once, where the task is multiclass, and none elsewhere",
            "list them under label.classes, or change the task",
            where=document.at("label", "classes"),
        )
    return tuple(classes)


def _watched_metric(document: Document, parsed: written.ModelAttributes) -> str:
    """The metric that decides on retraining: one of which less is better, for it is held against a level."""
    metric = parsed.monitor.metric or DEFAULT_METRIC[parsed.task]
    losses = [found.name for found in metrics_of(parsed.task) if found.is_loss]
    require_metric(document, parsed, metric, losses, "choose one of which less is better", "monitor", "metric")
    return metric


def _baseline(
    document: Document,
    parsed: written.ModelAttributes,
    lookups: Sequence[LookupDefinition],
    features: Sequence[Column],
) -> str | None:
    """The feature that TABLE.COLUMN or its own name means; of several from one column, the one that was not renamed."""
    if parsed.baseline == PRIOR and parsed.task != "regression":
        return None
    name = _baseline_feature(document, parsed, lookups, features)
    kind = next(column.kind for column in features if column.name == name)
    if (kind == "number") != (parsed.task == "regression"):
        raise DefinitionError(
            f"baseline '{parsed.baseline}', a {kind}, of a {parsed.task} model",
            "a number" if parsed.task == "regression" else f"a category, such as a boolean, or {PRIOR}",
            "choose another feature, or compute one under computed",
            where=document.at("baseline"),
        )
    return name


def _baseline_feature(
    document: Document,
    parsed: written.ModelAttributes,
    lookups: Sequence[LookupDefinition],
    features: Sequence[Column],
) -> str:
    choices = [
        (f"{lookup.table}.{column}", name)
        for lookup in lookups
        for column, name in zip(lookup.columns, lookup.names, strict=True)
    ] + [(column.name, column.name) for column in features]
    found = [name for choice, name in choices if choice == parsed.baseline]
    column = parsed.baseline.rpartition(".")[2]
    if len(found) == 1 or column in found:
        return column if column in found else found[0]
    listed = found or [choice for choice, name in choices if choice != name] or [name for _, name in choices]
    raise DefinitionError(
        f"baseline '{parsed.baseline}', which the model "
        + ("looks up under several names" if found else "does not look up"),
        f"one of: {', '.join(listed)}",
        "name one of them" if found else "add it to features, or choose another",
        where=document.at("baseline"),
    )


def _key_column(document: Document, name: str, tables: Sequence[TableDefinition]) -> tuple[str, Column]:
    """A key's or timestamp's column, as the first table that has it declares it, and that table."""
    for table in tables:
        if name in table.schema.names:
            return table.name, replace(table.schema.column(name), nullable=False)
    listed = ", ".join(table.name for table in tables)
    raise DefinitionError(
        f"'{name}', which no table of the model has",
        f"a column of {listed}",
        "use the name that the tables use",
        where=document.at("primary_keys"),
    )
