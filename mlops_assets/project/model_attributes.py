"""The YAML of models: every field, its type, and its description (shown in docs and editors)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from mlops_assets.engines.contract import ResolvedLookup
from mlops_assets.lakehouse.tables import StateTable
from mlops_assets.project.attributes import Attributes, SensitivityAttributes, SharedAttributes, ValueAttributes
from mlops_assets.project.field_types import FeatureName, FiniteNumber, Length, Lookback, Share
from mlops_assets.project.gates import GateAttributes
from mlops_assets.project.names import Name
from mlops_assets.project.tasks import Task


class LabelAttributes(Attributes):
    """What the model predicts."""

    sql: str
    """File with one SELECT that gives keys, timestamp and the label's column."""
    column: str
    """The label's column."""
    horizon: int = Field(ge=1)
    """How many periods ahead the label lies."""
    delay: int = Field(default=0, ge=0)
    """How many further periods pass until the label is known."""
    unit: str = ""
    """Unit of the label, for people."""
    classes: list[Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$")]] = Field(default_factory=list)
    """The classes of a multiclass label, at least two; columns of probabilities are named after them."""


@dataclass(frozen=True)
class LookupDefinition:
    """A choice of columns from one table; `opened` against the table as it stands, an engine follows it."""

    table: Name
    """Feature table, or static source."""
    columns: Annotated[tuple[str, ...], Field(min_length=1)]
    """Columns to look up by the table's key."""
    lookback: Lookback | None = None
    """Oldest row that may answer, such as 2 months; none for any."""
    lookup_key: tuple[str, ...] | None = None
    """Columns of the population that hold the table's keys, in their order; by default the same names."""
    rename: Mapping[str, FeatureName] = field(default_factory=dict)
    """What the model calls a column, by column."""
    default: Mapping[str, object] = field(default_factory=dict)
    """What stands for a missing value, by column; by default 0 for sums and counts of windows."""

    @property
    def names(self) -> tuple[str, ...]:
        """What the model calls the columns, in their order."""
        return tuple(self.rename.get(column, column) for column in self.columns)

    def opened(self, table: StateTable, *, found: str | None = None) -> ResolvedLookup:
        """The same against the table's states; ``found`` is as in `ResolvedLookup`."""
        return ResolvedLookup(
            table,
            self.columns,
            self.lookback,
            lookup_key=self.lookup_key,
            rename=self.rename,
            default=self.default,
            found=found,
        )


class RequestColumnAttributes(ValueAttributes, SensitivityAttributes):
    """A value that comes with a request, and in training and scoring from a column of the population's SQL."""


class RequestAttributes(Attributes):
    """What comes with a request for a prediction, beside the keys."""

    columns: dict[FeatureName, RequestColumnAttributes] = Field(min_length=1)
    """The columns; each is a feature, unless a lookup takes its key from it."""


class ComputedAttributes(RequestColumnAttributes):
    """A feature computed at request time, the same in training, scoring and serving."""

    name: FeatureName
    """What the model calls it."""
    expression: str
    """One expression of DuckDB's SQL over looked-up features, request columns and keys of the row."""


class TemplateAttributes(Attributes):
    """The recipe of the estimator."""

    name: str
    """Name of a template."""
    version: int = Field(default=1, ge=1)
    """Version of the template."""
    params: dict[str, str | int | float | bool | None] = Field(default_factory=dict)
    """Its parameters."""
    seed: int = 0
    """Seed of everything random."""
    python: str | None = None
    """MODULE:FUNCTION of the project that gives an estimator, for a template of your own."""
    allow_pickle: list[Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$")]] = Field(default_factory=list)
    """MODULE.CLASS of an own template's estimator that may be kept as a pickle, which runs code."""


class EarlyStoppingAttributes(Attributes):
    """Fewer rounds of boosting, where the newest periods say so."""

    periods: Length
    """The newest periods of a fit's rows, whose loss is watched, such as 3 months."""
    patience: int = Field(default=10, ge=1)
    """After how many rounds without a smaller loss the best so far is taken."""
    rounds: str | None = None
    """Of a template of your own, its parameter that counts rounds, such as n_estimators."""


@dataclass(frozen=True)
class Range:
    """A range of numbers that random search draws from, both ends included; whole numbers where both ends are."""

    low: int | FiniteNumber
    """Smallest value."""
    high: int | FiniteNumber
    """Largest value."""
    log: bool = False
    """Whether to draw evenly over orders of magnitude."""


@dataclass(frozen=True)
class Search:
    """A search for the template's parameters, by folds in the order of time; see `mlops_assets.models.search`."""

    params: Annotated[Mapping[str, tuple[str | int | float | bool | None, ...] | Range], Field(min_length=1)]
    """By parameter, a list of values, or low and high for random."""
    strategy: Literal["grid", "random"] = "random"
    """All combinations, or some at random."""
    folds: Annotated[int, Field(ge=1)] = 3
    """How many times each trial is fitted and judged."""
    trials: Annotated[int, Field(ge=1)] = 20
    """Most trials; the first is the parameters as declared."""
    minutes: Annotated[float, Field(gt=0)] | None = None
    """No trial begins after so many minutes; one is always made."""


class TrainAttributes(Attributes):
    """Which labels a training uses."""

    window: Length | Literal["expanding"] = "expanding"
    """Labels of the last so many periods, or expanding for all."""
    validation: Length
    """The newest periods, on which a candidate is judged, such as 6 months."""
    threads: int = Field(default=1, ge=1)
    """Threads of a fit; one repeats to the last digit on every machine."""
    min_rows: int = Field(default=1, ge=1)
    """Fewest labels to train on, and a tenth of it to judge on."""
    weight: str | None = None
    """A feature or request column with the weight of each row, greater than 0."""
    class_weight: Literal["balanced"] | dict[str | bool | int, FiniteNumber] | None = None
    """What the rows of each class weigh, of a classification: by class, the others 1; or balanced, as much together in
    each class.
    """
    early_stopping: EarlyStoppingAttributes | None = None
    """Take fewer rounds, for templates that have rounds."""
    search: Search | None = None
    """Search for parameters before each training."""


@dataclass(frozen=True)
class EvaluationChoice:
    """What the stored report of a candidate holds beside its figures over all judged rows."""

    segments: tuple[str, ...] = ()
    """Keys, the timestamp, request columns or features by which figures are told, too: categories by level, numbers by
    quartiles.
    """
    min_rows: Annotated[int, Field(ge=1)] = 50
    """Levels of fewer rows are told as one."""
    draws: Annotated[int, Field(ge=100)] = 500
    """How often the keys are drawn anew for the intervals."""


@dataclass(frozen=True)
class DriftChoice:
    """How the features of a period are compared with those of the training set."""

    reference: Literal["all", "same_season", "previous"] = "all"
    """What a period is compared with: all periods of the training set, those of its season, or the period before."""
    segments: tuple[str, ...] = ()
    """Keys, request columns or features by which it is also told where something moved: categories by level, numbers
    by quartiles.
    """
    false_alarms: Annotated[float, Field(gt=0, le=0.5)] = 0.05
    """Share of periods without drift that may alarm: it sets the bar."""


class MonitorAttributes(Attributes):
    """What is watched."""

    drift: DriftChoice = Field(default_factory=DriftChoice)
    """Drift of the model's features."""
    metric: str | None = None
    """The figure that decides on retraining, of which less is better: by default mae, or log_loss."""
    metrics: dict[FeatureName, str] = Field(default_factory=dict)
    """Figures of your own by name, of which less is better: one aggregate of DuckDB's SQL over prediction, baseline,
    label, keys, features and request columns, such as sum(abs(prediction - growth)).
    """


@dataclass(frozen=True)
class RequestLogChoice:
    """Which requests for predictions over HTTP are kept."""

    log_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the requests that are kept in the lakehouse, with their answers."""
    log_personal: bool = False
    """Whether personal columns of these are kept, too; otherwise they are null."""
    max_skew: Annotated[Share, Field(ge=0, le=1)] = 0.01
    """Share of them that may have been answered before something known was published, such as 1%."""


INTERVAL_COLUMNS = ("lower", "upper")
"""The ends of an interval, beside the prediction."""


@dataclass(frozen=True)
class IntervalChoice:
    """An interval around each number that is predicted; see `mlops_assets.models.intervals`."""

    coverage: Annotated[Share, Field(gt=0, lt=1)]
    """Share of the rows whose truth is to lie in the interval, such as 80%."""


class RetrainAttributes(Attributes):
    """When the retrain policy asks for a training."""

    worse_by: float = Field(default=0.1, gt=0)
    """Share by which the error must exceed its level, the error to expect of the season, such as 0.1; more where past
    periods strayed further.
    """
    persistence: int = Field(default=2, ge=1)
    """Over how many of the newest periods together the error is held against level and baseline."""
    cool_down: Length
    """Shortest time between two trainings, such as 3 months; at least until labels about the last one are known."""
    max_age: Length
    """Age of the champion's training from which one is asked for anyway."""
    drift_importance: Annotated[Share, Field(gt=0, le=1)] | None = None
    """Share of the importance that the features of an alarm must hold for a training, such as 30%; then an estimate
    that is worse than usual asks for one, too. By default drift alone asks for none.
    """
    fallback: Literal["baseline"] | None = None
    """What serves where the champion did worse than the baseline over so many periods and the last training was
    refused: with ``baseline`` a version that is the baseline, until a candidate passes; by default the champion stays.
    """


class PolicyAttributes(Attributes):
    """What a backtest tries in the place of what a model declares."""

    retrain: RetrainAttributes | None = None
    """When a training is asked for; by default as the model declares."""
    gates: list[GateAttributes] | None = Field(default=None, min_length=1)
    """What a candidate must win to become a version; by default as the model declares."""


class RetentionAttributes(Attributes):
    """How long things are kept that are of no more use."""

    candidates: Length | None = None
    """How long fits are kept that never served, such as 24 months; by default for ever."""


class ModelAttributes(SharedAttributes):
    """A model: its population, label, features, template, gates and retrain policy."""

    task: Task
    """regression: a number; binary: whether it is so, a boolean; multiclass: one of label.classes."""
    primary_keys: list[str] = Field(min_length=1)
    """Columns that name what is predicted for."""
    timestamp: str
    """Column with the time of a row in population and label."""
    population: str
    """File with one SELECT that gives keys and timestamp to train on and score."""
    history: Length
    """How far back population and label look, horizon and delay included."""
    label: LabelAttributes
    """What is predicted."""
    baseline: str
    """TABLE.COLUMN of a feature that is the simplest prediction: of a regression its value, 0 where missing; of a
    classification each class's share by its level. prior: each class's share over all.
    """
    features: list[LookupDefinition] = Field(min_length=1)
    """What the model looks at."""
    request: RequestAttributes | None = None
    """Values that come with a request; the population's SQL gives columns of their names."""
    computed: list[ComputedAttributes] = Field(default_factory=list)
    """Features computed from looked-up features and the request's values."""
    columns: dict[str, SensitivityAttributes] = Field(default_factory=dict)
    """Who may see keys, timestamp, label, looked-up features and prediction, by name, where it is not who may see what
    they are computed from.
    """
    template: TemplateAttributes
    """The recipe of the estimator."""
    train: TrainAttributes
    """Which labels are used."""
    gates: list[GateAttributes] = Field(min_length=1)
    """What a candidate must win to become a version."""
    evaluate: EvaluationChoice = EvaluationChoice()
    """What is told of a candidate beside its gates."""
    approval: Literal["automatic", "required"] = "automatic"
    """Whether a version becomes champion by itself or waits for a person."""
    intervals: IntervalChoice | None = None
    """Of a regression, columns lower and upper beside each prediction."""
    when_late: Literal["wait", "score_without"] = "wait"
    """What to do when a source is late: wait for it, or score with what is known."""
    unknown_keys: Literal["predict", "null", "refuse"] = "null"
    """What to say of a key that nothing is known of: a prediction all the same, null, or an error."""
    retention: RetentionAttributes = Field(default_factory=RetentionAttributes)
    """What is kept how long."""
    monitor: MonitorAttributes = Field(default_factory=MonitorAttributes)
    """What is watched."""
    serve: RequestLogChoice = RequestLogChoice()
    """Predictions over HTTP."""
    retrain: RetrainAttributes
    """When a training is asked for."""
