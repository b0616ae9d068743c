"""The catalog of a running platform: its index follows the freshness of its tables."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mlops_assets.features.catalog import current
from mlops_assets.features.catalog.current import CurrentCatalog
from mlops_assets_tests.small_line import Line


def test_the_index_is_built_anew_once_a_tables_freshness_changed_and_not_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = Line(tmp_path / "line")
    line.live(1)
    monkeypatch.setattr(current, "KEPT_SECONDS", 0.0)
    now = CurrentCatalog(line.platform)
    index = now.index()
    assert now.freshness()["sales"] == "fresh"
    assert now.index() is index and index.search("", freshness="late").total == 0
    line.platform.home.clock.set(datetime(2024, 1, 6, tzinfo=UTC) + timedelta(days=9))
    assert now.freshness()["sales"] == "late"
    assert now.index() is not index and now.index().search("", freshness="late").total > 0


def test_within_some_seconds_no_table_is_looked_at_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = CurrentCatalog(Line(tmp_path / "line").platform)
    first = now.index()
    monkeypatch.setattr(current, "freshness_of_all", lambda _: pytest.fail("looked again"))
    assert now.index() is first
