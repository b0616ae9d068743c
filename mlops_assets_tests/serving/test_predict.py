"""Predictions over HTTP: what is answered, to whom, how a request is refused, and what is kept of it."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from mlops_assets.models.records import present_champion
from mlops_assets.serving import request_log
from mlops_assets.serving.app import create_app
from mlops_assets.serving.predict import AnsweredPredictions, AskedPredictions
from mlops_assets.serving.settings import ServingSettings
from mlops_assets_tests.local_paths import path_of
from mlops_assets_tests.serving.conftest import publish_all
from mlops_assets_tests.serving.predicting import KEYS, broken, put_in_service, serving, shared_line, token
from mlops_assets_tests.serving.running import until
from mlops_assets_tests.small_line import Line

pytestmark = pytest.mark.slow
ROUTE = "/v1/models/forecast/predict"


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    return shared_line(tmp_path_factory).copy(tmp_path_factory.mktemp("predict") / "line")


@pytest.fixture(scope="module")
def client(line: Line) -> Any:
    with serving(line) as client:
        yield client


def ask(client: TestClient, **content: Any) -> Any:
    answer = client.post(ROUTE, json=content)
    assert answer.status_code == 200, answer.text
    return answer.json()


def refusal(client: TestClient, status: int, content: Any, route: str = ROUTE, **headers: str) -> Any:
    answer = client.post(route, json=content, headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    return answer.json()


def predictions(client: TestClient) -> list[float]:
    return [row["prediction"] for row in ask(client, rows=KEYS)["rows"]]


def given_features(line: Line, client: TestClient) -> list[dict[str, Any]]:
    """The features of all keys, as somebody who may see all of them is told."""
    headers = {"Authorization": f"Bearer {token(line.platform, 'administrator')}"}
    answer = client.post("/v1/features", json={"rows": KEYS, "model": "forecast"}, headers=headers).json()
    return [row["features"] for row in answer["rows"]]


def test_keys_are_answered_in_their_order_with_version_time_and_ages(line: Line, client: TestClient) -> None:
    asked = [KEYS[3], {**KEYS[0], "shop": "nobody"}, KEYS[3]]
    answer = ask(client, rows=asked)
    champion = present_champion(line.platform, line.model)
    assert champion
    assert (answer["model"], answer["version"]) == ("forecast", champion.version)
    assert answer["promoted_at"] == champion.happened_at.isoformat().replace("+00:00", "Z")
    assert answer["now"] == line.platform.clock.now().isoformat().replace("+00:00", "Z")
    first, nobody, last = answer["rows"]
    assert first == last != nobody
    assert first["found"]["shops"] == {"event_time": None, "age_seconds": None}
    assert first["found"]["trend"]["age_seconds"] > 0
    assert nobody["found"] == {"trend": None, "shops": None}


def test_who_asks_is_told_what_each_feature_contributes_and_of_personal_ones_only_with_the_scope(
    line: Line, client: TestClient
) -> None:
    plain = ask(client, rows=KEYS[:3])
    everything = {"Authorization": f"Bearer {token(line.platform, 'administrator')}"}
    told = client.post(f"{ROUTE}?explain=1", json={"rows": KEYS[:3]}, headers=everything).json()
    assert AnsweredPredictions.model_validate(told)
    for row, before in zip(told["rows"], plain["rows"], strict=True):
        made_of = row.pop("contributions")
        assert row == before and set(made_of["features"]) == {*line.model.feature_names}
        total = made_of["base"] + sum(made_of["features"].values())
        assert total == pytest.approx(row["prediction"], abs=1e-9)
    hidden = {name for name in line.model.feature_names if name in line.model.personal_names}
    masked = client.post(f"{ROUTE}?explain=1", json={"rows": [KEYS[0], {**KEYS[0], "shop": "nobody"}]}).json()["rows"]
    assert hidden and masked[0]["contributions"]["base"] is None
    assert {name for name, one in masked[0]["contributions"]["features"].items() if one is None} == hidden
    assert masked[1]["prediction"] is masked[1]["contributions"] is None
    given = client.post(f"{ROUTE}?explain=1", json={"features": given_features(line, client)[:1]}).json()["rows"][0]
    assert None not in given["contributions"]["features"].values()  # who gives them knows them
    assert client.post(f"{ROUTE}?explain=0", json={"rows": KEYS[:3]}).json()["rows"] == plain["rows"]


def test_few_rows_are_explained_at_once_and_only_who_asks_with_one(line: Line, client: TestClient) -> None:
    found = refusal(client, 422, {"rows": [KEYS[0]] * 21}, f"{ROUTE}?explain=1")
    assert (found["found"], found["expected"]) == ("21 rows to explain", "at most 20")
    assert refusal(client, 422, {"rows": KEYS}, f"{ROUTE}?explain=yes")["found"] == "explain that is neither 0 nor 1"


def test_given_features_are_predicted_as_those_that_were_looked_up(line: Line, client: TestClient) -> None:
    by_key, given = ask(client, rows=KEYS), ask(client, features=given_features(line, client))
    assert [row["prediction"] for row in given["rows"]] == [row["prediction"] for row in by_key["rows"]]
    assert [row["found"] for row in given["rows"]] == [{}] * len(KEYS)


def test_no_value_of_a_feature_is_in_the_answer(client: TestClient) -> None:
    answer = ask(client, rows=[KEYS[1]])
    assert set(answer["rows"][0]) == {"prediction", "lower", "upper", "found"}
    assert "north" not in json.dumps(answer) and "south" not in json.dumps(answer)


@pytest.mark.parametrize(
    ("content", "found", "cure"),
    [
        ({}, "neither rows and features", ""),
        ({"rows": [], "features": []}, "both rows and features", ""),
        ({"row": []}, "a member 'row'", "write 'rows'"),
        ({"rows": {}}, "no rows", ""),
        ({"rows": [{"shop": "s01", "asked": 1}]}, "rows[0] without 'sister'", "add it"),
        ({"rows": [{"shop": "s01", "sister": "s00", "asked": "x4711"}]}, "another value in rows[0].asked", ""),
        ({"features": {}}, "features that are no list", ""),
        ({"features": [1]}, "features[0], which is no object", ""),
        ({"features": [{"levle": 1}]}, "features[0] with 'levle', which is no feature of 'forecast'", "write 'level'"),
        ({"features": [{"level": 1}]}, "features[0] without 'crowd'", "add it"),
    ],
)
def test_a_request_that_cannot_be_is_refused_and_says_what_to_do(
    client: TestClient, content: Any, found: str, cure: str
) -> None:
    refused = refusal(client, 422, content)
    assert (refused["found"], cure in refused["cure"]) == (found, True)
    assert "4711" not in json.dumps(refused)


def test_a_given_value_of_another_type_is_named_by_row_and_column_and_not_shown(line: Line, client: TestClient) -> None:
    rows = given_features(line, client)[:2]
    rows[1]["region"] = 4711
    refused = refusal(client, 422, {"features": rows})
    assert refused["found"] == "another value in features[1].region"
    assert refused["expected"] == "a text, or null"
    assert "4711" not in json.dumps(refused)


def test_a_model_that_is_not_there_and_a_token_without_the_scope_are_refused(line: Line, client: TestClient) -> None:
    assert refusal(client, 404, {"rows": []}, "/v1/models/forcast/predict")["cure"] == "write 'forecast'"
    reader = {"Authorization": f"Bearer {token(line.platform, 'reader')}"}
    assert refusal(client, 403, {"rows": []}, **reader)["found"].endswith("without the scope predict")
    assert refusal(client, 401, {"rows": []}, Authorization="Bearer nothing")


def test_limits_hold(line: Line) -> None:
    with serving(line, max_keys=2) as client:
        assert refusal(client, 422, {"rows": KEYS[:3]})["found"] == "3 rows"
        assert refusal(client, 422, {"features": [{}] * 3})["found"] == "3 rows"
        assert len(ask(client, rows=KEYS[:2])["rows"]) == 2
        assert ask(client, rows=[])["rows"] == []


def test_without_a_champion_the_answer_is_503_until_one_is_promoted(line: Line, tmp_path: Path) -> None:
    own = line.copy(tmp_path / "line")
    shutil.rmtree(path_of(own.platform.records(own.model, "transition").delta.folder))
    (own.platform.home.folder / "online.sqlite").unlink()
    with serving(own) as client:
        answer = client.post(ROUTE, json={"rows": KEYS})
        assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
        assert answer.json()["found"] == "no version of 'forecast' that was promoted"
        put_in_service(own, 1)
        until(lambda: client.post(ROUTE, json={"rows": KEYS}).json()["found"] == "nothing was published of 'trend'")
        publish_all(own.platform)
        assert ask(client, rows=KEYS)["version"] == 1


def test_a_promotion_and_a_rollback_are_followed(line: Line, tmp_path: Path) -> None:
    own = line.copy(tmp_path / "line")
    with serving(own) as client:
        second = predictions(client)
        put_in_service(own, 1)
        until(lambda: ask(client, rows=KEYS)["version"] == 1, seconds=5)
        first = predictions(client)
        put_in_service(own, 2)
        until(lambda: ask(client, rows=KEYS)["version"] == 2, seconds=5)
        assert predictions(client) == second != first


def test_a_version_that_cannot_be_loaded_leaves_the_one_before_serving_and_health_says_so(
    line: Line, tmp_path: Path
) -> None:
    own = line.copy(tmp_path / "line")
    put_in_service(own, 1)
    with serving(own) as client:
        assert ask(client, rows=KEYS)["version"] == 1
        with broken(own, 2):
            put_in_service(own, 2)
            until(lambda: "degraded" in client.get("/readyz").text)
            ready = client.get("/readyz")
            assert (ready.status_code, ready.json()["ready"]) == (200, True)
            assert "version 2 of 'forecast' cannot be loaded, and version 1 serves" in ready.json()["degraded"][0]
            assert client.get("/healthz").json()["degraded"] == ready.json()["degraded"]
            assert ask(client, rows=KEYS)["version"] == 1
            shown = client.get("/metrics").text
            assert 'mlops_model_version{model="forecast"} 1.0' in shown
            assert 'mlops_model_load_failing_seconds{model="forecast"} 0.0\n' not in shown
        until(lambda: ask(client, rows=KEYS)["version"] == 2)
        assert client.get("/readyz").json() == {"ready": True}
        assert 'mlops_model_load_failing_seconds{model="forecast"} 0.0\n' in client.get("/metrics").text


def test_many_at_once_are_answered_each_with_its_own_rows(line: Line, client: TestClient) -> None:
    alone = {row["shop"]: ask(client, rows=[row])["rows"] for row in KEYS}
    bearer = {"Authorization": f"Bearer {token(line.platform, 'application')}"}

    async def own() -> list[tuple[Any, Any]]:
        app = create_app(line.platform, ServingSettings())
        async with app.router.lifespan_context(app):
            while app.state.context.champions.loading:
                await asyncio.sleep(0.01)
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://server", headers=bearer) as asking:
                asked = [KEYS[number % len(KEYS)] for number in range(60)]
                answers = await asyncio.gather(*(asking.post(ROUTE, json={"rows": [row]}) for row in asked))
                return [(row["shop"], answer.json()["rows"]) for row, answer in zip(asked, answers, strict=True)]

    for shop, rows in asyncio.run(own()):
        assert rows == alone[shop]


def rows_kept(line: Line) -> list[dict[str, Any]]:
    """The inference table, in the order of rows."""
    rows = line.platform.requests(line.model).states().to_pylist()
    return sorted(rows, key=lambda row: (row["request_id"], row["request_row"]))


def logging_line(line: Line, folder: Path, settings: str) -> Line:
    own = line.copy(folder / "line")
    own.files.change("forecast/defs.yaml", "  retrain:", f"  serve: {settings}\n  retrain:")
    return own.open()


def test_requests_are_kept_with_what_they_were_answered_from_without_what_is_personal(
    line: Line, tmp_path: Path
) -> None:
    own = logging_line(line, tmp_path, "{log_share: 1}")
    features = given_features(line, TestClient(create_app(line.platform, ServingSettings())))
    with serving(own) as client:
        answer = client.post(ROUTE, json={"rows": KEYS[:2]}, headers={"X-Request-ID": "a"}).json()
        given = client.post(ROUTE, json={"features": features[:1]}, headers={"X-Request-ID": "b"}).json()
        assert answer["request_id"] == "a"
    first, second, of_given = rows_kept(own)  # written when it stopped
    now = own.platform.clock.now()
    assert (first["request_id"], first["request_row"], first["asked_at"]) == ("a", 0, now)
    assert (first["shop"], first["sister"], second["shop"], second["asked"]) == ("s00", "s00", "s01", 100)
    assert first["asked_by"].startswith("test ")
    assert first["version"] == answer["version"]
    assert first["prediction"] == answer["rows"][0]["prediction"]
    assert first["level"] == features[0]["level"]
    assert first["region"] is first["northern"] is None, "personal, or computed from what is"
    assert first["found_trend"].isoformat().startswith(answer["rows"][0]["found"]["trend"]["event_time"][:19])
    assert (of_given["shop"], of_given["found_trend"]) == (None, None)
    assert of_given["prediction"] == given["rows"][0]["prediction"]
    table = own.platform.requests(own.model)
    assert table.delta.newest_period() == own.model.schema.calendar.of(now).key
    assert own.platform.engine.known_at(table, now).num_rows == 3
    assert table.schema.column("northern").sensitivity == "personal"


def test_personal_columns_are_kept_where_the_model_says_so(line: Line, tmp_path: Path) -> None:
    own = logging_line(line, tmp_path, "{log_share: 1, log_personal: true}")
    with serving(own) as client:
        ask(client, rows=KEYS[:1])
    assert rows_kept(own)[0]["region"] == "north"


def test_a_share_of_the_requests_is_kept_by_their_ids_alone(line: Line, tmp_path: Path) -> None:
    own = logging_line(line, tmp_path, "{log_share: 0.5}")
    ids = [f"request {number}" for number in range(30)]
    with serving(own) as client:
        for name in ids:
            client.post(ROUTE, json={"rows": KEYS[:1]}, headers={"X-Request-ID": name})
    kept = {row["request_id"] for row in rows_kept(own)}
    assert kept == {name for name in ids if request_log.is_sampled(name, 0.5)}
    assert 5 < len(kept) < 25


def test_what_the_log_cannot_hold_or_write_is_dropped_and_counted(
    line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = logging_line(line, tmp_path, "{log_share: 1}")
    monkeypatch.setattr(request_log, "MAX_ROWS_KEPT", 3)
    with serving(own, request_log_seconds=1) as client:
        ask(client, rows=KEYS[:2])
        ask(client, rows=KEYS[:2])
        counted = 'mlops_request_log_rows_total{model="forecast",outcome='
        assert f'{counted}"dropped"}} 2.0' in client.get("/metrics").text
        until(lambda: f'{counted}"written"}} 2.0' in client.get("/metrics").text)
        path_of(own.platform.requests(own.model).delta.folder).rename(tmp_path / "away")
        path_of(own.platform.requests(own.model).delta.folder).write_text("no folder", encoding="utf-8")
        ask(client, rows=KEYS[:1])
        until(lambda: f'{counted}"dropped"}} 3.0' in client.get("/metrics").text)
        ask(client, rows=KEYS[:1])


def test_two_servers_write_to_one_table(line: Line, tmp_path: Path) -> None:
    own = logging_line(line, tmp_path, "{log_share: 1}")
    with serving(own) as one, serving(own) as other:
        for client in (one, other):
            ask(client, rows=KEYS)
    assert len(rows_kept(own)) == 2 * len(KEYS)


@pytest.mark.parametrize("name", ["", "x" * 201, "\x7f"])
def test_a_request_id_that_cannot_be_is_refused(client: TestClient, name: str) -> None:
    assert "X-Request-ID" in refusal(client, 400, {"rows": []}, **{"X-Request-ID": name})["found"]


def test_the_description_names_the_route_its_model_and_both_forms(client: TestClient) -> None:
    described = client.get("/openapi.json").json()["paths"]["/v1/models/{model}/predict"]["post"]
    assert [one["name"] for one in described["parameters"]] == ["model", "explain"]
    for example in described["requestBody"]["content"]["application/json"]["examples"].values():
        AskedPredictions.model_validate(example["value"])
    AnsweredPredictions.model_validate(described["responses"]["200"]["content"]["application/json"]["example"])
    assert "POST /v1/models/{model}/predict" in client.get("/docs").text
