"""Whatever is asked of whichever route: the answer is one that its description tells of, and never 500."""

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable

from mlops_assets.models.loading import LoadedVersion
from mlops_assets.serving.app import create_app
from mlops_assets.serving.settings import ServingSettings
from mlops_assets_tests.serving.predicting import KEYS, shared_line, token
from mlops_assets_tests.serving.running import until

pytestmark = pytest.mark.slow

BOUNDED = settings(
    max_examples=25,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
FEATURES = {"twice": 1.0, "northern": True, "level": 1.5, "region": "north", "asked": 3}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """The application while a model serves, asked by an administrator."""
    line = shared_line(tmp_path_factory).copy(tmp_path_factory.mktemp("any") / "line")
    app = create_app(line.platform, ServingSettings())
    headers = {"Authorization": f"Bearer {token(line.platform, 'administrator')}"}
    with TestClient(app, headers=headers, raise_server_exceptions=False) as made:
        until(lambda: made.get("/readyz").status_code == 200, seconds=60)
        yield made


@pytest.mark.parametrize("mode", ["positive", "negative"])
def test_requests_made_of_the_description_of_a_route_are_answered_as_it_says(client: TestClient, mode: str) -> None:
    import schemathesis
    from schemathesis.generation import GenerationMode

    described = schemathesis.openapi.from_dict(client.get("/openapi.json").json())
    operations: list[Any] = list(described.get_all_operations())
    for operation in (found.ok() for found in operations):
        _ask_anything(client, operation, operation.as_strategy(generation_mode=GenerationMode(mode)))


def _ask_anything(client: TestClient, operation: Any, cases: st.SearchStrategy[Any]) -> None:
    documented = {int(status) for status in operation.definition.raw["responses"]} - {500}

    @BOUNDED
    @given(cases)
    def answered_as_described(case: Any) -> None:
        asked = case.as_transport_kwargs(base_url="http://testserver")
        asked |= {"content": asked.pop("data", None), "cookies": None}
        asked["headers"] = {name: value for name, value in asked["headers"].items() if value.isascii()}
        answer = client.request(**asked)
        assert answer.status_code in documented, (answer.status_code, answer.text, asked)

    with suppress(Unsatisfiable):  # a route that takes nothing cannot be asked wrongly
        answered_as_described()


GOOD: list[tuple[str, Any]] = [
    ("/v1/models/forecast/predict", {"rows": KEYS[:2]}),
    ("/v1/models/forecast/predict", {"features": [FEATURES]}),
    ("/v1/models/forecast/predict?explain=1", {"features": [FEATURES]}),
    ("/v1/features", {"rows": KEYS[:2], "model": "forecast"}),
    (
        "/v1/features",
        {
            "rows": [{"shop": "s01"}],
            "lookups": [
                {
                    "table": "trend",
                    "features": ["level", "since", "opened"],
                    "lookback": "30 days",
                    "default": {"level": 1.0, "since": "2024-01-01T00:00:00Z", "opened": "2024-01-01"},
                    "rename": {"level": "now"},
                },
                {"table": "sales", "features": ["units"], "lookback": "2 months", "default": {"units": 1}},
            ],
        },
    ),
]
STRANGE = [
    *["NaN", "-Infinity", "1e999", "-1e999", "1e308", "-1.7976931348623157e308", "5e-324", "-0.0", "0", "1.5", "true"],
    *[str(2**63), str(-(2**63)), str(2**63 - 1), str(2**64), "1" + "0" * 400, "-" + "9" * 5000, "null", "[]", "{}"],
    *['""', '"\\u0000"', '"\\ud800"', '"\\u202e"', '"0001-01-01"', '"9999-12-31"', '"0001-01-01T00:00:00+14:00"'],
    *['"9999-12-31T23:59:59.999999Z"', '"9999-12-31T23:59:59-14:00"', '"2024-02-30"', '"292278994-08-17"', '"x"'],
    *['"3000 years"', '"10000000 days"', '"9999 years"', '"10000 years"', '"999999999999999999999 hours"', '"0 days"'],
    *['"9999 months"', '"119987 months"', '"3652058 days"', '"-1 days"', '"1 month"', '"٣ days"', '"1e3 days"'],
    *[json.dumps("x" * 70_000), "[" * 300 + "]" * 300, '{"a": {"a": {"a": 1}}}', '"1.5"', '"true"', "[null]"],
]


def _places(content: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield place
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for name, value in items:
        yield from _places(value, (*place, name))


def _put(content: Any, place: tuple[Any, ...], value: Any) -> Any:
    if not place:
        return value
    copied = dict(enumerate(content)) if isinstance(content, list) else dict(content)
    copied[place[0]] = _put(copied[place[0]], place[1:], value)
    return list(copied.values()) if isinstance(content, list) else copied


def test_no_value_in_any_place_of_a_request_makes_the_server_fail(client: TestClient) -> None:
    faults = []
    for path, body in GOOD:
        for place in _places(body):
            for value in STRANGE:
                text = json.dumps(_put(body, place, "HERE")).replace('"HERE"', value)
                answer = client.post(path, content=text.encode(), headers={"Content-Type": "application/json"})
                if answer.status_code >= 500:
                    faults.append((path, place, value[:40], answer.status_code, answer.json().get("found")))
    assert faults == []


HEADERS = ["host", "origin", "authorization", "cookie", "content-type", "x-request-id", "idempotency-key", "accept"]
NO_HEADERS = [
    b"",
    b"[",
    b"http://[",
    b"//[::1",
    b"http://[v]:x",
    b"null",
    b"\xff\xfe",
    b"%",
    b"%ff%00",
    b"x" * 5_000,
    b";=,",
]
PATHS = [
    *[("GET", path) for path in ("/", "/features/[", "/login?next=//[", "/docs", "/readyz", "/nowhere", "/v1/models")],
    *[("GET", path) for path in ("/login?next=/[::", "/v1/features/trend?shop=%ff", "/v1/catalog/search?text=%00%ff")],
    *[("POST", path) for path in ("/login", "/logout", "/v1/features", "/v1/sources/sales/rows", "/healthz")],
]


def test_no_header_makes_the_server_fail(client: TestClient) -> None:
    faults = []
    for method, path in PATHS:
        for name in HEADERS:
            for value in NO_HEADERS:
                headers = {**client.headers, name: value}
                answer = client.request(method, path, headers=headers, content=b"{}", follow_redirects=False)
                if answer.status_code == 500:
                    faults.append((method, path, name, value))
    assert faults == []


def test_rows_on_which_the_estimator_fails_are_refused_without_their_values(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(version: LoadedVersion, parts: object) -> None:
        raise ZeroDivisionError("by a value that nobody may see")

    monkeypatch.setattr(LoadedVersion, "predict", fails)
    answer = client.post("/v1/models/forecast/predict", json={"rows": KEYS[:1]})
    assert answer.status_code == 422
    assert answer.json()["found"].startswith("features on which the estimator of version ")
    assert answer.json()["found"].endswith(" of 'forecast' fails (ZeroDivisionError)")
