"""The engine for a cluster, or for one machine with more data than memory, on Spark."""

from mlops_assets.engines.spark.engine import SparkEngine

__all__ = ["SparkEngine"]
