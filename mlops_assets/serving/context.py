"""What every route is given: the platform, the online store, tokens, settings and metrics of one application."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from mlops_assets.governance.tokens import TokenStore
from mlops_assets.platform import Platform
from mlops_assets.serving.metrics import Metrics
from mlops_assets.serving.settings import ServingSettings

if TYPE_CHECKING:
    from mlops_assets.features.catalog.current import CurrentCatalog
    from mlops_assets.features.online.reading import OnlineFeatures
    from mlops_assets.serving.champions import Champions
    from mlops_assets.serving.request_log import RequestLog


@dataclass
class ServingContext:
    """What the routes of one application share; a route finds it in ``request.app.state.context``.

    Args:
        platform: The project in its home.
        settings: Address and limits.
        tokens: The tokens of the home.
        metrics: The application's own.
    """

    platform: Platform
    settings: ServingSettings
    tokens: TokenStore
    metrics: Metrics = field(default_factory=Metrics)

    @cached_property
    def online(self) -> "OnlineFeatures":
        """Features for now; opened when it is first asked."""
        from mlops_assets.features.online.reading import OnlineFeatures

        return OnlineFeatures.open(self.platform)

    @cached_property
    def computing(self) -> ThreadPoolExecutor:
        """Where features of requests are computed: as many at once as there are cores, so that all else is answered."""
        return ThreadPoolExecutor(os.cpu_count() or 1, "compute")

    @cached_property
    def champions(self) -> "Champions":
        """The versions that serve."""
        from mlops_assets.serving.champions import Champions

        return Champions(self.platform, self.metrics, self.settings)

    @cached_property
    def request_log(self) -> "RequestLog":
        """The requests for predictions that are kept."""
        from mlops_assets.serving.request_log import RequestLog

        return RequestLog(self.platform, self.metrics)

    @cached_property
    def discovery(self) -> "CurrentCatalog":
        """The catalog, its index, and how fresh its tables are."""
        from mlops_assets.features.catalog.current import CurrentCatalog

        return CurrentCatalog(self.platform)
