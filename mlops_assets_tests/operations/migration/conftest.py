from pathlib import Path

import pytest

from mlops_assets.lakehouse.home import HOME_VARIABLE
from mlops_assets_tests.operations.migration.old_homes import OldHome


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> OldHome:
    """The home of format 1, to be read; copy it to write to it."""
    return OldHome.unpack(1, tmp_path_factory.mktemp("old") / "format 1")


@pytest.fixture
def old(unpacked: OldHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OldHome:
    """A copy of it, which commands find."""
    made = unpacked.copy(tmp_path / "moved")
    monkeypatch.setenv(HOME_VARIABLE, str(made.home.folder))
    return made
