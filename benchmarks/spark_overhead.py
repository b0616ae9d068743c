"""The figure of lookups on local Spark: the work of `pit`, against the join that anybody would write by hand."""

import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import Figure
from benchmarks.pit import CLEAN
from benchmarks.point_in_time import (
    LABELS,
    LOOKBACK_DAYS,
    TIMES,
    Sizes,
    feature_tables,
    measure,
    read_labels,
    write_data,
)
from mlops_assets.engines.contract import ResolvedLookup
from mlops_assets.engines.spark import SparkEngine
from mlops_assets.engines.spark.rows import SparkRows
from mlops_assets.lakehouse.content_hash import content_hash
from mlops_assets.lakehouse.periods import Duration

if TYPE_CHECKING:
    import pyarrow as pa

MOST = 1.5
SETTINGS = {"spark.master": "local[2]", "spark.driver.memory": "4g", "spark.sql.shuffle.partitions": "8"}


def spark_overhead(sizes: Sizes = CLEAN) -> Figure:
    """Both in one session, in turns, where every row is known when it happens; answers are computed and not fetched."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_data(folder, sizes)
        right = measure("brute force", folder, sizes, times=0).digest
        engine = SparkEngine(folder / "scratch", SETTINGS)
        ways: dict[str, Callable[[], Any]] = {
            "ours": lambda: _ours(engine, folder, sizes),
            "by hand": lambda: _by_hand(engine, folder, sizes),
        }
        for way, frame in ways.items():
            answer: pa.Table = frame().toArrow()
            if content_hash(answer, sorted(answer.column_names)) != right:
                raise RuntimeError(f"{way}: answers that brute force does not give")
        taken: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(TIMES):
            for way, frame in ways.items():
                begun = time.perf_counter()
                frame().write.format("noop").mode("overwrite").save()
                taken[way].append(time.perf_counter() - begun)
        engine.session.stop()
    ours, peer = (statistics.median(taken[way]) for way in ways)
    return Figure(
        "spark-overhead",
        round(ours, 2),
        round(peer, 2),
        round(ours / peer, 2),
        f"at most {MOST} x the same join written by hand in Spark, every answer equal to brute force (seconds)",
        ours <= MOST * peer,
    )


def _ours(engine: SparkEngine, folder: Path, sizes: Sizes) -> Any:
    """The engine's lookup, from the table in the lakehouse."""
    (table,) = feature_tables(folder, sizes)
    labels = engine.session.read.parquet(str(folder / LABELS))
    rows = SparkRows(labels, (), read_labels(folder).schema)
    lookback = Duration(rest=timedelta(days=LOOKBACK_DAYS))
    return engine.lookup(rows, [ResolvedLookup(table, table.schema.value_names, lookback)]).frame


def _by_hand(engine: SparkEngine, folder: Path, sizes: Sizes) -> Any:
    """The peer: labels and rows of an entity in one order, and the last row before each label; nothing may be late."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    (table,) = feature_tables(folder, sizes)
    names = table.schema.value_names
    rows = engine.session.read.parquet(*table.files())
    rows = rows.select("entity", F.col("event_time").alias("time"), F.struct("event_time", *names).alias("row"))
    labels = engine.session.read.parquet(str(folder / LABELS)).withColumn("time", F.col("as_of"))
    together = rows.unionByName(labels, allowMissingColumns=True)
    order = Window.partitionBy("entity").orderBy("time", F.col("anchor").isNotNull())
    before = F.last("row", ignorenulls=True).over(order.rowsBetween(Window.unboundedPreceding, 0))
    found = together.withColumn("found", before).where("anchor IS NOT NULL")
    inside = F.col("found.event_time") > F.col("as_of") - F.expr(f"INTERVAL '{LOOKBACK_DAYS}' DAY")
    return found.select(
        "entity", "anchor", "as_of", *(F.when(inside, F.col(f"found.{name}")).alias(name) for name in names)
    )
