"""Dagster's user interface as a process, `mlops-assets dev`, and the system's Chromium to drive it."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from mlops_assets.lakehouse.home import HOME_VARIABLE
from mlops_assets_tests.conftest import Lived, require_program
from mlops_assets_tests.serving.running import until

if TYPE_CHECKING:
    from playwright.sync_api import Page

PATIENCE = 120


@contextmanager
def user_interface(lived: Lived, log_file: Path) -> Iterator[str]:
    """`mlops-assets dev` on a project and its home; gives its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlops_assets", "--project", str(lived.project), "dev", "--port", str(port)]
    with log_file.open("w") as log:
        process = subprocess.Popen(
            command,
            env={**os.environ, HOME_VARIABLE: str(lived.home.folder)},
            stdout=log,
            stderr=log,
            # As a script's background job starts it; it must end all the same.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
        )

        def answers() -> bool:
            assert process.poll() is None, log_file.read_text(encoding="utf-8")
            try:
                with _direct().open(f"{address}/server_info", timeout=5) as answer:
                    return bool(answer.status == 200)
            except OSError:
                return False

        try:
            until(answers, PATIENCE)
            yield address
        finally:
            process.terminate()
            process.wait(timeout=60)


@contextmanager
def chromium_page() -> Iterator["Page"]:
    """An empty page of a browser of its own."""
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


def materializations(address: str, asset: str, partition: str | None = None) -> int:
    """How often an asset was materialized, of one partition or in all, as the user interface is told."""
    query = """query($key: AssetKeyInput!, $partitions: [String!]) { assetNodeOrError(assetKey: $key) {
        ... on AssetNode { assetMaterializations(partitions: $partitions) { timestamp } } } }"""
    variables = {"key": {"path": asset.split("/")}, "partitions": [partition] if partition else None}
    found: dict[str, Any] = _ask(address, {"query": query, "variables": variables})
    return len(found["data"]["assetNodeOrError"]["assetMaterializations"])


def materialize_in_page(page: "Page", address: str, partition: str, *assets: str) -> None:
    """Launch a partition of some assets as one run from the page of their graph, and wait until all are made."""
    before = {asset: materializations(address, asset, partition) for asset in assets}
    selection = " or ".join(f'key:"{asset}"' for asset in assets)
    page.goto(f"{address}/asset-groups?asset-selection={quote(selection)}")
    page.locator("button", has_text="Materialize").first.click()
    chosen = page.get_by_placeholder("ex: 2024-01-01", exact=False)
    chosen.fill(partition)
    chosen.press("Enter")
    page.locator("button", has_text="Launch 1 run").click()
    for asset, times in before.items():
        until(lambda asset=asset, times=times: materializations(address, asset, partition) == times + 1, PATIENCE)  # type: ignore[misc]


def _ask(address: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(
        f"{address}/graphql", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with _direct().open(request, timeout=PATIENCE) as answer:
        return json.load(answer)


def _direct() -> urllib.request.OpenerDirector:
    """Past any proxy: the server is on this machine."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))
