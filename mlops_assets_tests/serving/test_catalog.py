"""The catalog over HTTP: what the command line says, for programs, masked by the token's roles."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3

from mlops_assets.platform import Platform
from mlops_assets.project.folder import find_project
from mlops_assets_tests.conftest import Lived
from mlops_assets_tests.serving.running import served

pytestmark = pytest.mark.slow


class Asked:
    """A server on the small project, where regions of orders are personal, and tokens of two roles."""

    def __init__(self, url: str, tokens: dict[str, str]) -> None:
        self.url, self.tokens, self.pool = url, tokens, urllib3.PoolManager()

    def get(self, path: str, role: str | None = "reader", **query: str) -> tuple[int, Any]:
        """The status and the JSON of an answer."""
        headers = {"Authorization": f"Bearer {self.tokens[role]}"} if role else {}
        answer = self.pool.request("GET", f"{self.url}/v1/catalog/{path}", fields=query, headers=headers)
        return answer.status, answer.json()


@pytest.fixture(scope="module")
def asked(lived: Lived, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    copy = lived.copy(tmp_path_factory.mktemp("served"))
    file: Path = copy.project / "shop" / "defs" / "orders" / "defs.yaml"
    text = file.read_text(encoding="utf-8")
    region = "region: {type: string, description: Sales region"
    file.write_text(text.replace(region, f"{region}, sensitivity: personal", 1), encoding="utf-8")
    platform = Platform.of(find_project(copy.project).read(), copy.home)
    now = platform.clock.now()
    tokens = {role: platform.tokens.create(role, (role,), None, now) for role in ("reader", "data_scientist")}
    with served(copy.project, copy.home.folder) as server:
        yield Asked(server.url, tokens)


def test_search_gives_hits_best_first_facets_of_all_and_pages(asked: Asked) -> None:
    status, found = asked.get("search", text="growth", limit="1")
    assert (status, found["total"], len(found["hits"])) == (200, 5, 1)  # four columns, and the model
    assert (found["hits"][0]["table"], found["hits"][0]["column"]) == ("order_trend", "growth_1d")
    assert found["facets"]["model"] == {"orders_forecast": 5}
    _, second = asked.get("search", text="growth", limit="1", offset="1")
    assert second["hits"][0]["column"] == "growth_7d"
    _, narrowed = asked.get("search", sensitivity="personal")
    made = ("region", "growth_1d", "growth_7d", "next_growth_last_week")  # within a region, or the region itself
    assert {(hit["table"], hit["column"]) for hit in narrowed["hits"]} == {
        ("orders", None), ("orders", "region"), ("order_trend", None), *(("order_trend", name) for name in made)
    }  # fmt: skip


def test_a_table_has_statistics_sample_freshness_and_lines_to_paste(asked: Asked) -> None:
    status, table = asked.get("tables/order_trend")
    assert (status, table["kind"], table["period"], table["rows"]) == (200, "feature table", "2024-01-27", 24)
    assert (table["freshness"]["state"], table["used_by"], table["inputs"]) == (
        "fresh",
        ["orders_forecast"],
        ["orders"],
    )
    assert len(table["sample"]) == 5 and table["repeats"] == {}
    level = next(column for column in table["columns"] if column["name"] == "log_units")
    assert level["expression"] == "LN(units + 1)" and level["sources"] == ["orders.units"]
    assert sum(bin["rows"] for bin in level["statistics"]["histogram"]) == 24
    assert "table: order_trend" in table["lines_to_paste"]


def test_personal_values_come_with_the_scope_alone(asked: Asked) -> None:
    _, table = asked.get("tables/orders")
    assert table["masked"] == ["region"] and {row["region"] for row in table["sample"]} == {None}
    assert "centre" not in str(table)
    _, table = asked.get("tables/orders", "data_scientist")
    assert table["masked"] == [] and table["sample"][0]["region"] == "centre"


def test_what_is_computed_from_personal_values_is_masked_as_they_are(asked: Asked) -> None:
    _, table = asked.get("tables/order_trend")
    assert table["masked"] == ["region", "growth_1d", "growth_7d", "next_growth_last_week"]
    assert {row["region"] for row in table["sample"]} == {None} and "centre" not in str(table)
    assert all(row["log_units"] is not None for row in table["sample"])
    _, table = asked.get("tables/order_trend", "data_scientist")
    assert table["masked"] == [] and "centre" in str(table)


def test_what_cannot_be_answered_is_a_problem_document(asked: Asked) -> None:
    status, problem = asked.get("tables/order_trent")
    assert (status, problem["found"]) == (404, "no table 'order_trent'")
    assert asked.get("search", None, text="growth")[0] == 401
    assert asked.get("tables/orders", None)[0] == 401
    assert asked.get("search", limit="1000")[0] == 422
