"""An evaluation as text for the terminal, and as Markdown for the page of an asset."""

from collections.abc import Iterator, Sequence

from mlops_assets.markdown import as_table, as_text
from mlops_assets.models.evaluation import Evaluation, Interval, Segment, Who

ORDER: tuple[Who, ...] = ("candidate", "champion", "baseline")
"""In which order they are told."""


def in_words(one: Interval) -> str:
    """A figure and its interval."""
    ends = "" if one.low is None or one.high is None else f" ({one.low:.4g} to {one.high:.4g})"
    return f"{one.value:.4g}{ends}"


def difference_in_words(one: Interval) -> str:
    """A difference of two figures on the same rows, and whether its interval tells it from none."""
    same = one.low is not None and one.high is not None and one.low <= 0 <= one.high
    return f"difference {in_words(one)}{', not distinguishable' if same else ''}"


def in_brief(evaluation: Evaluation) -> str:
    """The metric that the model is watched by, in one line."""
    told = [
        f"{evaluation.metric} of the {who} {in_words(of[evaluation.metric])}"
        for who in ORDER
        if evaluation.metric in (of := evaluation.figures.get(who, {}))
    ]
    return ", ".join(told) or f"{evaluation.metric} could not be measured"


def as_lines(evaluation: Evaluation) -> list[str]:
    """The whole report for the terminal."""
    found = [f"evaluation on {_rows(evaluation)}"]
    for header, *rows in _tables(evaluation):
        widths = [max(len(row[place]) for row in (header, *rows)) for place in range(len(header))]
        found += [
            "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in (header, *rows)
        ]
    return [*found, *(f"  {line}" for line in _sentences(evaluation))]


def as_markdown(evaluation: Evaluation) -> str:
    """The report for the page of an asset."""
    tables = [as_table(header, rows) for header, *rows in _tables(evaluation)]
    sentences = [f"On {_rows(evaluation)}.", *tables, *(f"{as_text(line)}." for line in _sentences(evaluation))]
    return "\n\n".join(sentences)


def _rows(evaluation: Evaluation) -> str:
    drawn = f"with 95 % intervals by {evaluation.draws} draws of the keys"
    return f"{evaluation.rows:,} rows of {evaluation.keys:,} keys, {drawn}"


def _tables(evaluation: Evaluation) -> Iterator[list[list[str]]]:
    """The metrics, the watched metric by segment, and what features contribute: each a header and its rows."""
    who = [name for name in ORDER if name in evaluation.figures]
    others = [name for name in who if name in evaluation.differences]
    yield [
        ["metric", *who, *(f"difference to the {name}" for name in others)],
        *(
            [
                metric,
                *(_cell(evaluation.figures[name].get(metric)) for name in who),
                *(_cell(evaluation.differences[name].get(metric)) for name in others),
            ]
            for metric in sorted({metric for name in who for metric in evaluation.figures[name]})
        ),
    ]
    if evaluation.segments:
        yield [
            [f"{evaluation.metric} by", "level", "rows", *who],
            *(_segment(evaluation.metric, segment, who) for segment in evaluation.segments),
        ]
    if evaluation.importance:
        told = [[name, f"{share:.1%}"] for name, share in evaluation.importance.items()]
        yield [["feature", "share of what all contribute"], *told]


def _segment(metric: str, segment: Segment, who: Sequence[Who]) -> list[str]:
    told = [_cell(segment.figures.get(name, {}).get(metric)) for name in who]
    return [segment.column, segment.level, f"{segment.rows:,}", *told]


def _sentences(evaluation: Evaluation) -> Iterator[str]:
    for other, differences in evaluation.differences.items():
        if evaluation.metric in differences:
            yield f"{evaluation.metric} against the {other}'s: {difference_in_words(differences[evaluation.metric])}"
    if "share" in evaluation.changes:
        yield f"of the rows {evaluation.changes['share']:.1%} are predicted to be of another class than by the champion"
    elif evaluation.changes:
        told = ", ".join(f"{float(share):.0%} within {value:.4g}" for share, value in evaluation.changes.items())
        yield f"distance of the predictions from the champion's: {told}"
    if evaluation.residuals:
        mine = evaluation.residuals.quantiles["candidate"]
        told = ", ".join(f"{float(share):.0%} below {value:.4g}" for share, value in mine.items())
        yield f"prediction minus truth: {told}"


def _cell(one: Interval | None) -> str:
    return "" if one is None else in_words(one)
