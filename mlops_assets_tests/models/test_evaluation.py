"""The report of a candidate: intervals that cover, pairs on the same draws, segments that hold every row once."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.models.evaluation import (
    OTHERS,
    Evaluation,
    calibration_bins,
    evaluate,
    key_codes,
    levels,
)
from mlops_assets.models.evaluation_text import as_lines, as_markdown, in_brief
from mlops_assets.models.metrics import measure
from mlops_assets.project.definition import ModelDefinition
from mlops_assets.project.gates import SegmentGate
from mlops_assets.project.tasks import Task, metrics_of
from mlops_assets_tests.models.judged import made_rows, of_task, small_model

TASKS: tuple[Task, ...] = ("regression", "binary", "multiclass")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelDefinition:
    return small_model(tmp_path_factory.mktemp("project"))


@pytest.mark.parametrize("task", TASKS)
def test_every_metric_lies_in_its_interval_for_everybody(model: ModelDefinition, task: Task) -> None:
    judged = made_rows(task)
    report = evaluate(of_task(model, task), judged)
    assert (report.rows, report.keys, report.draws) == (400, 40, 200)
    assert set(report.figures) == {"candidate", "baseline", "champion"}
    for who, figures in report.figures.items():
        assert set(figures) == {metric.name for metric in metrics_of(task)}
        assert {name: one.value for name, one in figures.items()} == measure(
            task, judged.truth, judged.scores[who]
        ).values
        for name, one in figures.items():
            assert one.low is not None and one.high is not None
            assert one.low < one.high
            # A mean distance is a little larger in rows drawn anew, so its interval may lie above it.
            assert one.low <= one.value <= one.high or name == "calibration_error", (who, name)


@pytest.mark.parametrize("task", TASKS)
def test_the_same_rows_give_the_same_report_and_it_can_be_kept(model: ModelDefinition, task: Task) -> None:
    asked = of_task(model, task, segments=("region",))
    report = evaluate(asked, made_rows(task))
    assert evaluate(asked, made_rows(task)).to_json() == report.to_json()
    assert Evaluation.from_json(report.to_json()) == report
    other = evaluate(replace(asked, template=replace(asked.template, seed=8)), made_rows(task))
    assert other.figures != report.figures


@pytest.mark.parametrize("task", TASKS)
def test_the_difference_to_equal_predictions_is_nothing_at_all(model: ModelDefinition, task: Task) -> None:
    judged = made_rows(task)
    same = replace(judged, scores={**judged.scores, "champion": judged.scores["candidate"]})
    report = evaluate(of_task(model, task), same)
    for one in report.differences["champion"].values():
        assert (one.value, one.low, one.high) == (0.0, 0.0, 0.0)
    assert set(report.changes.values()) == {0.0}
    assert report.differences["baseline"][of_task(model, task).metric].value != 0


def test_a_difference_is_that_of_pairs_and_surer_than_both_figures(model: ModelDefinition) -> None:
    judged = made_rows("regression")
    nearly = judged.truth + 1.1 * (judged.scores["candidate"] - judged.truth)
    report = evaluate(of_task(model, "regression"), replace(judged, scores={**judged.scores, "champion": nearly}))
    both, pair = (
        (report.figures[who]["mae"] for who in ("candidate", "champion")),
        report.differences["champion"]["mae"],
    )
    widths = [(one.high or 0) - (one.low or 0) for one in both]
    assert pair.low is not None and pair.high is not None
    assert pair.high - pair.low < 0.2 * min(widths)
    assert pair.high < 0 < widths[0]


def test_intervals_hold_the_true_figure_about_as_often_as_they_say(model: ModelDefinition) -> None:
    asked, shops, times, truth = of_task(model, "regression", draws=100), 40, 40, 0.0
    held = {"by key": 0, "by row": 0}
    for seed in range(times):
        judged = made_rows("regression", shops, 10, seed, champion=False)
        by_row = replace(judged, rows=judged.rows.set_column(0, "shop", [[str(row) for row in range(shops * 10)]]))
        for how, rows in (("by key", judged), ("by row", by_row)):
            one = evaluate(asked, rows).figures["candidate"]["bias"]
            assert one.low is not None and one.high is not None
            held[how] += one.low <= truth <= one.high
    assert held["by key"] >= 0.85 * times  # of 95 %, by 40 keys and 40 tries
    assert held["by row"] < 0.75 * times  # rows of one key are alike: drawn as if they were not, they say too much


def test_without_a_champion_nothing_is_told_of_it(model: ModelDefinition) -> None:
    report = evaluate(of_task(model, "regression"), made_rows("regression", champion=False))
    assert (set(report.figures), set(report.differences)) == ({"candidate", "baseline"}, {"baseline"})
    assert report.changes == {}


def test_of_few_keys_there_are_no_intervals(model: ModelDefinition) -> None:
    report = evaluate(of_task(model, "regression", segments=("shop",), min_rows=1), made_rows("regression", 4, 30))
    for figures in (report.figures, report.differences, *(segment.figures for segment in report.segments)):
        assert {(one.low, one.high) for of in figures.values() for one in of.values()} == {(None, None)}


def test_a_missing_prediction_leaves_its_figures_out_and_not_those_of_others(model: ModelDefinition) -> None:
    import numpy as np

    judged = made_rows("regression")
    gap = judged.scores["candidate"].copy()
    gap[3] = np.nan
    report = evaluate(of_task(model, "regression"), replace(judged, scores={**judged.scores, "candidate": gap}))
    assert report.figures["candidate"] == {} and report.differences["champion"] == {}
    assert report.figures["baseline"]["mae"].low is not None
    assert report.residuals is None and report.changes == {}
    assert in_brief(report).startswith("mae of the champion ")
    assert as_lines(report) and as_markdown(report)


@settings(max_examples=30)
@given(
    column=st.sampled_from(["shop", "day", "region", "level", "crowd"]),
    min_rows=st.integers(1, 60),
    most=st.none() | st.integers(1, 4),
    days=st.integers(1, 6),
)
def test_segments_hold_every_row_once(
    model: ModelDefinition, column: str, min_rows: int, most: int | None, days: int
) -> None:
    import numpy as np

    rows = made_rows("regression", 14, days, seed=days).rows
    found, others = levels(model, rows, column, min_rows, most)
    everything = np.concatenate([*(places for _, places in found), others])
    assert sorted(everything) == list(range(14 * days))
    assert all(len(places) >= min_rows for _, places in found)
    assert most is None or len(found) <= most
    if column in ("shop", "region"):
        values = rows.column(column).to_pylist()
        for level, places in found:
            assert {values[place] for place in places} == {None if level == "missing" else level}


def test_numbers_are_told_by_quartiles_and_what_has_no_value_apart(model: ModelDefinition) -> None:
    import numpy as np
    import pyarrow as pa

    values = [*map(float, range(100)), None, float("nan")]
    rows = pa.table({"level": pa.array(values, pa.float64(), from_pandas=False)})
    found, others = levels(model, rows, "level", 1)
    assert [level for level, _ in found] == ["0 to 24", "25 to 49", "50 to 74", "75 to 99", "missing"]
    assert [len(places) for _, places in found] == [25, 25, 25, 25, 2]
    assert len(others) == 0
    assert np.array_equal(found[1][1], np.arange(25, 50))


def test_a_report_tells_its_segments_and_those_that_gates_look_at(model: ModelDefinition) -> None:
    gate = SegmentGate("rmse", "champion", 0.1, ("crowd",), 50)
    judged = made_rows("regression")
    report = evaluate(replace(of_task(model, "regression", segments=("region",)), gates=(gate,)), judged)
    assert [(segment.column, segment.level) for segment in report.segments][:3] == [
        ("region", "north"),
        ("region", "south"),
        ("region", "missing"),
    ]
    assert {segment.column for segment in report.segments} == {"region", "crowd"}
    for column in ("region", "crowd"):
        assert sum(segment.rows for segment in report.segments if segment.column == column) == 400
    north = report.segments[0].figures["candidate"]
    assert north["mae"].low is not None and north["rmse"].low is None  # the watched metric alone has an interval
    assert [segment.level for segment in _by_shop(model).segments] == [OTHERS]


def _by_shop(model: ModelDefinition) -> Evaluation:
    return evaluate(of_task(model, "regression", segments=("shop",)), made_rows("regression"))


def test_calibration_bins_hold_every_row_and_lie_near_the_truth_of_who_is_calibrated(model: ModelDefinition) -> None:
    import numpy as np

    rng = np.random.default_rng(0)
    claimed = rng.random(20_000)
    came_true = (rng.random(20_000) < claimed).astype(float)
    bins = calibration_bins(of_task(model, "binary"), came_true, claimed)
    assert [one.rows for one in bins] == [2000] * 10
    assert all(abs(one.claimed - one.came_true) < 0.04 for one in bins)
    assert sum(one.rows * one.came_true for one in bins) == pytest.approx(came_true.sum())
    bold = calibration_bins(of_task(model, "binary"), came_true, claimed**0.2)
    assert max(abs(one.claimed - one.came_true) for one in bold) > 0.3


def test_residuals_are_prediction_minus_truth_and_every_row_is_in_a_bar(model: ModelDefinition) -> None:
    judged = made_rows("regression")
    high = replace(judged, scores={**judged.scores, "candidate": judged.truth + 3.0})
    residuals = evaluate(of_task(model, "regression"), high).residuals
    assert residuals is not None
    assert residuals.quantiles["candidate"]["0.5"] == pytest.approx(3.0)
    assert all(sum(counts) == 400 for counts in residuals.counts.values())
    assert len(residuals.edges) == len(residuals.counts["candidate"]) + 1


def test_prediction_changes_against_the_champion(model: ModelDefinition) -> None:
    import numpy as np

    judged = made_rows("binary")
    scores = judged.scores["champion"].copy()
    scores[:100] = 1 - scores[:100]
    report = evaluate(of_task(model, "binary"), replace(judged, scores={**judged.scores, "candidate": scores}))
    assert report.changes == {"share": 0.25}
    numbers = made_rows("regression")
    moved = {**numbers.scores, "candidate": numbers.scores["champion"] - np.arange(400) / 100}
    changes = evaluate(of_task(model, "regression"), replace(numbers, scores=moved)).changes
    assert changes["0.5"] == pytest.approx(1.995) and changes["1"] == pytest.approx(3.99)


def test_keys_are_told_apart_by_all_their_columns_whatever_the_order_of_rows(model: ModelDefinition) -> None:
    import pyarrow as pa

    two = replace(model, schema=replace(model.schema, keys=("shop", "region")))
    rows = pa.table({"shop": ["a", "a", "b", "a", "b"], "region": ["x", "y", "x", "x", "x"]})
    assert key_codes(two, rows).tolist() == [0, 1, 2, 0, 2]
    assert key_codes(two, rows.take([4, 3, 2, 1, 0])).tolist() == [2, 0, 2, 1, 0]


def test_of_a_column_that_became_personal_no_level_is_told(model: ModelDefinition) -> None:
    report = evaluate(of_task(model, "regression", segments=("region",)), made_rows("regression"))
    assert "north" in as_markdown(report)
    told = report.without({"region"})
    assert "north" not in as_markdown(told) and told.figures == report.figures


def test_a_report_in_words(model: ModelDefinition) -> None:
    report = evaluate(of_task(model, "regression", segments=("region",)), made_rows("regression"))
    one = report.figures["candidate"]["mae"]
    words = f"{one.value:.4g} ({one.low:.4g} to {one.high:.4g})"
    assert in_brief(report).startswith(f"mae of the candidate {words}, mae of the champion ")
    lines = as_lines(report)
    assert lines[0] == "evaluation on 400 rows of 40 keys, with 95 % intervals by 200 draws of the keys"
    assert lines[1].split() == [
        "metric",
        "candidate",
        "champion",
        "baseline",
        "difference",
        "to",
        "the",
        "champion",
        "difference",
        "to",
        "the",
        "baseline",
    ]
    assert any(line.split()[:3] == ["region", "north", "140"] for line in lines)
    text = as_markdown(report)
    assert f"| mae | {words} |" in text
    assert "| mae by | level | rows | candidate | champion | baseline |\n|---|---|---|---|---|---|" in text
    assert "prediction minus truth: 1% below" in text
