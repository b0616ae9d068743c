"""A small project that has lived some days, with tables that are published online; and its application."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi.testclient import TestClient

from mlops_assets.features.online.publishing import publish
from mlops_assets.features.online.store import open_store
from mlops_assets.platform import Platform
from mlops_assets.serving.app import create_app
from mlops_assets.serving.settings import ServingSettings
from mlops_assets_tests.small_line import Line

CHANGES: Mapping[tuple[str, str], str] = {
    ("sales/defs.yaml", "  primary_keys: [shop]\n  timestamp: day"): (
        "  online: true\n  primary_keys: [shop]\n  timestamp: day"
    ),
    ("sales/defs.yaml", "description: Average price,"): "description: Average price, sensitivity: personal,",
    ("sales/defs.yaml", "  static: true\n"): "  static: true\n  online: true\n",
    ("sales/defs.yaml", "    region: {type: string, description: Its region}"): (
        "    region: {type: string, description: Its region, sensitivity: personal}"
    ),
    ("trend/defs.yaml", "  history: 8 days\n"): "  history: 8 days\n  online: true\n",
    ("trend/defs.yaml", "    level: {type: double"): (
        "    since: {type: timestamp, description: When it was}\n"
        "    opened: {type: date, description: Opening day}\n"
        "    level: {type: double"
    ),
    ("trend/trend.sql", "    ln(units + 1) AS level,"): (
        "    CAST(sales.day AS TIMESTAMP) AS since,\n    sales.day AS opened,\n    ln(units + 1) AS level,"
    ),
    ("forecast/selling.sql", "SELECT shop, day FROM sales"): (
        "SELECT shop, day, 's00' AS sister, units * 2 AS asked FROM sales"
    ),
    ("forecast/defs.yaml", "lookback: 2 days"): "lookback: 30 days",  # the newest row is three days old
    ("forecast/defs.yaml", "  template:"): (
        "  request:\n"
        "    columns:\n"
        "      sister: {type: string, description: The shop it is compared with}\n"
        "      asked: {type: bigint, description: Units asked for}\n"
        "  computed:\n"
        "    - {name: twice, type: double, description: Twice the level, expression: level * 2}\n"
        "    - {name: northern, type: boolean, description: Where it is, expression: region = 'north'}\n"
        "    - {name: per_asked, type: double, description: Not finite where 0, expression: level / asked}\n"
        "  template:"
    ),
}


@dataclass(frozen=True)
class Shop:
    """A line of shops that is published, and tokens to ask for it.

    Args:
        line: The line.
        days: Keys of its days.
        reading: A token with ``features:read``.
        personal: One that may read personal columns too.
    """

    line: Line
    days: list[str]
    reading: str
    personal: str

    @property
    def platform(self) -> Platform:
        """The platform."""
        return self.line.platform


def lived_shop(line: Line) -> Shop:
    """Live some days and publish them."""
    days = line.live(10)
    publish_all(line.platform)
    now, tokens = line.platform.clock.now(), line.platform.tokens
    made = [tokens.create(role, (role,), None, now) for role in ("reader", "administrator")]
    return Shop(line, days, *made)


def publish_all(platform: Platform) -> None:
    """Publish all tables that are online."""
    store = open_store(platform)
    for table in platform.project.online_tables:
        publish(platform, store, table)


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return lived_shop(Line(tmp_path_factory.mktemp("shop") / "line", CHANGES))


@pytest.fixture(scope="session")
def client(shop: Shop) -> TestClient:
    """The application, asked by somebody who may read what is not personal."""
    return application(shop)


def application(shop: Shop, token: str | None = None, **settings: Any) -> TestClient:
    """A client of the application, with a token of one's own."""
    app = create_app(shop.platform, ServingSettings(**settings))
    headers = {"Authorization": f"Bearer {shop.reading if token is None else token}"}
    return TestClient(app, headers=headers, raise_server_exceptions=False)
