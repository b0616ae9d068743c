"""Features as they would be, had some states never been: tables are copied without them, and computed anew."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets.features.feature_tables import feature_rows, query_inputs
from mlops_assets.features.generated_rows import GeneratedPlatform
from mlops_assets.features.states import is_computed
from mlops_assets.features.training_sets import span_looked_up
from mlops_assets.lakehouse.delta import DeltaFolder
from mlops_assets.lakehouse.periods import Period
from mlops_assets.lakehouse.schema import ALWAYS, STATIC_PERIOD
from mlops_assets.lakehouse.tables import StateTable
from mlops_assets.platform import Platform
from mlops_assets.project.definition import FeatureTableDefinition, ModelDefinition
from mlops_assets.quality.contract import moments
from mlops_assets.storage.opening import storage_at

if TYPE_CHECKING:
    import pyarrow as pa

Span = tuple[Period, Period] | None
"""The first and last period of a table that is read; None of a static table."""

Kept = Callable[[str, "pa.Table"], "pa.Table"]
"""Gives those of a table's states that are left, by its name."""


def spans_read(
    platform: Platform, model: ModelDefinition, period: Period, newest: int | None = None
) -> dict[str, Span]:
    """The periods of each table that a model's features of a period rest on, through feature tables.

    Args:
        platform: The platform.
        model: The model.
        period: The period.
        newest: How many periods of each feature table are computed anew, the newest; None for all that are read.
    """
    project = platform.project
    spans: dict[str, Span] = {
        name: span_looked_up(platform, model, name, period, period) if project.table(name).schema.timestamp else None
        for name in model.inputs
    }
    for table in reversed(list(project.feature_tables.values())):
        span = spans.get(table.name)
        for item in query_inputs(platform, table.inputs, span[1], table.history) if span else ():
            if item.first is None or span is None:
                spans[item.table.name] = None
                continue
            calendar, before = item.table.schema.calendar, spans.get(item.table.name)
            first, last = _anew(table, span, newest)[0], span[1]
            wanted = calendar.shift(first, 1 - table.history), last
            spans[item.table.name] = (min(before[0], wanted[0]), max(before[1], wanted[1])) if before else wanted
    return spans


@contextmanager
def recomputed(
    platform: Platform, spans: Mapping[str, Span], as_of: datetime, kept: Kept, newest: int | None = None
) -> Iterator[Platform]:
    """A platform whose tables hold the states that are left, and what follows from them, as known at a moment.

    Args:
        platform: The platform.
        spans: The periods of each table that are needed, as `spans_read`.
        as_of: The moment. Periods of feature tables of which not everything was known then are not computed.
        kept: Which states are left: of sources, and of older periods of feature tables.
        newest: As in `spans_read`; older periods of feature tables are copied.
    """
    platform.home.scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=platform.home.scratch) as name:
        folder, tables = Path(name), dict[str, StateTable]()
        made = GeneratedPlatform(
            platform.project, platform.home, platform.clock, platform.engine, engines=platform.engines, tables=tables
        )
        for source in [name for name in spans if name in platform.project.sources]:
            _append(_empty(platform, folder, source, tables), kept(source, _stored(platform, source, spans[source])))
        for table in platform.project.feature_tables.values():
            if not (span := spans.get(table.name)):
                continue
            stored, (first, last) = _empty(platform, folder, table.name, tables), _anew(table, span, newest)
            if first > span[0]:
                older = span[0], table.schema.calendar.shift(first, -1)
                _append(stored, kept(table.name, _stored(platform, table.name, older)))
            for one in table.schema.calendar.between(first, last):
                known = is_computed(platform.table(table.name), one)
                if known and platform.feature_table_as_of(table, one) <= as_of:
                    inputs = query_inputs(made, table.inputs, one, table.history)
                    rows = feature_rows(made, table, one, inputs, as_of).rows
                    _append(stored, made.engine_of(table.name).to_arrow(rows))
        yield made


def _anew(table: FeatureTableDefinition, span: tuple[Period, Period], newest: int | None) -> tuple[Period, Period]:
    """The first and last period of a feature table that are computed anew."""
    first = span[0] if newest is None else table.schema.calendar.shift(span[1], 1 - newest)
    return max(span[0], table.first, first), span[1]


def _stored(platform: Platform, name: str, span: Span) -> "pa.Table":
    return platform.table(name).states(*(span or (None, None)))


def _empty(platform: Platform, folder: Path, name: str, tables: dict[str, StateTable]) -> StateTable:
    like = platform.table(name)
    tables[name] = StateTable(DeltaFolder(storage_at(folder / name / like.delta.folder.name), name), like.schema)
    return tables[name]


def _append(table: StateTable, rows: "pa.Table") -> None:
    """Put states into a table, or computed rows, which count as known always."""
    import pyarrow as pa

    schema, calendar = table.schema, table.schema.calendar
    if "event_time" not in rows.column_names:
        of_all = {"known_at": ALWAYS, "seq": 1, "removed": False}
        columns = {name: pa.repeat(value, rows.num_rows) for name, value in of_all.items()}
        columns["event_time"] = pa.array(moments(rows, schema), pa.timestamp("us", "UTC"))
        rows = pa.table({**{name: rows.column(name) for name in schema.names}, **columns})
    times = rows.column("event_time").combine_chunks().dictionary_encode()
    keys = [calendar.of(time).key if schema.timestamp else STATIC_PERIOD for time in times.dictionary.to_pylist()]
    rows = rows.append_column("period", pa.array(keys, pa.string()).take(times.indices))
    if rows.num_rows:
        table.delta.append(rows.select(schema.stored().names).cast(schema.stored()), dict.fromkeys(keys, 0))
