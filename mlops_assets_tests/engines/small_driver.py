"""A feature table and lookups over far more rows than this process may take from the executors."""

import sys
from pathlib import Path
from typing import Any

from mlops_assets.engines.contract import FeatureLookup, QueryInput
from mlops_assets.engines.query import parse_query
from mlops_assets.engines.spark import SparkEngine
from mlops_assets.engines.spark.rows import SparkRows
from mlops_assets.lakehouse.delta import DeltaFolder
from mlops_assets.lakehouse.schema import Column, TableSchema
from mlops_assets.lakehouse.tables import StateTable
from mlops_assets_tests.engines.contract_pack import MONTHS, at, month
from mlops_assets_tests.spark_session import SETTINGS

ROWS = 60_000
VALUES = tuple(f"v{number}" for number in range(8))
SCHEMA = TableSchema(
    ("customer",),
    "month",
    (Column("customer", "bigint"), Column("month", "timestamp"), *(Column(name, "double") for name in VALUES)),
    MONTHS,
)
LIMITS = {
    "spark.sql.adaptive.enabled": "true",  # as it is unless somebody sets it
    "spark.driver.maxResultSize": "200k",
    "spark.driver.memory": "600m",
    "spark.sql.autoBroadcastJoinThreshold": "20k",  # what is broadcast passes through the driver
    "spark.sql.shuffle.partitions": "4",
}


def main(folder: str) -> None:
    import numpy as np
    import pyarrow as pa
    from py4j.protocol import Py4JJavaError  # type: ignore[import-untyped]
    from pyspark.errors import PySparkException

    tables = Path(folder)
    inputs = StateTable(DeltaFolder(tables / "sales", "sales"), SCHEMA)
    moments = {"month": at(1), "event_time": at(1), "known_at": at(2)}
    random = np.random.default_rng(0)
    columns: dict[str, Any] = {"customer": np.arange(ROWS), **{name: random.random(ROWS) for name in VALUES}}
    columns |= {name: pa.array([moment] * ROWS, pa.timestamp("us", "UTC")) for name, moment in moments.items()}
    columns |= {"seq": np.ones(ROWS, np.int64), "removed": np.zeros(ROWS, bool), "period": ["2024-01"] * ROWS}
    stored = pa.table({name: columns[name] for name in SCHEMA.stored().names}, SCHEMA.stored())
    inputs.delta.append(stored, inputs.delta.counters(["2024-01"]))
    engine = SparkEngine(tables / "scratch", {**SETTINGS, **LIMITS})

    made = StateTable(DeltaFolder(tables / "made", "made"), SCHEMA)
    query = parse_query("select * from sales", file=Path("all.sql"))
    january = [QueryInput(inputs, month(1), month(1))]
    rows = engine.evaluate(query, january, known_at=at(2), schema=SCHEMA, keep=month(1))
    try:
        engine.to_arrow(rows)
    except (PySparkException, Py4JJavaError) as error:
        assert "spark.driver.maxResultSize" in str(error), error
    else:
        raise AssertionError("the rows came to the driver, so this proves nothing")

    counters = made.delta.counters(["2024-01"])
    changes = engine.changes(made, rows, covered=[month(1)], seen_at=at(2), missing_is_removed=True)
    engine.append(made, changes, period=month(1), known_at=at(2), counters=counters)
    assert engine.data_versions(made, [month(1)]) == engine.data_versions(inputs, [month(1)])

    times = ("month", "anchor", "as_of")
    asked = engine.session.range(ROWS).selectExpr(
        "id AS customer", *(f"timestamp'2024-02-10' AS {name}" for name in times)
    )
    moment = pa.timestamp("us", "UTC")
    schema = pa.schema([("customer", pa.int64()), *((name, moment) for name in times)])
    labels = SparkRows(asked, ("customer",), schema)
    found = engine.lookup(labels, [FeatureLookup(made, VALUES)])
    assert engine.measure(found, {"rows": "count(*)", "found": 'count("v7")'}) == {"rows": ROWS, "found": ROWS}
    training = StateTable(DeltaFolder(tables / "training", "training"), SCHEMA)
    counters = training.delta.counters(["2024-02"])
    changes = engine.changes(training, found, covered=[month(2)], seen_at=at(3), missing_is_removed=True)
    engine.append(training, changes, period=month(2), known_at=at(3), counters=counters)
    assert changes.count == ROWS
    print("rows", changes.count, "of", round(stored.nbytes / 1e6), "MB")


if __name__ == "__main__":
    main(*sys.argv[1:])
