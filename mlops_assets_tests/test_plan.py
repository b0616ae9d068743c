"""What a change would recompute is said before it is done, and nothing is written."""

from pathlib import Path

import pytest

from mlops_assets.plan import Planned, as_text, plan
from mlops_assets_tests.features.test_generations import WEEK, WEEK_SQL, add_cost
from mlops_assets_tests.models.test_life_of_a_version import FIRST_TRAINING, promote_at
from mlops_assets_tests.small_line import Line, hours

pytestmark = pytest.mark.slow
DAYS = 14


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Line:
    made = Line(tmp_path_factory.mktemp("shared") / "line")
    made.files.write("week/defs.yaml", WEEK)
    made.files.write("week/week.sql", WEEK_SQL)
    made.open().live(DAYS)
    promote_at(made, FIRST_TRAINING)
    return made


@pytest.fixture
def line(shared: Line, tmp_path: Path) -> Line:
    return shared.copy(tmp_path / "line")


def planned(line: Line) -> dict[str, Planned]:
    """The plan, made without a trace in the home."""
    before = {file: file.stat().st_mtime_ns for file in line.platform.home.folder.rglob("*")}
    found = plan(line.platform.project, line.platform)
    assert {file: file.stat().st_mtime_ns for file in line.platform.home.folder.rglob("*")} == before
    return {item.name: item for item in found}


def test_a_home_that_holds_nothing_has_nothing_to_recompute(tmp_path: Path) -> None:
    line = Line(tmp_path / "line")
    found = planned(line)
    assert {item.status for item in found.values()} == {"new"}
    assert as_text(list(found.values())).endswith("Nothing to compute.")


def test_layout_and_descriptions_change_nothing(line: Line) -> None:
    line.files.change("trend/trend.sql", "FROM sales", "-- of all shops\n  from   sales")
    line.files.change("trend/defs.yaml", "Level of sales", "How much is sold")
    found = planned(line.open())
    assert list(found) == ["trend", "week", "forecast/labels", "forecast"]
    assert {item.status for item in found.values()} == {"unchanged"}
    assert found["forecast"].consequence == (
        "version 1, the champion, goes on: the definitions are those that it was trained on"
    )


def test_an_added_column_recomputes_the_table_and_what_reads_it_and_spares_the_version_if_it_agrees(
    line: Line,
) -> None:
    add_cost(line)
    found = planned(line)
    trend, week = found["trend"], found["week"]
    assert {item.part: item.lines for item in trend.differences} == {
        "column cost": ("+double",),
        "sql": ("-  visitors AS crowd", "+  visitors AS crowd,", "+  price AS cost", " FROM sales"),
    }
    assert [item.part for item in week.differences] == ["input trend"]
    for item in (trend, week):
        assert item.status == "changed"
        assert item.cost is not None
        assert (len(item.cost.periods), item.cost.periods[0], item.cost.periods[-1]) == (14, "2024-01-05", "2024-01-18")
        assert item.cost.computations == 14
        assert item.cost.seconds_each is not None and item.cost.seconds_each > 0
        assert item.cost.rows_each == 14
        assert item.cost.bytes > 0
    assert found["forecast/labels"].status == found["forecast"].status == "unchanged"
    assert found["forecast"].consequence == (
        "version 1, the champion, and its training set go on, provided that these turn out the same when they are "
        "computed: crowd, level of 'trend'. If not, a training on the new definitions is asked for as soon as their "
        "past is computed"
    )
    text = as_text(list(found.values()))
    assert f"trend: new generation {trend.now} (it was {trend.before})" in text
    assert "    +  price AS cost\n" in text
    assert "computes 14 periods (2024-01-05 to 2024-01-18): about " in text
    assert text.endswith("Nothing was written. To compute: `mlops-assets backfill trend week`")


def test_corrections_are_computed_again_as_well(line: Line) -> None:
    line.sales("2024-01-18", at=line.period("2024-01-18").end + hours(72), s03=9)
    line.features("2024-01-18")
    add_cost(line)
    cost = planned(line)["trend"].cost
    assert cost is not None
    assert (len(cost.periods), cost.computations) == (14, 15)


def test_what_is_half_computed_is_unfinished_and_then_the_outcome_is_known(line: Line) -> None:
    add_cost(line, level="ln(units + 2)")
    line.features("2024-01-18")
    half = planned(line)["trend"]
    assert half.cost is not None
    assert (half.status, len(half.cost.periods)) == ("unfinished", 13)
    for key in line.days(DAYS):
        line.features(key)
    found = planned(line)
    assert (found["trend"].status, found["trend"].cost) == ("unchanged", None)
    assert "other values of 'level'" in found["forecast"].consequence
    assert "are of the past" in found["forecast"].consequence


def test_a_model_s_own_change_is_shown_with_its_labels(line: Line) -> None:
    line.files.change("forecast/growth.sql", "ln(later", "log2(later")
    found = planned(line.open())
    (difference,) = found["forecast"].differences
    assert (found["forecast"].status, difference.part) == ("changed", "label")
    assert any("LN(later" in text for text in difference.lines if text.startswith("-"))
    labels = found["forecast/labels"]
    assert labels.cost is not None
    assert (labels.status, len(labels.cost.periods), labels.cost.periods[0]) == ("changed", 11, "2024-01-05")
    assert found["forecast"].consequence.startswith(
        "version 1, the champion, and its training set are of the past: the definition of 'forecast' itself is another"
    )
