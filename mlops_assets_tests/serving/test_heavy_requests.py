"""Requests whose values make the engine compute for minutes: they end, and hold nobody else up."""

import http.client
import json
import os
import signal
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from mlops_assets.engines.limits import Limits
from mlops_assets.serving.app import create_app
from mlops_assets.serving.settings import ServingSettings
from mlops_assets_tests.serving.conftest import Shop
from mlops_assets_tests.serving.predicting import as_project
from mlops_assets_tests.serving.running import Served, served
from mlops_assets_tests.small_line import Line

COMPUTED = "expression: level * 2"
HEAVY = "expression: 'levenshtein(repeat(sister, 1000), repeat(sister, 999)) + level'"


@pytest.fixture(scope="module")
def line(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Line:
    made = shop.line.copy(tmp_path_factory.mktemp("heavy") / "line")
    made.files.change("forecast/defs.yaml", COMPUTED, HEAVY)
    return made.open()


def asked(sister: str) -> dict[str, Any]:
    return {"rows": [{"shop": "s01", "sister": sister, "asked": 1}], "model": "forecast"}


def test_a_request_that_takes_too_long_or_too_much_is_told_which_feature_and_others_are_answered(
    line: Line, shop: Shop
) -> None:
    def client(seconds: int) -> TestClient:
        engine = replace(line.platform.project.engine, request=Limits(seconds, 200, 10, "request"))
        platform = replace(line.platform, project=replace(line.platform.project, engine=engine))
        headers = {"Authorization": f"Bearer {shop.personal}"}
        return TestClient(create_app(platform, ServingSettings()), headers=headers, raise_server_exceptions=False)

    long = client(1).post("/v1/features", json=asked("x" * 300))
    patient = client(60)
    large = patient.post("/v1/features", json=asked("x" * 100_000))
    assert (long.status_code, large.status_code) == (422, 422)
    assert long.json()["found"] == "computed feature 'twice', which was ended after 1 s"
    assert long.json()["cure"].startswith("ask for fewer rows or smaller values, or raise request_seconds in")
    assert large.json()["found"].startswith("computed feature 'twice', which needs more memory or disk than it may")
    assert patient.post("/v1/features", json=asked("s00")).status_code == 200


@pytest.mark.slow
def test_heavy_requests_of_clients_that_left_are_given_up_and_those_of_others_hold_up_neither_readiness_nor_a_stop(
    line: Line, shop: Shop, tmp_path: Path
) -> None:
    project = as_project(line)
    settings = project / "pyproject.toml"
    settings.write_text(settings.read_text() + "\n[tool.mlops_assets.limits]\nrequest_seconds = 600\n")
    with served(project, line.platform.home.folder, MLOPS_STOP_SECONDS="1") as server:
        for _ in range(2 * (os.cpu_count() or 1)):
            _begun(server, shop.personal).close()
        assert _answered(server, shop.personal, "POST", "/v1/features", asked("s00")) == 200
        staying = [_begun(server, shop.personal) for _ in range(41)]
        assert _answered(server, shop.personal, "GET", "/readyz") == 200
        assert _answered(server, shop.personal, "GET", "/v1/features/trend?shop=s01") == 200
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0
        for one in staying:
            one.close()


def _begun(server: Served, token: str) -> socket.socket:
    """A connection on which a heavy request was sent."""
    body = json.dumps(asked("x" * 300)).encode()
    head = f"Host: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    made = socket.create_connection(server.address)
    made.sendall(f"POST /v1/features HTTP/1.1\r\n{head}\r\n\r\n".encode() + body)
    return made


def _answered(server: Served, token: str, method: str, path: str, body: object = None) -> int:
    connection = http.client.HTTPConnection(*server.address, timeout=60)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    connection.request(method, path, json.dumps(body) if body else None, headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status
