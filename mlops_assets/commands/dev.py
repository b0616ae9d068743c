"""``mlops-assets dev``: Dagster's user interface on the home."""

import os
import signal
import socket
import sys
from pathlib import Path

import click

from mlops_assets.commands.one_message import in_one_message
from mlops_assets.errors import UnusableEnvironmentError
from mlops_assets.lakehouse.home import Home
from mlops_assets.project.folder import find_project


@click.command()
@click.option("--port", default=3000, show_default=True, help="Port of the user interface.")
@click.pass_obj
@in_one_message
def dev(folder: Path, port: int) -> None:
    """Start Dagster's user interface and daemon on the home's state."""
    project = find_project(folder)
    home = Home.find(project.folder).prepare()
    _require_port(port)
    from mlops_assets.operations.in_process import end_what_was_killed, enter, open_instance

    enter(home, project)
    with open_instance(home) as instance:
        end_what_was_killed(instance)  # else the pages show it as at work for ever
    command = [sys.executable, "-m", "dagster", "dev", "-w", "workspace.yaml", "-h", "127.0.0.1", "-p", str(port)]
    click.echo(f"User interface: http://127.0.0.1:{port} (state in {home.folder})")
    os.chdir(project.folder)
    signal.signal(
        signal.SIGINT, signal.SIG_DFL
    )  # ignored in the background of a script, and Dagster could not be ended
    os.execv(sys.executable, command)


def _require_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise UnusableEnvironmentError(
                f"port {port} is in use ({error.strerror})", "a free port", "choose another with --port"
            ) from error
