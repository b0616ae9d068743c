"""SQL databases: the rows of a period, read in one transaction and kept as a Parquet file.

The URL comes from the environment and goes nowhere else: no error, log or metadata holds it, nor what a driver says of
a failed login, which names hosts and users.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from mlops_assets.errors import UnusableEnvironmentError
from mlops_assets.lakehouse.exact import exact
from mlops_assets.lakehouse.masking import words_about
from mlops_assets.lakehouse.schema import Column, TableSchema, arrow_type, family
from mlops_assets.project.attributes import Database
from mlops_assets.project.definition import SourceDefinition
from mlops_assets.quality.contract import wrong_structure
from mlops_assets.sources.values import from_python

if TYPE_CHECKING:
    import pyarrow as pa
    import sqlalchemy

ROWS_AT_ONCE = 20_000
SECONDS_TO_CONNECT = 10
_BOUND = re.compile(r"(?<![:\w]):(period_start|period_end)\b|:")


def read_database(
    source: SourceDefinition, database: Database, file: Path, *, between: tuple[datetime, datetime] | None
) -> None:
    """Read rows into a Parquet file, in the order of their keys, as the database gives them.

    On PostgreSQL that is one transaction, REPEATABLE READ and READ ONLY, in UTC, with a cursor on the server; memory
    holds `ROWS_AT_ONCE` rows. The same rows give the same file.

    Args:
        source: Whose rows.
        database: Where they are.
        file: Where to write them.
        between: The start (included) and end (excluded) of what is asked for, in UTC; None for a static table.

    Raises:
        UnusableEnvironmentError: The variable is not set, or the database does not answer as it should.
        ContractError: A value is of a type that no column can have.
    """
    import sqlalchemy

    url = _url(source, database)
    try:
        with _connection(url, database) as connection:
            try:
                result = connection.execution_options(yield_per=ROWS_AT_ONCE).execute(
                    sqlalchemy.text(_statement(connection, source.schema, database)),
                    _bounds(source.schema, between, zoned=connection.dialect.name == "postgresql"),
                )
                # SQLite's values have types of their own, whatever was declared of their column.
                loose = connection.dialect.name == "sqlite"
                _write(file, list(result.keys()), result.partitions(), source.schema, source.name, loose=loose)
                return
            except sqlalchemy.exc.SQLAlchemyError as error:
                found = f"was asked and failed ({words_about(source.schema.columns, _harmless(error, url))})"
    except sqlalchemy.exc.NoSuchModuleError:
        found = "is of a kind that SQLAlchemy has no module for"
    except sqlalchemy.exc.SQLAlchemyError:
        found = "cannot be reached, or refuses the login"
    except ImportError as error:
        found = f"needs the module {error.name}, which is not installed"
    # Raised here, so that no traceback leads to the driver's error.
    raise UnusableEnvironmentError(
        f"the database of '{source.name}', whose URL is in {database.url_variable}, {found}",
        f"a database that answers within {database.timeout_seconds} s, and lets its user read",
        "see that it runs, that the URL is right and that the query runs there; for PostgreSQL install "
        "mlops-assets[postgresql]",
    )


def _url(source: SourceDefinition, database: Database) -> "sqlalchemy.URL":
    import sqlalchemy

    text = os.environ.get(database.url_variable)
    url = None
    if text:
        try:
            url = sqlalchemy.make_url(text.strip())
        except (sqlalchemy.exc.ArgumentError, ValueError):
            text = "set to what is no URL"
    if url is None:
        raise UnusableEnvironmentError(
            f"the variable {database.url_variable}, with the database's URL for '{source.name}', is "
            f"{text or 'not set'}",
            "a URL such as postgresql://USER:PASSWORD@HOST/DATABASE",
            f"set {database.url_variable} where Dagster runs, and start it again",
        )
    plain = url.drivername in ("postgresql", "postgres")
    return url.set(drivername="postgresql+psycopg") if plain else url


@contextmanager
def _connection(url: "sqlalchemy.URL", database: Database) -> "Iterator[sqlalchemy.Connection]":
    """A connection that reads one state of the database and cannot write, as far as the database knows that."""
    import sqlalchemy

    postgresql = url.get_backend_name() == "postgresql"
    if url.get_backend_name() == "sqlite" and url.database and not url.database.startswith((":", "file:")):
        # Not made where it is missing.
        url = url.set(database=f"file:{quote(url.database)}", query={**url.query, "mode": "rw", "uri": "true"})
    options: dict[str, Any] = {"connect_args": {"connect_timeout": SECONDS_TO_CONNECT}} if postgresql else {}
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool, hide_parameters=True, **options)
    with engine.connect() as connection:
        if postgresql:
            connection = connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            connection.exec_driver_sql("SET LOCAL TIME ZONE 'UTC'")
            connection.exec_driver_sql(f"SET LOCAL statement_timeout = '{database.timeout_seconds}s'")
        elif connection.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA query_only = ON")
        elif connection.dialect.name in ("mysql", "mariadb"):
            connection.exec_driver_sql("SET SESSION TRANSACTION READ ONLY")
        elif connection.dialect.name == "oracle":
            connection.exec_driver_sql("SET TRANSACTION READ ONLY")
        yield connection


def _statement(connection: "sqlalchemy.Connection", schema: TableSchema, database: Database) -> str:
    """What is asked, in the order of the keys; every colon but those of the bounds is a colon."""
    quoted = connection.dialect.identifier_preparer.quote
    query = database.query
    if query is None:
        query = f"SELECT {', '.join(map(quoted, schema.names))} FROM {database.table}"
        if schema.timestamp:
            time = quoted(schema.timestamp)
            query += f" WHERE {time} >= :period_start AND {time} < :period_end"
    query = _BOUND.sub(lambda found: f"(:{found[1]})" if found[1] else r"\:", query)
    order = ", ".join(map(quoted, schema.identity))
    return f"SELECT * FROM (\n{query}\n) delivered ORDER BY {order}"


def _bounds(schema: TableSchema, between: tuple[datetime, datetime] | None, *, zoned: bool) -> Mapping[str, Any]:
    if between is None or schema.timestamp is None:
        return {}
    start, end = between
    if schema.column(schema.timestamp).type == "date":
        return {"period_start": start.date(), "period_end": end.date()}
    if not zoned:
        start, end = start.replace(tzinfo=None), end.replace(tzinfo=None)
    return {"period_start": start, "period_end": end}


def _write(
    file: Path, names: Sequence[str], batches: Iterable[Sequence[Any]], schema: TableSchema, table: str, *, loose: bool
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    declared = [schema.column(name) if name in schema.names else None for name in names]
    writer, types, before = None, None, 0
    try:
        batches = iter(batches)
        for batch in chain([next(batches, [])], batches):  # without any rows the file has its columns, too
            values = [list(column) for column in zip(*batch, strict=True)] or [[] for _ in names]
            types = types or [_kind(column, of, loose=loose) for column, of in zip(values, declared, strict=True)]
            arrays = [
                _as_it_came(name, _finite(name, column, of, before, table), type_, of, table)
                for name, column, type_, of in zip(names, values, types, declared, strict=True)
            ]
            written = pa.Table.from_arrays(arrays, names=list(names))
            writer = writer or pq.ParquetWriter(file, written.schema)
            writer.write_table(written)
            before += len(batch)
    finally:
        if writer:
            writer.close()


def _finite(name: str, values: list[Any], declared: Column | None, before: int, table: str) -> list[Any]:
    """Values without decimals that are not finite, for which no file has a place; doubles are judged as others are."""
    for place, value in enumerate(values):
        if isinstance(value, Decimal) and not value.is_finite():
            if declared is None or declared.not_finite == "refuse":
                raise wrong_structure(
                    f"{value} in column '{name}', row {before + place + 1}",
                    table,
                    "a finite number",
                    "ask for corrected rows, or declare not_finite: null for the column; nothing was written",
                )
            values[place] = None
    return values


def _as_it_came(
    name: str, values: list[Any], type_: "pa.DataType | None", declared: Column | None, table: str
) -> "pa.Array":
    """A column of one batch: of the type that its first one showed, or the declared one where that was all null."""
    import pyarrow as pa

    kinds = _kinds(values, declared)
    try:
        if kinds <= {type_} and (kinds or type_):
            return pa.array(values, type_)
        if type_ == pa.float64() and kinds <= {pa.int64(), pa.float64()}:
            return pa.array([None if value is None else exact(value, "double") for value in values], type_)
        of_files = all(isinstance(kind, pa.DataType) for kind in kinds)
        if declared and of_files and type_ in (None, arrow_type(declared.type)):
            typed, wrong = from_python(values, declared)
            if not wrong:
                return typed
            found = wrong[0].found
        elif not kinds:
            return pa.array(values, pa.string())
        else:
            found = f"values of type {' and '.join(sorted(map(str, kinds)))}"
    except (pa.ArrowException, ValueError, OverflowError):
        found = "a number that is too long"
    raise wrong_structure(
        f"{found} in column '{name}' of the database",
        table,
        "text, whole numbers, doubles, decimals, booleans, dates or timestamps, one type a column",
        "cast the column to the declared type in a query",
    )


def _kind(values: Iterable[Any], declared: Column | None, *, loose: bool) -> "pa.DataType | None":
    """The type that values show; None where all are null, or of a type that no file can hold.

    Whole numbers among doubles are doubles, as are those of a column declared so where further rows may bring some.
    """
    import pyarrow as pa

    kinds = [kind for kind in _kinds(values, declared) if isinstance(kind, pa.DataType)]
    numbers = bool(kinds) and set(kinds) <= {pa.int64(), pa.float64()}
    fractions = declared is not None and family(declared.type) in ("double", "decimal")
    if numbers and (len(kinds) == 2 or (loose and fractions)):
        return pa.float64()
    return kinds[0] if kinds else None


def _kinds(values: Iterable[Any], declared: Column | None) -> "set[pa.DataType | str]":
    """The types that values have in a file; of those that none can hold, their names."""
    import pyarrow as pa

    decimal = declared is not None and family(declared.type) == "decimal"
    kinds = {
        bool: pa.bool_(),
        int: pa.int64(),
        float: pa.float64(),
        Decimal: pa.decimal256(76, 38) if decimal else pa.decimal128(38, 18),
        str: pa.string(),
        date: pa.date32(),
    }
    found = set()
    for value in values:
        if isinstance(value, datetime):
            found.add(pa.timestamp("us", "UTC" if value.tzinfo else None))
        elif value is not None:
            found.add(kinds.get(type(value), type(value).__name__))
    return found


def _harmless(error: Exception, url: "sqlalchemy.URL") -> str:
    """What a database says of a statement, without what the URL holds."""
    cause = getattr(error, "orig", None) or error
    text = getattr(getattr(cause, "diag", None), "message_primary", None)
    if text is None:
        text = str(cause).splitlines()[0] if url.get_backend_name() == "sqlite" else type(cause).__name__
    for secret in (url.password, url.username, url.host, url.database):
        text = text.replace(str(secret), "…") if secret else text
    return str(text)
