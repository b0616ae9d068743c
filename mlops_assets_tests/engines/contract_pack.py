"""What the tests of every engine share: small tables of states, random ones too, and comparisons with the oracle."""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hypothesis import strategies as st

from mlops_assets.engines.contract import Changes, Engine, ResolvedLookup
from mlops_assets.engines.duckdb import DuckDBEngine
from mlops_assets.lakehouse.delta import DeltaFolder
from mlops_assets.lakehouse.periods import Calendar, Duration, Period
from mlops_assets.lakehouse.schema import ALWAYS, STATIC_PERIOD, Column, TableSchema
from mlops_assets.lakehouse.tables import StateTable
from mlops_assets.storage.opening import storage_at
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
        return StateTable(DeltaFolder(storage_at(self.folder / str(next(self.numbers))), name), schema)

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

    def lookup(self, rows: "pa.Table", lookups: Sequence[ResolvedLookup]) -> "pa.Table":
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
    rows = engine.lookup(label_table(labels), [ResolvedLookup(table, ("note",), lookback)])
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
    answered = engine.lookup(asked, [ResolvedLookup(table, features, lookback)])
    assert answered.column_names == [*asked.column_names, *features]
    assert answered.select(asked.column_names).equals(asked)
    found = answered.select(features).to_pylist()
    of_key = by_key(states)
    for row, answer in zip(labels, found, strict=True):
        mine = of_key.get((row["shop"], row["product"]), [])
        expected = oracle.lookup(mine, row, table.schema.keys, plain(lookback))
        assert answer == {name: expected[name] if expected else None for name in features}, (row, mine)


def plain(lookback: Duration | None) -> oracle.Lookback:
    """A lookback as the oracle takes it."""
    if lookback is None:
        return None
    return lookback.months or lookback.rest


# Random tables. Moments are few, and around ends of months of 31, 29 and 30 days, so that states meet: the same event
# twice, several events known at once, corrections before the event is over, rows known before they happen.
# A table holds the histories of many keys, which do not touch each other: where one fails, what tells why is its own.
EVENTS = [
    moment - early
    for moment in (at(1, 31), at(2, 1), at(2, 29), at(3, 1), at(3, 31), at(4, 1), at(4, 30), at(5, 1))
    for early in (timedelta(0), MICROSECOND)
]
RELEASES = [at(2, 5), at(3, 5), at(5, 5)]
DELAYS = [-3 * DAY, timedelta(0), MICROSECOND, DAY, 5 * DAY, 40 * DAY]
LOOKBACKS = [None, Duration(rest=DAY), Duration(rest=29 * DAY), Duration(months=1), Duration(months=2)]
LAGS = [-2 * DAY, timedelta(0), MICROSECOND, DAY, 5 * DAY, 40 * DAY]
KEYS = [(shop, number) for shop in ("east", "north", "south", "west") for number in (1, 2, 3)]
NO_KEYS: list[tuple[str | None, int | None]] = [("nowhere", 1), ("north", 9), (None, 1), ("north", None)]


def random_states(seed: int) -> list[dict[str, Any]]:
    """States of rows of some keys; each has a note of its own, and no two of a row came in the same commit."""
    chosen = random.Random(seed)
    states: dict[tuple[Any, ...], dict[str, Any]] = {}
    for shop, number in chosen.sample(KEYS, chosen.choice([0, 1, 6, 6, 10, 10])):
        for _ in range(chosen.choice([1, 4, 8, 12])):
            event_time = chosen.choice(EVENTS)
            known_at = chosen.choice([chosen.choice(RELEASES), event_time + chosen.choice(DELAYS)])
            note = None if chosen.random() < 0.1 else f"state {len(states)}"
            units = chosen.choice([None, float(len(states))])
            seq, removed = chosen.randint(1, 6), chosen.random() < 0.3
            state = sale(note, event_time, known_at, seq=seq, removed=removed, units=units, shop=shop, product=number)
            states.setdefault((shop, number, event_time, seq), state)
    written = list(states.values())
    chosen.shuffle(written)
    return written


seeds = st.integers(0, 2**32)
sales_states = seeds.map(random_states)


def by_key(states: Iterable[oracle.State]) -> dict[tuple[Any, ...], list[oracle.State]]:
    """The states of each key."""
    found: dict[tuple[Any, ...], list[oracle.State]] = {}
    for state in states:
        found.setdefault((state["shop"], state["product"]), []).append(state)
    return found


def anchors(states: Iterable[oracle.State], lookback: Duration | None) -> list[datetime]:
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


def random_labels(
    states: Sequence[oracle.State],
    lookback: Duration | None,
    lags: Sequence[timedelta] | None,
    count: int,
    seed: float,
) -> list[dict[str, Any]]:
    """Labels at turning points of the keys' histories, in no order, some of them twice.

    Args:
        states: Of the table.
        lookback: With which the labels will be asked.
        lags: The constant distances after its anchor at which a label is asked, as a model's chain does; None asks at
            all moments of knowledge, which are more distances than a chain ever has.
        count: How many labels.
        seed: Chooses them.
    """
    chosen = random.Random(seed)
    keys = [*by_key(states).items(), *((key, [*states[:3]]) for key in NO_KEYS)]
    turning = {key: (anchors(mine, lookback), moments_of_knowledge(mine)) for key, mine in keys}
    labels = []
    for (shop, number), _ in chosen.choices(keys, k=count):
        of_key, known = turning[shop, number]
        anchor = chosen.choice(of_key)
        as_of = chosen.choice(known) if lags is None else anchor + chosen.choice(lags)
        labels.append(label(anchor, as_of, shop=shop, product=number))
    return labels
