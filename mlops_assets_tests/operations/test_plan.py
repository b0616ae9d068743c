"""What a change would recompute is said before it is done, and nothing is written."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from mlops_assets.cli import main
from mlops_assets.lakehouse.home import HOME_VARIABLE
from mlops_assets.operations.plan import Planned, as_text, plan
from mlops_assets.operations.recorded import Recorded
from mlops_assets_tests.features.test_generations import WEEK, WEEK_SQL, add_cost
from mlops_assets_tests.models.empty_registry import copy_empty_registry
from mlops_assets_tests.models.test_life_of_a_version import FIRST_TRAINING, promote_at
from mlops_assets_tests.small_line import Line, hours, lived_line

pytestmark = pytest.mark.slow
DAYS = 14


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Line:
    made = lived_line(tmp_path_factory, DAYS)
    made.files.write("week/defs.yaml", WEEK)
    made.files.write("week/week.sql", WEEK_SQL)
    made.open()
    for key in made.days(DAYS):
        made.features(key, "week")
    copy_empty_registry(tmp_path_factory, made.platform.home.mlflow)
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


def test_a_change_recomputes_the_table_and_who_reads_the_column_and_spares_the_version_if_it_agrees(
    line: Line,
) -> None:
    add_cost(line)
    assert {name: item.status for name, item in planned(line).items()} == {
        "trend": "changed", "week": "unchanged", "forecast/labels": "unchanged", "forecast": "unchanged"
    }  # fmt: skip
    line.files.change("trend/trend.sql", "ln(units + 1)", "ln(1 + units)")
    line.open()
    found = planned(line)
    trend, week = found["trend"], found["week"]
    assert {item.part: item.lines for item in trend.differences} == {
        "column cost": ("+double",),
        "sql": (
            "   sales.day,",
            "-  LN(units + 1) AS level,",
            "-  visitors AS crowd",
            "+  LN(1 + units) AS level,",
            "+  visitors AS crowd,",
            "+  price AS cost",
            " FROM sales",
        ),
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
    run = "run `mlops-assets backfill"
    assert text.endswith(f"Nothing was written. To compute it: {run} trend`, then {run} week`")
    assert text.count("s each; this home recorded no run of it) and 196 rows") == 2
    assert "  what is computed again behind it is not known: this home recorded no run of it\nIn all up to " in text

    # What runs recorded counts writing, events, and all that follows.
    took = {"trend": 0.5, "forecast/predictions": 2.0, "forecast/performance": 0.25, "forecast/candidate": 90.0}
    recorded = {name: Recorded(10, seconds) for name, seconds in took.items()}
    text = as_text(plan(line.platform.project, line.platform, recorded))
    assert (
        "trend: new generation" in text and "about 7.0 s (0.500 s each, as recorded in this home) and 196 rows" in text
    )
    follows = "forecast/performance 10 times (0.250 s each), forecast/predictions 10 times (2.000 s each); up to 22.5 s"
    assert f"  where what it reads turns out another, computed again: {follows}, as recorded\n" in text
    total = 7.0 + 22.5 + 14 * (plan(line.platform.project, line.platform)[1].cost.seconds_each or 0)  # type: ignore[union-attr]
    assert "In all up to " in text and float(text.partition("In all up to ")[2].partition(" s")[0]) == pytest.approx(
        total, abs=5
    )
    assert "; without, or with computing alone of, what no run is recorded of: week.\n" in text


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
    assert "-  LN(later.units / now.units) AS growth" in difference.lines
    labels = found["forecast/labels"]
    assert labels.cost is not None
    assert (labels.status, len(labels.cost.periods), labels.cost.periods[0]) == ("changed", 11, "2024-01-05")
    assert found["forecast"].consequence.startswith(
        "version 1, the champion, and its training set are of the past: the definition of 'forecast' itself is another"
    )


def test_the_command_gives_both_forms_and_the_generations_of_a_table(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_cost(line)
    project = line.folder / "project"
    (project / "shop" / "defs").mkdir(parents=True)
    for folder in ("sales", "visits", "trend", "week", "forecast"):
        (project / folder).rename(project / "shop" / "defs" / folder)
    (project / "pyproject.toml").write_text('[tool.dg.project]\nroot_module = "shop"\n', encoding="utf-8")
    monkeypatch.setenv(HOME_VARIABLE, str(line.platform.home.folder))

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(main, ["--project", str(project), *arguments])
        assert done.exit_code == 0, done.output
        return done.output

    assert "+  price AS cost" in run("plan")
    (trend, *_) = json.loads(run("plan", "--format", "json"))
    assert (trend["name"], trend["status"], len(trend["cost"]["periods"])) == ("trend", "changed", 14)
    assert "trained on it: forecast at 2024-01-16" in run("generations", "trend")
    (first,) = json.loads(run("generations", "trend", "--format", "json"))
    assert (first["present"], first["trained"]) == (False, ["forecast at 2024-01-16"])
    refused = CliRunner().invoke(main, ["--project", str(project), "generations", "trends"])
    assert refused.exit_code == 1
    assert "Found: feature table 'trends'. Expected: one of: trend, week." in refused.output
