"""Errors as problem documents (RFC 9457): what was found, what was expected, what to do, and which kind it is."""

import json
import logging
import uuid
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from mlops_assets.errors import (
    ConflictError,
    ContractError,
    DamagedStateError,
    DefinitionError,
    ForbiddenError,
    MissingDataError,
    PlatformError,
    StoreUnavailableError,
)

MEDIA_TYPE = "application/problem+json"
KINDS = {
    400: ("unreadable", "The request cannot be read"),
    401: ("not-authenticated", "No valid token came with the request"),
    403: ("not-allowed", "The token's roles do not allow this"),
    404: ("not-found", "There is nothing of that name"),
    405: ("method-not-allowed", "The route does not take that method"),
    409: ("conflict", "It contradicts what was done before"),
    413: ("too-large", "The request is larger than the server takes"),
    415: ("not-json", "The body is not JSON"),
    422: ("invalid", "The request asks for something that cannot be"),
    500: ("internal", "The server failed; its log says why"),
    503: ("unavailable", "Something that the answer needs is not there now"),
}
"""Name and title of each kind of problem, by status."""

_STATUSES: tuple[tuple[type[PlatformError], int], ...] = (
    (ForbiddenError, 403),
    (StoreUnavailableError, 503),
    (DamagedStateError, 503),
    (MissingDataError, 404),
    (ConflictError, 409),
    (ContractError, 422),
    (DefinitionError, 422),
)
_logger = logging.getLogger("mlops_assets.serving")


class ProblemError(HTTPException):
    """A problem that a route raises.

    Args:
        status: HTTP status.
        found: What is there.
        expected: What should be there.
        cure: What the caller can do.
        headers: Headers of the answer.
        extra: Further members of the document.
    """

    def __init__(
        self,
        status: int,
        found: str,
        expected: str,
        cure: str,
        *,
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(status, found, dict(headers or {}))
        self.found, self.expected, self.cure, self.extra = found, expected, cure, dict(extra or {})


def problem(
    status: int,
    title: str | None,
    found: str,
    expected: str,
    cure: str,
    *,
    headers: Mapping[str, str] | None = None,
    instance: str | None = None,
    **extra: object,
) -> Response:
    """A problem document as an answer; without a title it has that of its kind."""
    kind, usual = KINDS.get(status) or (HTTPStatus(status).name.lower().replace("_", "-"), HTTPStatus(status).phrase)
    document = {
        "type": f"/problems/{kind}",
        "title": title or usual,
        "status": status,
        "detail": f"Found: {found}. Expected: {expected}. What to do: {cure}.",
        "instance": instance,
        "found": found,
        "expected": expected,
        "cure": cure,
        **extra,
    }
    content = json.dumps({name: value for name, value in document.items() if value is not None}, ensure_ascii=False)
    return Response(content.encode(errors="backslashreplace"), status, headers, MEDIA_TYPE)  # half a character, too


def status_of(error: PlatformError) -> int:
    """The status that an error of ours is answered with; 500 for what only the operator can mend."""
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)


def add_problem_handlers(app: FastAPI, retry_seconds: int) -> None:
    """Answer every error with a problem document.

    Args:
        app: The application.
        retry_seconds: When to come back, where a store does not answer.
    """

    async def on_platform_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, PlatformError)
        status = status_of(error)
        if status == 500:
            return _internal(request, error)
        if isinstance(error, DamagedStateError):
            return _damaged(request, error, retry_seconds)
        headers = {"Retry-After": str(retry_seconds)} if status == 503 else None
        path = request.scope["path"]
        return problem(status, None, error.found, error.expected, error.cure, headers=headers, instance=path)

    async def on_failure(request: Request, error: Exception) -> Response:
        return _internal(request, error)

    app.add_exception_handler(PlatformError, on_platform_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(ClientDisconnect, _on_gone)
    app.add_exception_handler(Exception, on_failure)  # the server logs its traceback


async def _on_gone(request: Request, error: Exception) -> Response:
    """The rest of a body did not come; nobody reads this."""
    return Response(status_code=400)


def _internal(request: Request, error: Exception) -> Response:
    instance = f"urn:uuid:{uuid.uuid4()}"
    _logger.error("%s: %s %s failed: %s", instance, request.method, request.scope["path"], error)
    return problem(
        500, None, "a failure inside the server", "an answer",
        "ask whoever runs the server to look this instance up in its log", instance=instance,
    )  # fmt: skip


def _damaged(request: Request, error: DamagedStateError, retry_seconds: int) -> Response:
    """Nobody is told where the platform's files lie; the log says it."""
    _logger.error("%s %s: %s", request.method, request.scope["path"], error)
    return problem(
        503, None, "state of the platform that is not what it wrote, so that nothing is decided by it",
        "state as it was written", "ask whoever runs the server to look into its log, and come back",
        headers={"Retry-After": str(retry_seconds)}, instance=request.scope["path"],
    )  # fmt: skip


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return problem(
        422, None, found_by_pydantic("", error.errors()),
        "a request as /openapi.json describes it", "correct it", instance=request.scope["path"],
    )  # fmt: skip


def found_by_pydantic(where: str, faults: Sequence[Any]) -> str:
    """What pydantic says is wrong, in one line; never the values, which may be personal."""
    places = [".".join(str(part) for part in (*([where] if where else ()), *fault["loc"])) for fault in faults]
    return "; ".join(f"{place}: {fault['msg']}" for place, fault in zip(places[:5], faults, strict=False))


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path, headers = request.scope["path"], error.headers
    if isinstance(error, ProblemError):
        return problem(
            error.status_code, None, error.found, error.expected, error.cure,
            headers=headers, instance=path, **error.extra,
        )  # fmt: skip
    if error.status_code == 404:
        return problem(404, None, f"no route {path}", "a route that /docs lists", "correct the path", instance=path)
    if error.status_code == 405:
        allowed = (headers or {}).get("Allow", "another method")
        return problem(405, None, request.method, allowed, "use that method", headers=headers, instance=path)
    return problem(
        error.status_code, None, str(error.detail), "a request as /openapi.json describes it", "correct it",
        headers=headers, instance=path,
    )  # fmt: skip
