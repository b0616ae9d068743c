"""Which storage is meant: the one place that tells the kinds apart."""

from pathlib import Path
from typing import Literal

from mlops_assets.storage.local import LocalPath
from mlops_assets.storage.path import StoragePath


def storage_at(address: str | Path) -> StoragePath:
    """What lies at an address: a path of this machine."""
    return LocalPath(str(address))


def storage_of(home: Path, part: Literal["lakehouse", "reports", "mlflow/artifacts"]) -> StoragePath:
    """Where a home keeps its tables and deliveries, its reports, or what MLflow writes itself: in its own folder."""
    return storage_at(home / part)
