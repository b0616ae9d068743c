"""A model from its document, resolved against the tables it reads."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mlops_assets.engines.contract import ComputedFeature
from mlops_assets.engines.expression import parse_aggregate
from mlops_assets.engines.query import Query
from mlops_assets.errors import DefinitionError
from mlops_assets.lakehouse.periods import Calendar
from mlops_assets.lakehouse.schema import Column, TableSchema
from mlops_assets.project import model_attributes as written
from mlops_assets.project.definition import ModelDefinition, ProjectDefinition, TableDefinition
from mlops_assets.project.gates import CustomGate, Gate
from mlops_assets.project.load_gates import load_drift, load_evaluation, load_gates, require_no_personal_segments
from mlops_assets.project.load_lookups import load_lookups, lookup_parts, require_keys
from mlops_assets.project.load_templates import load_fitting, load_template
from mlops_assets.project.model_attributes import LookupDefinition
from mlops_assets.project.model_columns import (
    label_and_prediction,
    looked_up_columns,
    population_columns,
    require_own_names,
)
from mlops_assets.project.model_parts import LabelDefinition, RetrainPolicy, TemplateChoice
from mlops_assets.project.reads import parts_read
from mlops_assets.project.request import computed_features, further_answers, request_columns, request_parts, with_read
from mlops_assets.project.resolving import (
    check_output,
    counted,
    generation_of,
    read_query,
    schema_parts,
    unknown_table,
)
from mlops_assets.project.spans import common_calendar, span_of_tables
from mlops_assets.project.tasks import DEFAULT_METRIC, LABEL_TYPES, METRICS, metrics_of
from mlops_assets.project.written import as_written
from mlops_assets.project.yaml_files import Document

PRIOR = "prior"
"""The baseline of a classification that looks at no feature."""


@dataclass(frozen=True)
class _Queries:
    """A model's SQL, and what it reads."""

    population: Query
    label: Query
    inputs: Mapping[str, TableDefinition]
    label_inputs: Mapping[str, TableDefinition]
    calendar: Calendar


@dataclass(frozen=True)
class _Columns:
    """What a model's rows hold: keys and time, what comes with a request, what is looked up and computed.

    ``made`` are the computed ones among the features, ``tables`` those that population and lookups read.
    """

    schema: TableSchema
    lookups: tuple[LookupDefinition, ...]
    tables: Mapping[str, TableDefinition]
    request: tuple[Column, ...]
    computed: tuple[ComputedFeature, ...]
    made: tuple[Column, ...]
    features: tuple[Column, ...]

    @property
    def asked(self) -> tuple[str, ...]:
        """The names of what the population gives."""
        return (*self.schema.names, *(column.name for column in self.request))


def load_model(document: Document, parsed: written.ModelAttributes, project: ProjectDefinition) -> ModelDefinition:
    """Resolve a model against the tables of the project.

    Raises:
        DefinitionError: A name, type or duration in it is wrong.
    """
    queries, intervals = _queries(document, parsed, project), _intervals(document, parsed)
    columns = _columns(document, parsed, project, queries)
    first, last = span_of_tables(columns.tables.values(), queries.calendar, document.at("features"))
    label = _label(document, parsed, queries)
    label_column, prediction = label_and_prediction(document, parsed, label, queries.label_inputs, columns.features)
    periods = periods_of(document, parsed, queries.calendar)
    history = _history(document, periods("history"), label, queries.calendar)
    parts, label_parts = _parts(parsed, project, queries, columns, label, history)
    root = project.folder.parent.parent
    template = load_template(document, parsed, columns.features, root)
    told_by = list(dict.fromkeys([*columns.asked, *(column.name for column in columns.features)]))
    gates = load_gates(document, parsed, told_by, root)
    loaded = ModelDefinition(
        name=parsed.name,
        documentation=parsed.documentation,
        location=document.at(),
        schema=columns.schema,
        population=queries.population,
        population_inputs=tuple(queries.inputs),
        history=history,
        history_location=document.at("history"),
        task=parsed.task,
        label=label,
        label_column=label_column,
        prediction=prediction,
        baseline=_baseline(document, parsed, columns.lookups, columns.features),
        lookups=columns.lookups,
        request=columns.request,
        computed=columns.computed,
        features=columns.features,
        template=template,
        fitting=load_fitting(document, parsed, template, columns.features, periods),
        window=None if parsed.train.window == "expanding" else periods("train", "window"),
        validation=periods("train", "validation"),
        threads=parsed.train.threads,
        min_rows=parsed.train.min_rows,
        gates=gates,
        intervals=intervals,
        gates_location=document.at("gates"),
        evaluation=load_evaluation(document, parsed, told_by),
        approval=parsed.approval,
        candidate_retention=parsed.retention.candidates,
        when_late=parsed.when_late,
        unknown_keys=parsed.unknown_keys,
        drift=load_drift(document, parsed, [name for name in told_by if name != columns.schema.timestamp]),
        metric=_watched_metric(document, parsed),
        request_log=parsed.serve,
        retrain=load_retrain(parsed, periods),
        lag=max(table.lag for table in columns.tables.values()),
        first=first,
        last=last,
        parts=parts,
        generation=generation_of(parts),
        label_generation=generation_of(label_parts),
        trained_by=_trained_by(parsed, template, gates),
    )
    _require_rows_to_learn_from(document, loaded)
    require_no_personal_segments(document, parsed, loaded.personal_names)
    return replace(loaded, own_metrics=_own_metrics(document, parsed, loaded))


def _own_metrics(
    document: Document, parsed: written.ModelAttributes, model: ModelDefinition
) -> tuple[ComputedFeature, ...]:
    """The user's figures of how predictions turned out."""
    columns = (*model.training_columns, *model.prediction_columns, *model.baseline_columns)
    names, found = [column.name for column in columns if column.name not in model.personal_names], []
    for name, text in parsed.monitor.metrics.items():
        place = ("monitor", "metrics", name)
        if name in METRICS:
            cure = "choose another name"
            raise DefinitionError(f"a second metric '{name}'", "a name of its own", cure, where=document.at(*place))
        with document.located(*place):
            expression = parse_aggregate(text, file=document.file)
        for column in expression.columns:
            personal = column.lower() in {one.lower() for one in model.personal_names}
            kind = "is personal" if personal else "no prediction has"
            what, cure = f"metric '{name}' of '{column}', which {kind}", "choose among them, or add it to features"
            document.require_among(column.lower(), [one.lower() for one in names], what, cure, *place)
        found.append(with_read(ComputedFeature(name, "double", expression), columns))
    return tuple(found)


def periods_of(document: Document, parsed: written.ModelAttributes, calendar: Calendar) -> Callable[..., int]:
    """What counts the periods of a length, by its path."""

    def periods(*path: str, least: int = 1) -> int:
        value: Any = parsed
        for part in path:
            value = getattr(value, part)
        with document.located(*path):
            return counted(value, calendar, least)

    return periods


def load_retrain(parsed: written.ModelAttributes, periods: Callable[..., int]) -> RetrainPolicy:
    """When a training is asked for, in periods."""
    written_ = parsed.retrain
    cool_down, max_age = periods("retrain", "cool_down", least=0), periods("retrain", "max_age")
    return RetrainPolicy(
        written_.worse_by, written_.persistence, cool_down, max_age, written_.drift_importance, written_.fallback
    )


def _queries(document: Document, parsed: written.ModelAttributes, project: ProjectDefinition) -> _Queries:
    population = read_query(document, parsed.population, "population")
    label = read_query(document, parsed.label.sql, "label", "sql")
    for query in (population, label):
        for name in sorted(query.tables - set(project.tables)):
            raise unknown_table(name, [*project.tables], query)
    inputs = {name: project.table(name) for name in sorted(population.tables)}
    label_inputs = {name: project.table(name) for name in sorted(label.tables)}
    calendar = common_calendar({**inputs, **label_inputs}, document.at("population"))
    return _Queries(population, label, inputs, label_inputs, calendar)


def _columns(
    document: Document, parsed: written.ModelAttributes, project: ProjectDefinition, queries: _Queries
) -> _Columns:
    _require_own_names(document, parsed)
    inputs = queries.inputs
    lookups, features = load_lookups(document, parsed, project, queries.calendar)
    looked_up = {lookup.table: project.table(lookup.table) for lookup in lookups}
    request = request_columns(document, parsed, [column.name for column in features])
    key_columns = [_key_column(document, name, [*looked_up.values(), *inputs.values()]) for name in parsed.primary_keys]
    time_table, time_column = _key_column(document, parsed.timestamp, list(inputs.values()))
    named = [*key_columns, (time_table, replace(time_column, kind="time"))]
    require_own_names(document, parsed, [column.name for column in (*(column for _, column in named), *features)])
    own_columns, request = population_columns(document, parsed, queries.population, inputs, named, request)
    schema = TableSchema(tuple(parsed.primary_keys), parsed.timestamp, own_columns, queries.calendar)
    check_output(document, queries.population, [*schema.names, *(column.name for column in request)], "population")
    check_output(document, queries.label, [*schema.names, parsed.label.column], "label", "sql")
    given = {column.name: column.type for column in (*schema.columns, *request) if column.kind != "time"}
    require_keys(document, parsed, project, lookups, given)
    by = {name for lookup in lookups for name in lookup.lookup_key or ()}
    features = looked_up_columns(document, parsed, project, lookups, features, request)
    read = [column for column in (*own_columns, *request) if column.name in given]
    computed, made = computed_features(document, parsed, [*read, *features])
    features = (*features, *(column for column in request if column.name not in by), *made)
    _require_learnable(document, features)
    return _Columns(schema, lookups, {**inputs, **looked_up}, request, computed, made, features)


def _label(document: Document, parsed: written.ModelAttributes, queries: _Queries) -> LabelDefinition:
    return LabelDefinition(
        queries.label,
        tuple(queries.label_inputs),
        parsed.label.column,
        parsed.label.horizon,
        parsed.label.delay,
        parsed.label.unit,
        *span_of_tables(queries.label_inputs.values(), queries.calendar, document.at("label", "sql")),
        LABEL_TYPES[parsed.task],
        _classes(document, parsed),
    )


def _parts(
    parsed: written.ModelAttributes,
    project: ProjectDefinition,
    queries: _Queries,
    columns: _Columns,
    label: LabelDefinition,
    history: int,
) -> tuple[dict[str, str], dict[str, str]]:
    """The parts of the model's own definition, and those of its labels."""
    shared = {
        "population": queries.population.canonical,
        "label": queries.label.canonical,
        "label column": f"{parsed.label.column}, horizon {label.horizon}, delay {label.delay}",
        **({} if parsed.task == "regression" else {"label values": f"{label.type} {', '.join(label.classes)}".strip()}),
        "history": f"{history} {queries.calendar.unit}s",
        **schema_parts(replace(columns.schema, columns=(*columns.schema.columns, *columns.request))),
    }
    read = parts_read(
        project.tables,
        (queries.population, queries.inputs, columns.asked),
        (queries.label, queries.label_inputs, [*columns.schema.names, label.column]),
    )
    own = {**lookup_parts(project, columns.lookups), **request_parts(columns.request, columns.computed, columns.made)}
    return {**shared, **own}, {**shared, **read}


def _history(document: Document, history: int, label: LabelDefinition, calendar: Calendar) -> int:
    if history <= label.known_after:
        raise DefinitionError(
            f"history of {history} {calendar.unit}s with a label known after {label.known_after}",
            f"at least {label.known_after + 1} {calendar.unit}s",
            "lengthen the history: the label's SQL must see both ends",
            where=document.at("history"),
        )
    return history


def _require_rows_to_learn_from(document: Document, model: ModelDefinition) -> None:
    left_out = model.validation + model.label.known_after
    if model.window is not None and model.window <= left_out:
        raise DefinitionError(
            f"a window of {model.window} {model.schema.calendar.unit}s, of which {model.validation} judge a candidate "
            f"and {model.label.known_after} before them are left out",
            f"at least {left_out + 1}, so that something is left to learn from",
            "lengthen train.window, or shorten train.validation",
            where=document.at("train", "window"),
        )


def _intervals(document: Document, parsed: written.ModelAttributes) -> written.IntervalChoice | None:
    """The intervals of a regression; keys, timestamp and label have other names than their ends.

    Raises:
        DefinitionError: One has such a name, or the model is no regression.
    """
    if parsed.intervals is None:
        return None
    if parsed.task != "regression":
        raise DefinitionError(
            f"intervals of a {parsed.task} model",
            "none: it says by probabilities how sure it is",
            "take intervals out",
            where=document.at("intervals"),
        )
    return parsed.intervals


def _require_own_names(document: Document, parsed: written.ModelAttributes) -> None:
    """See that neither keys nor timestamp nor label are named as a column of the model's answers."""
    answers = further_answers(parsed)
    named: list[tuple[str, tuple[str | int, ...]]] = [
        (parsed.timestamp, ("timestamp",)),
        (parsed.label.column, ("label", "column")),
        *((key, ("primary_keys", number)) for number, key in enumerate(parsed.primary_keys)),
    ]
    for name, place in named:
        if name in answers:
            raise DefinitionError(
                f"a column '{name}' of a {parsed.task} model",
                f"any name but {', '.join(answers)}, which its answers have",
                "call it otherwise in the SQL",
                where=document.at(*place),
            )


_TRAINED_BY = ("task", "baseline", "template", "train", "gates", "evaluate", "intervals")


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
    own = {gate.name: gate.definition_hash for gate in gates if isinstance(gate, CustomGate)}
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
    found, cure = f"metric '{metric}' of a {parsed.task} model", "choose one of which less is better"
    document.require_among(metric, losses, found, cure, "monitor", "metric")
    return metric


def _baseline(
    document: Document, parsed: written.ModelAttributes, lookups: Sequence[LookupDefinition], features: Sequence[Column]
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
    document: Document, parsed: written.ModelAttributes, lookups: Sequence[LookupDefinition], features: Sequence[Column]
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
