"""`mlops-assets verify`: whatever of a home is not what was written is named, and what is whole is said to be."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mlops_assets.cli import main
from mlops_assets.governance.tokens import TokenStore
from mlops_assets.lakehouse.home import HOME_VARIABLE
from mlops_assets_tests.conftest import Lived

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def whole(lived: Lived, tmp_path_factory: pytest.TempPathFactory) -> Lived:
    """A home with a token in it; only to be copied."""
    made = lived.copy(tmp_path_factory.mktemp("whole"))
    tokens = TokenStore(made.home.folder / "trail" / "tokens.jsonl")
    tokens.create("ana", ("reader",), None, made.home.clock.now())
    tokens.revoke("ana", made.home.clock.now())
    return made


@pytest.fixture
def home(whole: Lived, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lived:
    made = whole.copy(tmp_path)
    monkeypatch.setenv(HOME_VARIABLE, str(made.home.folder))
    return made


def verify(home: Lived) -> Result:
    return CliRunner().invoke(main, ["--project", str(home.project), "verify"])


def newest(folder: Path, pattern: str) -> Path:
    """One file of a kind, by its path."""
    return max(folder.glob(pattern))


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def swap(file: Path) -> None:
    """With another file of its kind."""
    others = [other for other in file.parent.parent.rglob(f"*{file.suffix}") if other.read_bytes() != file.read_bytes()]
    other = min(others, default=None)
    file.write_bytes(other.read_bytes() if other else b"{}\n")


def delete(file: Path) -> None:
    file.unlink()


FILES = {
    "data of a source": "lakehouse/tables/*/*/period=*/*.parquet",
    "records": "lakehouse/tables/*/records/period=*/*.parquet",
    "a commit": "lakehouse/tables/*/*/_delta_log/*1.json",
    "sums": "lakehouse/tables/*/*/_sums.jsonl",
    "a delivery": "lakehouse/deliveries/*/*/*.csv",
    "a fit": "mlflow/artifacts/models/*/artifacts/data/model.skops",
    "tokens": "trail/tokens.jsonl",
    "seal": "trail/*.seal.json",
    "newest moment": "newest_moment.json",
    "replay": "replay.json",
}
UNNOTICED = {
    # Homes of earlier releases have none of it, and not every home is a replay.
    *((kind, delete) for kind in ("sums", "seal", "newest moment", "replay")),
    ("sums", cut),  # as a kill leaves them: what they said last is not known
    # A digit of a moment may be another one.
    ("newest moment", flip),
    ("replay", flip),
}
CASES = [(kind, damage) for kind in FILES for damage in (flip, cut, swap, delete) if (kind, damage) not in UNNOTICED]


def test_a_home_that_a_replay_wrote_is_as_it_was_written(home: Lived) -> None:
    done = verify(home)
    assert done.exit_code == 0, done.output
    for part in (
        "table orders",
        "deliveries of orders",
        "fits of orders_forecast",
        "tokens and approvals",
        "databases",
    ):
        assert part in done.output
    assert "fault" not in done.output and "by size alone" not in done.output


@pytest.mark.parametrize(("kind", "damage"), CASES)
def test_each_file_that_is_not_what_was_written_is_named(
    home: Lived, kind: str, damage: Callable[[Path], None]
) -> None:
    file = newest(home.home.folder, FILES[kind])
    damage(file)
    done = verify(home)
    assert done.exit_code == 1, done.output
    table = file.parent if kind == "sums" else file.parent.parent
    assert file.name in done.output or (table.name == "records" and str(table) in done.output)
    assert "What to do: " in done.output
    assert done.output.endswith(f"faults in {home.home.folder}; follow what is said of each fault above\n")


def test_a_table_that_was_taken_back_and_a_damaged_database_are_named(home: Lived) -> None:
    log = newest(home.home.folder, "lakehouse/tables/orders/*/_delta_log")
    max(log.glob("*.json")).unlink()
    cut(home.home.mlflow / "mlflow.db")
    done = verify(home)
    assert done.exit_code == 1
    assert "table 'orders' with " in done.output and " as were made" in done.output
    assert f"the database {home.home.mlflow / 'mlflow.db'}, which cannot be read (" in done.output


def test_a_home_of_an_earlier_release_is_compared_by_size(home: Lived) -> None:
    for sums in home.home.folder.rglob("_sums.jsonl"):
        sums.unlink()
    done = verify(home)
    assert done.exit_code == 0 and "by size alone (written by an earlier release, or before a kill)" in done.output
    shutil.copy(newest(home.home.folder, FILES["a delivery"]), newest(home.home.folder, FILES["data of a source"]))
    assert verify(home).exit_code == 1
