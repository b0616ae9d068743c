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
    and ``/readyz`` says what is missing only to those who have one.
    """
    routes = APIRouter(tags=["health"])

    @routes.get("/healthz", summary="Whether the server is alive")
    async def alive() -> JSONResponse:
        return JSONResponse({"alive": True})

    @routes.get("/readyz", summary="Whether it can answer: the store is reachable, and all tables are published")
    async def ready(request: Request) -> Response:
        missing = await run_in_threadpool(_missing, context)
        if not missing:
            return JSONResponse({"ready": True})
        if not context.settings.on_loopback:
            try:
                await principal_of(request)
            except ProblemError:
                missing = ["something that is named to who has a token"]
        raise ProblemError(
            503, "; ".join(missing), "a store that answers, and rows of every table that is online",
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
