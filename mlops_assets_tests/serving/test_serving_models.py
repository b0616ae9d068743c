"""The server as a process while versions change: under load, when it is killed, when it is stopped."""

import json
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
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


class Server:
    """The one server of these tests, which predicts; started anew where a test ended it."""

    def __init__(self, line: Line, bearer: str) -> None:
        self._line, self._bearer = line, bearer
        self._started = ExitStack()
        self._served: Served | None = None

    @contextmanager
    def predicting(self) -> Iterator[tuple[Served, Client]]:
        """It, and a client of it that tries nothing twice."""
        if self._served is None or self._served.process.poll() is not None:
            self.end()
            self._served = self._started.enter_context(
                served(self._line.folder / "served", self._line.platform.home.folder)
            )
        with Client(self._served.url, self._bearer, retries=0) as client:
            until(lambda: answered(client) is not None, seconds=120)
            yield self._served, client

    def end(self) -> None:
        """Let none be there."""
        self._started.close()
        self._served = None


@pytest.fixture(scope="module")
def the_server(line: Line, bearer: str) -> Iterator[Server]:
    made = Server(line, bearer)
    yield made
    made.end()


def answered(client: Client) -> Any:
    """An answer; None where nothing serves yet."""
    try:
        return client.predict("forecast", KEYS)
    except AnswerError as error:
        assert error.status == 503, error
        return None


def test_a_server_starts_with_a_version_that_cannot_be_loaded_and_serves_it_once_it_can(
    line: Line, bearer: str, the_server: Server
) -> None:
    the_server.end()
    put_in_service(line, 2)
    with broken(line, 2), served(line.folder / "served", line.platform.home.folder) as server:
        client = Client(server.url, bearer, retries=0)
        until(lambda: "cannot be loaded" in refused(client), seconds=60)
        assert client.features([{"shop": "s01"}], lookups=[{"table": "trend"}]).rows, "the rest is served"
    with the_server.predicting() as (_, client):
        assert answered(client).version == 2


def refused(client: Client) -> str:
    with pytest.raises(AnswerError) as error:
        client.predict("forecast", KEYS)
    assert error.value.status == 503
    return error.value.found


def test_promotions_and_rollbacks_under_load_drop_no_request_and_mix_no_answer(
    line: Line, bearer: str, the_server: Server
) -> None:
    waits = Decided(line.platform, candidate_of_version(line.platform, line.model, 1), line.model).version().version
    approving = token(line.platform, "approver")
    with the_server.predicting() as (server, client), Client(server.url, approving) as approver:
        of_version: dict[int, list[Any]] = {}
        for version in (1, 2):
            put_in_service(line, version)
            until(lambda version=version: answered(client).version == version, seconds=5)  # type: ignore[misc]
            of_version[version] = [row.prediction for row in answered(client).rows]
        assert of_version[1] != of_version[2]
        of_version[waits] = of_version[1]  # it is the same fit
        stop, faults, counts = threading.Event(), list[object](), [0] * 4

        def ask(number: int) -> None:
            with Client(server.url, bearer, retries=0) as own:
                while not stop.is_set():
                    try:
                        answer = own.predict("forecast", KEYS)
                        if [row.prediction for row in answer.rows] != of_version[answer.version]:
                            faults.append(answer)
                    except AnswerError as error:
                        faults.append(error)
                    counts[number] += 1

        def serves(version: int) -> None:
            until(lambda: answered(client).version == version, seconds=5)
            before = list(counts)  # what each asks while this one serves
            until(lambda: all(count >= asked + 5 for count, asked in zip(counts, before, strict=True)), seconds=60)

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(counts))]
        for thread in threads:
            thread.start()
        try:
            for version in (1, 2):
                put_in_service(line, version)
                serves(version)
            assert approver.approve("forecast", waits, "as good as the first").state == "champion"
            serves(waits)
            assert approver.rollback("forecast", "wrong prices").version == 2
            serves(2)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert faults == []


def test_a_server_that_was_killed_serves_what_is_champion_when_it_starts_again(line: Line, the_server: Server) -> None:
    with the_server.predicting() as (server, client):
        before = answered(client)
        server.process.kill()
        server.process.wait()
        put_in_service(line, 3 - before.version)
    with the_server.predicting() as (server, client):
        assert answered(client).version == 3 - before.version


def test_a_stop_answers_what_is_in_flight_and_writes_what_was_to_be_kept(
    line: Line, bearer: str, the_server: Server
) -> None:
    body = json.dumps({"rows": KEYS}).encode()
    with the_server.predicting() as (server, _), socket.create_connection(server.address) as asking:
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
