"""A disk that runs full in the middle of a replay: one message, and with room again it goes on to the same end."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlops_assets.lakehouse.home import Home
from mlops_assets_tests.conftest import Lived, require_program
from mlops_assets_tests.end_to_end.replaying import data_versions

pytestmark = pytest.mark.slow
ON_A_SMALL_DISK = """
mkdir "$1/home" && mount -t tmpfs -o size=64m tmpfs "$1/home" && shift_to="$1/kept" && export MLOPS_HOME="$1/home"
head -c $(( (65536 - $2) * 1024 )) /dev/zero > "$MLOPS_HOME/.filler"
shift 2
"$@" > "$shift_to.first" 2>&1; echo $? >> "$shift_to.first"
rm "$MLOPS_HOME/.filler"
"$@" > "$shift_to.second" 2>&1; echo $? >> "$shift_to.second"
cp -r "$MLOPS_HOME" "$shift_to"
"""


@pytest.mark.parametrize("free_kilobytes", [400, 3000])
def test_a_full_disk_is_one_message_and_with_room_again_the_replay_goes_on(
    lived: Lived, tmp_path: Path, free_kilobytes: int
) -> None:
    unshare = require_program("unshare", "util-linux")
    replay = [sys.executable, "-m", "mlops_assets", "--project", str(lived.project), "replay"]
    done = subprocess.run(
        [unshare, "--user", "--map-root-user", "--mount", "sh", "-c", ON_A_SMALL_DISK, "sh", str(tmp_path)]
        + [str(free_kilobytes), *replay, "--from", lived.first, "--to", lived.last],
        env={**os.environ, "MLOPS_SMALLEST_FREE_MEGABYTES": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    first = (tmp_path / "kept.first").read_text(encoding="utf-8")
    assert first.splitlines()[-1] == "1", first
    assert "Traceback" not in first
    message = first.splitlines()[-2]
    assert message.startswith(("Error: Found: no space left on the disk", "Error: Found: 0 MB free on the disk")), first
    second = (tmp_path / "kept.second").read_text(encoding="utf-8")
    assert second.splitlines()[-1] == "0", second
    assert data_versions(Home(tmp_path / "kept")) == data_versions(lived.home)
