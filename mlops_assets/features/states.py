"""Appending what was computed for a period at a moment: only what changed against what was known then."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from mlops_assets.engines.contract import QueryInput, Rows
from mlops_assets.errors import MissingDataError
from mlops_assets.features.corrections import (
    Computed,
    input_states,
    moments_due,
    read_computed,
    record_computed,
    seqs_of,
)
from mlops_assets.features.finite import FiniteRows
from mlops_assets.lakehouse.periods import Period
from mlops_assets.lakehouse.tables import StateTable
from mlops_assets.platform import Platform


@dataclass(frozen=True)
class Written:
    """What a partition holds after it was written.

    Args:
        known_at: The last moment it was computed for (K).
        rows: Rows known then.
        appended: States appended by this run; 0 where nothing changed.
        data_version: Content hash of the partition.
        delta_version: Delta version of the table after the write.
        corrections: How many states were appended at each moment after the as_of, by moment.
        not_finite: How many numbers were infinite or NaN, and so are null, by column; of the rows known last.
    """

    known_at: datetime
    rows: int
    appended: int
    data_version: str
    delta_version: int | None
    corrections: Mapping[datetime, int] = field(default_factory=dict)
    not_finite: Mapping[str, int] = field(default_factory=dict)


def compute(
    platform: Platform,
    table: StateTable,
    period: Period,
    as_of: datetime,
    inputs: Sequence[QueryInput],
    rows_at: Callable[[datetime], FiniteRows],
) -> Written:
    """Compute a partition at its as_of and at each correction of its inputs since, and append what changed.

    Args:
        platform: The platform.
        table: Where the partition lies.
        period: Which partition.
        as_of: Its first moment.
        inputs: What it rests on; a correction of any of these states is one of its moments.
        rows_at: Its rows as of a moment.

    Raises:
        ConflictError: Another run writes the same partition at the same time.
    """
    states = input_states(inputs)
    now = platform.clock.note()
    record = platform.computed(table)
    appended, corrections = 0, {}
    for moment in moments_due(states, as_of, now, read_computed(record, period)):
        computed = rows_at(moment)
        written = append_computed(platform, table, computed.rows, period, moment)
        appended += written.appended
        if moment > as_of:
            corrections[moment] = written.appended
    if corrections:  # before the first correction, the as_of is all there is to compute
        record_computed(record, period, Computed(seqs_of(states), now))
    return replace(written, appended=appended, corrections=corrections, not_finite=computed.not_finite)


def append_computed(platform: Platform, table: StateTable, rows: Rows, period: Period, known_at: datetime) -> Written:
    """Append the states that make a partition hold ``rows`` (of the table's engine) from ``known_at`` on.

    Running it again with the same rows appends nothing.

    Raises:
        ConflictError: Another run writes the same partition at the same time.
    """
    engine = platform.engine_of(table.name)
    counters = table.delta.counters([period.key])
    changes = engine.changes(table, rows, covered=[period], seen_at=known_at, missing_is_removed=True)
    if changes.count or not counters[period.key]:
        engine.append(table, changes, period=period, known_at=known_at, counters=counters)
    data_version = engine.data_versions(table, [period])[period.key]
    return Written(known_at, changes.rows, changes.count, data_version, table.delta.version())


def is_computed(table: StateTable, period: Period) -> bool:
    """Whether a partition was computed at least once, even if it then held no rows."""
    return table.delta.counters([period.key])[period.key] > 0


def require_computed(
    table: StateTable, period: Period, what: str, expected: str, partition: Period | None = None
) -> None:
    """See that a partition was computed.

    Args:
        table: The table of an asset, named as it is.
        period: The period whose rows are needed.
        what: What they are, in words.
        expected: What should be there, in words.
        partition: The asset's partition that they come with, where that is another period.

    Raises:
        MissingDataError: It never was.
    """
    if not is_computed(table, period):
        key = (partition or period).key
        asset = table.name.replace(".", "/")
        raise MissingDataError(f"no {what} for {key}", expected, f"materialize {asset} for {key} first")
