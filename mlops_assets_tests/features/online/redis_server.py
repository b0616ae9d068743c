"""A Redis server of the tests' own: in memory, on a port and in a folder of its own, gone afterwards."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, field

from mlops_assets_tests.conftest import require_program

PASSWORD = "swordfish-47"


@dataclass
class RedisServer:
    """A server that can be stopped and started again on its port; what it held is gone then."""

    port: int = 0
    folder: str = field(default_factory=lambda: tempfile.mkdtemp(prefix="redis-"))
    _process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        """The URL of its first database, with the password."""
        return f"redis://:{PASSWORD}@127.0.0.1:{self.port}/0"

    def start(self) -> "RedisServer":
        """Start it, and wait until it answers."""
        # Debian's Redis, or Valkey where that is what there is.
        program = shutil.which("valkey-server") or require_program("redis-server", "redis-server")
        while True:
            self.port = self.port or _free_port()
            settings = ["--port", str(self.port), "--bind", "127.0.0.1", "--requirepass", PASSWORD]
            command = [program, *settings, "--save", "", "--appendonly", "no", "--dir", self.folder]
            self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while self._process.poll() is None:
                if _answers(self.port):
                    return self
                time.sleep(0.005)  # between two looks
            self.port = 0  # somebody else has taken it

    def stop(self) -> None:
        """Stop it at once, as a power cut would."""
        if self._process:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """Stop it, and delete its folder."""
        self.stop()
        if os.path.isdir(self.folder):
            shutil.rmtree(self.folder)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith((b"-NOAUTH", b"+PONG"))
    except OSError:
        return False
