"""What the lookup answers for keys of a table now, and at the earlier times that models still speak about."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

from mlops_assets.engines.contract import ResolvedLookup
from mlops_assets.features.created_training_sets import TIMES
from mlops_assets.features.online.contract import Entry, Guard, Layout
from mlops_assets.features.online.encoding import entries_of, micros
from mlops_assets.lakehouse.periods import ONE_MICROSECOND, Duration, Period
from mlops_assets.lakehouse.tables import StateTable
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ProjectDefinition, SourceDefinition

if TYPE_CHECKING:
    import pyarrow as pa

KEYS_AT_ONCE = 500_000
"""How many keys are looked up together: their rows are held in memory."""
EVENT = "the event"
"""What the answer of a lookup calls the row's time; with a space, so that no user's column is called so."""


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


@dataclass(frozen=True)
class Answers:
    """The lookup's answers in a table, all read from one position.

    Args:
        platform: The platform.
        table: Where keys are looked up.
        now: The moment; what became known later is not seen.
        version: The Delta version to read.
    """

    platform: Platform
    table: StateTable
    now: datetime
    version: int

    @property
    def guard(self) -> Guard:
        """The position."""
        return Guard(micros(self.now), self.version)

    @cached_property
    def oldest(self) -> datetime | None:
        """Rows up to this time do not answer; None for any age."""
        return oldest_wanted(self.platform.project, self.table.name, self.now)

    @cached_property
    def earlier(self) -> list[datetime]:
        """The earlier times that models speak about, the newest first."""
        return earlier_anchors(self.platform.project, self.table.name, self.now)

    def entries(self, answers: "pa.Table", layout: Layout) -> Iterator[Entry]:
        """Entries of answers, each with what answered at the earlier times, in the order of the keys."""
        keys = answers.select(self.table.schema.keys)
        earlier = [self._look_up(keys, self.oldest, anchor) for anchor in self.earlier]
        return entries_of(answers, layout, EVENT, earlier)

    def of(self, keys: "pa.Table", changed: Period | None = None) -> "pa.Table":
        """The answer of each key, as known now.

        Args:
            keys: The key columns.
            changed: A period in which, or after which, all of them have new states; None where that is not known.

        Returns:
            The keys, the columns of the table's values, and `EVENT`, which is null where there is no answer. They are
            in the order of the keys unless ``changed`` is given.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        begin = changed.start - ONE_MICROSECOND if changed else None
        if begin is None or begin >= self.now or (self.oldest is not None and self.oldest >= begin):
            return self._look_up(keys, self.oldest, self.now)
        # The newest row of a changed key lies in the period or after it, unless it was removed: few files tell.
        near = self._look_up(keys, begin, self.now)
        missing = pc.is_null(near.column(EVENT))
        if not pc.any(missing).as_py():
            return near
        far = self._look_up(keys.filter(missing), self.oldest, self.now)
        return pa.concat_tables([near.filter(pc.invert(missing)), far])

    def _look_up(self, keys: "pa.Table", oldest: datetime | None, anchor: datetime) -> "pa.Table":
        """What answers for keys among the rows after a time and up to an anchor."""
        import pyarrow as pa

        schema, engine = self.table.schema, self.platform.engine
        asked = keys
        for name, time in zip(TIMES, (anchor, self.now), strict=True):
            column = pa.repeat(pa.scalar(time, pa.timestamp("us", "UTC")), keys.num_rows)
            asked = asked.append_column(name, pa.chunked_array([column]))
        event = schema.timestamp or schema.keys[0]
        lookback = None if oldest is None else Duration(rest=anchor - oldest)
        features = (*schema.value_names, event)
        lookup = ResolvedLookup(self.table, features, lookback, version=self.version, rename={event: EVENT})
        return engine.to_arrow(engine.lookup(engine.rows(asked), [lookup])).drop_columns(list(TIMES))
