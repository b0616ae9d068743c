"""Values of personal columns, wherever anybody may read: errors, checks, quarantine, the command."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlops_assets.cli import main
from mlops_assets.components.source import source_asset
from mlops_assets.engines.contract import ComputedFeature
from mlops_assets.engines.duckdb import DuckDBEngine
from mlops_assets.engines.expression import parse_expression
from mlops_assets.errors import ContractError, PlatformError
from mlops_assets.features.feature_tables import evaluate_feature_table
from mlops_assets.features.online.verifying import WrongAnswer
from mlops_assets.governance.access import AT_THE_MACHINE, Principal
from mlops_assets.lakehouse.home import HOME_VARIABLE, Home
from mlops_assets.lakehouse.masking import LEFT_OUT, MASK
from mlops_assets.lakehouse.schema import Column
from mlops_assets.platform import Platform
from mlops_assets.serving.app import create_app
from mlops_assets.serving.settings import ServingSettings
from mlops_assets.sources.pushed import accept
from mlops_assets.sources.quarantine import QuarantinedRow, quarantined, shown_to
from mlops_assets_tests.sources.small_project import Shop, platform_of

NOW = datetime(2024, 2, 6, tzinfo=UTC)
PEOPLE = """
type: mlops_assets.Source
attributes:
  name: people
  description: Who works where
  primary_keys: [person]
  timestamp: born
  period: month
  first_period: 2024-01
{further}
  columns:
    person: {{type: string, description: Their number, allowed: [p1, p2, p3], sensitivity: personal}}
    born: {{type: timestamp, description: When, sensitivity: personal}}
    salary: {{type: double, description: What they earn, minimum: 0, maximum: 5000, sensitivity: personal}}
    site: {{type: string, description: Where they work, allowed: [north, south]}}
"""
EXPECTED = (
    "expectations:",
    "  - {column: salary, maximum: 100}",
    "  - {column: person, allowed: [p1, p2]}",
)
SCIENTIST = Principal("scientist", (), frozenset({"features:read", "features:read_personal"}))


def people(home: Home, *fields: str, more: str = "") -> Shop:
    """A source of people, at a moment of the clock; ``more`` are further documents."""
    home.clock.set(NOW)
    if "push: {}" not in fields:
        fields = ("max_removed_share: 1", "min_rows_share: 0", *fields)
    documents = [PEOPLE.format(further="\n".join(f"  {field}" for field in fields))]
    return Shop(platform_of(home, *documents, *([more] if more else [])), "people")


def names_of(secrets: str, text: str) -> list[str]:
    return [secret for secret in secrets.split() if secret in text]


# Refused deliveries and rows


@pytest.mark.parametrize(
    ("row", "secrets"),
    [
        ("p9,2024-01-05,1,north", "p9"),
        ("p1,2024-01-05,-4711,north", "4711"),
        ("p1,2024-01-05,47110,north", "47110"),
        ("p1,2024-01-05,kept-secret,north", "kept-secret"),
        ("p1,some-day,1,north", "some-day"),
        ("p1,2023-07-08,1,north", "2023-07-08"),
        ("p1,2024-01-05,1,north\np1,2024-01-05,2,south", "p1 2024-01-05"),
        ("p1,2024-01-05,kept-secret,north,one-more", "kept-secret one-more"),
    ],
)
@pytest.mark.parametrize("lenient", [False, True])
def test_no_refusal_of_a_delivery_quotes_a_person(home: Home, row: str, secrets: str, lenient: bool) -> None:
    shop = people(home, *(["max_bad_share: 1"] if lenient else []))
    try:
        shop.deliver("2024-01", [row])
        text = "".join(row.reason for row in quarantined(shop.platform, shop.source))
    except PlatformError as error:
        text = str(error)
    assert text and names_of(secrets, text) == []


def test_what_is_no_person_is_still_quoted(home: Home) -> None:
    with pytest.raises(ContractError) as refused:
        people(home).deliver("2024-01", ["p1,2024-01-05,1,mars"])
    assert "values of 'site' not in north, south, such as mars" in str(refused.value)


def test_a_file_without_its_header_does_not_show_its_first_row(home: Home) -> None:
    shop = people(home)
    shop.land("2024-01", "p1,2024-01-05,4711,north\np2,2024-01-05,1,north\n")
    with pytest.raises(ContractError) as refused:
        shop.ingest("2024-01")
    assert names_of("p1 4711 2024-01-05", str(refused.value)) == []
    assert "undeclared column (4 of them)" in str(refused.value)


VALUES = st.one_of(st.none(), st.floats(), st.integers(), st.text(max_size=8), st.booleans())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.fixed_dictionaries({"salary": VALUES, "born": VALUES}), min_size=1, max_size=3))
def test_no_refusal_of_a_batch_quotes_a_person(home: Home, rows: list[dict[str, Any]]) -> None:
    shop = people(home, "push: {}")
    secret = "Annabel4711"
    asked = [{"person": f"{secret}-{number}", "site": "north", **row} for number, row in enumerate(rows)]
    with pytest.raises(ContractError) as refused:
        accept(shop.platform, shop.source, asked, "key", NOW)
    assert secret not in str(refused.value)
    for value in (value for row in rows for value in row.values() if isinstance(value, str) and len(value) > 4):
        assert value not in refused.value.found


def test_no_refusal_over_http_quotes_a_person(home: Home) -> None:
    from fastapi.testclient import TestClient

    shop = people(home, "push: {}")
    token = shop.platform.tokens.create("an application", ("application",), None, NOW)
    client = TestClient(create_app(shop.platform, ServingSettings()), headers={"Authorization": f"Bearer {token}"})
    for row, secret in (
        ({"person": "p-secret", "born": "2024-01-05", "salary": 1, "site": "north"}, "p-secret"),
        ({"person": "p1", "born": "2024-01-05", "salary": 47110, "site": "north"}, "47110"),
        ({"person": "p1", "born": "2025-06-07", "salary": 1, "site": "north"}, "2025-06-07"),
    ):
        answer = client.post("/v1/sources/people/rows", json={"rows": [row]}, headers={"Idempotency-Key": "a"})
        assert (answer.status_code, secret in answer.text, MASK in answer.json()["found"]) == (422, False, True)


# Checks in Dagster


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.mark.parametrize("rows", [["p1,2024-01-05,4711,north", "p3,2024-01-06,1,north"], ["p1,2024-01-05,-4711,north"]])
def test_checks_and_figures_in_dagster_quote_no_person(
    home: Home, instance: dg.DagsterInstance, rows: list[str]
) -> None:
    shop = people(home, *EXPECTED)
    shop.land("2024-01", "\n".join(["person,born,salary,site", *rows]) + "\n")
    done = dg.materialize(
        [source_asset(shop.platform.project, shop.source)], instance=instance, partition_key="2024-01",
        raise_on_error=False,
    )  # fmt: skip
    told = [str(entry.dagster_event) for entry in instance.all_logs(done.run_id)]
    checks = done.get_asset_check_evaluations()
    assert not all(check.passed for check in checks)
    assert names_of("4711 p3 such", str(checks)) == []
    assert names_of("4711 p3", "".join(told)) == []


# Quarantine


def bad(home: Home) -> Shop:
    shop = people(home, "max_bad_share: 1")
    shop.deliver("2024-01", ["p9,2024-01-05,-4711,mars", "p1,2024-01-05,1,north"])
    return shop


def test_a_row_in_quarantine_is_shown_by_who_is_looking(home: Home) -> None:
    shop = bad(home)
    (row,) = quarantined(shop.platform, shop.source)
    assert row.reason == ("'person' is not in p1, p2, p3; 'salary' is below 0; 'site' is not in north, south: mars")
    masked = shown_to(AT_THE_MACHINE, shop.source.schema, row)
    assert json.loads(masked.original) == {"person": MASK, "born": MASK, "salary": MASK, "site": "mars"}
    assert masked.reason == row.reason, "which quotes no person"
    assert shown_to(SCIENTIST, shop.source.schema, row) == row


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("'salary' is below 0: -4711", False),
        ("'salary' is 'much', not a value of type double", False),
        ("'person' is not in p1: p9; 'site' is null", False),
        ("2 rows have the key person=p1, born=2024-01-05", False),
        ("'person' is not in p1: x; 'person' is null", False),
        ("'salary' is null; 'site' is not in north: mars", True),
        (f"2 rows have the key person={MASK}, born={MASK}", True),
        (f"'salary' is {MASK}, not a value of type double", True),
        ("'site' is not in north: mars", True),
    ],
)
def test_a_reason_from_before_its_column_was_personal_tells_its_rules_only(
    home: Home, reason: str, shown: bool
) -> None:
    shop = people(home)
    row = QuarantinedRow("2024-01", 1, "", 1, "row 1", "{}", "values_allowed", reason, NOW)
    seen = shown_to(AT_THE_MACHINE, shop.source.schema, row).reason
    assert seen == (reason if shown else f"values_allowed: {MASK}")


def test_the_command_masks_rows_in_quarantine_unless_a_token_may_read_them(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad(home)
    folder = home.folder.parent / "project"
    (folder / "pyproject.toml").write_text('[tool.mlops_assets]\ndefs = "defs"\n', encoding="utf-8")
    lenient = people(home, "max_bad_share: 1").platform
    monkeypatch.setattr("mlops_assets.commands.quarantine.open_platform", lambda _: lenient)
    monkeypatch.setenv(HOME_VARIABLE, str(home.folder))
    monkeypatch.delenv("MLOPS_TOKEN", raising=False)

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(main, ["--project", str(folder), "quarantine", "list", "people", *arguments])
        assert done.exit_code == 0, done.output
        return done.output

    for form in ("text", "json"):
        said = run("--format", form)
        assert names_of("p9 4711 2024-01-05", said) == [] and "mars" in said
    assert json.loads(json.loads(said)[0]["original"])["salary"] == MASK
    tokens = Platform.of(people(home, "max_bad_share: 1").platform.project, home).tokens
    monkeypatch.setenv("MLOPS_TOKEN", tokens.create("a scientist", ("data_scientist",), None, NOW))
    assert names_of("p9 4711 2024-01-05", run()) == ["p9", "4711", "2024-01-05"]


# What computes


MADE = """
type: mlops_assets.FeatureTable
attributes:
  name: made
  description: Computed from people
  primary_keys: [person]
  timestamp: born
  {computed}
  history: 1 month
  columns:
    person: {{type: string, description: Their number}}
    born: {{type: timestamp, description: When}}
    value: {{type: bigint, description: What is made, maximum: 10}}
"""


@pytest.mark.parametrize(
    ("computed", "text", "found"),
    [
        ("sql: made.sql", "SELECT person, born, CAST(person AS BIGINT) AS value FROM people", LEFT_OUT),
        (
            "sql: made.sql",
            "SELECT person, born, CAST(salary AS BIGINT) AS value FROM people",
            "'value' above 10",
        ),
        ("python: made:f\n  inputs: [people]", "def f(people):\n    raise KeyError(people['person'][0])\n", LEFT_OUT),
    ],
)
def test_what_goes_wrong_with_what_is_computed_quotes_no_person(
    home: Home, computed: str, text: str, found: str
) -> None:
    folder = home.folder.parent / "project"
    folder.mkdir(exist_ok=True)
    (folder / ("made.sql" if "sql" in computed else "made.py")).write_text(text, encoding="utf-8")
    shop = people(home, more=MADE.format(computed=computed))
    shop.deliver("2024-01", ["p2,2024-01-05,4711,north"])
    with pytest.raises(ContractError) as refused:
        evaluate_feature_table(shop.platform, shop.platform.project.feature_tables["made"], shop.period("2024-01"))
    assert found in str(refused.value)
    assert names_of("p2 4711", str(refused.value)) == []


def test_a_computed_feature_that_fails_quotes_no_person() -> None:
    import pyarrow as pa

    name = Column("name", "string", sensitivity="personal")
    feature = ComputedFeature("age", "bigint", parse_expression("CAST(name AS BIGINT)", file=Path("m.yaml")), (name,))
    for one, quoted in ((feature, False), (replace(feature, read=()), True)):
        with pytest.raises(ContractError) as refused:
            DuckDBEngine(Path()).compute(pa.table({"name": ["Annabel"]}), [one])
        assert ("Annabel" in str(refused.value)) is quoted


def test_a_difference_between_the_stores_quotes_no_person() -> None:
    personal = frozenset({"person", "salary"})
    found = WrongAnswer({"person": "p1"}, {"salary": 1.5, "site": "a"}, {"salary": 4711.0, "site": "b"}, personal)
    assert (
        str(found)
        == f"person={MASK}: salary is {MASK}, and {MASK} in the lakehouse, site is 'a', and 'b' in the lakehouse"
    )
