"""What is private to Dagster: there in this release, and told in words where a release has it no more."""

import runpy
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.components import private_dagster
from mlops_assets.errors import UnusableEnvironmentError


def test_a_name_that_a_release_has_no_more_is_told_when_the_code_location_is_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr("dagster._core.storage.tags.ASSET_PARTITION_RANGE_END_TAG")
    monkeypatch.setattr("dagster.__version__", "1.13.99")
    with pytest.raises(UnusableEnvironmentError) as told:
        runpy.run_path(private_dagster.__file__)
    assert str(told.value) == (
        "Found: dagster 1.13.99 has no dagster._core.storage.tags.ASSET_PARTITION_RANGE_END_TAG, which is needed for "
        "one run over a range of partitions. Expected: a release of dagster that has it, as the one in "
        "requirements.txt. "
        "What to do: install that one; to move to another, look at mlops_assets/components/private_dagster.py, and "
        "find there what took its place."
    )


def test_a_module_that_a_release_has_no_more_is_told_too() -> None:
    with pytest.raises(
        UnusableEnvironmentError, match=r"has no dagster\._core\.gone\.name, which is needed for a test\."
    ):
        private_dagster.private("dagster._core.gone", "name", "a test")


def test_storages_on_sqlite_keep_their_engine_from_one_connection_to_the_next(tmp_path: Path) -> None:
    with private_dagster.open_instance_in(tmp_path, {}) as instance:
        storage: Any = instance.run_storage
        with storage.connect() as first, storage.connect() as second:
            assert first.engine is second.engine
            assert first.connection.dbapi_connection is not second.connection.dbapi_connection
