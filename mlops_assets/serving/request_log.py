"""The requests for predictions that are kept: sampled by their id, written in batches, never on a request's path."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Any

from mlops_assets.models.requests import append_requests
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ModelDefinition
from mlops_assets.serving.metrics import Metrics

MAX_ROWS_KEPT = 50_000
"""Of all models, in memory; what comes while so many wait to be written is dropped, and counted."""

_logger = logging.getLogger("mlops_assets.serving")


def is_sampled(request_id: str, share: float) -> bool:
    """Whether a request belongs to a share of all, by its id alone: the same in every server, and again."""
    return int.from_bytes(sha256(request_id.encode()).digest()[:8], "big") < share * 2**64


class RequestLog:
    """Takes what was asked and answered, and writes it when it is told to.

    Args:
        platform: The platform.
        metrics: The application's.
    """

    def __init__(self, platform: Platform, metrics: Metrics) -> None:
        self._platform = platform
        self._metrics = metrics
        self._rows: dict[str, list[Mapping[str, Any]]] = {}
        self._count = 0
        self._writing = ThreadPoolExecutor(1, "request-log")

    def keep(self, model: ModelDefinition, rows: Sequence[Mapping[str, Any]]) -> None:
        """Take the rows of a request, to be written soon; dropped where too many wait."""
        if self._count + len(rows) > MAX_ROWS_KEPT:
            self._metrics.logged(model.name, "dropped", len(rows))
            return
        self._rows.setdefault(model.name, []).extend(rows)
        self._count += len(rows)

    async def write(self) -> None:
        """Write what was taken so far."""
        taken, self._rows, self._count = self._rows, {}, 0
        if taken:
            await asyncio.get_running_loop().run_in_executor(self._writing, self._write, taken)

    def _write(self, taken: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        for name, rows in taken.items():
            try:
                append_requests(self._platform, self._platform.project.models[name], rows)
            except Exception:
                _logger.exception("%s rows of requests for %s were not written", len(rows), name)
                self._metrics.logged(name, "dropped", len(rows))
            else:
                self._metrics.logged(name, "written", len(rows))

    async def follow(self, seconds: float) -> None:
        """Write again and again, until it is cancelled."""
        while True:
            await asyncio.sleep(seconds)
            await self.write()

    async def close(self) -> None:
        """Write what is left, and let go of the thread."""
        await self.write()
        self._writing.shutdown(wait=False)
