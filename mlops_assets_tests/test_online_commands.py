"""``mlops-assets features verify-online`` and ``rebuild-online``, as a user runs them."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mlops_assets.cli import main
from mlops_assets.features.online.store import STORE_VARIABLE, open_store
from mlops_assets.lakehouse.home import HOME_VARIABLE
from mlops_assets.platform import Platform
from mlops_assets.project.load import load_project
from mlops_assets_tests.conftest import Lived

pytestmark = pytest.mark.slow


@pytest.fixture
def copy(lived: Lived, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lived:
    copy = lived.copy(tmp_path)
    monkeypatch.delenv(STORE_VARIABLE, raising=False)
    monkeypatch.setenv(HOME_VARIABLE, str(copy.home.folder))
    return copy


def run(copy: Lived, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["--project", str(copy.project), "features", *arguments])


def test_a_store_that_differs_is_found_and_mended(copy: Lived) -> None:
    done = run(copy, "verify-online")
    lines = ["products: 4 keys, 4", "order_trend: 24 keys, 24"]
    assert done.exit_code == 0
    assert done.output == "".join(f"{line} with a row now, all as in the lakehouse\n" for line in lines)
    platform = Platform.of(load_project(copy.project / "shop" / "defs"), copy.home)
    space = open_store(platform).served("order_trend")
    assert space is not None
    assert open_store(platform).expire(space, 2**62) == 24

    done = run(copy, "verify-online", "order_trend")
    assert done.exit_code == 1
    assert "order_trend: 24 keys, 24 with a row now, 24 differ" in done.output
    assert "no row in the store, one in the lakehouse" in done.output
    assert "Found: 24 keys that the online store" in done.output
    found = json.loads(run(copy, "verify-online", "--format", "json").stdout)
    assert [(table["table"], table["different"]) for table in found] == [("products", 0), ("order_trend", 24)]

    done = run(copy, "rebuild-online", "order_trend")
    assert (done.exit_code, done.output.split(" in ")[0]) == (0, "order_trend: 24 rows")
    assert run(copy, "verify-online").exit_code == 0


def test_a_store_that_was_deleted_is_rebuilt_from_the_lakehouse(copy: Lived) -> None:
    for file in copy.home.folder.glob("online.sqlite*"):
        file.unlink()
    assert "nothing was published of 'products'" in run(copy, "verify-online").output
    assert run(copy, "rebuild-online").exit_code == 0
    assert run(copy, "verify-online").exit_code == 0


def test_a_table_that_is_not_online_is_refused(copy: Lived) -> None:
    done = run(copy, "rebuild-online", "orders")
    assert done.exit_code == 1
    assert "Found: table 'orders', which is not published. Expected: one of: products, order_trend" in done.output
