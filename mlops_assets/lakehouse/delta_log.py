"""The log of a Delta table: every commit is seen to be whole, once, and counted for the periods that it is of.

Beside the log lie the sums of what was written: a line for each commit, with its hash and those of its data files.
Delta knows of a file its size alone, and Parquet holds no checksum that every reader looks at.
"""

import json
import threading
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import file_digest, sha256
from typing import Any
from urllib.parse import unquote

from mlops_assets.errors import DamagedStateError, MissingDataError
from mlops_assets.storage.path import FileStatus, StoragePath

LOG = "_delta_log"
SUMS = "_sums.jsonl"
"""Delta leaves alone what begins with an underscore."""

CURE = "restore the file from a backup, or delete the table's folder and build it again"


@dataclass
class DeltaLog:
    """What one process has read of a table's log; commits never change, so each is read once.

    Args:
        folder: The table's folder.
        read: How many commits were read, from the first on.
        counters: How many times each period was committed in them.
        sizes: The bytes of each data file that they added, by its name, which no two have.
        columns: The columns that the table had when each data file was added, by its name.
        sums: The hash of each commit, in their order; a table that only an earlier release wrote to has none.
        hashes: The hash of each data file, by its name; those that earlier releases wrote have none.
    """

    folder: StoragePath
    read: int = 0
    counters: dict[str, int] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    columns: dict[str, frozenset[str]] = field(default_factory=dict)
    sums: list[str] = field(default_factory=list)
    hashes: dict[str, str] = field(default_factory=dict)
    _columns_now: frozenset[str] = frozenset()
    _sums_read: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def read_to(self, version: int) -> None:
        """Read the commits up to a version that were not read before.

        Raises:
            MissingDataError: One is cut short, or not there.
            DamagedStateError: One is not what was written.
        """
        with self._lock:
            if self.read > version + 1 and not log_file(self.folder, self.read - 1).exists():
                self.read, self.counters = 0, {}  # restored to an earlier state
                self._sums_read, self.sums, self.hashes = 0, [], {}
            if self.read > version:
                return
            self._read_sums()
            while self.read <= version:
                file = log_file(self.folder, self.read)
                lines = _lines_of(file, self.sums[self.read] if self.read < len(self.sums) else None)
                set_ = [_object(line, file)["txn"] for line in lines if line.startswith(b'{"txn"')]
                self.counters |= {transaction["appId"]: int(transaction["version"]) for transaction in set_}
                for line in lines:
                    if line.startswith(b'{"metaData"'):
                        fields = json.loads(_object(line, file)["metaData"]["schemaString"])["fields"]
                        self._columns_now = frozenset(one["name"] for one in fields)
                added = {file_name(one["path"]): int(one["size"]) for one in _added(lines, file)}
                self.sizes |= added
                self.columns |= dict.fromkeys(added, self._columns_now)
                self.read += 1

    def counted(self, periods: Iterable[str]) -> dict[str, int]:
        """How many times each of the periods was committed."""
        return {period: self.counters.get(period, 0) for period in periods}

    def require_written(self, files: Iterable[str], name: str, max_bytes: int | None = None) -> None:
        """See that data files are what was written: there, as long, and byte for byte the same.

        Each is looked at once, and read once in a process unless it changed since.

        Args:
            files: Their addresses.
            name: The table's name.
            max_bytes: Larger ones are not read; None reads all.

        Raises:
            MissingDataError: One is not there.
            DamagedStateError: One is another.
        """
        for file in files:
            path = self.folder.at(file)
            try:
                status = path.status()
            except FileNotFoundError:
                raise MissingDataError(
                    f"table '{name}' names {file}, which is not there", "every data file of the table", CURE
                ) from None
            size, hash_ = self.sizes.get(path.name), self.hashes.get(path.name)
            if status.size != size:
                raise DamagedStateError(
                    f"data file {file} of table '{name}' with {status.size} bytes", f"{size}, as it was written", CURE
                )
            if hash_ is None or (max_bytes is not None and size > max_bytes):
                continue
            found = _hash_of(path, status)
            if found != hash_:
                raise DamagedStateError(
                    f"data file {file} of table '{name}' with the hash {found[:16]}…",
                    f"{hash_[:16]}…, as it was written",
                    CURE,
                )

    def add_sums(self) -> None:
        """Write the sums of the commits after those that were read, and of all that have none yet.

        Those are what somebody who was killed, or an earlier release, committed.
        """
        with self._lock, self.folder.held():
            self._read_sums()
            lines, number = [], min(self.read, len(self.sums))
            while log_file(self.folder, number).exists():
                lines.append(_sums_of(self.folder, number))
                number += 1
            (self.folder / SUMS).append(b"".join(lines), at=self._sums_read)  # in place of a line that a kill cut short

    def _read_sums(self) -> None:
        """Read what was added to the sums."""
        file = self.folder / SUMS
        try:
            if file.status().size < self._sums_read:  # another file, of an earlier state
                self._sums_read, self.sums, self.hashes = 0, [], {}
            content = file.read_bytes(self._sums_read)
        except FileNotFoundError:
            return
        for line in content[: content.rfind(b"\n") + 1].splitlines(keepends=True):
            try:
                said = json.loads(line)
                number = int(said["version"])
                if number > len(self.sums):
                    raise ValueError("a line before it is missing")
                # One of a commit that has one already: the table was restored to an earlier state, and went on.
                self.sums[number:] = [str(said["commit"])]
                self.hashes |= said["files"]
            except (ValueError, KeyError, TypeError) as error:
                raise DamagedStateError(
                    f"{file} with line {len(self.sums) + 1} that cannot be read ({error})",
                    "the sums of each commit of the table, in their order",
                    CURE,
                ) from None
            self._sums_read += len(line)


@lru_cache(maxsize=10_000)
def delta_log(folder: StoragePath, identity: Hashable) -> DeltaLog:
    """The log of a table; ``identity`` tells it from another one that was built anew in the folder."""
    return DeltaLog(folder)


def log_file(folder: StoragePath, version: int) -> StoragePath:
    """The file of a commit."""
    return folder / f"{LOG}/{version:020d}.json"


@lru_cache(maxsize=100_000)
def _hash_of(file: StoragePath, status: FileStatus) -> str:
    with file.open() as content:
        return file_digest(content, "sha256").hexdigest()


def _sums_of(folder: StoragePath, version: int) -> bytes:
    file = log_file(folder, version)
    content = file.read_bytes()
    files = {}
    for added in _added(content.splitlines(), file):
        with (folder / unquote(added["path"])).open() as written:
            files[file_name(added["path"])] = file_digest(written, "sha256").hexdigest()
    said = {"version": version, "commit": sha256(content).hexdigest(), "files": files}
    return json.dumps(said).encode() + b"\n"


def _added(lines: Iterable[bytes], file: StoragePath) -> list[Mapping[str, Any]]:
    """The data files that a commit added."""
    return [_object(line, file)["add"] for line in lines if line.startswith(b'{"add"')]


def _object(line: bytes, file: StoragePath) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        raise DamagedStateError(f"the commit {file} with a line that cannot be read", "JSON", CURE) from None


def file_name(path: str) -> str:
    """The name of a data file, which no two files of a table have."""
    return path.rpartition("/")[2]


def period_of(path: str) -> str:
    """The key of the period whose rows a data file holds; Delta keeps it in the name of the file's folder."""
    return path.rsplit("/", 2)[-2].removeprefix("period=")


def _lines_of(file: StoragePath, written: str | None) -> list[bytes]:
    """The lines of a commit, after seeing that it is the one that was written, and was not cut short between two.

    Delta takes a commit that was cut short for a smaller one. A commit of ours ends with its counters; one without is
    whole only if another tool made it, to tidy up.
    """
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        raise MissingDataError(f"no commit {file}", "every commit of the table, from the first on", CURE) from None
    lines = content.splitlines()
    if not lines or (any(b'"operation":"WRITE"' in line for line in lines) and not lines[-1].startswith(b'{"txn"')):
        raise MissingDataError(
            f"the commit {file} is cut short",
            "a log in which every commit is whole",
            "restore the file from a backup, or (if it is the newest) delete it and run its partitions again",
        )
    found = sha256(content).hexdigest()
    if written not in (None, found):
        raise DamagedStateError(
            f"the commit {file} with the hash {found[:16]}…", f"{str(written)[:16]}…, as it was written", CURE
        )
    return lines
