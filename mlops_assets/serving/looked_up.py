"""What routes that look features up have in common: where it is done, what is said of it, and the way to them."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from fastapi import Request
from fastapi.responses import Response
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from mlops_assets.engines.limits import GivenUpError, Work
from mlops_assets.errors import ContractError, MissingDataError
from mlops_assets.serving.asked import Plan
from mlops_assets.serving.context import ServingContext
from mlops_assets.serving.metrics import Metrics
from mlops_assets.serving.problems import ProblemError
from mlops_assets.serving.values import moment

if TYPE_CHECKING:
    from mlops_assets.features.online.reading import OnlineAnswer

_MAX_ROWS_IN_LOOP = 20
"""So many rows are read from a local store in less time than it takes to hand them to a thread and back."""

_SECONDS_TO_END = 5
"""For work whose time is over to say so itself."""

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
    request: Request,
    plan: Plan,
    rows: Sequence[dict[str, object]],
    now: datetime,
    masked: Sequence[str],
    then: "Callable[[Sequence[OnlineAnswer]], Content]",
) -> Content:
    """What is made of the features of rows; in a thread, where that takes long.

    Args:
        context: The application's.
        request: Whose rows; what is computed is given up once nobody waits for it.
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
        if plan.computes:
            return await _computed(context, request, lambda: then(plan.answer(rows, now)))
        if context.online.remote or len(rows) > _MAX_ROWS_IN_LOOP:
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


async def _computed(context: ServingContext, request: Request, answer: Callable[[], Content]) -> Content:
    """What the engine computes for a request, apart from the threads that everything else is done in.

    Raises:
        ProblemError: Its time was over before it was begun, or nobody waits for it any more.
    """
    seconds = context.platform.project.engine.request.seconds
    work, loop = Work(seconds), asyncio.get_running_loop()

    def done() -> Content:
        with work.done_here():
            return answer()

    computing = loop.run_in_executor(context.computing, done)
    gone = loop.create_task(_gone(request))
    either: set[asyncio.Future[Any]] = {computing, gone}
    try:
        await asyncio.wait(either, timeout=seconds + _SECONDS_TO_END, return_when=asyncio.FIRST_COMPLETED)
        if computing.done():
            return computing.result()
        raise GivenUpError
    except GivenUpError:
        raise ProblemError(
            503, f"other requests that compute features, which took all of the {seconds} s that this one may take",
            "an engine that has time", "come back later, or start another server beside this one",
            headers={"Retry-After": str(context.settings.retry_seconds)},
        ) from None  # fmt: skip
    finally:
        gone.cancel()
        if not computing.done():
            work.give_up()
            computing.cancel()


async def _gone(request: Request) -> None:
    """Wait until who asks has closed the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


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
