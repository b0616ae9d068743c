"""Reading features for now by key: what the lookup answers at the platform clock's moment, in microseconds."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any, NamedTuple

from mlops_assets.engines import contract
from mlops_assets.errors import DefinitionError, none_of
from mlops_assets.features.created_training_sets import FeatureLookup, resolved_lookup
from mlops_assets.features.online.contract import Layout, OnlineStore, unpublished
from mlops_assets.features.online.encoding import decoder, key_encoder, layout_of, micros, moment, unpacker
from mlops_assets.features.online.sqlite import SqliteStore
from mlops_assets.features.online.store import open_store
from mlops_assets.features.request_features import request_features
from mlops_assets.features.unknown_keys import unknown_rows
from mlops_assets.lakehouse.periods import ONE_MICROSECOND
from mlops_assets.lakehouse.tables import StateTable
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ModelDefinition

MAX_PREPARED = 256
"""Different questions that are kept resolved; an application asks a few, again and again."""


class AnsweringRow(NamedTuple):
    """The row of one table that answered.

    Args:
        event_us: The row's time, in microseconds since 1970; None of a static table.
        now: The platform clock's moment of reading, UTC.
    """

    event_us: int | None
    now: datetime

    @property
    def event_time(self) -> datetime | None:
        """The row's time, UTC; None of a static table."""
        return None if self.event_us is None else moment(self.event_us)

    @property
    def age(self) -> timedelta | None:
        """How long before the platform clock's now that is; None of a static table."""
        return None if self.event_us is None else self.now - moment(self.event_us)


class OnlineAnswer(NamedTuple):
    """The answer to one row that was asked.

    Args:
        features: By the name that was asked; None where a feature is missing and has no default. Timestamps are in UTC.
        found: By table, the row that answered the first lookup in it; None where it has none inside the lookback.
        known: Whether anything is known of the key; of a model's answers, where it does not predict unknown keys.
    """

    features: dict[str, object]
    found: dict[str, AnsweringRow | None]
    known: bool = True


class PreparedLookups:
    """Lookups that were checked once, to be asked many times; safe to use from several threads."""

    def __init__(self, platform: Platform, store: OnlineStore, lookups: Sequence[contract.ResolvedLookup]) -> None:
        self._clock = platform.clock
        self._store = store
        self._lookups = [_Prepared(lookup) for lookup in lookups]

    def __call__(
        self, rows: Sequence[Mapping[str, object]], now: datetime | None = None, anchor: datetime | None = None
    ) -> list[OnlineAnswer]:
        """Look up, as `OnlineFeatures.look_up` does; with an anchor, only rows up to then, and lookbacks from it."""
        lookups = self._lookups
        asked = [(lookup.table, lookup.keys_of(rows)) for lookup in lookups]
        now = now or self._clock.now()
        anchor = anchor or now
        latest = micros(anchor)
        while True:
            answers: list[OnlineAnswer] = []
            for lookup, (space, found) in zip(lookups, self._store.read(asked)):  # noqa: B905  # it costs time
                bound = lookup.bound.get(space) or lookup.bind(space, self._store)
                if bound is None:
                    break  # another space is served since the rows were read
                bound(answers, found, now, anchor, latest)
            else:
                return answers or [OnlineAnswer({}, {}) for _ in rows]


class _Prepared:
    """One lookup, resolved against the project; `bound` to the spaces that it was answered from."""

    def __init__(self, lookup: contract.ResolvedLookup) -> None:
        self.table = lookup.table.name
        self._lookup = lookup
        self._layout = layout_of(lookup.table)
        self._encode = key_encoder(self.table, self._layout.keys)
        self._names = lookup.keys
        self.bound: dict[int | None, _Bound] = {}

    def keys_of(self, rows: Sequence[Mapping[str, object]]) -> list[bytes]:
        """The key of each row; no key of a table is empty, so that an empty one finds nothing."""
        encode, names = self._encode, self._names
        try:
            if len(names) == 1:
                (name,) = names
                return [encode((row[name],)) or b"" for row in rows]
            return [encode([row[name] for name in names]) or b"" for row in rows]
        except KeyError:
            given = next(row for row in rows if not set(names) <= set(row))
            name = next(name for name in names if name not in given)
            cure = "add the column, or name it in lookup_key"
            raise none_of(f"rows without the column '{name}'", name, given, cure) from None

    def bind(self, space: int | None, store: OnlineStore) -> "_Bound | None":
        """Prepare to read the rows of a space; None where it is no longer the one that is served."""
        served = store.served(self.table)
        if served is None:
            raise unpublished(self.table, f"nothing was published of '{self.table}'")
        if served.number != space:
            return None
        layout = served.layout
        held = dict(layout.columns)
        missing = [name for name in self._lookup.features if name not in held]
        if missing or layout.keys != self._layout.keys:
            what = f"column '{missing[0]}'" if missing else f"the keys {', '.join(self._lookup.table.schema.keys)}"
            found = f"{what} of '{self.table}', not published under its present definition"
            expected = f"rows of generation {self._layout.generation}; those of {layout.generation} are served"
            raise unpublished(self.table, found, expected)
        if len(self.bound) > MAX_PREPARED:
            self.bound.clear()
        bound = self.bound[space] = _Bound(self._lookup, layout)
        return bound


class _Bound:
    """Makes answers of the rows of one space."""

    def __init__(self, lookup: contract.ResolvedLookup, layout: Layout) -> None:
        names = [name for name, _ in layout.columns]
        places = [1 + names.index(feature) for feature in lookup.features]
        types = dict(layout.columns)
        self._unpack = unpacker()
        self._table = layout.table
        self._names = lookup.names
        self._pick: Callable[[list[Any]], Sequence[Any]] = (
            itemgetter(*places) if len(places) > 1 else lambda row: (row[places[0]],)
        )
        self._decoders = [
            (name, decode)
            for feature, name in zip(lookup.features, lookup.names, strict=True)
            if (decode := decoder(types[feature])) is not None
        ]
        self._defaults = [(lookup.rename.get(feature, feature), value) for feature, value in lookup.default.items()]
        self._earlier = 1 + len(names)
        self._missing = {**dict.fromkeys(lookup.names), **dict(self._defaults)}
        self._special = bool(self._decoders or self._defaults)
        self._lookback = lookup.lookback
        self._rest = lookup.lookback.rest // ONE_MICROSECOND if lookup.lookback else 0
        self._static = layout.static
        self._found = lookup.found

    def __call__(
        self, answers: list[OnlineAnswer], rows: Sequence[bytes | None], now: datetime, anchor: datetime, latest: int
    ) -> None:
        """Add the features of rows to answers, or make these of the first; ``latest`` is the anchor in microseconds."""
        unpack, pick, names, table = self._unpack, self._pick, self._names, self._table
        earliest, earlier, special = self._earliest(anchor, latest), self._earlier, self._special
        static, before = self._static, list(answers)
        # All of this takes less than two microseconds a row, of which asking zip to be strict would be a fourth.
        for place, row in enumerate(rows):
            values: Any = _NO_ROW if row is None else unpack(row)
            if values[0] > latest:
                older = values[earlier] if len(values) > earlier else ()
                values = next((one for one in older if one[0] <= latest), _NO_ROW)
            found: AnsweringRow | None = None
            if earliest < values[0]:
                features: dict[str, object] = dict(zip(names, pick(values)))  # noqa: B905
                if special:
                    self._decode(features)
                found = AnsweringRow(None if static else values[0], now)
            else:
                features = self._missing.copy()
            if self._found:
                features[self._found] = found
            if before:
                before[place].features.update(features)
                before[place].found.setdefault(table, found)
            else:
                answers.append(OnlineAnswer(features, {table: found}))

    def _earliest(self, anchor: datetime, latest: int) -> int:
        """The last moment, in microseconds, at which a row is too old."""
        if self._lookback is None:
            return _NEVER
        if self._lookback.months:
            return micros(self._lookback.before(anchor))
        return latest - self._rest

    def _decode(self, features: dict[str, object]) -> None:
        for name, decode in self._decoders:
            if features[name] is not None:
                features[name] = decode(features[name])
        for name, value in self._defaults:
            if features[name] is None:
                features[name] = value


_NEVER = -(2**63)
_NO_ROW = [_NEVER]


class OnlineFeatures:
    """Reads features for now; safe to use from several threads.

    Args:
        platform: The project and its home.
        store: Where rows were published.
    """

    def __init__(self, platform: Platform, store: OnlineStore) -> None:
        self._platform = platform
        self._store = store
        self._prepared: dict[object, PreparedLookups] = {}
        self.remote = not isinstance(store, SqliteStore)
        """Whether a reading waits for another machine, so that an event loop should not."""

    @classmethod
    def open(cls, platform: Platform) -> "OnlineFeatures":
        """Read from the store that the environment names, or from the file in the home.

        Raises:
            UnusableEnvironmentError: The URL is of no store that there is.
        """
        return cls(platform, open_store(platform))

    def look_up(
        self, rows: Sequence[Mapping[str, object]], lookups: Sequence[FeatureLookup], now: datetime | None = None
    ) -> list[OnlineAnswer]:
        """Look features up for rows by their keys, as known now.

        Args:
            rows: Values by name, keys among them. A row with a null in a key finds nothing. Dates and timestamps may
                be ISO texts; a time without a zone is in UTC.
            lookups: What to look up.
            now: What lookbacks and ages count from; None for the platform clock's now.

        Returns:
            An answer for each row, in their order.

        Raises:
            DefinitionError: A table, feature, name or key is not there or ambiguous, or the table is not ``online``.
            ContractError: The value of a key is of another type.
            MissingDataError: Nothing was published of a table yet, or not under its present definition.
            StoreUnavailableError: The store is down.
        """
        return self.prepare(lookups)(rows, now)

    def prepare(self, lookups: Sequence[FeatureLookup]) -> PreparedLookups:
        """Check lookups once, to ask them many times: ``prepared(rows)`` is ``look_up(rows, lookups)``."""
        key = tuple(map(repr, lookups))  # in which a default of 1 is not one of True
        found = self._prepared.get(key)
        if found:
            return found
        table = self._platform.project.table
        resolved = [resolved_lookup(table(lookup.table), self._online(lookup.table), lookup) for lookup in lookups]
        return self._keep(key, resolved)

    def of_model(
        self, model: str, rows: Sequence[Mapping[str, object]], now: datetime | None = None
    ) -> list[OnlineAnswer]:
        """The features of a model for rows, as known now: looked up, of the request, and computed from both.

        They are of the newest period that the model can speak about, as in its batch predictions: a table that is ahead
        of the model's other inputs shows it nothing newer.

        Args:
            model: The model's name.
            rows: Keys and the columns of the request, by name.
            now: The moment; None for the platform clock's now.

        Returns:
            An answer for each row, with features in the order of the model's.

        Raises:
            ContractError: A value of the request is missing or of another type, or an expression failed; otherwise
                as `look_up`.
        """
        definition = self._platform.project.model(model)
        prepared = self._prepared.get(model) or self._keep(model, self._of_model(definition))
        now = now or self._platform.clock.now()
        answers = prepared(rows, now, definition.speaks_about(now).anchor)
        values = [{**row, **answer.features} for row, answer in zip(rows, answers, strict=True)]
        features = request_features(self._platform, definition, values)
        names = definition.known_columns.values()
        missing = [[answer.features[name] is None for answer in answers] for name in names]
        unknown = unknown_rows(missing) if missing else [False] * len(answers)
        return [
            OnlineAnswer(of, answer.found, not one) for of, answer, one in zip(features, answers, unknown, strict=True)
        ]

    def health(self) -> None:
        """See that the store answers.

        Raises:
            StoreUnavailableError: It does not.
        """
        self._store.check()

    def unpublished(self) -> list[str]:
        """The tables that are online, but of which nothing is published yet.

        Raises:
            StoreUnavailableError: The store is down.
        """
        return [table for table in self._platform.project.online_tables if self._store.served(table) is None]

    def _of_model(self, model: ModelDefinition) -> Sequence[contract.ResolvedLookup]:
        for lookup in model.lookups:
            self._online(lookup.table)
        return self._platform.lookups(model)

    def _keep(self, key: object, lookups: Sequence[contract.ResolvedLookup]) -> PreparedLookups:
        names = [name for lookup in lookups for name in lookup.names]
        for name in names:
            if names.count(name) > 1:
                raise DefinitionError(
                    f"a feature '{name}', named as another feature",
                    "one name for each feature of the answer",
                    f"give it another name with rename={{'{name}': …}}",
                )
        if len(self._prepared) >= MAX_PREPARED:
            self._prepared.clear()
        prepared = self._prepared[key] = PreparedLookups(self._platform, self._store, lookups)
        return prepared

    def _online(self, table: str) -> StateTable:
        if not self._platform.project.table(table).online:
            online = self._platform.project.online_tables
            cure = "write online: true in its YAML, and publish it"
            raise none_of(f"table '{table}', which is not published", table, online, cure, empty="none is published")
        return self._platform.table(table)
