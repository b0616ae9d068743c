"""A training that tests of decisions share."""

import pytest

from mlops_assets.models.records import CandidateRecord
from mlops_assets.platform import Platform
from mlops_assets_tests.models.registering import trained_line


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Platform, CandidateRecord]:
    """A home with one training; models of other names are decided about in it."""
    return trained_line(tmp_path_factory)
