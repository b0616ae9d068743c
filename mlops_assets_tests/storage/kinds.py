"""The kinds of storage that keep the contract: local files, and two that are none, so that nobody relies on paths."""

import io
import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from mlops_assets.storage.local import LocalPath
from mlops_assets.storage.opening import storage_at
from mlops_assets.storage.path import FileStatus, StoragePath

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass
class Bucket:
    """What a storage in memory holds: whole objects by their address, as an object store does.

    Args:
        copies: Where copies are put for who reads local files alone.
    """

    copies: Path
    objects: dict[str, tuple[bytes, int]] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)
    holders: threading.RLock = field(default_factory=threading.RLock)
    times: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def put(self, address: str, content: bytes) -> None:
        with self.lock:
            self.objects[address] = (content, next(self.times))


@dataclass(frozen=True, order=True)
class MemoryPath(StoragePath):
    bucket: Bucket = field(compare=False)

    def exists(self) -> bool:
        return self.address in self.bucket.objects or bool(self.names())

    def status(self) -> FileStatus:
        content, time = self._object()
        return FileStatus(len(content), time, time)

    def names(self) -> list[str]:
        inside = f"{self.address}/"
        found = (address.removeprefix(inside) for address in list(self.bucket.objects) if address.startswith(inside))
        return sorted({rest.partition("/")[0] for rest in found})

    def read_bytes(self, start: int = 0) -> bytes:
        return self._object()[0][start:]

    def open(self) -> "pa.NativeFile":
        import pyarrow as pa

        return pa.BufferReader(self._object()[0])

    def local_file(self) -> str:
        content, time = self._object()
        copy = self.bucket.copies / f"{time}-{self.name}"
        copy.write_bytes(content)
        return str(copy)

    def write(self, content: bytes) -> None:
        self.bucket.put(self.address, content)

    def write_new(self, content: bytes) -> None:
        with self.bucket.lock:
            if self.address in self.bucket.objects:
                raise FileExistsError(self.address)
            self.bucket.put(self.address, content)

    def append(self, content: bytes, at: int) -> None:
        before = self.read_bytes() if self.address in self.bucket.objects else b""
        self.bucket.put(self.address, before[:at] + content)

    def create(self) -> "pa.NativeFile":
        import pyarrow as pa

        return pa.PythonFile(_Put(self), mode="w")

    def delete(self) -> None:
        self._object()
        del self.bucket.objects[self.address]

    @contextmanager
    def held(self) -> Iterator[None]:
        with self.bucket.holders:
            yield

    def require_readable(self) -> None:
        pass  # who may not look gets an error, and never an empty list

    def _object(self) -> tuple[bytes, int]:
        try:
            return self.bucket.objects[self.address]
        except KeyError:
            raise FileNotFoundError(2, "no such object", self.address) from None


class _Put(io.BytesIO):
    """Becomes an object once it is closed."""

    def __init__(self, path: MemoryPath) -> None:
        super().__init__()
        self._path = path

    def close(self) -> None:
        if not self.closed:
            self._path.write(self.getvalue())
        super().close()


@dataclass(frozen=True, order=True)
class UriPath(StoragePath):
    """Local files that are known by their URI alone, which Delta reads, and the machine does not."""

    def at(self, address: str) -> Self:
        return type(self)(address if address.startswith("file://") else f"file://{address}")

    @property
    def _local(self) -> LocalPath:
        return LocalPath(self.address.removeprefix("file://"))

    def exists(self) -> bool:
        return self._local.exists()

    def status(self) -> FileStatus:
        return self._local.status()

    def names(self) -> list[str]:
        return self._local.names()

    def read_bytes(self, start: int = 0) -> bytes:
        return self._local.read_bytes(start)

    def open(self) -> "pa.NativeFile":
        return self._local.open()

    def local_file(self) -> str:
        return self._local.address

    def write(self, content: bytes) -> None:
        self._local.write(content)

    def write_new(self, content: bytes) -> None:
        self._local.write_new(content)

    def append(self, content: bytes, at: int) -> None:
        self._local.append(content, at)

    def create(self) -> "pa.NativeFile":
        return self._local.create()

    def delete(self) -> None:
        self._local.delete()

    @contextmanager
    def held(self) -> Iterator[None]:
        with self._local.held():
            yield

    def require_readable(self) -> None:
        self._local.require_readable()


def in_memory(folder: Path) -> StoragePath:
    (copies := folder / "copies").mkdir()
    return MemoryPath("memory://bucket/home", Bucket(copies))


KINDS: dict[str, Callable[[Path], StoragePath]] = {
    "local": lambda folder: storage_at(folder / "home"),
    "uri": lambda folder: UriPath(f"file://{folder}/home"),
    "memory": in_memory,
}
"""An empty storage of each kind; it may use a folder of this machine. A further kind is one line here."""
