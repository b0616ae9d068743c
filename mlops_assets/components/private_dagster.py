"""All that the platform uses of Dagster's private modules, which Dagster may move in any release.

Nothing else imports them (ruff's TID251 sees to it). Each name is looked up once, with what it is needed for; where a
release has it no more, that is said in words as soon as the code location is loaded.
"""

from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import dagster as dg

from mlops_assets.errors import UnusableEnvironmentError


def private(module: str, name: str, needed_for: str) -> Any:
    """What a private module of Dagster's holds under a name.

    Args:
        module: The module.
        name: The name in it.
        needed_for: What cannot be done without it, in words.

    Raises:
        UnusableEnvironmentError: This release of Dagster has no such module, or no such name in it.
    """
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise UnusableEnvironmentError(
            f"dagster {dg.__version__} has no {module}.{name}, which is needed for {needed_for}",
            "a release of dagster that has it, as the one in requirements.txt",
            "install that one; to move to another, look at mlops_assets/components/private_dagster.py, and find there "
            "what took its place",
        ) from error


# `execute_in_process`, the public way to run assets in one's own process, takes no range of partitions.
_RANGES = "one run over a range of partitions"
_TAGS = "dagster._core.storage.tags"
RANGE_START_TAG: str = private(_TAGS, "ASSET_PARTITION_RANGE_START_TAG", _RANGES)
RANGE_END_TAG: str = private(_TAGS, "ASSET_PARTITION_RANGE_END_TAG", _RANGES)
BACKFILL_ID_TAG: str = private(_TAGS, "BACKFILL_ID_TAG", _RANGES)


# `DagsterInstance.get`, the public way to an instance, takes no settings beside those in DAGSTER_HOME.
_InstanceRef = private("dagster._core.instance.ref", "InstanceRef", "an instance with settings of the command's own")


def open_instance_in(folder: Path, overrides: Mapping[str, Any]) -> dg.DagsterInstance:
    """The instance whose ``dagster.yaml`` lies in a folder.

    Args:
        folder: Its folder.
        overrides: Settings that take the place of the file's.
    """
    _keep_engines()
    nothing = {"module": "dagster.core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"}
    settings = {"compute_logs": nothing, **overrides}  # to capture the output of steps costs two processes a run
    return dg.DagsterInstance.from_ref(_InstanceRef.from_dir(str(folder), overrides=settings))


_SQLITE = (
    "dagster._core.storage.event_log.sqlite.consolidated_sqlite_event_log",
    "dagster._core.storage.runs.sqlite.sqlite_run_storage",
    "dagster._core.storage.schedules.sqlite.sqlite_schedule_storage",
)


@cache
def _keep_engines() -> None:
    """Let the storages on SQLite keep their engines of SQLAlchemy; no setting does.

    For each connection they make an engine, which compiles every statement anew: an eighth of a replay. An engine
    without a pool holds no connection, so that it may be kept, shared by threads, and forked.
    """
    for name in _SQLITE:
        make = private(name, "create_engine", "keeping what was compiled for SQLite")
        import_module(name).__dict__["create_engine"] = _kept(make)


def _kept(make: Callable[..., Any]) -> Callable[..., Any]:
    engines: dict[str, Any] = {}

    def engine(url: str, **settings: Any) -> Any:
        key = f"{url} {settings}"
        if key not in engines:
            engines[key] = make(url, **settings)
        return engines[key]

    return engine


# No public way says what a sensor's tick comes to; of a sensor of conditions not even its function can be given.
_SensorExecutionData = private(
    "dagster._core.definitions.sensor_definition", "SensorExecutionData", "a sensor of conditions that rests"
)


def resting_tick(words: str, cursor: str | None) -> Any:
    """A tick of a sensor that asked for nothing, for a reason in words."""
    return _SensorExecutionData(skip_message=words, cursor=cursor)


# The public ways to resolve a code location do not go as far as what is told to the web server.
_RepositorySnap = private(
    "dagster._core.remote_representation.external_data", "RepositorySnap", "seeing that a code location loads"
)


def require_loadable(definitions: dg.Definitions) -> None:
    """Resolve every asset, job, sensor and schedule, and describe all of it as to the web server; raises as it does."""
    repository = definitions.get_repository_def()
    repository.load_all_definitions()
    _RepositorySnap.from_def(repository, defer_snapshots=True)


# Backfills cannot be listed in public.
_BACKFILLS = "seeing whether a backfill is under way"
_BulkActionsFilter = private("dagster._core.execution.backfill", "BulkActionsFilter", _BACKFILLS)
_Status = private("dagster._core.execution.backfill", "BulkActionStatus", _BACKFILLS)


def is_backfill_under_way(instance: dg.DagsterInstance) -> bool:
    """Whether a backfill that the user interface or conditions asked for is under way."""
    asked = _BulkActionsFilter(statuses=[_Status.REQUESTED, _Status.CANCELING, _Status.FAILING])
    return instance.get_backfills_count(asked) > 0


# The public results of checks belong to a run and its partition; nothing public gives one of a partition in a range,
# nor the newest one of the log that is not only planned.
_CHECKS = "the results of checks of each partition"
_CheckTarget = private(
    "dagster._core.definitions.asset_checks.asset_check_evaluation",
    "AssetCheckEvaluationTargetMaterializationData",
    _CHECKS,
)
_CheckStatus = private("dagster._core.storage.asset_check_execution_record", "AssetCheckExecutionRecordStatus", _CHECKS)


def checked_materialization(record: dg.EventLogRecord) -> Any:
    """What a check was about, as its evaluation names it."""
    return _CheckTarget(storage_id=record.storage_id, run_id=record.run_id, timestamp=record.timestamp)


def newest_evaluation(
    instance: dg.DagsterInstance, check: dg.AssetCheckKey
) -> tuple[dg.AssetCheckEvaluation, float] | None:
    """The newest evaluation of a check and its time in seconds; None where it never ran."""
    records = instance.event_log_storage.get_asset_check_execution_history(
        check, limit=1, status={_CheckStatus.SUCCEEDED, _CheckStatus.FAILED}
    )
    return next(
        ((record.evaluation, record.event.timestamp) for record in records if record.evaluation and record.event), None
    )


# Dagster writes the tags of staleness for a run's only partition; for each of a range we do, by its own names.
_STALENESS = "data versions, and what is stale, for each partition of a range"
_VERSIONS = "dagster._core.definitions.data_version"
CODE_VERSION_TAG: str = private(_VERSIONS, "CODE_VERSION_TAG", _STALENESS)
DATA_VERSION_TAG: str = private(_VERSIONS, "DATA_VERSION_TAG", _STALENESS)
DATA_VERSION_IS_OURS_TAG: str = private(_VERSIONS, "DATA_VERSION_IS_USER_PROVIDED_TAG", _STALENESS)
DEFAULT_DATA_VERSION: dg.DataVersion = private(_VERSIONS, "DEFAULT_DATA_VERSION", _STALENESS)
NO_EVENT: str = private(_VERSIONS, "NULL_EVENT_POINTER", _STALENESS)
MAX_UPSTREAM_PARTITIONS: int = private(_VERSIONS, "SKIP_PARTITION_DATA_VERSION_DEPENDENCY_THRESHOLD", _STALENESS)
data_version_of: Callable[[dg.EventLogEntry], dg.DataVersion | None] = private(
    _VERSIONS, "extract_data_version_from_entry", _STALENESS
)
input_version_tag: Callable[[dg.AssetKey], str] = private(_VERSIONS, "get_input_data_version_tag", _STALENESS)
input_event_tag: Callable[[dg.AssetKey], str] = private(_VERSIONS, "get_input_event_pointer_tag", _STALENESS)

# The mark by which Dagster itself tells results whose events the body has reported already.
REPORTED_ALREADY: Mapping[str, bool] = {
    private("dagster._core.definitions.source_asset", "SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION", _STALENESS): True
}
