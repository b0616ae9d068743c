"""A project in a notebook: tables as known at a time, training sets, and predictions. Nothing here writes.

Example:
    >>> from mlops_assets import FeatureLookup, Project
    >>> project = Project.open("my_project")                                # doctest: +SKIP
    >>> project.table("order_trend").as_known_at("2024-02-14").to_pandas()  # doctest: +SKIP
    >>> training_set = project.create_training_set(                         # doctest: +SKIP
    ...     labels, [FeatureLookup("order_trend", lookback="2 days")], label="growth", timestamp="day")
    >>> training_set.to_pandas()                                            # doctest: +SKIP
    >>> project.training_set("orders_forecast").rows.to_pandas()            # doctest: +SKIP
    >>> project.score_batch("orders_forecast", keys).to_pandas()            # doctest: +SKIP
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import DefinitionError, MissingDataError, none_of
from mlops_assets.features.created_training_sets import FeatureLookup, look_up, periods_held
from mlops_assets.features.frames import arrow_rows, is_pandas, pandas_types
from mlops_assets.features.labels import newest_labelled
from mlops_assets.features.read_versions import Read, ReadVersions, read_again
from mlops_assets.features.training_sets import BuiltTrainingSet, build_training_set
from mlops_assets.lakehouse.home import Home
from mlops_assets.lakehouse.periods import Period, in_utc, parse_moment
from mlops_assets.lakehouse.tables import StateTable
from mlops_assets.models.batch import score_table
from mlops_assets.platform import Platform
from mlops_assets.project.folder import find_project
from mlops_assets.sources.quarantine import QuarantinedRow, quarantined

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

__all__ = ["Dataset", "FeatureLookup", "Predictions", "Project", "ReadVersions", "Table", "TrainingSet"]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Rows that were read, for any library of frames; also anything that takes an Arrow stream takes it.

    Args:
        rows: The rows.
        reads: What was read for them.
        read_at: The platform clock's moment of reading, UTC.
    """

    rows: "pa.Table"
    reads: tuple[Read, ...] = field(repr=False)
    read_at: datetime

    @cached_property
    def versions(self) -> ReadVersions:
        """What was read, by table: definition, Delta version and content; pass it to read the same again."""
        return ReadVersions(tuple(read.evidence() for read in self.reads), self.read_at)

    def to_arrow(self) -> "pa.Table":
        """As a table of Arrow, with the types that the lakehouse has: a bigint with nulls stays one."""
        return self.rows

    def to_polars(self) -> "pl.DataFrame":
        """As a frame of Polars.

        Raises:
            ModuleNotFoundError: Polars is not installed (``pip install 'mlops-assets[polars]'``).
        """
        import polars as pl

        frame = pl.from_arrow(self.rows)
        assert isinstance(frame, pl.DataFrame)
        return frame

    def to_pandas(self) -> "pd.DataFrame":
        """As a frame of pandas: bigint is Int64 and boolean is boolean, which hold nulls; dates are objects."""
        return self.rows.to_pandas(types_mapper=pandas_types)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.rows.__arrow_c_stream__(requested_schema)


@dataclass(frozen=True, eq=False)
class TrainingSet(Dataset):
    """The rows that were given, in their order and with all their columns, and the features looked up for them.

    Args:
        label: The columns that are to be predicted.
        features: The columns that were looked up.
        given: The pandas frame that the rows came from, or None.
    """

    label: tuple[str, ...]
    features: tuple[str, ...]
    given: "pd.DataFrame | None" = field(default=None, repr=False)

    def to_pandas(self) -> "pd.DataFrame":
        """As a frame of pandas: the columns given as they came (index too), features as `Dataset.to_pandas` says."""
        return super().to_pandas() if self.given is None else _beside(self.given, self.rows.select(list(self.features)))


@dataclass(frozen=True, eq=False)
class Predictions(Dataset):
    """The rows that were given, in their order and with all their columns, and what was predicted for them.

    Args:
        version: The version that predicted.
        added: The features that were looked up or computed; the prediction columns; ``version``;
            ``feature_versions``: the generation of each table that features were looked up in, as JSON; and
            ``as_of``, UTC, which takes the place of a column of this name.
        given: The pandas frame that the rows came from, or None.
    """

    version: int
    added: tuple[str, ...]
    given: "pd.DataFrame | None" = field(default=None, repr=False)

    def to_pandas(self) -> "pd.DataFrame":
        """As a frame of pandas: the columns given as they came (index too), others as `Dataset.to_pandas` says."""
        if self.given is None:
            return super().to_pandas()
        return _beside(self.given.drop(columns="as_of", errors="ignore"), self.rows.select(list(self.added)))


@dataclass(frozen=True)
class Table:
    """A source or feature table, to read."""

    platform: Platform
    states: StateTable

    def as_known_at(self, moment: str | date, *, version: int | None = None) -> Dataset:
        """The rows as they were known at a moment.

        Args:
            moment: A time; without a zone it is UTC. A text is a date, a date with time, or a month (its first
                instant).
            version: Delta version to read; None for the newest.

        Returns:
            The columns with ``event_time`` and ``known_at`` (UTC), ordered by key and time; no rows where nothing
            was known.
        """
        at = _moment(moment)
        read = self._read(periods_held(self.platform, self.states), version)
        rows = self.platform.engine.known_at(self.states, at, version=read.pinned)
        return Dataset(rows, (read,), self.platform.clock.now())

    def between(
        self,
        start: str | date,
        end: str | date,
        *,
        as_of: str | date | None = None,
        versions: ReadVersions | None = None,
    ) -> Dataset:
        """All rows whose time lies between two moments: no labels or keys are needed.

        Args:
            start: The first moment that counts; as in `as_known_at`.
            end: The first moment that no longer counts.
            as_of: None for each row as known when everything about its period was known (the period's as_of, at
                which a model spoke about it); ``"now"`` for today's corrected values, by the platform's clock; or a
                moment. A moment that has not come yet, and the as_of of a period that is not complete yet, are now.
            versions: Read what an earlier reading read; None for the table as it stands.

        Returns:
            The columns with ``event_time`` and ``known_at`` (UTC), ordered by key and time.

        Raises:
            DefinitionError: The table has no time, the end is before the start, or the versions are another table's.
            ContractError: The version no longer holds what was read of it.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        table, engine = self.states, self.platform.engine
        if table.schema.timestamp is None:
            raise DefinitionError(
                f"rows of '{table.name}' between two times, a table without time",
                "a table with a timestamp",
                "read it with as_known_at",
            )
        begin, before = _moment(start), _moment(end)
        if before < begin:
            raise DefinitionError(f"rows from {begin} to {before}", "an end that is not before the start", "swap them")
        read_at = versions.read_at if versions else self.platform.clock.now()
        if versions:
            read = read_again(self.platform, table.name, versions)
            table = read.table
        else:
            held = periods_held(self.platform, table)
            read = self._read([period for period in held if period.end > begin and period.start < before], None)
        parts = [
            engine.known_at(table, moment, first=first, last=last, version=read.pinned)
            for first, last, moment in self._spans(read.periods, as_of, read_at)
        ]
        rows = pa.concat_tables(parts) if parts else engine.known_at(table, begin, version=0)
        times = rows.column("event_time")
        inside = pc.and_(
            pc.greater_equal(times, pa.scalar(begin, times.type)), pc.less(times, pa.scalar(before, times.type))
        )
        order = [(name, "ascending") for name in (*table.schema.keys, "event_time")]
        return Dataset(rows.filter(inside).sort_by(order), (read,), read_at)

    def _read(self, periods: Sequence[Period], version: int | None) -> Read:
        newest = self.states.delta.version() if version is None else version
        return Read(self.states, newest, periods)

    def _spans(
        self, periods: Sequence[Period], as_of: str | date | None, read_at: datetime
    ) -> list[tuple[Period, Period, datetime]]:
        """Runs of periods that are read as known at one moment."""
        if not periods:
            return []
        if as_of is not None:
            return [(periods[0], periods[-1], _as_of(as_of, read_at))]
        known = self.platform.known_from
        return [(period, period, min(known([self.states.name], period), read_at)) for period in periods]


@dataclass(frozen=True)
class Project:
    """A project and its home, to read and to predict."""

    platform: Platform

    @classmethod
    def open(cls, folder: str | Path = ".") -> "Project":
        """Open the project in a folder, with the home that ``MLOPS_HOME`` names (by default ``.mlops`` in it).

        Raises:
            DefinitionError: There is no project, or its definitions have a fault.
        """
        found = find_project(Path(folder))
        return cls(Platform.of(found.read(), Home.find(found.folder)))

    def table(self, name: str) -> Table:
        """A source or feature table.

        Raises:
            DefinitionError: There is none of that name.
        """
        return Table(self.platform, self.platform.table(name))

    def quarantine(self, source: str) -> list[QuarantinedRow]:
        """The rows of a source that were put aside because they break its contract, each with the reason.

        Returns:
            Also those that no longer wait, in the order of their periods and deliveries.

        Raises:
            DefinitionError: There is no source of that name.
        """
        return quarantined(self.platform, self.platform.project.source(source))

    def create_training_set(
        self,
        labels: Any,
        lookups: Sequence[FeatureLookup],
        *,
        label: str | Sequence[str] | None = None,
        timestamp: str | None = None,
        as_of: str | date | None = None,
        versions: ReadVersions | None = None,
    ) -> TrainingSet:
        """Look features up for rows of your own, as they were known at each row's time.

        A row finds the newest row of its key whose time is not after the row's ``anchor``, in the state in which it
        was known at the row's ``as_of``. Both are the row's timestamp, unless the rows have columns of these names
        (a model's chain uses two: the last instant of a period, and the moment when all sources had spoken).

        Args:
            labels: Rows of pandas, Polars or Arrow, with key columns and times. A date is its first instant; a time
                without a zone is in UTC, others are brought to UTC. Keys of a narrower type, and categories, are
                taken. A pandas index is no key: ``reset_index()`` makes it one.
            lookups: What to look up.
            label: The columns to predict; they are carried along like all others, and named in the answer.
            timestamp: The column with each row's time.
            as_of: None for what was known at each row's time. ``"now"`` for today's corrected values (the platform
                clock's now; the anchor stays the row's time), or a moment: a model that learns from them sees what
                it could not have known.
            versions: The ``versions`` of an earlier training set, to read exactly what it read; ``"now"`` is then
                its now.

        Returns:
            One row for each row, in the same order, duplicates kept, with every column given and then the features;
            a feature that was not found is null, or its default. No row is ever lost.

        Raises:
            DefinitionError: A table, column, key or time is not there, of another type, or ambiguous.
            ContractError: A version no longer holds what was read of it.
        """
        rows = arrow_rows(labels)
        named = (label,) if isinstance(label, str) else tuple(label or ())
        for name in named:
            if name not in rows.column_names:
                raise none_of(f"label '{name}', which the rows do not have", name, rows.column_names)
        read_at = versions.read_at if versions else self.platform.clock.now()
        found, reads = look_up(
            self.platform,
            rows,
            lookups,
            timestamp=timestamp,
            as_of=None if as_of is None else _as_of(as_of, read_at),
            read_at=read_at,
            versions=versions,
        )
        features = tuple(found.column_names)
        for name in features:
            rows = rows.append_column(name, found.column(name))
        return TrainingSet(rows, tuple(reads), read_at, named, features, labels.copy() if is_pandas(labels) else None)

    def score_batch(
        self,
        model: str,
        rows: Any,
        *,
        version: int | None = None,
        timestamp: str | None = None,
        as_of: str | date | None = None,
    ) -> Predictions:
        """Predict for rows of your own, with features looked up as they were known at each row's time.

        Without anything that says a row's time, features are those known now, of the newest period that the model can
        speak about: the answer is that over HTTP. With ``timestamp``, or with columns ``anchor`` and ``as_of``, they
        are as in `create_training_set`.

        Args:
            model: The model's name.
            rows: Rows of pandas, Polars or Arrow, with keys and the columns of the request. A feature that is among
                the columns is taken as it is given, and not looked up. Any other column is carried along.
            version: Which version predicts; None for the one that serves now.
            timestamp: The column with each row's time.
            as_of: As in `create_training_set`; without times of the rows, the moment to take for now.

        Returns:
            One row for each row, in the same order, duplicates kept. A row's prediction depends on no other row.

        Raises:
            DefinitionError: There is no such model; a column is missing, of another type, or named as one of the
                answer; or it is not said which time a row is asked at.
            MissingDataError: There is no such version, no version that serves, or its files are gone.
            ContractError: The version was deleted, was trained on definitions that say something else, or does not
                predict for these rows.
        """
        read_at = self.platform.clock.now()
        scored = score_table(
            self.platform,
            self.platform.project.model(model),
            arrow_rows(rows),
            version=version,
            timestamp=timestamp,
            as_of=None if as_of is None else _as_of(as_of, read_at),
            read_at=read_at,
        )
        given = rows.copy() if is_pandas(rows) else None
        return Predictions(scored.rows, scored.reads, read_at, scored.version, scored.added, given)

    def training_set(self, model: str, at: str | None = None) -> BuiltTrainingSet:
        """What a training of a model would learn from: its labels, each with its features as known at its time.

        Args:
            model: The model's name.
            at: Key of the period to train at; None for the newest whose labels are known.

        Raises:
            DefinitionError: There is no such model or period.
            MissingDataError: No labels are known yet.
            ContractError: There are fewer labels than the model's ``min_rows``.
        """
        definition = self.platform.project.model(model)
        calendar = definition.schema.calendar
        period = calendar.at_key(at) if at else newest_labelled(self.platform, definition)
        if period is None:
            raise MissingDataError(
                f"no labels of '{model}' are known yet", "labels", f"materialize {model}/labels first"
            )
        return build_training_set(self.platform, definition, period)


def _beside(given: "pd.DataFrame", added: "pa.Table") -> "pd.DataFrame":
    """A pandas frame as it came, with columns more."""
    import pandas as pd

    return pd.concat([given, added.to_pandas(types_mapper=pandas_types).set_index(given.index)], axis=1)


def _moment(moment: str | date) -> datetime:
    return in_utc(moment) if isinstance(moment, datetime) else parse_moment(str(moment))


def _as_of(as_of: str | date, read_at: datetime) -> datetime:
    """A moment, or now; a moment that has not come yet is now."""
    return read_at if as_of == "now" else min(_moment(as_of), read_at)
