"""Features computed from personal columns, over HTTP: masked as these are, unless less is declared, with a reason."""

from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi.testclient import TestClient

from mlops_assets import Project
from mlops_assets.features.online.reading import AnsweringRow, OnlineAnswer
from mlops_assets.serving.looked_up import found_as_json
from mlops_assets.serving.metrics import Metrics
from mlops_assets_tests.serving.conftest import CHANGES, Shop, application, lived_shop
from mlops_assets_tests.small_line import Line

BAND = "CASE WHEN price > 1 THEN 'dear' ELSE 'cheap' END"
DERIVED = {
    ("trend/trend.sql", "    visitors AS crowd\n"): (
        f"    visitors AS crowd,\n    price AS cost,\n    {BAND} AS band,\n    {BAND} AS tier,\n"
        "    max(price) OVER (PARTITION BY sales.shop ORDER BY sales.day) AS top\n"
    ),
    ("trend/defs.yaml", "    crowd: {type: bigint, description: Visitors}\n"): (
        "    crowd: {type: bigint, description: Visitors}\n"
        "    cost: {type: double, description: Average price}\n"
        "    band: {type: string, description: How dear}\n"
        "    tier: {type: string, description: How dear, sensitivity: internal, sensitivity_reason: Two bands}\n"
        "    top: {type: double, description: Greatest price}\n"
    ),
    ("forecast/defs.yaml", "columns: [level, crowd]"): "columns: [level, crowd, cost, tier], rename: {cost: paid}",
    ("forecast/defs.yaml", "  computed:\n"): (
        "  computed:\n"
        "    - {name: double_cost, type: double, description: Twice, expression: PAID * 2}\n"
        "    - {name: rounded, type: double, description: About, expression: round(paid),\n"
        "       sensitivity: internal, sensitivity_reason: In whole euros}\n"
    ),
}
PERSONAL = ["paid", "region", "double_cost", "northern"]


def combined() -> dict[tuple[str, str], str]:
    """What `CHANGES` does, with what must stand in its texts."""
    changes = {**CHANGES}
    for place, text in CHANGES.items():
        if "  computed:\n" in text:
            changes[place] = text.replace("  computed:\n", DERIVED["forecast/defs.yaml", "  computed:\n"])
    return changes | {place: text for place, text in DERIVED.items() if place[1] != "  computed:\n"}


@pytest.fixture(scope="module")
def derived(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return lived_shop(Line(tmp_path_factory.mktemp("derived") / "line", combined()))


def ask(client: TestClient, **content: Any) -> Any:
    rows = [{"shop": "s01", "sister": "s00", "asked": 1}]
    answer = client.post("/v1/features", json={"rows": rows, **content})
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.slow
def test_what_a_table_copies_or_computes_from_a_personal_column_is_masked(derived: Shop) -> None:
    asked = ask(application(derived), lookups=[{"table": "trend"}])
    assert asked["masked"] == ["cost", "band", "top"]
    features = asked["rows"][0]["features"]
    assert (features["cost"], features["band"], features["top"], features["tier"]) == (None, None, None, "dear")
    assert asked["rows"][0]["found"]["trend"]["event_time"], "whose time is not personal"
    features = ask(application(derived, derived.personal), lookups=[{"table": "trend"}])["rows"][0]["features"]
    assert (features["cost"], features["band"], features["top"]) == (1.5, "dear", 1.5)


@pytest.mark.slow
def test_what_a_model_looks_up_or_computes_from_it_is_masked_too(derived: Shop) -> None:
    asked = ask(application(derived), model="forecast")
    features = asked["rows"][0]["features"]
    assert asked["masked"] == PERSONAL
    assert [features[name] for name in PERSONAL] == [None] * 4
    assert (features["tier"], features["rounded"]) == ("dear", 2.0)
    entitled = ask(application(derived, derived.personal), model="forecast")
    assert (entitled["masked"], entitled["rows"][0]["features"]["double_cost"]) == ([], 3.0)


@pytest.mark.slow
def test_the_catalog_and_its_page_mask_it_and_tell_the_reason_of_what_is_shown(derived: Shop) -> None:
    client = application(derived)
    table = client.get("/v1/catalog/tables/trend").json()
    assert table["masked"] == ["cost", "band", "top"]
    shown = {column["name"]: (column["sensitivity"], column["sensitivity_reason"]) for column in table["columns"]}
    assert (shown["band"], shown["tier"]) == (("personal", ""), ("internal", "Two bands"))


@pytest.mark.slow
def test_what_is_kept_of_a_model_says_how_sensitive_it_is(derived: Shop) -> None:
    platform, model = derived.platform, derived.line.model
    for table in (platform.predictions(model), platform.requests(model)):
        personal = {column.name for column in table.schema.columns if column.sensitivity == "personal"}
        assert personal >= {*PERSONAL, "prediction"}
        assert "tier" not in personal
    assert platform.labels(model).schema.column("growth").sensitivity == "internal"


@pytest.mark.slow
def test_a_notebook_sees_how_sensitive_what_it_reads_is(derived: Shop) -> None:
    schema = Project(derived.platform).table("trend").states.schema
    said = {column.name: (column.sensitivity, column.sensitivity_reason) for column in schema.columns}
    assert (said["cost"], said["tier"], said["level"]) == (
        ("personal", ""), ("internal", "Two bands"), ("internal", "")
    )  # fmt: skip


def test_of_a_row_whose_time_is_personal_it_is_told_only_that_it_answered() -> None:
    now = datetime(2024, 1, 2, tzinfo=UTC)
    answer = OnlineAnswer({}, {"born": AnsweringRow(0, now), "seen": AnsweringRow(0, now), "none": None})
    (found,) = found_as_json(Metrics(), now, [answer], frozenset({"born", "none"}))
    assert found["born"] == {"event_time": None, "age_seconds": None}
    assert (found["seen"]["event_time"], found["none"]) == ("1970-01-01T00:00:00Z", None)
