"""What is kept of each column in each period: enough to compare periods with one another, column by column.

A number's values become at most `MAX_POINTS` quantiles, a category's the rows of each level. So a reference of any
size is read once, and what is compared with it later is small.
"""

import io
import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mlops_assets.errors import ContractError
from mlops_assets.lakehouse.exact import decoded, doubles, finite
from mlops_assets.storage.path import StoragePath

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

    Floats = npt.NDArray[np.float64]
    Counts = npt.NDArray[np.int64]

MAX_POINTS = 1_000
"""More values than these are kept as so many quantiles: of a normal column they err by less than 0.001 deviations."""

MAX_LEVELS = 2_000
"""Of more levels, those with the fewest rows are kept as one, and a new level cannot be told from them."""


@dataclass(frozen=True, eq=False)
class Numbers:
    """A column of numbers, a value of each field for each period.

    Args:
        nulls: Rows without a finite value.
        points: Its values in their order, or quantiles in their place, each of which stands for as many rows.
        mean: Of the values; NaN where there are none.
        variance: Of the values, from their mean; NaN where there are none.
        known: How many rows have a value.
    """

    nulls: "Counts"
    points: "tuple[Floats, ...]"
    mean: "Floats"
    variance: "Floats"
    known: "Floats"

    def at(self, places: list[int]) -> "Numbers":
        """The column in some of the periods, by their places."""
        points = tuple(self.points[place] for place in places)
        return Numbers(self.nulls[places], points, self.mean[places], self.variance[places], self.known[places])


@dataclass(frozen=True, eq=False)
class Categories:
    """A column of categories.

    Args:
        nulls: Rows without a value, of each period.
        levels: The levels that any period has, in their order.
        counts: Rows by period and level.
        all_levels: Whether each level stands for itself.
    """

    nulls: "Counts"
    levels: tuple[str, ...]
    counts: "Counts"
    all_levels: bool = True


@dataclass(frozen=True, eq=False)
class Summaries:
    """The columns of some rows, by period.

    Args:
        periods: Keys of the periods, in their order.
        rows: Rows of each period.
        numbers: The columns of numbers, by name.
        categories: The columns of categories, by name.
    """

    periods: tuple[str, ...]
    rows: "Counts"
    numbers: Mapping[str, Numbers] = field(default_factory=dict)
    categories: Mapping[str, Categories] = field(default_factory=dict)

    def at(self, places: Sequence[int]) -> "Summaries":
        """Some of the periods, by their places."""
        chosen = list(places)
        return Summaries(
            tuple(self.periods[place] for place in chosen),
            self.rows[chosen],
            {name: column.at(chosen) for name, column in self.numbers.items()},
            {
                name: replace(column, nulls=column.nulls[chosen], counts=column.counts[chosen])
                for name, column in self.categories.items()
            },
        )


def summarize(
    rows: "pa.Table", periods: Sequence[str], *, numbers: Sequence[str], categories: Sequence[str]
) -> Summaries:
    """Summarize rows by their period, a column at a time.

    Args:
        rows: With the columns; in any order.
        periods: The key of each row's period.
        numbers: Columns of numbers or booleans. Null, NaN and infinite values count as null.
        categories: Columns that can be written as text. An empty text is a level, null is none.

    Raises:
        ContractError: A column is missing, or of another type.
    """
    missing = sorted({*numbers, *categories} - {*rows.column_names})
    if missing:
        raise ContractError(
            f"rows without the column {', '.join(missing)}",
            f"the columns {', '.join(sorted([*numbers, *categories]))}",
            "score the period again, or correct the names that are monitored",
        )
    keys, of_row = by_period(periods)
    order = np.argsort(of_row, kind="stable") if len(keys) > 1 else np.arange(len(periods))
    ends = np.cumsum(np.bincount(of_row, minlength=len(keys))) if len(keys) else np.zeros(0, np.int64)
    places = [order[first:last] for first, last in zip([0, *ends[:-1]], ends, strict=True)]
    return Summaries(
        tuple(keys),
        np.array([len(place) for place in places], np.int64),
        {name: _numbers(rows.column(name), name, places) for name in numbers},
        {name: _categories(rows.column(name), name, of_row, len(keys)) for name in categories},
    )


def by_period(periods: Sequence[str]) -> "tuple[list[str], Counts]":
    """The keys of some rows' periods in their order, and the place of each row's among them."""
    keys = sorted(set(periods))
    if len(keys) < 2:  # all rows are its own, and are not looked at one by one
        return keys, np.zeros(len(periods), np.int64)
    place_of = {key: place for place, key in enumerate(keys)}
    return keys, np.fromiter(map(place_of.__getitem__, periods), np.int64, len(periods))


def _numbers(column: "pa.ChunkedArray", name: str, places: "Sequence[Any]") -> Numbers:
    import pyarrow as pa

    kind = column.type
    if not (is_number(kind) or pa.types.is_boolean(kind) or pa.types.is_null(kind)):
        raise _wrong_type(name, kind, "a column of numbers or booleans")
    values = doubles(finite(column)).to_numpy()
    by_period = [np.sort(values[place]) for place in places]  # NaN comes last
    known = [part[: len(part) - int(np.isnan(part).sum())] for part in by_period]
    with np.errstate(over="ignore"):  # of squares of numbers beyond 1e154, which are infinite then
        return Numbers(
            np.array([len(part) - len(kept) for part, kept in zip(by_period, known, strict=True)], np.int64),
            tuple(map(_points, known)),
            np.array([kept.mean() if len(kept) else np.nan for kept in known]),
            np.array([kept.var() if len(kept) else np.nan for kept in known]),
            np.array([len(kept) for kept in known], np.float64),
        )


def _points(ordered: "Floats") -> "Floats":
    if len(ordered) <= MAX_POINTS:
        return ordered
    return ordered[((np.arange(MAX_POINTS) + 0.5) * (len(ordered) / MAX_POINTS)).astype(np.int64)]


def _categories(column: "pa.ChunkedArray", name: str, of_row: "Counts", periods: int) -> Categories:
    import pyarrow as pa
    import pyarrow.compute as pc

    column = decoded(column)
    if is_number(column.type):  # the same level is 1 in a table of integers, and 1.0 once nulls made it one of doubles
        column = pc.cast(doubles(finite(column)), pa.string())
    try:
        encoded = pc.cast(column, pa.string()).combine_chunks().dictionary_encode()
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        raise _wrong_type(name, column.type, "a column that can be written as text") from None
    levels, codes = np.array(encoded.dictionary.to_pylist(), dtype=object), encoded.indices.fill_null(-1).to_numpy()
    known = codes >= 0
    nulls = np.bincount(of_row[~known], minlength=periods).astype(np.int64)
    kept = np.argsort(-np.bincount(codes[known], minlength=len(levels)), kind="stable")[:MAX_LEVELS]
    ordered = kept[np.argsort(levels[kept].astype(str), kind="stable")]
    place = np.full(len(levels), len(ordered))  # of those that are not kept: the last
    place[ordered] = np.arange(len(ordered))
    width = len(ordered) + (len(levels) > len(ordered))
    cells = of_row[known] * width + place[codes[known]]
    counts = np.bincount(cells, minlength=periods * width).reshape(periods, width).astype(np.int64)
    names = [*map(str, levels[ordered]), *([""] if width > len(ordered) else [])]
    return Categories(nulls, tuple(names), counts, width == len(ordered))


def is_number(kind: "pa.DataType") -> bool:
    """Whether values of a type are numbers; booleans are none."""
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _wrong_type(name: str, kind: object, expected: str) -> ContractError:
    return ContractError(
        f"column '{name}' of type {kind}", expected, "declare it as the other kind, or leave it out of what is compared"
    )


def write_summaries(file: StoragePath, summaries: Summaries) -> None:
    """Keep summaries in a file, atomically; they hold values, as the rows do."""
    arrays: dict[str, Any] = {"periods": np.array(summaries.periods), "rows": summaries.rows}
    for name, column in summaries.numbers.items():
        flat = np.concatenate(column.points) if column.points else np.zeros(0)
        lengths = np.array([len(points) for points in column.points], np.int64)
        parts = zip(_OF_NUMBERS, (column.nulls, flat, lengths, column.mean, column.variance, column.known), strict=True)
        arrays |= {f"{part}/{name}": values for part, values in parts}
    for name, levels in summaries.categories.items():
        texts = json.dumps(levels.levels).encode()  # as bytes: NumPy's own texts lose what ends with NUL
        found = (levels.nulls, np.frombuffer(texts, np.uint8), levels.counts, np.array(levels.all_levels))
        arrays |= {f"{part}/{name}": values for part, values in zip(_OF_CATEGORIES, found, strict=True)}
    held = io.BytesIO()
    np.savez_compressed(held, **arrays)
    file.write(held.getvalue())


def read_summaries(file: StoragePath) -> Summaries | None:
    """The summaries in a file; None where there is none that can be read: they can be made anew."""
    try:
        with np.load(io.BytesIO(file.read_bytes()), allow_pickle=False) as arrays:
            return _from_arrays(arrays)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None


_OF_NUMBERS = ("nulls of number", "points", "lengths", "mean", "variance", "known")
_OF_CATEGORIES = ("nulls of category", "levels", "counts", "all levels")


def _from_arrays(arrays: Any) -> Summaries:
    def names(part: str) -> Iterator[str]:
        return (key.removeprefix(f"{part}/") for key in arrays.files if key.startswith(f"{part}/"))

    numbers, categories = {}, {}
    for name in names("points"):
        nulls, flat, lengths, mean, variance, known = (arrays[f"{part}/{name}"] for part in _OF_NUMBERS)
        points = tuple(np.split(flat, np.cumsum(lengths)[:-1])) if len(lengths) else ()
        numbers[name] = Numbers(nulls, points, mean, variance, known)
    for name in names("levels"):
        nulls, texts, counts, all_levels = (arrays[f"{part}/{name}"] for part in _OF_CATEGORIES)
        levels = tuple(json.loads(texts.tobytes()))
        categories[name] = Categories(nulls, levels, counts, bool(all_levels))
    return Summaries(tuple(map(str, arrays["periods"])), arrays["rows"], numbers, categories)
