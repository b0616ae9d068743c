"""Spark through dagster-pyspark, imported only when a session is asked for: it imports pyspark."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def lazy_session(settings: Mapping[str, str]) -> "SparkSession":
    """The session that dagster-pyspark makes of these settings."""
    from dagster_pyspark import LazyPySparkResource

    session: SparkSession = LazyPySparkResource(spark_config=dict(settings)).spark_session
    return session
