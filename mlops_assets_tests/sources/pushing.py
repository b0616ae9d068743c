"""A pushed source of a small project, and processes that push into it or ingest it, to be killed."""

import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from mlops_assets.lakehouse.home import Home
from mlops_assets.platform import Platform
from mlops_assets.project.load import load_project
from mlops_assets.sources.pushed import Accepted, accept
from mlops_assets_tests.sources.small_project import Shop, platform_of, sales_yaml

COLUMNS = """
    shop: {type: string, description: Shop}
    day: {type: timestamp, description: Moment of the sale}
    units: {type: bigint, description: Units sold, minimum: 0}
"""


class Pushed(Shop):
    """A pushed source, into which tests push at a moment of the clock."""

    @classmethod
    def of(cls, home: Home, *fields: str, period: str = "month", first: str = "2024-01") -> "Pushed":
        """The source with further fields."""
        yaml = sales_yaml("push: {}", *fields, period=period, first=first, columns=COLUMNS)
        return cls(platform_of(home, yaml))

    def push(self, key: str, *rows: Mapping[str, Any], at: datetime | None = None) -> Accepted:
        """Push a batch."""
        if at is not None:
            self.platform.home.clock.set(at)
        return accept(self.platform, self.source, rows, key, self.platform.clock.now())


def row(shop: str, day: str, units: int | None) -> dict[str, Any]:
    """A row of the source."""
    return {"shop": shop, "day": day, "units": units}


def push_rows(home: Path, name: str, count: int) -> None:
    """Push a row a batch, and print each key once it is accepted; for a process of its own."""
    pushed = _opened(home)
    for number in range(count):
        pushed.push(f"{name} {number}", row(name, "2024-01-05", number))
        os.write(1, f"{name} {number}\n".encode())


def ingest_there(home: Path, key: str) -> None:
    """Ingest what waits for a period; for a process of its own."""
    _opened(home).ingest(key)


def _opened(home: Path) -> Pushed:
    return Pushed(Platform.of(load_project(home.parent / "project"), Home(home)))
