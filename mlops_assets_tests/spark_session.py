"""A Spark for tests: one thread, one partition after each shuffle, and little memory."""

from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets_tests.conftest import require_program

if TYPE_CHECKING:
    from mlops_assets.engines.spark import SparkEngine

SETTINGS = {
    "spark.master": "local[1]",
    "spark.sql.shuffle.partitions": "1",
    "spark.driver.memory": "1g",
    # A test asks little and asks it once: compiling it takes longer than running it.
    "spark.sql.codegen.wholeStage": "false",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1",
}


def spark_engine(scratch: Path) -> "SparkEngine":
    """An engine on this machine; without Java the test counts as not run."""
    require_program("java", "a Java runtime of version 17 or newer")
    from mlops_assets.engines.spark import SparkEngine

    return SparkEngine(scratch, SETTINGS)
