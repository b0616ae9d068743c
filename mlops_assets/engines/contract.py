"""What every engine does, and the small values that it is asked with. Same question, same answer on each."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from mlops_assets.engines.limits import Limits
from mlops_assets.lakehouse.periods import EPOCH, Calendar, Duration, Period, in_utc
from mlops_assets.lakehouse.schema import Column, ColumnType, TableSchema
from mlops_assets.lakehouse.tables import StateTable

if TYPE_CHECKING:
    import pyarrow as pa

    from mlops_assets.engines.expression import Expression
    from mlops_assets.engines.query import Query


Rows = Any
"""Rows that an engine computed, wherever they are: an Arrow table on DuckDB, a DataFrame on Spark.

Nothing outside the engine looks into them, so that they need not come to this process: they are handed on to the
same engine, or fetched with `Engine.to_arrow` where they are few.
"""


PERIOD_TABLE = "_period"
"""Where SQL that the platform writes reads the moments of the period that is kept; no table can be declared so."""

PERIOD_SCHEMA = TableSchema(
    (), None, tuple(Column(name, "timestamp", nullable=False) for name in ("start", "end", "anchor")), Calendar("day")
)
"""Its columns, named as those of `Period`; it has one row."""


def moments_of(period: Period) -> "pa.Table":
    """What `PERIOD_TABLE` holds of a period."""
    import pyarrow as pa

    moments = {name: [getattr(period, name)] for name in PERIOD_SCHEMA.names}
    return pa.table(moments, schema=PERIOD_SCHEMA.arrow())


def known_columns(schema: TableSchema) -> "pa.Schema":
    """What rows as known at a moment have: the user's columns, ``event_time`` and ``known_at``."""
    import pyarrow as pa

    return pa.schema([*schema.arrow(), *map(schema.stored().field, ("event_time", "known_at"))])


@dataclass(frozen=True)
class QueryInput:
    """What a query sees of one table: the rows of some periods.

    Args:
        table: The table, under whose name the query reads it.
        first: First period seen; None with a static table.
        last: Last period seen; None with a static table.
    """

    table: StateTable
    first: Period | None
    last: Period | None


def as_told(value: Any) -> Any:
    """A figure as every engine tells it: times are in UTC, and a list of no values is none."""
    if isinstance(value, datetime):
        return in_utc(value)
    return None if value == [] else value


def columns_read(inputs: Iterable[QueryInput]) -> tuple[Column, ...]:
    """The columns of all that a query sees."""
    return tuple(column for input_ in inputs for column in input_.table.schema.columns)


MAX_LAGS = 8
"""With more distinct differences between as_of and anchor than this, engines look up by the definition itself."""


@dataclass(frozen=True)
class ResolvedLookup:
    """A choice of columns from one table, by key, as of a time.

    Args:
        table: The table that holds the features.
        features: The columns wanted.
        lookback: How far before the anchor a row may lie and still answer; None for any age.
        version: The Delta version to read; None for the newest.
        lookup_key: Columns of the rows asked for, in the order of the table's keys; None for the same names.
        rename: What the answer calls a feature, by feature; the others keep their names.
        default: What fills a null of a feature, by feature: where no row answers, and where the row has none. Values
            are of the column's type (timestamps with a zone).
        found: What the answer calls a further column, which has a value where a row answered (its first key); None
            where that is not asked.
    """

    table: StateTable
    features: tuple[str, ...]
    lookback: Duration | None = None
    version: int | None = None
    lookup_key: tuple[str, ...] | None = None
    rename: Mapping[str, str] = field(default_factory=dict)
    default: Mapping[str, object] = field(default_factory=dict)
    found: str | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns of the rows asked for that hold the table's keys, in their order."""
        return self.lookup_key or self.table.schema.keys

    @property
    def names(self) -> tuple[str, ...]:
        """What the answer calls the features, in their order."""
        return tuple(self.rename.get(feature, feature) for feature in self.features)

    @property
    def answers(self) -> tuple[tuple[str, str], ...]:
        """The table's columns that are read, each with what the answer calls it."""
        found = [(self.table.schema.keys[0], self.found)] if self.found else []
        return (*zip(self.features, self.names, strict=True), *found)

    def lower_bound(self, timestamp: str, micros: str) -> str:
        """SQL of the last instant outside the lookback, in microseconds, of ``anchor_us``; see `Duration.before`.

        Args:
            timestamp: The engine's function that makes a timestamp of microseconds.
            micros: Its function for the other direction.
        """
        if self.lookback is None:
            return str(-(2**63) + 1)
        rest = int(self.lookback.rest.total_seconds() * 1_000_000)
        if not self.lookback.months:
            return f"anchor_us - {rest}"
        return f"{micros}({timestamp}(anchor_us + 1) - INTERVAL '{self.lookback.months}' MONTH) - {rest} - 1"

    def files(self, first: int | None, last: int | None) -> list[str]:
        """The table's files that an answer can lie in: of the periods from the oldest lookback to the newest anchor.

        Args:
            first: The oldest anchor, in microseconds since 1970 (UTC); None where nothing is asked.
            last: The newest anchor, likewise.
        """
        table = self.table
        if table.schema.timestamp is None:
            return table.files(version=self.version)
        if first is None or last is None:
            return []
        calendar = table.schema.calendar
        try:
            oldest = EPOCH + timedelta(microseconds=first)
            begin = calendar.of(self.lookback.before(oldest)).key if self.lookback else "0"  # before every key
            end = calendar.of(EPOCH + timedelta(microseconds=last)).key
        except (OverflowError, ValueError):  # an anchor at the end of all time
            return table.files(version=self.version)
        return table.delta.files((begin, end), self.version)


@dataclass(frozen=True)
class ComputedFeature:
    """A feature computed from the other columns of its own row, where a prediction is asked for.

    Args:
        name: What the answer calls it.
        type: Its type, declared.
        expression: How.
        read: The columns that it is computed from, as far as they are known: what went wrong is said accordingly.
    """

    name: str
    type: ColumnType
    expression: "Expression"
    read: tuple[Column, ...] = field(default=(), repr=False, compare=False)


class ColumnFunction(Protocol):
    """Computes columns of rows in Python, a batch of rows at a time.

    What it gives for a row must not depend on which rows are in its batch. It can be pickled, for an engine may call
    it in other processes.
    """

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns of the rows that it is given."""
        ...

    @property
    def gives(self) -> "pa.Schema":
        """The columns that it computes, with their types."""
        ...

    def __call__(self, batch: "pa.Table") -> Mapping[str, Any]:
        """An array for each column that it gives, with a value for each row of the batch (which may have none)."""
        ...


class Engine(Protocol):
    """Runs what needs many rows at once; the SQL of users within limits."""

    def for_requests(self, limits: Limits) -> "Engine":
        """The same engine, for the features of single requests, which may take less."""
        ...

    def evaluate(
        self,
        query: "Query",
        inputs: Sequence[QueryInput],
        *,
        known_at: datetime,
        schema: TableSchema,
        keep: Period | None,
    ) -> Rows:
        """Run a query over its inputs as known at a moment, in a sandbox.

        Args:
            query: What to run.
            inputs: The tables that the query may read, and no others.
            known_at: States that became known later are not seen.
            schema: Columns and types of the answer.
            keep: Only rows whose timestamp lies in this period are answered, and the query may read `PERIOD_TABLE`;
                None for a static table.

        Returns:
            The user's columns in the schema's order and types; ordered by key and time.

        Raises:
            ContractError: The answer lacks a column, or a column has another type, or the query failed.
        """
        ...

    def known_rows(
        self, table: StateTable, moment: datetime, *, first: Period | None = None, last: Period | None = None
    ) -> Rows:
        """The rows that `known_at` would fetch, with the same columns, where the engine has them."""
        ...

    def known_at(
        self,
        table: StateTable,
        moment: datetime,
        *,
        first: Period | None = None,
        last: Period | None = None,
        version: int | None = None,
    ) -> "pa.Table":
        """Fetch the rows of a table as known at a moment: of each key and event_time the latest state, unless removed.

        Returns:
            In this process, the user's columns with ``event_time`` and ``known_at``, ordered by key and event_time.
        """
        ...

    def changed_keys(
        self,
        table: StateTable,
        *,
        first: Period | None,
        last: Period | None,
        after: tuple[int, datetime] | None,
        version: int,
    ) -> "pa.Table":
        """Fetch the keys that have states after a place in some periods.

        Args:
            table: The table.
            first: First period looked at; None with a static table.
            last: Last period looked at; None with a static table.
            after: Only states of a greater seq, or that became known or happened after the moment; None for all.
            version: The Delta version to read.

        Returns:
            In this process, the key columns, each key once, ordered by key.
        """
        ...

    def changes(
        self,
        table: StateTable,
        rows: Rows,
        *,
        covered: Sequence[Period],
        seen_at: datetime | None,
        missing_is_removed: bool,
    ) -> "Changes":
        """Compare rows with what the table holds, and say which states must be appended.

        Args:
            table: The table as it stands.
            rows: The user's columns; every row lies in a covered period (or the table is static).
            covered: The periods that the rows are all of, in their order.
            seen_at: Compare with the states known at this moment; None for the latest states.
            missing_is_removed: Whether a row that the table has and ``rows`` lacks was removed.
        """
        ...

    def append(
        self, table: StateTable, changes: "Changes", *, period: Period, known_at: datetime, counters: Mapping[str, int]
    ) -> None:
        """Append changes of one period, all known from one moment on, in one commit; no changes are a commit too.

        Args:
            table: The table; its ``changes`` are between two readings of ``counters``.
            changes: What `changes` gave.
            period: The period that all of them lie in.
            known_at: From when the states are known.
            counters: What ``table.delta.counters`` said of the period before the changes were computed.

        Raises:
            ConflictError: Another writer committed the period meanwhile; nothing was written.
        """
        ...

    def data_versions(self, table: StateTable, periods: Sequence[Period]) -> dict[str, str]:
        """See `StateTable.data_versions`; computed where the rows are."""
        ...

    def measure(self, rows: Rows, figures: Mapping[str, str]) -> dict[str, Any]:
        """Figures of many rows in one pass, such as counts and the smallest value of a column.

        Args:
            rows: What to measure; with no rows a count is 0 and other figures are None.
            figures: Names, and for each an aggregate expression in DuckDB's dialect over the columns of the rows (see
                `mlops_assets.engines.figures`).

        Returns:
            The value of each figure, by its name; times are in UTC.
        """
        ...

    def frequencies(self, rows: Rows, values: Mapping[str, str], most: int) -> dict[str, list[tuple[Any, int]]]:
        """How often the values of some expressions occur; nulls are left out.

        Args:
            rows: What to count.
            values: Names, and for each an expression in DuckDB's dialect over the columns of the rows (see
                `mlops_assets.engines.figures`).
            most: How many values of each to tell.

        Returns:
            By name the most frequent values, each with its count; of equally frequent ones the smallest first. Times
            are in UTC.
        """
        ...

    def first_rows(self, rows: Rows, count: int) -> "pa.Table":
        """Fetch so many of the rows into this process, the first in their order."""
        ...

    def to_arrow(self, rows: Rows) -> "pa.Table":
        """Fetch rows that this engine computed into this process, in their order; they must be few."""
        ...

    def rows(self, table: "pa.Table") -> Rows:
        """Hand rows of this process to the engine."""
        ...

    def lookup(self, rows: Rows, lookups: Sequence[ResolvedLookup]) -> Rows:
        """Look features up for each row, as of the row's time (docs/concepts.md#lookups).

        Args:
            rows: The columns that each lookup takes its key from, and ``anchor`` and ``as_of`` (timestamps in UTC).
                Any other column is carried along. A row with a null in key, anchor or as_of finds nothing.
            lookups: What to look up.

        Returns:
            One row for each row, in the same order, duplicates kept; missing features are null or their default.

        Raises:
            DefinitionError: A key, anchor or as_of is not there or of another type, or two columns of the answer
                would have one name.
        """
        ...

    def compute(self, rows: Rows, features: Sequence[ComputedFeature]) -> Rows:
        """Compute features from the other columns of their rows, in a sandbox.

        Args:
            rows: The columns that the expressions read, in the types of the lakehouse; any other is carried along.
            features: What to compute; none reads another.

        Returns:
            One row for each row, in the same order, with a column more for each feature; a number that is not finite
            is null.

        Raises:
            ContractError: A column is not there, an expression has another type than declared, or it failed.
        """
        ...

    def extend(self, rows: Rows, function: ColumnFunction) -> Rows:
        """Add columns that a function of Python computes, in batches, where the rows are.

        Args:
            rows: The columns that it reads; any other is carried along.
            function: What computes them.

        Returns:
            One row for each row, in the same order, with the columns that the function gives: in the place of one of
            the same name, or at the end.

        Raises:
            ContractError: The function refused the rows.
        """
        ...


@dataclass(frozen=True)
class Changes:
    """States to append, before they have a seq.

    Args:
        states: The user's columns, ``event_time``, ``removed``, and ``replaced_known_at`` (null for a row that
            the table did not have).
        rows: How many rows were compared.
        count: How many states there are to append.
        held: How many rows of the covered periods the table held before (removed rows not counted).
        removed: How many of the states are removals.
    """

    states: Rows
    rows: int
    count: int
    held: int
    removed: int

    @staticmethod
    def columns(schema: TableSchema) -> "pa.Schema":
        """The columns of the states of a table."""
        import pyarrow as pa

        stored = schema.stored()
        replaced = stored.field("known_at").with_name("replaced_known_at")
        return pa.schema([*schema.arrow(), stored.field("event_time"), stored.field("removed"), replaced])
