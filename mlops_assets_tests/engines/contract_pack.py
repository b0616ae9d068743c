"""What the tests of every engine share: small tables of states, random ones too, and comparisons with the oracle."""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count, product
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hypothesis import strategies as st

from mlops_assets.engines.contract import Changes, Engine, FeatureLookup
from mlops_assets.engines.duckdb import DuckDBEngine
from mlops_assets.lakehouse.delta import DeltaFolder
from mlops_assets.lakehouse.periods import Calendar, Duration, Period
from mlops_assets.lakehouse.schema import ALWAYS, STATIC_PERIOD, Column, TableSchema
from mlops_assets.lakehouse.tables import StateTable
from mlops_assets_tests.engines import oracle
from mlops_assets_tests.spark_session import spark_engine

if TYPE_CHECKING:
    import pyarrow as pa

MICROSECOND, HOUR, DAY = timedelta(microseconds=1), timedelta(hours=1), timedelta(days=1)
MONTHS = Calendar("month")
SALES = TableSchema(
    ("shop", "product"),
    "sold_at",
    (
        Column("shop", "string", kind="key"),
        Column("product", "bigint", kind="key"),
        Column("sold_at", "timestamp", kind="time"),
        Column("units", "double"),
        Column("note", "string", kind="category"),
    ),
    MONTHS,
)
SHOPS = TableSchema(
    ("shop",), None, (Column("shop", "string", kind="key"), Column("region", "string", kind="category")), MONTHS
)


def at(month: int, day: int = 1, hour: int = 0) -> datetime:
    """A moment of 2024, in UTC."""
    return datetime(2024, month, day, hour, tzinfo=UTC)


def month(number: int) -> Period:
    """A month of 2024."""
    return MONTHS.of(at(number))


def sale(
    note: str | None,
    event_time: datetime,
    known_at: datetime,
    *,
    seq: int = 1,
    removed: bool = False,
    units: float | None = 1.0,
    shop: str = "north",
    product: int = 1,
) -> dict[str, Any]:
    """A state of a row of sales; the note tells it from others."""
    columns = {"shop": shop, "product": product, "sold_at": event_time, "units": units, "note": note}
    return columns | {"event_time": event_time, "known_at": known_at, "seq": seq, "removed": removed}


def region(shop: str, name: str | None, *, seq: int = 1, removed: bool = False) -> dict[str, Any]:
    """A state of a row of shops, a static table."""
    return {"shop": shop, "region": name, "event_time": ALWAYS, "known_at": ALWAYS, "seq": seq, "removed": removed}


@dataclass
class Tables:
    """Writes tables of states, each to a folder of its own below one."""

    folder: Path
    numbers: "count[int]" = field(default_factory=count)

    def empty(self, schema: TableSchema = SALES, name: str = "sales") -> StateTable:
        """A table that was never written."""
        return StateTable(DeltaFolder(self.folder / str(next(self.numbers)), name), schema)

    def of(self, *commits: Iterable[oracle.State], schema: TableSchema = SALES, name: str = "sales") -> StateTable:
        """A table whose states were written in so many commits."""
        table = self.empty(schema, name)
        for states in commits:
            append(table, states)
        return table


class InThisProcess:
    """An engine whose rows come and go as Arrow tables, so that one test asks and compares on all engines."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    def evaluate(self, *arguments: Any, **named: Any) -> "pa.Table":
        """See `Engine.evaluate`."""
        return self.engine.to_arrow(self.engine.evaluate(*arguments, **named))

    def to_arrow(self, rows: Any) -> "pa.Table":
        """See `Engine.to_arrow`; what is here already stays as it is."""
        import pyarrow as pa

        return rows if isinstance(rows, pa.Table) else self.engine.to_arrow(rows)

    def lookup(self, rows: "pa.Table", lookups: Sequence[FeatureLookup]) -> "pa.Table":
        """See `Engine.lookup`."""
        return self.engine.to_arrow(self.engine.lookup(self.engine.rows(rows), lookups))

    def changes(self, table: StateTable, rows: "pa.Table", **named: Any) -> Changes:
        """See `Engine.changes`."""
        changes = self.engine.changes(table, self.engine.rows(rows), **named)
        return replace(changes, states=self.engine.to_arrow(changes.states))


def engine_under_test(name: str, scratch: Path) -> Engine:
    """An engine by its name, as the tests of the contract ask it."""
    if name == "duckdb":
        return DuckDBEngine(scratch)
    return cast(Engine, InThisProcess(spark_engine(scratch)))


def append(table: StateTable, states: Iterable[oracle.State]) -> None:
    """Append states in one commit, in their order; no states are a period that turned out empty."""
    import pyarrow as pa

    schema = table.schema
    rows = [
        dict(state, period=schema.calendar.of(state["event_time"]).key if schema.timestamp else STATIC_PERIOD)
        for state in states
    ]
    stored = pa.Table.from_pylist(rows, schema=schema.stored())
    table.delta.append(stored, table.delta.counters(sorted({row["period"] for row in rows}) or ["2024-01"]))


def label(
    anchor: datetime | None, as_of: datetime | None, *, shop: str | None = "north", product: int | None = 1
) -> dict[str, Any]:
    """A row that features are looked up for."""
    return {"shop": shop, "product": product, "anchor": anchor, "as_of": as_of}


def label_table(labels: Sequence[Mapping[str, Any]]) -> "pa.Table":
    """Labels as an engine gets them, numbered, so that their order shows."""
    import pyarrow as pa

    moment = pa.timestamp("us", "UTC")
    types = {"shop": pa.string(), "product": pa.int64(), "anchor": moment, "as_of": moment}
    columns = {name: pa.array([row[name] for row in labels], type_) for name, type_ in types.items()}
    return pa.table({"number": pa.array(range(len(labels)), pa.int64()), **columns})


def notes(
    engine: Engine, table: StateTable, labels: Sequence[Mapping[str, Any]], lookback: Duration | None = None
) -> list[Any]:
    """The note that each label finds."""
    rows = engine.lookup(label_table(labels), [FeatureLookup(table, ("note",), lookback)])
    found: list[Any] = rows.column("note").to_pylist()
    return found


def same_states(states: Iterable[oracle.State], table: "pa.Table", names: Sequence[str]) -> None:
    """See that an engine's rows are these states, in this order."""
    assert table.column_names == list(names)
    assert table.to_pylist() == [{name: state[name] for name in names} for state in states]


def assert_looked_up_as_the_oracle_does(
    engine: Engine,
    table: StateTable,
    states: Sequence[oracle.State],
    labels: Sequence[Mapping[str, Any]],
    lookback: Duration | None,
) -> None:
    """Each label comes back once, in its place, with what the oracle finds for it."""
    features = ("units", "note")
    asked = label_table(labels)
    answered = engine.lookup(asked, [FeatureLookup(table, features, lookback)])
    assert answered.column_names == [*asked.column_names, *features]
    assert answered.select(asked.column_names).equals(asked)
    found = answered.select(features).to_pylist()
    for row, answer in zip(labels, found, strict=True):
        expected = oracle.lookup(states, row, table.schema.keys, plain(lookback))
        assert answer == {name: expected[name] if expected else None for name in features}, row


def plain(lookback: Duration | None) -> oracle.Lookback:
    """A lookback as the oracle takes it."""
    if lookback is None:
        return None
    return lookback.months or lookback.rest


# Random tables. Moments are few, and around ends of months of 31, 29 and 30 days, so that states meet: the same event
# twice, several events known at once, corrections before the event is over, rows known before they happen.
EVENTS = [
    moment - early
    for moment in (at(1, 31), at(2, 1), at(2, 29), at(3, 1), at(3, 31), at(4, 1), at(4, 30), at(5, 1))
    for early in (timedelta(0), MICROSECOND)
]
RELEASES = [at(2, 5), at(3, 5), at(5, 5)]
DELAYS = [-3 * DAY, timedelta(0), MICROSECOND, DAY, 5 * DAY, 40 * DAY]
LOOKBACKS = [None, Duration(rest=DAY), Duration(rest=29 * DAY), Duration(months=1), Duration(months=2)]
LAGS = [-2 * DAY, timedelta(0), MICROSECOND, DAY, 5 * DAY, 40 * DAY]


@st.composite
def sales_states(draw: st.DrawFn) -> list[dict[str, Any]]:
    """States of two shops' rows; each has a note of its own, and no two of a row came in the same commit."""
    places: set[tuple[Any, ...]] = set()
    states = []
    for number in range(draw(st.integers(0, 24))):
        event_time = draw(st.sampled_from(EVENTS))
        known = st.sampled_from(RELEASES) | st.sampled_from(DELAYS).map(event_time.__add__)
        state = sale(
            None if draw(st.integers(0, 9)) == 9 else f"state {number}",
            event_time,
            draw(known),
            seq=draw(st.integers(1, 6)),
            removed=draw(st.integers(0, 2)) == 2,
            units=None if draw(st.booleans()) else float(number),
            shop=draw(st.sampled_from(["north", "north", "south"])),
            product=draw(st.sampled_from([1, 1, 1, 2])),
        )
        place = tuple(state[name] for name in ("shop", "product", "event_time", "seq"))
        if place not in places:
            places.add(place)
            states.append(state)
    return states


KEYS: list[tuple[str | None, int | None]] = [
    *[("north", 1)] * 4,
    ("south", 1),
    ("north", 2),
    ("west", 1),
    (None, 1),
    ("north", None),
]


def anchors(states: Sequence[oracle.State], lookback: Duration | None) -> list[datetime]:
    """The moments at which an answer may change, and their neighbours: events, and events that leave the lookback."""
    turning = {state["event_time"] for state in states} | {at(3, 15)}
    if lookback is not None:
        turning |= {_leaves(moment, lookback) for moment in turning}
    return sorted({moment + step for moment in turning for step in (-MICROSECOND, timedelta(0), MICROSECOND)})


def _leaves(moment: datetime, lookback: Duration) -> datetime:
    """About the anchor for which a moment becomes too old."""
    if not lookback.months:
        return moment + lookback.rest
    end = moment + MICROSECOND
    first = end.replace(day=1)
    for _ in range(lookback.months):
        first = (first + 31 * DAY).replace(day=1)
    return first + (end.day - 1) * DAY - MICROSECOND


def moments_of_knowledge(states: Sequence[oracle.State]) -> list[datetime]:
    """The moments at which something becomes known, and the last instants before them."""
    turning = {state["known_at"] for state in states} | {at(3, 15)}
    return sorted({moment + step for moment in turning for step in (-MICROSECOND, timedelta(0))})


def labels_with_lags(
    states: Sequence[oracle.State], lookback: Duration | None, lags: Sequence[timedelta]
) -> list[dict[str, Any]]:
    """Labels at every turning point, each asked at constant distances after its anchor, as a model's chain does."""
    return [
        label(anchor, anchor + lag, shop=shop, product=number)
        for anchor, lag, (shop, number) in product(anchors(states, lookback), lags, KEYS)
    ]


def labels_at_any_time(states: Sequence[oracle.State], lookback: Duration | None) -> list[dict[str, Any]]:
    """Labels at every pair of an anchor and a moment of knowledge: more distances than a chain ever has."""
    return [
        label(anchor, as_of, shop=shop, product=number)
        for anchor, as_of, (shop, number) in product(anchors(states, lookback), moments_of_knowledge(states), KEYS)
    ]


def shuffled(labels: Sequence[dict[str, Any]], seed: int, least: int, most: int) -> list[dict[str, Any]]:
    """So many of these labels, in no order; some of them twice, all of them where they are few."""
    chosen = random.Random(seed)
    rows = chosen.sample(labels, min(len(labels), most - 1))
    rows += chosen.choices(labels, k=max(1, least - len(rows)))
    chosen.shuffle(rows)
    return rows
