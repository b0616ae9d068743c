"""Limits of connections, below the application: how many, how long a request may be on its way, how large its head."""

import asyncio
import os
import resource
from functools import partial
from pathlib import Path
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from mlops_assets.serving.settings import ServingSettings

_FILES_KEPT = 48
"""Files that a server opens beside its connections and those that it has open when it starts."""
_FEWEST = 8
_WORDS = {
    400: "what is no HTTP request",
    408: "a request that did not come whole in time",
    431: "a head of a request that is too large",
    503: "more connections than the server takes",
}


def bounded(settings: ServingSettings) -> Any:
    """What uvicorn makes a protocol of each connection with: ``http=bounded(settings)``."""
    return partial(BoundedProtocol, settings=settings, most=max_connections(settings))


def max_connections(settings: ServingSettings) -> int:
    """How many connections may be open: as many as the settings say, and the system lets this process open files."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return settings.max_connections
    try:
        opened = len(os.listdir(Path("/dev/fd")))
    except OSError:
        opened = _FILES_KEPT
    return max(min(settings.max_connections, soft - opened - _FILES_KEPT), _FEWEST)


class BoundedProtocol(HttpToolsProtocol):
    """One connection.

    Args:
        *given: What uvicorn gives.
        settings: The limits.
        most: How many connections may be open.
        **named: What uvicorn gives.
    """

    def __init__(self, *given: Any, settings: ServingSettings, most: int, **named: Any) -> None:
        super().__init__(*given, **named)
        self._settings, self._most = settings, most
        self._refused = 400
        self._in_head = True
        self._head = 0
        self._late: asyncio.TimerHandle | None = None
        self.idle_since = self.loop.time()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being answered on it."""
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin; where there are too many, instead of the one that was idle longest."""
        super().connection_made(transport)
        self._begin_to_wait()
        if len(self.connections) > self._most:
            idle = [one for one in self.connections if one is not self and isinstance(one, BoundedProtocol)]
            oldest = min((one for one in idle if one.is_idle), key=lambda one: one.idle_since, default=None)
            if oldest is None:
                self._refuse(503)
            else:
                self.connections.discard(oldest)
                oldest.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._end_to_wait()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read some; of a head no more than may be."""
        while data and not self.transport.is_closing():
            room = self._settings.max_head_bytes - self._head
            part, data = (data[:room], data[room:]) if self._in_head else (data, b"")
            self._head += len(part) if self._in_head else 0
            super().data_received(part)
            if self._in_head and self._head >= self._settings.max_head_bytes and not self.transport.is_closing():
                self._refuse(431)

    def on_message_begin(self) -> None:
        """A request begins."""
        if self._late is None:
            self._begin_to_wait()
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Its head is here."""
        self._in_head, self._head = False, 0
        super().on_headers_complete()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, which may also follow the body."""
        if not self._in_head:
            self._head += len(name) + len(value)
            if self._head > self._settings.max_head_bytes:
                self._refused = 431
                raise ValueError("too many headers behind a body")
        super().on_header(name, value)

    def on_message_complete(self) -> None:
        """It is here whole."""
        self._in_head, self._head = True, 0
        self._end_to_wait()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """It is answered."""
        self.idle_since = self.loop.time()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Who asked does not read the answer."""
        super().pause_writing()
        self._begin_to_wait()

    def resume_writing(self) -> None:
        """And goes on."""
        super().resume_writing()
        self._end_to_wait()

    def send_400_response(self, msg: str) -> None:
        """Refuse what the parser did not take."""
        self._refuse(self._refused)

    def _begin_to_wait(self) -> None:
        self._end_to_wait()
        self._late = self.loop.call_later(self._settings.arrival_seconds, self._give_up)

    def _end_to_wait(self) -> None:
        if self._late:
            self._late.cancel()
            self._late = None

    def _give_up(self) -> None:
        if self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete:
            self.transport.abort()  # the answer is not read
        else:
            self._refuse(408)

    def _refuse(self, status: int) -> None:
        """Say why, and close: what follows on the connection is not read."""
        words = f"Found: {_WORDS[status]}.\n".encode()
        head = f"content-type: text/plain; charset=utf-8\r\ncontent-length: {len(words)}\r\nconnection: close\r\n\r\n"
        self.transport.write(STATUS_LINE[status] + head.encode() + words)
        self.transport.close()
