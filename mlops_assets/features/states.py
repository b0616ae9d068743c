"""Appending what was computed for a period at a moment: only what changed against what was known then."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from mlops_assets.lakehouse.periods import Period
from mlops_assets.lakehouse.tables import StateTable
from mlops_assets.project.platform import Platform

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Written:
    """What a partition holds after it was written.

    Args:
        known_at: The moment it was computed for (K).
        rows: Rows known then.
        appended: States appended by this run; 0 where nothing changed.
        data_version: Content hash of the partition.
        delta_version: Delta version of the table after the write.
    """

    known_at: datetime
    rows: int
    appended: int
    data_version: str
    delta_version: int | None


def append_computed(
    platform: Platform, table: StateTable, rows: "pa.Table", period: Period, known_at: datetime
) -> Written:
    """Append the states that make a partition hold ``rows`` from ``known_at`` on.

    Running it again with the same rows appends nothing.

    Raises:
        ConflictError: Another run writes the same partition at the same time.
    """
    import pyarrow as pa

    counters = table.delta.counters([period.key])
    changes = platform.engine.changes(table, rows, covered=[period], seen_at=known_at, missing_is_removed=True).states
    count = changes.num_rows
    if count or not counters[period.key]:
        moment = pa.timestamp("us", "UTC")
        columns = {name: changes.column(name) for name in table.schema.names}
        columns |= {
            "event_time": changes.column("event_time"),
            "known_at": pa.array([known_at] * count, moment),
            "seq": pa.array([counters[period.key] + 1] * count, pa.int64()),
            "removed": changes.column("removed"),
            "period": pa.array([period.key] * count, pa.string()),
        }
        table.delta.append(pa.table(columns, schema=table.schema.stored()), counters)
    return Written(known_at, rows.num_rows, count, table.data_version(period), table.delta.version())


def is_computed(table: StateTable, period: Period) -> bool:
    """Whether a partition was computed at least once, even if it then held no rows."""
    return table.delta.counters([period.key])[period.key] > 0
