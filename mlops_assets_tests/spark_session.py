"""A Spark for tests: one thread, one partition after each shuffle, and little of what pays off in long queries only."""

from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets_tests.conftest import require_program

if TYPE_CHECKING:
    from mlops_assets.engines.spark import SparkEngine

FOR_JAVA = [
    "-XX:TieredStopAtLevel=1",
    # What Java compiles of many small queries does not fit into a tenth of this, and would be thrown away and made anew.
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
    # A test asks little and asks it once: compiling and planning it takes longer than running it.
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.cache.maxEntries": "2000",
    "spark.sql.adaptive.enabled": "false",
    "spark.python.sql.dataFrameDebugging.enabled": "false",
    "spark.buffer.pageSize": "1m",
    "spark.driver.extraJavaOptions": " ".join(FOR_JAVA),
}


def spark_engine(scratch: Path) -> "SparkEngine":
    """An engine on this machine; without Java the test counts as not run."""
    require_program("java", "a Java runtime of version 17 or newer")
    from mlops_assets.engines.spark import SparkEngine

    return SparkEngine(scratch, SETTINGS)
