"""Publishing: the keys that have new states in a period, each with the lookup's answer for now, into the online store.

The first publishing of a generation (or of a table that other columns are declared for) fills a space of its own with
all keys of the table, and serves it once it is whole; later ones write what changed. Killed anywhere and run again, a
publishing ends the same: rows are guarded, and what was published of a period is recorded after its rows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from mlops_assets.engines.contract import FeatureLookup
from mlops_assets.errors import ConflictError, ContractError, DefinitionError, MissingDataError
from mlops_assets.features.created_training_sets import TIMES, periods_held
from mlops_assets.features.generations import missing_history, newest_earlier, require_history
from mlops_assets.features.online.contract import Guard, OnlineStore, Outcome, Published, Space, SpaceGoneError
from mlops_assets.features.online.encoding import entries_of, layout_of, micros, moment
from mlops_assets.lakehouse.periods import EPOCH, ONE_MICROSECOND, Duration, Period
from mlops_assets.lakehouse.schema import STATIC_PERIOD
from mlops_assets.lakehouse.tables import StateTable
from mlops_assets.platform import Platform
from mlops_assets.progress import Progress, Step, untold
from mlops_assets.project.definition import ProjectDefinition, SourceDefinition

if TYPE_CHECKING:
    import pyarrow as pa

KEYS_AT_ONCE = 500_000
"""How many keys are looked up together: their rows are held in memory."""
MAX_ATTEMPTS = 20
EVENT = "the event"
"""What the answer of a lookup calls the row's time; with a space, so that no user's column is called so."""


@dataclass(frozen=True)
class Publication:
    """What a publishing did.

    Args:
        generation: The generation that is served now.
        guard: The position that answers were read from, the last where there were several.
        outcome: What became of the keys.
        expired: How many rows were removed because they are older than the time to live.
        whole: Whether a space was filled and served, not only what changed.
    """

    generation: str
    guard: Guard
    outcome: Outcome
    expired: int
    whole: bool


def oldest_wanted(project: ProjectDefinition, table: str, now: datetime) -> datetime | None:
    """The last moment that no model's lookback in a table reaches; None where one has none, or no model looks it up."""
    reached = [
        lookup.lookback.before(model.speaks_about(now).anchor) if lookup.lookback else None
        for model in project.models.values()
        for lookup in model.lookups
        if lookup.table == table
    ]
    return min((moment for moment in reached if moment), default=None) if None not in reached else None


def earlier_anchors(project: ProjectDefinition, table: str, now: datetime) -> list[datetime]:
    """The ends of past periods, the newest first, that models speak about while a table may have newer rows already.

    A source with a short lag shows its next period when the slowest input of a model is complete; the model must not
    see it (docs/concepts.md#lookups).
    """
    definition = project.table(table)
    if definition.schema.timestamp is None:
        return []
    calendar = definition.schema.calendar
    pushed = isinstance(definition, SourceDefinition) and definition.pushed
    newest = calendar.of(now) if pushed else calendar.newest_over(now - definition.lag)
    ends = {
        period.anchor
        for model in project.models.values()
        if table in model.feature_tables
        for period in model.schema.calendar.between(model.speaks_about(now), model.schema.calendar.of(newest.anchor))
    }
    return sorted((end for end in ends if end < newest.anchor), reverse=True)


def missing_past(platform: Platform, table: StateTable) -> tuple[Period, Period] | None:
    """First and last period that rows may be read from, where some of it is not computed under a new definition yet."""
    newest, first = newest_earlier(table), platform.project.table(table.name).first
    if newest is None or first is None:
        return None
    oldest = oldest_wanted(platform.project, table.name, platform.clock.now())
    span = max(first, table.schema.calendar.of(oldest)) if oldest else first, newest
    return span if missing_history(table, *span) else None


def publish(
    platform: Platform,
    store: OnlineStore,
    name: str,
    period: Period | None = None,
    *,
    rebuild: bool = False,
    progress: Progress = untold,
) -> Publication:
    """Publish what changed in a period of a table; or all of it, where its generation is not served yet.

    Args:
        platform: The platform.
        store: Where to.
        name: A table that is ``online: true``.
        period: Whose new states; None for those of all periods.
        rebuild: Publish all into a new space, and serve that once it is whole.
        progress: Told of keys that were published.

    Raises:
        DefinitionError: The table is not online.
        MissingDataError: The table holds nothing, or its definition is new and its past is not computed under it.
        ContractError: The lakehouse stands before what was published from it.
        ConflictError: Other publishers were faster, again and again.
        StoreUnavailableError: The store is down.
    """
    definition = platform.project.table(name)
    if not definition.online:
        raise DefinitionError(
            f"table '{name}', which is not published", "a table with online: true", "write it in the table's YAML"
        )
    table = platform.table(name)
    without_rows = isinstance(definition, SourceDefinition) and definition.pushed  # a period into which nobody pushed
    if table.delta.version() is None and not without_rows:
        raise MissingDataError(f"nothing to publish: table '{name}' was never written", "rows", f"materialize {name}")
    if span := missing_past(platform, table):
        require_history(table, *span)  # until then applications read the generation before
    layout = layout_of(table)
    for _ in range(MAX_ATTEMPTS):
        served = store.served(name)
        whole = rebuild or served is None or served.layout != layout
        space = store.begin(layout, fresh=rebuild) if whole or served is None else served
        work = _Publishing(platform, store, table, space, progress)
        try:
            if not whole:
                work.catch_up([period] if period else None)
            else:
                work.catch_up()
                work.catch_up()  # what changed meanwhile, so that no answer that is served now turns older
                store.serve(space)
                work.catch_up()  # what another run still wrote to the space that was served
            work.expire()
        except SpaceGoneError:
            continue
        finally:
            store.clean(name)
        return Publication(layout.generation, work.guard, work.outcome, work.expired, whole)
    raise ConflictError(
        f"the published rows of '{name}' were replaced {MAX_ATTEMPTS} times meanwhile",
        "one rebuilding of a table at a time",
        "publish it again",
    )


class _Publishing:
    """One run's writing into a space."""

    def __init__(
        self, platform: Platform, store: OnlineStore, table: StateTable, space: Space, progress: Progress
    ) -> None:
        self._platform = platform
        self._store = store
        self._table = table
        self._space = space
        self._progress = progress
        self.outcome = Outcome()
        self.expired = 0
        self.guard = Guard(0, 0)

    def catch_up(self, periods: Sequence[Period] | None = None) -> None:
        """Publish what was not published of some periods, or of all."""
        static = self._table.schema.timestamp is None
        if periods is None:
            periods = periods_held(self._platform, self._table)
        by_key: dict[str, Period | None] = {STATIC_PERIOD: None} if static else {one.key: one for one in periods}
        # Counted before the version is read, which then holds at least as much.
        counters = self._table.delta.counters(list(by_key))
        now, guard = self._read_position()
        done = self._store.published(self._space, list(by_key))
        if any(one.guard.version > guard.version for one in done.values()):
            raise ContractError(
                f"table '{self._table.name}' at Delta version {guard.version}, before what was published from it",
                "a table that only grows",
                f"if it was restored or built anew, run: mlops-assets features rebuild-online {self._table.name}",
            )
        waiting = {key: done.get(key) for key in by_key if not self._settled(by_key[key], done.get(key), counters[key])}
        if not waiting:
            return
        for first, last, before in self._spans([(by_key[key], before) for key, before in waiting.items()], now):
            keys = self._platform.engine.changed_keys(
                self._table,
                first=first,
                last=last,
                after=(before.seq, moment(before.guard.known_us)) if before else None,
                version=guard.version,
            )
            self._publish(keys, first, now, guard)
        self._store.record(self._space, {key: Published(counters[key], guard) for key in waiting})

    def expire(self) -> None:
        """Remove the rows that no lookback of a model reaches any more."""
        oldest = self._oldest(self._platform.clock.now())
        if oldest is not None:
            self.expired += self._store.expire(self._space, micros(oldest))

    def _oldest(self, now: datetime) -> datetime | None:
        return oldest_wanted(self._platform.project, self._table.name, now)

    def _spans(
        self, waiting: Sequence[tuple[Period | None, Published | None]], now: datetime
    ) -> Iterator[tuple[Period | None, Period | None, Published | None]]:
        """Spans of periods to look for changed keys in; what never was published goes together."""
        oldest = self._oldest(now)
        anew: list[Period] = []
        for period, before in waiting:
            if period is None:
                yield None, None, before
            elif oldest is not None and period.end <= oldest:
                continue  # an answer from there would be too old for every model
            elif before is None:
                anew.append(period)
            else:
                yield period, period, before
        if anew:
            yield anew[0], anew[-1], None  # with what was published between them, which is rare and does no harm

    def _settled(self, period: Period | None, done: Published | None, counter: int) -> bool:
        """Whether all states of a period were published, and had been known and happened by then."""
        if not counter:
            return True
        if done is None or done.seq < counter:
            return False
        lag = self._platform.project.table(self._table.name).lag
        return period is None or done.guard.known_us >= micros(period.end + lag)

    def _read_position(self, least: datetime = EPOCH) -> tuple[datetime, Guard]:
        now = max(self._platform.clock.now(), least)  # what another machine called now already
        self.guard = Guard(micros(now), self._table.delta.version() or 0)
        return now, self.guard

    def _publish(self, keys: "pa.Table", first: Period | None, now: datetime, guard: Guard) -> None:
        for start in range(0, keys.num_rows, KEYS_AT_ONCE):
            waiting = keys.slice(start, KEYS_AT_ONCE)
            for _ in range(MAX_ATTEMPTS):
                answers = self._answers(waiting, first, now, guard.version)
                entries = list(entries_of(answers, self._space.layout, EVENT, self._earlier(answers, now, guard)))
                outcome = self._store.write(self._space, entries, guard)
                self.outcome.add(replace(outcome, crossing=[], read_from_us=0))
                if not outcome.crossing:
                    break
                crossing = set(outcome.crossing)
                waiting = answers.select(keys.column_names).filter([entry.key in crossing for entry in entries])
                now, guard = self._read_position(moment(outcome.read_from_us))
            else:
                raise ConflictError(
                    f"{waiting.num_rows} keys of '{self._table.name}' that others published each time before this run",
                    "fewer publishers of one table at a time",
                    "publish it again",
                )
            done = min(start + KEYS_AT_ONCE, keys.num_rows)
            self._progress(Step(self._table.name, done, keys.num_rows, "keys", minor=True))

    def _answers(self, keys: "pa.Table", first: Period | None, now: datetime, version: int) -> "pa.Table":
        """The answer of each key at a position, in the order of the keys."""
        import pyarrow as pa
        import pyarrow.compute as pc

        oldest = self._oldest(now)
        begin = first.start - ONE_MICROSECOND if first else None
        if begin is None or begin >= now or (oldest is not None and oldest >= begin):
            return self._looked_up(keys, oldest, now, version)
        # The newest row of a changed key lies in the period or after it, unless it was removed: few files tell.
        near = self._looked_up(keys, begin, now, version)
        missing = pc.is_null(near.column(EVENT))
        if not pc.any(missing).as_py():
            return near
        far = self._looked_up(keys.filter(missing), oldest, now, version)
        return pa.concat_tables([near.filter(pc.invert(missing)), far])

    def _looked_up(self, keys: "pa.Table", oldest: datetime | None, now: datetime, version: int) -> "pa.Table":
        return look_up_now(self._platform, self._table, keys, oldest, now, version)

    def _earlier(self, keys: "pa.Table", now: datetime, guard: Guard) -> list["pa.Table"]:
        return earlier_answers(self._platform, self._table, keys, now, guard.version)


def earlier_answers(
    platform: Platform, table: StateTable, keys: "pa.Table", now: datetime, version: int
) -> list["pa.Table"]:
    """What `look_up_now` answers with each of the `earlier_anchors`, as known now."""
    oldest = oldest_wanted(platform.project, table.name, now)
    keys = keys.select(table.schema.keys)
    anchors = earlier_anchors(platform.project, table.name, now)
    return [look_up_now(platform, table, keys, oldest, now, version, anchor) for anchor in anchors]


def look_up_now(
    platform: Platform,
    table: StateTable,
    keys: "pa.Table",
    oldest: datetime | None,
    now: datetime,
    version: int,
    anchor: datetime | None = None,
) -> "pa.Table":
    """The lookup's answer for keys, as known at a moment.

    Args:
        platform: The platform.
        table: Where to look them up.
        keys: The key columns.
        oldest: Rows up to this time do not answer; None for any age.
        now: The moment.
        version: The Delta version to read.
        anchor: Up to when rows answer; None for now.

    Returns:
        The keys, the columns of the table's values, and `EVENT`, which is null where there is no answer.
    """
    import pyarrow as pa

    schema, engine = table.schema, platform.engine
    asked = keys
    for name, time in zip(TIMES, (anchor or now, now), strict=True):
        column = pa.repeat(pa.scalar(time, pa.timestamp("us", "UTC")), keys.num_rows)
        asked = asked.append_column(name, pa.chunked_array([column]))
    event = schema.timestamp or schema.keys[0]
    lookback = None if oldest is None else Duration(rest=(anchor or now) - oldest)
    lookup = FeatureLookup(table, (*schema.value_names, event), lookback, version=version, rename={event: EVENT})
    return engine.to_arrow(engine.lookup(engine.rows(asked), [lookup])).drop_columns(list(TIMES))
