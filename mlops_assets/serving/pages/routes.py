"""Routes of the pages: search, tables, models, logging in and out."""

import os
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Annotated, Any
from urllib.parse import parse_qs, quote, urlsplit

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.routing import APIRoute

from mlops_assets.errors import MissingDataError, PlatformError, nearest
from mlops_assets.governance.access import Principal
from mlops_assets.serving.authorization import COOKIE, context_of, principal_of
from mlops_assets.serving.context import ServingContext
from mlops_assets.serving.pages.content import model_content, table_content
from mlops_assets.serving.pages.model import model_page
from mlops_assets.serving.pages.models import models_page
from mlops_assets.serving.pages.rendering import Frame, policy, render
from mlops_assets.serving.pages.search import HITS_ON_A_PAGE, MODELS, Asked, search_page
from mlops_assets.serving.pages.table import table_page
from mlops_assets.serving.problems import KINDS, ProblemError, status_of

HOME = "/features"
HEADERS = {
    "Content-Security-Policy": f"{policy()}; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Of every page: it runs nothing but its own script, stands in no other page, and is kept by no cache."""

FORM = "application/x-www-form-urlencoded"
_MAX_FIELDS = 10


class PageRoute(APIRoute):
    """A route whose errors are pages too; who is not logged in is led to do so, and back."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The route's handler with its errors caught."""
        answer = super().get_route_handler()

        async def answered(request: Request) -> Response:
            try:
                return await answer(request)
            except ProblemError as error:
                if error.status_code == 401 and request.method in ("GET", "HEAD"):
                    return _to_login(request)
                return await _problem_page(request, error.status_code, error.found, error.expected, error.cure)
            except PlatformError as error:
                status = status_of(error)
                if status == 500:
                    raise
                return await _problem_page(request, status, error.found, error.expected, error.cure)

        return answered


async def reader(request: Request) -> Principal:
    """Who reads a page.

    Raises:
        ProblemError: 401, there is no valid token.
        ForbiddenError: The token's roles do not let it read features.
    """
    principal = await principal_of(request)
    principal.require("features:read", context_of(request).tokens.roles)
    return principal


Reader = Annotated[Principal, Depends(reader)]


def router(context: ServingContext) -> APIRouter:
    """The routes of all pages."""
    routes = APIRouter(route_class=PageRoute, include_in_schema=False, default_response_class=HTMLResponse)

    @routes.get("/")
    @routes.get(HOME)
    def search(request: Request, principal: Reader) -> Response:
        asked = Asked.of(request.query_params)
        found = context.discovery.index().search(asked.text, **asked.values, limit=HITS_ON_A_PAGE, offset=asked.offset)
        return page(
            search_page(
                context.discovery.catalog, context.discovery.freshness(), found, asked, frame(context, principal)
            )
        )

    @routes.get(f"{HOME}/{{name}}")
    def table(name: str, principal: Reader) -> Response:
        _require_known(name, context.discovery.catalog.tables, "table", "a source or feature table", "features")
        return page(
            table_page(table_content(context.platform, context.discovery.catalog, name), frame(context, principal))
        )

    @routes.get(MODELS)
    def models(request: Request, principal: Reader) -> Response:
        return page(models_page(context.platform, Asked.of(request.query_params).page, frame(context, principal)))

    @routes.get(f"{MODELS}/{{name}}")
    def model(name: str, request: Request, principal: Reader) -> Response:
        _require_known(name, context.platform.project.models, "model", "a model", "models")
        content = model_content(context.platform, name, request.query_params.get("period"))
        return page(model_page(content, frame(context, principal)))

    @routes.get("/login")
    async def login(request: Request) -> Response:
        following = local_path(request.query_params.get("next"))
        if await _principal(request):
            return RedirectResponse(following, 303, HEADERS)
        return page(render("login", Frame(None), next=following, wrong=None))

    @routes.post("/login")
    async def logged_in(request: Request) -> Response:
        _require_own_form(request)
        fields = await _fields(request)
        token, following = fields.get("token", "").strip(), local_path(fields.get("next"))
        if context.tokens.principal(token, context.platform.clock.now()) is None:
            wrong = "This token is not known here, was revoked or has expired."
            return page(render("login", Frame(None), next=following, wrong=wrong), 401)
        answer = RedirectResponse(following, 303, HEADERS)
        secure = not context.settings.on_loopback
        answer.set_cookie(COOKIE, token, httponly=True, samesite="strict", secure=secure)
        return answer

    @routes.post("/logout")
    async def logged_out(request: Request) -> Response:
        _require_own_form(request)
        answer = RedirectResponse("/login", 303, HEADERS)
        answer.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=not context.settings.on_loopback)
        return answer

    return routes


def frame(context: ServingContext, principal: Principal | None) -> Frame:
    """The frame of a page that the server gives to somebody now."""
    return Frame.of(principal, context.platform.clock.now(), os.environ)


def page(text: str, status: int = 200) -> HTMLResponse:
    """A page as an answer."""
    return HTMLResponse(text, status, HEADERS)


def local_path(asked: str | None) -> str:
    """Where to go after logging in: a path of this server, or the first page where anything else was asked for.

    Browsers leave out tabs and line breaks and read a backslash as a slash, so that none of these may be in it.
    """
    path = asked or HOME
    plain = path.isprintable() and "\\" not in path and " " not in path
    own = path.startswith("/") and not path.startswith(("//", "/login", "/logout"))
    return path if plain and own and _host_of(path) == "" else HOME


def _require_known(name: str, names: Iterable[str], what: str, expected: str, place: str) -> None:
    """See that there is something of a name.

    Raises:
        MissingDataError: There is not.
    """
    if name not in (there := list(names)):
        cure = nearest(name, there, f"look for it among the {place}")
        raise MissingDataError(f"no {what} '{name}'", f"{expected} of the project", cure)


def _to_login(request: Request) -> Response:
    # Not request.url: it is made with the header Host, which may be anything.
    path, query = request.scope["path"], request.scope["query_string"].decode("latin-1")
    return RedirectResponse(f"/login?next={quote(f'{path}?{query}' if query else path, safe='')}", 303, HEADERS)


def _require_own_form(request: Request) -> None:
    """See that a form was sent from a page of this server: no other page may log somebody in or out.

    Raises:
        ProblemError: 403, it came from somewhere else.
    """
    origin = request.headers.get("origin")
    if origin is not None and _host_of(origin) != request.headers.get("host"):
        raise ProblemError(403, "a form of another site", "a form of this server", "log in on this server's own page")


def _host_of(address: str) -> str | None:
    """The host of an address, with its port; None where that is no address."""
    try:
        return urlsplit(address).netloc
    except ValueError:
        return None


async def _fields(request: Request) -> Mapping[str, str]:
    """The fields of a form, the first of each name.

    Raises:
        ProblemError: 415, it is no form; 400, it has too many fields.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise ProblemError(415, "a body that is no form", FORM, "send the form of the page")
    text = (await request.body()).decode("utf-8", "replace")
    try:
        fields = parse_qs(text, max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise ProblemError(400, "more fields than the form has", "a token", "send the form of the page") from None
    return {name: values[0] for name, values in fields.items()}


async def _principal(request: Request) -> Principal | None:
    try:
        return await principal_of(request)
    except ProblemError:
        return None


async def _problem_page(request: Request, status: int, found: str, expected: str, cure: str) -> HTMLResponse:
    heading = KINDS[status][1] if status in KINDS else "This did not work"
    shown = frame(context_of(request), await _principal(request))
    return page(render("problem", shown, heading=heading, found=found, expected=expected, cure=cure), status)
