"""Runs the application under uvicorn until it is told to stop."""

import signal
import socket

import uvicorn
from fastapi import FastAPI

from mlops_assets.errors import UnusableEnvironmentError
from mlops_assets.governance.tokens import is_loopback
from mlops_assets.serving.connections import bounded
from mlops_assets.serving.settings import ServingSettings

_WAITING = 2_048


def listen(settings: ServingSettings) -> socket.socket:
    """Take the address, so that nothing else has it and a fault is known before anything is printed.

    Raises:
        UnusableEnvironmentError: It is in use, or no address of this machine; or a name of this machine alone that
            others reach it by.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((settings.host, settings.port))
        made.listen(_WAITING)  # who connects before the first answer waits, and is not refused
    except (OSError, OverflowError) as error:
        made.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise UnusableEnvironmentError(
            f"{settings.host} port {settings.port} cannot be listened on ({reason})",
            "a free port on an address of this machine",
            "choose another with --port or --host",
        ) from error
    address = made.getsockname()[0]
    if settings.on_loopback and not is_loopback(address):
        made.close()
        raise UnusableEnvironmentError(
            f"'{settings.host}', which is {address} on this machine",
            "an address of this machine alone",
            "write 127.0.0.1, or the address itself",
        )
    return made


def run(app: FastAPI, settings: ServingSettings, listening: socket.socket) -> None:
    """Answer until SIGTERM or SIGINT; then take no more connections, and answer what is in flight."""
    for stop in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop, lambda *_: None)  # uvicorn raises it once more when it has stopped
    config = uvicorn.Config(
        app,
        http=bounded(settings),
        loop="uvloop",
        ws="none",
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=settings.stop_seconds,
    )
    uvicorn.Server(config).run([listening])
