"""Whether the server is alive, whether it can answer, and its metrics."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from mlops_assets.serving.authorization import principal_of
from mlops_assets.serving.context import ServingContext


def router(context: ServingContext) -> APIRouter:
    """``/healthz`` and ``/metrics``.

    On loopback nobody needs a token for them. On other addresses ``/metrics`` needs a valid one, whatever its roles.
    """
    routes = APIRouter(tags=["health"])

    @routes.get("/healthz", summary="Whether the server is alive")
    async def alive() -> JSONResponse:
        return JSONResponse({"alive": True})

    @routes.get("/metrics", summary="Metrics that Prometheus reads")
    async def metrics(request: Request) -> Response:
        if not context.settings.on_loopback:
            await principal_of(request)
        return Response(context.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return routes
