"""Which storage is meant: the one place that tells the kinds apart."""

from pathlib import Path
from typing import Literal

from mlops_assets.storage.local import LocalPath
from mlops_assets.storage.path import StoragePath


def storage_at(address: str | Path) -> StoragePath:
    """What lies at an address: a path of this machine."""
    return LocalPath(str(address))


def storage_of(home: Path, part: Literal["lakehouse", "reports"]) -> StoragePath:
    """Where a home keeps its tables and deliveries, or its reports: in a folder of its own."""
    return storage_at(home / part)
