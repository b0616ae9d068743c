"""Scalar functions that DuckDB computes on the executors, a batch of rows at a time."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from mlops_assets.engines.duckdb.answers import seen
from mlops_assets.engines.duckdb.connection import connect
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

    columns = {f"a{place}": values for place, values in enumerate(arguments)}
    with connect(None, threads=1) as connection:  # one thread, so that rows keep their order
        connection.register("batch", seen(pa.table(columns)))
        answer = connection.sql(f"SELECT {sql} AS answer FROM batch").to_arrow_table().column("answer")
    return (doubles(answer) if type_ == "double" else answer.cast(arrow_type(type_))).combine_chunks()
