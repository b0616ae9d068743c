"""Reading tables and deliveries whole, and saying of each file that is not what was written what is wrong with it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from mlops_assets.errors import DamagedStateError, PlatformError
from mlops_assets.lakehouse.deliveries import DeliveryStore
from mlops_assets.lakehouse.delta import DeltaFolder
from mlops_assets.lakehouse.delta_log import CURE, DeltaLog
from mlops_assets.lakehouse.formats import RESTORE


@dataclass(frozen=True)
class Verified:
    """What came of reading one part of a home.

    Args:
        name: The part.
        looked_at: How many files, or other things, were looked at.
        faults: What is wrong, in words.
        by_size: How many data files could be compared by their size alone: an earlier release wrote them, or who
            did was killed, and nobody committed to the table since.
    """

    name: str
    looked_at: int
    faults: tuple[str, ...]
    by_size: int = 0

    def __str__(self) -> str:
        by_size = (
            f", {self.by_size} of them by size alone (written by an earlier release, or before a kill)"
            if self.by_size
            else ""
        )
        said = f"{len(self.faults)} faults" if self.faults else "as it was written"
        return f"{self.name}: {said} ({self.looked_at} looked at{by_size})"


def verified(name: str, looks: Iterable[Callable[[], object]], by_size: int = 0) -> Verified:
    """Look at each thing of a part.

    Args:
        name: The part.
        looks: Each raises a `PlatformError` where something is wrong.
        by_size: As in `Verified`.
    """
    count, faults = 0, []
    for look in looks:
        count += 1
        try:
            look()
        except PlatformError as error:
            faults.append(str(error))
    return Verified(name, count, tuple(faults), by_size)


def verify_table(table: DeltaFolder) -> Verified:
    """Look at every commit of a table, and at every data file of any version: evidence names old ones."""
    name = f"table {table.name} ({table.folder.name})"
    try:
        log = table.log()
    except PlatformError as error:
        return Verified(name, 1, (str(error),))
    periods = [table.folder / name for name in table.folder.names() if name.startswith("period=")]
    there = {name: str(period / name) for period in periods for name in period.names()}
    files = [there.get(file, str(table.folder / file)) for file in log.sizes]
    looks = [partial(log.require_written, [file], table.name) for file in files]
    return verified(name, [partial(_require_end, log, table), *looks], len(log.sizes.keys() - log.hashes.keys()))


def verify_deliveries(store: DeliveryStore, source: str) -> Verified:
    """Look at every delivery of a source, and whether one is missing between others."""
    looks = [partial(_look_at_deliveries, store, source, period) for period in store.periods(source)]
    return verified(f"deliveries of {source}", looks)


def _require_end(log: DeltaLog, table: DeltaFolder) -> None:
    if len(log.sums) > log.read:
        raise DamagedStateError(
            f"table '{table.name}' with {log.read} commits in {table.folder}", f"{len(log.sums)}, as were made", CURE
        )


def _look_at_deliveries(store: DeliveryStore, source: str, period: str) -> None:
    deliveries = store.of(source, period)
    for delivery in deliveries:
        store.proven_files(delivery)
    numbers = [delivery.number for delivery in deliveries]
    missing = sorted({*range(1, max(numbers, default=0) + 1)} - {*numbers})
    if missing:
        raise DamagedStateError(
            f"no delivery {', '.join(map(str, missing))} in {store.folder / source / period}",
            "every delivery up to the newest",
            RESTORE,
        )
