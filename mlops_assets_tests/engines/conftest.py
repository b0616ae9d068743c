"""The engines under test: every test that asks for ``engine`` runs on each of them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

from mlops_assets.engines.contract import Engine
from mlops_assets_tests.engines.contract_pack import Tables, engine_under_test
from mlops_assets_tests.spark_session import spark_engine

if TYPE_CHECKING:
    from mlops_assets.engines.spark import SparkEngine


@pytest.fixture(scope="session", params=["duckdb", pytest.param("spark", marks=pytest.mark.slow)])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """An engine, one for all tests: nothing that one question leaves behind may change the next answer."""
    return engine_under_test(request.param, tmp_path_factory.mktemp("scratch"))


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> "SparkEngine":
    """Spark alone, in the session of all tests."""
    return spark_engine(tmp_path_factory.mktemp("scratch"))


def on_spark(item: pytest.Item) -> bool:
    parameters: Any = getattr(getattr(item, "callspec", None), "params", {})
    return parameters.get("engine") == "spark" or "spark" in getattr(item, "fixturenames", ())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Questions to Spark first: of several workers one gets them all, and no other starts a Java."""
    items.sort(key=lambda item: not on_spark(item))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """A question to Spark takes as long as a hundred to DuckDB: of each property it is asked few."""
    test: Any = getattr(item, "obj", None)
    asked = getattr(test, "_hypothesis_internal_use_settings", None)
    if asked is None or not on_spark(item):
        yield
        return
    few = settings(asked, max_examples=3)
    test._hypothesis_internal_use_settings = few
    yield
    test._hypothesis_internal_use_settings = asked


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    """Writes tables, each to a folder of its own; one for all examples of a property."""
    return Tables(tmp_path_factory.mktemp("tables"))


@pytest.fixture(scope="module")
def small_tables() -> Any:
    """A connection to DuckDB with the tables of random queries."""
    import duckdb

    from mlops_assets_tests.engines.random_sql import ROWS

    connection = duckdb.connect()
    connection.execute(ROWS)
    return connection


@pytest.fixture(scope="module")
def feature_tables() -> Any:
    """A connection to DuckDB with tables for every construct of a query."""
    import duckdb

    from mlops_assets_tests.engines.test_column_lineage import ROWS
    from mlops_assets_tests.engines.test_query import TABLES

    connection = duckdb.connect()
    connection.execute(TABLES + ROWS)
    return connection
