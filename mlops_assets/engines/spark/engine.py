"""The Spark engine: the engine contract, with rows that stay on the executors."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.engines.checks import check_lookups
from mlops_assets.engines.contract import (
    PERIOD_SCHEMA,
    PERIOD_TABLE,
    Changes,
    ColumnFunction,
    ComputedFeature,
    QueryInput,
    ResolvedLookup,
    as_told,
    columns_read,
    known_columns,
)
from mlops_assets.engines.duckdb import DuckDBEngine
from mlops_assets.engines.duckdb.answers import check_answer, failed
from mlops_assets.engines.duckdb.engine import with_column
from mlops_assets.engines.limits import Limits
from mlops_assets.engines.spark.functions import register_functions
from mlops_assets.engines.spark.lookup import look_up
from mlops_assets.engines.spark.rows import SparkRows, given_rows
from mlops_assets.engines.spark.session import (
    StartSession,
    kept,
    own_session,
    quoted,
    require_spark,
    session_settings,
    start_session,
    starting,
    stay_on_this_machine,
    within,
)
from mlops_assets.engines.spark.states import compared_rows, hash_partitions, known_states, stored_states, write_states
from mlops_assets.engines.spark.translate import spark_figures, translate
from mlops_assets.errors import ContractError, Location
from mlops_assets.lakehouse.masking import words_about
from mlops_assets.lakehouse.periods import Period
from mlops_assets.lakehouse.schema import TableSchema
from mlops_assets.lakehouse.tables import StateTable

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import SparkSession

    from mlops_assets.engines.query import Query


@dataclass(frozen=True)
class SparkEngine:
    """Runs queries and lookups on Spark, on this machine or on a cluster.

    Executors need this package installed, and see the home's folder under the same path as this process.

    Args:
        scratch: Where Spark may spill and keep its own files.
        settings: Settings of the session, by Spark's names, such as ``spark.master``.
        start: What makes the session.
        limits: What the SQL of users may take.
    """

    scratch: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    start: StartSession = start_session
    limits: Limits = Limits()

    def for_requests(self, limits: Limits) -> "SparkEngine":
        """See `Engine.for_requests`; in the same session."""
        return replace(self, limits=limits, start=lambda _: self.session)

    @cached_property
    def session(self) -> "SparkSession":
        """The session that everything runs in; started when it is first needed.

        Raises:
            UnusableEnvironmentError: There is no Spark or no Java.
        """
        require_spark()
        (self.scratch / "spark").mkdir(parents=True, exist_ok=True)
        settings = session_settings(self.settings, self.scratch)
        stay_on_this_machine(settings)
        with starting():
            return own_session(self.start(settings))

    def evaluate(
        self,
        query: "Query",
        inputs: Sequence[QueryInput],
        *,
        known_at: datetime,
        schema: TableSchema,
        keep: Period | None,
    ) -> SparkRows:
        """See `Engine.evaluate`."""
        from pyspark.sql import functions as F

        tables = {PERIOD_TABLE: PERIOD_SCHEMA, **{input_.table.name: input_.table.schema for input_ in inputs}}
        check_answer(query, tables, schema, self.scratch, self.limits)
        translated = translate(query.canonical, query.file, columns_read(inputs))
        sandbox = own_session(self.session)
        for input_ in inputs:
            known = known_states(sandbox, input_.table, moment=known_at, first=input_.first, last=input_.last)
            columns = [quoted(name) for name in input_.table.schema.names]
            known.select(*columns).createOrReplaceTempView(quoted(input_.table.name))
        if keep is not None:
            moments = [F.lit(getattr(keep, name)).alias(name) for name in PERIOD_SCHEMA.names]
            sandbox.range(1).select(*moments).createOrReplaceTempView(PERIOD_TABLE)
        register_functions(sandbox, translated.functions)
        with (
            within(sandbox, self.limits, f"the SQL in {query.file}", Location(query.file, 1)),
            _failing(lambda words: failed(query, words_about(columns_read(inputs), words))),
        ):
            answer = sandbox.sql(translated.sql)
            if keep is not None and schema.timestamp is not None:
                moment = F.col(quoted(schema.timestamp)).cast("timestamp")
                answer = answer.where((moment >= F.lit(keep.start)) & (moment < F.lit(keep.end)))
            typed = [F.col(quoted(column.name)).cast(column.type).alias(column.name) for column in schema.columns]
            return SparkRows(kept(answer.select(*typed)), schema.identity, schema.arrow())

    def known_rows(
        self, table: StateTable, moment: datetime, *, first: Period | None = None, last: Period | None = None
    ) -> SparkRows:
        """See `Engine.known_rows`."""
        known = kept(known_states(self.session, table, moment=moment, first=first, last=last))
        return SparkRows(known, (*table.schema.keys, "event_time"), known_columns(table.schema))

    def known_at(
        self,
        table: StateTable,
        moment: datetime,
        *,
        first: Period | None = None,
        last: Period | None = None,
        version: int | None = None,
    ) -> "pa.Table":
        """See `Engine.known_at`."""
        known = known_states(self.session, table, moment=moment, first=first, last=last, version=version)
        return SparkRows(known, (*table.schema.keys, "event_time"), known_columns(table.schema)).fetched()

    def changed_keys(
        self,
        table: StateTable,
        *,
        first: Period | None,
        last: Period | None,
        after: tuple[int, datetime] | None,
        version: int,
    ) -> "pa.Table":
        """See `Engine.changed_keys`."""
        import pyarrow as pa
        from pyspark.sql import functions as F

        states = stored_states(self.session, table, table.files(first, last, version))
        if after is not None:
            seq, moment = after
            late = (F.col("known_at") > F.lit(moment)) | (F.col("event_time") > F.lit(moment))
            states = states.where((F.col("seq") > seq) | late)
        keys = table.schema.keys
        schema = table.schema.arrow()
        found = states.select(*map(quoted, keys)).distinct()
        return SparkRows(found, keys, pa.schema([schema.field(name) for name in keys])).fetched()

    def changes(
        self,
        table: StateTable,
        rows: SparkRows,
        *,
        covered: Sequence[Period],
        seen_at: datetime | None,
        missing_is_removed: bool,
    ) -> Changes:
        """See `Engine.changes`."""
        first, last = (covered[0], covered[-1]) if covered else (None, None)
        held = known_states(self.session, table, moment=seen_at, first=first, last=last)
        compared = kept(compared_rows(rows.frame, held, table.schema, missing_is_removed=missing_is_removed))
        counts = compared.selectExpr(
            "count_if(`is new`) AS given",
            "count_if(changes) AS count",
            "count_if(`is held`) AS held",
            "count_if(changes AND removed) AS removed",
        ).collect()[0]
        columns = Changes.columns(table.schema)
        states = compared.where("changes").select(*map(quoted, columns.names))
        ordered = SparkRows(states, (*table.schema.keys, "event_time", "removed"), columns)
        return Changes(ordered, counts["given"], counts["count"], counts["held"], counts["removed"])

    def append(
        self, table: StateTable, changes: Changes, *, period: Period, known_at: datetime, counters: Mapping[str, int]
    ) -> None:
        """See `Engine.append`."""
        from pyspark.sql import functions as F

        schema = table.schema.stored()
        if not changes.count:
            table.delta.append(schema.empty_table(), counters)
            return
        states = changes.states.frame.drop("replaced_known_at").withColumns(
            {"known_at": F.lit(known_at).cast("timestamp"), "seq": F.lit(counters[period.key] + 1).cast("bigint")}
        )
        (key,) = counters
        files = write_states(states, table.delta.partition_folder(key), table.schema)
        table.delta.append_files(key, files, schema, counters)

    def data_versions(self, table: StateTable, periods: Sequence[Period]) -> dict[str, str]:
        """See `Engine.data_versions`."""
        return table.data_versions(periods, hash_files=partial(hash_partitions, self.session))

    def measure(self, rows: SparkRows, figures: Mapping[str, str]) -> dict[str, Any]:
        """See `Engine.measure`."""
        names = {f"figure_{place}": name for place, name in enumerate(figures)}
        measured = rows.frame.selectExpr(*spark_figures(dict(zip(names, figures.values(), strict=True))))
        (answer,) = measured.toArrow().to_pylist()
        return {names[figure]: as_told(value) for figure, value in answer.items()}

    def frequencies(self, rows: SparkRows, values: Mapping[str, str], most: int) -> dict[str, list[tuple[Any, int]]]:
        """See `Engine.frequencies`."""
        found = {}
        for name, sql in values.items():
            counted = (
                rows.frame.selectExpr(*spark_figures({"value": sql}))
                .where("value IS NOT NULL")
                .groupBy("value")
                .count()
            )
            ordered = counted.orderBy("count", "value", ascending=[False, True]).limit(most)
            found[name] = [(as_told(row["value"]), row["count"]) for row in ordered.toArrow().to_pylist()]
        return found

    def first_rows(self, rows: SparkRows, count: int) -> "pa.Table":
        """See `Engine.first_rows`."""
        return rows.fetched(count)

    def to_arrow(self, rows: SparkRows) -> "pa.Table":
        """See `Engine.to_arrow`."""
        return rows.fetched()

    def rows(self, table: "pa.Table") -> SparkRows:
        """See `Engine.rows`."""
        return given_rows(self.session, table)

    def lookup(self, rows: SparkRows, lookups: Sequence[ResolvedLookup]) -> SparkRows:
        """See `Engine.lookup`."""
        check_lookups(rows.schema, lookups)
        return look_up(self.session, rows, lookups)

    def compute(self, rows: SparkRows, features: Sequence[ComputedFeature]) -> SparkRows:
        """See `Engine.compute`; the expressions are DuckDB's, so DuckDB computes them, on the executors."""
        import pyarrow as pa
        from pyspark.sql.types import StructField, StructType, _parse_datatype_string

        hidden = [name for name in rows.order if name not in rows.schema.names]
        sandboxed = DuckDBEngine(self.scratch, limits=self.limits)
        empty = sandboxed.compute(rows.schema.empty_table(), features)
        fields = [StructField(item.name, _parse_datatype_string(item.type)) for item in features]
        types = StructType([*rows.frame.schema.fields, *fields])
        known = [*rows.frame.columns, *(item.name for item in features)]
        carried, of = [*rows.schema.names, *hidden], rows.schema

        def computed(batches: "Iterator[pa.RecordBatch]") -> "Iterator[pa.RecordBatch]":
            for batch in batches:
                given = pa.Table.from_batches([batch]).select(carried)
                inside = given.select(of.names).cast(of)
                for name in hidden:
                    inside = inside.append_column(name, given.column(name))
                yield from sandboxed.compute(inside, features).select(known).to_batches()

        frame = rows.frame.mapInArrow(computed, types)
        with within(self.session, self.limits, "computed features"), _failing(_told_by_executor):
            answered = pa.schema([*rows.schema, *list(empty.schema)[len(rows.schema) :]])
            return SparkRows(kept(frame), rows.order, answered)

    def extend(self, rows: SparkRows, function: ColumnFunction) -> SparkRows:
        """See `Engine.extend`; the function goes to the executors, pickled."""
        import pyarrow as pa
        from pyspark.sql.pandas.types import from_arrow_schema
        from pyspark.sql.types import StructType

        gives, reads = function.gives, pa.schema([rows.schema.field(name) for name in function.reads])
        carried, made_types = rows.frame.schema.fields, from_arrow_schema(gives).fields
        types = StructType([*{column.name: column for column in (*carried, *made_types)}.values()])

        def extended(batches: "Iterator[pa.RecordBatch]") -> "Iterator[pa.RecordBatch]":
            for batch in batches:
                given = pa.Table.from_batches([batch])
                made = pa.table(function(given.select(reads.names).cast(reads)), schema=gives)
                for column in gives:
                    given = with_column(given, column, made.column(column.name))
                yield from given.combine_chunks().to_batches()

        frame = rows.frame.mapInArrow(extended, types)
        with _failing(_told_by_executor):
            answered = {column.name: column for column in (*rows.schema, *gives)}
            return SparkRows(kept(frame), rows.order, pa.schema([*answered.values()]))


def _told_by_executor(words: str) -> ContractError:
    """An error of ours again, which an executor raised: Spark hands on its text only."""
    told = re.search(r"Found: (.*)\. Expected: (.*)\. What to do: (.*)\.$", words)
    found, expected, cure = told.groups() if told else (words, "columns that can be computed", "correct what computes")
    return ContractError(found, expected, cure)


@contextmanager
def _failing(as_error: Callable[[str], ContractError]) -> Iterator[None]:
    """Let what Spark refuses be an error of ours, in one line of Spark's words.

    Raises:
        ContractError: It does.
    """
    from py4j.protocol import Py4JJavaError  # type: ignore[import-untyped]
    from pyspark.errors import PySparkException

    try:
        yield
    except (PySparkException, Py4JJavaError) as error:
        raise as_error(_words(str(error))) from error


def _words(text: str) -> str:
    """What is wrong: of an executor's Python the last line, of Spark the first."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    of_python = [line for line in lines if line.split(":")[0].endswith(("Exception", "Error"))]
    if lines and "Python worker" in lines[0] and of_python:
        return of_python[-1]
    return lines[0] if lines else "no words"
