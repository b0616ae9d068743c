"""`mlops-assets features search` and `show`: the catalog in the terminal, masked by who asks."""

import json
from datetime import datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mlops_assets.cli import main
from mlops_assets.lakehouse.home import HOME_VARIABLE
from mlops_assets.lakehouse.masking import MASK
from mlops_assets.platform import Platform
from mlops_assets.project.folder import find_project
from mlops_assets.starter import write_project
from mlops_assets_tests.conftest import Lived


@pytest.fixture
def shop(lived: Lived, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lived:
    """The small project after some days, where the regions of orders are personal."""
    copy = lived.copy(tmp_path)
    file = copy.project / "shop" / "defs" / "orders" / "defs.yaml"
    text = file.read_text(encoding="utf-8")
    region = "region: {type: string, description: Sales region"
    file.write_text(text.replace(region, f"{region}, sensitivity: personal", 1), encoding="utf-8")
    monkeypatch.setenv(HOME_VARIABLE, str(copy.home.folder))
    monkeypatch.delenv("MLOPS_TOKEN", raising=False)
    return copy


def run(shop: Lived, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["--project", str(shop.project), "features", *arguments])


def said(shop: Lived, *arguments: str) -> str:
    done = run(shop, *arguments)
    assert done.exit_code == 0, done.output
    return done.output


def act_as(shop: Lived, monkeypatch: pytest.MonkeyPatch, role: str) -> None:
    """Let the following commands be somebody's who has a token with a role."""
    platform = Platform.of(find_project(shop.project).read(), shop.home)
    monkeypatch.setenv(
        "MLOPS_TOKEN",
        platform.tokens.create(f"a {role}", (role,), None, datetime.fromisoformat("2024-01-01T00:00:00+00:00")),
    )


@pytest.mark.slow
def test_search_lists_hits_best_first_with_what_they_have_in_common(shop: Lived) -> None:
    lines = said(shop, "search", "growth").splitlines()
    assert lines[0].split()[:2] == ["order_trend.growth_1d", "double"]
    assert "5 found" in lines
    assert "  model: orders_forecast 5" in lines
    assert "  owner: team:analytics 5" in lines
    assert any(line.split()[:2] == ["orders_forecast", "model"] for line in lines)


@pytest.mark.slow
def test_search_is_narrowed_by_facets_and_shortened_by_a_limit(shop: Lived) -> None:
    lines = said(shop, "search", "region", "--sensitivity", "personal", "--limit", "1").splitlines()
    assert lines[:2] == ["order_trend.region  string  Sales region", "4 found, the best 1 shown"]
    assert said(shop, "search", "--freshness", "never") == "0 found\n"


@pytest.mark.slow
def test_search_for_programs_gives_what_each_hit_is(shop: Lived) -> None:
    found = json.loads(said(shop, "search", "logarithm", "--format", "json"))
    (hit,) = found["hits"]
    assert (hit["table"], hit["column"], hit["matched"]) == ("order_trend", "log_units", ["logarithm"])
    assert (hit["used_by"], hit["freshness"], found["total"]) == (["orders_forecast"], "fresh", 1)
    assert found["facets"]["sensitivity"] == {"internal": 1}


@pytest.mark.slow
def test_show_tells_columns_freshness_users_and_lines_to_paste(shop: Lived) -> None:
    text = said(shop, "show", "order_trend")
    assert text.startswith("order_trend, a feature table\nLevel and growth of orders of a product in a region\n")
    for line in ("used by:        orders_forecast", "computed from:  orders", "rows:           24 in 2024-01-27"):
        assert f"\n{line}\n" in text
    assert "freshness:      fresh, the newest period 2024-01-27 ended" in text
    pasted = "    - table: order_trend\n      columns: [log_units, growth_1d, growth_7d,\n"
    assert f"{pasted}                next_growth_last_week]\n" in text


@pytest.mark.slow
def test_values_of_personal_columns_are_masked_without_the_scope(shop: Lived, monkeypatch: pytest.MonkeyPatch) -> None:
    text, document = said(shop, "show", "orders"), said(shop, "show", "orders", "--format", "json")
    assert MASK in text and "alpha" in text, "products are not personal"
    assert "centre" not in text + document
    table = json.loads(document)
    assert table["masked"] == ["region"]
    assert {row["region"] for row in table["sample"]} == {None}
    (region,) = [column["statistics"] for column in table["columns"] if column["name"] == "region"]
    assert (region["frequent"], region["minimum"], region["null_share"]) == ([], None, 0)
    act_as(shop, monkeypatch, "reader")
    assert said(shop, "show", "orders") == text
    act_as(shop, monkeypatch, "data_scientist")
    assert MASK not in said(shop, "show", "orders") and "centre" in said(shop, "show", "orders")
    table = json.loads(said(shop, "show", "orders", "--format", "json"))
    assert (table["masked"], table["sample"][0]["region"]) == ([], "centre")


@pytest.mark.slow
def test_an_unknown_table_and_a_token_that_is_not_valid_are_one_message_each(
    shop: Lived, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = run(shop, "show", "order_trent")
    assert done.exit_code == 1 and "no table 'order_trent' in the catalog" in done.output
    assert "write 'order_trend'" in done.output
    monkeypatch.setenv("MLOPS_TOKEN", "mlops_never-made")
    for command in (("search", "growth"), ("show", "orders")):
        done = run(shop, *command)
        assert done.exit_code == 1 and "a token in MLOPS_TOKEN" in done.output


def test_before_there_is_any_data_the_catalog_is_that_of_the_definitions(tmp_path: Path) -> None:
    write_project(tmp_path / "shop")
    project = str(tmp_path / "shop")
    found = CliRunner().invoke(main, ["--project", project, "features", "search", "growth", "--freshness", "never"])
    assert found.exit_code == 0 and "\n4 found\n" in found.output
    shown = CliRunner().invoke(main, ["--project", project, "features", "show", "order_trend"]).output
    assert "\nfreshness:      never, nothing is known of it yet\nrows:           0\n" in shown
    assert (
        "  growth_1d              double  number  internal     -              Log change of units against the day"
        in shown
    )
    assert not (tmp_path / "shop" / ".mlops").exists() and not (tmp_path / "home").exists()
