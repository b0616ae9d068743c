"""Dagster's user interface on a replayed home, driven in the system's Chromium as an engineer would."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlops_assets_tests.conftest import Lived
from mlops_assets_tests.end_to_end.dagster_pages import chromium_page, materialize_in_page, user_interface

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def address(lived: Lived, tmp_path: Path) -> Iterator[str]:
    """The user interface of a copy of the replayed home."""
    with user_interface(lived.copy(tmp_path), tmp_path / "dev.log") as address:
        yield address


@pytest.fixture
def page() -> Iterator["Page"]:
    with chromium_page() as page:
        yield page


def test_an_engineer_sees_the_graph_and_materializes_a_partition_of_a_feature_table(address: str, page: "Page") -> None:
    groups = ",".join(f"global@global:{group}" for group in ("sources", "features", "orders_forecast"))
    page.goto(f"{address}/asset-groups?expanded={groups}")
    for name in ("orders", "order_trend", "training_set", "champion", "predictions", "drift_report"):
        page.get_by_text(name, exact=True).last.wait_for(state="attached")

    page.goto(f"{address}/assets/order_trend?view=partitions")
    page.get_by_text("Materialized (27)").wait_for()
    materialize_in_page(page, address, "order_trend", "2024-01-20")

    page.goto(f"{address}/assets/order_trend?view=checks")
    page.get_by_text("This is a blocking asset check.").wait_for()
    page.get_by_text("Passed", exact=True).first.wait_for()

    page.goto(f"{address}/assets/order_trend?view=overview")
    page.get_by_text("column lineage", exact=True).wait_for()
    page.get_by_role("row", name="growth_7d orders.units aggregated").first.wait_for()

    page.goto(f"{address}/assets/orders_forecast/candidate?view=overview")
    page.get_by_role("row", name="mae of the candidate 0.").first.wait_for()
    page.get_by_text("[Show Markdown]", exact=True).first.click()
    for name in ("metrics", "segments", "residuals"):
        picture = page.locator(f"img[alt={name}]")
        picture.wait_for()
        assert picture.evaluate("image => image.complete && image.naturalWidth") > 0

    page.goto(f"{address}/assets/orders_forecast/performance?view=overview")
    page.get_by_text("Plots", exact=True).click()
    page.locator("button", has_text="Events").click()
    page.get_by_text("baseline mae").first.wait_for()
    page.locator("canvas").first.wait_for()
