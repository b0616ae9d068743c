"""Requests that are predicted together: each gets its own rows, and no other's fault."""

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest

from mlops_assets.models.loading import LoadedVersion
from mlops_assets.serving.batching import Batches, Predicted
from mlops_assets.serving.problems import ProblemError

Parts = Sequence[Sequence[Mapping[str, Any]]]


class Doubling:
    """A version that predicts twice a number, and cannot predict of some; it waits to be let go on."""

    def __init__(self) -> None:
        self.together: list[int] = []
        self.begun = threading.Semaphore(0)
        self.go_on = threading.Event()

    def predict(self, parts: Parts) -> list[dict[str, Any]]:
        self.together.append(sum(map(len, parts)))
        self.begun.release()
        self.go_on.wait(20)
        rows = [row for part in parts for row in part]
        if any(row["number"] < 0 for row in rows):
            raise ValueError("a number below zero")
        return [{"prediction": 2 * row["number"]} for row in rows]


def run(max_waiting: int, asking: "Callable[[Doubling, Batches], Any]") -> Any:
    async def inside() -> Any:
        doubling = Doubling()
        with ThreadPoolExecutor(1) as executor:
            batches = Batches(lambda: cast(LoadedVersion, doubling), executor, max_waiting, 1, lambda *_: None)
            try:
                return await asking(doubling, batches)
            finally:
                doubling.go_on.set()

    return asyncio.run(inside())


def rows(*numbers: int) -> list[dict[str, Any]]:
    return [{"number": number} for number in numbers]


def values(predicted: Predicted) -> list[int]:
    return [answer["prediction"] for answer in predicted.answers]


async def busy(doubling: Doubling, batches: Batches) -> "asyncio.Task[Predicted]":
    """A request that is being predicted."""
    first = asyncio.create_task(batches.predict(rows(1)))
    await asyncio.to_thread(doubling.begun.acquire)
    return first


def test_what_waits_while_it_predicts_is_predicted_together_and_each_gets_its_own() -> None:
    async def asking(doubling: Doubling, batches: Batches) -> None:
        first = await busy(doubling, batches)
        others = [asyncio.create_task(batches.predict(rows(number, number + 1))) for number in range(10)]
        await asyncio.sleep(0)
        doubling.go_on.set()
        assert values(await first) == [2]
        for number, other in enumerate(others):
            assert values(await other) == [2 * number, 2 * number + 2]
        assert doubling.together == [1, 20]

    run(1_000, asking)


def test_one_that_cannot_be_predicted_fails_alone() -> None:
    async def asking(doubling: Doubling, batches: Batches) -> None:
        first = await busy(doubling, batches)
        others = [asyncio.create_task(batches.predict(rows(number))) for number in (2, -1, 3)]
        await asyncio.sleep(0)
        doubling.go_on.set()
        done = await asyncio.gather(first, *others, return_exceptions=True)
        assert isinstance(done[2], ValueError)
        assert [values(done[place]) for place in (0, 1, 3)] == [[2], [4], [6]]  # type: ignore[arg-type]
        assert values(await batches.predict(rows(5))) == [10], "it goes on"

    run(1_000, asking)


def test_a_caller_that_is_gone_is_passed_over() -> None:
    async def asking(doubling: Doubling, batches: Batches) -> None:
        first = await busy(doubling, batches)
        gone, stays = (asyncio.create_task(batches.predict(rows(number))) for number in (2, 3))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        doubling.go_on.set()
        assert (values(await first), values(await stays)) == ([2], [6])
        assert doubling.together == [1, 1]

    run(1_000, asking)


def test_more_rows_than_may_wait_are_told_to_come_back_and_one_large_request_is_taken() -> None:
    async def asking(doubling: Doubling, batches: Batches) -> None:
        first = await busy(doubling, batches)
        large = asyncio.create_task(batches.predict(rows(*range(9))))
        await asyncio.sleep(0)
        with pytest.raises(ProblemError) as refused:
            await batches.predict(rows(1))
        assert (refused.value.status_code, refused.value.headers) == (503, {"Retry-After": "1"})
        assert refused.value.found == "9 rows that wait for their predictions"
        doubling.go_on.set()
        assert len(values(await large)) == 9
        assert values(await first) == [2]
        assert values(await batches.predict(rows(1))) == [2]

    run(5, asking)
