"""Searching the catalog: what is found, in which order, and how it is counted."""

from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.features.catalog.entries import Catalog, ColumnEntry, TableEntry
from mlops_assets.features.catalog.search import BEGIN, END, FACETS, CatalogIndex, Found


def table(name: str, description: str, columns: Mapping[str, str], **more: object) -> TableEntry:
    """A table of columns with their descriptions; ``personal`` are the personal ones."""
    personal = more.pop("personal", ())
    owners = more.pop("owners", ("team:shops",))
    used_by = more.pop("used_by", ())
    made = tuple(
        ColumnEntry(
            table=name, name=column, type="double", kind="number", description=words, owners=owners,  # type: ignore[arg-type]
            sensitivity="personal" if column in personal else "internal",  # type: ignore[operator]
            expression=None, sources=(), used_by=used_by,  # type: ignore[arg-type]
        )
        for column, words in columns.items()
    )  # fmt: skip
    return TableEntry(
        name=name, kind="feature table", description=description, owners=owners, tags=more.pop("tags", {}),  # type: ignore[arg-type]
        keys=(), timestamp=None, columns=made, online=False, used_by=used_by, inputs=(), readers=(), generation="g",  # type: ignore[arg-type]
    )  # fmt: skip


CATALOG = Catalog(
    {
        entry.name: entry
        for entry in (
            table(
                "order_trend",
                "Level and growth of orders of a product in a region",
                {"growth_7d": "Log change of units against last week", "log_units": "Logarithm of the units"},
                tags={"domain": "sales"},
                used_by=("forecast",),
            ),
            table(
                "customers",
                "Who buys",
                {"birthday": "Day of birth", "region": "Where the customer lives", "units": "Units bought so far"},
                personal=("birthday", "region"),
                owners=("ann@example.com",),
            ),
            table(
                "weather", "Rain and sun of a day", {"rain": "Growth of rivers, in millimetres", "épaisseur": "Snow"}
            ),
        )
    }
)
FRESHNESS = {"order_trend": "fresh", "customers": "late"}
INDEX = CatalogIndex(CATALOG, FRESHNESS)
ALL = 3 + 2 + 3 + 2


def names(found: Found) -> list[str]:
    return [hit.table if hit.column is None else f"{hit.table}.{hit.column}" for hit in found.hits]


def test_no_text_lists_everything_tables_in_the_order_of_names_each_before_its_columns() -> None:
    found = INDEX.search("")
    assert found.total == ALL
    assert names(found)[:5] == [
        "customers", "customers.birthday", "customers.region", "customers.units", "order_trend",
    ]  # fmt: skip
    assert names(INDEX.search(" _ !? ")) == names(found)


def test_names_are_split_into_words_and_the_beginning_of_a_word_finds_it() -> None:
    assert names(INDEX.search("7d")) == ["order_trend.growth_7d"]
    for typed in ("trend", "ORDER_TREND", "order tr", "trend order"):
        assert names(INDEX.search(typed))[0] == "order_trend"
    assert "order_trend" not in names(INDEX.search("rder"))


def test_everything_is_found_as_one_types_it() -> None:
    for name in ("growth_7d", "birthday", "order_trend", "customers", "weather"):
        for length in range(1, len(name) + 1):
            found = names(INDEX.search(name[:length]))
            assert any(hit.rpartition(".")[2] == name for hit in found), name[:length]


def test_a_name_counts_for_more_than_a_description_and_the_whole_name_for_more_than_a_part() -> None:
    assert names(INDEX.search("growth"))[0] == "order_trend.growth_7d"
    assert names(INDEX.search("units"))[:2] == ["customers.units", "order_trend.log_units"]
    scores = [hit.score for hit in INDEX.search("growth").hits]
    assert scores == sorted(scores, reverse=True) and scores[-1] > 0


def test_a_table_and_its_columns_are_found_by_description_tags_and_owners() -> None:
    assert names(INDEX.search("product"))[0] == "order_trend"
    assert set(names(INDEX.search("sales"))) == {"order_trend", "order_trend.growth_7d", "order_trend.log_units"}
    assert len(INDEX.search("ann@example.com").hits) == 4
    assert names(INDEX.search("trend week")) == ["order_trend.growth_7d"]


def test_what_is_said_of_a_table_alone_does_not_make_its_columns_hits() -> None:
    assert names(INDEX.search("product")) == ["order_trend"]
    assert names(INDEX.search("product logarithm")) == ["order_trend.log_units"]


def test_plurals_accents_and_small_words_do_not_matter() -> None:
    assert "order_trend" in names(INDEX.search("regions"))
    assert "order_trend" in names(INDEX.search("the growth of an order"))
    assert names(INDEX.search("epaisseur")) == ["weather.épaisseur"]


def test_where_nothing_has_every_word_what_has_any_is_found() -> None:
    assert {"customers.birthday", "weather.rain"} <= set(names(INDEX.search("birthday rivers")))
    assert INDEX.search("birthday zebra").total == INDEX.search("birthday").total
    assert INDEX.search("zebra").total == 0


def test_the_snippet_marks_the_matched_words_of_the_description() -> None:
    snippets = {hit.column: hit.snippet for hit in INDEX.search("unit").hits}
    assert snippets["log_units"] == f"Logarithm of the {BEGIN}units{END}"
    assert {hit.snippet for hit in INDEX.search("birthday").hits} == {"Day of birth"}


def test_what_a_description_holds_cannot_pass_for_a_mark() -> None:
    odd = Catalog({"odd": table("odd", f"some {BEGIN}odd{END} words", {})})
    assert CatalogIndex(odd, {}).search("").hits[0].snippet == "some odd words"
    assert CatalogIndex(odd, {}).search("words").hits[0].snippet == f"some odd {BEGIN}words{END}"


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({"owner": "ann@example.com"}, {"customers", "customers.birthday", "customers.region", "customers.units"}),
        ({"sensitivity": "personal"}, {"customers", "customers.birthday", "customers.region"}),
        ({"freshness": "fresh"}, {"order_trend", "order_trend.growth_7d", "order_trend.log_units"}),
        ({"freshness": "never"}, {"weather", "weather.rain", "weather.épaisseur"}),
        ({"model": "forecast"}, {"order_trend", "order_trend.growth_7d", "order_trend.log_units"}),
        ({"model": "forecast", "owner": "ann@example.com"}, set()),
        ({"owner": "nobody"}, set()),
    ],
)
def test_facets_choose(chosen: dict[str, str], expected: set[str]) -> None:
    assert set(names(INDEX.search("", **chosen))) == expected  # type: ignore[arg-type]


def test_facets_count_the_whole_result_and_not_the_page() -> None:
    whole, page = INDEX.search("units"), INDEX.search("units", limit=1, offset=1)
    assert page.hits == whole.hits[1:2]
    assert (page.total, page.facets) == (whole.total, whole.facets)
    assert whole.facets["owner"] == {"ann@example.com": 1, "team:shops": 2}
    assert INDEX.search("").facets["sensitivity"] == {"internal": 8, "personal": 3}  # a table counts for each
    assert INDEX.search("zebra").facets == {facet: {} for facet in FACETS}


@given(
    text=st.sampled_from(["", "units", "growth rain", "o"]),
    chosen=st.fixed_dictionaries(
        {},
        optional={
            "owner": st.sampled_from(["team:shops", "ann@example.com"]),
            "sensitivity": st.sampled_from(["internal", "personal"]),
            "freshness": st.sampled_from(["fresh", "late", "never"]),
        },
    ),
)
def test_choosing_a_counted_value_gives_as_many_hits_as_were_counted(text: str, chosen: dict[str, str]) -> None:
    found = INDEX.search(text, **chosen)  # type: ignore[arg-type]
    for facet, counts in found.facets.items():
        for value, count in counts.items():
            if chosen.get(facet, value) == value:
                assert INDEX.search(text, **{**chosen, facet: value}, limit=1).total == count  # type: ignore[arg-type]


SYNTAX = [*"\"'*()^-+:,", "AND", "OR", "NOT", "NEAR(", "name:", "{name}", "units", "growth", "\x00", "\ud800"]
TYPED = st.text(max_size=60) | st.lists(st.sampled_from(SYNTAX), max_size=12).map(" ".join)


@given(text=TYPED, limit=st.integers(0, 12), offset=st.integers(0, 12))
def test_whatever_somebody_types_is_searched_for_and_never_an_error(text: str, limit: int, offset: int) -> None:
    found = INDEX.search(text, limit=limit, offset=offset)
    whole = INDEX.search(text, limit=ALL)
    assert found.hits == whole.hits[offset : offset + limit]
    assert found.total == len(whole.hits) == len(set(names(whole)))
    assert found.facets["freshness"] == Counter(FRESHNESS.get(hit.table, "never") for hit in whole.hits)


def test_several_threads_search_one_index_each_with_its_own_answer() -> None:
    texts = ["", "growth", "units", "birthday", "zebra", "o"] * 20
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(INDEX.search, texts)) == [INDEX.search(text) for text in texts]
