"""Rows over HTTP: who may push, what is answered, and what a refusal says."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi.testclient import TestClient

from mlops_assets.features.online.publishing import publish
from mlops_assets.features.online.store import open_store
from mlops_assets.lakehouse.home import Home
from mlops_assets.serving.app import create_app
from mlops_assets.serving.settings import ServingSettings
from mlops_assets_tests.sources.pushing import Pushed, row
from mlops_assets_tests.sources.small_project import platform_of, sales_yaml

NOON = datetime(2024, 1, 10, 12, tzinfo=UTC)
ROWS = [row("north", "2024-01-09T08:00:00Z", 1), row("south", "2024-01-10T09:30:00+01:00", 2)]


@pytest.fixture
def shop(home: Home) -> Pushed:
    home.clock.set(NOON)
    return Pushed.of(home)


@pytest.fixture
def client(shop: Pushed) -> Iterator[TestClient]:
    """An application that may push."""
    token = shop.platform.tokens.create("till", ("application",), None, NOON)
    app = create_app(shop.platform, ServingSettings())
    with TestClient(app, headers={"Authorization": f"Bearer {token}"}, raise_server_exceptions=False) as client:
        yield client


def push(client: TestClient, rows: object, key: str = "one", source: str = "sales", **headers: str) -> Any:
    return client.post(f"/v1/sources/{source}/rows", json={"rows": rows}, headers={"Idempotency-Key": key, **headers})


def test_what_was_accepted_is_answered_and_again_when_it_is_sent_again(client: TestClient, shop: Pushed) -> None:
    first, again = push(client, ROWS), push(client, ROWS)
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json() == {"source": "sales", "rows": 2, "periods": ["2024-01"], "repeated": False}
    assert again.json() == first.json() | {"repeated": True}
    assert shop.ingest("2024-01").rows == 2
    assert shop.known(NOON) == {"north 2024-01-09 08:00:00+00:00": 1, "south 2024-01-10 08:30:00+00:00": 2}


OF_DECIMALS = """
    shop: {type: "decimal(4,1)", description: Number of the shop}
    day: {type: timestamp, description: Moment of the sale}
    units: {type: "decimal(38,2)", description: Litres sold}
"""


def test_decimals_are_pushed_and_answered_with_exactly_their_digits(home: Home) -> None:
    home.clock.set(NOON)
    shop = Pushed(platform_of(home, sales_yaml("push: {}", "online: true", columns=OF_DECIMALS)))
    token = shop.platform.tokens.create("all", ("administrator",), None, NOON)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Idempotency-Key": "one"}
    time = '"day": "2024-01-09T08:00:00Z"'
    with TestClient(create_app(shop.platform, ServingSettings()), headers=headers) as client:
        for units in ("1.2300000000000000000001", '"1.234"', "true"):
            body = f'{{"rows": [{{"shop": 1, {time}, "units": {units}}}]}}'
            refused = client.post("/v1/sources/sales/rows", content=body)
            assert refused.status_code == 422
            found = units.strip('"') if units == "true" else units.replace('"', "'")
            assert refused.json()["found"] == f"row 1, column 'units' of the batch for 'sales': {found}"
            assert refused.json()["expected"] == "a value of type decimal(38,2)"
        rows = f'{{"shop": 1.50, {time}, "units": 12345678901234567.10}}, {{"shop": "2", {time}, "units": "0.5"}}'
        assert client.post("/v1/sources/sales/rows", content=f'{{"rows": [{rows}]}}').status_code == 202
        shop.ingest("2024-01")
        publish(shop.platform, open_store(shop.platform), "sales")
        asked = '{"rows": [{"shop": 1.5}, {"shop": "2.0"}, {"shop": 3}], "lookups": [{"table": "sales"}]}'
        many = client.post("/v1/features", content=asked).text
        assert re.findall(r'"units":([^}]*)', many) == ["12345678901234567.10", "0.50", "null"]
        assert '"units":12345678901234567.10}' in client.get("/v1/features/sales?shop=1.5").text
        assert client.get("/v1/features/sales?shop=1.55").status_code == 422


def test_other_rows_under_a_key_are_refused(client: TestClient) -> None:
    push(client, ROWS)
    refused = push(client, ROWS[:1])
    assert refused.status_code == 422
    assert refused.json()["found"] == "idempotency key 'one', under which source 'sales' accepted other rows"


def test_only_who_may_push_pushes_and_no_longer_once_the_token_is_revoked(client: TestClient, shop: Pushed) -> None:
    reader = shop.platform.tokens.create("reader", ("reader",), None, NOON)
    assert push(client, ROWS, Authorization=f"Bearer {reader}").status_code == 403
    assert push(client, ROWS, Authorization="").status_code == 401
    assert push(client, ROWS).status_code == 202
    shop.platform.tokens.revoke("till", NOON)
    assert push(client, ROWS).status_code == 401


@pytest.mark.parametrize(
    ("asked", "status", "found", "cure"),
    [
        ({"source": "sails"}, 404, "no source 'sails'", "write 'sales'"),
        ({"key": ""}, 400, "a batch without the header Idempotency-Key", "such as a UUID"),
        ({"key": "x" * 201}, 422, "", ""),
        ({"rows": "text"}, 422, "a body that is no batch", "correct the body"),
        ({"rows": []}, 422, "a batch without rows for 'sales'", "push what there is"),
        ({"rows": [1]}, 422, "row 1 of the batch for 'sales', which is no object", "correct the row"),
        (
            {"rows": [*ROWS, row("west", "2024-01-10T12:00:01Z", 1)]},
            422,
            "row 3, column 'day' of the batch for 'sales': 2024-01-10T12:00:01+00:00",
            "nothing of it was accepted",
        ),
    ],
)
def test_a_refusal_is_a_problem_document_that_says_what_to_do(
    client: TestClient, shop: Pushed, asked: dict[str, Any], status: int, found: str, cure: str
) -> None:
    refused = push(client, **({"rows": ROWS} | asked))
    assert (refused.status_code, refused.headers["content-type"]) == (status, "application/problem+json")
    assert found in refused.json().get("found", "") and cure in refused.json().get("cure", "")
    assert shop.platform.pushed.waiting_periods("sales") == {}


@pytest.mark.parametrize("body", ['{"rows": [{"units": 1, "units": 2}]}', '{"rows": [], "rows": [{"units": 1}]}'])
def test_an_object_that_has_a_name_twice_is_refused_however_deep_it_lies(
    client: TestClient, shop: Pushed, body: str
) -> None:
    headers = {"Idempotency-Key": "one", "Content-Type": "application/json"}
    refused = client.post("/v1/sources/sales/rows", content=body, headers=headers)
    assert refused.status_code == 400
    assert refused.json()["found"] == "a body that is no JSON (a name twice in one object)"
    assert shop.platform.pushed.waiting_periods("sales") == {}


def test_a_home_that_cannot_be_written_is_503_with_when_to_come_back(client: TestClient, shop: Pushed) -> None:
    shop.platform.home.pushed.parent.mkdir(exist_ok=True)
    shop.platform.home.pushed.write_text("a file where the folder belongs", encoding="utf-8")
    refused = push(client, ROWS)
    assert (refused.status_code, "retry-after" in refused.headers) == (503, True)
    assert refused.json()["found"].startswith("the batches pushed into 'sales' cannot be read or written")
    assert str(shop.platform.home.folder) not in refused.json()["cure"] + refused.json()["expected"]
    shop.platform.home.pushed.unlink()
    assert push(client, ROWS).status_code == 202
