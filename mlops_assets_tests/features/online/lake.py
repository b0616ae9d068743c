"""A lakehouse in memory that answers by the oracle, so that thousands of publishings can be tried in seconds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from mlops_assets.engines.contract import ResolvedLookup
from mlops_assets.lakehouse.delta import DeltaFolder
from mlops_assets.lakehouse.periods import Period
from mlops_assets.lakehouse.tables import StateTable
from mlops_assets.platform import Platform
from mlops_assets.storage.opening import storage_at
from mlops_assets.storage.path import StoragePath
from mlops_assets_tests.engines import oracle

if TYPE_CHECKING:
    import pyarrow as pa

FIRST_DAY = datetime(2024, 1, 1, tzinfo=UTC)


def day(number: int, hour: int = 0) -> datetime:
    return FIRST_DAY + timedelta(days=number, hours=hour)


@dataclass
class Lake:
    """The states of the small project's sales, by the Delta version in which they came; also its engine."""

    states: list[tuple[int, oracle.State]] = field(default_factory=list)
    counted: dict[str, int] = field(default_factory=dict)
    commits: int = 0
    folder: StoragePath = field(default_factory=lambda: storage_at("source"))
    name: str = "sales"

    def version(self) -> int:
        return self.commits

    def counters(self, periods: Sequence[str]) -> dict[str, int]:
        return {period: self.counted.get(period, 0) for period in periods}

    def newest_period(self) -> str | None:
        return max(self.counted, default=None)

    def append(self, period: Period, known_at: datetime, units: Mapping[str, int | None]) -> None:
        self.commits += 1
        seq = self.counted[period.key] = self.counted.get(period.key, 0) + 1
        for shop, sold in units.items():
            state = {"shop": shop, "day": period.start.date(), "units": sold or 0, "price": 1.5, "open": True}
            state |= {"channel": "web", "event_time": period.start, "known_at": known_at, "seq": seq}
            state["removed"] = sold is None
            self.states.append((self.commits, state))

    def changed_keys(
        self,
        table: StateTable,
        *,
        first: Period,
        last: Period,
        after: tuple[int, datetime] | None,
        version: int,
    ) -> "pa.Table":
        import pyarrow as pa

        def new(state: oracle.State) -> bool:
            late = after is not None and max(state["known_at"], state["event_time"]) > after[1]
            return after is None or state["seq"] > after[0] or late

        read = [state for state in self._read(version) if first.start <= state["event_time"] < last.end]
        return pa.table({"shop": pa.array(sorted({state["shop"] for state in read if new(state)}), pa.string())})

    def rows(self, table: "pa.Table") -> "pa.Table":
        return table

    to_arrow = rows

    def lookup(self, rows: "pa.Table", lookups: Sequence[ResolvedLookup]) -> "pa.Table":
        import pyarrow as pa

        (lookup,) = lookups
        states, fields = self._read(lookup.version or 0), lookup.table.schema.arrow()
        lookback = lookup.lookback.rest if lookup.lookback else None
        found = [oracle.lookup(states, row, ("shop",), lookback) or {} for row in rows.to_pylist()]
        for feature, name in zip(lookup.features, lookup.names, strict=True):
            values = pa.array([state.get(feature) for state in found], fields.field(feature).type)
            rows = rows.append_column(name, pa.chunked_array([values]))
        return rows

    def _read(self, version: int) -> list[oracle.State]:
        return [state for written, state in self.states if written <= version]


@dataclass(frozen=True)
class PlatformInMemory(Platform):
    """The small project's platform, with a lake in memory and whatever clock."""

    lake: Lake = field(default_factory=Lake, kw_only=True)

    def table(self, name: str) -> StateTable:
        return StateTable(cast(DeltaFolder, self.lake), self.project.table(name).schema)


@dataclass
class SteppedClock:
    """Stands until it is set forward."""

    moment: datetime = field(default_factory=lambda: day(20))

    def now(self) -> datetime:
        return self.moment

    def note(self) -> datetime:
        return self.moment


@dataclass(frozen=True)
class InterruptedClock:
    """A machine's clock, which may go behind, and after which something happens once it has told the time."""

    clock: SteppedClock
    behind: timedelta
    meanwhile: Callable[[], None]

    def now(self) -> datetime:
        told = self.clock.now() - self.behind
        self.meanwhile()
        return told

    def note(self) -> datetime:
        return self.now()


def in_memory(platform: Platform, clock: SteppedClock) -> PlatformInMemory:
    """An empty lake for a project."""
    lake = Lake()
    return PlatformInMemory(platform.project, platform.home, clock, cast(Any, lake), lake=lake)


def interrupted(
    platform: PlatformInMemory, clock: SteppedClock, behind: timedelta, meanwhile: Callable[[], None]
) -> PlatformInMemory:
    """The same lake, where something happens between a publisher's look at the clock and at the table."""
    return replace(platform, clock=InterruptedClock(clock, behind, meanwhile))
