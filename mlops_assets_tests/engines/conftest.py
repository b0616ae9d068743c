"""The engines under test: every test that asks for ``engine`` runs on each of them."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings

from mlops_assets.engines.contract import Engine
from mlops_assets_tests.engines.contract_pack import Tables, engine_under_test


@pytest.fixture(scope="session", params=["duckdb", pytest.param("spark", marks=pytest.mark.slow)])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """An engine, one for all tests: nothing that one question leaves behind may change the next answer."""
    return engine_under_test(request.param, tmp_path_factory.mktemp("scratch"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """A question to Spark takes as long as a hundred to DuckDB: of each property it is asked few."""
    test: Any = getattr(item, "obj", None)
    asked = getattr(test, "_hypothesis_internal_use_settings", None)
    parameters: Any = getattr(getattr(item, "callspec", None), "params", {})
    if asked is None or parameters.get("engine") != "spark":
        yield
        return
    few = settings(asked, max_examples=4)
    test._hypothesis_internal_use_settings = few
    yield
    test._hypothesis_internal_use_settings = asked


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    """Writes tables, each to a folder of its own; one for all examples of a property."""
    return Tables(tmp_path_factory.mktemp("tables"))
