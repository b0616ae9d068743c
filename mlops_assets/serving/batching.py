"""Predictions that are asked at the same time are made together: a fit takes as long for one row as for a hundred."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

from mlops_assets.models.loading import LoadedVersion
from mlops_assets.serving.problems import ProblemError

MAX_ROWS_TOGETHER = 1_000

LINGER_SECONDS = 0.001
"""After several were answered at once: they ask again at once, and would otherwise go on in two halves, in turn."""

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, eq=False, slots=True)
class Predicted:
    """What one request was answered.

    Args:
        by: The version that predicted all its rows.
        answers: For each of them, in their order.
    """

    by: LoadedVersion
    answers: Rows


@dataclass(frozen=True, eq=False, slots=True)
class _Waiting:
    rows: Rows
    answer: "asyncio.Future[Predicted]"


class Batches:
    """The requests for one model: what waits while it predicts is predicted together, next.

    Nothing waits while it is idle, but for one turn of the event loop that all of this belongs to; only predicting
    happens elsewhere.

    Args:
        serving: Gives the version that serves; asked once for each batch.
        executor: Where predicting happens, a batch of this model at a time.
        max_waiting: Rows that may wait; further requests are told to come back.
        retry_seconds: When.
        counted: Told of each batch by which version it was predicted, and how many rows it had.
    """

    def __init__(
        self,
        serving: Callable[[], LoadedVersion],
        executor: Executor,
        max_waiting: int,
        retry_seconds: int,
        counted: Callable[[LoadedVersion, int], None],
    ) -> None:
        self._serving = serving
        self._executor = executor
        self._max_waiting = max_waiting
        self._retry_seconds = retry_seconds
        self._counted = counted
        self._waiting: deque[_Waiting] = deque()
        self._rows_waiting = 0
        self._busy = False

    async def predict(self, rows: Rows) -> Predicted:
        """Predict the rows of one request, all by one version.

        Args:
            rows: The model's features by name, in their types; None is null.

        Raises:
            ProblemError: Too many rows wait.
            Exception: What the fit raised for these rows.
        """
        if self._rows_waiting and self._rows_waiting + len(rows) > self._max_waiting:
            raise ProblemError(
                503, f"{self._rows_waiting} rows that wait for their predictions", f"at most {self._max_waiting}",
                "come back later, or start another server beside this one",
                headers={"Retry-After": str(self._retry_seconds)},
            )  # fmt: skip
        loop = asyncio.get_running_loop()
        asked = _Waiting(rows, loop.create_future())
        self._waiting.append(asked)
        self._rows_waiting += len(rows)
        if not self._busy:
            self._busy = True
            loop.call_soon(self._gather, 0)
        return await asked.answer

    def _gather(self, seen: int) -> None:
        """Begin, once a turn of the event loop brought nothing new: those just answered ask again at once."""
        if seen < len(self._waiting) and self._rows_waiting < MAX_ROWS_TOGETHER:
            asyncio.get_running_loop().call_soon(self._gather, len(self._waiting))
        else:
            self._begin()

    def _begin(self) -> None:
        batch: list[_Waiting] = []
        together = 0
        while self._waiting and (not batch or together + len(self._waiting[0].rows) <= MAX_ROWS_TOGETHER):
            asked = self._waiting.popleft()
            self._rows_waiting -= len(asked.rows)
            if not asked.answer.done():  # who asked may be gone
                batch.append(asked)
                together += len(asked.rows)
        self._busy = bool(batch)
        if not batch:
            return
        by = self._serving()
        self._counted(by, together)
        parts = [asked.rows for asked in batch]
        predicting = asyncio.get_running_loop().run_in_executor(self._executor, _predicted, by, parts)
        predicting.add_done_callback(lambda done: self._end(by, batch, done))

    def _end(
        self, by: LoadedVersion, batch: Sequence[_Waiting], done: "asyncio.Future[Sequence[Rows | Exception]]"
    ) -> None:
        if done.cancelled():  # the server ends
            return
        for asked, answers in zip(batch, done.result(), strict=True):
            if asked.answer.done():
                continue
            if isinstance(answers, Exception):
                asked.answer.set_exception(answers)
            else:
                asked.answer.set_result(Predicted(by, answers))
        if len(batch) > 1 or self._waiting:
            asyncio.get_running_loop().call_later(LINGER_SECONDS, self._gather, 0)
        else:
            self._begin()


def _predicted(by: LoadedVersion, parts: Sequence[Rows]) -> Sequence[Rows | Exception]:
    """The answers to each of some requests, or what failed on its rows alone."""
    try:
        answers = by.predict(parts)
    except Exception as error:  # noqa: BLE001  # a user's estimator may raise anything, and it is raised where it belongs
        return [error] if len(parts) == 1 else [one for part in parts for one in _predicted(by, [part])]
    places = accumulate(map(len, parts), initial=0)
    return [answers[begin:end] for begin, end in pairwise(places)]
