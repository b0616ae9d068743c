"""The page of a table, as a text, without a server."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.features.catalog.duplicates import Repeat
from mlops_assets.features.catalog.entries import catalog
from mlops_assets.features.catalog.statistics import Bin, ColumnStatistics, TableFreshness, TableStatistics
from mlops_assets.features.lineage import LineageGraph, TableColumn, lineage_graph
from mlops_assets.governance.access import AT_THE_MACHINE, ROLES, Principal
from mlops_assets.lakehouse.masking import MASK
from mlops_assets.models.shown_generations import ShownGeneration
from mlops_assets.serving.checks import CheckState
from mlops_assets.serving.pages.rendering import Frame, policy
from mlops_assets.serving.pages.table import TableContent, table_page
from mlops_assets_tests.project.small_project import SmallProject
from mlops_assets_tests.serving.pages.reading import ReadPage

SCIENTIST = Principal("scientist", ("data_scientist",), ROLES["data_scientist"])
NOW = datetime(2024, 3, 2, 6, tzinfo=UTC)
MARKUP = "<b onclick=alert(1)>\"'&amp;</b><script>alert(1)</script>"


def nothing(name: str) -> ColumnStatistics:
    return ColumnStatistics(name, 0, None, 0, None, None, None, (), ())


def statistics(**columns: ColumnStatistics) -> TableStatistics:
    sample = ({"shop": "north-7", "day": date(2024, 3, 1), "level": 4.25, "crowd": 31},)
    fresh = TableFreshness("fresh", "2024-03-01", NOW + timedelta(hours=18), timedelta(days=1))
    return TableStatistics(
        "2024-03-01",
        NOW,
        40,
        {name: nothing(name) for name in ("shop", "day", "level", "crowd")} | columns,
        sample,
        fresh,
    )


def numbers(name: str, **changes: Any) -> ColumnStatistics:
    bins = (Bin(1.5, 4.0, 10), Bin(4.0, 6.5, 0), Bin(6.5, 9.0, 26))
    return replace(ColumnStatistics(name, 4, 0.1, 36, 1.5, 9.0, 5.375, bins, ()), **changes)


def words(name: str, *frequent: tuple[str, int], distinct: int = 40) -> ColumnStatistics:
    return ColumnStatistics(name, 0, 0.0, distinct, None, None, None, (), frequent)


@pytest.fixture
def files(tmp_path: Path) -> SmallProject:
    return SmallProject(tmp_path / "project")


def content(files: SmallProject, name: str = "trend", **changes: Any) -> TableContent:
    project = files.load()
    graph = lineage_graph(project)
    around = graph.around(graph.named(name), up=True, down=True)
    entry = catalog(project).table(name)
    never = TableFreshness("never", None, None, None)
    unknown = TableStatistics(None, None, 0, {column.name: nothing(column.name) for column in entry.columns}, (), never)
    made = TableContent(project.table(name), entry, unknown, (), (), (), around)
    return replace(made, **changes)


def read(made: TableContent, principal: Principal = AT_THE_MACHINE, **frame: Any) -> ReadPage:
    return ReadPage(table_page(made, Frame(principal, **frame)))


def test_the_page_says_what_the_table_is_and_where_it_stands(files: SmallProject) -> None:
    page = read(content(files, statistics=statistics(level=numbers("level"))))
    for told in (
        "trend", "Level of sales", "Fresh, newest period ended 1 day ago", "Next period due 2024-03-03 00:00 UTC",
        "2024-03-01, 40 rows", "as known at 2024-03-02 06:00 UTC", "Logarithm of the units", "LN(sales.units + 1)",
        "from sales.units", "double", "internal", "10 %",
    ):  # fmt: skip
        assert told in page.text
    assert page.links["http://127.0.0.1:3000/assets/trend"] == ["Open the asset trend"]
    assert page.links["/features/sales"] == ["sales"]


def test_a_number_is_drawn_as_a_histogram_that_says_what_it_shows(files: SmallProject) -> None:
    page = read(content(files, statistics=statistics(level=numbers("level"))))
    label = "Histogram of 3 bars from 1.5 to 9, mean 5.375; most values (72.2 %) lie between 6.5 and 9"
    assert ("aria-label", label) in page.attributes
    heights = [float(value) for name, value in page.attributes if name == "height" and value in ("15.38", "40.0")]
    assert heights == [15.38, 40.0]


def test_a_category_is_listed_with_its_max_frequent_values(files: SmallProject) -> None:
    frequent = words("shop", ("north-7", 30), ("south", 10), distinct=12)
    page = read(content(files, statistics=statistics(shop=frequent)))
    assert "north-7 75 %" in page.text
    assert "and 10 other values" in page.text


def test_of_values_that_are_all_as_frequent_only_their_number_is_told(files: SmallProject) -> None:
    shops = words("shop", *((f"shop-{number}", 4) for number in range(10)), distinct=84)
    text = read(content(files, statistics=statistics(shop=shops))).text
    assert "84 values, equally frequent" in text
    assert "shop-0" not in text
    assert "north-7" in text, "the sample tells what they look like"


def test_a_long_expression_is_opened_a_short_one_stands_there_and_a_name_alone_says_nothing(
    files: SmallProject,
) -> None:
    long = "coalesce(ln(units + 1), 0) + ln(units + 2) - ln(units + 3) + ln(units + 4)"
    assert read(content(files)).tags.count("details") == 0
    files.change("trend/trend.sql", "ln(units + 1)", long)
    page = read(content(files))
    assert page.tags.count("details") == 1
    assert "How it is computed COALESCE(LN(sales.units + 1), 0)" in page.text
    assert "Shop from sales.shop" in page.text


def test_a_time_tells_from_when_to_when_and_one_moment_once(files: SmallProject) -> None:
    first, last = date(2024, 3, 1), date(2024, 3, 2)
    for most, told in ((first, "2024-03-01 2024-03-01"), (last, "2024-03-01 to 2024-03-02 2024-03-01")):
        day = ColumnStatistics("day", 0, 0.0, 2, first, most, None, (), ())
        assert f"0 % {told}" in read(content(files, statistics=statistics(day=day))).text


def test_the_lines_to_paste_stand_in_the_page_as_they_are(files: SmallProject) -> None:
    text = table_page(content(files), Frame(AT_THE_MACHINE))
    assert ">    - table: trend\n      columns: [level, crowd]\n</pre>" in text
    assert 'data-copies="lines" hidden>' in text


def test_values_of_personal_columns_are_seen_only_with_the_scope(files: SmallProject) -> None:
    files.change(
        "trend/defs.yaml",
        "{type: string, description: Shop}",
        "{type: string, description: Shop, sensitivity: personal}",
    )
    files.change("trend/defs.yaml", "description: Visitors}", "description: Visitors, sensitivity: personal}")
    measured = statistics(
        shop=words("shop", ("secret-shop", 30), ("other-secret", 10)),
        crowd=numbers("crowd", minimum=-7311, maximum=7322, mean=7333.5, histogram=(Bin(-7344.5, 7355.5, 36),)),
        level=numbers("level"),
    )
    measured = replace(measured, sample=({"shop": "secret-sample", "crowd": 7366, "level": 4.25, "day": None},))
    made = content(files, statistics=measured)
    secrets = ("secret", "7,311", "7,322", "7,333", "7,334", "7,344", "7,345", "7,355", "7,356", "7,366", "7366")
    masked, seen = table_page(made, Frame(AT_THE_MACHINE)), table_page(made, Frame(SCIENTIST))
    assert [secret for secret in secrets if secret in masked] == []
    assert "4.25" in masked
    assert masked.count(MASK) == 4
    assert "Values of shop, crowd are about persons, and masked here." in ReadPage(masked).text
    assert MASK not in seen
    for secret in ("secret-shop", "secret-sample", "-7,311", "7,322", "7,366"):
        assert secret in seen


def test_a_page_without_a_reader_masks_too(files: SmallProject) -> None:
    files.change(
        "trend/defs.yaml",
        "{type: string, description: Shop}",
        "{type: string, description: Shop, sensitivity: personal}",
    )
    made = content(files, statistics=statistics(shop=words("shop", ("secret", 40))))
    assert "secret" not in table_page(made, Frame(None))


def test_names_descriptions_and_values_full_of_markup_stay_text(files: SmallProject) -> None:
    made = content(files)
    level = replace(
        made.entry.column("level"), description=MARKUP, owners=(MARKUP,), expression=MARKUP, used_by=(MARKUP,)
    )
    entry = replace(
        made.entry, description=MARKUP, owners=(MARKUP,), tags={MARKUP: MARKUP}, inputs=(MARKUP,), readers=(MARKUP,),
        used_by=(MARKUP,), columns=(level, made.entry.column("shop")),
    )  # fmt: skip
    measured = statistics(level=numbers("level", minimum=MARKUP), shop=words("shop", (MARKUP, 40)))
    measured = replace(
        measured, period=MARKUP, sample=({"level": MARKUP, "shop": MARKUP, "day": MARKUP, "crowd": MARKUP},)
    )
    made = replace(
        made,
        entry=entry,
        statistics=measured,
        checks=(CheckState(MARKUP, False, NOW, "block", MARKUP, MARKUP),),
        generations=(ShownGeneration(MARKUP, True, NOW, {}, (MARKUP,), (MARKUP,)),),
        repeats=(Repeat(TableColumn("trend", MARKUP), TableColumn(MARKUP, MARKUP), MARKUP),),
        lineage=LineageGraph({"trend": (MARKUP,), MARKUP: (MARKUP,)}, ()),
    )
    page = ReadPage(table_page(made, Frame(AT_THE_MACHINE)))
    assert page.tags.count("script") == 1  # its own
    assert "b" not in page.tags
    assert not any(name.startswith("on") for name, _ in page.attributes)
    assert page.text.count(MARKUP) > 15


def test_checks_say_how_they_stand(files: SmallProject) -> None:
    checks = (
        CheckState("contract", True, NOW, "block", "as declared", "2024-03-01"),
        CheckState("fresh", None, None, "warn", "The newest row is new."),
        CheckState("few_rows", False, NOW, "warn", "3 rows"),
    )
    page = read(content(files, checks=checks))
    assert "contract as declared Passed rows are kept out 2024-03-02 06:00 UTC 2024-03-01" in page.text
    assert "fresh The newest row is new. Not run yet it is shown" in page.text
    assert "few_rows 3 rows Warned it is shown" in page.text


def test_what_a_failed_check_quotes_is_kept_from_who_may_not_see_it(files: SmallProject) -> None:
    files.change(
        "trend/defs.yaml", "{type: string, description: Shop}", "{type: string, description: S, sensitivity: personal}"
    )
    failed = CheckState("contract", False, NOW, "block", "1 duplicate keys, such as shop=secret")
    made = content(files, checks=(failed,))
    assert "secret" not in table_page(made, Frame(AT_THE_MACHINE))
    assert "such as shop=secret Failed" in ReadPage(table_page(made, Frame(SCIENTIST))).text


def test_generations_say_which_is_served_and_what_is_kept(files: SmallProject) -> None:
    old = ShownGeneration("aaaa", False, NOW - timedelta(days=9), {}, ("2024-01-01", "2024-01-02"), ("forecast at 2",))
    new = ShownGeneration("bbbb", True, NOW, {}, (), ())
    text = read(content(files, generations=(old, new))).text
    assert "bbbb Served 2024-03-02 06:00 UTC none nothing" in text
    assert "aaaa Kept 2024-02-22 06:00 UTC 2 2024-01-01 to 2024-01-02 forecast at 2" in text
    assert text.index("bbbb") < text.index("aaaa")


def test_a_column_that_repeats_another_is_warned_of(files: SmallProject) -> None:
    level, other = TableColumn("trend", "level"), TableColumn("other", "log_units")
    page = read(content(files, repeats=(Repeat(level, other, "LN(units + 1)"),)))
    assert "level repeats other.log_units: LN(units + 1), over the same columns" in page.text
    assert page.links["/features/other#column-log_units"] == ["other.log_units"]


def test_a_table_that_nothing_is_known_of_says_so(files: SmallProject) -> None:
    text = read(content(files)).text
    for told in ("No data yet", "no period was computed", "No check is declared", "Nothing was computed yet"):
        assert told in text


def test_a_source_says_where_it_comes_from_and_that_it_has_one_generation(files: SmallProject) -> None:
    text = read(content(files, "sales")).text
    assert "what is delivered from outside" in text
    assert "A source has one generation" in text
    assert "none: its population or its label reads the table" in text


def test_a_page_in_a_file_leads_nowhere_but_to_dagster_and_carries_its_policy(files: SmallProject) -> None:
    made = content(files)
    page = ReadPage(table_page(made, Frame(AT_THE_MACHINE, served=False)))
    assert [link for link in page.links if not link.startswith("#")] == ["http://127.0.0.1:3000/assets/trend"]
    assert ("content", policy()) in page.attributes
    assert "form" not in page.tags
    loading = {"src", "action", "srcset", "data", "poster"}
    assert [value for name, value in page.attributes if name in loading] == []


def test_a_lineage_too_large_for_a_page_is_left_to_the_command(files: SmallProject) -> None:
    made = content(files)
    many = LineageGraph(made.lineage.tables, made.lineage.edges * 100)
    assert "mlops-assets lineage trend --format svg" in read(replace(made, lineage=many)).text
