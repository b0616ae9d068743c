"""What a query answers, by DuckDB's reading of it: its columns and types, on every engine."""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import mlops_assets.engines.duckdb.connection as duck
from mlops_assets.engines.duckdb.reading import require_same_reading, statements
from mlops_assets.engines.duckdb.sandbox import Sandbox, sandbox
from mlops_assets.engines.limits import Limits
from mlops_assets.errors import ContractError, Location
from mlops_assets.lakehouse.masking import words_about
from mlops_assets.lakehouse.schema import Column, ColumnType, Family, TableSchema, digits, family

if TYPE_CHECKING:
    import pyarrow as pa

    from mlops_assets.engines.query import Query

_WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "HUGEINT")
_ACCEPTED: Mapping[Family, tuple[str, ...]] = {
    "string": ("VARCHAR",),
    "bigint": _WHOLE,
    "double": ("DOUBLE", "FLOAT", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "DECIMAL"),
    "decimal": ("DECIMAL", *_WHOLE),
    "boolean": ("BOOLEAN",),
    "date": ("DATE",),
    "timestamp": ("TIMESTAMP", "DATE"),
}
"""Types that a query may answer for a declared type: those that lose nothing, and sums of whole numbers."""


def accepts(declared: ColumnType, answered: str) -> bool:
    """Whether a query may answer a type of DuckDB's for a declared one; of decimals no digit may be rounded away."""
    if family(declared) == "decimal" and re.fullmatch(r"DECIMAL\([0-9]+,[0-9]+\)", answered):
        return digits(answered.lower())[1] <= digits(declared)[1]
    return answered.split("(")[0] in _ACCEPTED[family(declared)]


def answered_columns(opened: Sandbox, query: "Query", schema: TableSchema) -> str:
    """The columns of a query's answer as a list in SQL, each cast to its declared type.

    Raises:
        ContractError: The answer lacks a column, or a column has another type; or it is no single SELECT.
        DefinitionError: DuckDB reads something in it that the filter did not.
    """
    import duckdb

    try:
        kinds = statements(query.canonical)
        if kinds != ["SELECT"]:
            raise failed(query, f"{len(kinds)} statements where one SELECT may stand")
        require_same_reading(query.canonical, query.text, Location(query.file))
        types = opened.types(query.canonical)
    except duckdb.Error as error:
        raise failed(query, str(error), _line(opened, query)) from error
    return ", ".join(_cast(query, column, types) for column in schema.columns)


def _line(opened: Sandbox, query: "Query") -> int | None:
    """The line of what the user wrote in which DuckDB finds a fault before it reads any rows."""
    import duckdb

    try:
        if statements(query.text) == ["SELECT"]:
            opened.types(query.text)
    except duckdb.Error as error:
        found = re.search(r"^LINE (\d+):", str(error), re.MULTILINE)
        return int(found[1]) if found else None
    return None


def check_answer(
    query: "Query", tables: Mapping[str, TableSchema], schema: TableSchema, scratch: Path, limits: Limits
) -> None:
    """See what `answered_columns` sees, without rows: over empty tables, in the same sandbox.

    Args:
        query: The query.
        tables: The tables that it may read, by name.
        schema: Columns and types of the answer.
        scratch: Where DuckDB may spill.
        limits: What it may take.

    Raises:
        ContractError: The query does not fit its tables, or the answer not what is declared.
    """
    with _over_empty(query, tables, scratch, limits) as opened:
        answered_columns(opened, query, schema)


def answered_names(query: "Query", tables: Mapping[str, TableSchema], scratch: Path, limits: Limits) -> list[str]:
    """The names of all columns that a query gives, declared or not; see `check_answer`."""
    with _over_empty(query, tables, scratch, limits) as opened:
        return list(opened.types(query.canonical))


@contextmanager
def _over_empty(query: "Query", tables: Mapping[str, TableSchema], scratch: Path, limits: Limits) -> Iterator[Sandbox]:
    with running(query, scratch, limits) as opened:
        for name, table in tables.items():
            opened.give(duck.quoted(name), seen(table.arrow().empty_table()))
        with failing(query):
            yield opened


def running(query: "Query", scratch: Path, limits: Limits) -> AbstractContextManager[Sandbox]:
    """A sandbox for a query."""
    return sandbox(scratch, limits, f"the SQL in {query.file}", Location(query.file, 1))


def seen(rows: "pa.Table") -> "pa.Table":
    """Rows as a user's SQL sees them: timestamps without a zone, which are in UTC."""
    import pyarrow as pa

    for place, field in enumerate(rows.schema):
        if pa.types.is_timestamp(field.type):
            rows = rows.set_column(place, field.name, rows.column(place).cast(pa.timestamp("us")))
    return rows


@contextmanager
def failing(query: "Query", read: Iterable[Column] = ()) -> Iterator[None]:
    """Let what DuckDB refuses be an error of the query, which reads these columns.

    Raises:
        ContractError: It does.
    """
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        raise failed(query, words_about(read, str(error))) from error


def failed(query: "Query", words: str, line: int | None = None) -> ContractError:
    """The error for a query that an engine refused, in the engine's words."""
    return ContractError(
        f"the SQL in {query.file.name} failed: {words.splitlines()[0]}",
        "SQL that runs over its inputs",
        "correct it, and try it with `mlops-assets check`",
        where=Location(query.file, line),
    )


def _cast(query: "Query", column: Column, types: Mapping[str, str]) -> str:
    """One column of an answer, as its declared type."""
    if column.name not in types:
        raise ContractError(
            f"the SQL in {query.file.name} gives no column '{column.name}' (it gives {', '.join(types)})",
            f"a column '{column.name}' of type {column.type}",
            "select it in the SQL, or take it out of the YAML",
            where=Location(query.file),
        )
    if not accepts(column.type, types[column.name]):
        raise ContractError(
            f"column '{column.name}' in {query.file.name} has type {types[column.name]}",
            f"type {column.type}, as declared",
            "cast it in the SQL, or declare the type that it has",
            where=Location(query.file),
        )
    return f"CAST({duck.quoted(column.name)} AS {duck.sql_type(column.type)}) AS {duck.quoted(column.name)}"
