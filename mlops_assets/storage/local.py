"""Local files, the storage of a home on one machine."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from mlops_assets.storage.files import require_looking_into, write_atomically, write_new
from mlops_assets.storage.path import FileStatus, StoragePath

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, order=True)
class LocalPath(StoragePath):
    """A file or folder of this machine; see `StoragePath`."""

    def at(self, address: str) -> Self:
        """See `StoragePath.at`; called for each look at a log."""
        return type(self)(address)

    def exists(self) -> bool:
        """See `StoragePath.exists`."""
        try:
            os.stat(self.address)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def status(self) -> FileStatus:
        """See `StoragePath.status`."""
        found = os.stat(self.address)
        return FileStatus(found.st_size, found.st_mtime_ns // 1_000_000, (found.st_ino, found.st_mtime_ns))

    def names(self) -> list[str]:
        """See `StoragePath.names`."""
        try:
            return sorted(os.listdir(self.address))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def read_bytes(self, start: int = 0) -> bytes:
        """See `StoragePath.read_bytes`."""
        with open(self.address, "rb") as file:
            file.seek(start)
            return file.read()

    def open(self) -> "pa.NativeFile":
        """See `StoragePath.open`."""
        import pyarrow as pa

        return pa.OSFile(self.address)

    def local_file(self) -> str:
        """See `StoragePath.local_file`; it is its own."""
        return self.address

    def write(self, content: bytes) -> None:
        """See `StoragePath.write`."""
        write_atomically(Path(self.address), content)

    def write_new(self, content: bytes) -> None:
        """See `StoragePath.write_new`."""
        write_new(Path(self.address), content)

    def append(self, content: bytes, at: int) -> None:
        """See `StoragePath.append`."""
        with open(self.address, "ab") as file:
            file.truncate(at)
            file.write(content)

    def create(self) -> "pa.NativeFile":
        """See `StoragePath.create`."""
        import pyarrow as pa

        os.makedirs(self.parent.address, exist_ok=True)
        return pa.OSFile(self.address, "wb")

    def delete(self) -> None:
        """See `StoragePath.delete`."""
        os.unlink(self.address)

    @contextmanager
    def held(self) -> Iterator[None]:
        """See `StoragePath.held`; by a lock of the operating system."""
        os.makedirs(self.address, exist_ok=True)
        descriptor = os.open(self.address, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)  # and with it the lock

    def require_readable(self) -> None:
        """See `StoragePath.require_readable`."""
        require_looking_into(folder := Path(self.address))
        require_looking_into(*(folder.iterdir() if folder.is_dir() else ()))
