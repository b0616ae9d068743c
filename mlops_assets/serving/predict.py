"""Predictions over HTTP: of keys, with features as known now, or of features that are given."""

import logging
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from mlops_assets.errors import PlatformError, nearest
from mlops_assets.features.unknown_keys import require_answered
from mlops_assets.governance.access import Principal
from mlops_assets.lakehouse.schema import Column
from mlops_assets.project.definition import ModelDefinition
from mlops_assets.serving.asked import AnsweredRow, Plans, json_of, require_members, typed
from mlops_assets.serving.authorization import principal_of
from mlops_assets.serving.batching import Predicted
from mlops_assets.serving.champions import ServedModel
from mlops_assets.serving.context import ServingContext
from mlops_assets.serving.explain import DESCRIBED, AnsweredContributions, Explanations, is_asked
from mlops_assets.serving.looked_up import DirectRoute, found_as_json, looked_up
from mlops_assets.serving.problems import ProblemError
from mlops_assets.serving.reference import body_of
from mlops_assets.serving.request_log import is_sampled
from mlops_assets.serving.values import moment, reader_of, to_json

if TYPE_CHECKING:
    from mlops_assets.features.online.reading import OnlineAnswer

MAX_REQUEST_ID_LENGTH = 200

_logger = logging.getLogger("mlops_assets.serving")


class AskedPredictions(BaseModel):
    """What to predict for: keys, or features; one of the two."""

    model_config = ConfigDict(extra="forbid", strict=True)

    rows: list[dict[str, Any]] | None = Field(
        None, description="Keys, and values that come with a request, whose features are looked up as known now"
    )
    features: list[dict[str, Any]] | None = Field(
        None, description="Or every feature of the model by name, as it is; null where it is missing"
    )


class AnsweredPrediction(BaseModel):
    """The answer to one row."""

    prediction: float | bool | str | None = Field(
        description="A number; or the likelier class. Null for a key that nothing is known of, unless the model says so"
    )
    probability: float | None = Field(None, description="Of true, where the model says whether something is so")
    probabilities: dict[str, float] | None = Field(None, description="By class, where there are several")
    lower: float | None = Field(None, description="Lower end of the interval around a number, where the model has them")
    upper: float | None = Field(None, description="Upper end of it")
    found: dict[str, AnsweredRow | None] = Field(
        description="By table what answered; null where nothing did, empty where features were given"
    )
    contributions: AnsweredContributions | None = Field(None, description="With explain=1; null as the prediction is")


class AnsweredPredictions(BaseModel):
    """The answer to a request, all by one version."""

    request_id: str = Field(description="That of the header X-Request-ID, or a new one")
    now: str = Field(description="The platform's clock, UTC")
    model: str = Field(description="The model")
    version: int = Field(description="The version that predicted")
    promoted_at: str = Field(description="When it was promoted, UTC")
    rows: list[AnsweredPrediction] = Field(description="One for each row asked, in their order")


_MEMBERS = tuple(AskedPredictions.model_fields)
_EXAMPLES = {
    "By key, with features as known now": {"rows": [{"shop": "s01", "basket": 31.5}, {"shop": "s02", "basket": 8.0}]},
    "With features that are given": {"features": [{"level": 4.2, "region": "north", "basket": None}]},
}
_ANSWERED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A prediction for each row, in their order",
        "content": {
            "application/json": {
                "example": {
                    "request_id": "5d41402abc4b2a76b9719d911017c592",
                    "now": "2024-01-31T08:00:00Z",
                    "model": "basket_forecast",
                    "version": 3,
                    "promoted_at": "2024-01-15T06:00:00Z",
                    "rows": [
                        {
                            "prediction": 0.12,
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
    """``POST /v1/models/{model}/predict``, for tokens with ``predict``."""
    routes = APIRouter(prefix="/v1/models", tags=["models"])
    plans = Plans(context)
    signatures: dict[str, GivenFeatures] = {}
    explanations = Explanations(context)

    async def predict(request: Request, model: str) -> Response:
        """Predicts for each row, in their order, with the version that was promoted last.

        By key, features are looked up as they are known now, those computed from the request among them. Features
        that are given are checked against the model's signature. The answer never holds the values of features. With
        explain=1 it tells what each contributes, for so many rows at once as the server's settings allow.
        """
        now = context.platform.clock.now()
        principal = await principal_of(request, now)
        principal.require("predict")
        served = context.champions.of(model)
        request_id, explains = _request_id(request), is_asked(request)
        content = await json_of(request)
        kind = _kind(content)
        served.require()
        asked: Sequence[dict[str, Any]] = ()
        found: Sequence[OnlineAnswer] = ()
        masked: Sequence[str] = ()
        untimed: Collection[str] = ()
        if kind == "rows":
            plan = plans.of_model(served.model)
            asked = plan.read(content["rows"], context.settings.max_keys)
            masked, untimed = plan.hidden_from(principal)
            found = await looked_up(context, request, plan, asked, now, masked, lambda answers: answers)
            _require_known(served.model, found)
            features: Sequence[Mapping[str, Any]] = [answer.features for answer in found]
        else:
            signature = signatures.get(model) or signatures.setdefault(model, GivenFeatures(served.model))
            features = signature.read(content["features"], context.settings.max_keys)
        if explains:
            explanations.require_few(features)
        predicted = await _predicted(served, features)
        predicted = replace(predicted, answers=_of_known_keys(predicted.answers, found))
        if is_sampled(request_id, served.model.request_log.log_share):
            _keep(context, served, principal, request_id, now, asked, features, found, predicted)
        made_of = await explanations.of(predicted.by, features, masked) if explains else []
        return _answer(context, served.model, request_id, now, found, untimed, predicted, made_of)

    routes.add_api_route(
        "/{model}/predict", predict, methods=["POST"], summary="Predictions of one or many rows",
        response_model=AnsweredPredictions, responses=_ANSWERED,
        openapi_extra={**body_of(AskedPredictions, _EXAMPLES), "parameters": [DESCRIBED]},
        route_class_override=DirectRoute,
    )  # fmt: skip
    return routes


class GivenFeatures:
    """What a model's features must be, where they are given.

    Args:
        model: The model.
    """

    def __init__(self, model: ModelDefinition) -> None:
        self._model = model.name
        self._columns: Mapping[str, Column] = {column.name: column for column in model.features}
        self._readers = [(column.name, reader_of(column.type)) for column in model.features]

    def read(self, rows: Any, most: int) -> list[dict[str, object]]:
        """The rows of a request, typed.

        Raises:
            ProblemError: They are no rows, too many, lack a feature, hold something else, or a value is not of its
                type.
        """
        if not isinstance(rows, list):
            raise ProblemError(422, "features that are no list", "a list of objects, one for each row", "correct it")
        if len(rows) > most:
            raise ProblemError(422, f"{len(rows)} rows", f"at most {most}", "send them in several requests")
        return [self._row(f"features[{number}]", row) for number, row in enumerate(rows)]

    def _row(self, where: str, row: Any) -> dict[str, object]:
        if not isinstance(row, dict):
            raise ProblemError(422, f"{where}, which is no object", "every feature by its name", "correct it")
        listed = ", ".join(self._columns)
        for name in row:
            if name not in self._columns:
                raise ProblemError(
                    422, f"{where} with '{name}', which is no feature of '{self._model}'", f"one of: {listed}",
                    nearest(name, self._columns, "leave it out"),
                )  # fmt: skip
        read: dict[str, object] = {}
        for name, reader in self._readers:
            if name not in row:
                raise ProblemError(422, f"{where} without '{name}'", f"each of: {listed}", "add it; null if missing")
            read[name] = typed(reader, row[name], where, name)
        return read


async def _predicted(served: ServedModel, features: Sequence[Mapping[str, Any]]) -> Predicted:
    """Predict.

    Raises:
        ProblemError: Too many rows wait, or the estimator fails on these rows, which others are predicted without.
    """
    try:
        return await served.batches.predict(features)
    except (HTTPException, PlatformError):
        raise
    except Exception as error:
        version, model = served.require().version, served.model.name
        _logger.warning("version %s of '%s' fails on rows of a request", version, model, exc_info=error)
        raise ProblemError(
            422, f"features on which the estimator of version {version} of '{model}' fails ({type(error).__name__})",
            "values that it takes", "correct the request; if it is right, the log of the server says what failed",
        ) from None  # fmt: skip


def _kind(content: Mapping[str, Any]) -> str:
    """Whether a request has ``rows`` or ``features``."""
    require_members(content, _MEMBERS)
    given = [name for name in _MEMBERS if content.get(name) is not None]
    if len(given) != 1:
        raise ProblemError(
            422, f"{'both' if given else 'neither'} rows and features", "one of the two",
            "send rows to have features looked up, or features to give them",
        )  # fmt: skip
    return given[0]


def _request_id(request: Request) -> str:
    given = request.headers.get("x-request-id")
    if given is None:
        return uuid.uuid4().hex
    if not given or len(given) > MAX_REQUEST_ID_LENGTH or not (given.isascii() and given.isprintable()):
        raise ProblemError(
            400, "a header X-Request-ID that is empty, too long or not of plain characters",
            f"up to {MAX_REQUEST_ID_LENGTH} printable ASCII characters", "correct it, or leave it out",
        )  # fmt: skip
    return given


def _require_known(model: ModelDefinition, found: "Sequence[OnlineAnswer]") -> None:
    unknown = [number for number, answer in enumerate(found) if not answer.known]
    if unknown:
        require_answered(model, f"rows[{unknown[0]}]" + (f" and {len(unknown) - 1} more" if unknown[1:] else ""))


def _of_known_keys(
    answers: Sequence[Mapping[str, Any]], found: "Sequence[OnlineAnswer]"
) -> Sequence[Mapping[str, Any]]:
    """Predictions with null in place of those for keys that nothing is known of; all, where features were given."""
    if all(of.known for of in found):
        return answers
    return [answer if of.known else dict.fromkeys(answer) for answer, of in zip(answers, found, strict=True)]


def _answer(
    context: ServingContext,
    model: ModelDefinition,
    request_id: str,
    now: datetime,
    found: "Sequence[OnlineAnswer]",
    untimed: Collection[str],
    predicted: Predicted,
    made_of: Sequence[Mapping[str, Any]],
) -> Response:
    tables = found_as_json(context.metrics, now, found, untimed) if found else [{} for _ in predicted.answers]
    rows: list[dict[str, Any]] = [
        {**as_answered(answer), "found": of} for answer, of in zip(predicted.answers, tables, strict=True)
    ]
    for row, contributed in zip(rows, made_of, strict=False):
        row["contributions"] = None if row["prediction"] is None else contributed
    answered = {
        "request_id": request_id, "now": moment(now), "model": model.name, "version": predicted.by.version,
        "promoted_at": moment(predicted.by.promoted_at), "rows": rows,
    }  # fmt: skip
    return Response(to_json(answered), media_type="application/json")


def as_answered(stored: Mapping[str, Any]) -> Mapping[str, Any]:
    """A prediction as it is answered, from its columns as they are stored."""
    prefix = "probability_"
    if not any(name.startswith(prefix) for name in stored):
        return stored
    if stored["prediction"] is None:
        return {"prediction": None, "probabilities": None}
    probabilities = {name.removeprefix(prefix): value for name, value in stored.items() if name.startswith(prefix)}
    return {"prediction": stored["prediction"], "probabilities": probabilities}


def _keep(
    context: ServingContext,
    served: ServedModel,
    principal: Principal,
    request_id: str,
    now: datetime,
    asked: Sequence[Mapping[str, Any]],
    features: Sequence[Mapping[str, Any]],
    found: "Sequence[OnlineAnswer]",
    predicted: Predicted,
) -> None:
    """Take a request into the log, as far as a row of `Platform.requests` holds it."""
    model = served.model
    known = (*model.schema.keys, *(column.name for column in model.looked_up_by))
    head = {"request_id": request_id, "asked_at": now, "asked_by": principal.name, "version": predicted.by.version}
    rows = []
    for number, (answer, values) in enumerate(zip(predicted.answers, features, strict=True)):
        keys = {name: asked[number].get(name) for name in known} if asked else {}
        of = found[number].found if found else {}
        times = {f"found_{table}": row.event_time if row else None for table, row in of.items()}
        rows.append({**head, "request_row": number, **keys, **values, **answer, **times})
    context.request_log.keep(model, rows)
