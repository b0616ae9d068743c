"""A source that is pushed, from its YAML; and fields that mean nothing beside it."""

from datetime import timedelta

import pytest

from mlops_assets.errors import DefinitionError
from mlops_assets.lakehouse.home import Home
from mlops_assets.project.attributes import Push
from mlops_assets_tests.sources.small_project import platform_of, sales_yaml


def test_a_pushed_source_holds_additions_of_periods_of_any_unit(home: Home) -> None:
    for period, first in (("day", "2024-01-05"), ("week", "2024-01-08"), ("month", "2024-01")):
        source = platform_of(home, sales_yaml("push: {}", period=period, first=first)).project.sources["sales"]
        assert (source.delivers, source.pushed, source.origin) == ("increment", True, Push(timedelta(days=7)))
    yaml = sales_yaml("push: {remember_keys: 36 hours}", "delivers: increment", "live_since: 2024-02")
    source = platform_of(home, yaml).project.sources["sales"]
    assert source.origin == Push(timedelta(hours=36))


@pytest.mark.parametrize(
    ("field", "found", "cure"),
    [
        ("files: {format: parquet}", "files beside push", "take files or push out"),
        ("database: {url_variable: SALES, table: sales}", "database beside push", "take database or push out"),
        ("landing: incoming", "landing beside push", "take landing or push out"),
        ("published_from: sales.csv", "published_from beside push", "take published_from or push out"),
        ("delivers: period", "delivers: period beside push", "take delivers out"),
        ("window_periods: 2", "window_periods beside push", "take window_periods or push out"),
        ("max_removed_share: 1", "max_removed_share beside push", "take max_removed_share or push out"),
        ("min_rows_share: 0", "min_rows_share beside push", "take min_rows_share or push out"),
        ("max_bad_share: 0.1", "max_bad_share beside push", "take max_bad_share or push out"),
        ("overdue_after: 1 days", "overdue_after beside push", "take overdue_after or push out"),
        (
            "expectations: [{column: units, minimum: 1, severity: block}]",
            "an expectation that blocks beside push",
            "put the rule into the contract of the column",
        ),
    ],
)
def test_what_means_nothing_beside_push_is_refused_with_its_line(home: Home, field: str, found: str, cure: str) -> None:
    with pytest.raises(DefinitionError) as refused:
        platform_of(home, sales_yaml("push: {}", field))
    assert refused.value.found == found and cure in refused.value.cure
    assert refused.value.where is not None and refused.value.where.line == 11


@pytest.mark.parametrize("time", ["0 hours", "1 month", "soon"])
def test_keys_are_remembered_for_a_fixed_time(home: Home, time: str) -> None:
    with pytest.raises(DefinitionError) as refused:
        platform_of(home, sales_yaml(f"push: {{remember_keys: {time}}}"))
    assert time in refused.value.found
    assert refused.value.where is not None and refused.value.where.line == 10


def test_a_static_table_is_not_pushed(home: Home) -> None:
    yaml = sales_yaml("push: {}", "static: true").replace("  timestamp: day\n", "")
    with pytest.raises(DefinitionError) as refused:
        platform_of(home, yaml)
    assert (refused.value.found, refused.value.expected) == ("static beside push", "a row that is pushed has a time")
