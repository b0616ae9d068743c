"""The one interface through which tables, deliveries and reports are read and written, wherever they lie.

It asks for no more than an object store gives: whole objects that are replaced at once, one that is written only where
there is none, ranges of bytes, and lists of names. A folder is there as long as something lies in it.
"""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, Self

if TYPE_CHECKING:
    import pyarrow as pa


class FileStatus(NamedTuple):
    """What is known of a file without reading it.

    Args:
        size: In bytes.
        changed_ms: When it was written, by the storage's clock, in milliseconds since 1970.
        stamp: Is another one once the file has another content.
    """

    size: int
    changed_ms: int
    stamp: Hashable


@dataclass(frozen=True, order=True)
class StoragePath(ABC):
    """A file, or a folder of files, in some storage; whether it is there or not.

    What is asked of a file that is not there raises `FileNotFoundError`, what the storage refuses another `OSError`.

    Args:
        address: What Delta and Spark find it by, and people: the path of a local file, otherwise a URI.
    """

    address: str

    def __str__(self) -> str:
        return self.address

    def __truediv__(self, name: str) -> Self:
        return self.at(f"{self.address}/{name}")

    def at(self, address: str) -> Self:
        """What lies in the same storage at an address, such as those that Delta tells of a table's files."""
        return replace(self, address=address)

    @property
    def name(self) -> str:
        """The last part of the address."""
        return self.address.rpartition("/")[2]

    @property
    def parent(self) -> Self:
        """The folder that it lies in."""
        return self.at(self.address.rpartition("/")[0])

    @property
    def delta_options(self) -> Mapping[str, str] | None:
        """What Delta needs beside the address to get there, such as a region and credentials."""
        return None

    @abstractmethod
    def exists(self) -> bool:
        """Whether the file, or something in the folder, is there."""

    @abstractmethod
    def status(self) -> FileStatus:
        """Size and stamp of the file; one look, and nothing is read."""

    @abstractmethod
    def names(self) -> list[str]:
        """The names of what lies directly in the folder, in their order; none where it is not there."""

    @abstractmethod
    def read_bytes(self, start: int = 0) -> bytes:
        """The content of the file, from a byte on."""

    @abstractmethod
    def open(self) -> "pa.NativeFile":
        """The file, to be read from any place; who opens it closes it."""

    @abstractmethod
    def local_file(self) -> str:
        """A path of this machine with the file's content, for who reads nothing else, such as DuckDB.

        Of a file that never changes: a storage elsewhere may keep a copy.
        """

    @abstractmethod
    def write(self, content: bytes) -> None:
        """Write the file whole, in the place of one that is there; killed in the middle, the old one stays."""

    @abstractmethod
    def write_new(self, content: bytes) -> None:
        """Write the file whole where there is none.

        Raises:
            FileExistsError: Somebody wrote it, if only at the same time; theirs stays as it is.
        """

    @abstractmethod
    def append(self, content: bytes, at: int) -> None:
        """Put content at the end of a file, which is cut off at a byte before; for who holds its folder.

        A file that is not there is an empty one. Killed in the middle, a part of the content may stand there.
        """

    @abstractmethod
    def create(self) -> "pa.NativeFile":
        """A new file to write a long content into; until it is closed, a part of it may lie there, or nothing."""

    @abstractmethod
    def delete(self) -> None:
        """Delete the file."""

    @abstractmethod
    def held(self) -> AbstractContextManager[None]:
        """Wait until nobody else holds the folder, and hold it meanwhile; a process that ends holds nothing."""

    @abstractmethod
    def require_readable(self) -> None:
        """See that this user may look into the folder and those directly in it, so that none counts as empty.

        Raises:
            UnusableEnvironmentError: They may not.
        """
