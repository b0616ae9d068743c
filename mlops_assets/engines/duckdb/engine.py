"""The DuckDB engine: the engine contract, for one machine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlops_assets.engines.duckdb.connection as duck
from mlops_assets.engines.checks import check_lookups
from mlops_assets.engines.contract import (
    PERIOD_TABLE,
    Changes,
    ColumnFunction,
    ComputedFeature,
    QueryInput,
    ResolvedLookup,
    Rows,
    as_told,
    columns_read,
    known_columns,
    moments_of,
)
from mlops_assets.engines.duckdb.answers import accepts, answered_columns, failing, running, seen
from mlops_assets.engines.duckdb.lookup import found_features
from mlops_assets.engines.duckdb.reading import require_same_reading
from mlops_assets.engines.duckdb.sandbox import Sandbox, sandbox
from mlops_assets.engines.duckdb.states import create_changes_table, known_rows
from mlops_assets.engines.limits import Limits
from mlops_assets.errors import ContractError
from mlops_assets.lakehouse.exact import finite
from mlops_assets.lakehouse.masking import words_about
from mlops_assets.lakehouse.periods import Period
from mlops_assets.lakehouse.schema import TableSchema, arrow_type
from mlops_assets.lakehouse.tables import StateTable

if TYPE_CHECKING:
    import pyarrow as pa

    from mlops_assets.engines.query import Query

_GIVEN = '"the rows"'
"""Where rows to compute on are kept; with a space, because a user's column may be called as ours."""

ROWS_AT_ONCE = 65_536
"""How many rows a function of Python is given at once, so that what it makes of them on the way stays small."""


@dataclass(frozen=True)
class DuckDBEngine:
    """Runs queries and lookups in this process.

    Args:
        scratch: Where DuckDB may spill.
        threads: Threads of lookups; None for all. Queries of users always use one, so that sums of floats repeat.
        limits: What the SQL of users may take.
    """

    scratch: Path
    threads: int | None = None
    limits: Limits = Limits()

    def for_requests(self, limits: Limits) -> "DuckDBEngine":
        """See `Engine.for_requests`."""
        return replace(self, limits=limits)

    def evaluate(
        self,
        query: "Query",
        inputs: Sequence[QueryInput],
        *,
        known_at: datetime,
        schema: TableSchema,
        keep: Period | None,
    ) -> Rows:
        """See `Engine.evaluate`."""
        with duck.connect(self.scratch, self.threads) as reading, running(query, self.scratch, self.limits) as opened:
            for input_ in inputs:
                sql, known = known_rows(reading, input_.table, moment=known_at, first=input_.first, last=input_.last)
                opened.give(duck.quoted(input_.table.name), reading.sql(sql, params=known).to_arrow_table())
            if keep is not None:
                opened.give(PERIOD_TABLE, seen(moments_of(keep)))
            with failing(query, columns_read(inputs)):
                columns = answered_columns(opened, query, schema)
                within = ""
                if keep is not None and schema.timestamp is not None:
                    moment = f"CAST({duck.quoted(schema.timestamp)} AS TIMESTAMP)"
                    start, end = (f"TIMESTAMP '{one.replace(tzinfo=None)}'" for one in (keep.start, keep.end))
                    within = f" WHERE {moment} >= {start} AND {moment} < {end}"
                order = duck.comma(schema.identity)
                answer = opened.answer(
                    f"SELECT {columns} FROM ({query.canonical}) AS answered{within} ORDER BY {order}"
                )
                return answer.cast(schema.arrow())

    def known_rows(
        self, table: StateTable, moment: datetime, *, first: Period | None = None, last: Period | None = None
    ) -> Rows:
        """See `Engine.known_rows`."""
        return self.known_at(table, moment, first=first, last=last)

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
        with duck.connect(self.scratch, self.threads) as connection:
            sql, parameters = known_rows(
                connection, table, moment=moment, first=first, last=last, version=version, keep_state_columns=True
            )
            return connection.sql(sql, params=parameters).to_arrow_table().cast(known_columns(table.schema))

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

        fields = table.schema.arrow()
        schema = pa.schema([fields.field(name) for name in table.schema.keys])
        files = table.files(first, last, version)
        if not files:
            return schema.empty_table()
        keys = duck.comma(table.schema.keys)
        which, parameters = "", []
        if after is not None:
            which, parameters = "WHERE seq > ? OR known_at > ? OR event_time > ? ", [after[0], after[1], after[1]]
        with duck.connect(self.scratch, self.threads) as connection:
            found = connection.sql(
                f"SELECT DISTINCT {keys} FROM {duck.stored_states(table, files)} {which}ORDER BY {keys}",
                params=parameters,
            )
            return found.to_arrow_table().cast(schema)

    def changes(
        self,
        table: StateTable,
        rows: Rows,
        *,
        covered: Sequence[Period],
        seen_at: datetime | None,
        missing_is_removed: bool,
    ) -> Changes:
        """See `Engine.changes`."""
        with duck.connect(self.scratch, self.threads) as connection:
            connection.register("delivered", rows)
            create_changes_table(
                connection, table, covered=covered, seen_at=seen_at, missing_is_removed=missing_is_removed
            )
            states = connection.table("changes").to_arrow_table().cast(Changes.columns(table.schema))
            held = int(connection.execute("SELECT count(*) FROM held").fetchone()[0])
            removed = int(connection.execute("SELECT count(*) FROM changes WHERE removed").fetchone()[0])
        return Changes(states, rows.num_rows, states.num_rows, held, removed)

    def append(
        self, table: StateTable, changes: Changes, *, period: Period, known_at: datetime, counters: Mapping[str, int]
    ) -> None:
        """See `Engine.append`."""
        import pyarrow as pa

        states, count = changes.states, changes.count
        columns = {name: states.column(name) for name in table.schema.names}
        columns |= {
            "event_time": states.column("event_time"),
            "known_at": pa.array([known_at] * count, pa.timestamp("us", "UTC")),
            "seq": pa.array([counters[period.key] + 1] * count, pa.int64()),
            "removed": states.column("removed"),
            "period": pa.array([period.key] * count, pa.string()),
        }
        table.delta.append(pa.table(columns, schema=table.schema.stored()), counters)

    def data_versions(self, table: StateTable, periods: Sequence[Period]) -> dict[str, str]:
        """See `Engine.data_versions`."""
        return table.data_versions(periods)

    def measure(self, rows: Rows, figures: Mapping[str, str]) -> dict[str, Any]:
        """See `Engine.measure`."""
        with duck.connect(self.scratch, self.threads) as connection:
            connection.register("measured", rows)
            answer = connection.execute(f"SELECT {', '.join(figures.values())} FROM measured").fetchone()
        return dict(zip(figures, map(as_told, answer), strict=True))

    def frequencies(self, rows: Rows, values: Mapping[str, str], most: int) -> dict[str, list[tuple[Any, int]]]:
        """See `Engine.frequencies`."""
        with duck.connect(self.scratch, self.threads) as connection:
            connection.register("measured", rows)
            found = {
                name: connection.execute(
                    f"SELECT {sql} AS value, count(*) AS rows FROM measured WHERE value IS NOT NULL "
                    f"GROUP BY ALL ORDER BY rows DESC, value LIMIT {most}"
                ).fetchall()
                for name, sql in values.items()
            }
        return {name: [(as_told(value), count) for value, count in counted] for name, counted in found.items()}

    def first_rows(self, rows: Rows, count: int) -> "pa.Table":
        """See `Engine.first_rows`."""
        return rows.slice(0, count)

    def to_arrow(self, rows: Rows) -> "pa.Table":
        """See `Engine.to_arrow`."""
        return rows

    def rows(self, table: "pa.Table") -> Rows:
        """See `Engine.rows`."""
        return table

    def lookup(self, rows: "pa.Table", lookups: Sequence[ResolvedLookup]) -> "pa.Table":
        """See `Engine.lookup`."""
        import numpy as np
        import pyarrow as pa

        check_lookups(rows.schema, lookups)
        keys = list(dict.fromkeys(key for lookup in lookups for key in lookup.keys))
        with duck.connect(self.scratch, self.threads) as connection:
            numbers = pa.array(np.arange(rows.num_rows))
            # Users' names stay outside, so that a column may be called as one of the engine's own.
            inside = {key: f"given_{place}" for place, key in enumerate(keys)}
            given = rows.select([*keys, "anchor", "as_of"]).rename_columns([*inside.values(), "anchor", "as_of"])
            connection.register("given", given.append_column("row", numbers))
            by_key = "".join(f"{name}, " for name in inside.values())
            connection.execute(
                f"CREATE TEMP TABLE asked AS SELECT row, {by_key}{duck.micros('anchor')} AS anchor_us, "
                f"{duck.micros('as_of')} AS as_of_us FROM given"
            )
            columns = dict(zip(rows.column_names, rows.columns, strict=True))
            for lookup in lookups:
                found = found_features(connection, lookup, [inside[key] for key in lookup.keys], rows.num_rows)
                for feature, name in lookup.answers:
                    values = found.column(feature)
                    if feature in lookup.default:
                        values = values.fill_null(pa.scalar(lookup.default[feature], values.type))
                    columns[name] = values
        return pa.table(columns)

    def compute(self, rows: "pa.Table", features: Sequence[ComputedFeature]) -> "pa.Table":
        """See `Engine.compute`."""
        with sandbox(self.scratch, self.limits, "computed features") as opened:
            number = _give(opened, rows, features)
            result = rows
            for feature in features:
                computed = _computed(opened, f"computed feature '{feature.name}'", feature, f" ORDER BY {number}")
                result = result.append_column(feature.name, computed)
        return result

    def aggregate(self, rows: "pa.Table", figures: Sequence[ComputedFeature]) -> dict[str, Any]:
        """Compute figures of all rows that a user wrote, in a sandbox; raises as `compute`.

        Args:
            rows: The columns that the expressions read.
            figures: What to compute, as `mlops_assets.engines.expression.parse_aggregate` reads it.

        Returns:
            The value of each; None where it is none, or not finite.
        """
        with sandbox(self.scratch, self.limits, "metrics") as opened:
            _give(opened, rows, figures)
            return {one.name: _computed(opened, f"metric '{one.name}'", one, "")[0].as_py() for one in figures}

    def extend(self, rows: "pa.Table", function: ColumnFunction) -> "pa.Table":
        """See `Engine.extend`."""
        import pyarrow as pa

        read = rows.select(list(function.reads))
        starts = range(0, rows.num_rows, ROWS_AT_ONCE) or [0]
        made = [pa.table(function(read.slice(start, ROWS_AT_ONCE)), schema=function.gives) for start in starts]
        for field, values in zip(function.gives, pa.concat_tables(made).columns, strict=True):
            rows = with_column(rows, field, values)
        return rows


def _computed(opened: Sandbox, what: str, feature: ComputedFeature, order: str) -> "pa.ChunkedArray":
    import duckdb

    opened.what, expression = what, feature.expression.canonical
    try:
        require_same_reading(f"SELECT {expression}", f"SELECT {feature.expression.text}")
        (found,) = opened.types(f"SELECT {expression} AS value FROM {_GIVEN}").values()
        if not accepts(feature.type, found):
            raise ContractError(
                f"{what} of type {found}",
                f"type {feature.type}, as declared",
                "cast it in the expression, or declare the type that it has",
            )
        values = opened.answer(
            f"SELECT CAST({expression} AS {duck.sql_type(feature.type)}) AS value FROM {_GIVEN}{order}"
        )
    except duckdb.Error as error:
        words = words_about(feature.read, str(error).splitlines()[0])
        raise ContractError(
            f"{what} failed: {words}",
            "an expression that holds for every row",
            "correct it; try_cast and nullif give null where a value cannot be",
        ) from error
    return finite(values.column("value")).cast(arrow_type(feature.type))


def with_column(rows: "pa.Table", field: "pa.Field", values: Any) -> "pa.Table":
    """Rows with a column, in the place of one of its name or at the end."""
    place = rows.schema.get_field_index(field.name)
    return rows.append_column(field, values) if place < 0 else rows.set_column(place, field, values)


def _give(opened: Sandbox, rows: "pa.Table", features: Sequence[ComputedFeature]) -> str:
    """Hand over the columns that expressions read, as a user's SQL sees them, and a number.

    Returns:
        The name of the number, as SQL text; no column of the rows is called so.
    """
    import pyarrow as pa

    names = {name.lower(): name for name in rows.column_names}
    columns: dict[str, pa.ChunkedArray] = {}
    for feature in features:
        for column in feature.expression.columns:
            if column.lower() not in names:
                raise ContractError(
                    f"computed feature '{feature.name}' of a column '{column}' that the rows do not have",
                    f"among: {', '.join(rows.column_names)}",
                    "give the column with each row",
                )
            columns[names[column.lower()]] = rows.column(names[column.lower()])
    number = "row " + " ".join(rows.column_names)  # longer than any of them
    numbers = pa.array(range(rows.num_rows), pa.int64())
    opened.give(_GIVEN, seen(pa.table({**columns, number: numbers})))
    return duck.quoted(number)
