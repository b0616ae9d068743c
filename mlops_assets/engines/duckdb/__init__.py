"""The engine for one machine, on DuckDB."""

from mlops_assets.engines.duckdb.engine import DuckDBEngine

__all__ = ["DuckDBEngine"]
