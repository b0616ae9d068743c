"""The page of an answer, as a text, without a server."""

from dataclasses import replace
from html import unescape
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.features.catalog.entries import Catalog, catalog
from mlops_assets.features.catalog.search import FACETS, CatalogIndex
from mlops_assets.governance.access import Principal
from mlops_assets.serving.pages.rendering import Frame
from mlops_assets.serving.pages.search import HITS_ON_A_PAGE, Asked, search_page
from mlops_assets_tests.project.small_project import SmallProject
from mlops_assets_tests.serving.pages.reading import ReadPage

READER = Principal("reader", ("reader",), frozenset({"features:read"}))
MARKUP = "<b onclick=alert(1)>\"'&amp;</b><script>alert(1)</script>"


@pytest.fixture
def shops(tmp_path: Path) -> Catalog:
    return catalog(SmallProject(tmp_path / "project").load())


def text_of(found_in: Catalog, **query: str) -> str:
    freshness = {"trend": "fresh", "sales": "late"}
    asked = Asked.of(query)
    found = CatalogIndex(found_in, freshness).search(
        asked.text, **asked.values, limit=HITS_ON_A_PAGE, offset=asked.offset
    )
    return search_page(found_in, freshness, found, asked, Frame(READER))


def page_of(found_in: Catalog, **query: str) -> ReadPage:
    return ReadPage(text_of(found_in, **query))


def test_without_a_question_all_tables_are_listed_feature_tables_first(shops: Catalog) -> None:
    page = page_of(shops)
    tables = [address for address in page.links if address.startswith("/features/")]
    assert tables == [f"/features/{name}" for name in ("trend", "sales", "shops", "visits")]
    assert "15 columns of 4 tables" in page.text


def test_what_was_found_leads_to_its_place_with_the_matched_words_marked(shops: Catalog) -> None:
    text = text_of(shops, q="units")
    assert '<a class="name" href="/features/sales#column-units"><mark>units</mark></a>' in text
    assert "<mark>Units</mark> sold" in text
    assert ReadPage(text).links["/features/sales#column-units"] == ["units"]


def test_facets_are_links_with_counts_and_lead_back_when_chosen(shops: Catalog) -> None:
    page = page_of(shops, q="units")
    assert page.links["/features?q=units&model=forecast"] == ["forecast 3 results"]
    assert page.links["/features?q=units&freshness=late"] == ["Late 2 results"]
    chosen = page_of(shops, q="units", model="forecast")
    assert "forecast × (chosen; choose again to see all)" in chosen.links["/features?q=units"][0]
    assert ("type", "hidden") in chosen.attributes
    assert ("name", "model") in chosen.attributes


def test_a_model_is_found_and_leads_to_its_page_as_its_name_does_elsewhere(shops: Catalog) -> None:
    page = page_of(shops, q="forecast")
    assert page.links["/models/forecast"] == ["forecast"]
    assert "1 result for “forecast”" in page.text
    assert "No data yet" not in page.text  # which a model is not asked for
    assert page_of(shops, q="crowd").links["/models/forecast"] == ["forecast"]


def test_a_chosen_value_that_nothing_has_can_be_taken_back(shops: Catalog) -> None:
    page = page_of(shops, q="units", owner="team:gone")
    assert "Nothing found for “units”" in page.text
    assert page.links["/features?q=units"][0] == "Search without owner “team:gone”"
    assert page.links["/features"][-1] == "See all 4 tables"


def test_without_a_result_the_page_says_what_helps(shops: Catalog) -> None:
    page = page_of(shops, q="zebra")
    assert "Nothing found for “zebra”" in page.text
    assert "Use fewer words, or the beginning of a word" in page.text


def test_a_project_without_tables_says_how_to_begin() -> None:
    assert "Add a source in YAML" in page_of(Catalog({})).text


def test_a_long_answer_has_pages_that_together_hold_every_hit_once(shops: Catalog) -> None:
    trend = shops.table("trend")
    column = trend.column("level")
    columns = tuple(replace(column, name=f"level_{number:03}") for number in range(60))
    many = Catalog({"trend": replace(trend, columns=columns)})
    seen: list[str] = []
    address: str | None = "/features?q=level"
    while address:
        page = page_of(many, **dict(parse_qsl(urlsplit(address).query)))
        seen += [text for link, texts in page.links.items() if "#column-" in link for text in texts]
        address = next((link for link, texts in page.links.items() if "Next page" in texts), None)
    assert sorted(seen) == [column.name for column in columns]
    beyond = page_of(many, q="level", page="99")
    assert beyond.links["/features?q=level&page=3"] == ["Go to the last one", "Previous page"]


def test_many_tables_have_pages_too(shops: Catalog) -> None:
    trend = shops.table("trend")
    names = [f"table_{number:02}" for number in range(30)]
    many = Catalog({name: replace(trend, name=name, columns=()) for name in names})
    first, second = page_of(many), page_of(many, page="2")
    seen = [
        [text for link in page.links if link.startswith("/features/") for text in page.links[link]]
        for page in (first, second)
    ]
    assert [len(part) for part in seen] == [HITS_ON_A_PAGE, 5]
    assert seen[0] + seen[1] == names
    assert first.links["/features?page=2"] == ["Next page"]
    assert second.links["/features"][-1] == "Previous page"


def test_names_and_descriptions_full_of_markup_stay_text(shops: Catalog) -> None:
    trend = shops.table("trend")
    level = replace(trend.column("level"), name=MARKUP, description=MARKUP, owners=(MARKUP,), used_by=(MARKUP,))
    smuggled = Catalog({MARKUP: replace(trend, name=MARKUP, description=MARKUP, owners=(MARKUP,), columns=(level,))})
    hit = replace(level, table=MARKUP)
    smuggled = Catalog({MARKUP: replace(smuggled.tables[MARKUP], columns=(hit,))})
    for query in ({}, {"q": "alert"}, {"q": MARKUP}, {"owner": MARKUP}, {"q": "onclick", "model": MARKUP}):
        text = text_of(smuggled, **query)
        page = ReadPage(text)
        assert "script" not in page.tags
        assert "b" not in page.tags
        assert not any(name.startswith("on") for name, _ in page.attributes)
        assert MARKUP.replace(" ", "") in page.text.replace(" ", "") or "alert" not in str(query)


@given(
    st.builds(
        Asked,
        st.text(st.characters(codec="utf-8"), max_size=20).map(str.strip),
        st.dictionaries(st.sampled_from(FACETS), st.text(st.characters(codec="utf-8"), min_size=1)),
        st.integers(1, 999_999),
    )
)
def test_an_address_asks_for_what_it_was_made_of(asked: Asked) -> None:
    query = dict(parse_qsl(urlsplit(unescape(asked.address)).query)) if "?" in asked.address else {}
    assert Asked.of(query) == asked


@pytest.mark.parametrize("page", ["", "0", "-1", "x", "²", "99999999999999999999"])
def test_a_page_that_is_no_number_is_the_first(page: str) -> None:
    assert Asked.of({"q": "a", "page": page}).page == 1
