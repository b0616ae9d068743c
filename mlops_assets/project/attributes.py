"""The YAML of sources and feature tables: every field, its type, and its description (shown in docs and editors)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from mlops_assets.lakehouse.periods import Unit
from mlops_assets.lakehouse.schema import ColumnKind, NotFinite, Sensitivity
from mlops_assets.project.engine_settings import EngineName
from mlops_assets.project.expectations import RowCount, Severity
from mlops_assets.project.field_types import (
    DeclaredType,
    FiniteNumber,
    FixedLength,
    Length,
    PeriodKey,
    WindowLength,
    by_default,
    interval,
)
from mlops_assets.project.names import Name, Owner, TableName, TagText

ONE_DAY = timedelta(days=1)
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


class Attributes(BaseModel):
    """Base: a field that does not exist is an error, never ignored."""

    model_config = ConfigDict(extra="forbid", defer_build=True, use_attribute_docstrings=True)


class SensitivityAttributes(Attributes):
    """Who may see a column that is computed from others."""

    sensitivity: Sensitivity | None = None
    """Who may see it: public everybody, internal the organisation, personal only who needs it; by default as the most
    sensitive of what it is computed from.
    """
    sensitivity_reason: str = ""
    """Why it may be less sensitive than what it is computed from; needed where it is."""


class ValueAttributes(Attributes):
    """What a column holds."""

    type: DeclaredType
    description: str
    """What a value means, with its unit."""
    kind: Literal["number", "category"] | None = None
    """How a model uses it; by default text and booleans are categories, others numbers."""

    @property
    def used_as(self) -> ColumnKind:
        """How a model uses it."""
        return self.kind or ("category" if self.type in ("string", "boolean") else "number")


class BoundsAttributes(Attributes):
    """A range and a set of values."""

    minimum: FiniteNumber | None = None
    """Smallest number allowed, or expected."""
    maximum: FiniteNumber | None = None
    """Largest number allowed, or expected."""
    allowed: list[str] = Field(default_factory=list)
    """The texts allowed, or expected; empty for all."""


class ContractAttributes(BoundsAttributes, ValueAttributes):
    """One column and its contract."""

    nullable: bool = True
    """Whether nulls are allowed; keys and timestamps never have any."""
    owners: list[Owner] | None = None
    """Who answers for the column: e-mail addresses, or team:NAME; by default the table's owners."""
    not_finite: NotFinite = "refuse"
    """What becomes of a number that is not finite (NaN, infinity): refuse, as a fault of its row, or null."""


class SourceColumnAttributes(ContractAttributes):
    """One column of a source."""

    sensitivity: Sensitivity = "internal"
    """Who may see it: public everybody, internal the organisation, personal only who needs it."""


class ColumnAttributes(ContractAttributes, SensitivityAttributes):
    """One column of a feature table."""

    not_finite: NotFinite = "null"
    """What becomes of a number that is not finite (NaN, infinity): null, which is counted, or refuse."""


@dataclass(frozen=True)
class Documentation:
    """What people read about a table or model."""

    description: str
    owners: tuple[str, ...]
    tags: Mapping[str, str]


class SharedAttributes(Attributes):
    """What all components have."""

    name: TableName
    """Name of the table or model: lower case, digits, underscores."""
    description: str
    """What it is, for people who search for it."""
    owners: list[Owner] = Field(default_factory=list)
    """Who answers for it: e-mail addresses, or team:NAME."""
    tags: dict[TagText, TagText] = Field(default_factory=dict)
    """Labels to search by, such as domain: sales."""

    @property
    def documentation(self) -> Documentation:
        """What people read about it."""
        return Documentation(self.description, tuple(self.owners), self.tags)


class RowsAttributes(Attributes):
    """What is expected of the number of rows."""

    against_last_period: RowCount
    """Rows of a period against those of the period before it."""


class FreshnessAttributes(Attributes):
    """How old the newest may be by the platform clock; one of the two."""

    newest_row: FixedLength | None = None
    """Greatest age of the newest row's time: hours, days or weeks, such as 40 days."""
    newest_delivery: FixedLength | None = None
    """Greatest time since the newest delivery arrived: hours, days or weeks; of a source."""


class ExpectationAttributes(BoundsAttributes):
    """One rule that is expected of a table beyond its contract: an asset check, with its numbers plotted."""

    column: str | None = None
    """The column that null_share, minimum and maximum, or allowed are about."""
    null_share: float | None = Field(default=None, ge=0, le=1)
    """Largest share of nulls, such as 0.05."""
    rows: RowsAttributes | None = None
    """How many rows are expected."""
    freshness: FreshnessAttributes | None = None
    """How old the newest row or delivery may be; also looked at when nothing arrives."""
    severity: Severity = "warn"
    """warn: shown, and stops nothing; block: the rows are kept out and the last good state stays."""
    description: str = ""
    """Why this is expected, for people."""


class TableAttributes(SharedAttributes):
    """What sources and feature tables have."""

    expectations: list[ExpectationAttributes] = Field(default_factory=list)
    """What is expected beyond the contract, each a check of its own."""
    online: bool = False
    """Whether applications read its newest rows by key, from the online store."""


class FilesAttributes(Attributes):
    """What the files of a delivery look like, and what they are called."""

    format: Literal["csv", "parquet", "json_lines"] = "csv"
    """csv, parquet, or json_lines: one JSON object a line."""
    pattern: str | None = None
    """Path of a period's file below the landing folder, such as {period:%Y%m}/part-*.parquet; by default {period}.csv,
    .parquet or .jsonl. CSV and JSON lines are compressed where it ends with .gz.
    """
    complete: str | None = None
    """Path of a file that is written last, such as {period}/_SUCCESS: before it is there, nothing is read. Needed where
    several files make a delivery.
    """
    escape: Literal["backslash"] | None = None
    r"""How CSV writes a quotation mark inside a quoted value: by default twice; backslash as Spark and MySQL do, before
    it and before a backslash, where \N is null.
    """


@dataclass(frozen=True)
class Database:
    """Deliveries that are read from an SQL database: where in it the rows of a period are."""

    url_variable: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")]
    """Environment variable that holds the URL of the database, as SQLAlchemy writes it."""
    table: Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)?$")] | None = None
    """Table or view to read, such as sales or shop.sales; either this or query."""
    query: str | None = None
    """File beside the YAML with one SELECT in the database's own SQL, and once loaded its text; it sees :period_start
    (included) and :period_end (excluded) of what a delivery covers, as dates where the timestamp is one.
    """
    check_every: Annotated[
        timedelta, interval("check_every", "each time the database is asked", "1 day"), by_default("1 day")
    ] = ONE_DAY
    """How often the newest period, with what it restates, is read again, and a due one that was refused; only rows
    that differ make a delivery.
    """
    timeout_seconds: Annotated[int, Field(ge=1)] = 600
    """Longest time that PostgreSQL may work on a statement."""


@dataclass(frozen=True)
class Push:
    """Rows that applications push, over HTTP, in batches; an ingestion takes what waits of a period as one delivery."""

    remember_keys: Annotated[
        timedelta,
        interval("remember_keys", "an application that got no answer pushes again", "7 days"),
        by_default("7 days"),
    ] = 7 * ONE_DAY
    """How long after its acceptance a batch is known by its idempotency key, and not taken twice."""


RENAMED = {
    "most_bad_share": "max_bad_share",
    "most_removed_share": "max_removed_share",
    "least_rows_share": "min_rows_share",
    "gates.*.margin": "by",
    "gates.*.worse_by_at_most": "by",
}
"""What fields were called in earlier releases, by their path with * for each number, and what they are called."""


class SourceAttributes(TableAttributes):
    """A table brought in from outside, with a contract."""

    primary_keys: list[str] = Field(min_length=1)
    """Columns that name an entity; unique in each moment."""
    columns: dict[str, SourceColumnAttributes]
    """Every column of the file, keys and timestamp included."""
    static: bool = False
    """A table without time, such as a list of classes; its rows are taken as known always."""
    timestamp: str | None = None
    """Column with the time of a row; none for a static table."""
    period: Unit | None = None
    """The unit of delivery: day, week or month."""
    week_ends_on: Weekday = "sunday"
    """Last day of a week, where the period is a week."""
    first_period: PeriodKey | None = None
    """First period there is: 2001-03, or a period's first day."""
    last_period: PeriodKey | None = None
    """Last period there will ever be; left out where it goes on."""
    publication_lag: Annotated[FixedLength, by_default("0 days")] = timedelta()
    """How long after a period's end its rows are known: hours, days or weeks."""
    live_since: PeriodKey | None = None
    """First period that arrived live; earlier ones are history and count as known at end + lag."""
    delivers: Literal["period", "window", "snapshot", "increment"] = "period"
    """What a delivery holds: one period, the last periods restated, the whole table, or additions only."""
    window_periods: int = Field(default=1, ge=1)
    """How many periods a window restates, its own included."""
    max_removed_share: float = Field(default=0.1, ge=0, le=1)
    """A delivery that removes a larger share of the rows it covers is refused."""
    max_bad_share: float = Field(default=0, ge=0, le=1)
    """Share of a delivery's rows that may break the contract and are put aside in quarantine; with more of them it is
    refused.
    """
    min_rows_share: float = Field(default=0.5, ge=0)
    """A first delivery with fewer rows than this share of the last period's is refused."""
    overdue_after: Annotated[FixedLength, by_default("3 days")] = 3 * ONE_DAY
    """How long after its publication a missing delivery is reported."""
    files: FilesAttributes | None = None
    """Format and names of the files; by default CSV files named PERIOD.csv."""
    database: Database | None = None
    """An SQL database to read from, instead of files."""
    push: Push | None = None
    """Applications push the rows, instead of files; {} for the usual. A row is known once ingested."""
    landing: str | None = None
    """Folder where files arrive; by default below the home."""
    published_from: str | None = None
    """A CSV beside the YAML from which a small publisher writes each period's file once it is due."""


class AggregationAttributes(Attributes):
    """One column, aggregated by each function over each window."""

    column: str
    """The column to aggregate."""
    functions: list[Literal["sum", "mean", "count", "min", "max", "last", "stddev", "distinct_count"]] = Field(
        min_length=1
    )
    """What to compute of it, nulls left out; count counts the rows that have a value. Of none, sums and counts are 0,
    the rest null.
    """
    windows: list[WindowLength] = Field(min_length=1)
    """How far back, from the end of the row's own period: 7 days, 12 months."""


class WindowsAttributes(Attributes):
    """Time windows over one table, which are written out as SQL."""

    source: Name
    """Table with a time whose columns are aggregated."""
    where: str | None = None
    """SQL condition on the rows that count; other rows are as if they were not there."""
    aggregations: list[AggregationAttributes] = Field(min_length=1)
    """What to compute of which columns."""


class FeatureTableAttributes(TableAttributes):
    """Columns computed for a primary key and a time, by exactly one of ``sql``, ``python`` and ``windows``."""

    primary_keys: list[str] = Field(min_length=1)
    """Columns that name an entity; what computes gives them."""
    timestamp: str
    """Column with the time of a row; what computes gives it."""
    sql: str | None = None
    """File beside the YAML with one SELECT over other tables; inputs are read from it."""
    python: str | None = None
    """MODULE:FUNCTION of the project, for what SQL cannot say. It is trusted: no sandbox holds it."""
    inputs: list[Name] = Field(default_factory=list)
    """Tables that the Python function takes as arguments of these names."""
    windows: WindowsAttributes | None = None
    """Time windows over a table's columns, instead of SQL."""
    history: Length | None = None
    """How far back it looks, the period itself included, such as 13 months; windows know it themselves."""
    columns: dict[str, ColumnAttributes] = Field(default_factory=dict)
    """Every column that it gives, keys included; of windows only those to be described otherwise."""
    engine: EngineName | None = None
    """What computes it, with the same rows; by default the platform's engine."""
