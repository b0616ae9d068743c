"""Dagster's pages on a replayed home as an engineer sees them; and a version's whole life as people live it.

It is trained, gated, approved, promoted, served, in the shadow of the champion, in its place, and rolled back from: in
Dagster's pages, on the command line and over HTTP.
"""

import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mlops_assets.client import Client
from mlops_assets.errors import AnswerError
from mlops_assets.lakehouse.home import HOME_VARIABLE
from mlops_assets_tests import forks
from mlops_assets_tests.conftest import Lived
from mlops_assets_tests.end_to_end.dagster_pages import (
    PATIENCE,
    chromium_page,
    materializations,
    materialize_in_page,
    user_interface,
)
from mlops_assets_tests.serving.running import served, until

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
MODEL = "orders_forecast"
TRAINED_AT = "2024-01-27"
LAST_DAY = "2024-01-29"
"""Two days later: the labels of the first of them are known."""


@dataclass(frozen=True)
class Visit:
    """Dagster's user interface on a house whose versions need approval, and a page in front of it.

    Args:
        house: The project and its home.
        address: Of the user interface.
        page: Of a browser.
        ending: Ends both.
    """

    house: Lived
    address: str
    page: "Page"
    ending: ExitStack


@pytest.fixture(scope="module")
def visit(lived: Lived, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visit]:
    """One visit for all tests: starting the user interface takes longer than what they do there."""
    folder = tmp_path_factory.mktemp("visit")
    house = lived.copy(folder)
    house.user.mkdir(exist_ok=True)
    change(house.project / "shop/defs/orders_forecast/defs.yaml", "  retrain:", "  approval: required\n  retrain:")
    with ExitStack() as ending:
        address = ending.enter_context(user_interface(house, folder / "dev.log"))
        yield Visit(house, address, ending.enter_context(chromium_page()), ending)


def test_an_engineer_sees_the_graph_partitions_checks_lineage_evaluations_and_plots(visit: Visit) -> None:
    page, address = visit.page, visit.address
    groups = ",".join(f"global@global:{group}" for group in ("sources", "features", "orders_forecast"))
    page.goto(f"{address}/asset-groups?expanded={groups}")
    for name in ("orders", "order_trend", "training_set", "champion", "predictions", "drift_report"):
        page.get_by_text(name, exact=True).last.wait_for(state="attached")

    page.goto(f"{address}/assets/order_trend?view=partitions")
    page.get_by_text("Materialized (27)").wait_for()

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


def test_a_version_is_trained_gated_shadowed_approved_served_and_rolled_back_from(visit: Visit, tmp_path: Path) -> None:
    house, page, address = visit.house, visit.page, visit.address
    application = run(house, "tokens", "create", "shop window", "--role", "application").split()[-1]
    approver = run(house, "tokens", "create", "ana@example.com", "--role", "approver", "--role", "reader").split()[-1]

    steps = [f"{MODEL}/{step}" for step in ("training_set", "candidate", "version")]
    materialize_in_page(page, address, TRAINED_AT, *steps)
    page.goto(f"{address}/assets/{MODEL}/candidate?view=checks")
    for gate in ("enough_rows", "mae_better_than_baseline", "mae_not_worse_than_champion"):
        page.get_by_text(gate, exact=True).first.wait_for()
    page.get_by_text("Passed", exact=True).first.wait_for()
    visit.ending.close()
    assert shown(house) == {1: "champion", 2: "challenger"}

    run(house, "replay", "--from", house.first, "--to", LAST_DAY)
    assert shown(house) == {1: "champion", 2: "challenger"}, "nobody approved it"
    assert "in the shadow of version 1 over 1 periods" in run(house, "models", "show", MODEL, "2")

    with (
        served(house.project, house.home.folder) as server,
        Client(server.url, approver) as ana,
        Client(server.url, application, retries=0) as window,
    ):
        assert [model.challenger for model in ana.models()] == [2]
        challenger = ana.version(MODEL, 2)
        assert all(gate.passed for gate in challenger.gates)
        until(lambda: serving_version(window) == 1, PATIENCE)
        with pytest.raises(AnswerError) as refused:
            window.approve(MODEL, 2, "I like it")
        assert refused.value.status == 403
        with under_load(server.url, application) as answered:
            assert ana.approve(MODEL, 2, "better in both regions").state == "champion"
            until(lambda: serving_version(window) == 2, seconds=5)
            run(house, "models", "rollback", MODEL, "--reason", "wrong on the coast", MLOPS_TOKEN=approver)
            until(lambda: serving_version(window) == 1, seconds=5)
        assert set(answered) == {1, 2}

    assert shown(house) == {1: "champion", 2: "served"}
    with user_interface(house, tmp_path / "dev again.log") as address, chromium_page() as page:
        until(lambda: materializations(address, f"{MODEL}/champion") == 3, PATIENCE)
        page.goto(f"{address}/assets/{MODEL}/champion?view=events")
        page.get_by_text("wrong on the coast").first.wait_for()


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1, (old, text)
    file.write_text(text.replace(old, new), encoding="utf-8")


def run(house: Lived, *arguments: str, **variables: str) -> str:
    """`mlops-assets` as typed in the project's folder; it must succeed."""
    variables = {HOME_VARIABLE: str(house.home.folder), "HOME": str(house.user), **variables}
    done = forks.run(arguments, folder=house.project, **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def shown(house: Lived) -> dict[int, str]:
    """The versions and their states, as the command line shows them."""
    lines = run(house, "models", "show", MODEL)
    return {int(number): state for number, state in re.findall(r"^version (\d+): (\w+)", lines, re.MULTILINE)}


def serving_version(client: Client) -> int | None:
    try:
        return client.predict(MODEL, rows=ROWS).version
    except AnswerError as error:
        assert error.status == 503, error
        return None


ROWS: list[dict[str, Any]] = [{"region": "coast", "product": "gamma"}]


@contextmanager
def under_load(url: str, token: str) -> Iterator[list[int]]:
    """Ask for predictions all the while; every request must be answered. Gives the versions that answered."""
    stop, faults, versions = threading.Event(), list[Exception](), list[int]()

    def ask() -> None:
        with Client(url, token, retries=0) as client:
            while not stop.is_set():
                try:
                    versions.append(client.predict(MODEL, rows=ROWS).version)
                except AnswerError as error:
                    faults.append(error)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield versions
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert faults == []
