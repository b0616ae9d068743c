"""A PostgreSQL server of the tests' own: in a folder of its own, on a socket in it, gone afterwards."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlops_assets_tests.conftest import require_program

OWNER = "keeper"


@contextmanager
def running_postgresql() -> Iterator[str]:
    """The URL of a database in a server that runs meanwhile; as root, the server runs as nobody, for it must."""
    # Distributions keep the server's programs off the path, in a folder for each version.
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    initdb, control = (require_program(name, "postgresql", *folders) for name in ("initdb", "pg_ctl"))
    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # a socket's path must be short
    as_whom: dict[str, Any] = {}
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        as_whom = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder, **as_whom}
    data = str(folder / "data")
    try:
        options = ["-U", OWNER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        subprocess.run([initdb, "-D", data, *options], check=True, **quiet)
        settings = [f"unix_socket_directories={folder}", "listen_addresses=''", "fsync=off", "timezone=Asia/Tokyo"]
        given = " ".join(f"-c {text}" for text in settings)
        subprocess.run([control, "start", "-w", "-D", data, "-o", given], check=True, **quiet)
        yield f"postgresql://{OWNER}@/postgres?host={folder}"
    finally:
        subprocess.run([control, "stop", "-D", data, "-m", "immediate"], check=False, **quiet)
        shutil.rmtree(folder, ignore_errors=True)
