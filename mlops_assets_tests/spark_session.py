"""A Spark for tests: one thread, one partition after each shuffle, and little of what pays off in long queries only."""

from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets_tests.conftest import require_program

if TYPE_CHECKING:
    from mlops_assets.engines.spark import SparkEngine

# Java is in a zone other than UTC, so that every test on Spark proves that this changes no answer.
ZONE, HOURS_FROM_UTC = "America/New_York", -4
FOR_JAVA = [
    f"-Duser.timezone={ZONE}",
    "-XX:TieredStopAtLevel=1",
    # With less room, what was compiled for one query is thrown away for the next one.
    "-XX:ReservedCodeCacheSize=240m",
    "-XX:+UseSerialGC",
    "-XX:NewSize=400m",
    # Spark's classes are as they were built.
    "-XX:+UnlockDiagnosticVMOptions",
    "-XX:-BytecodeVerificationRemote",
]
SETTINGS = {
    "spark.master": "local[1]",
    "spark.sql.shuffle.partitions": "1",
    "spark.driver.memory": "1g",
    "spark.executorEnv.TZ": ZONE,
    # A test asks little and asks it once: compiling and planning it takes longer than running it.
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.cache.maxEntries": "2000",
    "spark.sql.adaptive.enabled": "false",
    "spark.buffer.pageSize": "1m",
    "spark.driver.extraJavaOptions": " ".join(FOR_JAVA),
}


def spark_engine(scratch: Path) -> "SparkEngine":
    """An engine on this machine; without Java the test counts as not run."""
    require_program("java", "a Java runtime of version 17 or newer")
    from mlops_assets.engines.spark import SparkEngine

    return SparkEngine(scratch, SETTINGS)
