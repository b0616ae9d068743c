"""Publishing: the keys that have new states in a period, each with the lookup's answer for now, into the online store.

The first publishing of a generation (or of a table that other columns are declared for) fills a space of its own with
all keys of the table, and serves it once it is whole; later ones write what changed. Killed anywhere and run again, a
publishing ends the same: rows are guarded, and what was published of a period is recorded after its rows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

from mlops_assets.errors import ConflictError, ContractError, DefinitionError, MissingDataError
from mlops_assets.features.created_training_sets import periods_held
from mlops_assets.features.generations import missing_history, newest_earlier, require_history
from mlops_assets.features.online.answers import KEYS_AT_ONCE, Answers, oldest_wanted
from mlops_assets.features.online.contract import Guard, OnlineStore, Outcome, Published, Space, SpaceGoneError
from mlops_assets.features.online.encoding import layout_of, micros, moment
from mlops_assets.lakehouse.periods import EPOCH, Period
from mlops_assets.lakehouse.schema import STATIC_PERIOD
from mlops_assets.lakehouse.tables import StateTable
from mlops_assets.platform import Platform
from mlops_assets.progress import Progress, Step, untold
from mlops_assets.project.definition import SourceDefinition

if TYPE_CHECKING:
    import pyarrow as pa

MAX_ATTEMPTS = 20


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


@dataclass
class _Publishing:
    """One run's writing into a space."""

    platform: Platform
    store: OnlineStore
    table: StateTable
    space: Space
    progress: Progress
    outcome: Outcome = field(default_factory=Outcome)
    expired: int = 0
    guard: Guard = Guard(0, 0)

    def catch_up(self, periods: Sequence[Period] | None = None) -> None:
        """Publish what was not published of some periods, or of all."""
        static = self.table.schema.timestamp is None
        if periods is None:
            periods = periods_held(self.platform, self.table)
        by_key: dict[str, Period | None] = {STATIC_PERIOD: None} if static else {one.key: one for one in periods}
        # Counted before the version is read, which then holds at least as much.
        counters = self.table.delta.counters(list(by_key))
        answers = self._answers()
        done = self.store.published(self.space, list(by_key))
        if any(one.guard.version > answers.version for one in done.values()):
            raise ContractError(
                f"table '{self.table.name}' at Delta version {answers.version}, before what was published from it",
                "a table that only grows",
                f"if it was restored or built anew, run: mlops-assets features rebuild-online {self.table.name}",
            )
        waiting = {key: done.get(key) for key in by_key if not self._settled(by_key[key], done.get(key), counters[key])}
        if not waiting:
            return
        for first, last, before in _spans([(by_key[key], before) for key, before in waiting.items()], answers.oldest):
            keys = self.platform.engine.changed_keys(
                self.table,
                first=first,
                last=last,
                after=(before.seq, moment(before.guard.known_us)) if before else None,
                version=answers.version,
            )
            self._publish(keys, first, answers)
        self.store.record(self.space, {key: Published(counters[key], answers.guard) for key in waiting})

    def expire(self) -> None:
        """Remove the rows that no lookback of a model reaches any more."""
        oldest = oldest_wanted(self.platform.project, self.table.name, self.platform.clock.now())
        if oldest is not None:
            self.expired += self.store.expire(self.space, micros(oldest))

    def _settled(self, period: Period | None, done: Published | None, counter: int) -> bool:
        """Whether all states of a period were published, and had been known and happened by then."""
        if not counter:
            return True
        if done is None or done.seq < counter:
            return False
        lag = self.platform.project.table(self.table.name).lag
        return period is None or done.guard.known_us >= micros(period.end + lag)

    def _answers(self, least: datetime = EPOCH) -> Answers:
        """The answers at the position that is read from now on."""
        now = max(self.platform.clock.now(), least)  # what another machine called now already
        answers = Answers(self.platform, self.table, now, self.table.delta.version() or 0)
        self.guard = answers.guard
        return answers

    def _publish(self, keys: "pa.Table", first: Period | None, answers: Answers) -> None:
        for start in range(0, keys.num_rows, KEYS_AT_ONCE):
            waiting = keys.slice(start, KEYS_AT_ONCE)
            for _ in range(MAX_ATTEMPTS):
                rows = answers.of(waiting, first)
                entries = list(answers.entries(rows, self.space.layout))
                outcome = self.store.write(self.space, entries, answers.guard)
                self.outcome.add(replace(outcome, crossing=[], read_from_us=0))
                if not outcome.crossing:
                    break
                crossing = set(outcome.crossing)
                waiting = rows.select(keys.column_names).filter([entry.key in crossing for entry in entries])
                answers = self._answers(moment(outcome.read_from_us))
            else:
                raise ConflictError(
                    f"{waiting.num_rows} keys of '{self.table.name}' that others published each time before this run",
                    "fewer publishers of one table at a time",
                    "publish it again",
                )
            done = min(start + KEYS_AT_ONCE, keys.num_rows)
            self.progress(Step(self.table.name, done, keys.num_rows, "keys", minor=True))


def _spans(
    waiting: Sequence[tuple[Period | None, Published | None]], oldest: datetime | None
) -> Iterator[tuple[Period | None, Period | None, Published | None]]:
    """Spans of periods to look for changed keys in; what never was published goes together."""
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
