"""Who asks: the token of a request, and the scope that a route needs."""

from collections.abc import Awaitable, Callable
from datetime import datetime

from fastapi import Request

from mlops_assets.governance.access import Principal, Scope
from mlops_assets.serving.context import ServingContext
from mlops_assets.serving.problems import ProblemError

COOKIE = "mlops_token"
"""The cookie in which pages keep the token."""


def context_of(request: Request) -> ServingContext:
    """The context of the application that a request came to."""
    context: ServingContext = request.app.state.context
    return context


async def principal_of(request: Request, now: datetime | None = None) -> Principal:
    """Who a request's token belongs to: ``Authorization: Bearer …``, or the pages' cookie.

    Args:
        request: The request.
        now: The platform clock's moment, where it was asked already.

    Raises:
        ProblemError: 401, there is no token, or none that is valid now.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    given = token.strip() if scheme.lower() == "bearer" else request.cookies.get(COOKIE)
    context = context_of(request)
    found = context.tokens.principal(given, now or context.platform.clock.note()) if given else None
    if found is None:
        fault = ', error="invalid_token"' if given else ""
        raise ProblemError(
            401,
            "a token that is unknown, revoked or expired" if given else "a request without a token",
            "the header 'Authorization: Bearer TOKEN'",
            "have a token made with `mlops-assets tokens create`, and send it",
            headers={"WWW-Authenticate": f'Bearer realm="mlops-assets"{fault}'},
        )
    return found


def require(scope: Scope) -> Callable[[Request], Awaitable[Principal]]:
    """What a route depends on, so that only tokens with a scope come in: ``Annotated[Principal, Depends(require(…))]``.

    Raises:
        ProblemError: 401, there is no valid token.
        ForbiddenError: The token's roles have no such scope.
    """

    async def allowed(request: Request) -> Principal:
        principal = await principal_of(request)
        principal.require(scope)
        return principal

    return allowed
