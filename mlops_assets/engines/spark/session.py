"""Spark sessions: in UTC and strict in arithmetic; nothing written outside the home, local ones on loopback only."""

import importlib.util
import os
import shutil
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.engines.limits import GivenUpError, Limits, work_within
from mlops_assets.errors import Location, UnusableEnvironmentError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

StartSession = Callable[[Mapping[str, str]], "SparkSession"]
"""Makes a session of these settings, or gives the one that this process has."""

MEANING: Mapping[str, str] = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.decimalOperations.allowPrecisionLoss": "false",
    "spark.sql.timestampType": "TIMESTAMP_LTZ",
    "spark.sql.caseSensitive": "false",
    "spark.sql.parser.escapedStringLiterals": "false",
    "spark.sql.runSQLOnFiles": "false",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.sql.execution.arrow.useLargeVarTypes": "false",
    "spark.sql.execution.pythonUDF.arrow.enabled": "true",
}
"""Settings on which the meaning of a query rests; a user's own do not change them."""


def start_session(settings: Mapping[str, str]) -> "SparkSession":
    """Start a session, or give the one that this process has."""
    from pyspark.sql import SparkSession

    builder = SparkSession.builder
    for name, value in settings.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def session_settings(settings: Mapping[str, str], scratch: Path) -> dict[str, str]:
    """All settings of a session: ours, under the user's, under those that its meaning rests on.

    Args:
        settings: What the user set, by Spark's names.
        scratch: Where Spark may spill and keep its own files.
    """
    ours = {
        "spark.master": "local[*]",
        "spark.app.name": "mlops_assets",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "ERROR",
        "spark.local.dir": str(scratch / "spark"),
        "spark.sql.warehouse.dir": str(scratch / "spark" / "warehouse"),
        "spark.sql.catalogImplementation": "in-memory",
        "spark.sql.sources.parallelPartitionDiscovery.threshold": "1000",
        # Looking up which line of ours made each expression is a sixth of what a small query costs; no error tells it.
        "spark.python.sql.dataFrameDebugging.enabled": "false",
    }
    if settings.get("spark.master", ours["spark.master"]).startswith("local"):
        # Nobody else may connect.
        ours |= {"spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1"}
    for_java = f'-Djava.io.tmpdir="{scratch / "spark"}" {settings.get("spark.driver.extraJavaOptions", "")}'.strip()
    return {**ours, **settings, "spark.driver.extraJavaOptions": for_java, **MEANING}


def stay_on_this_machine(settings: Mapping[str, str]) -> None:
    """Where Spark is local, take this process's Python and the loopback interface, unless the environment says else."""
    if settings["spark.master"].startswith("local"):
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")


def require_spark() -> None:
    """See that Spark can run here.

    Raises:
        UnusableEnvironmentError: The extra is not installed, or there is no Java.
    """
    for package in ("pyspark", "dagster_pyspark"):
        if importlib.util.find_spec(package) is None:
            raise UnusableEnvironmentError(
                f"the engine is spark, and the package {package} is not installed",
                "pyspark and dagster-pyspark, which the extra spark brings",
                "install mlops-assets[spark], or set the engine to duckdb",
            )
    java_home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=str(Path(java_home) / "bin")) if java_home else shutil.which("java")
    if java is None:
        place = f"in JAVA_HOME ({java_home})" if java_home else "on the PATH"
        raise UnusableEnvironmentError(
            f"the engine is spark, and there is no program 'java' {place}",
            "a Java runtime, version 17 or newer",
            "install Java 17 (and set JAVA_HOME to it), or set the engine to duckdb",
        )


@contextmanager
def starting() -> Iterator[None]:
    """Let a Spark that does not start be a fault of the environment.

    Raises:
        UnusableEnvironmentError: It does not.
    """
    from pyspark.errors import PySparkRuntimeError

    try:
        yield
    except PySparkRuntimeError as error:
        raise UnusableEnvironmentError(
            f"Spark did not start ({str(error).splitlines()[0]})",
            "a Java of version 17 or newer, and settings that Spark takes",
            "read what Java printed, and correct [tool.mlops_assets.spark] or the Java",
        ) from error


@contextmanager
def within(session: "SparkSession", limits: Limits, what: str, where: Location | None = None) -> Iterator[None]:
    """Cancel the jobs that are started inside when their time is over, or nobody waits for them any more.

    Raises:
        OverLimitError: They took longer.
        GivenUpError: Nobody waits for them.
    """
    work, context, group, over = work_within(limits), session.sparkContext, f"work {uuid.uuid4()}", threading.Event()

    def end() -> None:
        over.set()
        context._jsc.sc().cancelJobGroupAndFutureJobs(group)  # between two jobs none of it runs

    timer = threading.Timer(max(work.until - time.monotonic(), 0), end)
    timer.daemon = True
    try:
        with work.ended_by(end):
            context.setJobGroup(group, what, interruptOnCancel=True)
            timer.start()
            yield
    except Exception as error:
        if work.given_up:
            raise GivenUpError from error
        if over.is_set():
            raise limits.too_long(what, where) from error
        raise
    finally:
        timer.cancel()
        context.setLocalProperty("spark.jobGroup.id", None)  # type: ignore[arg-type]  # takes it back


def quoted(name: str) -> str:
    """A name as SQL text."""
    return "`" + name.replace("`", "``") + "`"


def own_session(session: "SparkSession") -> "SparkSession":
    """A session with views of its own beside another, which sees none of them."""
    own = session.newSession()
    for name, value in MEANING.items():
        own.conf.set(name, value)
    return own


def micros(column: str) -> str:
    """A timestamp column as microseconds since 1970, in which all arithmetic of lookups is done."""
    return f"unix_micros({column})"


def kept(frame: "DataFrame") -> "DataFrame":
    """Compute rows once, and keep them on the executors for as long as somebody refers to them."""
    return frame.localCheckpoint(eager=True)


Frame = Any
"""A DataFrame; pyspark has more than one class of that name."""
