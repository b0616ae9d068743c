"""Lookups as of a time on DuckDB: ordered joins, exact (docs/concepts.md#lookups).

For labels whose as_of lies a constant L after their anchor, most states are prompt: known by event_time + L, so that an
ASOF join on event_time lands on the greatest event among them. The others are late, and used from known_at on. Of a
key's late states in the order (known_at, event_time, seq) only the last of each known_at counts, and none that lies
behind an event already seen; an ASOF join on what is left lands on the latest state of their greatest event known. The
greater event of the two answers; of the same event the late state, which was known later. Where that state is a removal
inside the lookback, the few rows concerned are answered by the definition itself.

All this works on keys and times; the features are read by the place of their row once it is known which are needed.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import mlops_assets.engines.duckdb.connection as duck
from mlops_assets.engines.contract import MAX_LAGS, ResolvedLookup

if TYPE_CHECKING:
    import pyarrow as pa

PLACE = "(CAST(file_index AS BIGINT) << 32) + file_row_number"
"""Where a row of several Parquet files lies, as one number."""


def found_features(connection: duck.DuckDB, lookup: ResolvedLookup, given: Sequence[str], count: int) -> "pa.Table":
    """The features that each row finds, null where it finds none, in the order of the rows.

    Expects the temporary table ``asked`` with the columns ``row`` (from 0), ``anchor_us``, ``as_of_us`` and the keys.

    Args:
        connection: Where ``asked`` is.
        lookup: What to look up.
        given: What ``asked`` calls each key, in the order of the table's.
        count: How many rows ask.
    """
    import numpy as np
    import pyarrow as pa

    schema = lookup.table.schema
    keys = tuple(f"key_{place}" for place in range(len(schema.keys)))
    asked = ", ".join(f"{column} AS {key}" for column, key in zip(given, keys, strict=True))
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE question AS SELECT row, {asked}, anchor_us, as_of_us, "
        f"as_of_us - anchor_us AS lag_us, {lookup.lower_bound('make_timestamp', 'epoch_us')} AS lower_us FROM asked "
        f"WHERE anchor_us IS NOT NULL AND as_of_us IS NOT NULL"
    )
    files = lookup.files(*connection.execute("SELECT min(anchor_us), max(anchor_us) FROM question").fetchone())
    fields = schema.arrow()
    types = pa.schema([fields.field(feature) for feature in dict.fromkeys(read for read, _ in lookup.answers)])
    if not files:
        return pa.table({field.name: pa.nulls(count, field.type) for field in types}, schema=types)
    states = duck.stored_states(lookup.table, files)
    renamed = ", ".join(f"{duck.quoted(name)} AS {key}" for name, key in zip(schema.keys, keys, strict=True))
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE state AS SELECT {renamed}, {duck.micros('event_time')} AS event_us, "
        f"{duck.micros('known_at')} AS known_us, seq, removed, {PLACE} AS place FROM {states}"
    )
    lags = [row[0] for row in connection.execute("SELECT DISTINCT lag_us FROM question").fetchall()]
    connection.execute("CREATE OR REPLACE TEMP TABLE landed (row BIGINT, place BIGINT)")
    if len(lags) > MAX_LAGS:
        _join_by_definition(connection, keys, "question")
    else:
        for lag in lags:
            _join_in_order(connection, keys, int(lag))
    found = connection.sql(
        f"SELECT landed.row AS {_ROW}, {duck.comma(types.names, 'features.')} FROM {states} AS features "
        f"JOIN landed ON landed.place = {PLACE}"
    ).to_arrow_table()
    rows = found.column(0).to_numpy()
    places = np.full(count, -1, dtype=np.int64)
    places[rows] = np.arange(len(rows))
    return found.select(types.names).cast(types).take(pa.array(places, mask=places < 0))


_ROW = '"the row"'
"""With a space, because a user's feature may be called ``row``."""


def _join_in_order(connection: duck.DuckDB, keys: tuple[str, ...], lag: int) -> None:
    by_key = duck.comma(keys)
    prompt = f"known_us <= event_us + {lag}"
    prompt_seq, any_late = connection.execute(
        f"SELECT max(seq) FILTER ({prompt}), coalesce(bool_or(NOT ({prompt})), false) FROM state"
    ).fetchone()
    # A commit holds a row once, so that only a second one can hold a second state of it.
    latest = f" QUALIFY row_number() OVER (PARTITION BY {by_key}, event_us ORDER BY known_us DESC, seq DESC) = 1"
    _land(
        connection,
        keys,
        lag,
        "prompt",
        f"SELECT *, event_us + {lag} AS available FROM state WHERE {prompt}{latest if (prompt_seq or 0) > 1 else ''}",
    )
    _land(
        connection,
        keys,
        lag,
        "late",
        f"SELECT * FROM ("
        f"  SELECT *, max(event_us) OVER (PARTITION BY {by_key} ORDER BY available) AS newest FROM ("
        f"    SELECT *, known_us AS available FROM state WHERE NOT ({prompt})"
        f"    QUALIFY row_number() OVER (PARTITION BY {by_key}, known_us ORDER BY event_us DESC, seq DESC) = 1)"
        f") WHERE event_us >= newest"
        if any_late
        else "SELECT *, known_us AS available FROM state WHERE false",
    )
    prompt_wins = "(l.row IS NULL OR p.event_us > l.event_us)"
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE hit AS SELECT row, "
        f"CASE WHEN {prompt_wins} THEN p.place ELSE l.place END AS place, "
        f"CASE WHEN {prompt_wins} THEN p.removed ELSE l.removed END AS removed "
        f"FROM prompt p FULL JOIN late l USING (row)"
    )
    connection.execute("INSERT INTO landed SELECT row, place FROM hit WHERE NOT removed")
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE repair AS SELECT * FROM question WHERE row IN (SELECT row FROM hit WHERE removed)"
    )
    _join_by_definition(connection, keys, "repair")


def _land(connection: duck.DuckDB, keys: tuple[str, ...], lag: int, target: str, states: str) -> None:
    """Create a table of the states that the questions of a lag land on, of those that a query answers."""
    same_key = " AND ".join(f"q.{key} = s.{key}" for key in keys)
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {target} AS SELECT q.row, s.place, s.event_us, s.removed "
        f"FROM (SELECT * FROM question WHERE lag_us = {lag}) q ASOF JOIN ({states}) s "
        f"ON {same_key} AND q.as_of_us >= s.available WHERE s.event_us > q.lower_us"
    )


def _join_by_definition(connection: duck.DuckDB, keys: tuple[str, ...], question: str) -> None:
    same_key = " AND ".join(f"q.{key} = s.{key}" for key in keys)
    connection.execute(
        f"INSERT INTO landed SELECT row, place FROM ("
        f"  SELECT q.row, s.place, s.event_us, s.removed FROM {question} q JOIN state s ON {same_key}"
        f"    AND s.event_us <= q.anchor_us AND s.event_us > q.lower_us AND s.known_us <= q.as_of_us"
        f"  QUALIFY row_number() OVER (PARTITION BY q.row, s.event_us ORDER BY s.known_us DESC, s.seq DESC) = 1"
        f") WHERE NOT removed QUALIFY row_number() OVER (PARTITION BY row ORDER BY event_us DESC) = 1"
    )
