"""What routes that look features up have in common: where it is done, what is said of it, and the way to them."""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from fastapi import Request
from fastapi.responses import Response
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from mlops_assets.errors import ContractError, MissingDataError
from mlops_assets.serving.asked import Plan
from mlops_assets.serving.context import ServingContext
from mlops_assets.serving.metrics import Metrics
from mlops_assets.serving.problems import ProblemError
from mlops_assets.serving.values import moment

if TYPE_CHECKING:
    from mlops_assets.features.online.reading import OnlineAnswer

_MOST_ROWS_IN_LOOP = 20
"""So many rows are read from a local store in less time than it takes to hand them to a thread and back."""

Content = TypeVar("Content")


class DirectRoute(APIRoute):
    """A route whose endpoint takes the request itself: what FastAPI does for others costs more than the answer."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with what the endpoint gives."""
        if scope["method"] not in (self.methods or ()):
            await super().handle(scope, receive, send)
            return
        response: Response = await self.endpoint(Request(scope, receive, send), **scope["path_params"])
        await response(scope, receive, send)


async def looked_up(
    context: ServingContext,
    plan: Plan,
    rows: Sequence[dict[str, object]],
    now: datetime,
    masked: Sequence[str],
    then: "Callable[[Sequence[OnlineAnswer]], Content]",
) -> Content:
    """What is made of the features of rows; in a thread, where that takes long.

    Args:
        context: The application's.
        plan: What is looked up.
        rows: As the plan read them.
        now: The platform's moment.
        masked: Names of the features that who asks must not see.
        then: Makes the answer.

    Raises:
        ProblemError: Something is not published, or a feature cannot be computed that who asks must not see.
        PlatformError: As `mlops_assets.features.online.reading.OnlineFeatures.of_model`.
    """
    try:
        if plan.computes or context.online.remote or len(rows) > _MOST_ROWS_IN_LOOP:
            return await run_in_threadpool(lambda: then(plan.answer(rows, now)))
        return then(plan.answer(rows, now))
    except MissingDataError as error:
        raise ProblemError(
            503, error.found, error.expected, error.cure, headers={"Retry-After": str(context.settings.retry_seconds)}
        ) from None
    except ContractError as error:
        if not masked:
            raise
        raise ProblemError(  # an engine's words may hold a value that is masked
            422, "a feature that cannot be computed", "values that its expression takes",
            "correct the request, or ask with a token that may read personal columns",
        ) from error  # fmt: skip


def found_as_json(
    metrics: Metrics, now: datetime, answers: "Sequence[OnlineAnswer]", untimed: Collection[str] = ()
) -> list[dict[str, Any]]:
    """By table which row answered, and how old it is, for each answer; counted in the metrics.

    Of the tables ``untimed`` it is told only that a row answered, as of static ones.
    """
    ages: dict[str, list[float | None]] = {}
    missing: dict[str, int] = {}
    rows: list[dict[str, Any]] = []
    for answer in answers:
        found: dict[str, Any] = {}
        for table, row in answer.found.items():
            of_table = ages.setdefault(table, [])
            if row is None:
                found[table] = None
                missing[table] = missing.get(table, 0) + 1
            elif (event_time := row.event_time) is None:
                found[table] = {"event_time": None, "age_seconds": None}
                of_table.append(None)
            else:
                age = (now - event_time).total_seconds()
                known = table not in untimed
                found[table] = {
                    "event_time": moment(event_time) if known else None,
                    "age_seconds": age if known else None,
                }
                of_table.append(age)
        rows.append(found)
    for table, seen in ages.items():
        metrics.features(table, seen, missing.get(table, 0))
    return rows
