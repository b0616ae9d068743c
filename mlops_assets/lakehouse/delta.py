"""Delta Lake, behind this one module: versions, files, and commits that a second writer cannot cross."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets.errors import ConflictError, MissingDataError
from mlops_assets.lakehouse.write_points import write_point

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class DeltaFolder:
    """A Delta table in a folder, partitioned by its text column ``period``.

    Args:
        folder: Where the table lies, whether it was created or not.
        name: What people call the table, for messages.
    """

    folder: Path
    name: str

    def exists(self) -> bool:
        """Whether the table was created."""
        return (self.folder / "_delta_log").is_dir() and any((self.folder / "_delta_log").glob("*.json"))

    def version(self) -> int | None:
        """The newest Delta version, or None where the table was never written."""
        return int(self._open().version()) if self.exists() else None

    def files(self, periods: tuple[str, str] | None = None, version: int | None = None) -> list[str]:
        """The Parquet files of the table, or of the periods from the first key to the last (both included).

        Raises:
            MissingDataError: There is no such version, or a data file that the table names is not there.
        """
        if not self.exists():
            return []
        pruning = [("period", ">=", periods[0]), ("period", "<=", periods[1])] if periods else None
        files = [str(file) for file in self._open(version).file_uris(file_pruning_predicate=pruning)]
        for file in files:
            if not Path(file).exists():
                raise MissingDataError(
                    f"table '{self.name}' names {file}, which is not there",
                    "every data file of the table",
                    "restore the file from a backup, or delete the table's folder and build it again",
                )
        return files

    def newest_period(self) -> str | None:
        """The greatest period key that holds rows; None where there is none."""
        if not self.exists():
            return None
        return max((partition["period"] for partition in self._open().partitions()), default=None)

    def counters(self, periods: Sequence[str]) -> Mapping[str, int]:
        """How many times each of the periods was committed; the number that the next commit must follow."""
        if not self.exists():
            return dict.fromkeys(periods, 0)
        table = self._open()
        return {period: int(table.transaction_version(period) or 0) for period in periods}

    def append(self, rows: "pa.Table", counters: Mapping[str, int]) -> None:
        """Append rows in one commit.

        Args:
            rows: As stored, with the column ``period``.
            counters: What `counters` said for each period when the rows were computed.

        Raises:
            ConflictError: Another writer committed one of these periods meanwhile; nothing was written.
        """
        self._commit(rows, counters, {"mode": "append"})

    def replace(self, rows: "pa.Table", counters: Mapping[str, int]) -> None:
        """Replace all rows of one period in one commit; otherwise as `append`."""
        (period,) = counters
        self._commit(rows, counters, {"mode": "overwrite", "predicate": f"period = '{period}'"})

    def _commit(self, rows: "pa.Table", counters: Mapping[str, int], how: Mapping[str, str]) -> None:
        from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
        from deltalake.exceptions import CommitFailedError

        if not self.exists():
            DeltaTable.create(self.folder, schema=rows.schema, partition_by=["period"], mode="ignore", name=self.name)
            write_point(f"create {self.name}")
        table = self._open()
        if self.counters(list(counters)) != dict(counters):
            raise self._conflict(counters)
        transactions = [Transaction(period, number + 1) for period, number in counters.items()]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                write_deltalake(table, rows, commit_properties=CommitProperties(app_transactions=transactions), **how)
        except CommitFailedError as error:
            raise self._conflict(counters) from error
        write_point(f"commit {self.name}")

    def _conflict(self, counters: Mapping[str, int]) -> ConflictError:
        return ConflictError(
            f"another writer committed {', '.join(counters)} of table '{self.name}' at the same time",
            "one writer for a partition at a time",
            "run the partition again",
        )

    def _open(self, version: int | None = None) -> "DeltaTableType":
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError, TableNotFoundError

        if not self.exists():
            raise MissingDataError(
                f"table '{self.name}' was never written", f"a table in {self.folder}", "materialize it first"
            )
        try:
            if version is not None:
                return DeltaTable(self.folder, version=version)
            first = (self.folder / "_delta_log" / f"{0:020d}.json").stat()
            table = _opened(self.folder, first.st_ino, first.st_mtime_ns)
            table.update_incremental()
            return table
        except (TableNotFoundError, DeltaError) as error:
            raise MissingDataError(
                f"table '{self.name}' cannot be opened at version {version} ({error})",
                "a version that the table has",
                "name an earlier version, or restore the table's _delta_log from a backup",
            ) from error


@lru_cache(maxsize=64)
def _opened(folder: Path, inode: int, created_ns: int) -> "DeltaTableType":
    """An open table, which is brought up to date ten times faster than it is opened.

    The first log file's identity tells a table from another one that was built anew in the same folder.
    """
    from deltalake import DeltaTable

    return DeltaTable(folder)


if TYPE_CHECKING:
    from deltalake import DeltaTable as DeltaTableType
