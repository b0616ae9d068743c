"""`check` sees that nothing asks for rows that it is never shown, and that no column of SQL is lost."""

from pathlib import Path

import pytest

from mlops_assets.errors import DefinitionError
from mlops_assets.operations.check import check_project
from mlops_assets.project.load import load_project
from mlops_assets_tests.project.small_project import SmallProject

SOLD_AGAIN = """\
SELECT now.shop, now.day, CAST({expression} AS DOUBLE) AS growth
FROM sales AS now
LEFT JOIN sales AS later ON later.shop = now.shop AND later.day > now.day {bound}
GROUP BY now.shop, now.day
"""


@pytest.fixture
def project(tmp_path: Path) -> SmallProject:
    return SmallProject(tmp_path / "defs")


def refusal(project: SmallProject) -> DefinitionError:
    with pytest.raises(DefinitionError) as caught:
        check_project(load_project(project.folder))
    return caught.value


@pytest.mark.parametrize(
    ("expression", "days"),
    [
        ("count(later.day) > 0", 4),
        ("count(later.day) > 0", None),
        ("count(later.day)", 5),
        ("coalesce(min(later.day) - now.day, 99)", 30),
        ("sum(later.units) > 200000", None),
    ],
)
def test_a_label_that_looks_further_ahead_than_it_is_shown_is_refused(
    project: SmallProject, expression: str, days: int | None
) -> None:
    bound = f"AND later.day <= now.day + INTERVAL {days} DAY" if days else ""
    project.write("forecast/growth.sql", SOLD_AGAIN.format(expression=expression, bound=bound))
    refused = refusal(project)
    assert refused.found == (
        "the label of 'forecast' gives another growth when it sees more than 3 days after its period "
        "(over generated rows)"
    )
    assert "bound how far its SQL looks ahead to 3 days, or lengthen the horizon" in refused.cure
    assert refused.where is not None
    assert refused.where.line == project.line("forecast/defs.yaml", "history:")


def test_a_label_of_a_day_that_is_never_shown_gives_rows_only_then(project: SmallProject) -> None:
    project.change("forecast/growth.sql", "INTERVAL 1 DAY", "INTERVAL 4 DAY")
    assert "gives other rows when it sees more than 3 days" in refusal(project).found


@pytest.mark.parametrize("days", [1, 2, 3])
def test_a_label_within_what_it_is_shown_is_fine(project: SmallProject, days: int) -> None:
    bound = f"AND later.day <= now.day + INTERVAL {days} DAY"
    project.write("forecast/growth.sql", SOLD_AGAIN.format(expression="count(later.day) > 0", bound=bound))
    check_project(load_project(project.folder))


@pytest.mark.parametrize(
    ("sql", "nothing"),
    [
        ("SELECT shop, day, ln(units + 1) AS level, lead(units) OVER (ORDER BY day, shop) AS crowd FROM sales", None),
        (
            "SELECT shop, day, ln(units + 1) AS level, max(units) OVER (PARTITION BY shop ORDER BY day RANGE BETWEEN "
            "INTERVAL 1 DAY FOLLOWING AND INTERVAL 1 DAY FOLLOWING) AS crowd FROM sales",
            "value of 'crowd'",
        ),
        (
            "SELECT now.shop, now.day, ln(now.units + 1) AS level, later.units AS crowd FROM sales AS now "
            "JOIN sales AS later ON later.shop = now.shop AND later.day = now.day + INTERVAL 2 DAY",
            "rows",
        ),
    ],
)
def test_a_feature_of_what_comes_after_its_period_is_refused(
    project: SmallProject, sql: str, nothing: str | None
) -> None:
    project.write("trend/trend.sql", sql)
    if nothing is None:  # some of it is there without
        check_project(load_project(project.folder))
        return
    refused = refusal(project)
    assert refused.found == f"feature table 'trend' has no {nothing} unless it sees rows after its period"
    assert refused.where is not None
    assert refused.where.line == project.line("trend/defs.yaml", "history:")


def test_a_column_of_sql_that_is_not_declared_is_refused(project: SmallProject) -> None:
    project.change("trend/trend.sql", "visitors AS crowd", "visitors AS crowd, visitors AS people")
    refused = refusal(project)
    assert refused.found == "feature table 'trend' whose SQL gives people, which its YAML does not declare"
    assert "or take it out of the SELECT" in refused.cure
    assert refused.where is not None
    assert refused.where.file.name == "defs.yaml"
