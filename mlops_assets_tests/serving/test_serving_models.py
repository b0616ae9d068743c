"""The server as a process while versions change: under load, when it is killed, when it is stopped."""

import json
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from mlops_assets.client import AnswerError, Client
from mlops_assets.models.records import candidate_of_version
from mlops_assets_tests.models.registering import Decided
from mlops_assets_tests.serving.predicting import KEYS, as_project, broken, put_in_service, shared_line, token
from mlops_assets_tests.serving.running import Served, served, until
from mlops_assets_tests.small_line import Line

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    made = shared_line(tmp_path_factory).copy(tmp_path_factory.mktemp("serving") / "line")
    made.files.change("forecast/defs.yaml", "  retrain:", "  serve: {log_share: 1}\n  approval: required\n  retrain:")
    as_project(made.open())
    return made


@pytest.fixture(scope="module")
def bearer(line: Line) -> str:
    return token(line.platform, "application")


@contextmanager
def predicting(line: Line, bearer: str, **variables: str) -> Iterator[tuple[Served, Client]]:
    """A server that predicts, and a client of it that tries nothing twice."""
    home = line.platform.home.folder
    with served(line.folder / "served", home, **variables) as server, Client(server.url, bearer, retries=0) as client:
        until(lambda: answered(client) is not None, seconds=120)
        yield server, client


def answered(client: Client) -> Any:
    """An answer; None where nothing serves yet."""
    try:
        return client.predict("forecast", KEYS)
    except AnswerError as error:
        assert error.status == 503, error
        return None


def test_promotions_and_rollbacks_under_load_drop_no_request_and_mix_no_answer(line: Line, bearer: str) -> None:
    waits = Decided(line.platform, candidate_of_version(line.platform, line.model, 1), line.model).version().version
    approving = token(line.platform, "approver")
    with predicting(line, bearer) as (server, client), Client(server.url, approving) as approver:
        of_version: dict[int, list[Any]] = {}
        for version in (1, 2):
            put_in_service(line, version)
            until(lambda version=version: answered(client).version == version, seconds=5)  # type: ignore[misc]
            of_version[version] = [row.prediction for row in answered(client).rows]
        assert of_version[1] != of_version[2]
        of_version[waits] = of_version[1]  # it is the same fit
        stop, faults, counts = threading.Event(), list[object](), list[int]()

        def ask() -> None:
            count = 0
            with Client(server.url, bearer, retries=0) as own:
                while not stop.is_set():
                    try:
                        answer = own.predict("forecast", KEYS)
                        if [row.prediction for row in answer.rows] != of_version[answer.version]:
                            faults.append(answer)
                    except AnswerError as error:
                        faults.append(error)
                    count += 1
            counts.append(count)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            for version in (1, 2):
                put_in_service(line, version)
                until(lambda version=version: answered(client).version == version, seconds=5)  # type: ignore[misc]
            assert approver.approve("forecast", waits, "as good as the first").state == "champion"
            until(lambda: answered(client).version == waits, seconds=5)
            assert approver.rollback("forecast", "wrong prices").version == 2
            until(lambda: answered(client).version == 2, seconds=5)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert faults == []
        assert min(counts) > 20


def test_a_server_that_was_killed_serves_what_is_champion_when_it_starts_again(line: Line, bearer: str) -> None:
    with predicting(line, bearer) as (server, client):
        before = answered(client)
        server.process.kill()
        server.process.wait()
        put_in_service(line, 3 - before.version)
    with predicting(line, bearer) as (server, client):
        assert answered(client).version == 3 - before.version


def test_a_server_starts_with_a_version_that_cannot_be_loaded_and_serves_it_once_it_can(
    line: Line, bearer: str
) -> None:
    put_in_service(line, 2)
    with broken(line, 2), served(line.folder / "served", line.platform.home.folder) as server:
        client = Client(server.url, bearer, retries=0)
        until(lambda: "cannot be loaded" in refused(client), seconds=60)
        assert client.features([{"shop": "s01"}], lookups=[{"table": "trend"}]).rows, "the rest is served"
    with predicting(line, bearer) as (_, client):
        assert answered(client).version == 2


def refused(client: Client) -> str:
    with pytest.raises(AnswerError) as error:
        client.predict("forecast", KEYS)
    assert error.value.status == 503
    return error.value.found


def test_a_stop_answers_what_is_in_flight_and_writes_what_was_to_be_kept(line: Line, bearer: str) -> None:
    body = json.dumps({"rows": KEYS}).encode()
    with predicting(line, bearer) as (server, _), socket.create_connection(server.address) as asking:
        asking.settimeout(30)
        head = (
            "POST /v1/models/forecast/predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"X-Request-ID: the last\r\nAuthorization: Bearer {bearer}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        asking.sendall(head.encode() + body[:10])
        assert Client(server.url, bearer).predict("forecast", KEYS)  # it has read what came before
        server.process.send_signal(signal.SIGTERM)
        asking.sendall(body[10:])
        answer = asking.makefile("rb").read()
        assert answer.startswith(b"HTTP/1.1 200"), answer
        assert server.process.wait(30) == 0
    kept = line.platform.requests(line.model).states().column("request_id").to_pylist()
    assert kept.count("the last") == len(KEYS)
