"""The description of all routes: ``/openapi.json`` for programs, and ``/docs`` for people, without scripts."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.utils import get_openapi
from fastapi.responses import Response

from mlops_assets.serving.context import ServingContext
from mlops_assets.serving.pages.rendering import Frame, render
from mlops_assets.serving.pages.routes import page
from mlops_assets.serving.problems import KINDS, MEDIA_TYPE, ProblemError

_OPEN = ("/healthz", "/readyz", "/metrics")
_PROBLEM = {
    "type": "object",
    "description": "A problem document (RFC 9457)",
    "properties": {
        "type": {"type": "string", "description": "Its kind, as an address relative to the server's"},
        "title": {"type": "string", "description": "The kind in words"},
        "status": {"type": "integer", "description": "The HTTP status"},
        "detail": {"type": "string", "description": "Found, expected and cure in one text"},
        "instance": {"type": "string", "description": "The path that was asked; of a failure its place in the log"},
        "found": {"type": "string", "description": "What is there"},
        "expected": {"type": "string", "description": "What should be there"},
        "cure": {"type": "string", "description": "What the caller can do"},
    },
    "required": ["type", "title", "status", "detail", "found", "expected", "cure"],
}


def describe(app: FastAPI) -> None:
    """Let ``/openapi.json`` say also what every route has in common: the token, and the problems."""

    @cache
    def openapi() -> dict[str, Any]:
        schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        components = schema.setdefault("components", {})
        components["securitySchemes"] = {
            "token": {"type": "http", "scheme": "bearer", "description": "Made with `mlops-assets tokens create`"}
        }
        schemas = components.setdefault("schemas", {})
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)  # every error is a problem document
        schemas["Problem"] = _PROBLEM
        for answered in schemas.values():
            _describe_members(answered)
        for path, operations in schema["paths"].items():
            for operation in operations.values():
                schemas.update(operation.pop("x-schemas", {}))
                _describe_problems(operation, path)
        return schema

    app.openapi = openapi  # type: ignore[method-assign]


def _describe_members(schema: dict[str, Any]) -> None:
    """Let the members of a domain's dataclass be described one by one, as its docstring does."""
    schema["description"], _, listed = schema["description"].partition("\n\nArgs:\n")
    for name, words in re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", listed, re.MULTILINE):
        schema["properties"][name]["description"] = " ".join(words.split()).replace("``", "`")


def _describe_problems(operation: dict[str, Any], path: str) -> None:
    if path not in _OPEN:
        operation["security"] = [{"token": []}]
    statuses = {404, 413, 500, *((503,) if path != "/healthz" else ()), *((401, 403, 422) if path not in _OPEN else ())}
    if "requestBody" in operation:
        statuses |= {400, 415}
    for status in sorted(statuses):
        operation["responses"][str(status)] = {
            "description": KINDS[status][1],
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }


def body_of(model: type[Any], examples: Mapping[str, object]) -> dict[str, Any]:
    """What a route that reads its JSON body itself says of it: ``openapi_extra=body_of(…)``.

    Args:
        model: The pydantic model of the body.
        examples: Bodies by what they show.
    """
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    others = schema.pop("$defs", {})
    return {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"$ref": f"#/components/schemas/{model.__name__}"},
                    "examples": {name: {"value": value} for name, value in examples.items()},
                }
            },
        },
        "x-schemas": {model.__name__: schema, **others},
    }


def router(context: ServingContext) -> APIRouter:
    """``/docs``, and ``/problems/KIND`` to which the ``type`` of a problem document leads."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/docs")
    async def reference(request: Request) -> Response:
        return page(render("reference", Frame(None), schema=request.app.openapi()))

    @routes.get("/problems/{kind}")
    async def kind_of_problem(kind: str) -> Response:
        for status, (name, title) in KINDS.items():
            if name == kind:
                return Response(f"{status} {title}.\n", media_type="text/plain; charset=utf-8")
        known = ", ".join(name for name, _ in KINDS.values())
        raise ProblemError(404, f"a kind of problem '{kind}'", f"one of: {known}", "correct the path")

    return routes
