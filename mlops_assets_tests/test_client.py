"""The client against servers that answer as told: what it tries again, what it does not, and what it says."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.client import AnswerError, Client, Comparison, Decision, FoundRow, GateOutcome, Model, Version
from mlops_assets.errors import DefinitionError
from mlops_assets.governance import tokens
from mlops_assets.lakehouse.home import HOME_VARIABLE

PROBLEM = {"title": "No", "status": 422, "found": "table 'sale'", "expected": "one of: sales", "cure": "write 'sales'"}
ANSWER = {
    "now": "2024-01-02T06:00:00Z",
    "masked": ["age"],
    "rows": [
        {
            "features": {"units": 9007199254740993, "age": None},
            "found": {
                "sales": {"event_time": "2024-01-01T00:00:00Z", "age_seconds": 108000.0},
                "shops": {"event_time": None, "age_seconds": None},
                "visits": None,
            },
        }
    ],
}


@dataclass
class Answer:
    """What is answered to one request; without a status the connection is closed instead."""

    status: int | None = 200
    content: Any = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Asked:
    """What came: path, headers, content, and the client's port."""

    path: str
    headers: dict[str, str]
    content: Any
    port: int


@contextmanager
def answering(*answers: Answer) -> Iterator[tuple[str, list[Asked]]]:
    """A server that gives these answers in their order; gives its address and what it was asked."""
    asked: list[Asked] = []
    left = list(answers)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.answer(None)

        def do_POST(self) -> None:
            self.answer(json.loads(self.rfile.read(int(self.headers["content-length"]))))

        def answer(self, sent: Any) -> None:
            asked.append(Asked(self.path, dict(self.headers), sent, self.client_address[1]))
            answer = left.pop(0)
            if answer.status is None:
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
                return
            content = answer.content if isinstance(answer.content, bytes) else json.dumps(answer.content).encode()
            self.send_response(answer.status)
            for name, value in {"Content-Length": str(len(content)), **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_an_answer_holds_times_as_times_and_whole_numbers_exactly() -> None:
    with answering(Answer(content=ANSWER)) as (url, asked), Client(url, "t") as client:
        answer = client.features([{"shop": "s1"}], lookups=[{"table": "sales"}])
    assert answer.now == datetime(2024, 1, 2, 6, tzinfo=UTC)
    assert answer.masked == ("age",)
    (row,) = answer.rows
    assert row.features == {"units": 9007199254740993, "age": None}
    assert row.found == {
        "sales": FoundRow(datetime(2024, 1, 1, tzinfo=UTC), timedelta(hours=30)),
        "shops": FoundRow(None, None),
        "visits": None,
    }
    assert asked[0].content == {"rows": [{"shop": "s1"}], "lookups": [{"table": "sales"}]}
    assert asked[0].headers["Authorization"] == "Bearer t"


def test_predictions_hold_version_times_and_probabilities_by_class() -> None:
    found = {"sales": None}
    rows: list[dict[str, Any]] = [
        {"prediction": 1.5, "found": found},
        {"prediction": True, "probability": 0.75, "found": {}},
        {"prediction": "b", "probabilities": {"a": 0.25, "b": 0.75}, "found": {}},
    ]
    content = {
        "now": "2024-01-02T06:00:00Z", "model": "forecast", "version": 3, "promoted_at": "2024-01-01T00:00:00Z",
        "request_id": "r", "rows": rows,
    }  # fmt: skip
    with answering(Answer(content=content), Answer(content=content)) as (url, asked), Client(url, "t") as client:
        answer = client.predict("forecast", [{"shop": "s1"}])
        client.predict("forecast", features=[{"level": None}])
    assert (answer.version, answer.request_id) == (3, "r")
    assert answer.promoted_at == datetime(2024, 1, 1, tzinfo=UTC)
    number, whether, which = answer.rows
    assert (number.prediction, number.probabilities, number.found) == (1.5, {}, found)
    assert (whether.prediction, whether.probabilities) == (True, {True: 0.75, False: 0.25})
    assert (which.prediction, which.probabilities) == ("b", {"a": 0.25, "b": 0.75})
    assert [one.path for one in asked] == ["/v1/models/forecast/predict"] * 2
    assert [one.content for one in asked] == [{"rows": [{"shop": "s1"}]}, {"features": [{"level": None}]}]


VERSION = {
    "version": 2, "state": "champion", "trained_at_period": "2024-01", "trained_at": "2024-02-01T00:00:00Z",
    "trained_for": "it was time", "requested_by": "policy", "verdict": "mae 1 is below the baseline's 2",
    "gates": [
        {"name": "mae_better_than_baseline", "passed": True, "reason": "mae 1 is below the baseline's 2",
         "measured": 1.0, "limit": 2.0}
    ],
    "figures": {"candidate_mae": 1.0}, "model_hash": "a" * 64, "run_id": "r",
    "approvals": [
        {"model": "forecast", "version": 2, "model_hash": "a" * 64, "replaces": 1, "by": "ana", "roles": ["approver"],
         "at": "2024-02-02T00:00:00Z", "meaning": "approved", "reason": "better", "signature": None}
    ],
    "transitions": [
        {"number": 2, "version": 2, "kind": "promotion", "happened_at": "2024-02-02T00:00:00Z", "by": "ana",
         "reason": "better"}
    ],
    "comparison": {
        "champion": 1, "until": "2024-01", "periods": 2, "rows": 20, "figures": {"difference_mae": -0.5}, "words": "so"
    },
}  # fmt: skip


def test_versions_say_how_they_were_judged_and_what_was_decided() -> None:
    listed = {
        "model": "forecast",
        "champion": 2,
        "previous": 1,
        "challenger": None,
        "approval": "required",
        "versions": 2,
    }
    answers = [Answer(content=[listed]), Answer(content=[VERSION]), Answer(content=VERSION)]
    with answering(*answers) as (url, asked), Client(url, "t") as client:
        assert client.models() == (Model("forecast", 2, 1, None, "required", 2),)
        (version,) = client.versions("forecast")
        assert client.version("forecast", 2) == version
    decided = datetime(2024, 2, 2, tzinfo=UTC)
    assert (version.version, version.state, version.requested_by) == (2, "champion", "policy")
    assert version.gates == (
        GateOutcome("mae_better_than_baseline", True, "mae 1 is below the baseline's 2", 1.0, 2.0),
    )
    assert version.comparison == Comparison(1, "2024-01", 2, 20, {"difference_mae": -0.5}, "so")
    assert version.approvals == (Decision("approved", decided, "ana", "better"),)
    assert version.transitions == (Decision("promotion", decided, "ana", "better"),)
    assert [one.path for one in asked] == [
        "/v1/models", "/v1/models/forecast/versions", "/v1/models/forecast/versions/2"
    ]  # fmt: skip
    assert {one.headers["Authorization"] for one in asked} == {"Bearer t"}


def test_decisions_are_sent_with_their_reason_and_tried_again_where_that_changes_nothing() -> None:
    def decide(client: Client) -> list[Version]:
        return [
            client.approve("forecast", 2, "better"), client.reject("forecast", 2, "worse"),
            client.retire("forecast", 2, "old"), client.rollback("forecast", "wrong", to=2),
        ]  # fmt: skip

    answers = [one for _ in range(4) for one in (Answer(None), Answer(content=VERSION))]
    with answering(*answers) as (url, asked), Client(url, "t") as client:
        assert {one.version for one in decide(client)} == {2}
    assert [(one.path.removeprefix("/v1/models/forecast/"), one.content) for one in asked[::2]] == [
        ("versions/2/approve", {"reason": "better"}),
        ("versions/2/reject", {"reason": "worse"}),
        ("versions/2/retire", {"reason": "old"}),
        ("rollback", {"reason": "wrong", "to": 2}),
    ]
    assert asked[::2] != asked[1::2] and [one.content for one in asked[::2]] == [one.content for one in asked[1::2]]


def test_a_rollback_to_whatever_served_before_is_never_sent_twice() -> None:
    with answering(Answer(None), Answer(content=VERSION)) as (url, asked), Client(url, "t") as client:
        with pytest.raises(AnswerError, match="no answer from"):
            client.rollback("forecast", "wrong")
        assert len(asked) == 1


def test_dates_times_and_numbers_of_numpy_are_sent_as_the_server_reads_them() -> None:
    import numpy as np

    row = {"day": date(2024, 1, 31), "at": datetime(2024, 1, 31, 6, tzinfo=UTC), "units": np.int64(7), "none": None}
    with answering(Answer(content=ANSWER)) as (url, asked), Client(url) as client:
        client.features([row], model="forecast")
    sent = {"day": "2024-01-31", "at": "2024-01-31T06:00:00+00:00", "units": 7, "none": None}
    assert asked[0].content == {"rows": [sent], "model": "forecast"}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), b"bytes"])
def test_a_value_that_json_does_not_have_is_refused_before_anything_is_sent(value: object) -> None:
    with answering() as (url, asked), Client(url) as client, pytest.raises(DefinitionError):
        client.features([{"value": value}], model="forecast")
    assert asked == []


def test_the_token_comes_from_the_environment_unless_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(tokens.TOKEN_VARIABLE, "of the environment")
    with answering(*[Answer(content=ANSWER)] * 3) as (url, asked):
        for token in (None, "given", ""):
            Client(url, token).features([], model="forecast")
    assert [one.headers.get("Authorization") for one in asked] == ["Bearer of the environment", "Bearer given", None]


def test_connections_are_kept() -> None:
    with answering(*[Answer(content=ANSWER)] * 3) as (url, asked), Client(url) as client:
        for _ in range(3):
            client.features([], model="forecast")
    assert len({one.port for one in asked}) == 1


def test_what_failed_on_the_way_and_a_store_that_was_down_are_tried_again_under_the_same_key() -> None:
    answers = [Answer(None), Answer(503, PROBLEM, {"Retry-After": "0"}), Answer(content={"accepted": 1})]
    with answering(*answers) as (url, asked), Client(url) as client:
        assert client.push("web orders", [{"order": 1}]) == {"accepted": 1}
    assert [one.path for one in asked] == ["/v1/sources/web%20orders/rows"] * 3
    assert len({one.headers["Idempotency-Key"] for one in asked}) == 1


def test_each_push_has_a_key_of_its_own_unless_one_is_given() -> None:
    with answering(*[Answer(content={})] * 3) as (url, asked), Client(url) as client:
        client.push("orders", [])
        client.push("orders", [])
        client.push("orders", [], idempotency_key="batch 7")
    first, second, third = (one.headers["Idempotency-Key"] for one in asked)
    assert first != second
    assert third == "batch 7"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 429, 500])
def test_a_refusal_is_not_tried_again_and_says_what_to_do(status: int) -> None:
    refusal = Answer(status, PROBLEM, {"Retry-After": "0"})
    with answering(refusal) as (url, asked), Client(url) as client, pytest.raises(AnswerError) as caught:
        client.features([], model="forecast")
    assert len(asked) == 1
    assert str(caught.value) == "Found: table 'sale'. Expected: one of: sales. What to do: write 'sales'."
    assert (caught.value.status, caught.value.problem) == (status, PROBLEM)


def test_a_store_that_stays_down_is_reported_after_the_last_attempt() -> None:
    down = Answer(503, PROBLEM, {"Retry-After": "0"})
    with answering(down, down, down) as (url, asked), pytest.raises(AnswerError) as caught:
        Client(url, retries=2).features([], model="forecast")
    assert len(asked) == 3
    assert caught.value.status == 503


def test_an_answer_of_something_else_is_named_as_such() -> None:
    with answering(Answer(200, b"<html>"), Answer(302, b"", {"Location": "/login"})) as (url, _), Client(url) as client:
        for status in (200, 302):
            with pytest.raises(AnswerError, match=f"status {status} from {url}/v1/features, without a problem"):
                client.features([], model="forecast")


def test_a_server_that_is_not_there_or_never_answers_is_an_error_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(AnswerError, match=f"Found: no answer from {url}") as caught:
            Client(url, timeout_seconds=0.1, retries=1).features([], model="forecast")
    assert caught.value.status is None
    with pytest.raises(AnswerError, match="What to do: start it with `mlops-assets serve`"):
        Client(url, retries=0).features([], model="forecast")


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://host", "http://", ""])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(DefinitionError, match=r"http://127\.0\.0\.1:8000"):
        Client(url)


def test_importing_it_brings_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "import mlops_assets.client\n"
        "mlops_assets.client.Client('http://127.0.0.1:1')\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules}\n"
        "    & {'pandas', 'pyarrow', 'numpy', 'dagster', 'duckdb', 'pydantic', 'fastapi', 'sqlglot', 'yaml'}))\n"
        "print(sorted(name for name in sys.modules if name.startswith('mlops_assets')))\n"
    )
    environment = {**os.environ, HOME_VARIABLE: str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    heavy, ours = done.stdout.splitlines()
    assert heavy == "[]"
    assert ours == "['mlops_assets', 'mlops_assets.client', 'mlops_assets.errors']"
