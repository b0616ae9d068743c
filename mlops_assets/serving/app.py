"""The application: all routes over one platform, with limits, metrics, and errors as problem documents."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import APIRouter, FastAPI

from mlops_assets.platform import Platform
from mlops_assets.serving import catalog, features, health, predict, push, reference, versions
from mlops_assets.serving.context import ServingContext
from mlops_assets.serving.limits import LimitedBody
from mlops_assets.serving.metrics import MetricsMiddleware
from mlops_assets.serving.pages import routes
from mlops_assets.serving.problems import add_problem_handlers
from mlops_assets.serving.settings import ServingSettings

ROUTERS: tuple[Callable[[ServingContext], APIRouter], ...] = (
    features.router,
    predict.router,
    health.router,
    catalog.router,
    push.router,
    versions.router,
    reference.router,
    routes.router,
)
"""What makes the routes, those asked most first; an area of the application adds its own."""


def create_app(platform: Platform, settings: ServingSettings) -> FastAPI:
    """Make the application.

    Args:
        platform: The project in its home.
        settings: Address and limits.
    """
    context = ServingContext(platform, settings, platform.tokens)

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        champions, log = context.champions, context.request_log
        await champions.look()
        following = [asyncio.create_task(one) for one in (champions.follow(), log.follow(settings.request_log_seconds))]
        try:
            yield
        finally:
            for task in following:
                task.cancel()
            champions.close()
            context.computing.shutdown(wait=False, cancel_futures=True)
            await log.close()

    app = FastAPI(
        title="mlops-assets",
        description="Features and predictions, in milliseconds. Every error is a problem document (RFC 9457).",
        version=version("mlops-assets"),
        docs_url=None,
        redoc_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
        lifespan=life,
    )
    app.state.context = context
    add_problem_handlers(app, settings.retry_seconds)
    for make in ROUTERS:
        app.router.routes.extend(make(context).routes)  # include_router looks a route up twice at each request
    reference.describe(app)
    app.add_middleware(LimitedBody, largest=settings.max_body_bytes)
    app.add_middleware(MetricsMiddleware, metrics=context.metrics)
    return app
