"""The catalog over HTTP: search, and one table with its statistics, masked by who asks."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from mlops_assets.features.catalog.duplicates import repeats_of
from mlops_assets.features.catalog.shown import found_as_json, table_as_json
from mlops_assets.features.catalog.statistics import table_statistics
from mlops_assets.governance.access import Principal
from mlops_assets.serving.authorization import require
from mlops_assets.serving.context import ServingContext
from mlops_assets.serving.problems import ProblemError

MAX_HITS = 200

Reader = Annotated[Principal, Depends(require("features:read"))]


def router(context: ServingContext) -> APIRouter:
    """The routes of the catalog."""
    routes = APIRouter(prefix="/v1/catalog", tags=["catalog"])

    @routes.get("/search", summary="Find tables, columns and models")
    def search(
        principal: Reader,
        text: Annotated[str, Query(description="Words of names, descriptions, tags and owners; none lists all.")] = "",
        owner: Annotated[str | None, Query(description="Only what this owner answers for.")] = None,
        sensitivity: Annotated[str | None, Query(description="public, internal or personal.")] = None,
        freshness: Annotated[str | None, Query(description="fresh, late or never.")] = None,
        model: Annotated[str | None, Query(description="Only what this model uses.")] = None,
        limit: Annotated[int, Query(ge=0, le=MAX_HITS, description="How many hits to give.")] = 50,
        offset: Annotated[int, Query(ge=0, description="How many of the best to leave out.")] = 0,
    ) -> dict[str, Any]:
        """Hits, the best first, with the number of all of them and what they have in common (facets)."""
        found = context.discovery.index().search(
            text,
            owner=owner,
            sensitivity=sensitivity,
            freshness=freshness,
            model=model,
            limit=limit,
            offset=offset,
        )
        return found_as_json(found, context.discovery.catalog, context.discovery.freshness())

    @routes.get("/tables/{table}", summary="One table")
    def one_table(principal: Reader, table: str) -> dict[str, Any]:
        """Columns with their origin and statistics, sample values, freshness, and lines to paste into a model.

        Values of personal columns are null without the scope features:read_personal, and listed under ``masked``.
        """
        tables = context.discovery.catalog.tables
        if table not in tables:
            raise ProblemError(
                404,
                f"no table '{table}'",
                "a source or feature table of the project",
                "look it up in /v1/catalog/search",
            )
        project = context.platform.project
        statistics, repeats = table_statistics(context.platform, table), repeats_of(project, table)
        return table_as_json(tables[table], statistics, repeats, project.table(table).schema, principal)

    return routes
