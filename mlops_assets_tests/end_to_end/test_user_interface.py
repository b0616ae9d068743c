"""Dagster's user interface on a replayed home, driven in the system's Chromium as an engineer would."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlops_assets.lakehouse.home import HOME_VARIABLE
from mlops_assets_tests.conftest import Lived, require_program

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
PATIENCE = 120


@pytest.fixture
def served(lived: Lived, tmp_path: Path) -> Iterator[tuple[Lived, str]]:
    """`mlops-assets dev` on a copy of the replayed home, and its address."""
    copy = lived.copy(tmp_path)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlops_assets", "--project", str(copy.project), "dev", "--port", str(port)]
    with (tmp_path / "dev.log").open("w") as log:
        process = subprocess.Popen(
            command,
            env={**os.environ, HOME_VARIABLE: str(copy.home.folder)},
            stdout=log,
            stderr=log,
            # As a script's background job starts it; it must end all the same.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
        )
        try:
            _wait_until_served(f"http://127.0.0.1:{port}/server_info", process, tmp_path / "dev.log")
            yield copy, f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(timeout=60)


@pytest.fixture
def page(tmp_path: Path) -> Iterator["Page"]:
    chromium = require_program("chromium", "chromium (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, headless=True, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1600, "height": 1000})
        page.set_default_timeout(PATIENCE * 1000)
        yield page
        browser.close()


def test_an_engineer_sees_the_graph_and_materializes_a_partition_of_a_feature_table(
    served: tuple[Lived, str], page: "Page"
) -> None:
    lived, address = served

    groups = ",".join(f"global@global:{group}" for group in ("sources", "features", "orders_forecast"))
    page.goto(f"{address}/asset-groups?expanded={groups}")
    for name in ("orders", "order_trend", "training_set", "champion", "predictions", "drift_report"):
        page.get_by_text(name, exact=True).last.wait_for(state="attached")

    partition = "2024-01-20"
    before = _materializations(address, "order_trend", partition)
    page.goto(f"{address}/assets/order_trend?view=partitions&partition={partition}")
    page.get_by_text("Materialized (27)").wait_for()
    page.locator("button", has_text="Materialize").first.click()
    page.locator("button", has_text="Launch 1 run").click()
    _wait_for(
        lambda: _materializations(address, "order_trend", partition) == before + 1, "the partition was materialized"
    )

    page.goto(f"{address}/assets/order_trend?view=checks")
    page.get_by_text("This is a blocking asset check.").wait_for()
    page.get_by_text("Passed", exact=True).first.wait_for()

    page.goto(f"{address}/assets/order_trend?view=overview")
    page.get_by_text("column lineage", exact=True).wait_for()
    page.get_by_role("row", name="growth_7d orders.units aggregated").first.wait_for()

    page.goto(f"{address}/assets/orders_forecast/performance?view=overview")
    page.get_by_text("Plots", exact=True).click()
    page.locator("button", has_text="Events").click()
    page.get_by_text("baseline mae").first.wait_for()
    page.locator("canvas").first.wait_for()


def _materializations(address: str, asset: str, partition: str) -> int:
    import json

    query = """query($key: AssetKeyInput!, $partitions: [String!]) { assetNodeOrError(assetKey: $key) {
        ... on AssetNode { assetMaterializations(partitions: $partitions) { timestamp } } } }"""
    body = {"query": query, "variables": {"key": {"path": [asset]}, "partitions": [partition]}}
    request = urllib.request.Request(
        f"{address}/graphql", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with _direct().open(request, timeout=PATIENCE) as answer:
        return len(json.load(answer)["data"]["assetNodeOrError"]["assetMaterializations"])


def _wait_until_served(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    def answers() -> bool:
        assert process.poll() is None, log.read_text(encoding="utf-8")
        try:
            with _direct().open(url, timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    _wait_for(answers, f"{url} answers")


def _direct() -> urllib.request.OpenerDirector:
    """Past any proxy: the server is on this machine."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _wait_for(condition: Callable[[], bool], what: str) -> None:
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < PATIENCE, f"waited {PATIENCE} s until {what}"
        time.sleep(0.2)
