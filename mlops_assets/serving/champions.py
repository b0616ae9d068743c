"""The versions that serve: loaded where somebody was promoted, and put in place of the one before in one assignment."""

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

from mlops_assets.errors import PlatformError, nearest
from mlops_assets.models.loading import LoadedVersion, load_version
from mlops_assets.models.records import TransitionRecord, present_champion
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ModelDefinition
from mlops_assets.serving.batching import Batches
from mlops_assets.serving.metrics import Metrics
from mlops_assets.serving.problems import ProblemError
from mlops_assets.serving.settings import ServingSettings

SECONDS_BETWEEN_LOOKS = 1.0
FIRST_PAUSE, MAX_PAUSE = 2.0, 60.0
"""How long a version that cannot be loaded is left alone, in seconds: longer each time, for what it needs may come."""

THREADS = 4
"""Of all models together, to predict; a model predicts in one at a time."""

_logger = logging.getLogger("mlops_assets.serving")


@dataclass(frozen=True)
class Failure:
    """A version that was promoted and cannot be loaded.

    Args:
        version: Which; None where not even that can be read.
        reason: Why.
        since: When it was first tried, on the monotonic clock.
        pause: Seconds from the last attempt to the next.
        next: When the next is due, on the monotonic clock.
    """

    version: int | None
    reason: str
    since: float
    pause: float
    next: float


class ServedModel:
    """One model: the version that serves, and what keeps another from it.

    Args:
        model: Its definition, as the server read it.
        platform: The platform.
        executor: Where it predicts.
        metrics: The application's.
        settings: Limits.
    """

    def __init__(
        self,
        model: ModelDefinition,
        platform: Platform,
        executor: ThreadPoolExecutor,
        metrics: Metrics,
        settings: ServingSettings,
    ) -> None:
        self.model = model
        self.current: LoadedVersion | None = None
        self.failure: Failure | None = None
        self.batches = Batches(
            self.require, executor, settings.max_waiting, settings.retry_seconds,
            lambda by, rows: metrics.predicted(model.name, by.version, rows),
        )  # fmt: skip
        metrics.model(model.name, lambda: self.current.version if self.current else 0, self.failing_seconds)
        self._platform = platform
        self._retry_seconds = settings.retry_seconds
        self._seen: int | None = None
        self._promoted: TransitionRecord | None = None

    def require(self) -> LoadedVersion:
        """The version that serves.

        Raises:
            ProblemError: 503, there is none (yet).
        """
        if self.current is not None:
            return self.current
        name, failure, promoted = self.model.name, self.failure, self._promoted
        if failure is not None:
            found, cure = f"{self._of(failure.version)}, which cannot be loaded", "see /readyz for the reason"
        elif promoted is not None:
            found, cure = f"{self._of(promoted.version)}, which is being loaded", "come back in some seconds"
        else:
            found, cure = f"no version of '{name}' that was promoted", "train and promote one, and come back"
        raise ProblemError(503, found, "a version that serves", cure, headers={"Retry-After": str(self._retry_seconds)})

    @property
    def loading(self) -> str | None:
        """The first version that is being loaded, in words; None where one serves, or none was promoted or loads."""
        if self.current is None and self.failure is None and self._promoted is not None:
            return f"{self._of(self._promoted.version)}, which is being loaded"
        return None

    @property
    def degraded(self) -> str | None:
        """What keeps the version that was promoted from serving, in words."""
        failure, current = self.failure, self.current
        if failure is None:
            return None
        serving = f"version {current.version} serves" if current else "none serves"
        return f"{self._of(failure.version)} cannot be loaded, and {serving}: {failure.reason}"

    def _of(self, version: int | None) -> str:
        return f"{'what was promoted' if version is None else f'version {version}'} of '{self.model.name}'"

    def look(self) -> bool:
        """See whether there is something to load: one or two looks at the file system, unless somebody was promoted."""
        delta = self._platform.records(self.model, "transition").delta
        try:
            if not delta.is_at(self._seen):
                seen = delta.version()
                self._promoted, self._seen, self.failure = present_champion(self._platform, self.model), seen, None
        except Exception as error:  # noqa: BLE001  # one model's records do not end the following of the others
            self._failed(None, error)
            return False
        promoted, current = self._promoted, self.current
        if promoted is None:
            return False
        if self.failure is not None:
            return time.monotonic() >= self.failure.next
        return current is None or (current.version, current.promoted_at) != (promoted.version, promoted.happened_at)

    def load(self) -> None:
        """Load the version that was promoted; where that fails, the one before goes on."""
        promoted, current = self._promoted, self.current
        assert promoted is not None
        try:
            if current is not None and current.version == promoted.version:
                self.current = replace(current, promoted_at=promoted.happened_at)
            else:
                self.current = load_version(self._platform, self.model, promoted)
        except Exception as error:  # noqa: BLE001  # whatever it is, the version before serves on, and health says so
            self._failed(promoted.version, error)
        else:
            self.failure = None

    def failing_seconds(self) -> float:
        """How long the version that was promoted could not be loaded; 0 where it was."""
        return time.monotonic() - self.failure.since if self.failure else 0.0

    def _failed(self, version: int | None, error: Exception) -> None:
        now, before = time.monotonic(), self.failure
        pause = min(2 * before.pause, MAX_PAUSE) if before else FIRST_PAUSE
        reason = str(error) if isinstance(error, PlatformError) else f"{type(error).__name__}: {error}"
        self.failure = Failure(version, reason, before.since if before else now, pause, now + pause)
        if before is None or before.reason != reason:
            _logger.error("%s", self.degraded, exc_info=error)


class Champions:
    """The versions that serve, of all models of an application.

    Args:
        platform: The platform.
        metrics: The application's.
        settings: Limits.
    """

    def __init__(self, platform: Platform, metrics: Metrics, settings: ServingSettings) -> None:
        self._predicting = ThreadPoolExecutor(THREADS, "predict")
        self._looking = ThreadPoolExecutor(THREADS, "load")
        self._models = {
            name: ServedModel(model, platform, self._predicting, metrics, settings)
            for name, model in platform.project.models.items()
        }
        self._loading: dict[ServedModel, asyncio.Future[None]] = {}

    def of(self, name: str) -> ServedModel:
        """A model of the project.

        Raises:
            ProblemError: 404, there is none of that name.
        """
        if name not in self._models:
            listed = ", ".join(self._models) or "none is declared"
            raise ProblemError(
                404, f"model '{name}'", f"one of: {listed}", nearest(name, self._models, "correct the name")
            )
        return self._models[name]

    @property
    def loading(self) -> list[str]:
        """What is being loaded where nothing serves yet, in words."""
        return [words for served in self._models.values() if (words := served.loading)]

    @property
    def degraded(self) -> list[str]:
        """What was promoted and cannot be loaded, in words."""
        return [words for served in self._models.values() if (words := served.degraded)]

    async def look(self) -> None:
        """See what was promoted, and begin to load it."""
        loop = asyncio.get_running_loop()
        idle = [served for served in self._models.values() if served not in self._loading]
        for changed in await loop.run_in_executor(self._looking, lambda: [one for one in idle if one.look()]):
            self._loading[changed] = loading = loop.run_in_executor(self._looking, changed.load)
            loading.add_done_callback(partial(self._loaded, changed))

    def _loaded(self, served: ServedModel, _: "asyncio.Future[None]") -> None:
        del self._loading[served]

    async def follow(self) -> None:
        """Look again and again, until it is cancelled."""
        while True:
            await asyncio.sleep(SECONDS_BETWEEN_LOOKS)
            await self.look()

    def close(self) -> None:
        """Begin nothing any more."""
        self._looking.shutdown(wait=False, cancel_futures=True)
        self._predicting.shutdown(wait=False, cancel_futures=True)
