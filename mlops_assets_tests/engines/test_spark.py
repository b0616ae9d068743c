"""What only Spark has: rows that do not come to the driver, a Java that may be missing, and settings."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mlops_assets.engines.contract import QueryInput, ResolvedLookup
from mlops_assets.engines.query import parse_query
from mlops_assets.engines.spark import SparkEngine
from mlops_assets.engines.spark.rows import SparkRows
from mlops_assets.engines.spark.session import require_spark, session_settings
from mlops_assets.errors import UnusableEnvironmentError
from mlops_assets.lakehouse.schema import Column, TableSchema
from mlops_assets.lakehouse.tables import StateTable
from mlops_assets_tests.engines import in_another_zone
from mlops_assets_tests.engines.contract_pack import MONTHS, InThisProcess, Tables, at, month
from mlops_assets_tests.spark_session import HOURS_FROM_UTC, ZONE

ROWS = 60_000
VALUES = tuple(f"v{number}" for number in range(8))
WIDE = TableSchema(
    ("customer",),
    "month",
    (Column("customer", "bigint"), Column("month", "timestamp"), *(Column(name, "double") for name in VALUES)),
    MONTHS,
)


@contextmanager
def small_driver(engine: SparkEngine) -> Iterator[None]:
    """Let this process take few bytes from the executors, whose plans are as they are unless somebody sets them."""
    limits, session = engine.session.sparkContext._jsc.sc().conf(), engine.session.conf  # noqa: SLF001
    settings = {
        "spark.sql.autoBroadcastJoinThreshold": "20k",  # what is broadcast passes through the driver
        "spark.sql.adaptive.enabled": "true",
        "spark.sql.codegen.wholeStage": "true",
        "spark.sql.shuffle.partitions": "4",
    }
    before = {name: session.get(name) for name in settings}
    try:
        limits.set("spark.driver.maxResultSize", "200k")
        for name, value in settings.items():
            session.set(name, value)
        yield
    finally:
        limits.remove("spark.driver.maxResultSize")
        for name, earlier in before.items():
            session.set(name, str(earlier))


def many_rows(tables: Tables) -> StateTable:
    """January of so many customers."""
    import numpy as np
    import pyarrow as pa

    table = tables.empty(WIDE)
    moments = {"month": at(1), "event_time": at(1), "known_at": at(2)}
    random = np.random.default_rng(0)
    columns = {"customer": pa.array(np.arange(ROWS)), **{name: pa.array(random.random(ROWS)) for name in VALUES}}
    columns |= {name: pa.array([moment] * ROWS, pa.timestamp("us", "UTC")) for name, moment in moments.items()}
    columns |= {
        "seq": pa.array([1] * ROWS),
        "removed": pa.array([False] * ROWS),
        "period": pa.array(["2024-01"] * ROWS),
    }
    stored = pa.table({name: columns[name] for name in WIDE.stored().names}, WIDE.stored())
    table.delta.append(stored, table.delta.counters(["2024-01"]))
    return table


@pytest.mark.slow
def test_rows_that_the_driver_may_not_take_are_computed_looked_up_and_written(
    spark: SparkEngine, tables: Tables
) -> None:
    import pyarrow as pa
    from py4j.protocol import Py4JJavaError  # type: ignore[import-untyped]
    from pyspark.errors import PySparkException

    inputs, made, training = many_rows(tables), tables.empty(WIDE), tables.empty(WIDE)
    query = parse_query("select * from sales", file=Path("all.sql"))
    with small_driver(spark):
        january = [QueryInput(inputs, month(1), month(1))]
        rows = spark.evaluate(query, january, known_at=at(2), schema=WIDE, keep=month(1))
        with pytest.raises((PySparkException, Py4JJavaError), match="spark.driver.maxResultSize"):
            spark.to_arrow(rows)

        counters = made.delta.counters(["2024-01"])
        changes = spark.changes(made, rows, covered=[month(1)], seen_at=at(2), missing_is_removed=True)
        spark.append(made, changes, period=month(1), known_at=at(2), counters=counters)
        assert spark.data_versions(made, [month(1)]) == spark.data_versions(inputs, [month(1)])

        times = ("month", "anchor", "as_of")
        asked = spark.session.range(ROWS).selectExpr(
            "id AS customer", *(f"timestamp'2024-02-10' AS {name}" for name in times)
        )
        moment = pa.timestamp("us", "UTC")
        schema = pa.schema([("customer", pa.int64()), *((name, moment) for name in times)])
        found = spark.lookup(SparkRows(asked, ("customer",), schema), [ResolvedLookup(made, VALUES)])
        assert spark.measure(found, {"rows": "count(*)", "found": 'count("v7")'}) == {"rows": ROWS, "found": ROWS}
        counters = training.delta.counters(["2024-02"])
        changes = spark.changes(training, found, covered=[month(2)], seen_at=at(3), missing_is_removed=True)
        spark.append(training, changes, period=month(2), known_at=at(3), counters=counters)
        assert changes.count == ROWS


@pytest.mark.slow
def test_in_another_time_zone_of_java_and_of_python_no_answer_changes(
    spark: SparkEngine, tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    zone_of_java = spark.session._jvm.java.util.TimeZone.getDefault().getID()  # type: ignore[union-attr]  # noqa: SLF001
    monkeypatch.setenv("TZ", ZONE)
    time.tzset()
    try:
        assert (zone_of_java, in_another_zone.hours_from_utc()) == (ZONE, HOURS_FROM_UTC)
        assert in_another_zone.answers(InThisProcess(spark), tables) == in_another_zone.EXPECTED
    finally:
        monkeypatch.undo()
        time.tzset()


def test_without_java_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(UnusableEnvironmentError) as refused:
        SparkEngine(tmp_path).session  # noqa: B018
    assert refused.value.found == "the engine is spark, and there is no program 'java' on the PATH"
    assert refused.value.expected == "a Java runtime, version 17 or newer"
    assert refused.value.cure == "install Java 17 (and set JAVA_HOME to it), or set the engine to duckdb"
    assert list(tmp_path.iterdir()) == []


def test_a_java_home_without_java_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(UnusableEnvironmentError) as refused:
        require_spark()
    assert refused.value.found == f"the engine is spark, and there is no program 'java' in JAVA_HOME ({tmp_path})"


@pytest.mark.parametrize("package", ["pyspark", "dagster_pyspark"])
def test_without_the_extra_the_error_names_it(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    known = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else known(name))
    with pytest.raises(UnusableEnvironmentError) as refused:
        require_spark()
    assert refused.value.found == f"the engine is spark, and the package {package} is not installed"
    assert refused.value.cure == "install mlops-assets[spark], or set the engine to duckdb"


def test_a_users_settings_are_taken_but_for_those_that_a_meaning_rests_on(tmp_path: Path) -> None:
    given = {
        "spark.master": "spark://cluster:7077",
        "spark.executor.memory": "4g",
        "spark.sql.session.timeZone": "America/New_York",
        "spark.driver.extraJavaOptions": "-Xss4m",
    }
    settings = session_settings(given, tmp_path)
    assert (settings["spark.master"], settings["spark.executor.memory"]) == ("spark://cluster:7077", "4g")
    assert settings["spark.sql.session.timeZone"] == "UTC"
    assert settings["spark.driver.extraJavaOptions"] == f'-Djava.io.tmpdir="{tmp_path / "spark"}" -Xss4m'
    assert "spark.driver.host" not in settings
    assert session_settings({}, tmp_path)["spark.driver.host"] == "127.0.0.1"
