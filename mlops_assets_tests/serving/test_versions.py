"""Versions over HTTP: who may look, who may decide, what is recorded, and what is refused."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import TypeAdapter

from mlops_assets.client import Model
from mlops_assets.models.records import candidate_of_version, transitions
from mlops_assets.models.shown import ShownVersion
from mlops_assets.serving.app import create_app
from mlops_assets.serving.settings import ServingSettings
from mlops_assets.serving.versions import AskedDecision, AskedRollback
from mlops_assets_tests.models.registering import Decided, let_two_approvals_meet
from mlops_assets_tests.serving.predicting import shared_line, token
from mlops_assets_tests.small_line import Line

pytestmark = pytest.mark.slow
VERSIONS = "/v1/models/forecast/versions"
WHY = {"reason": "better in the north"}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Line:
    """A model that requires approval: version 1 served before version 2, and version 3 waits."""
    line = shared_line(tmp_path_factory).copy(tmp_path_factory.mktemp("versions") / "line")
    line.files.change("forecast/defs.yaml", "  retrain:", "  approval: required\n  retrain:")
    line.open()
    decided(line).version()
    return line


@pytest.fixture
def line(shared: Line, tmp_path: Path) -> Line:
    return shared.copy(tmp_path / "line")


def decided(line: Line) -> Decided:
    return Decided(line.platform, candidate_of_version(line.platform, line.model, 1), line.model)


def asking(line: Line, *roles: str, bearer: str = "") -> TestClient:
    """The application, asked by somebody with these roles, or with a token."""
    app = create_app(line.platform, ServingSettings())
    bearer = bearer or (token(line.platform, *roles) if roles else "")
    headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
    return TestClient(app, headers=headers, raise_server_exceptions=False)


def refused(answer: Any, status: int) -> Any:
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    return answer.json()


def given(answer: Any) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_models_and_versions_are_read_with_the_scope_that_reading_needs(shared: Line) -> None:
    reader = asking(shared, "reader")
    models = given(reader.get("/v1/models"))
    assert models == [
        {"model": "forecast", "champion": 2, "previous": 1, "challenger": 3, "approval": "required", "versions": 3}
    ]
    versions = given(reader.get(VERSIONS))
    assert [(one["version"], one["state"]) for one in versions] == [
        (1, "previous"), (2, "champion"), (3, "challenger")
    ]  # fmt: skip
    second = given(reader.get(f"{VERSIONS}/2"))
    assert second == versions[1]
    training = candidate_of_version(shared.platform, shared.model, 2)
    assert (second["model_hash"], second["figures"]) == (training.model_hash, dict(training.figure_values))
    assert [gate["name"] for gate in second["gates"]] == ["enough_rows", "mae_better_than_baseline"]
    assert [(one["kind"], one["by"]) for one in second["transitions"]] == [("promotion", "the gates")]
    TypeAdapter(list[Model]).validate_python(models)
    TypeAdapter(list[ShownVersion]).validate_python(versions)
    assert "models show forecast" in refused(reader.get(f"{VERSIONS}/7"), 404)["cure"]
    assert refused(reader.get("/v1/models/forcast/versions"), 404)["cure"] == "write 'forecast'"
    for path in ("/v1/models", VERSIONS, f"{VERSIONS}/2"):
        assert refused(asking(shared).get(path), 401)


def test_an_approval_is_recorded_with_the_token_s_name_and_promotes_once(line: Line) -> None:
    bearer = line.platform.tokens.create("ana", ("approver",), None, line.platform.clock.now())
    ana = asking(line, bearer=bearer)
    approved = given(ana.post(f"{VERSIONS}/3/approve", json=WHY))
    (approval,) = line.platform.approvals.of("forecast")
    assert (approval.version, approval.meaning, approval.by, approval.reason) == (3, "approved", "ana", WHY["reason"])
    assert approved["state"] == "champion"
    assert [(one["by"], one["reason"]) for one in approved["approvals"]] == [("ana", WHY["reason"])]
    assert [(one["kind"], one["by"]) for one in approved["transitions"]] == [("promotion", "ana")]
    assert given(ana.post(f"{VERSIONS}/3/approve", json=WHY)) == approved
    assert [one.version for one in transitions(line.platform, line.model)] == [1, 2, 3]


def test_of_two_approvals_at_once_one_wins_and_the_other_is_told(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    decided(line).version()
    ana, ben = asking(line, "approver"), asking(line, "approver")
    let_two_approvals_meet(monkeypatch)
    with ThreadPoolExecutor(2) as threads:
        third = threads.submit(ana.post, f"{VERSIONS}/3/approve", json=WHY)
        fourth = threads.submit(ben.post, f"{VERSIONS}/4/approve", json=WHY)
    won, lost = sorted((third.result(), fourth.result()), key=lambda answer: answer.status_code)
    version = given(won)["version"]
    assert f"version {version} was promoted to champion by " in refused(lost, 409)["found"]
    assert [one.version for one in transitions(line.platform, line.model)] == [1, 2, version]


def test_versions_are_rejected_retired_and_rolled_back_to(line: Line) -> None:
    ana = asking(line, "approver")
    assert given(ana.post(f"{VERSIONS}/3/reject", json=WHY))["state"] == "registered"
    back = given(ana.post("/v1/models/forecast/rollback", json=WHY))
    assert (back["version"], back["state"], back["transitions"][-1]["kind"]) == (1, "champion", "rollback")
    assert given(ana.post("/v1/models/forecast/rollback", json={**WHY, "to": 2}))["version"] == 2
    assert given(ana.post(f"{VERSIONS}/1/retire", json=WHY))["state"] == "retired"
    assert (
        refused(ana.post(f"{VERSIONS}/2/retire", json=WHY), 422)["found"] == "version 2 of 'forecast' is the champion"
    )
    assert refused(ana.post("/v1/models/forecast/rollback", json=WHY), 404)["found"].startswith("no version of")
    assert [one.kind for one in transitions(line.platform, line.model)] == [
        "promotion", "promotion", "rollback", "rollback", "retirement"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "content", "status", "found"),
    [
        (f"{VERSIONS}/3/approve", {}, 422, "reason: Field required"),
        (f"{VERSIONS}/3/approve", {"reason": " "}, 422, "no reason"),
        (f"{VERSIONS}/3/approve", {**WHY, "to": 1}, 422, "to: Extra inputs are not permitted"),
        (f"{VERSIONS}/7/approve", WHY, 404, "no version 7 of 'forecast'"),
        (f"{VERSIONS}/1/reject", WHY, 422, "version 1 of 'forecast' is previous"),
        ("/v1/models/forcast/rollback", WHY, 404, "model 'forcast'"),
        ("/v1/models/forecast/rollback", {**WHY, "to": "2"}, 422, "to: Input should be a valid integer"),
        ("/v1/models/forecast/rollback", {**WHY, "to": 3}, 422, "version 3 of 'forecast' is challenger"),
    ],
)
def test_a_decision_that_cannot_be_is_refused_and_nothing_is_recorded(
    shared: Line, path: str, content: Any, status: int, found: str
) -> None:
    assert refused(asking(shared, "approver").post(path, json=content), status)["found"] == found
    assert shared.platform.approvals.of("forecast") == []
    assert len(transitions(shared.platform, shared.model)) == 2


@pytest.mark.parametrize("path", [f"{VERSIONS}/3/approve", f"{VERSIONS}/3/reject", "/v1/models/forecast/rollback"])
def test_nobody_decides_without_the_scope(shared: Line, path: str) -> None:
    told = refused(asking(shared, "reader", "application").post(path, json=WHY), 403)
    assert told["found"].endswith("without the scope models:approve")
    assert refused(asking(shared).post(path, json=WHY), 401)


def test_the_description_names_what_a_decision_takes_and_gives(shared: Line) -> None:
    schema = asking(shared).get("/openapi.json").json()
    for path, kind in (("/versions/{version}/approve", AskedDecision), ("/rollback", AskedRollback)):
        post = schema["paths"][f"/v1/models/{{model}}{path}"]["post"]
        body = post["requestBody"]["content"]["application/json"]
        assert body["schema"] == {"$ref": f"#/components/schemas/{kind.__name__}"}
        for example in body["examples"].values():
            kind.model_validate(example["value"])
        assert {"401", "403", "409", "415", "422"} <= set(post["responses"])
        answered = post["responses"]["200"]["content"]["application/json"]["schema"]
        assert answered == {"$ref": "#/components/schemas/ShownVersion"}
