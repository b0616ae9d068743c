"""Connections to DuckDB for SQL of the platform's own: in memory, in UTC. Users' SQL runs in `sandbox`."""

import glob
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from mlops_assets.lakehouse.schema import ColumnType
from mlops_assets.lakehouse.tables import StateTable

DuckDB = Any
"""A DuckDB connection; the library has no complete types."""


@contextmanager
def connect(scratch: Path | None, threads: int | None = None) -> Iterator[DuckDB]:
    """A connection with temporary tables of its own, to one database in memory that this process keeps.

    Args:
        scratch: Where it may spill; None for nowhere.
        threads: How many threads it may use; None for all.
    """
    connection = _database(scratch, threads).cursor()
    try:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection
    finally:
        connection.close()


@lru_cache(maxsize=4)
def _database(scratch: Path | None, threads: int | None) -> DuckDB:
    import duckdb

    config: dict[str, Any] = {
        "temp_directory": str(scratch or ""),
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "python_enable_replacements": False,
    }
    if threads:
        config["threads"] = threads
    return duckdb.connect(":memory:", config=config)


def sql_type(type_: ColumnType) -> str:
    """What a user's SQL sees of a type; of timestamps those without a zone, which are in UTC."""
    return "VARCHAR" if type_ == "string" else type_.upper()


def quoted(name: str) -> str:
    """A name as SQL text."""
    return '"' + name.replace('"', '""') + '"'


def comma(names: Sequence[str], prefix: str = "") -> str:
    """Names as a list in SQL, each with a table's name before it where given."""
    return ", ".join(prefix + quoted(name) for name in names)


def stored_states(table: StateTable, files: Sequence[str]) -> str:
    """What some data files of a table hold, and where, as SQL text; each file is itself, whatever its name would match.

    Args:
        table: The table.
        files: At least one.
    """
    paths = [table.delta.file(file).local_file() for file in files]
    listed = ", ".join("'" + glob.escape(file).replace("'", "''") + "'" for file in paths)
    absent = table.absent(files)
    nulls = [
        f"CAST(NULL AS {sql_type(table.schema.column(name).type)}) AS {quoted(name)}"
        for name, everywhere in absent.items()
        if everywhere
    ]
    by_name = ", union_by_name = true" if len(nulls) < len(absent) else ""
    read = f"read_parquet([{listed}], hive_partitioning = false{by_name})"
    return f"(SELECT *, file_index, file_row_number, {', '.join(nulls)} FROM {read})" if nulls else read


def micros(column: str) -> str:
    """A timestamp column as microseconds since 1970, in which all arithmetic of lookups is done."""
    return f"epoch_us({column})"
