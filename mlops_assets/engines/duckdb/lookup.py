"""Lookups as of a time on DuckDB: one ordered join, exact (the design's "Time", last paragraph).

For labels whose as_of lies a constant L after their anchor, a state can be used from
``available = max(event_time + L, known_at)`` on. Of a key's states in the order (available, event_time, known_at, seq)
only the last of each ``available`` counts, and none that lies behind an event already seen; an ASOF join on what is
left lands on the latest state of the greatest event known. Where that state is a removal inside the lookback, the few
rows concerned are answered by the definition itself.
"""

import mlops_assets.engines.duckdb.connection as duck
from mlops_assets.engines.contract import FeatureLookup

MOST_LAGS = 8
"""With more distinct differences between as_of and anchor than this, the definition itself is faster."""


def create_found_table(connection: duck.DuckDB, lookup: FeatureLookup, number: int) -> None:
    """Create ``found_<number>``: for each ``asked.row`` that finds something, its features.

    Expects the temporary table ``asked`` with the columns ``row``, ``anchor_us``, ``as_of_us`` and the keys.
    """
    schema = lookup.table.schema
    files = lookup.table.files(version=lookup.version)
    if not files:
        connection.register("no_rows", schema.stored().empty_table())
    keys = schema.keys
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE state AS SELECT {duck.comma(keys)}, {duck.comma(lookup.features)}, "
        f"{duck.micros('event_time')} AS event_us, {duck.micros('known_at')} AS known_us, seq, removed "
        f"FROM {duck.parquet(files) if files else 'no_rows'}"
    )
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE question AS SELECT row, {duck.comma(keys)}, anchor_us, as_of_us, "
        f"as_of_us - anchor_us AS lag_us, {_lower_bound(lookup)} AS lower_us FROM asked "
        f"WHERE anchor_us IS NOT NULL AND as_of_us IS NOT NULL"
    )
    lags = [row[0] for row in connection.execute("SELECT DISTINCT lag_us FROM question").fetchall()]
    connection.execute("CREATE OR REPLACE TEMP TABLE landed (row BIGINT, state_row BIGINT)")
    if len(lags) > MOST_LAGS:
        _join_by_definition(connection, keys, "question")
    else:
        for lag in lags:
            _join_in_order(connection, keys, int(lag))
    connection.execute(
        f"CREATE TEMP TABLE found_{number} AS SELECT l.row, {duck.comma(lookup.features, 's.')} "
        "FROM landed l JOIN state s ON s.rowid = l.state_row"
    )


def _lower_bound(lookup: FeatureLookup) -> str:
    """The last instant outside the lookback, in microseconds; see `Duration.before`."""
    if lookup.lookback is None:
        return "-9223372036854775808"
    rest = int(lookup.lookback.rest.total_seconds() * 1_000_000)
    if not lookup.lookback.months:
        return f"anchor_us - {rest}"
    end = "make_timestamp(anchor_us + 1)"
    return f"{duck.micros(f'{end} - INTERVAL {lookup.lookback.months} MONTH')} - {rest} - 1"


def _join_in_order(connection: duck.DuckDB, keys: tuple[str, ...], lag: int) -> None:
    by_key = duck.comma(keys)
    same_key = " AND ".join(f"q.{duck.quoted(key)} = s.{duck.quoted(key)}" for key in keys)
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE usable AS "
        f"SELECT * FROM ("
        f"  SELECT *, max(event_us) OVER (PARTITION BY {by_key} ORDER BY available) AS newest FROM ("
        f"    SELECT {by_key}, event_us, removed, rowid AS state_row, "
        f"      greatest(event_us + {lag}, known_us) AS available FROM state"
        f"    QUALIFY row_number() OVER (PARTITION BY {by_key}, greatest(event_us + {lag}, known_us)"
        f"      ORDER BY event_us DESC, known_us DESC, seq DESC) = 1)"
        f") WHERE event_us >= newest"
    )
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE hit AS "
        f"SELECT q.row, s.state_row, s.removed FROM (SELECT * FROM question WHERE lag_us = {lag}) q "
        f"ASOF JOIN usable s ON {same_key} AND q.as_of_us >= s.available WHERE s.event_us > q.lower_us"
    )
    connection.execute("INSERT INTO landed SELECT row, state_row FROM hit WHERE NOT removed")
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE repair AS SELECT * FROM question WHERE row IN (SELECT row FROM hit WHERE removed)"
    )
    _join_by_definition(connection, keys, "repair")


def _join_by_definition(connection: duck.DuckDB, keys: tuple[str, ...], question: str) -> None:
    same_key = " AND ".join(f"q.{duck.quoted(key)} = s.{duck.quoted(key)}" for key in keys)
    connection.execute(
        f"INSERT INTO landed SELECT row, state_row FROM ("
        f"  SELECT q.row, s.rowid AS state_row, s.event_us, s.removed FROM {question} q JOIN state s ON {same_key}"
        f"    AND s.event_us <= q.anchor_us AND s.event_us > q.lower_us AND s.known_us <= q.as_of_us"
        f"  QUALIFY row_number() OVER (PARTITION BY q.row, s.event_us ORDER BY s.known_us DESC, s.seq DESC) = 1"
        f") WHERE NOT removed QUALIFY row_number() OVER (PARTITION BY row ORDER BY event_us DESC) = 1"
    )
