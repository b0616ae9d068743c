"""The engines under test: every test that asks for ``engine`` runs on each of them."""

import pytest

from mlops_assets.engines.contract import Engine
from mlops_assets_tests.engines.contract_pack import Tables


@pytest.fixture(scope="session", params=["duckdb"])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """An engine, one for all tests: nothing that one question leaves behind may change the next answer."""
    scratch = tmp_path_factory.mktemp("scratch")
    match request.param:
        case "duckdb":
            from mlops_assets.engines.duckdb import DuckDBEngine

            return DuckDBEngine(scratch)
    raise NotImplementedError(request.param)


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    """Writes tables, each to a folder of its own; one for all examples of a property."""
    return Tables(tmp_path_factory.mktemp("tables"))
