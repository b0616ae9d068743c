"""Asks an application in this process, as a browser would: cookies are kept, redirects are not followed."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import unquote, urlencode, urlsplit

FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Answer:
    """What came back; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    text: str


class Browser:
    """Asks one application at one address."""

    def __init__(self, app: Any, address: str) -> None:
        self.app = app
        self.address = address
        self.cookies: dict[str, str] = {}

    def get(self, path: str, **headers: str) -> Answer:
        return asyncio.run(self._ask("GET", path, b"", headers))

    def send(self, path: str, fields: Mapping[str, str], **headers: str) -> Answer:
        """Send a form."""
        return self.post(path, urlencode(fields).encode(), FORM, **headers)

    def post(self, path: str, body: bytes, kind: str, **headers: str) -> Answer:
        return asyncio.run(self._ask("POST", path, body, {"content-type": kind, **headers}))

    async def _ask(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        host, asked = urlsplit(self.address), urlsplit(path)
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        sent = {"host": host.netloc, **({"cookie": cookies} if cookies else {}), **headers}
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": host.scheme,
            "path": unquote(asked.path), "raw_path": asked.path.encode(), "query_string": asked.query.encode(),
            "root_path": "", "headers": [(name.lower().encode(), value.encode()) for name, value in sent.items()],
            "server": (host.hostname, host.port), "client": ("127.0.0.1", 1),
        }  # fmt: skip
        events: list[Any] = []
        waiting = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Any:
            return waiting.pop() if waiting else await asyncio.Event().wait()

        async def send(event: Any) -> None:
            events.append(event)

        await self.app(scope, receive, send)
        answered = {name.decode(): value.decode() for name, value in events[0]["headers"]}
        for name, morsel in SimpleCookie(answered.get("set-cookie", "")).items():
            self.cookies[name] = morsel.value
            if not morsel.value:
                del self.cookies[name]
        text = b"".join(event.get("body", b"") for event in events[1:]).decode()
        return Answer(events[0]["status"], answered, text)
