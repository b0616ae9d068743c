"""The server as a process: what it prints, whom it listens to, how it stops, what it refuses to take."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from mlops_assets.cli import main
from mlops_assets.lakehouse.home import HOME_VARIABLE
from mlops_assets.starter import write_project
from mlops_assets_tests import forks
from mlops_assets_tests.serving.running import Served, served, until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a project, and nothing lived through."""
    made = tmp_path_factory.mktemp("served")
    write_project(made / "shop")
    return made


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Served]:
    with served(folder / "shop", folder / "home", MLOPS_MAX_BODY_BYTES="1000") as one:
        yield one


def _asked(
    server: Served, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(*server.address, timeout=30)
    try:
        connection.request(method, path, body, headers or {})  # type: ignore[arg-type]
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def _refused(project: Path, home: Path, *arguments: str, **variables: str) -> str:
    """The message with which it does not start."""
    done = forks.run(["--project", str(project), "serve", *arguments], **{HOME_VARIABLE: str(home), **variables})
    assert done.returncode == 1
    return done.stderr


def test_a_fresh_machine_listens_to_itself_alone_and_prints_a_token_that_opens_it(server: Served) -> None:
    assert server.url.startswith("http://127.0.0.1:")
    assert _asked(server, "GET", "/docs")[0] == 200
    assert _asked(server, "GET", "/v1/features/nothing")[0] == 401
    status, _, body = _asked(server, "GET", "/v1/features/nothing", headers={"Authorization": f"Bearer {server.token}"})
    assert (status, json.loads(body)["type"]) == (404, "/problems/not-found")


def test_a_second_start_prints_no_token_and_a_taken_port_is_named(server: Served, folder: Path) -> None:
    with served(folder / "shop", folder / "home") as second:
        assert second.token is None
    port = str(server.address[1])
    assert f"127.0.0.1 port {port} cannot be listened on (Address already in use)" in _refused(
        folder / "shop", folder / "home", "--port", port
    )


def test_other_machines_are_listened_to_only_once_somebody_has_a_token(folder: Path, tmp_path: Path) -> None:
    refused = _refused(folder / "shop", tmp_path / "fresh", "--host", "0.0.0.0", "--port", "0")
    assert "'0.0.0.0', which other machines reach, and no valid token" in refused
    assert "mlops-assets tokens create" in refused
    assert not (tmp_path / "fresh" / "trail").exists(), "a token that nobody has seen opens it"


def test_a_process_that_imports_all_anew_serves_and_writes_nothing_outside_its_home(tmp_path: Path) -> None:
    write_project(tmp_path / "shop")
    (tmp_path / "user").mkdir()
    with subprocess.Popen(
        [sys.executable, "-m", "mlops_assets", "--project", str(tmp_path / "shop"), "serve", "--port", "0"],
        env={**os.environ, HOME_VARIABLE: str(tmp_path / "home"), "HOME": str(tmp_path / "user")},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        printed = [process.stdout.readline() for _ in range(2)]
        try:
            with urllib.request.urlopen(f"{printed[1].split()[2]}/healthz", timeout=30) as answer:
                assert answer.status == 200
        finally:
            process.terminate()
        assert process.wait(30) == 0
    assert sorted(one.name for one in tmp_path.iterdir()) == ["home", "shop", "user"]
    assert list((tmp_path / "user").iterdir()) == []


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_stop_answers_what_is_in_flight_and_takes_nothing_new(server: Served, folder: Path, name: str) -> None:
    with served(folder / "shop", folder / "home") as stopped:
        with socket.create_connection(stopped.address) as idle, socket.create_connection(stopped.address) as asking:
            asking.settimeout(30)
            asking.sendall(
                b"POST /v1/features HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                b"Authorization: Bearer %b\r\nContent-Length: 10\r\n\r\n{" % str(server.token).encode()
            )
            assert _asked(stopped, "GET", "/healthz")[0] == 200  # it has read what came before
            stopped.process.send_signal(getattr(signal, name))
            until(lambda: _closed(stopped))
            assert idle.recv(1) == b"", "a connection that asks nothing is closed"
            asking.sendall(b'"row": 1')
            asking.sendall(b"}")
            answer = asking.makefile("rb").read()
            assert answer.startswith(b"HTTP/1.1 422"), answer
            assert b"a member 'row'" in answer
        assert stopped.process.wait(30) == 0
        assert stopped.process.complained == ""


def _closed(server: Served) -> bool:
    try:
        socket.create_connection(server.address).close()
    except ConnectionRefusedError:
        return True
    return False


def test_a_request_that_never_ends_does_not_hold_a_stop_up(server: Served, folder: Path) -> None:
    with (
        served(folder / "shop", folder / "home", MLOPS_STOP_SECONDS="1") as stopped,
        socket.create_connection(stopped.address) as asking,
    ):
        asking.sendall(
            b"POST /v1/features HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Authorization: Bearer %b\r\nContent-Length: 10\r\n\r\n{" % str(server.token).encode()
        )
        assert _asked(stopped, "GET", "/healthz")[0] == 200
        stopped.process.send_signal(signal.SIGTERM)
        assert stopped.process.wait(20) == 0


def test_a_body_that_is_too_large_is_refused_with_or_without_a_length(server: Served) -> None:
    headers = {"Authorization": f"Bearer {server.token}", "Content-Type": "application/json"}
    large = b" " * 1001
    for path in ("/v1/features", "/nowhere"):
        status, got, body = _asked(server, "POST", path, large, headers)
        assert (status, got["content-type"]) == (413, "application/problem+json")
        assert json.loads(body)["found"] == "a body of 1001 bytes"
    status, got, body = _asked(server, "POST", "/v1/features", iter([large[:600], large[600:]]), headers)
    assert (status, got["content-type"]) == (413, "application/problem+json")
    assert json.loads(body)["expected"] == "at most 1000 bytes"
    assert _asked(server, "POST", "/v1/features", b" " * 1000, headers)[0] == 400


def test_what_is_no_http_is_refused_and_others_are_answered(server: Served) -> None:
    with socket.create_connection(server.address) as asking:
        asking.sendall(b"what is this\r\n\r\n")
        assert asking.makefile("rb").read().startswith(b"HTTP/1.1 400")
    assert _asked(server, "GET", "/healthz")[0] == 200


def test_the_help_lists_every_limit() -> None:
    shown = CliRunner().invoke(main, ["serve", "--help"]).output
    for variable in ("MLOPS_MAX_BODY_BYTES", "MLOPS_MAX_KEYS", "MLOPS_MAX_LOOKUPS", "MLOPS_STOP_SECONDS"):
        assert variable in shown


@pytest.mark.parametrize(
    ("arguments", "variables", "found"),
    [
        ([], {"MLOPS_MAX_KEYS": "many"}, "Found: MLOPS_MAX_KEYS is 'many'. Expected: a whole number above zero."),
        (
            [],
            {"MLOPS_MOST_KEYS": "5"},
            "Found: the variable MLOPS_MOST_KEYS. Expected: MLOPS_MAX_KEYS, as it is called",
        ),
        ([], {"MLOPS_ONLINE_STORE": "ftp://store"}, "MLOPS_ONLINE_STORE with no URL of a store"),
        (["--port", "70000"], {}, "127.0.0.1 port 70000 cannot be listened on"),
        (["--host", ""], {}, "Found: an empty --host. Expected: an address of this machine"),
        (["--host", " "], {}, "Found: an empty --host. Expected: an address of this machine"),
    ],
)
def test_settings_that_cannot_be_are_refused_at_the_start(
    folder: Path, tmp_path: Path, arguments: list[str], variables: dict[str, str], found: str
) -> None:
    refused = _refused(folder / "shop", tmp_path / "fresh", *arguments, **variables)
    assert found in refused
    assert not (tmp_path / "fresh" / "trail").exists()


@pytest.fixture(scope="module")
def bounded(server: Served, folder: Path) -> Iterator[Served]:
    """A server with little of everything."""
    with served(
        folder / "shop", folder / "home", max_files=256, MLOPS_MAX_HEAD_BYTES="2000", MLOPS_ARRIVAL_SECONDS="2"
    ) as one:
        yield one


def test_idle_connections_beyond_what_files_there_are_make_room_for_one_that_asks(bounded: Served) -> None:
    idle = [socket.create_connection(bounded.address) for _ in range(320)]
    for _ in range(3):
        assert _asked(bounded, "GET", "/healthz")[0] == 200
    for one in idle:
        one.close()


WHOLE = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param(b"", 408, id="nothing"),
        pytest.param(WHOLE[:-4], 408, id="half a head"),
        pytest.param(
            b"POST /v1/features HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 9\r\nCookie: "
            b"mlops_token=%b\r\n\r\n{",
            408,
            id="half a body",
        ),
        pytest.param(WHOLE + WHOLE[:9], 200, id="half a second request"),
    ],
)
def test_a_request_that_does_not_come_whole_in_time_is_ended(
    bounded: Served, server: Served, sent: bytes, status: int
) -> None:
    with socket.create_connection(bounded.address, timeout=30) as asking:
        asking.sendall(sent.replace(b"%b", str(server.token).encode()))
        answer = asking.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 %d" % status), answer


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"GET /healthz HTTP/1.1\r\nX: " + b"x" * 3_000, id="one header"),
        pytest.param(b"GET /healthz HTTP/1.1\r\n" + b"X: y\r\n" * 1_000, id="many headers"),
        pytest.param(b"GET /" + b"x" * 3_000, id="an address"),
        pytest.param(b"GET /healthz HTTP/1.1\r\nX: " + b"x" * 3_000 + b"\r\n\r\n", id="a whole request"),
    ],
)
def test_a_head_that_is_too_large_is_refused_as_soon_as_it_is(bounded: Served, sent: bytes) -> None:
    with socket.create_connection(bounded.address, timeout=30) as asking:
        asking.sendall(sent)
        assert asking.makefile("rb").read().startswith(b"HTTP/1.1 431 Request Header Fields Too Large")
    assert _asked(bounded, "GET", "/healthz", headers={"X": "x" * 1_500})[0] == 200
