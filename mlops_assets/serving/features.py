"""Features over HTTP: of many keys and tables in one call, or of one key."""

from collections.abc import Collection, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.datastructures import QueryParams

from mlops_assets.errors import nearest
from mlops_assets.governance.access import Principal
from mlops_assets.project.definition import ProjectDefinition
from mlops_assets.serving.asked import Answer, AskedFeatures, Plan, Plans, json_of, require_members
from mlops_assets.serving.authorization import principal_of
from mlops_assets.serving.context import ServingContext
from mlops_assets.serving.looked_up import DirectRoute, found_as_json, looked_up
from mlops_assets.serving.problems import ProblemError
from mlops_assets.serving.reference import body_of
from mlops_assets.serving.values import NotOfTypeError, from_text, moment, to_json

if TYPE_CHECKING:
    from mlops_assets.features.online.reading import OnlineAnswer

_MEMBERS = tuple(AskedFeatures.model_fields)
_EXAMPLES = {
    "Two tables for two keys": {
        "rows": [{"shop": "s01", "product": 7}, {"shop": "s02", "product": 7}],
        "lookups": [
            {"table": "shop_trend", "features": ["level"], "lookback": "7 days", "default": {"level": 0.0}},
            {"table": "products", "features": ["price"], "rename": {"price": "list_price"}},
        ],
    },
    "The features of a model": {"rows": [{"shop": "s01", "basket": 31.5}], "model": "basket_forecast"},
}
_ANSWERED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "An answer for each row, in their order",
        "content": {
            "application/json": {
                "example": {
                    "now": "2024-01-31T08:00:00Z",
                    "masked": [],
                    "rows": [
                        {
                            "features": {"level": 4.2, "list_price": None},
                            "found": {
                                "shop_trend": {"event_time": "2024-01-30T00:00:00Z", "age_seconds": 115200.0},
                                "products": None,
                            },
                        }
                    ],
                }
            }
        },
    }
}


def router(context: ServingContext) -> APIRouter:
    """``POST /v1/features`` and ``GET /v1/features/{table}``, for tokens with ``features:read``."""
    routes = APIRouter(prefix="/v1/features", tags=["features"])
    plans = Plans(context)

    async def look_up(request: Request) -> Response:
        """Looks features up for each row as they are now, in the order of the rows.

        Several tables may be asked in one call; with ``model`` the answer holds all features of a model, those that
        are computed from the request among them.
        """
        now, principal = await _reader(context, request)
        asked = await json_of(request)
        require_members(asked, _MEMBERS)
        plan = plans.of_request(asked.get("lookups"), asked.get("model"))
        rows = plan.read(asked.get("rows"), context.settings.max_keys)
        return await _answered(context, request, now, principal, plan, rows)

    routes.add_api_route(
        "", look_up, methods=["POST"], summary="Features of one or many rows", response_model=Answer,
        responses=_ANSWERED, openapi_extra=body_of(AskedFeatures, _EXAMPLES), route_class_override=DirectRoute,
    )  # fmt: skip

    @routes.get("/{table}", summary="Features of one key", response_model=Answer, responses=_ANSWERED)
    async def look_up_one(request: Request, table: str) -> Response:
        """Looks one key up: each column of the key is a query parameter; ``columns`` names features, with commas."""
        now, principal = await _reader(context, request)
        plan, row = _of_address(context.platform.project, plans, table, request.query_params)
        return await _answered(context, request, now, principal, plan, [row])

    return routes


def _of_address(
    project: ProjectDefinition, plans: Plans, table: str, parameters: QueryParams
) -> tuple[Plan, dict[str, object]]:
    """What an address asks of a table, and the row that it asks for."""
    tables = (*project.sources, *project.feature_tables)
    if table not in tables:
        raise ProblemError(
            404, f"table '{table}'", f"one of: {', '.join(tables)}", nearest(table, tables, "correct the name")
        )
    keys = project.table(table).schema.keys
    taken = keys if "columns" in keys else (*keys, "columns")
    given = parameters.multi_items()
    for name in (name for name, _ in given if name not in taken):
        raise ProblemError(422, f"a parameter '{name}'", ", ".join(taken), nearest(name, taken, "leave it out"))
    values = dict(given)
    if len(values) < len(given):
        raise ProblemError(422, "a parameter twice", "each once", "ask for several keys with POST /v1/features")
    columns = values.get("columns") if "columns" not in keys else None
    plan = plans.of_table(table, None if columns is None else tuple(columns.split(",")))
    row: dict[str, object] = {}
    for name in keys:
        if name not in values:
            raise ProblemError(422, f"no parameter '{name}'", f"{', '.join(keys)}: the key", "add it")
        try:
            row[name] = from_text(plan.types[name], values[name])
        except NotOfTypeError as error:
            raise ProblemError(422, f"another value in '{name}'", str(error), "correct it") from None
    return plan, row


async def _reader(context: ServingContext, request: Request) -> tuple[datetime, Principal]:
    """The platform's now, and who asks."""
    now = context.platform.clock.now()
    principal = await principal_of(request, now)
    principal.require("features:read")
    return now, principal


async def _answered(
    context: ServingContext,
    request: Request,
    now: datetime,
    principal: Principal,
    plan: Plan,
    rows: Sequence[dict[str, object]],
) -> Response:
    masked, untimed = plan.hidden_from(principal)
    content = await looked_up(
        context, request, plan, rows, now, masked, partial(_rendered, context, now, masked, untimed)
    )
    return Response(content, media_type="application/json")


def _rendered(
    context: ServingContext,
    now: datetime,
    masked: Sequence[str],
    untimed: Collection[str],
    answers: "Sequence[OnlineAnswer]",
) -> bytes:
    hidden = dict.fromkeys(masked)
    rows = [
        {"features": {**answer.features, **hidden} if hidden else answer.features, "found": found}
        for answer, found in zip(answers, found_as_json(context.metrics, now, answers, untimed), strict=True)
    ]
    return to_json({"now": moment(now), "masked": list(masked), "rows": rows})
