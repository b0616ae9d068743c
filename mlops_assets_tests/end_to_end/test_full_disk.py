"""A disk that runs full in the middle of a day: one message, and with room again it goes on to the same end."""

import subprocess
import sys
from pathlib import Path

import pytest

from mlops_assets.lakehouse.home import Home
from mlops_assets_tests.conftest import Lived, require_program
from mlops_assets_tests.end_to_end.replaying import data_versions, replay

pytestmark = pytest.mark.slow
NEXT_DAY = "2024-01-28"
FREE_KILOBYTES = ("400", "1500")
"""So that it is refused at once, and runs full in the middle of the day."""


def test_a_full_disk_is_one_message_and_with_room_again_the_replay_goes_on(lived: Lived, tmp_path: Path) -> None:
    unshare = require_program("unshare", "util-linux")
    whole = lived.copy(tmp_path / "whole")
    assert replay(whole, NEXT_DAY).wait() == 0
    small_disk = [sys.executable, "-m", "mlops_assets_tests.end_to_end.on_a_small_disk", str(tmp_path)]
    done = subprocess.run(
        [unshare, "--user", "--map-root-user", "--mount", *small_disk]
        + [str(lived.project), str(lived.home.folder), lived.first, NEXT_DAY, *FREE_KILOBYTES],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    expected = data_versions(whole.home)
    for free in FREE_KILOBYTES:
        first = (tmp_path / f"full {free}").read_text(encoding="utf-8")
        *_, message, code = first.splitlines()
        assert code == "1", first
        assert "Traceback" not in first
        assert message.startswith(("Error: Found: no space left on the disk", "Error: Found: 0 MB free on the disk"))
        second = (tmp_path / f"with room {free}").read_text(encoding="utf-8")
        assert second.splitlines()[-1] == "0", second
        assert data_versions(Home(tmp_path / f"kept {free}")) == expected, free
