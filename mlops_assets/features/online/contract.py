"""What every online store does, and the small values that it is asked with. Same question, same answer in each.

A table is published into a *space* of its own for each generation: key and row, as bytes. Applications read the space
that is *served*; another one is filled beside it, and served once it is whole.

**Guard.** Every row carries the position that its answer was read from: the platform clock's moment of reading, and
the table's Delta version that was read. Both only grow, and what is known of a key grows with them; so of two answers
read from positions of which one is at or behind the other in both parts, the later one holds. (A row's own known_at
and seq cannot order them: a seq counts within a period, and a removal brings an older state back.) A write is done
where both parts are at least those of the row that is there, and left out as older where none is greater. Where one is
greater and one is less, neither answer need be right: the publisher reads anew. A removed row leaves its guard behind.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from mlops_assets.errors import ConflictError, MissingDataError
from mlops_assets.lakehouse.schema import ColumnType


@dataclass(frozen=True)
class Layout:
    """What keys and rows of a space hold.

    Args:
        table: The table that is published.
        generation: Its generation.
        keys: Names and types of its keys, in the order of the schema.
        columns: Names and types of what a row holds, in the order of the schema: neither keys nor timestamp.
        static: Whether the table has no time.
    """

    table: str
    generation: str
    keys: tuple[tuple[str, ColumnType], ...]
    columns: tuple[tuple[str, ColumnType], ...]
    static: bool


@dataclass(frozen=True)
class Space:
    """Where the rows of one layout lie.

    Args:
        number: Of no other space, in no store, ever.
        layout: What its keys and rows hold.
    """

    number: int
    layout: Layout


class Guard(NamedTuple):
    """The position that answers were read from.

    Args:
        known_us: The platform clock's moment, in microseconds since 1970.
        version: The table's Delta version.
    """

    known_us: int
    version: int


class Entry(NamedTuple):
    """The answer of one key.

    Args:
        key: The key as bytes.
        row: The row as bytes; None where there is no answer.
        event_us: The row's event_time in microseconds since 1970; 0 where there is no answer.
    """

    key: bytes
    row: bytes | None
    event_us: int


@dataclass
class Outcome:
    """What became of some entries.

    Args:
        written: Rows that are new or other than before.
        unchanged: Rows that were there already; they carry the newer guard now.
        removed: Rows that are gone.
        older: Entries left out, because what is there was read later.
        crossing: Keys whose answer must be read anew.
        read_from_us: Of the rows that are there of these, the latest moment of reading; another machine's clock may go
            before.
    """

    written: int = 0
    unchanged: int = 0
    removed: int = 0
    older: int = 0
    crossing: list[bytes] = field(default_factory=list)
    read_from_us: int = 0

    def add(self, other: "Outcome") -> None:
        """Count another one in."""
        self.written += other.written
        self.unchanged += other.unchanged
        self.removed += other.removed
        self.older += other.older
        self.crossing += other.crossing
        self.read_from_us = max(self.read_from_us, other.read_from_us)


class Published(NamedTuple):
    """Up to where the states of a period were published.

    Args:
        seq: The greatest seq.
        guard: The position that they were read from.
    """

    seq: int
    guard: Guard


def unpublished(table: str, found: str, expected: str = "a table that was published") -> MissingDataError:
    """The error of a table of which not all was published that is asked for."""
    cure = f"materialize {table}/online, or run: mlops-assets features rebuild-online {table}"
    return MissingDataError(found, expected, cure)


class SpaceGoneError(ConflictError):
    """The space that is written to was replaced by another one meanwhile; nothing was written."""

    def __init__(self, space: Space) -> None:
        super().__init__(
            f"the published rows of '{space.layout.table}' that are written to were replaced meanwhile",
            "one rebuilding of a table at a time",
            "publish it again",
        )


class OnlineStore(Protocol):
    """Keeps rows for applications; safe to use from several threads. All methods raise `StoreUnavailableError`."""

    def read(self, asked: Sequence[tuple[str, Sequence[bytes]]]) -> list[tuple[int | None, list[bytes | None]]]:
        """The rows of some keys of some tables, in one call where the store can; never half a row.

        Args:
            asked: Tables and keys.

        Returns:
            For each table the number of the space that is served (None: nothing was published), and the row of each
            key, in their order.
        """
        ...

    def served(self, table: str) -> Space | None:
        """The space that applications read; None before the first was whole."""
        ...

    def begin(self, layout: Layout, *, fresh: bool) -> Space:
        """A space that is not served, to fill: one that was begun before (unless ``fresh``), or a new one."""
        ...

    def write(self, space: Space, entries: Sequence[Entry], guard: Guard) -> Outcome:
        """Write the answers of keys, each whole or not at all, where their guard allows it; no key comes twice.

        Raises:
            SpaceGoneError: The space was replaced by another one.
        """
        ...

    def expire(self, space: Space, until_us: int) -> int:
        """Remove the rows whose event_time is at most a moment; gives how many."""
        ...

    def published(self, space: Space, periods: Collection[str]) -> Mapping[str, Published]:
        """Up to where periods were published; those that never were are left out."""
        ...

    def record(self, space: Space, published: Mapping[str, Published]) -> None:
        """Remember up to where periods were published, by period key.

        Raises:
            SpaceGoneError: The space was replaced by another one.
        """
        ...

    def serve(self, space: Space) -> None:
        """Let applications read this space from now on, in one step; all others of the table are gone then.

        Raises:
            SpaceGoneError: The space was replaced by another one.
        """
        ...

    def clean(self, table: str) -> None:
        """Delete the rows of a table's spaces that are gone."""
        ...

    def rows(self, space: Space) -> Iterator[tuple[bytes, bytes]]:
        """All keys and rows of a space, in no order; those written meanwhile may be left out."""
        ...

    def check(self) -> None:
        """See that the store answers."""
        ...
