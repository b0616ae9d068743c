"""Training sets from rows that somebody brings: features looked up for each row, as known at the row's time."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from mlops_assets.engines import contract
from mlops_assets.errors import DefinitionError, none_of
from mlops_assets.features.frames import moment_values, typed_values
from mlops_assets.features.read_versions import Read, ReadVersions, read_again
from mlops_assets.lakehouse.periods import ONE_MICROSECOND, Duration, Period
from mlops_assets.lakehouse.tables import StateTable
from mlops_assets.platform import Platform
from mlops_assets.project.definition import TableDefinition
from mlops_assets.project.lookups import check_lookup_key, checked_lookup
from mlops_assets.project.model_attributes import LookupDefinition

if TYPE_CHECKING:
    import pyarrow as pa

TIMES = ("anchor", "as_of")


@dataclass(frozen=True)
class FeatureLookup:
    """Which columns of a table are wanted, by which key, and how old they may be.

    Args:
        table: A feature table or source.
        features: Columns of it: names, or one name; None for all that are neither key nor timestamp.
        lookup_key: Columns of the rows that hold the table's keys, in the order of these; None for the same names.
        rename: What the answer calls a feature, by feature; the others keep their names.
        lookback: How far before a row's time the feature's own time may lie: a text such as ``30 days`` or
            ``2 months``, or a length of time; None for any age.
        default: What fills a null of a feature, by feature.
    """

    table: str
    features: str | Sequence[str] | None = None
    lookup_key: str | Sequence[str] | None = None
    rename: Mapping[str, str] = field(default_factory=dict)
    lookback: str | timedelta | None = None
    default: Mapping[str, object] = field(default_factory=dict)


def look_up(
    platform: Platform,
    rows: "pa.Table",
    lookups: Sequence[FeatureLookup],
    *,
    timestamp: str | None,
    as_of: datetime | None,
    read_at: datetime,
    versions: ReadVersions | None,
    known: Mapping[int, str] | None = None,
) -> tuple["pa.Table", list[Read]]:
    """Look features up for rows; each row comes back once, in its place, with all its columns.

    Args:
        platform: Where the tables lie.
        rows: With the columns that keys and times are taken from.
        lookups: What to look up.
        timestamp: The column that is a row's anchor and as_of where it has no column ``anchor`` or ``as_of``.
        as_of: One as_of for all rows, in UTC; None for each row's own.
        read_at: The moment of reading; what became known later is not seen, whatever a row's as_of.
        versions: Read what was read then; None for the tables as they stand.
        known: By place of a lookup a further column of the answer, which has a value where the lookup found a row.

    Returns:
        The features, one row for each row, and what was read.

    Raises:
        DefinitionError: A table, column, key, name, default or time is not there, of another type, or ambiguous.
        ContractError: A version no longer holds what was read of it.
    """
    import pyarrow as pa

    asked = moments_asked(rows, timestamp, as_of, read_at)
    names_read = dict.fromkeys(lookup.table for lookup in lookups)
    again = {name: read_again(platform, name, versions) for name in names_read} if versions else {}
    tables = {name: again[name].table if versions else platform.table(name) for name in names_read}
    resolved = [
        resolved_lookup(platform.project.table(lookup.table), tables[lookup.table], lookup) for lookup in lookups
    ]
    for of in resolved:
        for key in of.keys:
            _existing(rows, key, "lookup_key")
    reads = again or _reads(platform, resolved, asked)
    columns, pinned, known = dict(asked), [], known or {}
    names: dict[str, str] = {}
    for number, lookup in enumerate(resolved):
        schema = lookup.table.schema
        # Users' names stay outside: a column of the rows may be called as a feature is before it is renamed.
        keys = {f"key {number} {place}": name for place, name in enumerate(lookup.keys)}
        for key, (inside, name) in zip(schema.keys, keys.items(), strict=True):
            columns[inside] = typed_values(name, rows.column(name), schema.column(key).type, "key column")
        rename = {feature: f"feature {number} {place}" for place, feature in enumerate(lookup.features)}
        for feature, name in zip(lookup.features, lookup.names, strict=True):
            _check_free(name, lookup.table.name, rows.column_names, names.values())
            names[rename[feature]] = name
        version, found = reads[lookup.table.name].pinned, known.get(number)
        pinned.append(replace(lookup, version=version, lookup_key=tuple(keys), rename=rename, found=found))
    engine = platform.engine
    answer = engine.to_arrow(engine.lookup(engine.rows(pa.table(columns)), pinned)) if pinned else pa.table(columns)
    names |= {name: name for name in known.values()}
    return answer.select(list(names)).rename_columns(list(names.values())), list(reads.values())


def moments_asked(
    rows: "pa.Table", timestamp: str | None, as_of: datetime | None, read_at: datetime
) -> dict[str, "pa.ChunkedArray"]:
    """Anchor and as_of of each row, in UTC; arguments and errors as of `look_up`."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if as_of is not None and "as_of" in rows.column_names:
        raise DefinitionError(
            "a column 'as_of' and the argument as_of", "one of the two", "rename the column, or leave the argument out"
        )
    moments = {}
    for name in TIMES:
        column = name if name in rows.column_names else timestamp
        if name == "as_of" and as_of is not None:
            moments[name] = pa.chunked_array([pa.repeat(pa.scalar(as_of, pa.timestamp("us", "UTC")), rows.num_rows)])
        elif column is None:
            raise DefinitionError(
                f"rows without a time to look up at: neither timestamp=… nor a column '{name}'",
                "the name of the column with each row's time",
                f"pass timestamp= with one of: {', '.join(rows.column_names)}",
            )
        else:
            moments[name] = moment_values(column, rows.column(_existing(rows, column, "timestamp")))
    latest = pa.scalar(read_at, pa.timestamp("us", "UTC"))
    moments["as_of"] = pc.if_else(pc.greater(moments["as_of"], latest), latest, moments["as_of"])
    return moments


def resolved_lookup(definition: TableDefinition, table: StateTable, lookup: FeatureLookup) -> contract.ResolvedLookup:
    """A lookup against its table, with every name checked.

    Raises:
        DefinitionError: A feature, key, name, default or lookback is not what the table has or allows.
    """
    features = _names(lookup.features) or definition.schema.value_names
    given = lookup.lookback
    lookback = Duration(rest=given) if isinstance(given, timedelta) else Duration.parse(given) if given else None
    lookup_key = _names(lookup.lookup_key) or definition.schema.keys
    asked = LookupDefinition(definition.name, features, lookback, lookup_key, lookup.rename, lookup.default)
    checked = checked_lookup(asked, definition)
    if len(set(features)) < len(features):
        raise DefinitionError(
            f"a feature of '{table.name}' twice in one lookup", "each feature once",
            "take it out, or give it another name in a lookup of its own",
        )  # fmt: skip
    check_lookup_key(table.name, definition.schema, lookup_key)
    return checked.opened(table)


def _names(names: str | Sequence[str] | None) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names or ())


def _existing(rows: "pa.Table", name: str, argument: str) -> str:
    if name in rows.column_names:
        return name
    cure = f"add the column (a pandas index with reset_index()), or name it in {argument}"
    raise none_of(f"rows without the column '{name}'", name, rows.column_names, cure)


def _check_free(name: str, table: str, columns: Collection[str], features: Collection[str]) -> None:
    if name in columns or name in features:
        whose = "as a column of the rows" if name in columns else "as another feature"
        raise DefinitionError(
            f"a feature '{name}' of '{table}', named {whose}",
            "one name for each column of the answer",
            f"give it another name with rename={{'{name}': …}}",
        )


def _reads(
    platform: Platform, lookups: Sequence[contract.ResolvedLookup], asked: Mapping[str, "pa.ChunkedArray"]
) -> dict[str, Read]:
    """What is read of each table, over all lookups in it."""
    import pyarrow.compute as pc

    span = pc.min_max(asked["anchor"]).as_py()
    reads: dict[str, Read] = {}
    for table in {lookup.table.name: lookup.table for lookup in lookups}.values():
        version = table.delta.version()
        lookbacks = [lookup.lookback for lookup in lookups if lookup.table.name == table.name]
        periods = _periods(platform, table, lookbacks, span["min"], span["max"])
        reads[table.name] = Read(table, version, periods)
    return reads


def _periods(
    platform: Platform,
    table: StateTable,
    lookbacks: Sequence[Duration | None],
    lowest: datetime | None,
    highest: datetime | None,
) -> list[Period]:
    """The periods in which an answer can lie, among those that the table has."""
    has = periods_held(platform, table)
    if not has or lowest is None or highest is None:
        return []
    oldest = has[0].start
    if None not in lookbacks:
        begin = max(lowest, oldest)
        oldest = max(oldest, min(lookback.before(begin) for lookback in lookbacks if lookback) + ONE_MICROSECOND)
    return [period for period in has if period.end > oldest and period.start <= highest]


def periods_held(platform: Platform, table: StateTable) -> list[Period]:
    """From the first period that a table can have to the newest that it holds rows of; none of a static table."""
    newest, first = table.newest_period(), platform.project.table(table.name).first
    return list(table.schema.calendar.between(first, newest)) if newest and first else []
