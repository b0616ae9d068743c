"""An evaluation as drawings: self-contained SVG files whose texts are texts, in the reader's light or dark."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import floor, log10
from xml.sax.saxutils import escape

from mlops_assets.models.evaluation import CalibrationBin, Evaluation, Interval, Residuals, Segment, Who
from mlops_assets.models.evaluation_text import ORDER, in_words

WIDTH, MARGIN, ROW = 760, 20, 20
CHARACTER = 7.3
"""Width of a character at 12 px in the widest of the monospaced fonts that the style asks for."""

STYLE = """
.plot { --ink: #1f2933; --soft: #5b6673; --line: #c6ced8; --page: #ffffff;
  --candidate: #2176c7; --champion: #c2571a; --baseline: #8795a5; }
@media (prefers-color-scheme: dark) {
  .plot { --ink: #e6ebf0; --soft: #9aa7b5; --line: #3d4956; --page: #151b21;
    --candidate: #5fb0f5; --champion: #f0965a; --baseline: #7d8b9a; }
}
.plot text { font: 12px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; fill: var(--ink); }
.plot .soft { fill: var(--soft); }
.plot .head { font-weight: 600; }
.plot .right { text-anchor: end; }
.plot .middle { text-anchor: middle; }
.plot .page { fill: var(--page); }
.plot .axis { fill: none; stroke: var(--line); }
.plot .ideal { fill: none; stroke: var(--soft); stroke-dasharray: 4 4; }
"""
STYLE += "".join(
    f".plot .{who} {{ fill: var(--{who}); }}\n"
    f".plot .{who}-line {{ fill: none; stroke: var(--{who}); stroke-width: 1.8; }}\n"
    for who in ORDER
)


def plots(evaluation: Evaluation) -> dict[str, str]:
    """Each drawing that there is something to draw for, by name: metrics, segments, calibration, residuals."""
    found = {"metrics": metric_intervals(evaluation.figures)}
    if evaluation.segments:
        found["segments"] = segment_intervals(evaluation.metric, evaluation.segments)
    if evaluation.calibration:
        found["calibration"] = calibration_curve(evaluation.calibration)
    if evaluation.residuals:
        found["residuals"] = residual_histogram(evaluation.residuals)
    return found


def report_files(evaluation: Evaluation) -> dict[str, str]:
    """The report and its drawings as files, by path."""
    drawn = {f"plots/{name}.svg": text for name, text in plots(evaluation).items()}
    return {"evaluation.json": evaluation.to_json(), **drawn}


def metric_intervals(figures: Mapping[Who, Mapping[str, Interval]]) -> str:
    """Every metric with its interval, by who predicted; each metric has a scale of its own."""
    parts, y = _legend(figures), 56.0
    for metric in sorted({name for of in figures.values() for name in of}):
        measured = {who: of[metric] for who, of in figures.items() if metric in of}
        parts.append(_text(MARGIN, y, metric, "head"))
        drawn, y = _intervals(
            [(who, of) for who in ORDER if (of := measured.get(who))], _scale_of(measured.values()), y
        )
        parts += drawn
        y += 10
    return _svg("Metrics with their intervals", f"{len(figures)} who predicted, each metric on its own scale", y, parts)


def segment_intervals(metric: str, segments: Sequence[Segment]) -> str:
    """One metric by segment, with its interval, by who predicted; one scale for all."""
    told = [of[metric] for segment in segments for of in segment.figures.values() if metric in of]
    parts = _legend({who: () for who in ORDER if any(who in segment.figures for segment in segments)})
    scale, y, column = _scale_of(told), 56.0, ""
    for segment in segments:
        if segment.column != column:
            column = segment.column
            parts.append(_text(MARGIN, y, f"{metric} by {column}", "head"))
            y += ROW
        parts.append(_text(MARGIN, y, _cut(segment.level), ""))
        parts.append(_text(MARGIN, y + ROW, f"{segment.rows:,} rows", "soft"))
        measured = [(who, of[metric]) for who in ORDER if metric in (of := segment.figures.get(who, {}))]
        drawn, y = _intervals(measured, scale, y)
        parts += drawn
        y += 6
    return _svg(f"{metric} by segment", f"{len(segments)} segments on one scale", y, parts)


def calibration_curve(calibration: Mapping[Who, Sequence[CalibrationBin]]) -> str:
    """What came true against what was claimed, by who predicted; on the dashed line both are the same."""
    left, top, side = 70.0, 50.0, 400.0

    def place(claimed: float, came_true: float) -> tuple[float, float]:
        return left + side * claimed, top + side * (1 - came_true)

    (x0, y0), (x1, y1) = place(0, 0), place(1, 1)
    parts = _legend(calibration)
    parts.append(f'<rect class="axis" x="{left}" y="{top}" width="{side}" height="{side}"/>')
    parts.append(f'<path class="ideal" d="M{x0:.1f} {y0:.1f} L{x1:.1f} {y1:.1f}"/>')
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        x, y = place(share, share)
        parts.append(_text(x, y0 + 18, f"{share:g}", "soft middle"))
        parts.append(_text(left - 8, y + 4, f"{share:g}", "soft right"))
    for who in reversed(ORDER):
        bins = [(*place(one.claimed, one.came_true), one) for one in calibration.get(who, ())]
        if bins:
            line = " L".join(f"{x:.1f} {y:.1f}" for x, y, _ in bins)
            parts.append(f'<path class="{who}-line" d="M{line}"/>')
        for x, y, one in bins:
            words = f"{who}: claimed {one.claimed:.3f}, came true {one.came_true:.3f}, {one.rows:,} rows"
            parts.append(_dot(who, x, y, words))
    parts.append(_text(left + side / 2, top + side + 38, "claimed probability", "middle"))
    parts.append(_text(left + side + 12, top + 12, "share that came true", "soft"))
    return _svg("Calibration", "Share that came true against claimed probability", top + side + 50, parts)


def residual_histogram(residuals: Residuals) -> str:
    """How many rows by prediction minus truth: bars of the candidate, steps of the others."""
    left, top, height = 70.0, 50.0, 260.0
    width = WIDTH - left - MARGIN
    most = max(max(counts) for counts in residuals.counts.values()) or 1
    edges = residuals.edges

    def x(value: float) -> float:
        return left + width * (value - edges[0]) / (edges[-1] - edges[0])

    def y(count: int) -> float:
        return top + height * (1 - count / most)

    parts = _legend(residuals.counts)
    for low, high, count in zip(edges, edges[1:], residuals.counts["candidate"], strict=False):
        parts.append(
            f'<rect class="candidate" opacity="0.55" x="{x(low) + 0.5:.1f}" y="{y(count):.1f}" '
            f'width="{x(high) - x(low) - 1:.1f}" height="{top + height - y(count):.1f}">'
            f"<title>{low:.4g} to {high:.4g}: {count:,} rows</title></rect>"
        )
    for who in ("baseline", "champion"):
        if who in residuals.counts:
            steps = [
                f"L{x(low):.1f} {y(count):.1f} L{x(high):.1f} {y(count):.1f}"
                for low, high, count in zip(edges, edges[1:], residuals.counts[who], strict=False)
            ]
            path = f"M{left:.1f} {top + height:.1f} {' '.join(steps)} L{left + width:.1f} {top + height:.1f}"
            parts.append(f'<path class="{who}-line" d="{path}"/>')
    parts.append(f'<path class="axis" d="M{left} {top} V{top + height} H{left + width}"/>')
    parts += [_text(x(value), top + height + 18, f"{value:g}", "soft middle") for value in _ticks(edges[0], edges[-1])]
    parts.append(_text(left - 8, top + 8, f"{most:,}", "soft right"))
    parts.append(_text(left - 8, top + height + 4, "0", "soft right"))
    parts.append(_text(left + width / 2, top + height + 38, "prediction minus truth", "middle"))
    return _svg(
        "Residuals", "Rows by prediction minus truth; the outermost bars hold all beyond", top + height + 50, parts
    )


@dataclass(frozen=True)
class _Scale:
    low: float
    high: float
    begin: float = 240.0
    end: float = 500.0

    def __call__(self, value: float) -> float:
        return self.begin + (self.end - self.begin) * (value - self.low) / (self.high - self.low)


def _scale_of(intervals: Iterable[Interval]) -> _Scale:
    ends = [end for one in intervals for end in (one.value, one.low, one.high) if end is not None]
    low, high = min(ends, default=0.0), max(ends, default=1.0)
    return _Scale(low, high if high > low else low + 1)


def _intervals(
    measured: Sequence[tuple[Who, Interval]], scale: Callable[[float], float], y: float
) -> tuple[list[str], float]:
    """A line for each: its interval with the figure as a dot, and both in words; and where the next line begins."""
    parts = []
    for who, one in measured:
        words, middle = in_words(one), y - 4
        if one.low is not None and one.high is not None:
            parts.append(f'<path class="{who}-line" d="M{scale(one.low):.1f} {middle:.1f} H{scale(one.high):.1f}"/>')
        parts.append(_dot(who, scale(one.value), middle, f"{who} {words}"))
        parts.append(_text(520, y, words, "soft"))
        y += ROW
    return parts, y


def _ticks(low: float, high: float) -> list[float]:
    """A few round numbers between two."""
    size = 10 ** floor(log10((high - low) / 4))
    step = next(size * times for times in (1, 2, 5, 10) if (high - low) / (size * times) <= 6)
    first = floor(low / step) + 1
    return [float(f"{number * step:.10g}") for number in range(first, floor(high / step) + 1)]


def _legend(who: Iterable[str]) -> list[str]:
    parts, x = [], float(MARGIN)
    for name in (name for name in ORDER if name in set(who)):
        parts.append(_dot(name, x + 4, 20, name))
        parts.append(_text(x + 14, 24, name, "soft"))
        x += 14 + len(name) * CHARACTER + 24
    return parts


def _cut(text: str, most: int = 28) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _dot(who: str, x: float, y: float, words: str) -> str:
    return f'<circle class="{who}" cx="{x:.1f}" cy="{y:.1f}" r="4"><title>{escape(words)}</title></circle>'


def _text(x: float, y: float, words: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(words)}</text>'


def _svg(title: str, described: str, height: float, parts: Iterable[str]) -> str:
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="plot" viewBox="0 0 {WIDTH} {height:.0f}" '
            f'width="{WIDTH}" height="{height:.0f}" role="img">',
            f"<title>{escape(title)}</title>",
            f"<desc>{escape(described)}</desc>",
            f"<style>{STYLE}</style>",
            f'<rect class="page" width="{WIDTH}" height="{height:.0f}"/>',
            *parts,
            "</svg>",
        ]
    )
