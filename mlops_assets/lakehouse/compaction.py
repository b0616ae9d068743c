"""Compaction: the small files of a period become one, and no answer changes, at no moment and no version.

Each commit leaves a file in each period that it touches. What that costs was measured on 200 periods of 7 files: to
read the table 1.2 s against 0.35 s compacted, as known at a moment 0.95 s against 0.24 s, a commit 87 ms against 14 ms.
Files that a version names are never deleted, for evidence names versions: compaction costs disk, and saves time.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mlops_assets.errors import ConflictError, DefinitionError
from mlops_assets.lakehouse.delta import MAX_ATTEMPTS, DeltaFolder, tables_in
from mlops_assets.lakehouse.delta_log import period_of
from mlops_assets.lakehouse.tables import PeriodTable
from mlops_assets.progress import Progress, Step, untold
from mlops_assets.storage.path import StoragePath

MAX_FILES_OF_PERIOD = 8
"""A period with more files is compacted; rewriting one that was corrected a few times gains less than it costs."""

MAX_FILES_OF_TABLE = 1000
"""In a table with more files, every period with more than one is compacted."""


@dataclass(frozen=True)
class Compacted:
    """What compaction did to one table.

    Args:
        table: The table's name.
        periods: How many periods were compacted.
        before: How many files the table had.
        after: How many it has.
    """

    table: str
    periods: int
    before: int
    after: int

    def __str__(self) -> str:
        return f"{self.table}: {self.periods} periods compacted, {self.before} files became {self.after}"


def compact_tables(folder: StoragePath, name: str | None = None, progress: Progress = untold) -> Iterator[Compacted]:
    """Compact every table below a folder that has too many small files, or those of a name.

    Args:
        folder: The home's tables, a folder each, with a folder for each generation.
        name: A table's name, such as ``sales`` or ``forecast.labels``; None for all.
        progress: Told of each period.

    Raises:
        DefinitionError: There is no table of that name.
        ConflictError: Another writer came between three times.
    """
    tables = list(tables_in(folder))
    names = sorted({table.name for table in tables})
    if name is not None and name not in names:
        listed = ", ".join(names) or "none was written yet"
        raise DefinitionError(f"no table '{name}' in {folder}", f"one of: {listed}", "correct the name")
    for table in tables:
        done = compact(table, progress) if name in (None, table.name) else None
        if done:
            yield done


def compact(table: DeltaFolder, progress: Progress = untold) -> Compacted | None:
    """Compact the periods of a table that have too many files, each in a commit; None where none has.

    Raises:
        ConflictError: Another writer came between three times; what was compacted before stays so.
    """
    files = _files_by_period(table)
    before = sum(map(len, files.values()))
    most = 1 if before > MAX_FILES_OF_TABLE else MAX_FILES_OF_PERIOD
    periods = [period for period, of in sorted(files.items()) if len(of) > most and _has_every_column(table, of)]
    for number, period in enumerate(periods, start=1):
        _compact_period(table, period)
        progress(Step(table.name, number, len(periods), period, "compacted", minor=True))
    if not periods:
        return None
    table.write_checkpoint()
    return Compacted(table.name, len(periods), before, len(table.files()))


def _compact_period(table: DeltaFolder, period: str) -> None:
    for attempt in range(1, MAX_ATTEMPTS + 1):
        counters = table.counters([period])
        rows = PeriodTable(table).read([period])
        try:
            if rows is not None:
                table.rewrite(rows, counters)
            return
        except ConflictError:
            if attempt == MAX_ATTEMPTS:
                raise


def _files_by_period(table: DeltaFolder) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for file in table.files():
        found.setdefault(period_of(file), []).append(file)
    return found


def _has_every_column(table: DeltaFolder, files: Sequence[str]) -> bool:
    """Whether no column came to the table after all of these: written anew they would have it, and say so in hashes."""
    return frozenset[str]().union(*table.columns_of(files)) >= {*table.schema().names}
