"""The YAML of models: every field, its type, and its description (shown in docs and editors)."""

from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from mlops_assets.project.attributes import (
    Attributes,
    DeclaredType,
    FiniteNumber,
    Length,
    SensitivityAttributes,
    Share,
    SharedAttributes,
)
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


class LookupAttributes(Attributes):
    """A choice of columns from one feature table."""

    table: Name
    """Feature table, or static source."""
    columns: list[str] = Field(min_length=1)
    """Columns to look up by the table's key."""
    lookback: Length | None = None
    """Oldest row that may answer, such as 2 months; none for any."""
    lookup_key: list[str] | None = None
    """Columns of the population that hold the table's keys, in their order; by default the same names."""
    rename: dict[str, Name] = Field(default_factory=dict)
    """What the model calls a column, by column."""
    default: dict[str, str | int | float | bool | date | datetime] = Field(default_factory=dict)
    """What stands for a missing value, by column; by default 0 for sums and counts of windows."""


class RequestColumnAttributes(SensitivityAttributes):
    """A value that comes with a request, and in training and scoring from a column of the population's SQL."""

    type: DeclaredType
    description: str
    """What a value means, with its unit."""
    kind: Literal["number", "category"] | None = None
    """How the model uses it; by default text and booleans are categories, others numbers."""


class RequestAttributes(Attributes):
    """What comes with a request for a prediction, beside the keys."""

    columns: dict[Name, RequestColumnAttributes] = Field(min_length=1)
    """The columns; each is a feature, unless a lookup takes its key from it."""


class ComputedAttributes(RequestColumnAttributes):
    """A feature computed at request time, the same in training, scoring and serving."""

    name: Name
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


class RangeAttributes(Attributes):
    """A range of numbers that random search draws from; whole numbers where both ends are."""

    low: int | FiniteNumber
    """Smallest value."""
    high: int | FiniteNumber
    """Largest value."""
    log: bool = False
    """Whether to draw evenly over orders of magnitude."""


class SearchAttributes(Attributes):
    """A search for the template's parameters, by folds in the order of time."""

    strategy: Literal["grid", "random"] = "random"
    """All combinations, or some at random."""
    params: dict[str, list[str | int | float | bool | None] | RangeAttributes] = Field(min_length=1)
    """By parameter, a list of values, or low and high for random."""
    folds: int = Field(default=3, ge=1)
    """How many times each trial is fitted and judged."""
    trials: int = Field(default=20, ge=1)
    """Most trials; the first is the parameters as declared."""
    minutes: float | None = Field(default=None, gt=0)
    """No trial begins after so many minutes; one is always made."""


class TrainAttributes(Attributes):
    """Which labels a training uses."""

    window: Length = "expanding"
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
    search: SearchAttributes | None = None
    """Search for parameters before each training."""


_METRIC = (
    "mae, rmse, median_absolute_error, r2; of a classification log_loss, brier, accuracy, calibration_error, of two "
    "classes also roc_auc, average_precision, of several also macro_f1."
)


class ComparisonGateAttributes(Attributes):
    """One comparison that a candidate must win."""

    metric: str = Field(description=f"The figure to compare: {_METRIC}")
    better_than: Literal["baseline", "champion"]
    """What the candidate must beat on the same rows."""
    margin: Share = Field(default=0.0, ge=0, lt=1)
    """By which share of the other's figure, such as 5%; 0 for any."""


class LimitGateAttributes(Attributes):
    """An absolute limit that a metric must keep; one of the two."""

    metric: str = Field(description=f"The figure to limit: bias (by its distance from 0), {_METRIC}")
    at_most: FiniteNumber | None = None
    """Greatest value, where less is better."""
    at_least: FiniteNumber | None = None
    """Smallest value, where more is better."""


class SegmentGateAttributes(Attributes):
    """No segment may be worse by more than a share."""

    metric: str = Field(description=f"The figure to compare: {_METRIC}")
    by: list[str] = Field(min_length=1)
    """Keys, the timestamp, request columns or features; each level, or quarter of a number, is a segment."""
    better_than: Literal["baseline", "champion"]
    """Whose figure on the same rows is compared."""
    worse_by_at_most: Share = Field(ge=0)
    """By which share of the other's figure, such as 10%."""
    min_rows: int = Field(default=50, ge=1)
    """Segments of fewer rows do not count; without any it fails."""


class SizeGateAttributes(Attributes):
    """How large the model may be."""

    model_size_at_most: str
    """Size of the model's file, such as 20 MB (KB, MB or GB)."""


class LatencyGateAttributes(Attributes):
    """How long a prediction may take."""

    latency_at_most: str
    """Median time of predicting one row, such as 5 ms (ms or s)."""


class OwnGateAttributes(Attributes):
    """What a function of the project decides."""

    python: str
    """MODULE:FUNCTION that gives whether the candidate passes, and why in words."""
    name: Name | None = None
    """Name of the check; by default the function's."""


def _form_of_gate(value: Any) -> str:
    """Which kind of gate is meant, by the field that only it has."""
    fields = value if isinstance(value, dict) else {}
    forms = {
        "python": "own",
        "model_size_at_most": "size",
        "latency_at_most": "latency",
        "by": "segments",
        "worse_by_at_most": "segments",
        "at_most": "limit",
        "at_least": "limit",
    }
    return next((form for field, form in forms.items() if field in fields), "comparison")


GateAttributes = Annotated[
    Annotated[ComparisonGateAttributes, Tag("comparison")]
    | Annotated[LimitGateAttributes, Tag("limit")]
    | Annotated[SegmentGateAttributes, Tag("segments")]
    | Annotated[SizeGateAttributes, Tag("size")]
    | Annotated[LatencyGateAttributes, Tag("latency")]
    | Annotated[OwnGateAttributes, Tag("own")],
    Discriminator(_form_of_gate),
]


class EvaluateAttributes(Attributes):
    """What the stored report of a candidate holds beside its figures over all judged rows."""

    segments: list[str] = Field(default_factory=list)
    """Keys, the timestamp, request columns or features by which figures are told, too: categories by level, numbers by
    quarters.
    """
    min_rows: int = Field(default=50, ge=1)
    """Levels of fewer rows are told as one."""
    draws: int = Field(default=500, ge=100)
    """How often the keys are drawn anew for the intervals."""


class DriftAttributes(Attributes):
    """When a month's features count as drifted."""

    share: float = Field(default=0.5, gt=0, le=1)
    """Share of drifted columns from which the batch has drifted."""


class MonitorAttributes(Attributes):
    """What is watched."""

    drift: DriftAttributes = Field(default_factory=DriftAttributes)
    """Drift of the model's features."""
    metric: str | None = None
    """The figure that decides on retraining, of which less is better: by default mae, or log_loss."""


class ServeAttributes(Attributes):
    """How predictions are served over HTTP."""

    log_share: float = Field(default=0.0, ge=0, le=1)
    """Share of the requests that are kept in the lakehouse, with their answers."""
    log_personal: bool = False
    """Whether personal columns of these are kept, too; otherwise they are null."""


class RetrainAttributes(Attributes):
    """When the retrain policy asks for a training."""

    worse_by: float = Field(default=0.2, gt=0)
    """Share by which the error must exceed its level at training, such as 0.2."""
    persistence: int = Field(default=2, ge=1)
    """Over how many of the newest periods the error is averaged."""
    cool_down: Length
    """Shortest time between two trainings, such as 3 months."""
    max_age: Length
    """Age of the champion's training from which one is asked for anyway."""


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
    features: list[LookupAttributes] = Field(min_length=1)
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
    evaluate: EvaluateAttributes = Field(default_factory=EvaluateAttributes)
    """What is told of a candidate beside its gates."""
    approval: Literal["automatic", "required"] = "automatic"
    """Whether a version becomes champion by itself or waits for a person."""
    when_late: Literal["wait", "score_without"] = "wait"
    """What to do when a source is late: wait for it, or score with what is known."""
    unknown_keys: Literal["predict", "null", "refuse"] = "null"
    """What to say of a key that nothing is known of: a prediction all the same, null, or an error."""
    retention: RetentionAttributes = Field(default_factory=RetentionAttributes)
    """What is kept how long."""
    monitor: MonitorAttributes = Field(default_factory=MonitorAttributes)
    """What is watched."""
    serve: ServeAttributes = Field(default_factory=ServeAttributes)
    """Predictions over HTTP."""
    retrain: RetrainAttributes
    """When a training is asked for."""
