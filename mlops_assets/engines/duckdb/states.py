"""States of rows on DuckDB: as known at a moment, and what must be appended."""

from collections.abc import Sequence
from datetime import datetime

import mlops_assets.engines.duckdb.connection as duck
from mlops_assets.lakehouse.periods import Period
from mlops_assets.lakehouse.schema import TableSchema, arrow_type
from mlops_assets.lakehouse.tables import StateTable

_NO_ROWS = "no rows"
"""With a space, because a user's table may be called ``no_rows``."""


def known_rows(
    connection: duck.DuckDB,
    table: StateTable,
    *,
    moment: datetime | None,
    first: Period | None,
    last: Period | None,
    version: int | None = None,
    keep_state_columns: bool = False,
) -> tuple[str, list[datetime]]:
    """SQL of the rows of a table as known at a moment (None: the latest states), and its parameters.

    Rows are ordered by key and time, so that what a query computes does not depend on files.
    """
    files = table.files(first, last, version)
    schema = table.schema
    if not files:
        connection.register(_NO_ROWS, schema.stored().empty_table())
    origin = duck.stored_states(table, files) if files else duck.quoted(_NO_ROWS)
    conditions = ["true"]
    parameters: list[datetime] = []
    if moment is not None:
        conditions.append("known_at <= ?")
        parameters.append(moment)
    if first is not None and last is not None and schema.timestamp is not None:
        conditions.append("event_time >= ? AND event_time < ?")
        parameters += [first.start, last.end]
    state = ", event_time, known_at" if keep_state_columns else ""
    order = duck.comma([*schema.keys, "event_time"])
    sql = (
        f"SELECT {_user_columns(schema)}{state} FROM {origin} WHERE {' AND '.join(conditions)} "
        f"QUALIFY row_number() OVER (PARTITION BY {order} ORDER BY known_at DESC, seq DESC) = 1 AND NOT removed "
        f"ORDER BY {order}"
    )
    return sql, parameters


def create_changes_table(
    connection: duck.DuckDB,
    table: StateTable,
    *,
    covered: Sequence[Period],
    seen_at: datetime | None,
    missing_is_removed: bool,
) -> None:
    """Create ``changes`` from the registered ``delivered`` and what the table holds, which becomes ``held``."""
    schema = table.schema
    first, last = (covered[0], covered[-1]) if covered else (None, None)
    held, parameters = known_rows(connection, table, moment=seen_at, first=first, last=last, keep_state_columns=True)
    connection.execute(f"CREATE TEMP TABLE held AS {held}", parameters)
    event_time = f"CAST({duck.quoted(schema.timestamp)} AS TIMESTAMP)" if schema.timestamp else "NULL::TIMESTAMP"
    same_row = " AND ".join(f"d.{duck.quoted(name)} = h.{duck.quoted(name)}" for name in schema.keys)
    if schema.timestamp:
        same_row += " AND d.event_time = h.event_time::TIMESTAMP"
    same_values = " AND ".join(
        f"d.{duck.quoted(name)} IS NOT DISTINCT FROM h.{duck.quoted(name)}" for name in schema.names
    )
    removal = (
        f" UNION ALL SELECT {duck.comma(schema.names, 'h.')}, h.event_time::TIMESTAMP, true, h.known_at "
        f"FROM held h ANTI JOIN incoming d ON {same_row}"
        if missing_is_removed
        else ""
    )
    connection.execute(
        f"CREATE TEMP TABLE incoming AS SELECT {_user_columns(schema)}, {event_time} AS event_time FROM delivered"
    )
    connection.execute(
        "CREATE TEMP TABLE changes AS "
        f"SELECT {duck.comma(schema.names, 'd.')}, d.event_time, false AS removed, "
        f"h.known_at AS replaced_known_at FROM incoming d LEFT JOIN held h ON {same_row} "
        f"WHERE h.known_at IS NULL OR NOT ({same_values}){removal}"
    )


def _user_columns(schema: TableSchema) -> str:
    """The user's columns; a timestamp loses its zone after it was brought to UTC."""
    import pyarrow as pa

    parts = []
    for column in schema.columns:
        name = duck.quoted(column.name)
        zoned = arrow_type(column.type) == pa.timestamp("us", "UTC")
        parts.append(f"{name}::TIMESTAMP AS {name}" if zoned else name)
    return ", ".join(parts)
