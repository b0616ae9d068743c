"""When a partition is computed: at its as_of, and again at each moment at which something it rests on was corrected.

These moments follow from the states of the inputs alone, so a table that is built anew is computed at the same ones.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from mlops_assets.engines.contract import QueryInput
from mlops_assets.lakehouse.periods import Period
from mlops_assets.lakehouse.tables import PeriodTable, StateMoment

Seqs = Mapping[str, Mapping[str, int]]
"""How many times each period of each table had been committed, by table and period key."""


@dataclass(frozen=True)
class Computed:
    """What a partition was last computed from.

    Args:
        seqs: What had been committed of its inputs.
        until: Corrections up to this moment were taken in.
    """

    seqs: Seqs
    until: datetime


def input_states(inputs: Sequence[QueryInput]) -> dict[str, dict[str, tuple[StateMoment, ...]]]:
    """When the states that a partition rests on became known, by table and period key."""
    return {item.table.name: item.table.moments(item.first, item.last) for item in inputs}


def seqs_of(states: Mapping[str, Mapping[str, Sequence[StateMoment]]]) -> Seqs:
    """The newest seq of each period of each table."""
    return {
        table: {period: max(moment.seq for moment in moments) for period, moments in periods.items() if moments}
        for table, periods in states.items()
    }


def moments_due(
    states: Mapping[str, Mapping[str, Sequence[StateMoment]]], as_of: datetime, now: datetime, computed: Computed | None
) -> list[datetime]:
    """The moments at which a partition must be computed now, in their order.

    Args:
        states: When the states it rests on became known (see `input_states`).
        as_of: Its first moment.
        now: The platform clock; what becomes known later waits.
        computed: What it was last computed from; None where that is not known, and everything is computed.

    Returns:
        Its as_of and the moments of corrections since, without those at which nothing can have changed; at least
        the last of them.

    Example:
        >>> from datetime import UTC
        >>> first, second = datetime(2024, 2, 3, tzinfo=UTC), datetime(2024, 2, 9, tzinfo=UTC)
        >>> states = {"sales": {"2024-01": [StateMoment(first, 1), StateMoment(second, 2)]}}
        >>> moments_due(states, first, datetime(2024, 3, 1, tzinfo=UTC), None) == [first, second]
        True
        >>> moments_due(states, first, datetime(2024, 3, 1, tzinfo=UTC), Computed({"sales": {"2024-01": 1}}, first))
        [datetime.datetime(2024, 2, 9, 0, 0, tzinfo=datetime.timezone.utc)]
    """
    known = [
        (moment.known_at, moment.seq > _seen(computed, table, period))
        for table, periods in states.items()
        for period, moments in periods.items()
        for moment in moments
    ]
    all_moments = sorted({as_of, *(at for at, _ in known if as_of < at <= now)})
    if computed is None:
        return all_moments
    news = min((at for at, new in known if new), default=None)
    due = [at for at in all_moments if at > computed.until or (news is not None and at >= news)]
    return due or all_moments[-1:]


def read_computed(table: PeriodTable, period: Period) -> Computed | None:
    """What a partition was last computed from, if that was recorded."""
    rows = table.read([period.key])
    if rows is None or rows.num_rows == 0:
        return None
    row = rows.to_pylist()[0]
    return Computed(json.loads(row["seqs"]), row["until"])


def record_computed(table: PeriodTable, period: Period, computed: Computed) -> None:
    """Record what a partition was computed from, so that next time only what is new is computed."""
    import pyarrow as pa

    row = {"seqs": json.dumps(computed.seqs, sort_keys=True), "until": computed.until}
    schema = pa.schema([("seqs", pa.string()), ("until", pa.timestamp("us", "UTC"))])
    table.write(period.key, pa.Table.from_pylist([row], schema=schema))


def _seen(computed: Computed | None, table: str, period: str) -> int:
    return computed.seqs.get(table, {}).get(period, 0) if computed else 0
