"""Versions of models over HTTP: what each came from and how it was judged, and what people decide about it."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.concurrency import run_in_threadpool

from mlops_assets.client import Model
from mlops_assets.governance.access import Principal
from mlops_assets.models.approving import approve, reject
from mlops_assets.models.promotion import rollback
from mlops_assets.models.retirement import retire
from mlops_assets.models.shown import ShownVersion, shown_models, shown_versions
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ModelDefinition
from mlops_assets.serving.asked import json_of
from mlops_assets.serving.authorization import require
from mlops_assets.serving.context import ServingContext
from mlops_assets.serving.problems import ProblemError, found_by_pydantic
from mlops_assets.serving.reference import body_of
from mlops_assets.serving.values import to_json

Reader = Annotated[Principal, Depends(require("features:read"))]
Decide = Callable[[Platform, ModelDefinition, int, Principal, str], object]
_decider = require("models:approve")


class AskedDecision(BaseModel):
    """Why something is decided about a version."""

    model_config = ConfigDict(extra="forbid", strict=True)

    reason: str = Field(description="Why, in words; it is recorded, with who decided and when")


class AskedRollback(AskedDecision):
    """Which version serves again, and why."""

    to: int | None = Field(None, description="A version that served; by default the one before the champion")


Asked = TypeVar("Asked", bound=AskedDecision)

_DECISIONS: tuple[tuple[str, Decide, str, str], ...] = (
    (
        "approve",
        approve,
        "Approve a version",
        "It is the champion from now on, and this server follows within seconds. Of two decisions at the same time one "
        "wins; the other is answered with 409. Approved again, it is answered as before.",
    ),
    ("reject", reject, "Reject a version", "It waits no longer, until somebody approves it after all."),
    ("retire", retire, "Retire a version", "Nobody can promote it or roll back to it any more."),
)
_CONFLICT = {409: {"description": "Something else was decided at the same time"}}


def router(context: ServingContext) -> APIRouter:
    """``/v1/models`` and what is below it: reading for tokens with ``features:read``, else ``models:approve``."""
    routes = APIRouter(prefix="/v1/models", tags=["models"])
    platform = context.platform

    @routes.get("", summary="All models", response_model=list[Model])
    def all_models(principal: Reader) -> Response:
        """Each model with its champion, what competes with it, and what served before."""
        return _answer([asdict(model) for model in shown_models(platform)])

    @routes.get("/{model}/versions", summary="The versions of a model", response_model=list[ShownVersion])
    def all_versions(principal: Reader, model: str) -> Response:
        """In the order of numbers: what each came from, how it was judged, and who decided what about it, and why."""
        return _answer([asdict(version) for version in shown_versions(platform, context.champions.of(model).model)])

    @routes.get("/{model}/versions/{version}", summary="One version", response_model=ShownVersion)
    def one_version(principal: Reader, model: str, version: int) -> Response:
        """What it came from, how it was judged, and who decided what about it, and why."""
        return _shown(platform, context.champions.of(model).model, version)

    for name, decide, summary, description in _DECISIONS:
        routes.add_api_route(
            f"/{{model}}/versions/{{version}}/{name}", _deciding(context, decide), methods=["POST"], name=name,
            summary=summary, description=f"{description} Answers with the version as it is then.",
            response_model=ShownVersion, responses=_CONFLICT,  # type: ignore[arg-type]
            openapi_extra=body_of(AskedDecision, {"Why": {"reason": "better in every region"}}),
        )  # fmt: skip

    @routes.post(
        "/{model}/rollback", summary="Let a version serve again", response_model=ShownVersion,
        responses=_CONFLICT,  # type: ignore[arg-type]
        openapi_extra=body_of(AskedRollback, {
            "To the version before": {"reason": "wrong prices"},
            "To another that served": {"reason": "wrong prices", "to": 3},
        }),
    )  # fmt: skip
    async def roll_back(request: Request, model: str) -> Response:
        """From now on; past periods stay scored by the champion of their time. Answers with the version as it is then.

        Without ``to`` each call goes back by one more version: do not send it again because no answer came, look
        first.
        """
        principal = await _decider(request)
        definition = context.champions.of(model).model
        asked = await _read(request, AskedRollback)

        def decided() -> Response:
            done = rollback(platform, definition, principal, asked.reason, asked.to)
            return _shown(platform, definition, done.version)

        return await run_in_threadpool(decided)

    return routes


def _deciding(context: ServingContext, decide: Decide) -> Callable[..., Any]:
    """A route that decides about one version; in a thread, for MLflow and files take their time."""

    async def decision(request: Request, model: str, version: int) -> Response:
        principal = await _decider(request)
        platform, definition = context.platform, context.champions.of(model).model
        asked = await _read(request, AskedDecision)

        def decided() -> Response:
            decide(platform, definition, version, principal, asked.reason)
            return _shown(platform, definition, version)

        return await run_in_threadpool(decided)

    return decision


async def _read(request: Request, kind: type[Asked]) -> Asked:
    content = await json_of(request)
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        found = found_by_pydantic("", error.errors())
        raise ProblemError(422, found, "a body as /openapi.json describes it", "correct it") from None


def _shown(platform: Platform, model: ModelDefinition, version: int) -> Response:
    (found,) = shown_versions(platform, model, version)
    return _answer(asdict(found))


def _answer(content: dict[str, Any] | Sequence[dict[str, Any]]) -> Response:
    return Response(to_json(content), media_type="application/json")
