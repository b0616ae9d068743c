"""What tests of projects share."""

from pathlib import Path

import pytest

from mlops_assets_tests.project.small_project import SmallProject


@pytest.fixture
def project(tmp_path: Path) -> SmallProject:
    """A small project without a fault."""
    return SmallProject(tmp_path / "defs")
