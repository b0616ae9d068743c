"""Drawings of an evaluation: whole SVG files, whose marks stand where the figures are."""

from dataclasses import replace
from xml.etree import ElementTree

import pytest

from mlops_assets.models.evaluation import CalibrationBin, Evaluation, Interval, Segment, evaluate
from mlops_assets.models.plots import (
    calibration_curve,
    metric_intervals,
    plots,
    report_files,
    residual_histogram,
    segment_intervals,
)
from mlops_assets.project.definition import ModelDefinition
from mlops_assets.project.tasks import Task
from mlops_assets_tests.models.judged import made_rows, of_task, small_model

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelDefinition:
    return small_model(tmp_path_factory.mktemp("project"))


def report_of(model: ModelDefinition, task: Task, *, champion: bool = True) -> Evaluation:
    return evaluate(of_task(model, task, segments=("region",), draws=100), made_rows(task, champion=champion))


def marks(svg: str, kind: str) -> list[tuple[float, float]]:
    """Where the dots of somebody are."""
    found = ElementTree.fromstring(svg).iter(f"{SVG}circle")
    return [(float(one.attrib["cx"]), float(one.attrib["cy"])) for one in found if one.attrib["class"] == kind]


@pytest.mark.parametrize(
    ("task", "names"),
    [
        ("regression", ["metrics", "residuals", "segments"]),
        ("binary", ["calibration", "metrics", "segments"]),
        ("multiclass", ["calibration", "metrics", "segments"]),
    ],
)
def test_each_task_has_its_drawings_and_each_is_a_whole_file(
    model: ModelDefinition, task: Task, names: list[str]
) -> None:
    report = report_of(model, task)
    assert sorted(plots(report)) == names
    for text in plots(report).values():
        drawing = ElementTree.fromstring(text)
        width, height = map(float, drawing.attrib["viewBox"].split()[2:])
        for one in drawing.iter(f"{SVG}circle"):
            assert 0 <= float(one.attrib["cx"]) <= width and 0 <= float(one.attrib["cy"]) <= height
    assert sorted(report_files(report)) == sorted(["evaluation.json", *(f"plots/{name}.svg" for name in names)])
    assert Evaluation.from_json(report_files(report)["evaluation.json"]) == report


def test_without_a_champion_it_is_not_drawn(model: ModelDefinition) -> None:
    for text in plots(report_of(model, "regression", champion=False)).values():
        assert not marks(text, "champion") and "champion</text>" not in text


def test_a_better_figure_stands_further_left_and_its_interval_around_it() -> None:
    figures = {"candidate": {"mae": Interval(1.0, 0.5, 1.5)}, "baseline": {"mae": Interval(2.0, None, None)}}
    svg = metric_intervals(figures)  # type: ignore[arg-type]
    ((_, _), (mine, height)), (_, (theirs, _)) = marks(svg, "candidate"), marks(svg, "baseline")
    assert mine < theirs
    line = next(one for one in ElementTree.fromstring(svg).iter(f"{SVG}path"))
    begin, end = line.attrib["d"].removeprefix("M").split(" H")[0], float(line.attrib["d"].split(" H")[1])
    assert float(begin.split()[0]) < mine < end <= theirs
    assert float(begin.split()[1]) == height
    assert "1 (0.5 to 1.5)" in svg and ">2<" in svg


def test_names_of_levels_are_no_markup() -> None:
    segment = Segment("region", "<script>&", 3, {"candidate": {"mae": Interval(1.0, None, None)}})
    assert "&lt;script&gt;&amp;" in segment_intervals("mae", [segment])


def test_who_is_calibrated_stands_on_the_dashed_line() -> None:
    svg = calibration_curve({"candidate": [CalibrationBin(9, share, share) for share in (0.0, 0.5, 1.0)]})
    ideal = next(one for one in ElementTree.fromstring(svg).iter(f"{SVG}path") if one.attrib["class"] == "ideal")
    ends = [tuple(map(float, end.split())) for end in ideal.attrib["d"].removeprefix("M").split(" L")]
    _, first, middle, last = marks(svg, "candidate")  # the first is the legend's
    assert [first, last] == ends
    assert middle == tuple(sum(pair) / 2 for pair in zip(*ends, strict=True))


def test_residuals_that_are_all_alike_are_drawn_too(model: ModelDefinition) -> None:
    judged = made_rows("regression", champion=False)
    same = replace(judged, scores={"candidate": judged.truth, "baseline": judged.truth})
    residuals = evaluate(of_task(model, "regression"), same).residuals
    assert residuals is not None
    ElementTree.fromstring(residual_histogram(residuals))
