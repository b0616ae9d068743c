"""Whether the server is alive, whether it can answer, and its metrics."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from starlette.concurrency import run_in_threadpool

from mlops_assets.errors import StoreUnavailableError
from mlops_assets.serving.authorization import principal_of
from mlops_assets.serving.context import ServingContext
from mlops_assets.serving.problems import ProblemError


def router(context: ServingContext) -> APIRouter:
    """``/healthz``, ``/readyz`` and ``/metrics``.

    On loopback nobody needs a token for them. On other addresses ``/metrics`` needs a valid one, whatever its roles,
    and what is missing or degraded is named only to those who have one.
    """
    routes = APIRouter(tags=["health"])

    async def told(request: Request, what: list[str]) -> list[str]:
        if what and not context.settings.on_loopback:
            try:
                await principal_of(request)
            except ProblemError:
                return ["something that is named to who has a token"]
        return what

    @routes.get("/healthz", summary="Whether the server is alive")
    async def alive(request: Request) -> JSONResponse:
        """With ``degraded``: versions that were promoted and cannot be loaded, and what serves in their place."""
        degraded = await told(request, context.champions.degraded)
        return JSONResponse({"alive": True, **({"degraded": degraded} if degraded else {})})

    @routes.get("/readyz", summary="Whether it can answer: the store is reachable, all tables and models are there")
    async def ready(request: Request) -> Response:
        """A model of which the version promoted last cannot be loaded is ``degraded``; the others answer."""
        missing = [*(await run_in_threadpool(_missing, context)), *context.champions.loading]
        if not missing:
            degraded = await told(request, context.champions.degraded)
            return JSONResponse({"ready": True, **({"degraded": degraded} if degraded else {})})
        missing = await told(request, missing)
        raise ProblemError(
            503, "; ".join(missing), "a store that answers, rows of every table that is online, and models in memory",
            "start the store, or materialize the tables; nothing needs to be restarted",
            headers={"Retry-After": str(context.settings.retry_seconds)}, extra={"missing": missing},
        )  # fmt: skip

    @routes.get("/metrics", summary="Metrics that Prometheus reads")
    async def metrics(request: Request) -> Response:
        if not context.settings.on_loopback:
            await principal_of(request)
        return Response(context.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return routes


def _missing(context: ServingContext) -> list[str]:
    try:
        context.online.health()
        return [f"rows of {table}" for table in context.online.unpublished()]
    except StoreUnavailableError as error:
        return [error.found]
