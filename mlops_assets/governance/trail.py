"""The evidence trail: files of events, a line each, that are only ever appended to, durably and one at a time."""

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

from mlops_assets.errors import SurroundingsError
from mlops_assets.lakehouse import formats
from mlops_assets.lakehouse.write_points import write_point

Record = TypeVar("Record")


class Trail(Generic[Record]):
    """One file of events, and the records that they come to; safe to use from several processes and threads.

    Args:
        file: The file; made with the first event.
        name: What it holds, such as ``token``.
        events: What may happen to one.
        apply: Takes an event into the records so far; KeyError, TypeError or ValueError where it is none.
    """

    def __init__(
        self,
        file: Path,
        name: str,
        events: tuple[str, ...],
        apply: Callable[[dict[str, Record], Mapping[str, Any]], None],
    ) -> None:
        self.file = file
        self.name = name
        self.events = events
        self._apply = apply
        self._read: tuple[tuple[int, int, int], Mapping[str, Record]] | None = None

    def records(self) -> Mapping[str, Record]:
        """All records; the file is read again only when it changed.

        Raises:
            SurroundingsError: The file cannot be read, or holds what is no event.
        """
        try:
            status = self.file.stat()
            stamp = (status.st_ino, status.st_size, status.st_mtime_ns)
            if self._read is not None and self._read[0] == stamp:
                return self._read[1]
            content = self.file.read_bytes()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise SurroundingsError(
                f"the {self.name}s in {self.file} cannot be read ({error.strerror})",
                "a file that this user can read",
                "give it back to the user that the platform runs as",
            ) from error
        records = self._replayed(content)
        self._read = (stamp, records)
        return records

    @contextmanager
    def locked(self) -> Iterator[Callable[[Mapping[str, object]], None]]:
        """Hold the file's lock; gives what appends an event, durably.

        Raises:
            SurroundingsError: The file cannot be written.
        """
        try:
            new = not self.file.exists()
            self.file.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.file, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._not_writable(error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if new:
                _flush_folder(self.file.parent)
            yield lambda event: self._append(descriptor, event)
        finally:
            os.close(descriptor)  # and with it the lock

    def _append(self, descriptor: int, event: Mapping[str, object]) -> None:
        size = os.fstat(descriptor).st_size
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        line = (b"\n" if torn else b"") + json.dumps(formats.numbered(event, formats.TRAIL)).encode() + b"\n"
        try:
            while line:
                line = line[os.write(descriptor, line) :]
            os.fsync(descriptor)
        except OSError as error:
            raise self._not_writable(error) from error
        write_point(f"{self.name} {event['event']}")

    def _replayed(self, content: bytes) -> dict[str, Record]:
        records: dict[str, Record] = {}
        for number, line in enumerate(content.split(b"\n"), start=1):
            try:
                event = json.loads(line)
            except ValueError:
                continue  # empty, or torn by a kill before anybody was told that it was written
            try:
                # The trail is never rewritten: lines from before there were numbers stay without.
                values = formats.unnumbered(
                    {formats.MEMBER: formats.UNNUMBERED, **event}, formats.TRAIL, self._line(number)
                )
                if values["event"] not in self.events:
                    raise ValueError
                self._apply(records, values)
            except (KeyError, TypeError, ValueError):
                article = "an" if self.name[0] in "aeiou" else "a"
                raise SurroundingsError(
                    f"{self._line(number)}, which is no event of {article} {self.name}",
                    f"{self.name}s that were {' or '.join(self.events)}",
                    "restore the file from its backup, or run the version of the platform that wrote it",
                ) from None
        return records

    def _line(self, number: int) -> str:
        return f"line {number} of {self.file}"

    def _not_writable(self, error: OSError) -> SurroundingsError:
        return SurroundingsError(
            f"the {self.name}s in {self.file} cannot be written ({error.strerror})",
            "a file that this user can write, on a disk with room",
            f"mend that and try again; {self.name}s that were {self.events[0]} before are as they were",
        )


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
