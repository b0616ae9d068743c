"""Scalar functions that DuckDB computes on the executors, a batch of rows at a time."""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from mlops_assets.engines.spark.translate import DuckDBFunction

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def register_functions(session: "SparkSession", functions: Iterable[DuckDBFunction]) -> None:
    """Make functions known to the queries of a session."""
    from pyspark.sql.functions import arrow_udf  # type: ignore[attr-defined]  # not in its stubs yet

    for function in functions:
        session.udf.register(function.name, arrow_udf(_computed(function), function.type))


def _computed(function: DuckDBFunction) -> Callable[..., Any]:
    import pyarrow as pa

    sql, type_ = function.sql, function.type

    def compute(*arguments: Any) -> Any:
        return _compute(sql, type_, arguments)

    compute.__annotations__ = {"arguments": pa.Array, "return": pa.Array}  # by which Spark tells what to hand over
    return compute


def _compute(sql: str, type_: str, arguments: Iterable[Any]) -> Any:
    import pyarrow as pa

    from mlops_assets.lakehouse.exact import doubles
    from mlops_assets.lakehouse.schema import arrow_type

    columns = {f"a{place}": _without_zone(values) for place, values in enumerate(arguments)}
    with _duckdb().cursor() as connection:
        connection.register("batch", pa.table(columns))
        answer = connection.sql(f"SELECT {sql} AS answer FROM batch").to_arrow_table().column("answer")
    return (doubles(answer) if type_ == "double" else answer.cast(arrow_type(type_))).combine_chunks()


def _without_zone(values: Any) -> Any:
    """What a user's SQL sees: timestamps without a zone, in UTC."""
    import pyarrow as pa

    return values.cast(pa.timestamp("us")) if pa.types.is_timestamp(values.type) else values


@lru_cache(maxsize=1)
def _duckdb() -> Any:
    """A database of this executor's process, with one thread, so that rows keep their order."""
    import duckdb

    database = duckdb.connect(":memory:", config={"threads": 1, "python_enable_replacements": False})
    database.execute("SET TimeZone = 'UTC'")
    return database
