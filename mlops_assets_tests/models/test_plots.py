"""Drawings of an evaluation: whole SVG files, whose marks stand where the figures are."""

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from mlops_assets.models.evaluation import CalibrationBin, Evaluation, Interval, Segment, Who, evaluate
from mlops_assets.models.plots import COLORS, plots, report_files
from mlops_assets.project.definition import ModelDefinition
from mlops_assets.project.tasks import Task
from mlops_assets_tests.models.judged import made_rows, of_task, small_model

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelDefinition:
    return small_model(tmp_path_factory.mktemp("project"))


def report_of(model: ModelDefinition, task: Task, *, champion: bool = True) -> Evaluation:
    return evaluate(of_task(model, task, segments=("region",), draws=100), made_rows(task, champion=champion))


def drawn(kind: str, report: Evaluation, folder: Path) -> ElementTree.Element:
    """One drawing as a browser reads it."""
    return ElementTree.fromstring(plots(report, folder)[kind])


def marks(drawing: ElementTree.Element, who: Who) -> list[tuple[float, float]]:
    """Where the dots of somebody are, without that of the legend."""
    found = [one for one in drawing.iter(f"{SVG}use") if f"fill: {COLORS[who]}" in one.attrib["style"]]
    return [(float(one.attrib["x"]), float(one.attrib["y"])) for one in found][:-1]


def line(drawing: ElementTree.Element, style: str) -> list[tuple[float, float]]:
    """The points of the first line of a style."""
    found = next(one for one in drawing.iter(f"{SVG}path") if style in one.attrib.get("style", ""))
    numbers = [float(number) for number in found.attrib["d"].replace("M", "").replace("L", "").split()]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def texts(drawing: ElementTree.Element) -> list[str]:
    return ["".join(one.itertext()) for one in drawing.iter(f"{SVG}text")]


@pytest.mark.parametrize(
    ("task", "names"),
    [
        ("regression", ["metrics", "residuals", "segments"]),
        ("binary", ["calibration", "metrics", "segments"]),
        ("multiclass", ["calibration", "metrics", "segments"]),
    ],
)
def test_each_task_has_its_drawings_and_each_is_a_whole_file(
    model: ModelDefinition, task: Task, names: list[str], tmp_path: Path
) -> None:
    report = report_of(model, task)
    assert sorted(plots(report, tmp_path)) == names
    for text in plots(report, tmp_path).values():
        drawing = ElementTree.fromstring(text)
        width, height = map(float, drawing.attrib["viewBox"].split()[2:])
        dots = [dot for who in COLORS for dot in marks(drawing, who)]
        assert all(0 <= x <= width and 0 <= y <= height for x, y in dots)
        assert "prefers-color-scheme: dark" in text
    files = report_files(report, tmp_path)
    assert sorted(files) == sorted(["evaluation.json", *(f"plots/{name}.svg" for name in names)])
    assert Evaluation.from_json(files["evaluation.json"]) == report


def test_the_same_report_is_drawn_by_the_same_bytes_whatever_a_user_has_set(
    model: ModelDefinition, tmp_path: Path
) -> None:
    report = report_of(model, "binary")
    before = plots(report, tmp_path)
    import matplotlib

    with matplotlib.rc_context({"font.size": 30, "svg.fonttype": "path", "text.usetex": True}):
        assert plots(report, tmp_path) == before
        assert matplotlib.rcParams["font.size"] == 30


def test_without_a_champion_it_is_not_drawn(model: ModelDefinition, tmp_path: Path) -> None:
    for text in plots(report_of(model, "regression", champion=False), tmp_path).values():
        assert COLORS["champion"] not in text and "champion</text>" not in text


def test_a_better_figure_stands_further_left_and_its_interval_around_it(model: ModelDefinition, tmp_path: Path) -> None:
    figures = {"candidate": {"mae": Interval(1.0, 0.5, 1.5)}, "baseline": {"mae": Interval(2.0, None, None)}}
    drawing = drawn("metrics", replace(report_of(model, "regression"), figures=figures), tmp_path)  # type: ignore[arg-type]
    ((mine, height),), ((theirs, _),) = marks(drawing, "candidate"), marks(drawing, "baseline")
    assert mine < theirs
    (begin, at), (end, _) = line(drawing, f"stroke: {COLORS['candidate']}; stroke-width")
    assert begin < mine < end <= theirs
    assert at == height
    assert {"1 (0.5 to 1.5)", "2"} <= set(texts(drawing))


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        ("<script>&", "<script>&"),
        ("$\\frac", "$\\frac"),
        ("a\x00b\nc", "a·b·c"),
        ("北", "北"),
        ("x" * 40, "x" * 27 + "…"),
    ],
)
def test_names_of_levels_are_no_markup_and_no_mathematics(
    model: ModelDefinition, level: str, shown: str, tmp_path: Path
) -> None:
    segment = Segment("region", level, 3, {"candidate": {"rmse": Interval(1.0, None, None)}})
    report = replace(report_of(model, "regression"), metric="rmse", segments=(segment,))
    drawing = drawn("segments", report, tmp_path)
    assert any(text.strip().startswith(shown) for text in texts(drawing))
    assert "rmse by region" in texts(drawing)


def test_who_is_calibrated_stands_on_the_dashed_line(model: ModelDefinition, tmp_path: Path) -> None:
    bins = tuple(CalibrationBin(9, share, share) for share in (0.0, 0.5, 1.0))
    drawing = drawn("calibration", replace(report_of(model, "binary"), calibration={"candidate": bins}), tmp_path)
    ends = line(drawing, "stroke-dasharray")
    first, middle, last = marks(drawing, "candidate")
    assert [first, last] == ends
    assert middle == pytest.approx([sum(pair) / 2 for pair in zip(*ends, strict=True)])
    assert {"predicted probability", "observed share"} <= set(texts(drawing))


def test_residuals_that_are_all_alike_are_drawn_too(model: ModelDefinition, tmp_path: Path) -> None:
    judged = made_rows("regression", champion=False)
    same = replace(judged, scores={"candidate": judged.truth, "baseline": judged.truth})
    report = evaluate(of_task(model, "regression"), same)
    assert report.residuals is not None
    assert "rows" in texts(drawn("residuals", report, tmp_path))


def test_where_nothing_could_be_measured_nothing_is_drawn_of_it(model: ModelDefinition, tmp_path: Path) -> None:
    segment = Segment("region", "north", 3, {"candidate": {}})
    report = replace(report_of(model, "binary"), figures={"candidate": {}}, segments=(segment,))
    assert sorted(plots(report, tmp_path)) == ["calibration", "segments"]
