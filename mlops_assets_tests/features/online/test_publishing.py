"""Publishing: whatever the order and the interleaving, the store ends with the lookup's answer for now."""

import itertools
import random
import shutil
import signal
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlops_assets.errors import ContractError, DefinitionError, MissingDataError
from mlops_assets.features.created_training_sets import FeatureLookup
from mlops_assets.features.online.contract import Entry, Guard, OnlineStore, Outcome, Space
from mlops_assets.features.online.publishing import publish
from mlops_assets.features.online.reading import OnlineFeatures
from mlops_assets.features.online.store import STORE_VARIABLE, open_store
from mlops_assets.features.online.verifying import verify
from mlops_assets.lakehouse.home import Home
from mlops_assets.lakehouse.periods import Period
from mlops_assets.lakehouse.write_points import KILL_AT_VARIABLE
from mlops_assets.platform import Platform
from mlops_assets.project.load import load_project
from mlops_assets_tests import forks
from mlops_assets_tests.engines.contract_pack import append
from mlops_assets_tests.features.online.lake import SteppedClock, day, in_memory, interrupted
from mlops_assets_tests.local_paths import path_of
from mlops_assets_tests.project.small_project import SmallProject

ONLINE = ("  publication_lag: 6 hours", "  publication_lag: 6 hours\n  online: true")
UNITS = FeatureLookup("sales", "units")


@dataclass
class Project:
    """The small project's sales, whose states a test writes as it likes."""

    platform: Platform
    files: SmallProject

    @classmethod
    def of(cls, folder: Path) -> "Project":
        files = SmallProject(folder / "project")
        files.change("sales/defs.yaml", *ONLINE)
        return cls(Platform.of(files.load(), Home(folder / "home")), files).in_home(folder / "home")

    def in_home(self, folder: Path) -> "Project":
        """The same in an empty home."""
        home = Home(folder).prepare()
        home.clock.set(day(20))
        return replace(self, platform=Platform.of(self.platform.project, home))

    def copied(self, folder: Path) -> "Project":
        """A copy of the home, and the project in it."""
        shutil.copytree(self.platform.home.folder, folder)
        return replace(self, platform=Platform.of(self.platform.project, Home(folder)))

    def period(self, number: int) -> Period:
        return self.platform.project.sources["sales"].schema.calendar.of(day(number))

    def add(self, number: int, known_at: datetime, **units: int | None) -> None:
        """Append states of a day in one commit; None for a removal."""
        table = self.platform.table("sales")
        key = self.period(number).key
        seq = table.delta.counters([key])[key] + 1
        common = {"day": day(number).date(), "price": 1.5, "open": True, "channel": "web"}
        state = {"event_time": day(number), "known_at": known_at, "seq": seq}
        append(
            table,
            [
                {**common, **state, "shop": shop, "units": sold or 0, "removed": sold is None}
                for shop, sold in units.items()
            ],
        )

    def units(self, store: OnlineStore, shop: str = "a") -> object:
        (answer,) = OnlineFeatures(self.platform, store).look_up([{"shop": shop}], [UNITS])
        return answer.features["units"]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project.of(tmp_path)


def assert_as_the_lookup(project: Project, store: OnlineStore) -> None:
    found = verify(project.platform, store, "sales")
    assert found.different == 0, found.first


def test_an_answer_follows_corrections_removals_and_late_periods(project: Project, store: OnlineStore) -> None:
    def published(number: int) -> Outcome:
        return publish(project.platform, store, "sales", project.period(number)).outcome

    project.add(5, day(6, 6), a=5, b=50)
    assert published(5) == Outcome(written=2)
    assert project.units(store) == 5
    project.add(6, day(7, 6), a=6)
    assert published(6) == Outcome(written=1)
    assert project.units(store) == 6
    project.add(6, day(8), a=None)
    assert published(6) == Outcome(written=1)
    assert project.units(store) == 5
    project.add(3, day(9), a=3, c=30)
    assert published(3) == Outcome(written=1, unchanged=1)
    assert (project.units(store), project.units(store, "c")) == (5, 30)
    project.add(5, day(9), a=None, b=None)
    assert published(5) == Outcome(written=1, removed=1)
    assert (project.units(store), project.units(store, "b")) == (3, None)
    assert published(5) == Outcome()
    assert_as_the_lookup(project, store)


def test_a_state_that_was_not_known_yet_is_published_once_it_is(project: Project, store: OnlineStore) -> None:
    project.add(5, day(6, 6), a=5)
    project.platform.home.clock.set(day(5, 12))
    publish(project.platform, store, "sales", project.period(5))
    assert project.units(store) is None
    project.platform.home.clock.set(day(6, 6))
    publish(project.platform, store, "sales", project.period(5))
    assert project.units(store) == 5


BEHIND = timedelta(hours=2)
"""How far clocks of machines differ; more than that lies between ingesting and publishing."""


@dataclass
class Interleaved:
    """A store before whose writes and records something else happens."""

    store: OnlineStore
    meanwhile: Callable[[], None]

    def write(self, space: Space, entries: list[Entry], guard: Guard) -> Outcome:
        self.meanwhile()
        return self.store.write(space, entries, guard)

    def __getattr__(self, name: str) -> Any:
        if name in ("serve", "record", "served"):
            self.meanwhile()
        return getattr(self.store, name)


class History:
    """A random history: what is appended is published at once or later, also in the midst of other publishings."""

    def __init__(self, project: Project, store: OnlineStore, seed: int) -> None:
        self.store = store
        self.clock = SteppedClock()
        self.platform = in_memory(project.platform, self.clock)
        self.period = project.period
        self.random = random.Random(seed)
        self.often = self.random.choice([0.1, 0.3, 0.6])
        self.steps, self.depth = 25, 0
        self.waiting: list[int] = []

    def step(self) -> None:
        self.steps -= 1
        self.depth += 1
        kind = self.random.choices(["deliver", "append", "publish", "time", "rebuild"], [4, 2, 2, 2, 1])[0]
        if kind in ("deliver", "append"):
            self.append()
        if self.waiting and kind in ("deliver", "publish"):
            self.publish(self.waiting.pop(-1 if kind == "deliver" else self.random.randrange(len(self.waiting))))
        if kind == "time":
            self.clock.moment += timedelta(hours=self.random.choice([1, 30]))
        if kind == "rebuild":
            publish(self.interrupted, self.interleaved, "sales", rebuild=True)  # type: ignore[arg-type]
        self.depth -= 1

    def meanwhile(self) -> None:
        while self.depth < 4 and self.steps > 0 and self.random.random() < self.often:
            self.step()

    def append(self) -> None:
        number = self.random.randint(1, 4)
        known_at = self.random.choice([self.clock.now() - BEHIND, day(10)])
        shops = self.random.sample("abcdef", self.random.randint(1, 3))
        units = {shop: self.random.choice([None, self.random.randrange(100)]) for shop in shops}
        self.platform.lake.append(self.period(number), known_at, units)
        self.waiting.append(number)

    def publish(self, number: int) -> None:
        publish(self.interrupted, self.interleaved, "sales", self.period(number))  # type: ignore[arg-type]

    @property
    def interleaved(self) -> Interleaved:
        return Interleaved(self.store, self.meanwhile)

    @property
    def interrupted(self) -> Platform:
        behind = self.random.choice([timedelta(0), timedelta(0), BEHIND])
        return interrupted(self.platform, self.clock, behind, self.meanwhile)


@pytest.mark.slow
@given(st.integers(0, 2**32))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_in_any_order_and_interleaving_the_store_ends_with_the_lookups_answer(
    project: Project, open_new_store: Callable[[], OnlineStore], seed: int
) -> None:
    history = History(project, open_new_store(), seed)
    history.append()
    history.publish(history.waiting.pop())
    while history.steps > 0:
        history.step()
    while history.waiting:
        history.publish(history.waiting.pop())
    found = verify(history.platform, history.store, "sales")
    assert found.different == 0, found.first


def publish_there(project: Path, home: Path, how: str) -> None:
    platform = Platform.of(load_project(project), Home(home))
    publish(platform, open_store(platform), "sales", rebuild=how == "rebuild")


@pytest.mark.slow
@pytest.mark.parametrize("how", ["first", "rebuild"])
def test_a_publishing_that_is_killed_anywhere_and_run_again_ends_the_same(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.delenv(STORE_VARIABLE, raising=False)
    project.add(1, day(2), a=1, b=10)
    project.add(2, day(3), a=2, c=20)
    if how == "rebuild":
        publish(project.platform, open_store(project.platform), "sales")
        project.add(3, day(4), a=None, b=30)
    for point in itertools.count(1):
        copy = project.copied(tmp_path / f"at {point}")
        place = project.files.folder, copy.platform.home.folder
        code = forks.start_work(publish_there, *place, how, **{KILL_AT_VARIABLE: str(point)}).wait()
        store = open_store(copy.platform)
        if code == 0:
            break
        assert code == -signal.SIGKILL
        if how == "rebuild":
            assert copy.units(store) is not None  # the old rows, or the new ones
        publish(copy.platform, store, "sales", rebuild=how == "rebuild")
        assert_as_the_lookup(copy, store)
        spaces = sqlite3.connect(str(store)).execute("SELECT count(*) FROM spaces WHERE gone").fetchone()
        assert spaces == (0,)
    assert point > 4


def test_publishing_refuses_what_it_cannot_do(project: Project, store: OnlineStore) -> None:
    with pytest.raises(MissingDataError, match="nothing to publish: table 'sales' was never written"):
        publish(project.platform, store, "sales")
    with pytest.raises(DefinitionError, match="table 'visits', which is not published"):
        publish(project.platform, store, "visits")
    with pytest.raises(DefinitionError, match="table 'visits', which is not published"):
        OnlineFeatures(project.platform, store).look_up([{"shop": "a"}], [FeatureLookup("visits")])
    with pytest.raises(MissingDataError, match="nothing was published of 'sales'"):
        project.units(store)
    project.add(1, day(2), a=1)
    project.add(2, day(3), a=2)
    publish(project.platform, store, "sales")
    shutil.rmtree(path_of(project.platform.table("sales").delta.folder))
    project.add(1, day(2), a=1)
    with pytest.raises(ContractError, match="table 'sales' at Delta version 1, before what was published from it"):
        publish(project.platform, store, "sales", project.period(1))
    publish(project.platform, store, "sales", rebuild=True)
    assert project.units(store) == 1


def test_rows_live_as_long_as_the_longest_lookback_reaches(project: Project, store: OnlineStore) -> None:
    project.files.change(
        "forecast/defs.yaml",
        "    - {table: shops",
        "    - {table: sales, columns: [open], lookback: 3 days}\n    - {table: shops",
    )
    project.platform = Platform.of(project.files.load(), project.platform.home)
    project.add(1, day(2), a=1)
    project.add(17, day(18), b=17)
    done = publish(project.platform, store, "sales", project.period(17))
    assert (done.outcome.written, done.expired) == (1, 0)
    project.platform.home.clock.set(day(40))
    project.add(38, day(39), c=38)
    done = publish(project.platform, store, "sales", project.period(38))
    assert (done.outcome.written, done.expired) == (1, 1)
    assert [project.units(store, shop) for shop in "abc"] == [None, None, 38]
    assert_as_the_lookup(project, store)


def test_verifying_names_the_keys_that_differ(project: Project, store: OnlineStore) -> None:
    project.add(1, day(2), a=1, b=10, c=3)
    publish(project.platform, store, "sales")
    project.add(2, day(3), a=2, c=None, d=4)
    project.add(1, day(3), b=None)
    found = verify(project.platform, store, "sales")
    assert (found.keys, found.rows, found.different) == (4, 3, 3)
    assert [str(difference) for difference in found.first] == [
        "shop='a': event_time is datetime.datetime(2024, 1, 2, 0, 0, tzinfo=datetime.timezone.utc), and "
        "datetime.datetime(2024, 1, 3, 0, 0, tzinfo=datetime.timezone.utc) in the lakehouse, units is 1, and 2 in the "
        "lakehouse",
        "shop='b': a row in the store, none in the lakehouse",
        "shop='d': no row in the store, one in the lakehouse",
    ]
