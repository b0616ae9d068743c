"""Skew: whether requests were answered with the features that the lakehouse knew at their moment, to the last bit.

Each request that was kept is computed again as known when it was asked, so that what differs is told row by row, and
not by how two distributions look.
"""

import json
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Any

from mlops_assets.features.created_training_sets import periods_held
from mlops_assets.features.generations import generations
from mlops_assets.lakehouse.masking import told
from mlops_assets.lakehouse.periods import ONE_MICROSECOND, Period
from mlops_assets.lakehouse.records import read_records, write_record
from mlops_assets.lakehouse.schema import arrow_type
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ModelDefinition

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

MAX_SHOWN = 10
"""So many of the rows that differ are kept, the first."""

MAX_MOMENTS_BACK = 8
"""So many moments at which something became known are looked at, to find what a row was answered as of."""

LATE = "late publish"
CORRECTION = "correction"
GENERATION = "another generation"
UNEXPLAINED = "unexplained"


@dataclass(frozen=True)
class Difference:
    """A row of a request that was answered with other features than the lakehouse knew.

    Args:
        request_id: The request.
        request_row: The row in it, from 0.
        asked_at: When it was asked, as ISO text in UTC.
        feature: The first feature that differs.
        answered: Its value in the answer, as text; masked where it is personal.
        known: What the lakehouse knew, likewise.
        cause: `LATE` or `CORRECTION`, each of which was known and not published yet, `GENERATION`, or `UNEXPLAINED`.
        why: The cause in words.
    """

    request_id: str
    request_row: int
    asked_at: str
    feature: str
    answered: str
    known: str
    cause: str
    why: str


@dataclass(frozen=True)
class SkewRecord:
    """What was found about the requests of one period.

    Args:
        period: Its key.
        rows: Rows of requests that were kept.
        compared: Those that could be computed again: by keys, which were kept.
        equal: Of these, those with every compared feature equal.
        features: How many features were compared: those whose inputs were kept.
        by_cause: Rows that differ, by cause, as JSON.
        first: The first `Difference` s, as JSON.
    """

    period: str
    rows: int
    compared: int
    equal: int
    features: int
    by_cause: str
    first: str

    @property
    def causes(self) -> Mapping[str, int]:
        """Rows that differ, by cause."""
        return dict(json.loads(self.by_cause))

    @property
    def differences(self) -> tuple[Difference, ...]:
        """The first rows that differ."""
        return tuple(Difference(**values) for values in json.loads(self.first))

    @property
    def words(self) -> str:
        """The record in a line."""
        left = self.rows - self.compared
        apart = f"; {left} could not be, for their keys were not kept or their features were given" if left else ""
        if self.equal == self.compared:
            return f"{self.compared} rows computed again are equal in {self.features} features{apart}"
        causes = ", ".join(f"{rows} {cause}" for cause, rows in self.causes.items())
        return f"{self.compared - self.equal} of {self.compared} rows computed again differ ({causes}){apart}"

    def within(self, max_skew: float) -> bool:
        """Whether no more rows differ than a share of them, and none without a cause."""
        return self.compared - self.equal <= max_skew * self.compared and UNEXPLAINED not in self.causes


def measure_skew(platform: Platform, model: ModelDefinition, period: Period) -> tuple[SkewRecord, str] | None:
    """Compute again what was answered to the requests that were kept of a period, and compare bit for bit.

    Personal values are in the record's words nowhere; those that are not kept with requests, and what is computed from
    them, are not compared.

    Returns:
        The record and its data version; None where no request was kept.
    """
    requests = platform.requests(model)
    kept = platform.engine.known_at(requests, platform.clock.now(), first=period, last=period)
    if kept.num_rows == 0:
        return None
    record = _compared(platform, model, period, kept)
    return record, write_record(platform.records(model, "skew"), record)


def skew_history(platform: Platform, model: ModelDefinition) -> list[SkewRecord]:
    """What was found about the requests of all periods, in their order."""
    return read_records(platform.records(model, "skew"), SkewRecord)


def _compared(platform: Platform, model: ModelDefinition, period: Period, kept: "pa.Table") -> SkewRecord:
    import numpy as np

    answering = _Answering(platform, model)
    keyed = answering.keyed(kept)
    asked_at = keyed.column("asked_at").to_pylist()
    differ, explained = np.zeros(0, dtype=np.int64), list[Difference]()
    if keyed.num_rows:
        known = answering.at(keyed, asked_at)
        differ = np.flatnonzero(_differing(keyed, known))
        explained = _explained(answering, keyed.take(differ), known.take(differ))
    return SkewRecord(
        period=period.key,
        rows=kept.num_rows,
        compared=keyed.num_rows,
        equal=keyed.num_rows - len(differ),
        features=len(answering.features),
        by_cause=json.dumps(Counter(one.cause for one in explained), sort_keys=True),
        first=json.dumps([asdict(one) for one in explained[:MAX_SHOWN]], sort_keys=True),
    )


class _Answering:
    """Answers requests again, as known at any moment, from what was kept of them.

    Args:
        platform: The platform.
        model: The model; a feature whose keys or inputs are not kept with its requests is left out.
    """

    def __init__(self, platform: Platform, model: ModelDefinition) -> None:
        columns = {column.name: column for column in platform.requests(model).schema.columns}
        hidden = set() if model.request_log.log_personal else {one.name for one in columns.values() if one.is_personal}
        self._given = [name for name in (*model.schema.keys, *_names(model.request)) if name not in hidden]
        lookups = [one for one in platform.lookups(model) if {*one.keys} <= {*self._given}]
        there = {name.lower() for name in (*self._given, *(name for one in lookups for name in one.names))}
        computed = [one for one in model.computed if {name.lower() for name in one.expression.columns} <= there]
        made = {*(name for one in lookups for name in one.names), *_names(computed)} - hidden
        self.features = [column for column in model.features if column.name in made]
        self._platform, self._model, self._lookups, self._computed = platform, model, lookups, computed

    def keyed(self, kept: "pa.Table") -> "pa.Table":
        """The rows that were asked by keys, which were kept: in order of time. None, where no feature is compared."""
        import pyarrow.compute as pc

        by = sorted({name for lookup in self._lookups for name in lookup.keys})
        if not self.features or not by:
            return kept.slice(0, 0)
        rows = kept.filter(reduce(or_, (pc.field(name).is_valid() for name in by)))
        return rows.sort_by([("asked_at", "ascending"), ("request_id", "ascending"), ("request_row", "ascending")])

    def at(self, rows: "pa.Table", moments: Sequence[datetime]) -> "pa.Table":
        """The features that the lakehouse answers, asked for each row at a moment."""
        import pyarrow as pa

        anchors = {moment: self._model.speaks_about(moment).anchor for moment in {*moments}}
        time = pa.timestamp("us", "UTC")
        asked = rows.select(self._given).append_column("anchor", pa.array([anchors[one] for one in moments], time))
        engine = self._platform.engine
        found = engine.lookup(engine.rows(asked.append_column("as_of", pa.array(moments, time))), self._lookups)
        answer = engine.to_arrow(engine.compute(found, self._computed) if self._computed else found)
        types = pa.schema([(column.name, arrow_type(column.type)) for column in self.features])
        return answer.select(types.names).cast(types)

    def news(self, until: datetime) -> "dict[datetime, tuple[str, str]]":
        """The moments until one at which something became known of the tables looked up: why in words, and as what."""
        found: dict[datetime, tuple[str, str]] = {}
        for table in {lookup.table.name: lookup.table for lookup in self._lookups}.values():
            held = periods_held(self._platform, table)
            by_period = table.moments(held[0], held[-1]) if held else {}
            for key, moments in by_period.items():
                for number, moment in enumerate(sorted(one.known_at for one in moments)):
                    cause = CORRECTION if number else LATE
                    what = f"a correction of {table.name} {key}" if number else f"{table.name} {key}"
                    if moment <= until:
                        found.setdefault(moment, (cause, f"{what}, known at {moment.isoformat()}, was not published"))
        return found

    def redefined(self) -> dict[str, datetime]:
        """When the newest definition of each table looked up was first computed."""
        tables = {lookup.table.name for lookup in self._lookups}
        return {name: of[-1].first_seen for name in tables if (of := generations(self._platform, name))}


def _names(columns: Iterable[Any]) -> list[str]:
    return [column.name for column in columns]


def _explained(answering: _Answering, rows: "pa.Table", known: "pa.Table") -> list[Difference]:
    """Why each row was answered otherwise: as of which earlier moment it was, where there is one."""
    import numpy as np

    if not rows.num_rows:
        return []
    asked_at = rows.column("asked_at").to_pylist()
    news = answering.news(asked_at[-1])
    moments, causes = sorted(news), dict[int, tuple[str, str]]()
    for back in range(1, MAX_MOMENTS_BACK + 1):
        places = {place: bisect_right(moments, asked_at[place]) - back for place in range(rows.num_rows)}
        left = [place for place, at in places.items() if place not in causes and at >= 0]
        if not left:
            break
        before = answering.at(rows.take(left), [moments[places[place]] - ONE_MICROSECOND for place in left])
        same = ~_differing(rows.take(left), before)
        causes |= {left[place]: news[moments[places[left[place]]]] for place in np.flatnonzero(same)}
    redefined = answering.redefined()
    return [
        _difference(answering, rows.slice(place, 1), known.slice(place, 1), causes.get(place), redefined)
        for place in range(rows.num_rows)
    ]


def _difference(
    answering: _Answering,
    row: "pa.Table",
    known: "pa.Table",
    cause: tuple[str, str] | None,
    redefined: Mapping[str, datetime],
) -> Difference:
    first = next(one for one in answering.features if _differing(row.select([one.name]), known.select([one.name]))[0])
    asked_at = row.column("asked_at")[0].as_py()
    if cause is None:
        since = sorted(name for name, moment in redefined.items() if moment > asked_at)
        words = f"{', '.join(since)} was defined otherwise then"
        cause = (GENERATION, words) if since else (UNEXPLAINED, "it is no answer of any moment before")
    return Difference(
        request_id=row.column("request_id")[0].as_py(),
        request_row=row.column("request_row")[0].as_py(),
        asked_at=asked_at.isoformat(),
        feature=first.name,
        answered=str(told(first, row.column(first.name)[0].as_py())),
        known=str(told(first, known.column(first.name)[0].as_py())),
        cause=cause[0],
        why=cause[1],
    )


def _differing(answered: "pa.Table", known: "pa.Table") -> "npt.NDArray[np.bool_]":
    """Of each row whether any of the columns known differs in a bit; null is equal to null."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    differs = np.zeros(known.num_rows, dtype=bool)
    for name in known.column_names:
        pair = [table.column(name).combine_chunks() for table in (answered, known)]
        one, other = (part.view(pa.int64()) if pa.types.is_float64(part.type) else part for part in pair)
        both_null = pc.and_(pc.is_null(one), pc.is_null(other))
        equal = pc.or_(pc.fill_null(pc.equal(one, other), False), both_null)  # noqa: FBT003  (a value)
        differs |= ~equal.to_numpy(zero_copy_only=False)
    return differs
