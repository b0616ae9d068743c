"""The small project of shops with one model, lived through day by day with the platform's plain functions."""

import fcntl
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.features.feature_tables import evaluate_feature_table
from mlops_assets.features.labels import compute_labels
from mlops_assets.features.states import Written
from mlops_assets.lakehouse.home import Home
from mlops_assets.lakehouse.periods import Period
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ModelDefinition
from mlops_assets.sources.ingest import Ingested, ingest
from mlops_assets.sources.landing import landing_file
from mlops_assets_tests.project.small_project import SmallProject

SHOPS = tuple(f"s{number:02d}" for number in range(14))
REGIONS = ("north", "south")
FIRST = "2024-01-05"
"""The first day that both sources have."""
_STAGES = (3, 4, 9, 12, 14)
"""After so many days a line is kept, for further tests start there."""


def units_of(shop: str, day: str) -> int:
    """Units that follow a weekly wave of each shop's own, so that there is something to learn."""
    number, date = SHOPS.index(shop), datetime.fromisoformat(day).timetuple().tm_yday
    return round(100 * (2 + number) * (1.2 + math.sin(2 * math.pi * (date + number) / 7)))


class Line:
    """A project, its home, and what the tests do with them."""

    def __init__(self, folder: Path, changes: Mapping[tuple[str, str], str] | None = None) -> None:
        """Write the project; ``changes`` are texts to put in place of others, by file and text."""
        self.folder = folder
        self.files = SmallProject(folder / "project")
        self.files.change("forecast/defs.yaml", "min_rows: 100", "min_rows: 60")
        self.files.change("forecast/defs.yaml", "validation: 7 days", "validation: 3 days")
        for (name, old), new in (changes or {}).items():
            self.files.change(name, old, new)
        self.open()

    def open(self) -> "Line":
        """Read the project anew."""
        self.platform = Platform.of(self.files.load(), Home(self.folder / "home").prepare())
        return self

    def copy(self, folder: Path) -> "Line":
        """The same in another folder, to write to."""
        shutil.copytree(self.folder, folder)
        return Line.made_before(folder)

    @classmethod
    def made_before(cls, folder: Path) -> "Line":
        """What lies in a folder already."""
        made = object.__new__(cls)
        made.folder = folder
        made.files = object.__new__(SmallProject)
        made.files.folder = folder / "project"
        return made.open()

    @property
    def model(self) -> ModelDefinition:
        """The one model."""
        return self.platform.project.models["forecast"]

    def period(self, key: str) -> Period:
        """The day of a key."""
        return self.model.schema.calendar.at_key(key)

    def days(self, count: int, first: str = FIRST) -> list[str]:
        """Keys of so many days."""
        return [self.model.schema.calendar.shift(self.period(first), number).key for number in range(count)]

    def deliver(self, name: str, rows: str, key: str | None = None, at: datetime | None = None) -> Ingested:
        """Let a file arrive, by default when the day is published, and ingest it."""
        source = self.platform.project.sources[name]
        period = self.period(key) if key else None
        if period or at:
            self.platform.home.clock.set(at or period.end + source.lag)  # type: ignore[union-attr]
        file = landing_file(self.platform, source, period)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(",".join(source.schema.names) + "\n" + rows, encoding="utf-8")
        return ingest(self.platform, source, period)

    def sales(self, key: str, at: datetime | None = None, **units: int | None) -> Ingested:
        """Deliver a day of sales; ``units`` are those of shops that differ from the wave, None for no row."""
        sold = {shop: units.get(shop, units_of(shop, key)) for shop in SHOPS}
        rows = (f"{key},{shop},{number},1.5,true,web\n" for shop, number in sold.items() if number is not None)
        return self.deliver("sales", "".join(rows), key, at)

    def visits(self, key: str, at: datetime | None = None) -> Ingested:
        """Deliver a day of visits."""
        return self.deliver("visits", "".join(f"{key},{shop},{units_of(shop, key) // 3}\n" for shop in SHOPS), key, at)

    def shops(self) -> Ingested:
        """Deliver the static table."""
        return self.deliver("shops", "".join(f"{shop},{REGIONS[int(shop[1:]) % 2]}\n" for shop in SHOPS))

    def features(self, key: str, name: str = "trend") -> Written:
        """Compute a day of a feature table."""
        return evaluate_feature_table(self.platform, self.platform.project.feature_tables[name], self.period(key))[0]

    def labels(self, known_in: str) -> Written:
        """Compute the labels that become known in a day."""
        return compute_labels(self.platform, self.model, self.period(known_in))

    def live(self, count: int, first: str = FIRST) -> list[str]:
        """Deliver days, and compute all that follows up to the labels; gives the keys of the days."""
        if first == FIRST:
            self.shops()
        keys = self.days(count, first)
        for key in keys:
            self.sales(key)
            self.visits(key)
            for name in self.platform.project.feature_tables:
                self.features(key, name)
            labelled = self.model.schema.calendar.shift(self.period(key), -self.model.label.known_after)
            if labelled >= self.period(FIRST):
                self.labels(key)
        return keys

    def known(self, name: str, moment: datetime, column: str) -> dict[tuple[str, str], Any]:
        """A column of a table as known at a moment, by shop and day."""
        rows = self.platform.engine.known_at(self.platform.table(name), moment).to_pylist()
        return {(row["shop"], str(row["day"])): row[column] for row in rows}


def lived_line(factory: pytest.TempPathFactory, count: int, then: Mapping[tuple[str, str], str] | None = None) -> Line:
    """A line that has lived so many days, in a folder of its own: each day is lived once for all tests and workers.

    Args:
        factory: For folders.
        count: How many days.
        then: Texts put in place of others after these days.
    """
    shared = shared_folder(factory) / "days"
    with locked(shared):
        shared.mkdir(exist_ok=True)
        for stage in sorted({*_STAGES, count}):
            if stage <= count and not (shared / str(stage)).exists():
                _live_on(shared, stage)
    line = Line.made_before(shared / str(count)).copy(factory.mktemp("lived") / "line")
    for (name, old), new in (then or {}).items():
        line.files.change(name, old, new)
    return line.open()


def _live_on(shared: Path, count: int) -> None:
    """Live so many days from where somebody stopped, and let only the whole of them be seen."""
    before = max((int(made.name) for made in shared.glob("[0-9]*") if int(made.name) < count), default=0)
    started = shared / "started"
    shutil.rmtree(started, ignore_errors=True)
    line = Line.made_before(shared / str(before)).copy(started) if before else Line(started)
    line.live(count - before, line.days(before + 1)[-1])
    started.rename(shared / str(count))


def shared_folder(factory: pytest.TempPathFactory) -> Path:
    """One folder for all workers."""
    own = factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@contextmanager
def locked(shared: Path) -> Iterator[None]:
    """Let no other worker make what is made here."""
    with shared.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def hours(number: float) -> timedelta:
    """A length of time."""
    return timedelta(hours=number)
