"""A small shop: its table of sales, and a day's work on it, which tests also run in processes of their own."""

import resource
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets.errors import PlatformError
from mlops_assets.lakehouse.deliveries import DeliveryStore
from mlops_assets.lakehouse.delta import DeltaFolder
from mlops_assets.lakehouse.home import Home
from mlops_assets.lakehouse.periods import Calendar
from mlops_assets.lakehouse.schema import Column, TableSchema
from mlops_assets.lakehouse.tables import PeriodTable, StateTable
from mlops_assets.storage.opening import storage_at
from mlops_assets.storage.path import StoragePath

if TYPE_CHECKING:
    from multiprocessing.synchronize import Barrier

    import pyarrow as pa

MONTHS = Calendar("month")
SALES = TableSchema(
    ("shop",),
    "month",
    (
        Column("shop", "string", kind="key"),
        Column("month", "timestamp", kind="time"),
        Column("units", "double"),
        Column("note", "string", kind="category"),
    ),
    MONTHS,
)


def sales_table(folder: Path | StoragePath) -> StateTable:
    stored = folder if isinstance(folder, StoragePath) else storage_at(folder)
    return StateTable(DeltaFolder(stored, "sales"), SALES)


def sales_states(units: Mapping[str, Mapping[str, float | None]], seq: int = 1) -> "pa.Table":
    """States of sales: units by period key and shop."""
    import pyarrow as pa

    rows = []
    for key, shops in units.items():
        period = MONTHS.at_key(key)
        for shop, sold in shops.items():
            state = {"event_time": period.start, "known_at": period.end, "seq": seq, "removed": False, "period": key}
            rows.append({"shop": shop, "month": period.start, "units": sold, "note": None} | state)
    return pa.Table.from_pylist(rows, schema=SALES.stored())


def append(table: StateTable, key: str, sold: Mapping[str, float | None]) -> None:
    counters = table.delta.counters([key])
    table.delta.append(sales_states({key: sold}, counters[key] + 1), counters)


def units(table: StateTable, version: int | None = None) -> list[tuple[str, str, float | None]]:
    """Month, shop and units of all states, sorted."""
    rows = table.states(version=version).to_pylist()
    return sorted((MONTHS.of(row["event_time"]).key, row["shop"], row["units"]) for row in rows)


def days_work(home: Home) -> list[dict[str, object]]:
    """One of each durable write, each as its owner does it; running it again changes nothing.

    Returns:
        What the home held before the first write and after each.
    """
    import pyarrow as pa

    seen = [held(home)]
    store, table = DeliveryStore(home.deliveries), sales_table(home.tables / "sales")
    totals = PeriodTable(DeltaFolder(home.tables / "totals", "totals"))
    for key, sold in (("2024-01", 1.0), ("2024-02", 2.0)):
        moment = MONTHS.at_key(key).end
        if home.clock.now() < moment or not home.clock.file.exists():
            home.clock.set(moment)
        seen.append(held(home))
        delivery = store.keep(
            [home.landing / f"{key}.csv"], "sales", key, suffix=".csv", arrived_at=moment, known_at=moment
        )
        seen.append(held(home))
        if not table.delta.counters([key])[key]:
            append(table, key, {"north": sold, "south": None})
        seen.append(held(home))
        store.accept(delivery)
        seen.append(held(home))
        if not totals.delta.counters([key])[key]:  # January's is replaced below
            totals.write(key, pa.table({"units": [sold]}))
        seen.append(held(home))
    totals.write("2024-01", pa.table({"units": [10.0]}))
    seen.append(held(home))
    return seen


def held(home: Home) -> dict[str, object]:
    """What a home holds, by its parts; read anew, as a later process would."""
    table, store = sales_table(home.tables / "sales"), DeliveryStore(home.deliveries)
    totals = PeriodTable(DeltaFolder(home.tables / "totals", "totals"))
    parts: dict[str, object] = {"clock": home.clock.now().isoformat() if home.clock.file.exists() else None}
    for key in ("2024-01", "2024-02"):
        parts[f"deliveries {key}"] = [
            [kept.number, kept.accepted, store.content_files(kept)[0].read_bytes().decode()]
            for kept in store.of("sales", key)
        ]
        period = MONTHS.at_key(key)
        parts[f"sales {key}"] = [table.delta.counters([key])[key], table.data_version(period)]
        parts[f"totals {key}"] = [totals.delta.counters([key])[key], totals.data_version(key)]
    return parts


def prepared(folder: Path) -> Home:
    home = Home(folder).prepare()
    home.landing.mkdir(exist_ok=True)
    for key in ("2024-01", "2024-02"):
        (home.landing / f"{key}.csv").write_text(f"shop,units\r\nnorth,{key}\n")
    return home


def work_there(folder: Path) -> None:
    """The day's work in a home of a process of its own."""
    days_work(prepared(folder))


def append_once_all_have_read(folder: Path, key: str, sold: float, ready: "Barrier") -> None:
    """Append to a table, after each of several processes has read how far it is; print how that went."""
    table = sales_table(folder)
    counters = table.delta.counters([key])
    ready.wait()
    _append(table, sales_states({key: {"north": sold}}), counters, "won")


def append_on_a_small_disk(folder: Path, largest: int, keys: Sequence[str]) -> None:
    """Append where no file may grow beyond so many bytes, which is how a full disk looks to the writer."""
    table = sales_table(folder)
    rows = sales_states({key: {f"shop {number}": float(number) for number in range(5)} for key in keys})
    counters = table.delta.counters(keys)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, resource.RLIM_INFINITY))
    _append(table, rows, counters, "written")


def _append(table: StateTable, rows: "pa.Table", counters: Mapping[str, int], done: str) -> None:
    try:
        table.delta.append(rows, counters)
    except PlatformError as error:
        done = f"{type(error).__name__}: {error}"
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    print(done, flush=True)
