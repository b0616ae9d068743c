"""Where what a storage holds lies on this machine, for tests that damage, move or count files."""

from pathlib import Path

from mlops_assets.storage.path import StoragePath


def path_of(stored: StoragePath) -> Path:
    return Path(stored.local_file())
