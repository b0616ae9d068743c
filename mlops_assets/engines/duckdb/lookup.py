"""Lookups as of a time on DuckDB: one ordered join, exact (the design's "Time", last paragraph).

For labels whose as_of lies a constant L after their anchor, a state can be used from
``available = max(event_time + L, known_at)`` on. Of a key's states in the order (available, event_time, known_at, seq)
only the last of each ``available`` counts, and none that lies behind an event already seen; an ASOF join on what is
left lands on the latest state of the greatest event known. Where that state is a removal inside the lookback, the few
rows concerned are answered by the definition itself.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import mlops_assets.engines.duckdb.connection as duck
from mlops_assets.engines.contract import FeatureLookup

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOST_LAGS = 8
"""With more distinct differences between as_of and anchor than this, the definition itself is faster."""


def create_found_table(connection: duck.DuckDB, lookup: FeatureLookup, number: int, given: Sequence[str]) -> list[str]:
    """Create ``found_<number>``: for each ``asked.row`` that finds something, its features.

    Expects the temporary table ``asked`` with the columns ``row``, ``anchor_us``, ``as_of_us`` and the keys.

    Args:
        connection: Where to.
        lookup: What to look up.
        number: Tells the lookups of one call apart.
        given: What ``asked`` calls each key, in the order of the table's.

    Returns:
        What ``found_<number>`` calls the features, in their order.
    """
    schema = lookup.table.schema
    keys = tuple(f"key_{place}" for place in range(len(schema.keys)))
    asked = ", ".join(f"{column} AS {key}" for column, key in zip(given, keys, strict=True))
    features = [f"feature_{place}" for place in range(len(lookup.features))]
    users = [*zip(schema.keys, keys, strict=True), *zip(lookup.features, features, strict=True)]
    renamed = ", ".join(f"{duck.quoted(name)} AS {column}" for name, column in users)
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE question AS SELECT row, {asked}, anchor_us, as_of_us, "
        f"as_of_us - anchor_us AS lag_us, {_lower_bound(lookup)} AS lower_us FROM asked "
        f"WHERE anchor_us IS NOT NULL AND as_of_us IS NOT NULL"
    )
    files = _files(connection, lookup)
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE state AS SELECT {renamed}, "
        f"{duck.micros('event_time')} AS event_us, {duck.micros('known_at')} AS known_us, seq, removed "
        f"FROM {duck.parquet(files) if files else duck.no_rows(schema)}"
    )
    lags = [row[0] for row in connection.execute("SELECT DISTINCT lag_us FROM question").fetchall()]
    connection.execute("CREATE OR REPLACE TEMP TABLE landed (row BIGINT, state_row BIGINT)")
    if len(lags) > MOST_LAGS:
        _join_by_definition(connection, keys, "question")
    else:
        for lag in lags:
            _join_in_order(connection, keys, int(lag))
    connection.execute(
        f"CREATE TEMP TABLE found_{number} AS SELECT l.row, {duck.comma(features, 's.')} "
        "FROM landed l JOIN state s ON s.rowid = l.state_row"
    )
    return features


def _files(connection: duck.DuckDB, lookup: FeatureLookup) -> list[str]:
    """The files of the periods in which an answer can lie: from the oldest lookback to the newest anchor."""
    table = lookup.table
    if table.schema.timestamp is None:
        return table.files(version=lookup.version)
    lowest, highest = connection.execute("SELECT min(lower_us) + 1, max(anchor_us) FROM question").fetchone()
    if highest is None:
        return []
    calendar = table.schema.calendar
    try:
        first = calendar.of(EPOCH + timedelta(microseconds=lowest)).key if lookup.lookback else "0"  # before every key
        last = calendar.of(EPOCH + timedelta(microseconds=highest)).key
    except (OverflowError, ValueError):  # an anchor at the end of all time
        return table.files(version=lookup.version)
    return table.delta.files((first, last), lookup.version)


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
