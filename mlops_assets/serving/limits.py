"""The limit on a request's body, whether its length is declared or it comes in chunks."""

from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlops_assets.serving.problems import ProblemError, problem


class LimitedBody:
    """Refuses bodies of more bytes than allowed, before they are read where their length is declared."""

    def __init__(self, app: ASGIApp, largest: int) -> None:
        self._app = app
        self._largest = largest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if int(declared) > self._largest:
            answer = problem(413, None, f"a body of {int(declared)} bytes", **self._parts, instance=scope["path"])
            await answer(scope, receive, send)
            return
        taken = 0

        async def limited() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._largest:
                raise ProblemError(413, f"a body of at least {taken} bytes", **self._parts)
            return message

        await self._app(scope, limited, send)

    @property
    def _parts(self) -> dict[str, Any]:
        return {"expected": f"at most {self._largest} bytes", "cure": "send it in several requests"}
