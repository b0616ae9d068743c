import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mlops_assets.features.online.contract import OnlineStore
from mlops_assets.features.online.redis import RedisStore
from mlops_assets.features.online.sqlite import SqliteStore
from mlops_assets_tests.features.online.redis_server import RedisServer

NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """One server for all tests of a worker; each test has a project of its own in it."""
    server = RedisServer().start()
    yield server
    server.close()


@pytest.fixture(params=["sqlite", "redis"])
def open_new_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], OnlineStore]:
    """Opens an empty store of each kind."""
    if request.param == "redis":
        server: RedisServer = request.getfixturevalue("redis_server")
        return lambda: RedisStore(server.url, f"project_{next(NUMBERS)}")
    return lambda: SqliteStore(tmp_path / f"{next(NUMBERS)}.sqlite")


@pytest.fixture
def store(open_new_store: Callable[[], OnlineStore]) -> OnlineStore:
    return open_new_store()
