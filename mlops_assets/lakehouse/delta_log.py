"""The log of a Delta table: every commit is seen to be whole, once, and counted for the periods that it is of."""

import json
import os
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from mlops_assets.errors import MissingDataError
from mlops_assets.lakehouse.content_hash import text_hash


@dataclass
class DeltaLog:
    """What one process has read of a table's log; commits never change, so each is read once.

    Args:
        folder: The table's folder.
        read: How many commits were read, from the first on.
        counters: How many times each period was committed in them.
        whole: Whether the file of each was there; those behind a checkpoint may have been cleaned up.
    """

    folder: Path
    read: int = 0
    counters: dict[str, int] = field(default_factory=dict)
    whole: bool = True
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def read_to(self, version: int) -> None:
        """Read the commits up to a version that were not read before.

        Raises:
            MissingDataError: One is cut short.
        """
        with self._lock:
            if self.read > version + 1 and not log_file(self.folder, self.read - 1).exists():
                self.read, self.counters, self.whole = 0, {}, True  # restored to an earlier state
            while self.read <= version:
                set_ = _counters_of(log_file(self.folder, self.read))
                self.counters |= set_ or {}
                self.whole &= set_ is not None
                self.read += 1

    def counted(self, periods: Iterable[str]) -> dict[str, int]:
        """How many times each of the periods was committed, where the log is `whole`."""
        return {period: self.counters.get(period, 0) for period in periods}


@lru_cache(maxsize=10_000)
def delta_log(folder: Path, inode: int, created_ns: int) -> DeltaLog:
    """The log of a table; ``inode`` and ``created_ns`` tell it from another one that was built anew in the folder."""
    return DeltaLog(folder)


def log_file(folder: Path, version: int) -> Path:
    """The file of a commit."""
    return folder / "_delta_log" / f"{version:020d}.json"


def commit_stamps(tables: Path) -> dict[str, str]:
    """What changes with every commit to a table, and where it is made anew or restored; nothing is read for it.

    Args:
        tables: The folder of all tables.

    Returns:
        By the name before the first dot, one text for all tables of that name: a model's, or a table with its records.
    """
    found: dict[str, list[str]] = {}
    for log in sorted(tables.glob("*/*/_delta_log")):
        with os.scandir(log) as files:
            commits = {file.name: file for file in files if file.name.endswith(".json")}
        if commits:
            newest = max(commits)
            status = commits[newest].stat()
            line = f"{log.parent} {newest} {status.st_ino} {status.st_mtime_ns}"
            found.setdefault(log.parts[-3].split(".")[0], []).append(line)
    return {name: text_hash(*lines) for name, lines in found.items()}


def _counters_of(file: Path) -> Mapping[str, int] | None:
    """The counters that a commit set, after seeing that it was not cut short between two lines; None where it is gone.

    Delta takes a commit that was cut short for a smaller one. A commit of ours ends with its counters; one without is
    whole only if another tool made it, to tidy up.
    """
    try:
        lines = file.read_bytes().splitlines()
    except FileNotFoundError:
        return None
    if not lines or (any(b'"operation":"WRITE"' in line for line in lines) and not lines[-1].startswith(b'{"txn"')):
        raise MissingDataError(
            f"the commit {file} is cut short",
            "a log in which every commit is whole",
            "restore the file from a backup, or (if it is the newest) delete it and run its partitions again",
        )
    set_ = [json.loads(line)["txn"] for line in lines if line.startswith(b'{"txn"')]
    return {transaction["appId"]: int(transaction["version"]) for transaction in set_}
