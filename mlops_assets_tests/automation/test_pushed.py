"""The sensor over pushed sources: what waits, what is over, and what did not come about."""

from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from mlops_assets.automation.overdue import overdue_periods
from mlops_assets.components.loading import while_the_clock_moves
from mlops_assets.components.source import source_asset
from mlops_assets.features.correction_report import corrections_of
from mlops_assets.lakehouse.home import Home
from mlops_assets.sources.due import BETWEEN_ATTEMPTS, pushed_periods
from mlops_assets_tests.automation.test_ingestion import tick
from mlops_assets_tests.sources.pushing import Pushed, row

NOON = datetime(2024, 1, 3, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def shop(home: Home) -> Pushed:
    """Days, of which two are over: nobody pushed into them."""
    home.clock.set(NOON)
    return Pushed.of(home, period="day", first="2024-01-01")


class Look:
    """Looks again and again, remembering what it is told to."""

    def __init__(self, shop: Pushed) -> None:
        self.shop, self.memory = shop, None

    def __call__(self, at: datetime) -> dict[str, int]:
        self.shop.platform.home.clock.set(at)
        found, self.memory = pushed_periods(self.shop.platform, self.shop.source, self.memory)  # type: ignore[assignment]
        return found


def test_a_period_is_asked_for_once_for_each_newer_batch_and_again_where_that_did_not_help(shop: Pushed) -> None:
    look = Look(shop)
    for key in look(NOON):
        shop.ingest(key)
    shop.push("one", row("a", "2024-01-03", 1))
    shop.push("two", row("a", "2024-01-03", 2))
    assert look(NOON) == {"2024-01-03": 2}
    assert look(NOON + MINUTE) == {}
    shop.push("three", row("a", "2024-01-03", 3))
    assert look(NOON + 2 * MINUTE) == {"2024-01-03": 3}
    assert look(NOON + 2 * MINUTE + BETWEEN_ATTEMPTS) == {"2024-01-03": 3}  # the run had failed
    shop.ingest("2024-01-03")
    assert look(NOON + 3 * BETWEEN_ATTEMPTS) == {}


def test_a_period_that_is_over_is_asked_for_until_it_is_delivered_without_rows(shop: Pushed) -> None:
    look = Look(shop)
    assert look(NOON) == {"2024-01-01": 0, "2024-01-02": 0}
    assert look(NOON + MINUTE) == {}
    shop.ingest("2024-01-01")
    assert look(NOON + BETWEEN_ATTEMPTS) == {"2024-01-02": 0}
    shop.ingest("2024-01-02")
    assert look(NOON + 2 * BETWEEN_ATTEMPTS) == {}
    assert look(NOON + timedelta(days=1)) == {"2024-01-03": 0}


def test_the_sensor_starts_a_run_for_each_and_a_run_takes_all_that_waits(shop: Pushed) -> None:
    for number in range(3):
        shop.push(f"batch {number}", row("a", "2024-01-03T11:00:00", number))
    asked = tick(shop, NOON)
    keys = [request.partition_key for request in asked.run_requests]
    assert keys == ["2024-01-01", "2024-01-02", "2024-01-03"]
    assert not tick(shop, NOON, asked.cursor).run_requests
    asset = source_asset(shop.platform.project, shop.source)
    with dg.DagsterInstance.ephemeral() as instance:
        for key in keys:
            done = dg.materialize([asset], instance=instance, partition_key=key)
            assert done.success
        (made,) = done.asset_materializations_for_node("sales")
    assert _figures(made) == {"rows": 1, "states appended": 1, "delivery": 1}
    assert shop.known(NOON) == {"a 2024-01-03 11:00:00+00:00": 2}
    assert not tick(shop, NOON + timedelta(hours=1), asked.cursor).run_requests


def _figures(made: Any) -> dict[str, Any]:
    named = {"dagster/row_count": "rows", "states appended": "states appended", "delivery": "delivery"}
    return {name: made.metadata[key].value for key, name in named.items()}


def test_a_day_that_runs_is_a_partition_and_the_asset_says_where_rows_come_from(shop: Pushed) -> None:
    with while_the_clock_moves():
        asset = source_asset(shop.platform.project, shop.source)
    assert asset.partitions_def is not None
    assert asset.partitions_def.get_partition_keys(current_time=NOON) == ["2024-01-01", "2024-01-02", "2024-01-03"]
    (spec,) = asset.specs
    assert spec.metadata["comes from"] == "applications that push"


def test_a_period_without_rows_is_not_overdue(shop: Pushed) -> None:
    shop.platform.home.clock.set(NOON + timedelta(days=30))
    assert overdue_periods(shop.platform) == []


def test_rows_are_corrections_only_once_their_period_was_over(shop: Pushed) -> None:
    for hour, units in ((12, 1), (13, 2)):
        at = NOON.replace(hour=hour)
        shop.push(f"at {hour}", row("a", "2024-01-03T10:00:00", units), at=at)
        shop.ingest("2024-01-03")
    assert corrections_of(shop.platform, "sales") == []
    over = NOON + timedelta(days=1)
    shop.push("late", row("a", "2024-01-03T10:00:00", 3), row("b", "2024-01-03T10:00:00", 1), at=over)
    shop.push("late too", row("c", "2024-01-02T10:00:00", 1))
    shop.ingest("2024-01-03")
    shop.ingest("2024-01-02")
    found = [(item.period, item.known_at, item.changed, item.added) for item in corrections_of(shop.platform, "sales")]
    assert found == [("2024-01-02", over, 0, 1), ("2024-01-03", over, 1, 1)]
