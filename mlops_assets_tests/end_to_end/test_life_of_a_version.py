"""A version's whole life as people live it: in Dagster's pages, on the command line and over HTTP.

Trained, gated, approved, promoted, served, in the shadow of the champion, in its place, and rolled back from.
"""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.client import Client
from mlops_assets.errors import AnswerError
from mlops_assets.lakehouse.home import HOME_VARIABLE
from mlops_assets_tests.conftest import Lived, run_replay_command
from mlops_assets_tests.end_to_end.dagster_pages import (
    PATIENCE,
    chromium_page,
    materializations,
    materialize_in_page,
    user_interface,
)
from mlops_assets_tests.serving.running import served, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
MODEL = "orders_forecast"
TRAINED_AT = "2024-01-27"
LAST_DAY = "2024-01-29"
"""Two days later: the labels of the first of them are known."""


def test_a_version_is_trained_gated_shadowed_approved_served_and_rolled_back_from(lived: Lived, tmp_path: Path) -> None:
    house = lived.copy(tmp_path)
    house.user.mkdir(exist_ok=True)
    definition = house.project / "shop/defs/orders_forecast/defs.yaml"
    change(definition, "  retrain:", "  approval: required\n  retrain:")
    application = run(house, "tokens", "create", "shop window", "--role", "application").split()[-1]
    approver = run(house, "tokens", "create", "ana@example.com", "--role", "approver", "--role", "reader").split()[-1]

    with user_interface(house, tmp_path / "dev.log") as address, chromium_page() as page:
        for step in ("training_set", "candidate", "version"):
            materialize_in_page(page, address, f"{MODEL}/{step}", TRAINED_AT)
        page.goto(f"{address}/assets/{MODEL}/candidate?view=checks")
        for gate in ("enough_rows", "mae_better_than_baseline", "mae_better_than_champion"):
            page.get_by_text(gate, exact=True).first.wait_for()
        page.get_by_text("Passed", exact=True).first.wait_for()
    assert shown(house) == {1: "champion", 2: "challenger"}

    run_replay_command(house, house.first, LAST_DAY)
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
    done = subprocess.run(
        [sys.executable, "-m", "mlops_assets", *arguments],
        cwd=house.project,
        env={**os.environ, HOME_VARIABLE: str(house.home.folder), "HOME": str(house.user), **variables},
        capture_output=True,
        text=True,
        check=False,
    )
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
