"""Publishing: whatever the order and the interleaving, the store ends with the lookup's answer for now."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlops_assets.features.created_training_sets import FeatureLookup
from mlops_assets.features.online.contract import Entry, Guard, OnlineStore, Outcome, Space
from mlops_assets.features.online.publishing import publish
from mlops_assets.features.online.reading import OnlineFeatures
from mlops_assets.features.online.verifying import verify
from mlops_assets.lakehouse.home import Home
from mlops_assets.lakehouse.periods import Period
from mlops_assets.project.platform import Platform
from mlops_assets_tests.engines.contract_pack import append
from mlops_assets_tests.project.small_project import SmallProject

ONLINE = ("  publication_lag: 6 hours", "  publication_lag: 6 hours\n  online: true")
UNITS = FeatureLookup("sales", "units")
FIRST_DAY = datetime(2024, 1, 1, tzinfo=UTC)


def day(number: int, hour: int = 0) -> datetime:
    return FIRST_DAY + timedelta(days=number, hours=hour)


@dataclass
class Project:
    """The small project's sales, whose states a test writes as it likes."""

    platform: Platform
    files: SmallProject

    @classmethod
    def of(cls, folder: Path, **changes: str) -> "Project":
        files = SmallProject(folder / "project")
        files.change("sales/defs.yaml", *ONLINE)
        for old, new in changes.items():
            files.change("sales/defs.yaml", old, new)
        home = Home(folder / "home").prepare()
        home.clock.set(day(20))
        return cls(Platform.of(files.load(), home), files)

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


@dataclass
class Interleaved:
    """A store before whose writes, and a clock between whose moment and the table's version, something else happens."""

    store: OnlineStore
    meanwhile: Callable[[], None]

    def write(self, space: Space, entries: list[Entry], guard: Guard) -> Outcome:
        self.meanwhile()
        return self.store.write(space, entries, guard)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)


@dataclass(frozen=True)
class InterruptedClock:
    """The home's clock; once it has told the time, something else happens."""

    clock: Any
    meanwhile: Callable[[], None]

    def now(self) -> datetime:
        told: datetime = self.clock.now()
        self.meanwhile()
        return told


@dataclass
class Run:
    """A random history: what is appended is published later, in any order, and in the midst of other publishings."""

    project: Project
    store: OnlineStore
    draw: Callable[[st.SearchStrategy[Any]], Any]
    steps: int = 10
    hour: int = 0
    waiting: list[int] = field(default_factory=list)
    depth: int = 0

    def something(self) -> None:
        """Perhaps a step, in the midst of another one."""
        if self.depth < 4 and self.steps and self.draw(st.booleans()):
            self.step()

    def step(self) -> None:
        self.steps -= 1
        self.depth += 1
        kind = self.draw(st.sampled_from(["append", "append", "publish", "time", "rebuild"]))
        if kind == "append" or (kind == "publish" and not self.waiting):
            self.append()
        elif kind == "publish":
            self.publish(self.waiting.pop(self.draw(st.integers(0, len(self.waiting) - 1))))
        elif kind == "time":
            self.hour += self.draw(st.sampled_from([1, 30]))
            self.project.platform.home.clock.set(day(20, self.hour))
        else:
            publish(self.platform, self.interleaved, "sales", rebuild=True)  # type: ignore[arg-type]
        self.depth -= 1

    def append(self) -> None:
        number = self.draw(st.integers(1, 4))
        now = self.project.platform.home.clock.now()
        known_at = self.draw(st.sampled_from([now, day(number + 1, 6), day(10)]))
        sold = st.dictionaries(st.sampled_from("abc"), st.none() | st.integers(0, 99), min_size=1)
        self.project.add(number, known_at, **self.draw(sold))
        self.waiting.append(number)

    def publish(self, number: int) -> None:
        publish(self.platform, self.interleaved, "sales", self.project.period(number))  # type: ignore[arg-type]

    @property
    def interleaved(self) -> Interleaved:
        return Interleaved(self.store, self.something)

    @property
    def platform(self) -> Platform:
        return replace(self.project.platform, clock=InterruptedClock(self.project.platform.home.clock, self.something))


@pytest.mark.slow
@given(st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_in_any_order_and_interleaving_the_store_ends_with_the_lookups_answer(
    tmp_path_factory: pytest.TempPathFactory, open_new_store: Callable[[], OnlineStore], data: st.DataObject
) -> None:
    run = Run(Project.of(tmp_path_factory.mktemp("project")), open_new_store(), data.draw)
    run.append()
    run.publish(run.waiting.pop())
    while run.steps > 0:
        run.step()
    while run.waiting:
        run.publish(run.waiting.pop(0))
    assert_as_the_lookup(run.project, run.store)
