"""Small projects of shops, written as a user writes them, and files delivered to them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from mlops_assets.lakehouse.home import Home
from mlops_assets.lakehouse.periods import Period
from mlops_assets.platform import Platform
from mlops_assets.project.definition import SourceDefinition
from mlops_assets.project.load import load_project
from mlops_assets.sources.ingest import Ingested, ingest
from mlops_assets.sources.landing import landing_file
from mlops_assets_tests import forks

HEADER = "shop,day,units"
COLUMNS = """
    shop: {type: string, description: Shop}
    day: {type: date, description: Day of the sales}
    units: {type: bigint, description: Units sold, minimum: 0}
"""
STATIC = """
type: mlops_assets.Source
attributes:
  name: shops
  description: Shops and their regions
  primary_keys: [shop]
  static: true
  columns:
    shop: {type: string, description: Shop}
    region: {type: string, description: Its region, nullable: false}
"""


def sales_yaml(*fields: str, period: str = "month", first: str = "2024-01", columns: str = COLUMNS) -> str:
    """A source of sales; ``fields`` are further lines of its attributes."""
    further = "".join(f"  {field}\n" for field in fields)
    return f"""
type: mlops_assets.Source
attributes:
  name: sales
  description: Units sold by shop and day
  primary_keys: [shop]
  timestamp: day
  period: {period}
  first_period: {first}
{further}  columns:{columns}"""


def platform_of(home: Home, *documents: str) -> Platform:
    """The platform of a project with these documents, which lies beside the home."""
    folder = home.folder.parent / "project"
    folder.mkdir(exist_ok=True)
    (folder / "defs.yaml").write_text("\n---\n".join(documents), encoding="utf-8")
    return Platform.of(load_project(folder), home)


class Shop:
    """One source of a small project, and what the tests do with it."""

    def __init__(self, platform: Platform, name: str = "sales") -> None:
        self.platform = platform
        self.source: SourceDefinition = platform.project.sources[name]
        self.table = platform.table(name)

    def period(self, key: str) -> Period:
        """The period of a key."""
        return self.source.schema.calendar.at_key(key)

    def landing(self, key: str | None) -> Path:
        """Where the file of a period arrives; None for a static source."""
        return landing_file(self.platform, self.source, self.period(key) if key else None)

    def land(self, key: str | None, content: str | bytes) -> Path:
        """Let a file arrive."""
        file = self.landing(key)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file

    def ingest(self, key: str | None) -> Ingested:
        """Ingest what arrived for a period."""
        return ingest(self.platform, self.source, self.period(key) if key else None)

    def deliver(self, key: str | None, rows: Iterable[str], at: datetime | None = None) -> Ingested:
        """Let rows arrive at a moment of the clock, and ingest them."""
        if at is not None:
            self.platform.home.clock.set(at)
        self.land(key, csv_of(rows, header=",".join(self.source.schema.names)))
        return self.ingest(key)

    def known(self, moment: datetime) -> dict[str, Any]:
        """The value of each ``key time`` as known at a moment."""
        schema = self.source.schema
        (value,) = schema.value_names
        rows = self.platform.engine.known_at(self.table, moment).to_pylist()
        names = [*schema.keys, *([schema.timestamp] if schema.timestamp else [])]
        return {" ".join(str(row[name]) for name in names): row[value] for row in rows}

    def states(self) -> list[tuple[Any, ...]]:
        """All states in the order of their seq: key and time, value, known_at, removed."""
        schema = self.source.schema
        (value,) = schema.value_names
        names = [*schema.keys, *([schema.timestamp] if schema.timestamp else [])]
        rows = sorted(self.table.states().to_pylist(), key=lambda row: (row["event_time"], row["seq"], row["shop"]))
        return [
            (" ".join(str(row[name]) for name in names), row[value], row["known_at"], row["removed"]) for row in rows
        ]

    def versions(self) -> list[str]:
        """The data version of each period that was delivered, in their order."""
        keys = self.platform.deliveries.periods(self.source.name)
        return [self.table.data_version(None if self.source.static else self.period(key)) for key in keys]


def csv_of(rows: Iterable[str], header: str = HEADER) -> str:
    """A CSV file of rows."""
    return "".join(f"{line}\n" for line in (header, *rows))


@dataclass(frozen=True)
class Arrival:
    """A file that arrives for a period of a source at a moment, and is ingested in a process with some variables."""

    shop: Shop
    key: str
    moment: datetime
    content: str
    variables: Mapping[str, str]


def ingest_apart(arrivals: Sequence[Arrival]) -> list[int]:
    """Ingest one after the other, each in a process of its own; their exit codes, negative for a signal."""
    codes = []
    for arrival in arrivals:
        shop = arrival.shop
        shop.platform.home.clock.set(arrival.moment)
        shop.land(arrival.key, arrival.content)
        place = shop.platform.project.folder, shop.platform.home.folder, shop.source.name, arrival.key
        process = forks.start_work(_ingest, *place, **arrival.variables)
        codes.append(process.wait())
        assert codes[-1] <= 0, process.complained
    return codes


def _ingest(project: Path, home: Path, name: str, key: str) -> None:
    Shop(Platform.of(load_project(project), Home(home)), name).ingest(key)
