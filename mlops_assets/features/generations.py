"""Generations of a table: what each was defined as, which periods it has, and whether two say the same.

The states of each generation lie in a folder of their own, beside those before it, and are kept for the versions that
were trained on them. A new generation holds nothing at first: whoever needs its past waits until it was computed.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

from mlops_assets.errors import ConflictError, DefinitionError, MissingDataError
from mlops_assets.features.corrections import read_computed
from mlops_assets.lakehouse.content_hash import content_hash
from mlops_assets.lakehouse.delta import DeltaFolder
from mlops_assets.lakehouse.periods import Calendar, Period
from mlops_assets.lakehouse.records import read_records, write_new_record
from mlops_assets.lakehouse.schema import Column, TableSchema, type_of
from mlops_assets.lakehouse.tables import StateTable, that_were_known
from mlops_assets.platform import Platform
from mlops_assets.project.definition import FeatureTableDefinition, ModelDefinition, SourceDefinition, TableDefinition
from mlops_assets.project.resolving import ABSENT_AS_ZERO
from mlops_assets.project.yaml_files import place_of


@dataclass(frozen=True)
class GenerationRecord:
    """A definition under which something was computed or trained.

    Args:
        generation: Hash of the definition.
        number: Counts the generations of a table or model from 1.
        first_seen: Platform clock, UTC, when the first partition was computed under it.
        parts: The parts of the definition, as JSON.
    """

    generation: str
    number: int
    first_seen: datetime
    parts: str

    @property
    def definition(self) -> Mapping[str, str]:
        """Canonical text of each part of the definition."""
        return dict(json.loads(self.parts))

    @property
    def types(self) -> Mapping[str, str]:
        """The type of each column."""
        start = "column "
        return {name.removeprefix(start): text for name, text in self.definition.items() if name.startswith(start)}


def generations(platform: Platform, name: str) -> list[GenerationRecord]:
    """The generations of a feature table or model that the home knows, in the order in which they were first seen."""
    records = read_records(platform.generations(name), GenerationRecord)
    return sorted(records, key=lambda record: record.number)


def record_generation(platform: Platform, definition: FeatureTableDefinition | ModelDefinition) -> None:
    """Record the present definition of a table or model, unless that was done.

    Raises:
        DefinitionError: It retypes a column that a model looks up.
    """
    table = platform.generations(definition.name)
    if table.delta.counters([definition.generation])[definition.generation]:
        return
    if isinstance(definition, FeatureTableDefinition):
        require_same_types(platform, definition)
    number = len(generations(platform, definition.name)) + 1
    parts = json.dumps(definition.parts, sort_keys=True)
    with suppress(ConflictError):  # another partition of it was the first
        write_new_record(table, GenerationRecord(definition.generation, number, platform.clock.now(), parts))


def require_same_types(platform: Platform, table: TableDefinition) -> None:
    """See that a source's columns, and those which models look up, have the types with which the home holds them.

    Raises:
        DefinitionError: One has another, with every model that looks it up.
    """
    held, is_source = _types_held(platform, table), isinstance(table, SourceDefinition)
    for column in table.schema.columns:
        was = held.get(column.name, column.type)
        models = platform.project.models_using(table.name, column.name)
        using = [f"{model.name} ({model.location})" for model in models]
        if was != column.type and (is_source or using):
            looked_up = f", and is looked up by {', '.join(using)}" if using else ""
            raise DefinitionError(
                f"column '{column.name}' of '{table.name}' declared as {column.type}; it was "
                f"{'stored' if is_source else 'computed'} as {was}{looked_up}",
                f"type {was}, as its rows are stored" if is_source else f"type {was} as long as a model looks it up",
                f"add a column of another name with the new type{', and let the models move to it' if using else ''}",
                where=place_of(table.location, table.name, "columns", column.name, "type"),
            )


def _types_held(platform: Platform, table: TableDefinition) -> dict[str, str]:
    """Column types of a source as stored, or of a feature table's last generation, if it is not the present one."""
    if isinstance(table, FeatureTableDefinition):
        known = generations(platform, table.name)
        present = table.generation in {record.generation for record in known}
        return {} if present or not known else dict(known[-1].types)
    states = platform.table(table.name)
    if not states.delta.exists():
        return {}
    stored, declared = states.delta.schema(), states.schema.arrow()
    return {
        name: type_of(stored.field(name).type)
        for name in declared.names
        if name in stored.names and stored.field(name).type != declared.field(name).type
    }


def earlier_generations(table: StateTable) -> list[DeltaFolder]:
    """The other generations of a table that have a folder."""
    generations = table.delta.folder.parent
    others = [name for name in generations.names() if name != table.delta.folder.name]
    return [DeltaFolder(generations / name, table.name) for name in others]


def computed_periods(generation: DeltaFolder, calendar: Calendar, first: Period, newest: str | None) -> list[str]:
    """The keys of the periods, from the first to the newest, that a generation of a table was computed for."""
    keys = [period.key for period in calendar.between(first, calendar.at_key(newest))] if newest else []
    return [key for key, count in generation.counters(keys).items() if count]


def newest_earlier(table: StateTable) -> Period | None:
    """The newest period that an earlier generation of a table has; None where there is none."""
    newest = [key for folder in earlier_generations(table) if (key := folder.newest_period())]
    return table.schema.calendar.at_key(max(newest)) if newest else None


def generation_as_stored(platform: Platform, table: StateTable, record: GenerationRecord) -> StateTable:
    """An earlier generation of a feature table, with the columns that it had."""
    keys = tuple(key for key in record.definition["primary_keys"].split(", ") if key)
    zeros = json.loads(record.definition.get(ABSENT_AS_ZERO, "[]"))
    columns = tuple(Column(name, type_, absent_as=0 if name in zeros else None) for name, type_ in record.types.items())
    schema = TableSchema(keys, record.definition["timestamp"], columns, table.schema.calendar)
    return StateTable(platform.generation_folder(table.name, record.generation), schema)


def missing_history(table: StateTable, first: Period, last: Period) -> list[str]:
    """The periods from first to last that an earlier generation of a table has and the present one lacks."""
    earlier = earlier_generations(table)
    if not earlier or table.schema.timestamp is None:
        return []
    keys = [period.key for period in table.schema.calendar.between(first, last)]
    present = table.delta.counters(keys)
    before = [folder.counters(keys) for folder in earlier]
    return [key for key in keys if not present[key] and any(counters[key] for counters in before)]


def require_history(table: StateTable, first: Period, last: Period) -> None:
    """See that a table's present generation has every period from first to last that an earlier one had.

    Raises:
        MissingDataError: It lacks some: their rows would be missing without a word.
    """
    missing = missing_history(table, first, last)
    if missing:
        raise MissingDataError(
            f"'{asset_of(table.name)}' has a new definition, and {count_of(missing)} of it are not computed under it",
            "the whole history that was there before",
            f"{to_compute(table.name)} (`mlops-assets plan` says what it costs)",
        )


def asset_of(table: str) -> str:
    """The asset whose states a table holds, as users write it."""
    return table.replace(".", "/")


def to_compute(*tables: str) -> str:
    """What to do so that the present generation of tables is computed, as an imperative."""
    return ", then ".join(f"run `mlops-assets backfill {asset_of(table)}`" for table in tables)


def count_of(keys: Sequence[str]) -> str:
    """So many periods, and from which to which, in words."""
    if len(keys) == 1:
        return f"1 period ({keys[0]})"
    return f"{len(keys)} periods ({min(keys)} to {max(keys)})"


@dataclass(frozen=True)
class TableAgreement:
    """How some columns of a table's present generation relate to those of an earlier one.

    Args:
        table: Its name.
        before: The earlier generation.
        now: The present one.
        columns: Which columns were compared, beside key and time.
        partitions: Keys of the periods that the earlier one has.
        missing: Those of them that the present one lacks; nothing was compared where there are any.
        differs: The first period and column in which they differ; None where none does.
    """

    table: str
    before: str
    now: str
    columns: tuple[str, ...]
    partitions: tuple[str, ...]
    missing: tuple[str, ...] = ()
    differs: tuple[str, str] | None = None

    @property
    def words(self) -> str:
        """What was found, as a clause."""
        name = asset_of(self.table)
        if self.missing:
            return f"{count_of(self.missing)} of '{name}' are not computed in its present generation {self.now}"
        if self.differs:
            period, column = self.differs
            return f"'{name}' has in {period} other values of '{column}' than generation {self.before} had"
        listed = f"{', '.join(self.columns)} of " if self.columns else ""
        return (
            f"{listed}'{name}' {self.now} are the same as in {self.before} in all "
            f"{count_of(self.partitions) if self.partitions else '0 periods'}"
        )


def compare_generations(
    platform: Platform, before: DeltaFolder, now: StateTable, columns: Sequence[str] | None, first: Period
) -> TableAgreement:
    """Compare the histories of some columns in every period, from the first on, that an earlier generation has.

    Both were computed at the same moments, as far as the earlier one was computed, so equal histories have equal
    hashes. States in which only other columns changed do not count.

    Args:
        platform: The platform.
        before: The earlier generation.
        now: The present one.
        columns: Which columns, beside key and time; None for all, and then no column may have been added.
        first: The first period that counts.
    """
    calendar = now.schema.calendar
    # The last periods of the earlier one may have been computed, and hold no row.
    newest = max(filter(None, (before.newest_period(), now.delta.newest_period())), default=None)
    keys = computed_periods(before, calendar, first, newest)
    chosen = tuple(columns if columns is not None else now.schema.value_names)
    found = TableAgreement(now.name, before.folder.name, now.delta.folder.name, chosen, tuple(keys))
    missing = tuple(key for key, count in now.delta.counters(keys).items() if not count)
    if missing:
        return replace(found, missing=missing)
    if not keys:
        return found
    changed = _changed_columns(before, now, chosen, whole=columns is None)
    if changed:
        return replace(found, differs=(keys[0], changed[0]))
    for period in map(calendar.at_key, keys):
        differing = next(_differing_columns(platform, before, now, chosen, period), None)
        if differing:
            return replace(found, differs=(period.key, differing))
    return found


def _changed_columns(before: DeltaFolder, now: StateTable, columns: Sequence[str], *, whole: bool) -> list[str]:
    """Columns that the two generations do not both have, or with other types."""
    old, new = before.schema(), now.delta.schema()
    names = {*now.schema.keys, str(now.schema.timestamp), *columns}
    if whole:
        names |= {*old.names, *new.names}
    return [
        name
        for name in sorted(names)
        if name not in old.names or name not in new.names or old.field(name).type != new.field(name).type
    ]


def _differing_columns(
    platform: Platform, before: DeltaFolder, now: StateTable, columns: Sequence[str], period: Period
) -> Iterator[str]:
    """Names of columns (or of the first key, where rows differ) whose histories differ in a period."""
    until = _computed_until(platform, StateTable(before, now.schema), period)

    def differ(*names: str) -> bool:
        tables = [StateTable(folder, now.schema) for folder in (before, now.delta)]
        return len({_history_hash(platform, table, period, names, until) for table in tables}) > 1

    if differ(*columns):
        yield from (name for name in columns if differ(name))
        yield now.schema.keys[0]


def _computed_until(platform: Platform, table: StateTable, period: Period) -> datetime | None:
    """Up to when an earlier generation took corrections in: it does not learn of those that came afterwards."""
    computed = read_computed(platform.computed(table), period)
    if computed:
        return computed.until
    return max((moment.known_at for moment in table.moments(period, period)[period.key]), default=None)


def _history_hash(
    platform: Platform, table: StateTable, period: Period, names: Sequence[str], until: datetime | None
) -> str:
    """The hash of what was known of some columns up to a moment, whatever else changed in their rows."""
    import pyarrow.compute as pc

    narrow = table.narrowed(names)
    if until is None or all(moment.known_at <= until for moment in narrow.moments(period, period)[period.key]):
        return platform.engine_of(table.name).data_versions(narrow, [period])[period.key]
    states = narrow.states(period, period)
    known = that_were_known(narrow, states.filter(pc.less_equal(states.column("known_at"), until)))
    return content_hash(known, narrow.hashed_columns)
