"""Lookups as of a time on Spark: one pass over labels and states together, exact (docs/concepts.md#lookups).

For labels whose as_of lies a constant L after their anchor, a state can be used from
``available = max(event_time + L, known_at)`` on. Labels and states of a key stand in one order by that time, and each
label takes, of the states before it, the greatest (event_time, known_at, seq): the latest state of the greatest event
known. Where that state is a removal inside the lookback, the few rows concerned are answered by the definition itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.engines.contract import MAX_LAGS, ResolvedLookup
from mlops_assets.engines.spark.rows import SparkRows
from mlops_assets.engines.spark.session import Frame, kept, micros, quoted
from mlops_assets.engines.spark.states import stored_states
from mlops_assets.lakehouse.tables import StateTable

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True)
class _Asked:
    """What the rows asked for have in common: their lags (or None: too many) and their first and last anchor."""

    lags: tuple[int, ...] | None
    first: int | None
    last: int | None


def look_up(session: "SparkSession", rows: SparkRows, lookups: Sequence[ResolvedLookup]) -> SparkRows:
    """Look features up for rows; see `Engine.lookup`."""
    import pyarrow as pa
    from pyspark.sql import functions as F

    asked = _asked(rows.frame)
    # Users' names stay inside a struct, so that a column may be called as one of the engine's own.
    names = rows.frame.columns
    frame = rows.frame.select(
        F.struct(*map(quoted, names)).alias("given"),
        F.expr(micros("anchor")).alias("anchor_us"),
        F.expr(micros("as_of")).alias("as_of_us"),
        F.struct().alias("found"),
    )
    for lookup in lookups:
        frame = _with_found(session, frame, lookup, asked)
    fields = list(rows.schema)
    answers = [F.col(f"given.{quoted(name)}").alias(name) for name in names]
    place = 0
    for lookup in lookups:
        schema = lookup.table.schema.arrow()
        for feature, name in lookup.answers:
            value = F.col(f"found.feature_{place}")
            if feature in lookup.default:
                default = F.lit(lookup.default[feature]).cast(lookup.table.schema.column(feature).type)
                value = F.coalesce(value, default)
            answers.append(value.alias(name))
            fields.append(schema.field(feature).with_name(name))
            place += 1
    return SparkRows(frame.select(*answers), rows.order, pa.schema(fields))


def _asked(frame: Frame) -> _Asked:
    from pyspark.sql import functions as F

    times = frame.select(F.expr(micros("anchor")).alias("anchor_us"), F.expr(micros("as_of")).alias("as_of_us"))
    times = times.where("anchor_us IS NOT NULL AND as_of_us IS NOT NULL")
    times = times.withColumn("lag", F.col("as_of_us") - F.col("anchor_us"))
    bounds = times.selectExpr(
        "min(anchor_us) AS first", "max(anchor_us) AS last", "min(lag) AS least", "max(lag) AS most"
    ).collect()[0]
    lags = {bounds["least"], bounds["most"]} - {None}
    if len(lags) > 1:
        lags = {row["lag"] for row in times.select("lag").distinct().limit(MAX_LAGS + 1).collect()}
    return _Asked(tuple(sorted(lags)) if len(lags) <= MAX_LAGS else None, bounds["first"], bounds["last"])


def _with_found(session: "SparkSession", frame: Frame, lookup: ResolvedLookup, asked: _Asked) -> Frame:
    """The frame, with the features of one more lookup in ``found``."""
    from pyspark.sql import functions as F

    before = len(frame.schema["found"].dataType.names)
    keys = [f"key_{place}" for place in range(len(lookup.keys))]
    wanted = [F.col(quoted(name)).alias(f"feature_{before + place}") for place, (name, _) in enumerate(lookup.answers)]
    files = lookup.files(asked.first, asked.last)
    states = stored_states(session, lookup.table, files).select(
        *(F.col(quoted(name)).alias(key) for name, key in zip(lookup.table.schema.keys, keys, strict=True)),
        F.expr(micros("event_time")).alias("event_us"),
        F.expr(micros("known_at")).alias("known_us"),
        "seq",
        "removed",
        F.struct(*wanted).alias("features"),
    )
    question = frame.select(
        *(F.col(f"given.{quoted(name)}").alias(key) for name, key in zip(lookup.keys, keys, strict=True)),
        "anchor_us",
        "as_of_us",
        F.expr(lookup.lower_bound("timestamp_micros", "unix_micros")).alias("lower_us"),
        F.struct("given", "found").alias("row"),
    )
    if asked.lags is None:
        answered = _by_definition(question, states, keys)
    else:
        answered = _in_order(question, states, keys, asked.lags)
        if _may_hold_removals(lookup.table, files):
            answered = kept(answered)
            repaired = _by_definition(answered.where("features IS NULL AND to_repair"), states, keys)
            fine = answered.where("NOT to_repair").drop("to_repair")
            answered = fine.unionByName(repaired)
    found = [F.col(f"row.found.feature_{place}") for place in range(before)]
    found += [F.col(f"features.feature_{before + place}") for place in range(len(wanted))]
    return answered.select(F.col("row.given").alias("given"), "anchor_us", "as_of_us", F.struct(*found).alias("found"))


def _in_order(question: Frame, states: Frame, keys: Sequence[str], lags: Sequence[int]) -> Frame:
    """The features of the state that each row lands on; ``to_repair`` where that is a removal inside the lookback."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    by_key = [F.col(key) for key in keys]
    state = F.struct("event_us", "known_us", "seq", "removed", "features")
    label = F.struct("anchor_us", "as_of_us", "lower_us", "row")
    lag = F.explode(F.array(*(F.lit(lag).cast("bigint") for lag in lags)))
    usable = states.withColumn("lag_us", lag).select(
        *by_key,
        "lag_us",
        F.greatest(F.col("event_us") + F.col("lag_us"), "known_us").alias("time"),
        F.lit(0).alias("kind"),
        state.alias("state"),
    )
    asking = question.select(
        *by_key,
        (F.col("as_of_us") - F.col("anchor_us")).alias("lag_us"),
        F.col("as_of_us").alias("time"),
        F.lit(1).alias("kind"),
        label.alias("label"),
    )
    together = usable.unionByName(asking, allowMissingColumns=True)
    before = Window.partitionBy(*by_key, "lag_us").orderBy("time", "kind").rowsBetween(Window.unboundedPreceding, 0)
    landed = together.withColumn("hit", F.max("state").over(before)).where("kind = 1")
    inside = F.coalesce(F.col("hit.event_us") > F.col("label.lower_us"), F.lit(False))
    removed = inside & F.col("hit.removed")
    return landed.select(
        *by_key,
        "label.*",
        F.when(inside & ~F.col("hit.removed"), F.col("hit.features")).alias("features"),
        removed.alias("to_repair"),
    )


def _by_definition(question: Frame, states: Frame, keys: Sequence[str]) -> Frame:
    """The same by the definition itself: of each event the latest state known, and of these the greatest."""
    from pyspark.sql import functions as F

    columns = [*keys, "anchor_us", "as_of_us", "lower_us", "row"]
    numbered = kept(question.select(*columns, F.monotonically_increasing_id().alias("number")))
    q, s = numbered.drop("row").alias("q"), states.alias("s")
    known: Any = (
        (F.col("s.event_us") <= F.col("q.anchor_us"))
        & (F.col("s.event_us") > F.col("q.lower_us"))
        & (F.col("s.known_us") <= F.col("q.as_of_us"))
    )
    for key in keys:
        known &= F.col(f"q.{key}") == F.col(f"s.{key}")
    state = F.struct("s.known_us", "s.seq", "s.removed", "s.features")
    latest = q.join(s, known).groupBy("q.number", "s.event_us").agg(F.max(state).alias("state"))
    newest = F.max(F.struct("event_us", "state.features")).alias("newest")
    found = latest.where("NOT state.removed").groupBy("number").agg(newest)
    joined = numbered.join(found, "number", "left")
    return joined.select(*columns, F.col("newest.features").alias("features"))


def _may_hold_removals(table: StateTable, files: Sequence[str]) -> bool:
    """Whether a file's statistics tell of a removal, or do not tell."""
    import pyarrow.parquet as pq

    for file in files:
        with table.delta.file(file).open() as content:
            footer = pq.read_metadata(content)
        place = footer.schema.names.index("removed")
        for number in range(footer.num_row_groups):
            found = footer.row_group(number).column(place).statistics
            if found is None or not found.has_min_max or found.max:
                return True
    return False
