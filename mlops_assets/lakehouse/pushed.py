"""Batches that applications pushed: durable before they are answered, in the order of their acceptance.

One SQLite file for each source. A batch, its idempotency key and its rows come in one transaction, which is on the disk
before it returns. An ingestion reads what waits for a period, and lets go of it once it is in the lakehouse.
"""

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from mlops_assets.errors import ReusedKeyError, StoreUnavailableError
from mlops_assets.lakehouse import formats
from mlops_assets.lakehouse.write_points import write_point

_SECONDS_TO_WAIT = 30
"""For another process that writes the same file; each holds it for milliseconds."""

_TABLES = (
    "CREATE TABLE batches (number INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT UNIQUE NOT NULL, digest TEXT NOT NULL, "
    "accepted_at TEXT NOT NULL, periods TEXT NOT NULL)",
    "CREATE INDEX batches_by_time ON batches (accepted_at)",
    "CREATE TABLE waiting (period TEXT NOT NULL, number INTEGER NOT NULL, rows TEXT NOT NULL, "
    "PRIMARY KEY (period, number)) WITHOUT ROWID",
    "CREATE INDEX waiting_by_number ON waiting (number)",
    f"PRAGMA user_version = {formats.PUSHED}",
)


@dataclass(frozen=True)
class Batch:
    """An accepted batch.

    Args:
        rows: How many rows it has in each period, by period key.
        repeated: Whether it had been accepted before, under the same key.
    """

    rows: Mapping[str, int]
    repeated: bool


@dataclass(frozen=True)
class Waiting:
    """What waits to be ingested into one period.

    Args:
        rows: JSON objects, one after the other in the order of acceptance.
        through: The number of the newest batch among them; 0 where nothing waits.
    """

    rows: tuple[str, ...]
    through: int


@dataclass(frozen=True)
class PushedBatches:
    """The batches of all sources that are pushed; safe to use from several processes and threads.

    Args:
        folder: Where they lie.
    """

    folder: Path

    def accept(
        self,
        source: str,
        key: str,
        digest: str,
        rows: Mapping[str, Sequence[str]],
        *,
        now: datetime,
        known_since: datetime,
    ) -> Batch:
        """Accept a batch whole, durably; the batch that was accepted under the key, if its rows are the same.

        Args:
            source: The source's name.
            key: What tells the batch from others.
            digest: A hash of the rows.
            rows: The rows of each period, each a JSON object; by period key.
            now: The platform clock.
            known_since: Batches that were accepted before, and are ingested, are forgotten: their keys are new again.

        Raises:
            ReusedKeyError: A batch of other rows was accepted under the key.
            StoreUnavailableError: It cannot be written; nothing of it was accepted.
        """
        with self._changing(source) as file:
            _forget(file, known_since)
            found = file.execute("SELECT digest, periods FROM batches WHERE key = ?", (key,)).fetchone()
            if found is None:
                counts = {period: len(objects) for period, objects in rows.items()}
                number = file.execute(
                    "INSERT INTO batches (key, digest, accepted_at, periods) VALUES (?, ?, ?, ?)",
                    (key, digest, now.isoformat(), json.dumps(counts)),
                ).lastrowid
                file.executemany(
                    "INSERT INTO waiting VALUES (?, ?, ?)",
                    [(period, number, "\n".join(objects)) for period, objects in rows.items()],
                )
        if found is None:
            write_point(f"batch {source}")
            return Batch(counts, repeated=False)
        if found[0] != digest:
            raise ReusedKeyError(
                f"idempotency key '{key}', under which source '{source}' accepted other rows",
                "a new key for each batch, and the same key only to push the same rows again",
                "push these rows under a key of their own",
            )
        return Batch(json.loads(found[1]), repeated=True)

    def waiting_periods(self, source: str) -> dict[str, int]:
        """The periods for which rows wait, in their order, with the number of the newest batch of each."""
        if not self._file(source).exists():
            return {}
        with self._open(source) as file:
            if not _has_tables(file):
                return {}
            return dict(file.execute("SELECT period, max(number) FROM waiting GROUP BY period ORDER BY period"))

    def waiting(self, source: str, period: str) -> Waiting:
        """What waits for a period, by period key."""
        if not self._file(source).exists():
            return Waiting((), 0)
        with self._open(source) as file:
            asked = "SELECT rows, number FROM waiting WHERE period = ? ORDER BY number"
            found = file.execute(asked, (period,)).fetchall() if _has_tables(file) else []
        lines = tuple(line for rows, _ in found for line in rows.split("\n"))
        return Waiting(lines, max((number for _, number in found), default=0))

    def settle(self, source: str, period: str, through: int, *, known_since: datetime) -> None:
        """Let go of what an ingestion brought into the lakehouse; again without effect.

        Args:
            source: The source's name.
            period: The period that was ingested, by its key.
            through: What `waiting` said.
            known_since: Batches that were accepted before, and are ingested, are forgotten: their keys are new again.
        """
        if not through:
            return
        with self._changing(source) as file:
            file.execute("DELETE FROM waiting WHERE period = ? AND number <= ?", (period, through))
            _forget(file, known_since)
        write_point(f"batches settled {source}")

    def _file(self, source: str) -> Path:
        return self.folder / f"{source}.sqlite"

    @contextmanager
    def _open(self, source: str) -> Iterator[sqlite3.Connection]:
        path = self._file(source)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(path, timeout=_SECONDS_TO_WAIT, isolation_level=None)) as file:
                # Whatever was answered is on the disk, also after the power failed: the file and its folder.
                file.execute("PRAGMA synchronous = EXTRA")
                formats.require(_number(file) or formats.PUSHED, formats.PUSHED, f"the pushed batches in {path}")
                yield file
        except (sqlite3.Error, OSError) as error:
            raise StoreUnavailableError(
                f"the batches pushed into '{source}' cannot be read or written ({error})",
                "a disk with room, that the platform's user can write, under lakehouse/pushed in its home",
                "make room or mend the permissions, and push the batch again under the same key; what was accepted "
                "before is whole",
            ) from error

    @contextmanager
    def _changing(self, source: str) -> Iterator[sqlite3.Connection]:
        """A transaction that no other writer passes; undone where anything fails, also by a kill."""
        with _turn(self._file(source)), self._open(source) as file:
            file.execute("BEGIN IMMEDIATE")
            try:
                for statement in () if _has_tables(file) else _TABLES:
                    file.execute(statement)
                yield file
                file.execute("COMMIT")
            finally:
                if file.in_transaction:
                    file.execute("ROLLBACK")


@lru_cache(maxsize=1_000)
def _turn(path: Path) -> threading.Lock:
    """What threads of this process wait for in turn; SQLite's own waiting sleeps, and lets some wait for a second."""
    return threading.Lock()


def _has_tables(file: sqlite3.Connection) -> bool:
    """Whether the file was made whole: it is there before its tables are."""
    return bool(_number(file))


def _number(file: sqlite3.Connection) -> int:
    """The number of its format; 0 before its tables are there."""
    return int(file.execute("PRAGMA user_version").fetchone()[0])


def _forget(file: sqlite3.Connection, known_since: datetime) -> None:
    file.execute(
        "DELETE FROM batches WHERE accepted_at < ? AND number NOT IN (SELECT number FROM waiting)",
        (known_since.isoformat(),),
    )
