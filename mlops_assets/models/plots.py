"""An evaluation as drawings: self-contained SVG files, the same for the same report, in the reader's light or dark."""

import os
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.models.evaluation import CalibrationBin, Evaluation, Interval, Residuals, Segment, Who
from mlops_assets.models.evaluation_text import ORDER, in_words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLORS: Mapping[Who, str] = {"candidate": "#2176c7", "champion": "#c2571a", "baseline": "#8795a5"}
IN_THE_DARK = "@media (prefers-color-scheme: dark) { svg { filter: invert(1) hue-rotate(180deg) } }"
STYLE: Mapping[str, Any] = {
    "svg.fonttype": "none",  # texts are texts,
    "text.parse_math": False,  # and no mathematics
    "font.sans-serif": ["DejaVu Sans"],  # which comes with matplotlib
    "svg.hashsalt": "",  # else names inside a file are other ones each time
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": COLORS["baseline"],
}
"""How all are drawn, whatever a user has set."""

WIDTH, LINE, AROUND = 8.0, 0.2, 0.5
"""Inches: of a drawing, between two lines, and around what is drawn."""
MAX_LABEL = 28
SMOOTHED = 12
"""Over so many periods errors over time are averaged."""

Group = tuple[str, Mapping[Who, Interval]]
"""What is measured of the same rows, and what these are called."""


def plots(evaluation: Evaluation, scratch: Path) -> dict[str, str]:
    """Each drawing that there is something to draw for, by name: metrics, segments, calibration, residuals.

    Args:
        evaluation: The report.
        scratch: Where the list of this machine's fonts is kept, so that it is made once.
    """
    with _style(scratch):
        found = {}
        if any(evaluation.figures.values()):
            found["metrics"] = metric_intervals(evaluation.figures)
        if evaluation.segments:
            found["segments"] = segment_intervals(evaluation.metric, evaluation.segments)
        if evaluation.calibration:
            found["calibration"] = calibration_curve(evaluation.calibration)
        if evaluation.residuals:
            found["residuals"] = residual_histogram(evaluation.residuals)
        return {name: _svg(name, figure) for name, figure in found.items()}


def report_files(evaluation: Evaluation, scratch: Path) -> dict[str, str]:
    """The report and its drawings as files, by path; arguments as of `plots`."""
    drawn = {f"plots/{name}.svg": text for name, text in plots(evaluation, scratch).items()}
    return {"evaluation.json": evaluation.to_json(), **drawn}


def metric_intervals(figures: Mapping[Who, Mapping[str, Interval]]) -> "Figure":
    """Every metric with its interval, by who predicted; each metric has a scale of its own."""
    metrics = sorted({name for of in figures.values() for name in of})
    return _intervals(
        {metric: [("", {who: of[metric] for who, of in figures.items() if metric in of})] for metric in metrics}
    )


def segment_intervals(metric: str, segments: Sequence[Segment]) -> "Figure":
    """One metric by segment, with its interval, by who predicted; one scale for all."""
    panels: dict[str, list[Group]] = {}
    for segment in segments:
        measured = {who: of[metric] for who, of in segment.figures.items() if metric in of}
        group = f"{_cut(segment.level)}\n{segment.rows:,} rows", measured
        panels.setdefault(f"{metric} by {segment.column}", []).append(group)
    return _intervals(panels, one_scale=True)


def calibration_curve(calibration: Mapping[Who, Sequence[CalibrationBin]]) -> "Figure":
    """The observed share against the predicted probability, by who predicted; on the dashed line both are the same."""
    figure = _figure(WIDTH * 0.7, calibration)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], "--", color="#5b6673", linewidth=1)
    for who in reversed(ORDER):
        if bins := calibration.get(who, ()):
            points = [one.claimed for one in bins], [one.came_true for one in bins]
            axes.plot(*points, "o-", color=COLORS[who], markersize=5)
    axes.set(xlabel="predicted probability", ylabel="observed share", aspect="equal")
    return figure


def residual_histogram(residuals: Residuals) -> "Figure":
    """How many rows by prediction minus truth: bars of the candidate, steps of the others."""
    figure = _figure(WIDTH * 0.55, residuals.counts)
    axes = figure.subplots()
    for who in (who for who in ORDER if who in residuals.counts):
        bars: Mapping[str, Any] = {"fill": True, "alpha": 0.55} if who == "candidate" else {"linewidth": 1.8}
        axes.stairs(residuals.counts[who], residuals.edges, color=COLORS[who], **bars)
    axes.set(xlabel="prediction minus truth (the outermost bars hold all beyond)", ylabel="rows")
    return figure


def error_lines(metric: str, periods: Sequence[str], errors: Mapping[str, Sequence[float]], scratch: Path) -> str:
    """Errors over periods as an SVG, a line for each name; each point is the mean over the `SMOOTHED` up to it.

    Args:
        metric: What the errors are measured by.
        periods: Keys, in their order.
        errors: An error for each period, by name.
        scratch: As of `plots`.
    """
    import numpy as np
    from matplotlib.figure import Figure

    with _style(scratch):
        figure = Figure((WIDTH, WIDTH * 0.55))
        axes = figure.subplots()
        for name, values in errors.items():
            sums = np.cumsum(np.asarray(values, float))
            before = np.concatenate([np.zeros(min(SMOOTHED, len(sums))), sums[:-SMOOTHED]])
            axes.plot(
                periods, (sums - before) / np.minimum(np.arange(len(sums)) + 1, SMOOTHED), linewidth=1.5, label=name
            )
        axes.set(ylabel=f"{metric}, mean over {SMOOTHED} periods")
        axes.set_xticks(list(range(0, len(periods), max(len(periods) // 8, 1))))
        axes.legend(frameon=False)
        return _svg("backtest", figure)


def _intervals(panels: Mapping[str, Sequence[Group]], *, one_scale: bool = False) -> "Figure":
    """A line for each interval with the figure as a dot, and both in words; by panel and group, in each by who."""
    told = {who for groups in panels.values() for _, measured in groups for who in measured}
    sizes = [len(groups) * (len(told) + 0.5) * LINE for groups in panels.values()]
    height = sum(sizes) + AROUND * (len(panels) + 1)
    figure = _figure(height, told)
    place = {"left": 0.28, "right": 0.74, "top": 1 - AROUND * 1.3 / height, "bottom": AROUND * 0.7 / height}
    gaps = {"height_ratios": sizes, "hspace": AROUND * len(panels) / sum(sizes)}
    drawn = figure.subplots(len(panels), 1, sharex=one_scale, squeeze=False, gridspec_kw={**place, **gaps})
    for axes, (title, groups) in zip(drawn.flat, panels.items(), strict=True):
        axes.set_title(title, x=-0.58, loc="left", fontsize="medium", fontweight="bold")
        y, middles = 0.0, []
        for _, measured in groups:
            middles.append(y + (len(measured) - 1) / 2)
            for who in (who for who in ORDER if who in measured):
                _interval(axes, who, measured[who], y)
                y += 1
            y += 0.5
        axes.set_yticks(middles, [label for label, _ in groups])
        axes.set_ylim(y - 0.5, -0.75)
        axes.tick_params(left=False, labelsize="small")
        axes.locator_params("x", nbins=5)
    return figure


def _interval(axes: Any, who: Who, one: Interval, y: float) -> None:
    if one.low is not None and one.high is not None:
        axes.plot([one.low, one.high], [y, y], "-", color=COLORS[who])
    axes.plot(one.value, y, "o", color=COLORS[who])
    axes.annotate(in_words(one), (1.02, y), xycoords=("axes fraction", "data"), va="center", fontsize="small")


def _figure(height: float, whose: Collection[Who]) -> "Figure":
    """A figure with a legend alone."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    figure = Figure((WIDTH, height))
    marks = [Line2D([], [], color=COLORS[who], marker="o", label=who) for who in ORDER if who in whose]
    figure.legend(handles=marks, loc="upper left", ncols=max(len(marks), 1), frameon=False)
    return figure


def _cut(text: str) -> str:
    shown = "".join(character if character.isprintable() else "·" for character in text)
    return shown if len(shown) <= MAX_LABEL else f"{shown[: MAX_LABEL - 1]}…"


@contextmanager
def _style(scratch: Path) -> Iterator[None]:
    """Matplotlib as it is delivered, but for `STYLE`."""
    os.environ.setdefault("MPLCONFIGDIR", str(scratch / "matplotlib"))  # else it keeps its list of fonts in HOME
    import matplotlib

    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a character that its own font has not: the reader's may
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def _svg(name: str, figure: "Figure") -> str:
    file = StringIO()
    figure.savefig(file, format="svg", metadata={"Title": name, "Date": None, "Creator": None})
    return file.getvalue().replace("</style>", f"{IN_THE_DARK}</style>", 1)
