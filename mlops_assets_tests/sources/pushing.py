"""A pushed source of a small project, and processes that push into it or ingest it, to be killed."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from mlops_assets.lakehouse.home import Home
from mlops_assets.project.load import load_project
from mlops_assets.project.platform import Platform
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


def command(home: Home, *words: str) -> Sequence[str]:
    """The command of a process that does what `main` says."""
    return [sys.executable, "-m", "mlops_assets_tests.sources.pushing", str(home.folder), *words]


def main(folder: str, what: str, *words: str) -> None:
    """``push NAME COUNT`` pushes a row a batch and prints each key once it is accepted; ``ingest PERIOD…`` ingests."""
    home = Home(Path(folder))
    pushed = Pushed(Platform.of(load_project(home.folder.parent / "project"), home))
    if what == "push":
        for number in range(int(words[1])):
            pushed.push(f"{words[0]} {number}", row(words[0], "2024-01-05", number))
            os.write(1, f"{words[0]} {number}\n".encode())
    if what == "ingest":
        print(json.dumps([pushed.ingest(key).rows for key in words]))


if __name__ == "__main__":
    main(*sys.argv[1:])
