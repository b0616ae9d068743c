"""The online store in one SQLite file: readers never wait for writers, and a batch is written whole or not at all."""

import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlops_assets.errors import StoreUnavailableError
from mlops_assets.features.online.contract import Entry, Guard, Layout, Outcome, Published, Space, SpaceGoneError
from mlops_assets.features.online.encoding import layout_from, text_of
from mlops_assets.lakehouse import formats
from mlops_assets.lakehouse.write_points import write_point

TABLES = f"""
CREATE TABLE spaces (number INTEGER PRIMARY KEY, name TEXT NOT NULL, layout TEXT NOT NULL, gone INTEGER DEFAULT 0);
CREATE TABLE served (name TEXT PRIMARY KEY, space INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE published (
    space INTEGER, period TEXT, seq INTEGER, known_us INTEGER, version INTEGER, PRIMARY KEY (space, period)
) WITHOUT ROWID;
CREATE TABLE rows (
    space INTEGER, key BLOB, row BLOB, event_us INTEGER, known_us INTEGER, version INTEGER, PRIMARY KEY (space, key)
) WITHOUT ROWID;
CREATE INDEX rows_by_event ON rows (space, event_us) WHERE row IS NOT NULL;
PRAGMA user_version = {formats.ONLINE};
"""
FOUND = "SELECT space, row FROM rows WHERE key = ? AND space = (SELECT space FROM served WHERE name = ?)"
"""One key, as fast as it goes: no row, whether it is the key that is missing or the table."""
ONE = (
    "SELECT served.space, rows.row FROM served LEFT JOIN rows ON rows.space = served.space AND rows.key = ? "
    "WHERE served.name = ?"
)
MANY = (
    "SELECT served.space, rows.key, rows.row FROM served LEFT JOIN rows ON rows.space = served.space "
    "AND rows.key IN ({}) WHERE served.name = ?"
)
MAX_KEYS = 1_000
"""Keys in one statement of reading; SQLite allows 32,766 parameters."""
BATCH = 5_000
"""Rows in one transaction: long enough to be fast, short enough that another writer does not wait long."""
MAPPED_BYTES = 2**31 - 2**16
SECONDS_TO_WAIT = 60.0
"""How long a writer waits for another one."""


class SqliteStore:
    """An `OnlineStore` in a file."""

    batch = BATCH

    def __init__(self, file: Path) -> None:
        self._file = file
        self._local = threading.local()

    def __str__(self) -> str:
        return str(self._file)

    def read(self, asked: Sequence[tuple[str, Sequence[bytes]]]) -> list[tuple[int | None, list[bytes | None]]]:
        """See `OnlineStore.read`."""
        try:
            execute = self._connection().execute
            answers: list[tuple[int | None, list[bytes | None]]] = []
            for table, keys in asked:
                if len(keys) == 1:
                    which = (keys[0], table)
                    found = execute(FOUND, which).fetchone() or execute(ONE, which).fetchone()
                    answers.append((found[0], [found[1]]) if found else (None, [None]))
                else:
                    answers.append(self._read_many(table, keys))
        except sqlite3.Error as error:
            raise self._unavailable(error) from error
        return answers

    def _read_many(self, table: str, keys: Sequence[bytes]) -> tuple[int | None, list[bytes | None]]:
        execute = self._connection().execute
        rows: dict[bytes, bytes] = {}
        spaces: set[int] = set()
        for start in range(0, len(keys) or 1, MAX_KEYS):
            some = keys[start : start + MAX_KEYS]
            found = execute(MANY.format(",".join("?" * len(some))), (*some, table)).fetchall()
            rows.update({key: row for _, key, row in found})
            spaces.update(space for space, _, _ in found[:1])
        if len(spaces) > 1:  # another space is served since the first statement
            return self._read_many(table, keys)
        return (spaces.pop() if spaces else None), [rows.get(key) for key in keys]

    def served(self, table: str) -> Space | None:
        """See `OnlineStore.served`."""
        asked = "SELECT number, layout FROM spaces JOIN served ON space = number WHERE served.name = ?"
        return next((Space(number, layout_from(text)) for number, text in self._found(asked, table)), None)

    def begin(self, layout: Layout, *, fresh: bool) -> Space:
        """See `OnlineStore.begin`."""
        with self._transaction() as connection:
            if not fresh:
                begun = connection.execute(
                    "SELECT number, layout FROM spaces WHERE name = ? AND NOT gone "
                    "AND number NOT IN (SELECT space FROM served)",
                    (layout.table,),
                ).fetchall()
                for number, text in begun:
                    if layout_from(text) == layout:
                        return Space(number, layout)
            space = Space(secrets.randbits(53), layout)
            connection.execute("INSERT INTO spaces VALUES (?, ?, ?, 0)", (space.number, layout.table, text_of(layout)))
        write_point(f"online {layout.table}: begin")
        return space

    def write(self, space: Space, entries: Sequence[Entry], guard: Guard) -> Outcome:
        """See `OnlineStore.write`."""
        outcome = Outcome()
        for start in range(0, len(entries), BATCH):
            some = entries[start : start + BATCH]
            with self._transaction(space) as connection:
                outcome.add(_write(connection, space.number, some, guard))
            write_point(f"online {space.layout.table}: rows")
        return outcome

    def expire(self, space: Space, until_us: int) -> int:
        """See `OnlineStore.expire`."""
        expired = 0
        while True:
            with self._transaction() as connection:
                done = connection.execute(
                    "UPDATE rows SET row = NULL, event_us = 0 WHERE space = ? AND key IN (SELECT key FROM rows "
                    "WHERE space = ? AND event_us <= ? AND row IS NOT NULL LIMIT ?)",
                    (space.number, space.number, until_us, BATCH),
                ).rowcount
            if not done:
                return expired
            expired += done
            write_point(f"online {space.layout.table}: expire")

    def published(self, space: Space, periods: Collection[str]) -> Mapping[str, Published]:
        """See `OnlineStore.published`."""
        found = self._found("SELECT period, seq, known_us, version FROM published WHERE space = ?", space.number)
        wanted = set(periods)
        return {period: Published(seq, Guard(*guard)) for period, seq, *guard in found if period in wanted}

    def record(self, space: Space, published: Mapping[str, Published]) -> None:
        """See `OnlineStore.record`."""
        with self._transaction(space) as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO published VALUES (?, ?, ?, ?, ?)",
                [(space.number, period, done.seq, *done.guard) for period, done in published.items()],
            )
        write_point(f"online {space.layout.table}: record")

    def serve(self, space: Space) -> None:
        """See `OnlineStore.serve`."""
        with self._transaction(space) as connection:
            this = (space.layout.table, space.number)
            connection.execute("INSERT OR REPLACE INTO served VALUES (?, ?)", this)
            connection.execute("UPDATE spaces SET gone = 1 WHERE name = ? AND number <> ?", this)
        write_point(f"online {space.layout.table}: serve")

    def clean(self, table: str) -> None:
        """See `OnlineStore.clean`."""
        while found := self._found("SELECT number FROM spaces WHERE name = ? AND gone", table):
            gone = found[0]
            with self._transaction() as connection:
                # Rows go first, and their space with the last of them: a kill between leaves a space to clean again.
                done = connection.execute(
                    "DELETE FROM rows WHERE space = ? AND key IN (SELECT key FROM rows WHERE space = ? LIMIT ?)",
                    (*gone, *gone, BATCH),
                ).rowcount
                if not done:
                    connection.execute("DELETE FROM published WHERE space = ?", gone)
                    connection.execute("DELETE FROM spaces WHERE number = ?", gone)
            write_point(f"online {table}: clean")

    def rows(self, space: Space) -> Iterator[tuple[bytes, bytes]]:
        """See `OnlineStore.rows`."""
        asked = "SELECT key, row FROM rows WHERE space = ? AND key > ? AND row IS NOT NULL ORDER BY key LIMIT ?"
        last = b""
        while found := self._found(asked, space.number, last, BATCH):
            yield from found
            last = found[-1][0]

    def check(self) -> None:
        """See `OnlineStore.check`."""
        self._found("SELECT count(*) FROM served")

    def _found(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self._failing():
            return self._connection().execute(query, values).fetchall()

    @contextmanager
    def _transaction(self, space: Space | None = None) -> Iterator[sqlite3.Connection]:
        """Write in one transaction; with a space, only if it is still there."""
        with self._failing():
            connection = self._connection()
            connection.execute("BEGIN IMMEDIATE")
            try:
                if space is not None:
                    found = connection.execute(
                        "SELECT 1 FROM spaces WHERE number = ? AND NOT gone", (space.number,)
                    ).fetchone()
                    if not found:
                        raise SpaceGoneError(space)
                yield connection
            except BaseException:
                if connection.in_transaction:  # a full disk has ended it already
                    connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """Errors of SQLite as ours."""
        try:
            yield
        except sqlite3.Error as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: Exception) -> StoreUnavailableError:
        self._local.connection = None
        return StoreUnavailableError(
            f"the online store {self._file} does not answer ({error})",
            "an SQLite file that this user can read and write, on a disk with room",
            "mend its permissions or make room; if it is damaged, delete it and run: "
            "mlops-assets features rebuild-online",
        )

    def _connection(self) -> sqlite3.Connection:
        """This thread's connection; a file that was deleted or put in place of another one is opened anew."""
        local = self._local
        now = time.monotonic()
        connection: sqlite3.Connection | None = getattr(local, "connection", None)
        if connection is not None:
            if now < local.look_again:
                return connection
            local.look_again = now + 1
            if _identity(self._file) == local.identity:
                return connection
            connection.close()
        local.connection = connection = self._open()
        local.identity, local.look_again = _identity(self._file), now + 1
        return connection

    def _open(self) -> sqlite3.Connection:
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(
                self._file, timeout=SECONDS_TO_WAIT, isolation_level=None, cached_statements=256
            )
        except OSError as error:
            raise self._unavailable(error) from error
        connection.execute("PRAGMA synchronous = NORMAL")  # after a power cut the newest batches may be missing, whole
        connection.execute(f"PRAGMA mmap_size = {MAPPED_BYTES}")  # shared by all threads, and read without copying
        if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
            _write_ahead(connection)
            connection.execute("BEGIN IMMEDIATE")
            if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
                for statement in TABLES.split(";"):
                    connection.execute(statement)
            connection.execute("COMMIT")
        number = int(connection.execute("PRAGMA user_version").fetchone()[0])
        formats.require(number, formats.ONLINE, f"the online store {self._file}")
        return connection


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Let readers and a writer work side by side; SQLite itself does not wait where another one opens it as well."""
    until = time.monotonic() + SECONDS_TO_WAIT
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.01)


def _identity(file: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _write(connection: sqlite3.Connection, space: int, entries: Sequence[Entry], guard: Guard) -> Outcome:
    marks = ",".join("?" * len(entries))
    held = {
        key: (row, known_us, version)
        for key, row, known_us, version in connection.execute(
            f"SELECT key, row, known_us, version FROM rows WHERE space = ? AND key IN ({marks})",
            (space, *(entry.key for entry in entries)),
        )
    }
    outcome = Outcome()
    known_us, version = guard
    written = []
    for key, row, event_us in entries:
        before, held_us, held_version = held.get(key, (None, -1, -1))
        if known_us >= held_us and version >= held_version:
            written.append((space, key, row, event_us, known_us, version))
            if row is None:
                outcome.removed += before is not None
            elif row == before:
                outcome.unchanged += 1
            else:
                outcome.written += 1
        elif known_us <= held_us and version <= held_version:
            outcome.older += 1
        else:
            outcome.crossing.append(key)
            outcome.read_from_us = max(outcome.read_from_us, held_us)
    connection.executemany("INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?, ?, ?)", written)
    return outcome
