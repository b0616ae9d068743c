"""What was read of a delivery: its rows, and the values that are not of their column's type."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mlops_assets.quality.contract import BrokenContractError, wrong_structure
from mlops_assets.sources.values import WrongValue, plain

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class DeliveredFile:
    """The rows of one file of a delivery, in its order.

    Args:
        rows: Values of the declared types; null where a value is wrong.
        wrong: The wrong values, in the order of columns, then of rows.
        originals: The columns as they came, by name: texts, where the format knows nothing else.
        place: What a row's number (from 1) is, in words: ``row {} below the header``.
    """

    rows: "pa.Table"
    wrong: Sequence[WrongValue]
    originals: Mapping[str, Any]
    place: str


@dataclass(frozen=True)
class Delivered:
    """The rows of a delivery, one file after the other; a row's place in it counts from 1.

    Args:
        files: At least one.
    """

    files: Sequence[DeliveredFile]

    @cached_property
    def rows(self) -> "pa.Table":
        """Values of the declared types; null where a value is wrong."""
        import pyarrow as pa

        return pa.concat_tables([file.rows for file in self.files]).combine_chunks()

    @cached_property
    def wrong(self) -> tuple[WrongValue, ...]:
        """The wrong values, in the order of files, columns and rows."""
        found, before = [], 0
        for file in self.files:
            found += [replace(value, row=before + value.row) for value in file.wrong]
            before += file.rows.num_rows
        return tuple(found)

    def at(self, places: Iterable[int]) -> "pa.Table":
        """The rows at some places."""
        import pyarrow as pa

        return self.rows.take(pa.array((place - 1 for place in places), pa.int64()))

    def words(self, place: int) -> str:
        """A place in words: the row's number in its file."""
        file, row = self._inside(place)
        return file.place.format(row)

    def original(self, place: int) -> Mapping[str, Any]:
        """The values of a row as they came, by column."""
        file, row = self._inside(place)
        return {name: plain(values[row - 1]) for name, values in file.originals.items()}

    def refusal(self, table: str) -> BrokenContractError:
        """The error of the first wrong value, for a source that puts no rows aside."""
        first = self.wrong[0]
        return wrong_structure(
            f"{first.found} in column '{first.column}', {self.words(first.row)}",
            table,
            first.expected,
            "ask for a corrected file, or declare the type that the column has; nothing was written",
        )

    def _inside(self, place: int) -> tuple[DeliveredFile, int]:
        for file in self.files:
            if place <= file.rows.num_rows:
                return file, place
            place -= file.rows.num_rows
        raise IndexError(place)
