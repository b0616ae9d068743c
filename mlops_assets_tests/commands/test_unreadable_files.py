"""Commands on files and folders that their user may not read or write."""

import ctypes
import sys
from pathlib import Path

import pytest

from mlops_assets.lakehouse.home import HOME_VARIABLE
from mlops_assets_tests import forks
from mlops_assets_tests.conftest import Lived

pytestmark = pytest.mark.slow

CASES = [
    ("check", "shop/defs"),
    ("check", "shop/defs/orders"),
    ("check", "pyproject.toml"),
    ("models score orders_forecast keys.csv", "home/mlflow/mlflow.db"),
    ("models reproduce orders_forecast 1", "home/mlflow"),
    ("compact", "home/lakehouse/tables"),
    ("compact", "home/lakehouse/tables/orders"),
    ("ingest orders", "home/landing"),
    ("corrections order_trend", "home/lakehouse/tables/order_trend/*/_delta_log"),
    ("features verify-online", "home/online.sqlite"),
    ("tokens list", "home/trail/tokens.jsonl"),
]


def test_each_says_once_what_it_cannot_read_and_none_takes_it_for_empty(lived: Lived, tmp_path: Path) -> None:
    own = lived.copy(tmp_path)
    folder, home = own.project, own.home.folder
    (folder / "keys.csv").write_text("region,product\nnorth,alpha\n", encoding="utf-8")
    forks.run(["tokens", "create", "one", "--role", "reader"], folder=folder, **{HOME_VARIABLE: str(home)})
    for command, path in CASES:
        base, _, name = path.partition("home/")
        (closed,) = home.glob(name) if not base else folder.glob(path)
        mode = closed.stat().st_mode
        closed.chmod(0)
        done = forks.start_work(_bound, command.split(), folder=folder, **{HOME_VARIABLE: str(home)}).end()
        closed.chmod(mode)
        assert (done.returncode, done.stderr.count("Error: Found:")) == (1, 1), (command, path, done)
        assert "Traceback" not in done.stderr, (command, path, done)


def _bound(command: list[str]) -> None:
    """Run a command; where this is root, without the rights by which permissions do not bind it."""
    if sys.platform == "linux":
        libc, header, sets = ctypes.CDLL(None), (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
        libc.capget(header, sets)
        for place in (0, 1):  # effective and permitted: CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH
            sets[place] &= ~0b110
        libc.capset(header, sets)
    forks.command(command)
