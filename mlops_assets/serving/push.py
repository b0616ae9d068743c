"""Rows over HTTP into a source: kept once they are answered, however often they are sent."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from mlops_assets.errors import nearest
from mlops_assets.serving.asked import json_of
from mlops_assets.serving.authorization import require
from mlops_assets.serving.context import ServingContext
from mlops_assets.serving.problems import ProblemError
from mlops_assets.serving.reference import body_of
from mlops_assets.sources.pushed import MAX_KEY_LENGTH, accept

_pusher = require("sources:push")


class PushedRows(BaseModel):
    """A batch of rows for one source."""

    model_config = ConfigDict(extra="forbid")

    rows: list[dict[str, Any]] = Field(min_length=1, description="Objects that name every column of the source.")


class AcceptedRows(BaseModel):
    """What was accepted: on the disk, and in the lakehouse within a minute or so."""

    source: str = Field(description="The source.")
    rows: int = Field(description="How many rows the batch has.")
    periods: list[str] = Field(description="The periods that its rows lie in.")
    repeated: bool = Field(description="Whether it had been accepted before, under the same key.")


_EXAMPLES = {"A sale": {"rows": [{"shop": "s01", "day": "2024-01-31T08:00:00Z", "units": 3}]}}


def router(context: ServingContext) -> APIRouter:
    """``POST /v1/sources/{source}/rows``, for tokens with ``sources:push``."""
    routes = APIRouter(prefix="/v1/sources", tags=["sources"])

    @routes.post(
        "/{source}/rows", summary="Push rows into a source", status_code=202, response_model=AcceptedRows,
        openapi_extra=body_of(PushedRows, _EXAMPLES),
    )  # fmt: skip
    async def push(
        request: Request,
        source: str,
        idempotency_key: Annotated[
            str,
            Header(
                max_length=MAX_KEY_LENGTH, description="Names the batch: a new one for each, the same to send it again."
            ),
        ] = "",
    ) -> AcceptedRows:
        """Takes a batch whole or refuses it whole, with the row and the column of its first fault.

        Once it is answered the rows survive whatever happens to the server. Sent again under its key, a batch is
        answered as before and counts once; other rows under the same key are refused.
        """
        await _pusher(request)
        platform = context.platform
        sources = platform.project.sources
        if source not in sources:
            pushed = [name for name, definition in sources.items() if definition.pushed]
            raise ProblemError(
                404,
                f"no source '{source}'",
                f"one of: {', '.join(pushed) or 'none is pushed'}",
                nearest(source, pushed, "correct the name"),
            )
        if not idempotency_key:
            raise ProblemError(
                400,
                "a batch without the header Idempotency-Key",
                "a key that names the batch, so that it counts once however often it is sent",
                "send a new random key with each batch, such as a UUID, and the same one to send it again",
            )
        content = await json_of(request)
        rows = content.get("rows")
        if content.keys() != {"rows"} or not isinstance(rows, list):
            raise ProblemError(
                422, "a body that is no batch", 'an object with the rows alone: {"rows": […]}', "correct the body"
            )
        now = platform.clock.note()
        done = await run_in_threadpool(accept, platform, sources[source], rows, idempotency_key, now)
        return AcceptedRows(source=source, rows=done.rows, periods=list(done.periods), repeated=done.repeated)

    return routes
