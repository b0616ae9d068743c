"""Evidence of one materialization: what it read, by which definition, code and environment, and for which moment."""

import hashlib
import os
import platform as machine
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from mlops_assets.lakehouse import formats
from mlops_assets.lakehouse.content_hash import text_hash
from mlops_assets.lakehouse.periods import Period
from mlops_assets.lakehouse.tables import StateTable

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class InputEvidence:
    """What was read of one table.

    Args:
        name: The table, or another asset.
        delta_version: Delta version that was read; None where it is not a Delta table.
        data_version: Content hash of what was read: of a partition, or over the partitions of a window.
        periods: First and last period read, or None.
        generation: The table's generation; None where it is not a Delta table.
        columns: Which columns were read, beside key and time; None for all.
    """

    name: str
    delta_version: int | None
    data_version: str
    periods: tuple[str, str] | None
    generation: str | None = None
    columns: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Evidence:
    """What is recorded of one materialization.

    Args:
        inputs: What was read.
        definition_hash: Hash of what the user wrote (canonical SQL, columns, keys, parameters).
        code_hash: Hash of this package's source files.
        environment_hash: Hash of Python's and every installed distribution's version.
        known_at: The moment K that it was computed for, UTC; None where none applies.
        seed: Seed of everything random; None where nothing is.
        threads: Settings and counts that decide the order of float arithmetic.
    """

    inputs: tuple[InputEvidence, ...]
    definition_hash: str
    code_hash: str
    environment_hash: str
    known_at: datetime | None
    seed: int | None
    threads: Mapping[str, str]

    def as_json(self) -> dict[str, object]:
        """As values that JSON has."""
        values = asdict(self)
        values["known_at"] = self.known_at.isoformat() if self.known_at else None
        return formats.numbered(values, formats.EVIDENCE)


def evidence(
    inputs: Sequence[InputEvidence],
    definition_hash: str,
    *,
    known_at: datetime | None = None,
    seed: int | None = None,
) -> Evidence:
    """Evidence with the hashes of this process's code and environment."""
    return Evidence(tuple(inputs), definition_hash, code_hash(), environment_hash(), known_at, seed, threads())


def window_evidence(
    table: StateTable,
    periods: Sequence[Period],
    data_versions: Callable[[StateTable, Sequence[Period]], Mapping[str, str]] = StateTable.data_versions,
    columns: Collection[str] | None = None,
) -> InputEvidence:
    """Evidence of reading some periods of a table (of a static table: all of it).

    Args:
        table: The table.
        periods: The periods.
        data_versions: What hashes its partitions: this process, or the engine that read them.
        columns: Which columns were read, beside key and time; None for all.
    """
    versions = data_versions(table.narrowed(columns), periods)
    if len(versions) == 1:
        (data_version,) = versions.values()
    else:
        data_version = text_hash(*(f"{key} {version}" for key, version in versions.items()))
    bounds = (periods[0].key, periods[-1].key) if periods and table.schema.timestamp else None
    read = None if columns is None or {*table.schema.value_names} <= {*columns} else tuple(sorted(columns))
    return InputEvidence(table.name, table.delta.version(), data_version, bounds, table.delta.folder.name, read)


@lru_cache(maxsize=1)
def code_hash() -> str:
    """Hash of the source files of this package, in the order of their paths."""
    package = Path(__file__).parent.parent
    digest = hashlib.sha256()
    for file in sorted(package.rglob("*.py")):
        digest.update(f"{file.relative_to(package).as_posix()}\0".encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


@lru_cache(maxsize=1)
def environment_hash() -> str:
    """Hash of Python's version, the machine's architecture, and every installed distribution's version."""
    from importlib.metadata import distributions

    described = (item.metadata for item in distributions())  # a file, read anew each time that it is asked for
    installed = sorted({f"{found['Name']}=={found['Version']}".lower() for found in described})
    return text_hash(sys.version, machine.machine(), *installed)


def threads() -> dict[str, str]:
    """Thread settings of numeric libraries, and the number of processors that decides where they are not set."""
    return {"cpus": str(os.cpu_count())} | {name: os.environ[name] for name in THREAD_VARIABLES if name in os.environ}
