"""Loading a code location."""

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlops_assets.definitions import platform_definitions
from mlops_assets.errors import PlatformError
from mlops_assets.starter import write_project


@pytest.fixture(params=[True, False], ids=["on", "off"])
def collecting(request: pytest.FixtureRequest) -> Iterator[bool]:
    before = gc.isenabled()
    (gc.enable if request.param else gc.disable)()
    yield request.param
    (gc.enable if before else gc.disable)()


def test_garbage_collection_is_afterwards_as_it_was_before(
    collecting: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_project(tmp_path / "shop")
    monkeypatch.syspath_prepend(str(tmp_path / "shop"))
    platform_definitions(tmp_path / "shop" / "shop")
    assert gc.isenabled() is collecting


def test_garbage_collection_is_as_it_was_after_a_definition_that_is_refused(collecting: bool, tmp_path: Path) -> None:
    definition = tmp_path / "defs" / "sales" / "defs.yaml"
    definition.parent.mkdir(parents=True)
    definition.write_text("type: mlops_assets.Source\nattributes: {name: sales}\n")
    with pytest.raises(PlatformError):
        platform_definitions(tmp_path)
    assert gc.isenabled() is collecting
