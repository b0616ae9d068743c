"""Load on an HTTP server: clients that each keep a connection and ask again as soon as they are answered.

Run in a process of its own, for ours and for the peer alike; takes a `Load` as JSON, prints `Loaded` as JSON.
"""

import asyncio
import json
import random
import sys
import time
from dataclasses import asdict, dataclass
from typing import cast

import uvloop


@dataclass(frozen=True)
class Load:
    """What is asked, by how many, how long.

    Args:
        port: Port on this machine.
        path: Path that is posted to.
        headers: Further headers, one a line.
        body: Body, with ``KEY`` where a key stands.
        keys: How many keys there are, from 0.
        clients: How many ask at the same time.
        seconds: How long, after ``warming`` seconds that do not count.
    """

    port: int
    path: str
    headers: str
    body: str
    keys: int
    clients: int = 16
    seconds: float = 6.0
    warming: float = 1.5


@dataclass(frozen=True)
class Loaded:
    """What it came to.

    Args:
        per_second: Requests that were answered.
        p50_ms: Median time of one, milliseconds.
        p99_ms: 99th percentile.
    """

    per_second: float
    p50_ms: float
    p99_ms: float


class _Client(asyncio.Protocol):
    """One connection; every answer must be a 200 with a length."""

    def __init__(self, load: Load, taken: list[tuple[float, float]], ends: float) -> None:
        self._load, self._taken, self._ends = load, taken, ends
        self._random = random.Random(len(taken))
        self._received = b""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._ask()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("the server closed a connection that was in use"))

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, _, body = self._received.partition(b"\r\n\r\n")
        length = next((int(line[15:]) for line in head.split(b"\r\n") if line[:15].lower() == b"content-length:"), None)
        if length is None or len(body) < length:
            return
        if not head.startswith(b"HTTP/1.1 200"):
            self.done.set_exception(RuntimeError(self._received.decode()))
            return
        now = time.perf_counter()
        self._taken.append((now, now - self._asked))
        self._received = b""
        if now < self._ends:
            self._ask()
        else:
            self.done.set_result(None)
            self._transport.close()

    def _ask(self) -> None:
        body = self._load.body.replace("KEY", str(self._random.randrange(self._load.keys))).encode()
        head = (
            f"POST {self._load.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n{self._load.headers}\r\n"
        )
        self._asked = time.perf_counter()
        self._transport.write(head.encode() + body)


async def _run(load: Load) -> Loaded:
    taken: list[tuple[float, float]] = []
    begins = time.perf_counter() + load.warming
    loop = asyncio.get_running_loop()
    clients = [
        (await loop.create_connection(lambda: _Client(load, taken, begins + load.seconds), "127.0.0.1", load.port))[1]
        for _ in range(load.clients)
    ]
    async with asyncio.timeout(load.warming + load.seconds + 30):
        await asyncio.gather(*(client.done for client in clients))
    times = sorted(seconds for answered, seconds in taken if begins <= answered < begins + load.seconds)
    return Loaded(
        round(len(times) / load.seconds),
        round(times[len(times) // 2] * 1e3, 2),
        round(times[len(times) * 99 // 100] * 1e3, 2),
    )


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(asdict(runner.run(_run(Load(**json.loads(sys.argv[1])))))))
