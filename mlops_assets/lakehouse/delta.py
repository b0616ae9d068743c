"""Delta Lake, behind this one module: versions, files, and commits that a second writer cannot cross."""

import json
import threading
import warnings
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from mlops_assets.errors import (
    ConflictError,
    ContractError,
    MissingDataError,
    PlatformError,
    UnusableEnvironmentError,
    told_once,
)
from mlops_assets.lakehouse import formats
from mlops_assets.lakehouse.content_hash import text_hash
from mlops_assets.lakehouse.delta_log import LOG, DeltaLog, delta_log, file_name, log_file
from mlops_assets.lakehouse.formats import TableFormat
from mlops_assets.lakehouse.write_points import write_point
from mlops_assets.storage.opening import storage_at
from mlops_assets.storage.path import StoragePath

if TYPE_CHECKING:
    import pyarrow as pa

KEEP_EVERY_VERSION = {"delta.enableExpiredLogCleanup": "false"}
"""Delta deletes its log after 30 days unless told not to; evidence names versions that must stay readable."""

TELL_NO_VALUES = {"delta.dataSkippingNumIndexedCols": "0"}
"""Delta's log names the least and the greatest value of each column of a file unless told not to: of personal columns
too, which may become so later, and of texts in quarantine. Files are chosen by their period alone."""

MAX_ATTEMPTS = 3
"""How often a commit is tried while nobody else committed its periods."""


MAX_BYTES_OF_A_READING = 1 << 20
"""Data files up to so many are hashed when a process reads them first; larger ones where evidence is recorded.

Measured on 200 files of 5 kB: 7 ms, once in a process, where reading them takes 144 ms, and 0.7 ms after that.
"""


@dataclass(frozen=True)
class WrittenFile:
    """A Parquet file that no commit names yet.

    Args:
        name: Of the file, in its period's folder.
        size: In bytes.
        rows: How many rows it holds.
    """

    name: str
    size: int
    rows: int


@dataclass(frozen=True)
class DeltaFolder:
    """A Delta table in a folder of some storage, partitioned by its text column ``period``.

    Args:
        folder: Where the table lies, whether it was created or not.
        name: What people call the table, for messages.
        records: The number of the format of the records in it; None where it holds rows, or whatever it holds.
    """

    folder: StoragePath
    name: str
    records: int | None = None

    def exists(self) -> bool:
        """Whether the table was created."""
        first = log_file(self.folder, 0)  # its folder is long to list
        return first.exists() or any(name.endswith(".json") for name in first.parent.names())

    def version(self) -> int | None:
        """The newest Delta version, or None where the table was never written."""
        return int(self._open().version()) if self.exists() else None

    def is_at(self, version: int | None) -> bool:
        """Whether a version is still the newest one (None: it was never written); one or two looks at the log."""
        if version is None:
            return not self.exists()
        return log_file(self.folder, version).exists() and not log_file(self.folder, version + 1).exists()

    def files(
        self, periods: tuple[str, str] | None = None, version: int | None = None, *, proven: bool = False
    ) -> list[str]:
        """The addresses of the table's Parquet files, or of the periods from the first key to the last (both included).

        Args:
            periods: The first key and the last; None for all.
            version: Delta version; None for the newest.
            proven: Whether large files, too, are seen to be what was written; each is read once, and not again
                unless it changed.

        Raises:
            MissingDataError: There is no such version, or a data file that the table names is not there.
            DamagedStateError: A data file is not as long as it was written; of a small one, not what was written.
        """
        if not self.exists():
            return []
        pruning = [("period", ">=", periods[0]), ("period", "<=", periods[1])] if periods else None
        table = self._open(version)
        files = [unquote(file) for file in table.file_uris(file_pruning_predicate=pruning)]
        log = self._read_log(table)
        log.require_written(files, self.name, None if proven else MAX_BYTES_OF_A_READING)
        return files

    def file(self, address: str) -> StoragePath:
        """One of its files, by the address that `files` tells."""
        return self.folder.at(address)

    def columns_of(self, files: Iterable[str]) -> set[frozenset[str]]:
        """The columns that the table had when its data files were written; a column that came later is null in them."""
        columns = self.log().columns
        return {columns[file_name(file)] for file in files}

    def log(self) -> DeltaLog:
        """What its log says, up to the newest version.

        Raises:
            MissingDataError: The table was never written, or its log is not whole.
            DamagedStateError: A commit is not what was written.
        """
        return self._read_log(self._open())

    def schema(self) -> "pa.Schema":
        """The columns of the table, ``period`` among them.

        Raises:
            MissingDataError: The table was never written.
        """
        import pyarrow as pa

        return pa.schema(self._open().schema().to_arrow())

    def newest_period(self) -> str | None:
        """The greatest period key that holds rows; None where there is none."""
        if not self.exists():
            return None
        return max((partition["period"] for partition in self._open().partitions()), default=None)

    def counters(self, periods: Sequence[str]) -> Mapping[str, int]:
        """How many times each of the periods was committed; the number that the next commit must follow."""
        if not self.exists():
            return dict.fromkeys(periods, 0)
        return self._counters(self._open(), periods)

    def append(self, rows: "pa.Table", counters: Mapping[str, int]) -> None:
        """Append rows in one commit.

        Args:
            rows: As stored, with the column ``period``.
            counters: What `counters` said for each period when the rows were computed.

        Raises:
            ConflictError: Another writer committed one of these periods meanwhile; nothing was written.
        """
        self._write(self._with_every_column(rows), counters, {"mode": "append"})

    def partition_folder(self, period: str) -> StoragePath:
        """Where the data files of a period lie."""
        return self.folder / f"period={period}"

    def append_files(
        self, period: str, files: "Sequence[WrittenFile]", schema: "pa.Schema", counters: Mapping[str, int]
    ) -> None:
        """Append, in one commit, files that others wrote into a period's folder; otherwise as `append`.

        Args:
            period: The period that all their rows lie in.
            files: The files.
            schema: As stored, with the column ``period``.
            counters: As for `append`.
        """
        from deltalake.transaction import AddAction

        self._with_every_column(schema.empty_table())
        folder = self.partition_folder(period)
        actions = [
            AddAction(
                path=f"{quote(folder.name)}/{file.name}",
                size=file.size,
                partition_values={"period": period},
                modification_time=(folder / file.name).status().changed_ms,
                data_change=True,
                stats=json.dumps({"numRecords": file.rows}),
            )
            for file in files
        ]
        self._commit(
            schema,
            counters,
            lambda table, commit: table.create_write_transaction(
                actions, "append", schema, ["period"], commit_properties=commit
            ),
        )

    def replace(self, rows: "pa.Table", counters: Mapping[str, int]) -> None:
        """Replace all rows of one period in one commit; otherwise as `append`."""
        (period,) = counters
        if self.records is not None:  # rows of a period may have others than those of the period before
            rows = self._with_every_column(rows)
        self._write(rows, counters, {"mode": "overwrite", "predicate": f"period = '{period}'"})

    def rewrite(self, rows: "pa.Table", counters: Mapping[str, int]) -> None:
        """Replace all rows of one period by the same ones in fewer files; as `replace`, but it counts nothing.

        Earlier versions keep their files. (Delta's own ``optimize`` would let two at once write the rows twice: of its
        commits, which carry no counter, the second is not refused.)
        """
        (period,) = counters
        self._write(rows, counters, {"mode": "overwrite", "predicate": f"period = '{period}'"}, step=0)

    def write_checkpoint(self) -> None:
        """Write what the log says so far into one file, for who opens the table; the log stays."""
        with told_once(self._unwritable):
            self._open().create_checkpoint()
        write_point(f"checkpoint {self.name}")

    def _with_every_column(self, rows: "pa.Table") -> "pa.Table":
        """Rows with nulls for the columns that they lack, after the table was given those that it lacks itself."""
        import pyarrow as pa
        from deltalake import Schema
        from deltalake.exceptions import DeltaError

        if not self.exists():
            return rows

        stored = self.schema()
        if new := [field for field in rows.schema if field.name not in stored.names]:
            with told_once(self._unwritable):
                try:
                    self._open().alter.add_columns(Schema.from_arrow(pa.schema(new)).fields)
                except DeltaError:
                    if not {*rows.schema.names} <= {*self.schema().names}:  # no other writer added them meanwhile
                        raise
            write_point(f"columns of {self.name}")
            stored = self.schema()
        for field in stored:
            if field.name not in rows.column_names:
                rows = rows.append_column(field, pa.nulls(rows.num_rows, field.type))
        return rows

    def _write(self, rows: "pa.Table", counters: Mapping[str, int], how: Mapping[str, str], *, step: int = 1) -> None:
        from deltalake import write_deltalake

        def written(table: "DeltaTableType", commit: "CommitProperties") -> None:
            silent = TELL_NO_VALUES.items() <= table.metadata().configuration.items()
            write_deltalake(
                table, rows, commit_properties=commit, writer_properties=None if silent else _telling_no_values(), **how
            )

        self._commit(rows.schema, counters, written, step=step)

    def _commit(
        self,
        schema: "pa.Schema",
        counters: Mapping[str, int],
        written: "Callable[[DeltaTableType, CommitProperties], None]",
        *,
        step: int = 1,
    ) -> None:
        """Commit what is written to the table, under transactions that no second writer of a period passes."""
        from deltalake import CommitProperties, Transaction
        from deltalake.exceptions import CommitFailedError

        self._create(schema)
        commit = CommitProperties(
            app_transactions=[Transaction(period, number + step) for period, number in counters.items()]
        )
        for attempt in range(1, MAX_ATTEMPTS + 1):
            table = self._open()
            if self._counters(table, counters) != dict(counters):
                raise self._conflict(counters)
            try:
                with told_once(self._unwritable), warnings.catch_warnings():
                    warnings.simplefilter("ignore", DeprecationWarning)
                    written(table, commit)
                break
            except UnusableEnvironmentError as error:
                if not isinstance(error.__cause__, CommitFailedError):
                    raise
                # Delta also refuses what it need not, beside a writer that replaces other periods or compacts these.
                if attempt == MAX_ATTEMPTS:
                    raise self._conflict(counters) from error.__cause__
        write_point(f"commit {self.name}")
        self._add_sums()

    def _add_sums(self) -> None:
        """Write the sums of what was committed; where that does not come about, the next commit does it."""
        with suppress(OSError):  # a full disk; the commit is there, and nobody may be told otherwise
            delta_log(self.folder, self._identity()).add_sums()
        write_point(f"sums {self.name}")

    def _create(self, schema: "pa.Schema") -> None:
        from deltalake import DeltaTable

        if self.exists():
            return
        with told_once(self._unwritable), TemporaryDirectory() as folder:
            DeltaTable.create(
                folder,
                schema=schema,
                partition_by=["period"],
                name=self.name,
                description=str(TableFormat(formats.TABLE, self.records)),
                configuration=KEEP_EVERY_VERSION | TELL_NO_VALUES,
            )
            with suppress(FileExistsError):  # another writer created it at the same instant
                log_file(self.folder, 0).write_new(_without_place(log_file(storage_at(folder), 0)))
        write_point(f"create {self.name}")

    def _unwritable(self, error: BaseException) -> PlatformError:
        from deltalake.exceptions import SchemaMismatchError

        if isinstance(error, SchemaMismatchError):
            return ContractError(
                f"rows of other columns than table '{self.name}' has ({error})",
                "the columns that it was created with",
                "compute them under the present definition; nothing was written",
            )
        return UnusableEnvironmentError(
            f"table '{self.name}' could not be written ({error}); it stays as it was",
            f"a disk with room, that this user can write, under {self.folder}",
            "make room or mend the permissions, and run the partition again",
        )

    def _conflict(self, periods: Iterable[str]) -> ConflictError:
        return ConflictError(
            f"another writer committed {', '.join(periods)} of table '{self.name}' at the same time",
            "one writer for a partition at a time",
            "run the partition again",
        )

    def _open(self, version: int | None = None) -> "DeltaTableType":
        if not self.exists():
            raise MissingDataError(
                f"table '{self.name}' was never written", f"a table in {self.folder}", "materialize it first"
            )
        at = "" if version is None else f" at version {version}"
        with told_once(
            lambda error: MissingDataError(
                f"table '{self.name}' cannot be opened{at} ({self.folder}: {str(error).partition(chr(10))[0]})",
                "a version that the table has, and a whole _delta_log",
                "name an earlier version, or restore the table's _delta_log from a backup",
            )
        ):
            table, found = _up_to_date(self.folder, self._identity())
            if self.records is not None:
                formats.require(found.records, self.records, f"records of table '{self.name}'")
            if version is not None and version != int(table.version()):
                table = _delta_table(self.folder, version)
        self._read_log(table)
        return table

    def _counters(self, table: "DeltaTableType", periods: Iterable[str]) -> dict[str, int]:
        return self._read_log(table).counted(periods)

    def _read_log(self, table: "DeltaTableType") -> DeltaLog:
        log = delta_log(self.folder, self._identity())
        log.read_to(int(table.version()))
        return log

    def _identity(self) -> Hashable:
        """Tells the table from another one that was built anew in the same folder."""
        return log_file(self.folder, 0).status().stamp


def _without_place(log: StoragePath) -> bytes:
    """A first commit without the word of where the table was created: its home may be moved or copied."""
    actions = [json.loads(line) for line in log.read_bytes().splitlines()]
    for action in actions:
        action.get("commitInfo", {}).get("operationParameters", {}).pop("location", None)
    return "\n".join(json.dumps(action) for action in actions).encode()


def _telling_no_values() -> "WriterProperties":
    """How a table is written that was created before its log was told to name no values: its files name none either."""
    from deltalake import ColumnProperties, WriterProperties

    return WriterProperties(compression="SNAPPY", default_column_properties=ColumnProperties(statistics_enabled="NONE"))


def _up_to_date(folder: StoragePath, identity: Hashable) -> "tuple[DeltaTableType, TableFormat]":
    """The table at its newest version; two looks at its log cost a thousandth of asking Delta."""
    thread = threading.get_ident()
    table, found = _opened(folder, identity, thread)
    version = int(table.version())
    if not log_file(folder, version).exists():  # restored to an earlier state
        _opened.cache_clear()
        return _opened(folder, identity, thread)
    if log_file(folder, version + 1).exists():
        table.update_incremental()
    return table, found


@lru_cache(maxsize=64)
def _opened(folder: StoragePath, identity: Hashable, thread: int) -> "tuple[DeltaTableType, TableFormat]":
    """An open table, a thread's own: on a shared one, a commit would count those of other threads as seen."""
    table = _delta_table(folder)
    found = TableFormat.parse(table.metadata().description)
    formats.require(found.table if found else None, formats.TABLE, f"the table {folder}")
    assert found is not None
    return table, found


def _delta_table(folder: StoragePath, version: int | None = None) -> "DeltaTableType":
    from deltalake import DeltaTable

    return DeltaTable(folder.address, version=version, storage_options=folder.delta_options)


def tables_in(folder: StoragePath) -> Iterator[DeltaFolder]:
    """All tables of a home, in their order: in a folder for each name there is one for each generation, or for records.

    Args:
        folder: The home's tables.
    """
    for name in folder.names():
        for generation in (folder / name).names():
            if (folder / name / generation / LOG).exists():
                yield DeltaFolder(folder / name / generation, name)


def commit_stamps(tables: StoragePath) -> dict[str, str]:
    """What changes with every commit to a table, and where it is made anew or restored; nothing is read for it.

    Args:
        tables: The folder of all tables.

    Returns:
        By the name before the first dot, one text for all tables of that name: a model's, or a table with its records.
    """
    found: dict[str, list[str]] = {}
    for table in tables_in(tables):
        log = table.folder / LOG
        newest = max((name for name in log.names() if name.endswith(".json")), default=None)
        if newest is not None:
            stamp = (log / newest).status().stamp
            found.setdefault(table.name.split(".")[0], []).append(f"{table.folder} {newest} {stamp}")
    return {name: text_hash(*lines) for name, lines in found.items()}


def table_format(folder: StoragePath) -> TableFormat | None:
    """The numbers that the table in a folder carries; None where it carries none."""
    return TableFormat.parse(_delta_table(folder).metadata().description)


def set_table_format(folder: StoragePath, format_: TableFormat) -> None:
    """Let the table in a folder carry other numbers: a commit of its own."""
    _delta_table(folder).alter.set_table_description(str(format_))
    write_point(f"format of {folder.parent.name}")


if TYPE_CHECKING:
    from deltalake import CommitProperties, WriterProperties
    from deltalake import DeltaTable as DeltaTableType
