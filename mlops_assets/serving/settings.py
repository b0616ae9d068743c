"""Settings of the server: where it listens, and its limits, which come from the environment."""

import os
from dataclasses import dataclass, field, fields
from typing import Any

from mlops_assets.errors import UnusableEnvironmentError
from mlops_assets.governance.tokens import is_loopback


def _limit(default: int, variable: str, description: str) -> Any:
    return field(default=default, metadata={"variable": variable, "description": description})


RENAMED = {
    "MLOPS_LARGEST_BODY": "MLOPS_MAX_BODY_BYTES",
    "MLOPS_LARGEST_HEAD": "MLOPS_MAX_HEAD_BYTES",
    "MLOPS_MOST_CONNECTIONS": "MLOPS_MAX_CONNECTIONS",
    "MLOPS_MOST_KEYS": "MLOPS_MAX_KEYS",
    "MLOPS_MOST_LOOKUPS": "MLOPS_MAX_LOOKUPS",
    "MLOPS_MOST_WAITING": "MLOPS_MAX_WAITING",
}
"""What variables were called in earlier releases, and what they are called."""


@dataclass(frozen=True)
class ServingSettings:
    """Where the server listens, and what it takes.

    Args:
        host: Address.
        port: Port; 0 for any that is free.
        max_body_bytes: Bytes of a request's body.
        max_head_bytes: Bytes of a request's address and headers.
        arrival_seconds: Within how many seconds a request must have come whole, and an answer is read.
        max_connections: Connections that may be open; one more ends the one that was idle longest.
        max_keys: Rows of one request.
        max_explained: Rows of one request whose predictions are explained.
        max_lookups: Lookups of one request.
        max_waiting: Rows that wait for the predictions of one model.
        request_log_seconds: Seconds from one writing of the requests that are kept to the next.
        stop_seconds: How long a stop waits for requests in flight.
        retry_seconds: What ``Retry-After`` says while a store does not answer.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    max_body_bytes: int = _limit(1_000_000, "MLOPS_MAX_BODY_BYTES", "bytes of a request's body")
    max_head_bytes: int = _limit(32_000, "MLOPS_MAX_HEAD_BYTES", "bytes of a request's address and headers")
    arrival_seconds: int = _limit(20, "MLOPS_ARRIVAL_SECONDS", "seconds in which a request must have come whole")
    max_connections: int = _limit(1_000, "MLOPS_MAX_CONNECTIONS", "open connections")
    max_keys: int = _limit(1_000, "MLOPS_MAX_KEYS", "rows of one request")
    max_explained: int = _limit(20, "MLOPS_MAX_EXPLAINED", "rows of one request whose predictions are explained")
    max_lookups: int = _limit(50, "MLOPS_MAX_LOOKUPS", "lookups of one request")
    max_waiting: int = _limit(10_000, "MLOPS_MAX_WAITING", "rows that wait for a model's predictions")
    request_log_seconds: int = _limit(30, "MLOPS_REQUEST_LOG_SECONDS", "seconds between two writings of requests kept")
    stop_seconds: int = _limit(30, "MLOPS_STOP_SECONDS", "seconds that a stop waits for requests in flight")
    retry_seconds: int = _limit(5, "MLOPS_RETRY_SECONDS", "what Retry-After says while a store does not answer")

    @classmethod
    def from_environment(cls, host: str, port: int) -> "ServingSettings":
        """The settings that the environment names, and the defaults of the others.

        Raises:
            UnusableEnvironmentError: A limit is not a whole number above zero, or the address is empty.
        """
        if not host.strip():  # to the system that is every address
            raise UnusableEnvironmentError(
                "an empty --host", "an address of this machine", "leave --host out, or write 0.0.0.0 for all addresses"
            )
        for old, new in RENAMED.items():
            if old in os.environ:
                raise UnusableEnvironmentError(
                    f"the variable {old}", f"{new}, as it is called now", f"set {new} instead"
                )
        return cls(host, port, **{name: _number(variable, default) for name, variable, default, _ in limits()})

    @property
    def on_loopback(self) -> bool:
        """Whether only programs on this machine reach it."""
        return is_loopback(self.host)


def limits() -> list[tuple[str, str, int, str]]:
    """The limits: name, environment variable, default and description of each."""
    return [
        (one.name, one.metadata["variable"], one.default, one.metadata["description"])  # type: ignore[misc]
        for one in fields(ServingSettings)
        if one.metadata
    ]


def _number(variable: str, default: int) -> int:
    text = os.environ.get(variable, str(default))
    if text.isascii() and text.isdigit() and int(text) > 0:
        return int(text)
    raise UnusableEnvironmentError(f"{variable} is '{text}'", "a whole number above zero", "correct or unset it")
