"""What tests of the lakehouse share."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlops_assets.lakehouse.tables import StateTable
from mlops_assets_tests.lakehouse.shop import sales_table


@pytest.fixture
def machine_in_new_york() -> Iterator[None]:
    """The machine's own zone, far from UTC and with summer time."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = "America/New_York"
    time.tzset()
    yield
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


@pytest.fixture
def sales(tmp_path: Path) -> StateTable:
    """A table of sales that was never written."""
    return sales_table(tmp_path / "sales")
