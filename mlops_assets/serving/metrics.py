"""What Prometheus reads: requests, how long they took, and the features that were served."""

import time
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_HOUR, _DAY = 3_600, 86_400
_AGES = (60, 600, _HOUR, 6 * _HOUR, _DAY, 2 * _DAY, 7 * _DAY, 31 * _DAY, 92 * _DAY, 366 * _DAY)


class Metrics:
    """The metrics of one application, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "mlops_http_requests", "Requests that were answered", ["method", "route", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "mlops_http_request_seconds", "From the request's head to the end of the answer", ["route"],
            buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self._asked = Counter("mlops_feature_keys_asked", "Keys looked up", ["table"], registry=self.registry)
        self._missing = Counter(
            "mlops_feature_keys_missing", "Keys that the table has no row for", ["table"], registry=self.registry
        )
        self._age = Histogram(
            "mlops_feature_age_seconds", "Platform time since the event time of the rows served", ["table"],
            buckets=_AGES, registry=self.registry,
        )  # fmt: skip
        self._predictions = Counter(
            "mlops_predictions", "Rows that were predicted", ["model", "version"], registry=self.registry
        )
        self._together = Histogram(
            "mlops_prediction_batch_rows", "Rows that were predicted together", ["model"],
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_000), registry=self.registry,
        )  # fmt: skip
        self._version = Gauge(
            "mlops_model_version", "Version that serves; 0 for none", ["model"], registry=self.registry
        )
        self._failing = Gauge(
            "mlops_model_load_failing_seconds", "How long the version that was promoted could not be loaded", ["model"],
            registry=self.registry,
        )  # fmt: skip
        self._logged = Counter(
            "mlops_request_log_rows", "Rows of requests that were to be kept, by what became of them",
            ["model", "outcome"], registry=self.registry,
        )  # fmt: skip
        ProcessCollector(registry=self.registry)
        self._of_request = cache(self._children_of_request)  # labels() takes a lock at each call
        self._of_table = cache(self._children_of_table)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request; ``route`` is its template, not its path."""
        count, histogram = self._of_request(method, route, status)
        count.inc()
        histogram.observe(seconds)

    def features(self, table: str, ages: Iterable[float | None], missing: int) -> None:
        """Count the keys that were looked up in a table.

        Args:
            table: The table.
            ages: Seconds since the event time of each row that was found; None in a static table.
            missing: How many keys had no row.
        """
        asked, not_found, histogram = self._of_table(table)
        found = 0
        for age in ages:
            found += 1
            if age is not None:
                histogram.observe(age)
        asked.inc(found + missing)
        if missing:
            not_found.inc(missing)

    def model(self, name: str, version: Callable[[], float], failing_seconds: Callable[[], float]) -> None:
        """Show of a model what serves, asked anew each time."""
        self._version.labels(name).set_function(version)
        self._failing.labels(name).set_function(failing_seconds)

    def predicted(self, model: str, version: int, rows: int) -> None:
        """Count the rows that a version predicted together."""
        self._predictions.labels(model, str(version)).inc(rows)
        self._together.labels(model).observe(rows)

    def logged(self, model: str, outcome: Literal["written", "dropped"], rows: int) -> None:
        """Count the rows of requests that were kept, or could not be."""
        self._logged.labels(model, outcome).inc(rows)

    def text(self) -> bytes:
        """All of them in Prometheus' text format."""
        return generate_latest(self.registry)

    def _children_of_request(self, method: str, route: str, status: int) -> tuple[Any, Any]:
        return self._requests.labels(method, route, str(status)), self._seconds.labels(route)

    def _children_of_table(self, table: str) -> tuple[Any, Any, Any]:
        return self._asked.labels(table), self._missing.labels(table), self._age.labels(table)


class MetricsMiddleware:
    """Counts every request of an application by its route's template."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500  # what the server answers where an error comes through here

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        begun = time.perf_counter()
        try:
            await self._app(scope, receive, observed)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            method = scope["method"] if route != "none" else "any"  # a client may invent both
            self._metrics.request(method, route, status, time.perf_counter() - begun)
