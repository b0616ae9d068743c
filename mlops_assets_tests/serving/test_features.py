"""Features over HTTP: what is answered, to whom, and how a request is refused."""

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.engines.contract import ResolvedLookup
from mlops_assets.features.online import redis
from mlops_assets.platform import Platform
from mlops_assets.serving.app import create_app
from mlops_assets.serving.settings import ServingSettings
from mlops_assets_tests.features.online.redis_server import PASSWORD, RedisServer
from mlops_assets_tests.serving.conftest import CHANGES, Shop, application, publish_all
from mlops_assets_tests.small_line import SHOPS, Line

pytestmark = pytest.mark.slow


def ask(client: TestClient, rows: Any, *lookups: Any, **more: Any) -> Any:
    """The answer to a request that succeeds."""
    answer = client.post("/v1/features", json={"rows": rows, **({"lookups": lookups} if lookups else {}), **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def refusal(client: TestClient, status: int, **request: Any) -> Any:
    """The problem document of a request that is refused."""
    answer = client.post("/v1/features", **request)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    document = answer.json()
    assert document["status"] == status
    assert document["detail"] == (
        f"Found: {document['found']}. Expected: {document['expected']}. What to do: {document['cure']}."
    )
    return document


def test_many_keys_and_tables_are_answered_in_their_order_as_the_engine_answers(shop: Shop, client: TestClient) -> None:
    import pyarrow as pa

    asked = [*SHOPS[:3], "nobody", SHOPS[0]]
    trend = {"table": "trend", "features": ["level", "since", "opened"], "rename": {"level": "height"}}
    answer = ask(client, [{"shop": name} for name in asked], trend, {"table": "sales", "features": "units"})
    now = shop.platform.clock.now()
    moments = pa.array([now] * len(asked), pa.timestamp("us", "UTC"))
    rows = pa.table({"shop": asked, "anchor": moments, "as_of": moments})
    engine = shop.platform.engine
    lookups = [
        ResolvedLookup(shop.platform.table("trend"), ("level", "since", "opened"), rename={"level": "height"}),
        ResolvedLookup(shop.platform.table("sales"), ("units",)),
    ]
    expected = engine.to_arrow(engine.lookup(engine.rows(rows), lookups)).to_pylist()
    assert answer["now"] == now.isoformat().replace("+00:00", "Z")
    for row, right in zip(answer["rows"], expected, strict=True):
        features = row["features"]
        assert features["height"] == right["height"]
        assert features["units"] == right["units"]
        assert features["since"] == (right["since"] and right["since"].isoformat().replace("+00:00", "Z"))
        assert features["opened"] == (right["opened"] and right["opened"].isoformat())
    newest = f"{shop.days[-1]}T00:00:00Z"
    assert answer["rows"][0]["found"]["trend"] == {"event_time": newest, "age_seconds": 3 * 86400.0}
    assert answer["rows"][3]["found"] == {"trend": None, "sales": None}


def test_a_static_table_has_no_time_and_a_default_fills_what_is_missing(client: TestClient) -> None:
    rows = [{"my shop": "s01"}, {"my shop": "nobody"}]
    lookup = {"table": "trend", "features": ["opened", "crowd"], "lookup_key": "my shop", "lookback": "30 days"}
    answer = ask(
        client, rows, {**lookup, "default": {"opened": "2020-02-29", "crowd": 0}},
        {"table": "shops", "lookup_key": "my shop"},
    )  # fmt: skip
    assert answer["rows"][0]["found"]["shops"] == {"event_time": None, "age_seconds": None}
    assert answer["rows"][1]["features"] == {"opened": "2020-02-29", "crowd": 0, "region": None}


def test_a_model_answers_with_all_its_features_computed_ones_too(shop: Shop, client: TestClient) -> None:
    row = {"shop": "s01", "sister": "s00", "asked": "9007199254740993"}
    answer = ask(client, [row, row], model="forecast")
    features = answer["rows"][1]["features"]
    assert list(features) == list(shop.line.model.feature_names)
    assert features["asked"] == 9007199254740993
    assert features["twice"] == pytest.approx(2 * features["level"])
    assert set(answer["rows"][0]["found"]) == {"trend", "shops"}


def test_one_key_is_answered_by_its_address(client: TestClient) -> None:
    answer = client.get("/v1/features/trend", params={"shop": "s02", "columns": "crowd,level"}).json()
    asked = ask(client, [{"shop": "s02"}], {"table": "trend", "features": ["crowd", "level"]})
    assert answer == asked
    assert list(answer["rows"][0]["features"]) == ["crowd", "level"]


@pytest.mark.parametrize(
    ("address", "status", "found"),
    [
        ("trends?shop=s01", 404, "table 'trends'"),
        ("visits?shop=s01", 422, "table 'visits', which is not published"),
        ("trend", 422, "no parameter 'shop'"),
        ("trend?shop=s01&shop=s02", 422, "a parameter twice"),
        ("trend?shop=s01&colums=level", 422, "a parameter 'colums'"),
        ("trend?shop=s01&columns=levels", 422, "column 'levels', which 'trend' does not have"),
        ("trend?shop=s01&columns=", 422, "column '', which 'trend' does not have"),
    ],
)
def test_an_address_that_asks_wrongly_is_refused(client: TestClient, address: str, status: int, found: str) -> None:
    answer = client.get(f"/v1/features/{address}")
    assert (answer.status_code, answer.json()["found"]) == (status, found)


def test_personal_columns_are_masked_without_the_scope_and_what_is_computed_from_them(
    shop: Shop, client: TestClient
) -> None:
    rows = [{"shop": "s01", "sister": "s00", "asked": 1}]
    lookups = [{"table": "sales", "features": ["price", "units"], "rename": {"price": "cost"}}]
    assert ask(client, rows, *lookups)["masked"] == ["cost"]
    assert ask(client, rows, *lookups)["rows"][0]["features"] == {"cost": None, "units": 595}
    masked = ask(client, rows, model="forecast")
    assert masked["masked"] == ["region", "northern"]
    assert (masked["rows"][0]["features"]["region"], masked["rows"][0]["features"]["northern"]) == (None, None)
    entitled = application(shop, shop.personal)
    assert ask(entitled, rows, *lookups)["rows"][0]["features"] == {"cost": 1.5, "units": 595}
    assert ask(entitled, rows, *lookups)["masked"] == []
    assert ask(entitled, rows, model="forecast")["rows"][0]["features"]["northern"] is False
    one = client.get("/v1/features/sales", params={"shop": "s01", "columns": "price"}).json()
    assert (one["masked"], one["rows"][0]["features"]) == (["price"], {"price": None})


def test_a_default_does_not_tell_whether_a_masked_value_is_there(client: TestClient) -> None:
    rows = [{"shop": "s01"}, {"shop": "nobody"}]
    answer = ask(client, rows, {"table": "sales", "features": ["price"], "default": {"price": 7.0}})
    assert [row["features"]["price"] for row in answer["rows"]] == [None, None]


LOOKUPS = [{"table": "trend"}]


@pytest.mark.parametrize(
    ("request_", "found"),
    [
        ({"rows": []}, "neither lookups and model"),
        ({"rows": [], "lookups": LOOKUPS, "model": "forecast"}, "both lookups and model"),
        ({"lookups": LOOKUPS}, "no rows"),
        ({"rows": {}, "lookups": LOOKUPS}, "no rows"),
        ({"rows": [1], "lookups": LOOKUPS}, "rows[0], which is no object"),
        ({"rows": [{"shop": "s01"}, {}], "lookups": LOOKUPS}, "rows[1] without 'shop'"),
        ({"rows": [{"shop": 1}], "lookups": LOOKUPS}, "another value in rows[0].shop"),
        ({"rows": [{"shop": "s01"}], "lookup": LOOKUPS}, "a member 'lookup'"),
        ({"rows": [], "lookups": []}, "lookups: List should have at least 1 item after validation, not 0"),
        ({"rows": [], "lookups": [{"table": 7}]}, "lookups.0.table: Input should be a valid string"),
        ({"rows": [], "lookups": [{"table": "trend", "feature": "a"}]}, "lookups.0.feature: Extra inputs are not"),
        ({"rows": [], "lookups": [{"table": "trends"}]}, "table 'trends'"),
        ({"rows": [], "lookups": [{"table": "visits"}]}, "table 'visits', which is not published"),
        ({"rows": [], "lookups": [{"table": "trend", "features": ["levle"]}]}, "column 'levle', which 'trend' does"),
        ({"rows": [], "lookups": LOOKUPS * 2}, "a feature "),
        ({"rows": [], "lookups": [{"table": "trend", "default": {"opened": "soon"}}]}, 'the default "soon" of'),
        ({"rows": [], "lookups": [{"table": "trend", "default": {"level": 10**309}}]}, "the default 1000"),
        ({"rows": [], "lookups": [{"table": "trend", "lookback": "long"}]}, "duration 'long'"),
        ({"rows": [], "model": "forecasts"}, "model 'forecasts'"),
        ({"rows": [], "model": 7}, "a model that is no text"),
        ({"rows": [{"shop": "s01"}], "model": "forecast"}, "rows[0] without 'sister'"),
        ({"rows": [{"shop": "s01", "sister": "s00", "asked": 1.5}], "model": "forecast"}, "another value in rows[0]."),
        ([], "a body that is no JSON object"),
    ],
)
def test_a_request_that_cannot_be_is_refused_and_says_what_to_do(client: TestClient, request_: Any, found: str) -> None:
    assert refusal(client, 422, json=request_)["found"].startswith(found)


def test_a_value_that_is_refused_is_not_shown_for_it_may_be_personal(client: TestClient) -> None:
    refused = refusal(client, 422, json={"rows": [{"shop": 4711}], "lookups": LOOKUPS})
    assert "4711" not in json.dumps(refused)
    assert (refused["expected"], refused["instance"]) == ("a text, or null", "/v1/features")


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"", "application/json", 400),
        (b"\xff\xfe\x00", "application/json", 400),
        (b'{"rows": [NaN]}', "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b'{"rows": [{"shop": ' + b"1" * 5000 + b"}]}", "application/json", 400),
        (b'{"rows": [{"shop": "\\ud800"}], "lookups": [{"table": "trend"}]}', "application/json; charset=utf-8", 422),
        (b"{}", "text/plain", 415),
        (b"{}", None, 415),
    ],
)
def test_a_body_that_is_no_json_is_refused(client: TestClient, content: bytes, kind: str | None, status: int) -> None:
    refusal(client, status, content=content, headers={"Content-Type": kind} if kind else {})


@pytest.mark.parametrize(
    "body",
    [
        {"\ud800": 1},
        {"rows": [], "model": "\ud800"},
        {"rows": [], "lookups": [{"table": "\ud800"}]},
        {"rows": [{}], "lookups": [{"table": "trend", "lookup_key": "\ud800"}]},
        {"rows": [], "lookups": [{"table": "trend", "features": "level", "rename": {"\ud800": "a"}}]},
    ],
)
def test_a_name_of_half_a_character_is_refused_as_any_other(client: TestClient, body: Any) -> None:
    headers = {"Content-Type": "application/json"}
    assert "\\ud800" in json.dumps(refusal(client, 422, content=json.dumps(body), headers=headers)["found"])


def test_a_feature_may_be_called_anything_that_json_can_say(client: TestClient) -> None:
    lookup = {"table": "trend", "features": "level", "rename": {"level": "\ud800"}}
    body = json.dumps({"rows": [{"shop": "s01"}], "lookups": [lookup]})
    answer = client.post("/v1/features", content=body, headers={"Content-Type": "application/json"})
    assert list(answer.json()["rows"][0]["features"]) == ["\ud800"]


def test_more_rows_or_lookups_than_allowed_are_refused(shop: Shop) -> None:
    client = application(shop, max_keys=2, max_lookups=1)
    rows = [{"shop": "s01"}] * 3
    assert refusal(client, 422, json={"rows": rows, "lookups": LOOKUPS})["found"] == "3 rows"
    assert refusal(client, 422, json={"rows": [], "lookups": LOOKUPS * 2})["found"] == "2 lookups"
    assert len(ask(client, rows[:2], *LOOKUPS)["rows"]) == 2


def test_a_token_is_needed_and_the_scope(shop: Shop) -> None:
    platform = shop.platform
    app = create_app(platform, ServingSettings())
    request: dict[str, Any] = {"json": {"rows": [], "lookups": LOOKUPS}}
    for headers in ({}, {"Authorization": "Bearer nothing"}, {"Authorization": "Basic dTpw"}):
        answer = TestClient(app).post("/v1/features", headers=headers, **request)
        assert (answer.status_code, answer.json()["type"]) == (401, "/problems/not-authenticated")
        assert answer.headers["www-authenticate"].startswith('Bearer realm="mlops-assets"')
    now = platform.clock.now()
    revoked = platform.tokens.create("gone", ("reader",), None, now)
    platform.tokens.revoke("gone", now)
    assert (
        TestClient(app).post("/v1/features", headers={"Authorization": f"Bearer {revoked}"}, **request).status_code
        == 401
    )


def test_a_role_without_the_scope_is_refused(tmp_path: Path, shop: Shop) -> None:
    from dataclasses import replace

    roles = {**shop.platform.project.roles, "pusher": frozenset({"sources:push"})}
    line = shop.line.copy(tmp_path / "line")
    platform = Platform.of(replace(line.platform.project, roles=roles), line.platform.home)  # type: ignore[arg-type]
    token = platform.tokens.create("pusher", ("pusher",), None, platform.clock.now())
    client = TestClient(create_app(platform, ServingSettings()), headers={"Authorization": f"Bearer {token}"})
    refused = refusal(client, 403, json={"rows": [], "lookups": LOOKUPS})
    assert refused["found"] == "'pusher' without the scope features:read"


def test_nothing_published_yet_is_said_and_mends_itself(tmp_path: Path) -> None:
    line = Line(tmp_path / "line", CHANGES)
    line.live(3)
    platform = line.platform
    token = platform.tokens.create("reader", ("reader",), None, platform.clock.now())
    client = TestClient(create_app(platform, ServingSettings()), headers={"Authorization": f"Bearer {token}"})
    refused = refusal(client, 503, json={"rows": [{"shop": "s01"}], "lookups": LOOKUPS})
    assert refused["found"] == "nothing was published of 'trend'"
    assert client.get("/readyz").json()["missing"] == ["rows of sales", "rows of shops", "rows of trend"]
    publish_all(platform)
    assert ask(client, [{"shop": "s01"}], *LOOKUPS)["rows"][0]["found"]["trend"]
    assert client.get("/readyz").status_code == 200


def test_a_store_that_is_down_is_named_and_the_same_server_answers_when_it_is_back(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = RedisServer().start()
    try:
        monkeypatch.setenv("MLOPS_ONLINE_STORE", server.url)
        line = shop.line.copy(tmp_path / "line")
        publish_all(line.platform)
        client = TestClient(create_app(line.platform, ServingSettings(retry_seconds=7)), raise_server_exceptions=False)
        client.headers["Authorization"] = f"Bearer {shop.reading}"
        before = ask(client, [{"shop": "s01"}], *LOOKUPS)
        assert before["rows"] == ask(application(shop), [{"shop": "s01"}], *LOOKUPS)["rows"]
        server.stop()
        for _ in range(2):
            answer = client.post("/v1/features", json={"rows": [{"shop": "s01"}], "lookups": LOOKUPS})
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "7"), answer.text
            assert answer.json()["type"] == "/problems/unavailable"
            assert f"127.0.0.1:{server.port}" in answer.json()["found"]
            assert PASSWORD not in answer.text
        assert client.get("/readyz").status_code == 503
        assert client.get("/healthz").status_code == 200
        server.start()
        assert "nothing was published" in client.post("/v1/features", json={"rows": [], "lookups": LOOKUPS}).text
        publish_all(line.platform)
        assert ask(client, [{"shop": "s01"}], *LOOKUPS) == before
    finally:
        server.close()


def test_a_store_that_is_slow_holds_up_nobody_else(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis, "SECONDS_TO_ANSWER", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("MLOPS_ONLINE_STORE", f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        app = create_app(shop.platform, ServingSettings())
        headers = {"Authorization": f"Bearer {shop.reading}"}

        async def both() -> tuple[bool, int]:
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://server", headers=headers) as client:
                body = {"rows": [{"shop": "s01"}], "lookups": LOOKUPS}
                slow = asyncio.create_task(client.post("/v1/features", json=body, timeout=60))
                await asyncio.get_running_loop().run_in_executor(None, silent.accept)  # it has begun to ask the store
                assert (await client.get("/healthz")).status_code == 200
                return slow.done(), (await slow).status_code

        assert asyncio.run(both()) == (False, 503)


@settings(max_examples=40)
@given(value=st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists))
def test_whatever_a_row_holds_the_server_answers_or_refuses(client: TestClient, value: Any) -> None:
    body = json.dumps({"rows": [{"shop": "s01", "sister": value, "asked": value}], "model": "forecast"})
    answer = client.post("/v1/features", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (200, 400, 422)
