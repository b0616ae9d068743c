"""The inference table: what was asked of a model over HTTP, with which features it was answered, and what."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import ConflictError
from mlops_assets.lakehouse.delta import DeltaFolder
from mlops_assets.lakehouse.periods import Period
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ModelDefinition

if TYPE_CHECKING:
    import pyarrow as pa

MAX_ATTEMPTS = 5
"""Several servers of a home write to the same period; each commit of one makes another begin again."""


def append_requests(platform: Platform, model: ModelDefinition, rows: Sequence[Mapping[str, Any]]) -> None:
    """Append rows of requests to `Platform.requests`, in one commit for each period that they were asked in.

    Args:
        platform: The platform.
        model: The model.
        rows: Columns by name; those left out are null. Personal columns of what was asked are written only where the
            model keeps them; what was answered always is.

    Raises:
        ConflictError: Other servers wrote at the same time, again and again.
        UnusableEnvironmentError: The table cannot be written.
    """
    table = platform.requests(model)
    answers = {column.name for column in model.answer_columns}
    hidden = (
        ()
        if model.request_log.log_personal
        else [column.name for column in table.schema.columns if column.is_personal and column.name not in answers]
    )
    # Of one request that came twice at one moment, which only its caller's id can tell, the last answer counts.
    last = {(row["request_id"], row["request_row"], row["asked_at"]): row for row in rows}
    asked: dict[Period, list[dict[str, Any]]] = defaultdict(list)
    for (*_, moment), row in last.items():
        state = {"event_time": moment, "known_at": moment, "removed": False, **dict.fromkeys(hidden)}
        asked[table.schema.calendar.of(moment)].append({**row, **state})
    for period, states in asked.items():
        _append(table.delta, period, states, table.schema.stored())


def _append(delta: DeltaFolder, period: Period, states: Sequence[Mapping[str, Any]], schema: "pa.Schema") -> None:
    import pyarrow as pa

    for attempt in range(1, MAX_ATTEMPTS + 1):
        counters = delta.counters([period.key])
        seq = counters[period.key] + 1
        rows = [{**state, "seq": seq, "period": period.key} for state in states]
        try:
            delta.append(pa.Table.from_pylist(rows, schema=schema), counters)
            return
        except ConflictError:
            if attempt == MAX_ATTEMPTS:
                raise
