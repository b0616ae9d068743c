"""A project as plain values: sources, feature tables and models, each resolved against the others."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Literal, TypeVar

from mlops_assets.engines.contract import ComputedFeature
from mlops_assets.engines.query import Query
from mlops_assets.errors import Location, none_of
from mlops_assets.governance.access import ROLES, Scope
from mlops_assets.lakehouse.content_hash import definition_hash
from mlops_assets.lakehouse.periods import Calendar, Duration, Period
from mlops_assets.lakehouse.schema import Column, TableSchema, greatest
from mlops_assets.project.attributes import Database, Documentation, Push
from mlops_assets.project.engine_settings import EngineName, EngineSettings
from mlops_assets.project.expectations import Expectation
from mlops_assets.project.file_patterns import FilePattern
from mlops_assets.project.gates import Gate
from mlops_assets.project.model_attributes import (
    INTERVAL_COLUMNS,
    DriftChoice,
    EvaluationChoice,
    IntervalChoice,
    LookupDefinition,
    RequestLogChoice,
)
from mlops_assets.project.model_parts import FittingChoice, LabelDefinition, RetrainPolicy, TemplateChoice
from mlops_assets.project.python_function import PythonFunction
from mlops_assets.project.tasks import Task, classes_of

SUFFIXES = {"csv": ".csv", "json_lines": ".jsonl", "parquet": ".parquet"}
"""The suffix of a file, by format; ``.gz`` follows where the file is compressed as a whole."""


@dataclass(frozen=True)
class Files:
    """Deliveries that arrive as files.

    Args:
        format: What they are.
        pattern: What they are called; several may make a delivery.
        complete: What the file is called that is written last; None where a file counts once it has its name.
        landing: Where they arrive; None for the home's folder.
        escape: What CSV puts before a quotation mark inside a quoted value; None where it is written twice.
    """

    format: Literal["csv", "parquet", "json_lines"]
    pattern: FilePattern
    complete: FilePattern | None
    landing: Path | None
    escape: Literal["backslash"] | None = None


@dataclass(frozen=True)
class _Definition:
    """What sources, feature tables and models have."""

    name: str
    documentation: Documentation
    location: Location
    schema: TableSchema
    lag: timedelta
    last: Period | None


@dataclass(frozen=True)
class _ComputedDefinition(_Definition):
    """What feature tables and models have: the periods that they see, and what decides their rows.

    ``parts`` are all of that, in canonical text by what it is; ``generation`` is their hash.
    """

    first: Period
    history: int
    history_location: Location
    parts: Mapping[str, str]
    generation: str


@dataclass(frozen=True)
class SourceDefinition(_Definition):
    """A table brought in from outside; the fields are those of its YAML, resolved.

    ``written`` is what the user wrote of what it brings in.
    """

    first: Period | None
    live_since: Period | None
    delivers: Literal["period", "window", "snapshot", "increment"]
    window_periods: int
    max_removed_share: float
    min_rows_share: float
    max_bad_share: float
    overdue_after: timedelta
    origin: Files | Database | Push
    published_from: Path | None
    expectations: tuple[Expectation, ...]
    written: Mapping[str, object] = field(repr=False)
    online: bool = False

    @property
    def definition_hash(self) -> str:
        """Hash of what the user wrote."""
        return definition_hash(self.written)

    @property
    def static(self) -> bool:
        """Whether it has no time."""
        return self.schema.timestamp is None

    @property
    def pushed(self) -> bool:
        """Whether applications push its rows."""
        return isinstance(self.origin, Push)

    @property
    def generation(self) -> str:
        """Sources have one generation: a changed contract is a correction of the project, not of the data."""
        return "source"


@dataclass(frozen=True)
class FeatureTableDefinition(_ComputedDefinition):
    """A feature table.

    ``parts`` are all that decides its rows, in canonical text by what it is: ``sql``, ``history``, ``column units``,
    ``input sales`` (the input's generation) and so on; ``generation`` is their hash. Declared time windows are a
    `Query` too: the SQL that they stand for. ``engine`` is its own choice of what computes it, which changes nothing
    in its rows.
    """

    computation: Query | PythonFunction
    inputs: tuple[str, ...]
    expectations: tuple[Expectation, ...]
    engine: EngineName | None
    online: bool = False

    @property
    def query(self) -> Query | None:
        """Its SQL; None where a Python function computes it."""
        return self.computation if isinstance(self.computation, Query) else None


@dataclass(frozen=True)
class ModelDefinition(_ComputedDefinition):
    """A model.

    Its ``baseline`` is a feature, or None for the classes' shares among the labels that are learned from. Its
    ``label_column`` and ``prediction`` say what these two columns look like. Its
    ``schema`` holds keys and timestamp, ``request`` what comes with each row beside them, ``computed`` what is
    computed from both and from what is looked up; ``features`` are all that the estimator sees, in order.

    ``generation`` is the hash of ``parts``, the model's own definition: population, label, lookups and what it
    computes. Generations of the tables it reads are not in it; what a version was trained on is recorded with it. They
    are in ``label_generation``, for labels are states, and states of two definitions do not mix. ``trained_by`` is what
    the user wrote of how a candidate is trained and judged on a training set; ``own_metrics`` are the user's figures of
    how predictions turned out.
    """

    population: Query
    population_inputs: tuple[str, ...]
    task: Task
    label: LabelDefinition
    label_column: Column
    prediction: Column
    baseline: str | None
    lookups: tuple[LookupDefinition, ...]
    request: tuple[Column, ...]
    computed: tuple[ComputedFeature, ...]
    features: tuple[Column, ...]
    template: TemplateChoice
    fitting: FittingChoice
    window: int | None
    validation: int
    threads: int
    min_rows: int
    gates: tuple[Gate, ...]
    gates_location: Location
    evaluation: EvaluationChoice
    intervals: IntervalChoice | None
    approval: Literal["automatic", "required"]
    candidate_retention: Duration | None
    when_late: Literal["wait", "score_without"]
    unknown_keys: Literal["predict", "null", "refuse"]
    drift: DriftChoice
    metric: str
    request_log: RequestLogChoice
    retrain: RetrainPolicy
    label_generation: str
    trained_by: Mapping[str, object] = field(repr=False)
    own_metrics: tuple[ComputedFeature, ...] = ()

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The columns that the estimator sees, in order."""
        return tuple(column.name for column in self.features)

    @property
    def population_schema(self) -> TableSchema:
        """What the population's SQL gives: keys, timestamp, and the columns of the request."""
        return replace(self.schema, columns=(*self.schema.columns, *self.request))

    @property
    def looked_up_by(self) -> tuple[Column, ...]:
        """The columns of the request that are no features: lookups take their keys from them."""
        return tuple(column for column in self.request if column.name not in self.feature_names)

    @property
    def numbers(self) -> tuple[str, ...]:
        """The features that are numbers."""
        return tuple(column.name for column in self.features if column.kind == "number")

    @property
    def categories(self) -> tuple[str, ...]:
        """The features that are categories."""
        return tuple(column.name for column in self.features if column.kind == "category")

    @property
    def personal_names(self) -> frozenset[str]:
        """Those of its keys, request columns and features that are personal."""
        columns = (*self.schema.columns, *self.request, *self.features)
        return frozenset(column.name for column in columns if column.is_personal)

    @property
    def training_columns(self) -> tuple[Column, ...]:
        """The columns that come from data in a training set: keys, timestamp, label, request and features."""
        return (*self.schema.columns, self.label_column, *self.looked_up_by, *self.features)

    @property
    def known_columns(self) -> Mapping[int, str]:
        """By place of each lookup by its own keys, a column that has a value where that found a row.

        A key of which none has is unknown; what is found by a value of the request tells nothing of the key. There are
        none where unknown keys are predicted as others are. With a space, because no column of a user's has one.
        """
        keys = set(self.schema.keys)
        by_key = [place for place, lookup in enumerate(self.lookups) if set(lookup.lookup_key or keys) <= keys]
        return {} if self.unknown_keys == "predict" else {place: f"found {place}" for place in by_key}

    @property
    def feature_tables(self) -> tuple[str, ...]:
        """The tables that features are looked up in, each once."""
        return tuple(dict.fromkeys(lookup.table for lookup in self.lookups))

    @property
    def inputs(self) -> tuple[str, ...]:
        """The tables that population and features read."""
        return tuple(dict.fromkeys([*self.population_inputs, *self.feature_tables]))

    @property
    def classes(self) -> tuple[str, ...]:
        """What may come true: of a binary model false and true, of a regression nothing."""
        return classes_of(self.task, self.label.classes)

    @property
    def prediction_columns(self) -> tuple[Column, ...]:
        """What a prediction consists of: the likeliest value, and of a classification the probabilities."""
        likely = replace(self.prediction, type="double")
        if self.task == "binary":
            return self.prediction, replace(likely, name="probability", description="Probability that it is so")
        return self.prediction, *(
            replace(likely, name=f"probability_{name}", description=f"Probability of {name}")
            for name in self.label.classes
        )

    @property
    def interval_columns(self) -> tuple[Column, ...]:
        """Where the truth is to lie; null where the version has no interval."""
        about = "end of the interval that holds the truth in as many cases as the version's coverage says"
        return tuple(
            replace(self.prediction, name=name, description=f"{name.capitalize()} {about}")
            for name in (INTERVAL_COLUMNS if self.intervals else ())
        )

    @property
    def answer_columns(self) -> tuple[Column, ...]:
        """All that is answered of a row: the prediction columns, and its interval where the model has one."""
        return (*self.prediction_columns, *self.interval_columns)

    @property
    def baseline_columns(self) -> tuple[Column, ...]:
        """What the baseline predicts: a number, the probability that it is so, or that of each class."""
        names = {"baseline": "The simplest prediction" + (" (probability that it is so)" if self.classes else "")}
        if self.task == "multiclass":
            names = {
                f"baseline_{name}": f"Probability of {name} by the simplest prediction" for name in self.label.classes
            }
        learned = [] if self.task == "regression" else [self.label_column.sensitivity]
        level = greatest([*learned, *(of.sensitivity for of in self.features if of.name == self.baseline)])
        return tuple(Column(name, "double", of, sensitivity=level) for name, of in names.items())

    @property
    def version_columns(self) -> tuple[Column, ...]:
        """What predictions say of where they come from, beside their as_of."""
        return (
            Column("version", "bigint", "Version that predicted"),
            Column("feature_versions", "string", "Generation of each table that features were looked up in, as JSON"),
        )

    @property
    def predictions_schema(self) -> TableSchema:
        """A period's predictions: keys, timestamp, prediction, baseline, by what and when, and what they saw."""
        columns = (
            *self.schema.columns,
            *self.answer_columns,
            *self.baseline_columns,
            *self.version_columns,
            Column("as_of", "timestamp", "When the period was known; nothing that became known later was used"),
            *self.looked_up_by,
            *self.features,
        )
        return replace(self.schema, columns=columns)

    @property
    def challenger_predictions_schema(self) -> TableSchema:
        """What the challenger said of a period's rows: keys, timestamp, prediction, and by what beside which champion.

        What both saw stands with the champion's predictions.
        """
        predicted, *others = self.answer_columns
        columns = (
            *self.schema.columns,
            replace(predicted, description=predicted.description.replace("champion", "challenger")),
            *others,
            *self.version_columns,
            Column("champion_version", "bigint", "Version that predicted the same row as champion"),
        )
        return replace(self.schema, columns=columns)

    def speaks_about(self, now: datetime) -> Period:
        """The newest period that it can predict from at a moment: the last whose as_of has come, if nothing is late."""
        return self.schema.calendar.newest_over(now - self.lag)

    @property
    def first_label_period(self) -> Period:
        """The first period in which a label becomes known."""
        return max(self.schema.calendar.shift(self.first, self.label.known_after), self.label.first)

    @property
    def last_label_period(self) -> Period | None:
        """The last period in which one does; None where they go on."""
        return min((last for last in (self.last, self.label.last) if last), default=None)


TableDefinition = SourceDefinition | FeatureTableDefinition


@dataclass(frozen=True)
class ProjectDefinition:
    """All that a project declares.

    Args:
        folder: The folder that the YAML files lie under.
        sources: By name.
        feature_tables: By name, inputs before those that read them.
        models: By name.
        engine: Which engine runs what does not choose its own.
        roles: The scopes of every role that a token may carry.
    """

    folder: Path
    sources: Mapping[str, SourceDefinition]
    feature_tables: Mapping[str, FeatureTableDefinition]
    models: Mapping[str, ModelDefinition]
    engine: EngineSettings = field(default_factory=EngineSettings)
    roles: Mapping[str, frozenset[Scope]] = field(default_factory=lambda: ROLES)

    @property
    def name(self) -> str:
        """The package that the project's definitions are in."""
        return self.folder.parent.name

    @cached_property
    def tables(self) -> Mapping[str, TableDefinition]:
        """Sources and feature tables by name, each before those that read it."""
        return {**self.sources, **self.feature_tables}

    def table(self, name: str) -> TableDefinition:
        """A source or feature table.

        Raises:
            DefinitionError: There is none of that name.
        """
        return _named("table", name, self.tables)

    def source(self, name: str) -> SourceDefinition:
        """A source.

        Raises:
            DefinitionError: There is none of that name.
        """
        return _named("source", name, self.sources)

    def feature_table(self, name: str) -> FeatureTableDefinition:
        """A feature table.

        Raises:
            DefinitionError: There is none of that name.
        """
        return _named("feature table", name, self.feature_tables)

    def model(self, name: str) -> ModelDefinition:
        """A model.

        Raises:
            DefinitionError: There is none of that name.
        """
        return _named("model", name, self.models)

    def models_using(self, table: str, column: str) -> list[ModelDefinition]:
        """The models that look a column of a table up."""
        return list(self._users.get((table, column), {}).values())

    @cached_property
    def _users(self) -> Mapping[tuple[str, str], dict[str, ModelDefinition]]:
        users: dict[tuple[str, str], dict[str, ModelDefinition]] = {}
        for model in self.models.values():
            for lookup in model.lookups:
                for column in lookup.columns:
                    users.setdefault((lookup.table, column), {})[model.name] = model
        return users

    def calendar_of(self, asset: str) -> Calendar:
        """How an asset is cut into periods: TABLE, TABLE/TABLE_online, or a step of a model such as MODEL/labels."""
        name, _, _ = asset.partition("/")
        return self.models[name].schema.calendar if name in self.models else self.table(name).schema.calendar

    @property
    def online_tables(self) -> tuple[str, ...]:
        """The tables that are published for applications."""
        return tuple(name for name, table in self.tables.items() if table.online)

    def upstream_sources(self, *names: str) -> Iterator[SourceDefinition]:
        """The sources that tables rest on, through feature tables; each once."""
        seen: set[str] = set()
        waiting = list(names)
        while waiting:
            table = self.table(waiting.pop())
            if table.name in seen:
                continue
            seen.add(table.name)
            if isinstance(table, FeatureTableDefinition):
                waiting += table.inputs
            else:
                yield table


Declared = TypeVar("Declared")


def _named(what: str, name: str, declared: Mapping[str, Declared]) -> Declared:
    if name not in declared:
        raise none_of(f"{what} '{name}'", name, declared, empty="none is declared")
    return declared[name]
