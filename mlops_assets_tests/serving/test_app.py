"""What holds for every route: problem documents, health, metrics, and the description of the routes."""

import json
import logging
import re
from typing import Any

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from mlops_assets.errors import UnusableEnvironmentError
from mlops_assets.serving.app import create_app
from mlops_assets.serving.problems import KINDS
from mlops_assets.serving.settings import ServingSettings
from mlops_assets_tests.serving.conftest import Shop, application

pytestmark = pytest.mark.slow
LOOKUPS = [{"table": "trend", "features": ["level"]}, {"table": "shops"}]


def problem(answer: Any, status: int) -> Any:
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    return answer.json()


def test_every_error_is_a_problem_whose_kind_can_be_looked_up(client: TestClient) -> None:
    missing = problem(client.get("/v1/nothing"), 404)
    assert (missing["type"], missing["instance"], missing["found"]) == (
        "/problems/not-found",
        "/v1/nothing",
        "no route /v1/nothing",
    )
    other = client.delete("/v1/features")
    assert problem(other, 405)["expected"] == other.headers["allow"] == "POST"
    for status, (kind, title) in KINDS.items():
        assert client.get(f"/problems/{kind}").text == f"{status} {title}.\n"
    assert problem(client.get("/problems/none"), 404)["found"] == "a kind of problem 'none'"


def test_a_failure_of_the_server_tells_no_details_but_where_they_are(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    app = create_app(shop.platform, ServingSettings())

    @app.get("/fails")
    async def fails() -> None:
        raise RuntimeError("the secret of /tmp/home")

    @app.get("/full")
    async def full() -> None:
        raise UnusableEnvironmentError("no space in /tmp/home", "room", "make room")

    client = TestClient(app, raise_server_exceptions=False)
    for path in ("/fails", "/full"):
        caplog.clear()
        with caplog.at_level(logging.ERROR, "mlops_assets.serving"):
            answer = client.get(path)
        document = problem(answer, 500)
        assert "/tmp/home" not in answer.text
        assert document["instance"].startswith("urn:uuid:")
        assert document["instance"] in caplog.text


def test_health_and_metrics_need_no_token_on_loopback(shop: Shop) -> None:
    client = TestClient(create_app(shop.platform, ServingSettings()))
    assert client.get("/healthz").json() == {"alive": True}
    assert client.get("/readyz").json() == {"ready": True}
    assert client.get("/metrics").status_code == 200


def test_on_other_addresses_metrics_need_a_token(shop: Shop) -> None:
    client = TestClient(create_app(shop.platform, ServingSettings(host="0.0.0.0")))
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 200
    assert problem(client.get("/metrics"), 401)
    assert client.get("/metrics", headers={"Authorization": f"Bearer {shop.reading}"}).status_code == 200


def samples(client: TestClient) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """What the metrics say, by name and labels."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def test_metrics_count_requests_keys_and_ages_of_their_own_application(shop: Shop) -> None:
    client, other = application(shop), application(shop)
    rows = [{"shop": "s01"}, {"shop": "nobody"}, {"shop": "s02"}]
    client.post("/v1/features", json={"rows": rows, "lookups": LOOKUPS})
    client.post("/v1/features", json={"rows": rows})
    client.get("/v1/features/trend?shop=s01")
    client.request("BREW", "/coffee")
    found = samples(client)
    route = ("route", "/v1/features")
    assert found[("mlops_http_requests_total", (("method", "POST"), route, ("status", "200")))] == 1
    assert found[("mlops_http_requests_total", (("method", "POST"), route, ("status", "422")))] == 1
    assert found[("mlops_http_request_seconds_count", (route,))] == 2
    of_table = (("method", "GET"), ("route", "/v1/features/{table}"), ("status", "200"))
    assert found[("mlops_http_requests_total", of_table)] == 1
    assert found[("mlops_http_requests_total", (("method", "any"), ("route", "none"), ("status", "404")))] == 1
    trend, shops = (("table", "trend"),), (("table", "shops"),)
    assert found[("mlops_feature_keys_asked_total", trend)] == 4
    assert found[("mlops_feature_keys_missing_total", trend)] == 1
    assert found[("mlops_feature_age_seconds_count", trend)] == 3
    assert found[("mlops_feature_age_seconds_sum", trend)] == 3 * 3 * 86400
    assert found[("mlops_feature_keys_asked_total", shops)] == 3
    assert ("mlops_feature_age_seconds_sum", shops) in found
    assert not [name for name, _ in samples(other) if name.startswith("mlops_feature")]


def test_the_description_names_what_each_route_takes_and_every_problem_it_answers(client: TestClient) -> None:
    schema = client.get("/openapi.json").json()
    post = schema["paths"]["/v1/features"]["post"]
    body = post["requestBody"]["content"]["application/json"]
    assert body["schema"] == {"$ref": "#/components/schemas/AskedFeatures"}
    assert post["security"] == [{"token": []}]
    assert {"200", "400", "401", "403", "413", "415", "422", "500", "503"} <= set(post["responses"])
    assert "application/problem+json" in post["responses"]["422"]["content"]
    assert post["responses"]["200"]["content"]["application/json"]["example"]["rows"]
    references = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(schema)))
    assert references <= set(schema["components"]["schemas"])
    assert "x-schemas" not in json.dumps(schema)


def test_every_member_of_what_is_asked_and_answered_is_described(client: TestClient) -> None:
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    members = {f"{of}.{name}": member for of in schemas for name, member in schemas[of]["properties"].items()}
    assert [name for name, member in members.items() if not member.get("description")] == []
    assert not [of for of in schemas if "Args:" in schemas[of]["description"]]
    challenger = schemas["Model"]["properties"]["challenger"]
    assert challenger["description"] == "The version that competes with it, or waits for approval."


def test_the_examples_of_the_description_are_requests_of_their_form(client: TestClient) -> None:
    from mlops_assets.serving.asked import Answer, AskedFeatures

    post = client.get("/openapi.json").json()["paths"]["/v1/features"]["post"]
    for example in post["requestBody"]["content"]["application/json"]["examples"].values():
        AskedFeatures.model_validate(example["value"])
    Answer.model_validate(post["responses"]["200"]["content"]["application/json"]["example"])


def test_the_page_of_the_description_works_without_scripts_and_without_a_network(client: TestClient) -> None:
    page = client.get("/docs")
    assert page.status_code == 200
    assert "<script" not in page.text
    assert not re.findall(r'(?:src|href)="(?!/|#|data:)', page.text)
    assert "default-src 'none'" in page.headers["content-security-policy"]
    for words in ("POST /v1/features", "Two tables for two keys", "AskedLookup", "lookback", "/openapi.json"):
        assert words in page.text


def test_a_body_of_a_declared_length_is_refused_without_being_read(shop: Shop) -> None:
    client = application(shop, max_body_bytes=10)
    assert problem(client.post("/v1/features", content=b"x" * 11), 413)["expected"] == "at most 10 bytes"
