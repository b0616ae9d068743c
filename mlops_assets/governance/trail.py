"""The evidence trail: files of events, a line each, that are only ever appended to, durably and one at a time.

Beside each file lies its seal: how long it was after the last event, and its hash. A file that is something else is not
read, for a line that is passed over may be the one that takes a right away; what a kill left behind lies after it.
"""

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Generic, TypeVar

from mlops_assets.errors import DamagedStateError, UnusableEnvironmentError
from mlops_assets.lakehouse import formats
from mlops_assets.lakehouse.write_points import write_point
from mlops_assets.storage.files import write_atomically

Record = TypeVar("Record")


@dataclass(frozen=True)
class Seal:
    """What was written to a file.

    Args:
        size: Its bytes.
        sha256: Their hash.
    """

    size: int
    sha256: str

    @classmethod
    def of(cls, content: bytes) -> "Seal":
        """The seal of a whole file."""
        return cls(len(content), sha256(content).hexdigest())


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

    @property
    def seal_file(self) -> Path:
        """Where the seal lies; homes of earlier releases have none until the next event."""
        return self.file.with_suffix(".seal.json")

    def records(self) -> Mapping[str, Record]:
        """All records; the file is read again only when it changed.

        Raises:
            UnusableEnvironmentError: The file cannot be read, or holds what is no event.
            DamagedStateError: It is not what was written.
        """
        try:
            status = self.file.stat()
            stamp = (status.st_ino, status.st_size, status.st_mtime_ns)
            if self._read is not None and self._read[0] == stamp:
                return self._read[1]
            seal = self._seal()  # first, for a writer that comes between makes the file longer
            content = self.file.read_bytes()
        except FileNotFoundError:
            seal = self._seal()
            if seal is not None and seal.size:
                raise self._damaged(f"no {self.file}, in which {self.name}s were written") from None
            return {}
        except OSError as error:
            raise UnusableEnvironmentError(
                f"the {self.name}s in {self.file} cannot be read ({error.strerror})",
                "a file that this user can read",
                "give it back to the user that the platform runs as",
            ) from error
        records = self._replayed(content, seal)
        self._read = (stamp, records)
        return records

    @contextmanager
    def locked(self) -> Iterator[Callable[[Mapping[str, object]], None]]:
        """Hold the file's lock; gives what appends an event, durably.

        Raises:
            UnusableEnvironmentError: The file cannot be written.
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
            self._begin(descriptor)
            yield lambda event: self._append(descriptor, event)
        finally:
            os.close(descriptor)  # and with it the lock

    def _begin(self, descriptor: int) -> None:
        """Seal a new file, so that what a kill leaves of its first event is known to be that."""
        if os.fstat(descriptor).st_size or self._seal() is not None:
            return
        try:
            self._write_seal(b"")
        except OSError as error:
            raise self._not_writable(error) from error

    def _append(self, descriptor: int, event: Mapping[str, object]) -> None:
        before = self.file.read_bytes()
        torn = before != b"" and not before.endswith(b"\n")
        line = (b"\n" if torn else b"") + json.dumps(formats.numbered(event, formats.TRAIL)).encode() + b"\n"
        rest = line
        try:
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            os.fsync(descriptor)
            self._write_seal(before + line)
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(descriptor, len(before))  # whoever is told that it was not written finds it so
            raise self._not_writable(error) from error
        write_point(f"{self.name} {event['event']}")

    def _write_seal(self, content: bytes) -> None:
        write_atomically(self.seal_file, json.dumps(formats.numbered(asdict(Seal.of(content)), formats.TRAIL)).encode())

    def _seal(self) -> Seal | None:
        try:
            return Seal(**formats.read_numbered(self.seal_file, formats.TRAIL, f"the seal {self.seal_file}"))
        except FileNotFoundError:
            return None
        except TypeError as error:
            raise formats.damaged(f"the seal {self.seal_file}", str(error)) from None

    def _replayed(self, content: bytes, seal: Seal | None) -> dict[str, Record]:
        sealed = seal.size if seal else 0
        broken = seal is not None and Seal.of(content[:sealed]) != seal
        records: dict[str, Record] = {}
        end = 0
        for number, line in enumerate(content.split(b"\n"), start=1):
            end += len(line) + 1
            try:
                event = json.loads(line)
            except ValueError:
                # Empty; or torn by a kill before anybody was told that it was written, as the seal proves.
                torn = seal is not None and not broken and (end <= sealed or end > len(content))
                if not line or torn:
                    continue
                raise self._damaged(f"{self._line(number)}, which cannot be read") from None
            try:
                # The trail is never rewritten: lines from before there were numbers stay without.
                values = formats.unnumbered(
                    {formats.MEMBER: formats.UNNUMBERED, **event}, formats.TRAIL, self._line(number)
                )
                if values["event"] not in self.events:
                    raise ValueError
                self._apply(records, values)
            except (KeyError, TypeError, ValueError):
                if broken:
                    break
                article = "an" if self.name[0] in "aeiou" else "a"
                raise UnusableEnvironmentError(
                    f"{self._line(number)}, which is no event of {article} {self.name}",
                    f"{self.name}s that were {' or '.join(self.events)}",
                    "restore the file from its backup, or run the version of the platform that wrote it",
                ) from None
        if broken:
            raise self._damaged(f"{self.file}, which is not what was written: it is shorter, or a line was changed")
        return records

    def _line(self, number: int) -> str:
        return f"line {number} of {self.file}"

    def _damaged(self, found: str) -> DamagedStateError:
        return DamagedStateError(
            found,
            f"the {self.name}s as they were written: until then none of them counts",
            f"restore {self.file.name} and {self.seal_file.name} from a backup; or look at each line, take out what "
            f"cannot be read, delete {self.seal_file.name}, and record anew what may be missing",
        )

    def _not_writable(self, error: OSError) -> UnusableEnvironmentError:
        return UnusableEnvironmentError(
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
