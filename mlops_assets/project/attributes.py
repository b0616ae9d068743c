"""The YAML of the three components: every field, its type, and its description (shown in docs and editors)."""

from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag

from mlops_assets.project.names import Name, Owner, TableName, TagText
from mlops_assets.project.tasks import Task

FiniteNumber = Annotated[float, Field(allow_inf_nan=False)]


def _text_of_date(value: Any) -> Any:
    """YAML reads 2024-01-31 without quotes as a date; a period's key is text."""
    return value.isoformat() if isinstance(value, date) else value


def _share_of_percentage(value: Any) -> Any:
    """10% is the share 0.1."""
    number, sign, rest = value.partition("%") if isinstance(value, str) else (value, "", "")
    return float(number) / 100 if sign and not rest and number.strip().replace(".", "", 1).isdigit() else value


Share = Annotated[float, BeforeValidator(_share_of_percentage)]
"""A share: 0.1, or 10%."""

LENGTH = "length"
Length = Annotated[str, LENGTH]
"""A length of time: 7 days, which is the same definition as 1 week."""

PeriodKey = Annotated[str, BeforeValidator(_text_of_date)]
Unit = Literal["day", "week", "month"]
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


class Attributes(BaseModel):
    """Base: a field that does not exist is an error, never ignored."""

    model_config = ConfigDict(extra="forbid", defer_build=True)


class SensitivityAttributes(Attributes):
    """Who may see a column that is computed from others."""

    sensitivity: Literal["public", "internal", "personal"] | None = Field(
        default=None,
        description="Who may see it: public everybody, internal the organisation, personal only who needs it; by "
        "default as the most sensitive of what it is computed from.",
    )
    sensitivity_reason: str = Field(
        default="", description="Why it may be less sensitive than what it is computed from; needed where it is."
    )


class ContractAttributes(Attributes):
    """One column and its contract."""

    type: Literal["string", "bigint", "double", "boolean", "date", "timestamp"] = Field(
        description="Logical type, the same in every engine; timestamps are in UTC."
    )
    description: str = Field(description="What a value means, with its unit.")
    kind: Literal["number", "category"] | None = Field(
        default=None,
        description="How a model uses it; by default text and booleans are categories, others numbers.",
    )
    nullable: bool = Field(default=True, description="Whether nulls are allowed; keys and timestamps never have any.")
    minimum: FiniteNumber | None = Field(default=None, description="Smallest number allowed.")
    maximum: FiniteNumber | None = Field(default=None, description="Largest number allowed.")
    allowed: list[str] = Field(default_factory=list, description="The texts allowed; empty for all.")
    owners: list[Owner] | None = Field(
        default=None,
        description="Who answers for the column: e-mail addresses, or team:NAME; by default the table's owners.",
    )


class SourceColumnAttributes(ContractAttributes):
    """One column of a source."""

    sensitivity: Literal["public", "internal", "personal"] = Field(
        default="internal",
        description="Who may see it: public everybody, internal the organisation, personal only who needs it.",
    )
    not_finite: Literal["refuse", "null"] = Field(
        default="refuse",
        description="What becomes of a number that is not finite (NaN, infinity): refuse, as a fault of its row, or "
        "null.",
    )


class ColumnAttributes(ContractAttributes, SensitivityAttributes):
    """One column of a feature table."""


class SharedAttributes(Attributes):
    """What all components have."""

    name: TableName = Field(description="Name of the table or model: lower case, digits, underscores.")
    description: str = Field(description="What it is, for people who search for it.")
    owners: list[Owner] = Field(default_factory=list, description="Who answers for it: e-mail addresses, or team:NAME.")
    tags: dict[TagText, TagText] = Field(
        default_factory=dict, description="Labels to search by, such as domain: sales."
    )


class TableAttributes(SharedAttributes):
    """What sources and feature tables have."""

    online: bool = Field(
        default=False, description="Whether applications read its newest rows by key, from the online store."
    )


class RatioAttributes(Attributes):
    """A range of shares of the last period's rows."""

    least: FiniteNumber = Field(default=0, ge=0, description="Fewest rows, as a share of the last period's: 0.5.")
    most: FiniteNumber | None = Field(default=None, gt=0, description="Most rows, as a share of the last period's.")


class RowsAttributes(Attributes):
    """What is expected of the number of rows."""

    against_last_period: RatioAttributes = Field(description="Rows of a period against those of the period before it.")


class FreshnessAttributes(Attributes):
    """How old the newest may be by the platform clock; one of the two."""

    newest_row: Length | None = Field(
        default=None, description="Greatest age of the newest row's time: hours, days or weeks, such as 40 days."
    )
    newest_delivery: Length | None = Field(
        default=None, description="Greatest time since the newest delivery arrived: hours, days or weeks; of a source."
    )


class ExpectationAttributes(Attributes):
    """One rule that is expected of a table beyond its contract: an asset check, with its numbers plotted."""

    column: str | None = Field(
        default=None, description="The column that null_share, minimum and maximum, or allowed are about."
    )
    null_share: float | None = Field(default=None, ge=0, le=1, description="Largest share of nulls, such as 0.05.")
    minimum: FiniteNumber | None = Field(default=None, description="Smallest number expected.")
    maximum: FiniteNumber | None = Field(default=None, description="Largest number expected.")
    allowed: list[str] = Field(default_factory=list, description="The texts expected.")
    rows: RowsAttributes | None = Field(default=None, description="How many rows are expected.")
    freshness: FreshnessAttributes | None = Field(
        default=None, description="How old the newest row or delivery may be; also looked at when nothing arrives."
    )
    severity: Literal["warn", "block"] = Field(
        default="warn",
        description="warn: shown, and stops nothing; block: the rows are kept out and the last good state stays.",
    )
    description: str = Field(default="", description="Why this is expected, for people.")


class FilesAttributes(Attributes):
    """What the files of a delivery look like, and what they are called."""

    format: Literal["csv", "parquet", "json_lines"] = Field(
        default="csv", description="csv, parquet, or json_lines: one JSON object a line."
    )
    pattern: str | None = Field(
        default=None,
        description=(
            "Path of a period's file below the landing folder, such as {period:%Y%m}/part-*.parquet; by default "
            "{period}.csv, .parquet or .jsonl. CSV and JSON lines are compressed where it ends with .gz."
        ),
    )
    complete: str | None = Field(
        default=None,
        description=(
            "Path of a file that is written last, such as {period}/_SUCCESS: before it is there, nothing is read. "
            "Needed where several files make a delivery."
        ),
    )
    escape: Literal["backslash"] | None = Field(
        default=None,
        description=(
            "How CSV writes a quotation mark inside a quoted value: by default twice; backslash as Spark and MySQL do, "
            r"before it and before a backslash, where \N is null."
        ),
    )


class DatabaseAttributes(Attributes):
    """Where in an SQL database the rows of a period are."""

    url_variable: str = Field(
        pattern=r"^[A-Z][A-Z0-9_]*$",
        description="Environment variable that holds the URL of the database, as SQLAlchemy writes it.",
    )
    table: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)?$",
        description="Table or view to read, such as sales or shop.sales; either this or query.",
    )
    query: str | None = Field(
        default=None,
        description=(
            "File beside the YAML with one SELECT in the database's own SQL; it sees :period_start (included) and "
            ":period_end (excluded) of what a delivery covers, as dates where the timestamp is one."
        ),
    )
    check_every: Length = Field(
        default="1 day",
        description=(
            "How often the newest period, with what it restates, is read again, and a due one that was refused; "
            "only rows that differ make a delivery."
        ),
    )
    timeout_seconds: int = Field(default=600, ge=1, description="Longest time that PostgreSQL may work on a statement.")


class PushAttributes(Attributes):
    """Rows that applications push, over HTTP, in small batches."""

    remember_keys: Length = Field(
        default="7 days",
        description="How long a batch is known by its idempotency key, and not taken twice: hours, days or weeks.",
    )


class SourceAttributes(TableAttributes):
    """A table brought in from outside, with a contract."""

    primary_keys: list[str] = Field(min_length=1, description="Columns that name an entity; unique in each moment.")
    columns: dict[str, SourceColumnAttributes] = Field(
        description="Every column of the file, keys and timestamp included."
    )
    static: bool = Field(
        default=False,
        description="A table without time, such as a list of classes; its rows are taken as known always.",
    )
    timestamp: str | None = Field(default=None, description="Column with the time of a row; none for a static table.")
    period: Unit | None = Field(default=None, description="The unit of delivery: day, week or month.")
    week_ends_on: Weekday = Field(default="sunday", description="Last day of a week, where the period is a week.")
    first_period: PeriodKey | None = Field(
        default=None, description="First period there is: 2001-03, or a period's first day."
    )
    last_period: PeriodKey | None = Field(
        default=None, description="Last period there will ever be; left out where it goes on."
    )
    publication_lag: Length = Field(
        default="0 days",
        description="How long after a period's end its rows are known: hours, days or weeks.",
    )
    live_since: PeriodKey | None = Field(
        default=None,
        description="First period that arrived live; earlier ones are history and count as known at end + lag.",
    )
    delivers: Literal["period", "window", "snapshot", "increment"] = Field(
        default="period",
        description="What a delivery holds: one period, the last periods restated, the whole table, or additions only.",
    )
    window_periods: int = Field(default=1, ge=1, description="How many periods a window restates, its own included.")
    most_removed_share: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="A delivery that removes a larger share of the rows it covers is refused.",
    )
    expectations: list[ExpectationAttributes] = Field(
        default_factory=list, description="What is expected beyond the contract, each a check of its own."
    )
    most_bad_share: float = Field(
        default=0,
        ge=0,
        le=1,
        description="Share of a delivery's rows that may break the contract and are put aside in quarantine; with more "
        "of them it is refused.",
    )
    least_rows_share: float = Field(
        default=0.5,
        ge=0,
        description="A first delivery with fewer rows than this share of the last period's is refused.",
    )
    overdue_after: Length = Field(
        default="3 days", description="How long after its publication a missing delivery is reported."
    )
    files: FilesAttributes | None = Field(
        default=None, description="Format and names of the files; by default CSV files named PERIOD.csv."
    )
    database: DatabaseAttributes | None = Field(
        default=None, description="An SQL database to read from, instead of files."
    )
    push: PushAttributes | None = Field(
        default=None,
        description="Applications push the rows, instead of files; {} for the usual. A row is known once ingested.",
    )
    landing: str | None = Field(default=None, description="Folder where files arrive; by default below the home.")
    published_from: str | None = Field(
        default=None,
        description="A CSV beside the YAML from which a small publisher writes each period's file once it is due.",
    )


class AggregationAttributes(Attributes):
    """One column, aggregated by each function over each window."""

    column: str = Field(description="The column to aggregate.")
    functions: list[Literal["sum", "mean", "count", "min", "max", "last", "stddev", "distinct_count"]] = Field(
        min_length=1, description="What to compute of it, nulls left out; count counts the rows that have a value."
    )
    windows: list[str] = Field(
        min_length=1, description="How far back, from the end of the row's own period: 7 days, 12 months."
    )


class WindowsAttributes(Attributes):
    """Time windows over one table, which are written out as SQL."""

    source: Name = Field(description="Table with a time whose columns are aggregated.")
    where: str | None = Field(
        default=None, description="SQL condition on the rows that count; other rows are as if they were not there."
    )
    aggregations: list[AggregationAttributes] = Field(min_length=1, description="What to compute of which columns.")


class FeatureTableAttributes(TableAttributes):
    """Columns computed for a primary key and a time, by exactly one of ``sql``, ``python`` and ``windows``."""

    primary_keys: list[str] = Field(min_length=1, description="Columns that name an entity; what computes gives them.")
    timestamp: str = Field(description="Column with the time of a row; what computes gives it.")
    sql: str | None = Field(
        default=None,
        description="File beside the YAML with one SELECT over other tables; inputs are read from it.",
    )
    python: str | None = Field(
        default=None,
        description="MODULE:FUNCTION of the project, for what SQL cannot say. It is trusted: no sandbox holds it.",
    )
    inputs: list[Name] = Field(
        default_factory=list, description="Tables that the Python function takes as arguments of these names."
    )
    windows: WindowsAttributes | None = Field(
        default=None, description="Time windows over a table's columns, instead of SQL."
    )
    history: Length | None = Field(
        default=None,
        description="How far back it looks, the period itself included, such as 13 months; windows know it themselves.",
    )
    columns: dict[str, ColumnAttributes] = Field(
        default_factory=dict,
        description="Every column that it gives, keys included; of windows only those to be described otherwise.",
    )
    expectations: list[ExpectationAttributes] = Field(
        default_factory=list, description="What is expected beyond the contract, each a check of its own."
    )
    engine: Literal["duckdb", "spark"] | None = Field(
        default=None, description="What computes it, with the same rows; by default the platform's engine."
    )


class LabelAttributes(Attributes):
    """What the model predicts."""

    sql: str = Field(description="File with one SELECT that gives keys, timestamp and the label's column.")
    column: str = Field(description="The label's column.")
    horizon: int = Field(ge=1, description="How many periods ahead the label lies.")
    delay: int = Field(default=0, ge=0, description="How many further periods pass until the label is known.")
    unit: str = Field(default="", description="Unit of the label, for people.")
    classes: list[Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$")]] = Field(
        default_factory=list,
        description="The classes of a multiclass label, at least two; columns of probabilities are named after them.",
    )


class LookupAttributes(Attributes):
    """A choice of columns from one feature table."""

    table: Name = Field(description="Feature table, or static source.")
    columns: list[str] = Field(min_length=1, description="Columns to look up by the table's key.")
    lookback: Length | None = Field(
        default=None, description="Oldest row that may answer, such as 2 months; none for any."
    )
    lookup_key: list[str] | None = Field(
        default=None,
        description="Columns of the population that hold the table's keys, in their order; by default the same names.",
    )
    rename: dict[str, Name] = Field(default_factory=dict, description="What the model calls a column, by column.")
    default: dict[str, str | int | float | bool | date | datetime] = Field(
        default_factory=dict, description="What stands for a missing value of a column, by column."
    )


class RequestColumnAttributes(SensitivityAttributes):
    """A value that comes with a request, and in training and scoring from a column of the population's SQL."""

    type: Literal["string", "bigint", "double", "boolean", "date", "timestamp"] = Field(
        description="Logical type, the same in every engine; timestamps are in UTC."
    )
    description: str = Field(description="What a value means, with its unit.")
    kind: Literal["number", "category"] | None = Field(
        default=None,
        description="How the model uses it; by default text and booleans are categories, others numbers.",
    )


class RequestAttributes(Attributes):
    """What comes with a request for a prediction, beside the keys."""

    columns: dict[Name, RequestColumnAttributes] = Field(
        min_length=1,
        description="The columns; each is a feature, unless a lookup takes its key from it.",
    )


class ComputedAttributes(RequestColumnAttributes):
    """A feature computed at request time, the same in training, scoring and serving."""

    name: Name = Field(description="What the model calls it.")
    expression: str = Field(
        description="One expression of DuckDB's SQL over looked-up features, request columns and keys of the row."
    )


class TemplateAttributes(Attributes):
    """The recipe of the estimator."""

    name: str = Field(description="Name of a template.")
    version: int = Field(default=1, ge=1, description="Version of the template.")
    params: dict[str, str | int | float | bool | None] = Field(default_factory=dict, description="Its parameters.")
    seed: int = Field(default=0, description="Seed of everything random.")
    python: str | None = Field(
        default=None,
        description="MODULE:FUNCTION of the project that gives an estimator, for a template of your own.",
    )
    allow_pickle: list[Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$")]] = Field(
        default_factory=list,
        description="MODULE.CLASS of an own template's estimator that may be kept as a pickle, which runs code.",
    )


class EarlyStoppingAttributes(Attributes):
    """Fewer rounds of boosting, where the newest periods say so."""

    periods: Length = Field(description="The newest periods of a fit's rows, whose loss is watched, such as 3 months.")
    patience: int = Field(
        default=10, ge=1, description="After how many rounds without a smaller loss the best so far is taken."
    )
    rounds: str | None = Field(
        default=None,
        description="Of a template of your own, its parameter that counts rounds, such as n_estimators.",
    )


class RangeAttributes(Attributes):
    """A range of numbers that random search draws from; whole numbers where both ends are."""

    low: int | FiniteNumber = Field(description="Smallest value.")
    high: int | FiniteNumber = Field(description="Largest value.")
    log: bool = Field(default=False, description="Whether to draw evenly over orders of magnitude.")


class SearchAttributes(Attributes):
    """A search for the template's parameters, by folds in the order of time."""

    strategy: Literal["grid", "random"] = Field(default="random", description="All combinations, or some at random.")
    params: dict[str, list[str | int | float | bool | None] | RangeAttributes] = Field(
        min_length=1, description="By parameter, a list of values, or low and high for random."
    )
    folds: int = Field(default=3, ge=1, description="How many times each trial is fitted and judged.")
    trials: int = Field(default=20, ge=1, description="Most trials; the first is the parameters as declared.")
    minutes: float | None = Field(
        default=None, gt=0, description="No trial begins after so many minutes; one is always made."
    )


class TrainAttributes(Attributes):
    """Which labels a training uses."""

    window: Length = Field(default="expanding", description="Labels of the last so many periods, or expanding for all.")
    validation: Length = Field(description="The newest periods, on which a candidate is judged, such as 6 months.")
    threads: int = Field(
        default=1, ge=1, description="Threads of a fit; one repeats to the last digit on every machine."
    )
    min_rows: int = Field(default=1, ge=1, description="Fewest labels to train on, and a tenth of it to judge on.")
    weight: str | None = Field(
        default=None, description="A feature or request column with the weight of each row, greater than 0."
    )
    class_weight: Literal["balanced"] | dict[str | bool | int, FiniteNumber] | None = Field(
        default=None,
        description=(
            "What the rows of each class weigh, of a classification: by class, the others 1; or balanced, as much "
            "together in each class."
        ),
    )
    early_stopping: EarlyStoppingAttributes | None = Field(
        default=None, description="Take fewer rounds, for templates that have rounds."
    )
    search: SearchAttributes | None = Field(default=None, description="Search for parameters before each training.")


_METRIC = (
    "mae, rmse, median_absolute_error, r2; of a classification log_loss, brier, accuracy, calibration_error, of two "
    "classes also roc_auc, average_precision, of several also macro_f1."
)


class ComparisonGateAttributes(Attributes):
    """One comparison that a candidate must win."""

    metric: str = Field(description=f"The figure to compare: {_METRIC}")
    better_than: Literal["baseline", "champion"] = Field(description="What the candidate must beat on the same rows.")
    margin: Share = Field(
        default=0.0, ge=0, lt=1, description="By which share of the other's figure, such as 5%; 0 for any."
    )


class LimitGateAttributes(Attributes):
    """An absolute limit that a metric must keep; one of the two."""

    metric: str = Field(description=f"The figure to limit: bias (by its distance from 0), {_METRIC}")
    at_most: FiniteNumber | None = Field(default=None, description="Greatest value, where less is better.")
    at_least: FiniteNumber | None = Field(default=None, description="Smallest value, where more is better.")


class SegmentGateAttributes(Attributes):
    """No segment may be worse by more than a share."""

    metric: str = Field(description=f"The figure to compare: {_METRIC}")
    by: list[str] = Field(
        min_length=1,
        description="Keys, the timestamp, request columns or features; each level, or quarter of a number, is a "
        "segment.",
    )
    better_than: Literal["baseline", "champion"] = Field(description="Whose figure on the same rows is compared.")
    worse_by_at_most: Share = Field(ge=0, description="By which share of the other's figure, such as 10%.")
    min_rows: int = Field(default=50, ge=1, description="Segments of fewer rows do not count; without any it fails.")


class SizeGateAttributes(Attributes):
    """How large the model may be."""

    model_size_at_most: str = Field(description="Size of the model's file, such as 20 MB (KB, MB or GB).")


class LatencyGateAttributes(Attributes):
    """How long a prediction may take."""

    latency_at_most: str = Field(description="Median time of predicting one row, such as 5 ms (ms or s).")


class OwnGateAttributes(Attributes):
    """What a function of the project decides."""

    python: str = Field(description="MODULE:FUNCTION that gives whether the candidate passes, and why in words.")
    name: Name | None = Field(default=None, description="Name of the check; by default the function's.")


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

    segments: list[str] = Field(
        default_factory=list,
        description="Keys, the timestamp, request columns or features by which figures are told, too: categories by "
        "level, numbers by quarters.",
    )
    min_rows: int = Field(default=50, ge=1, description="Levels of fewer rows are told as one.")
    draws: int = Field(default=500, ge=100, description="How often the keys are drawn anew for the intervals.")


class DriftAttributes(Attributes):
    """When a month's features count as drifted."""

    share: float = Field(
        default=0.5, gt=0, le=1, description="Share of drifted columns from which the batch has drifted."
    )


class MonitorAttributes(Attributes):
    """What is watched."""

    drift: DriftAttributes = Field(default_factory=DriftAttributes, description="Drift of the model's features.")
    metric: str | None = Field(
        default=None,
        description="The figure that decides on retraining, of which less is better: by default mae, or log_loss.",
    )


class ServeAttributes(Attributes):
    """How predictions are served over HTTP."""

    log_share: float = Field(
        default=0.0, ge=0, le=1, description="Share of the requests that are kept in the lakehouse, with their answers."
    )
    log_personal: bool = Field(
        default=False, description="Whether personal columns of these are kept, too; otherwise they are null."
    )


class RetrainAttributes(Attributes):
    """When the retrain policy asks for a training."""

    worse_by: float = Field(
        default=0.2,
        gt=0,
        description="Share by which the error must exceed its level at training, such as 0.2.",
    )
    persistence: int = Field(default=2, ge=1, description="Over how many of the newest periods the error is averaged.")
    cool_down: Length = Field(description="Shortest time between two trainings, such as 3 months.")
    max_age: Length = Field(description="Age of the champion's training from which one is asked for anyway.")


class RetentionAttributes(Attributes):
    """How long things are kept that are of no more use."""

    candidates: Length | None = Field(
        default=None, description="How long fits are kept that never served, such as 24 months; by default for ever."
    )


class ModelAttributes(SharedAttributes):
    """A model: its population, label, features, template, gates and retrain policy."""

    task: Task = Field(
        description="regression: a number; binary: whether it is so, a boolean; multiclass: one of label.classes."
    )
    primary_keys: list[str] = Field(min_length=1, description="Columns that name what is predicted for.")
    timestamp: str = Field(description="Column with the time of a row in population and label.")
    population: str = Field(description="File with one SELECT that gives keys and timestamp to train on and score.")
    history: Length = Field(description="How far back population and label look, horizon and delay included.")
    label: LabelAttributes = Field(description="What is predicted.")
    baseline: str = Field(
        description=(
            "TABLE.COLUMN of a feature that is the simplest prediction: of a regression its value, 0 where missing; of "
            "a classification each class's share by its level. prior: each class's share over all."
        )
    )
    features: list[LookupAttributes] = Field(min_length=1, description="What the model looks at.")
    request: RequestAttributes | None = Field(
        default=None, description="Values that come with a request; the population's SQL gives columns of their names."
    )
    computed: list[ComputedAttributes] = Field(
        default_factory=list, description="Features computed from looked-up features and the request's values."
    )
    columns: dict[str, SensitivityAttributes] = Field(
        default_factory=dict,
        description="Who may see keys, timestamp, label, looked-up features and prediction, by name, where it is not "
        "who may see what they are computed from.",
    )
    template: TemplateAttributes = Field(description="The recipe of the estimator.")
    train: TrainAttributes = Field(description="Which labels are used.")
    gates: list[GateAttributes] = Field(min_length=1, description="What a candidate must win to become a version.")
    evaluate: EvaluateAttributes = Field(
        default_factory=EvaluateAttributes, description="What is told of a candidate beside its gates."
    )
    approval: Literal["automatic", "required"] = Field(
        default="automatic", description="Whether a version becomes champion by itself or waits for a person."
    )
    when_late: Literal["wait", "score_without"] = Field(
        default="wait",
        description="What to do when a source is late: wait for it, or score with what is known.",
    )
    retention: RetentionAttributes = Field(default_factory=RetentionAttributes, description="What is kept how long.")
    monitor: MonitorAttributes = Field(default_factory=MonitorAttributes, description="What is watched.")
    serve: ServeAttributes = Field(default_factory=ServeAttributes, description="Predictions over HTTP.")
    retrain: RetrainAttributes = Field(description="When a training is asked for.")
