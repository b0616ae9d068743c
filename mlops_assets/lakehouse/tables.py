"""The two kinds of tables: states of rows, which are only ever appended, and one set of rows for each period."""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from mlops_assets.errors import MissingDataError
from mlops_assets.lakehouse.content_hash import content_hash
from mlops_assets.lakehouse.delta import DeltaFolder
from mlops_assets.lakehouse.delta_log import period_of
from mlops_assets.lakehouse.periods import Period
from mlops_assets.lakehouse.schema import STATE_COLUMNS, STATIC_PERIOD, TableSchema

if TYPE_CHECKING:
    import pyarrow as pa


HashFiles = Callable[["StateTable", Mapping[str, tuple[str, ...]]], Mapping[str, str]]
"""Hashes the states of a table in the files of some partitions, by period key."""


@dataclass(frozen=True, order=True)
class StateMoment:
    """When some states of a partition became known, in which commit of it they came, and how many they are."""

    known_at: datetime
    seq: int
    states: int = 1


@dataclass(frozen=True)
class StateTable:
    """A table that keeps states of rows (docs/concepts.md#states).

    Args:
        delta: Where the states lie.
        schema: Key, timestamp and columns.
    """

    delta: DeltaFolder
    schema: TableSchema

    @property
    def name(self) -> str:
        """What people call the table."""
        return self.delta.name

    @property
    def hashed_columns(self) -> tuple[str, ...]:
        """What a data version covers: the user's columns, event_time, known_at and removed; never a write time.

        In the order of names, so that it does not depend on the order in which the columns are declared.
        """
        return (*sorted(self.schema.names), *(name for name in STATE_COLUMNS if name != "seq"))

    def files(self, first: Period | None = None, last: Period | None = None, version: int | None = None) -> list[str]:
        """The Parquet files that hold the states of the periods from first to last, or of all."""
        if first is None or last is None or self.schema.timestamp is None:
            return self.delta.files(None, version)
        return self.delta.files((first.key, last.key), version)

    def narrowed(self, columns: "Container[str] | None") -> "StateTable":
        """The table as somebody sees it who reads its key, its timestamp and some columns; None reads all."""
        return self if columns is None else replace(self, schema=self.schema.narrowed(columns))

    def absent(self, files: Sequence[str]) -> dict[str, bool]:
        """The columns that some data files were written without, and whether all were: there they are null."""
        written = self.delta.columns_of(files) if files else set()
        return {
            name: not any(name in columns for columns in written)
            for name in self.schema.names
            if not all(name in columns for columns in written)
        }

    def states(self, first: Period | None = None, last: Period | None = None, version: int | None = None) -> "pa.Table":
        """All states of the periods from first to last (or of all), as stored but for ``period``; in no order."""
        return _read(self.delta, self.files(first, last, version), _without_period(self.schema.stored()))

    def newest_period(self) -> Period | None:
        """The newest period that it holds states of; None of a static table, and where it holds none."""
        key = None if self.schema.timestamp is None else self.delta.newest_period()
        return None if key is None else self.schema.calendar.at_key(key)

    def newest_first(self, first: Period | None) -> Iterator[Period]:
        """The periods from the newest that it holds states of back to the first; none of a static table."""
        period = self.newest_period()
        while first and period and period >= first:
            yield period
            period = self.schema.calendar.shift(period, -1)

    def data_version(self, period: Period | None) -> str:
        """The content hash of a partition: of a period, or (None) of a static table.

        It covers what was known and from when, in the columns that the table had when the partition was written: one
        that was declared later changes nothing in it. A state that was replaced at its own moment was never known,
        and one that repeats the state before it says nothing: neither counts, so that a table that was corrected and
        one that was built anew from the same inputs have the same hash.
        """
        (version,) = self.data_versions([period] if period else []).values()
        return version

    def data_versions(
        self, periods: Sequence[Period], version: int | None = None, hash_files: "HashFiles | None" = None
    ) -> dict[str, str]:
        """The content hash of each partition, by period key; of a static table the only one.

        A data file never changes, so a hash is kept in memory for as long as a partition has the same files.

        Args:
            periods: Which partitions.
            version: Delta version to hash; None for the newest.
            hash_files: What hashes the states in the files of some partitions; None for this process.
        """
        files = self._files_by_period(periods, version, proven=True)
        found = {key: _DATA_VERSIONS[self, of] for key, of in files.items() if (self, of) in _DATA_VERSIONS}
        unknown = {key: of for key, of in files.items() if key not in found}
        if unknown:
            hashed = self._hashed(unknown, hash_files or _hash_here)
            if len(_DATA_VERSIONS) > 10_000:
                _DATA_VERSIONS.clear()
            _DATA_VERSIONS.update({(self, files[key]): hash_ for key, hash_ in hashed.items()})
            found |= hashed
        return {key: found[key] for key in files}

    def _hashed(self, files: Mapping[str, tuple[str, ...]], hash_files: "HashFiles") -> dict[str, str]:
        """The hashes of partitions, asked for together where they were written with the same columns."""
        alike: dict[frozenset[str], dict[str, tuple[str, ...]]] = {}
        for key, of in files.items():
            absent = frozenset(name for name, everywhere in self.absent(of).items() if everywhere)
            alike.setdefault(absent, {})[key] = of
        hashed: dict[str, str] = {}
        for absent, of_these in alike.items():
            hashed |= hash_files(self.narrowed({*self.schema.names} - absent), of_these)
        return hashed

    def moments(self, first: Period | None, last: Period | None) -> dict[str, tuple[StateMoment, ...]]:
        """When the states of each period from first to last (of a static table: all) became known, by period key."""
        periods = list(self.schema.calendar.between(first, last)) if first is not None and last is not None else []
        return {key: _moments(self, files) for key, files in self._files_by_period(periods).items()}

    def _files_by_period(
        self, periods: Sequence[Period], version: int | None = None, *, proven: bool = False
    ) -> dict[str, tuple[str, ...]]:
        """The files of each partition, by period key, from one look at the table: each look takes milliseconds."""
        keys = self.period_keys(periods)
        if not keys:
            return {}
        listed: dict[str, list[str]] = {key: [] for key in keys}
        for file in self.delta.files((min(keys), max(keys)), version, proven=proven):
            key = period_of(file)
            if key in listed:
                listed[key].append(file)
        return {key: tuple(files) for key, files in listed.items()}

    def period_keys(self, periods: Iterable[Period]) -> list[str]:
        """What the stored column ``period`` holds for these periods."""
        return [STATIC_PERIOD] if self.schema.timestamp is None else [period.key for period in periods]


@dataclass(frozen=True)
class PeriodTable:
    """A table with one set of rows for each period; writing a period again replaces its rows.

    Args:
        delta: Where the rows lie.
    """

    delta: DeltaFolder

    def read(self, periods: Sequence[str] | None = None, version: int | None = None) -> "pa.Table | None":
        """The rows of some periods, or of all; None where the table was never written."""
        import pyarrow as pa

        if not self.delta.exists():
            return None
        bounds = (min(periods), max(periods)) if periods else None
        files = self.delta.files(bounds, version, proven=True)
        table = _read(self.delta, files, None) if files else None
        if table is None:
            return None
        if periods is None:
            return table
        import pyarrow.compute as pc

        return table.filter(pc.is_in(table["period"], pa.array(list(periods), pa.string())))

    def write(self, period: str, rows: "pa.Table") -> str:
        """Replace the rows of a period, unless they are the same already.

        Returns:
            The data version: the content hash of the rows.
        """
        import pyarrow as pa

        data_version = content_hash(rows, rows.column_names)
        counters = self.delta.counters([period])
        kept = self._kept(period)
        same_columns = kept is not None and kept.schema.equals(rows.schema)
        if kept is not None and same_columns and content_hash(kept, rows.column_names) == data_version:
            return data_version
        column = pa.array([period] * rows.num_rows, pa.string())
        self.delta.replace(rows.append_column("period", column), counters)
        return data_version

    def add(self, period: str, rows: "pa.Table") -> None:
        """Write the rows of a period that was never written.

        Raises:
            ConflictError: It was written, if only at the same time; nothing was written.
        """
        import pyarrow as pa

        self.delta.append(rows.append_column("period", pa.array([period] * rows.num_rows, pa.string())), {period: 0})

    def data_version(self, period: str) -> str | None:
        """The content hash of a period's rows, or None where it was never written."""
        rows = self._kept(period)
        return None if rows is None else content_hash(rows, rows.column_names)

    def _kept(self, period: str) -> "pa.Table | None":
        """The rows of a period as they were written; none is also a result. None where it was never written."""
        if not self.delta.counters([period])[period]:
            return None
        stored = self.read([period])
        if stored is None:
            stored = self.delta.schema().empty_table()
        return stored.drop_columns(["period"])


def _hash_here(table: StateTable, files: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    schema = _without_period(table.schema.stored())
    read = {key: _read(table.delta, of, schema) for key, of in files.items()}
    return {key: content_hash(that_were_known(table, states), table.hashed_columns) for key, states in read.items()}


_DATA_VERSIONS: dict[tuple[StateTable, tuple[str, ...]], str] = {}
"""Of the partitions that this process asked for, by table and files."""


@lru_cache(maxsize=10_000)
def _moments(table: StateTable, files: tuple[str, ...]) -> tuple[StateMoment, ...]:
    places = table.schema.stored().empty_table().select(["known_at", "seq"]).schema
    rows = _read(table.delta, files, places).group_by(places.names).aggregate([([], "count_all")])
    return tuple(sorted(StateMoment(row["known_at"], row["seq"], row["count_all"]) for row in rows.to_pylist()))


def that_were_known(table: StateTable, states: "pa.Table") -> "pa.Table":
    """The states of a partition without those that were replaced at their own moment, or that repeat the one before.

    A removal says that a row is gone; its columns are those of the state before it, whichever were there when it was
    appended: a state that came later may have taken that one's place.
    """
    names = [*table.schema.keys, "event_time"]
    if states.group_by(names).aggregate([]).num_rows == states.num_rows:
        return states
    in_order = states.append_column("row", [list(range(states.num_rows))]).sort_by(
        [(name, "ascending") for name in (*names, "known_at", "seq")]
    )
    values = [repr(row) for row in in_order.select(table.schema.names).to_pylist()]  # NaN equals NaN
    removed = in_order.column("removed").to_pylist()
    keys = in_order.select(names).to_pylist()
    moments, rows = in_order.column("known_at").to_pylist(), in_order.column("row").to_pylist()
    kept: list[tuple[int, int]] = []
    last: tuple[str, bool, int] | None = None
    for place, key in enumerate(keys):
        following = place + 1
        begins = place == 0 or keys[place - 1] != key
        last = None if begins else last
        if following < len(keys) and keys[following] == key and moments[following] == moments[place]:
            continue
        said = values[place], removed[place], rows[place]
        if removed[place] and last is not None:
            said = last[0], True, last[2]
        if last is None or said[:2] != last[:2]:
            kept.append((rows[place], said[2]))
        last = said
    kept.sort()
    found, shown = (states.take(list(numbers)) for numbers in zip(*kept, strict=True))
    for name in table.schema.names:
        found = found.set_column(found.column_names.index(name), name, shown.column(name))
    return found


def _read(delta: DeltaFolder, files: Sequence[str], schema: "pa.Schema | None") -> "pa.Table":
    """Read whole Parquet files of a table; Delta keeps the partition column in their folder's name."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables = []
    for file in files:
        try:
            with delta.file(file).open() as content:
                table = pq.ParquetFile(content).read(columns=schema.names if schema else None)
        except (OSError, ValueError) as error:
            raise MissingDataError(
                f"data file {file} cannot be read ({error})",
                "a whole Parquet file",
                "restore the file from a backup, or delete the table's folder and build it again",
            ) from error
        if schema is not None:
            for field in schema:
                if field.name not in table.column_names:  # written before the column was declared
                    table = table.append_column(field, pa.nulls(table.num_rows, field.type))
            tables.append(table.select(schema.names).cast(schema))
            continue
        tables.append(table.append_column("period", pa.array([period_of(file)] * table.num_rows, pa.string())))
    if not tables:
        return (schema or pa.schema([])).empty_table()
    return pa.concat_tables(tables, promote_options="default")  # some may be older than a column


def _without_period(schema: "pa.Schema") -> "pa.Schema":
    return schema.remove(schema.get_field_index("period"))
