"""Evidently's page, which people know: made on an alarm or when somebody asks, beside our own verdict.

Evidently lives behind this module. Its verdicts are its own defaults on a sample of rows, which it takes for drawn one
by one: they alarm in months that differ as months do. They decide nothing here.
"""

import json
import os
import re
import zlib
from collections.abc import Collection, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from mlops_assets.lakehouse.exact import decoded, doubles, finite

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

MAX_ROWS = 10_000
"""Of each side so many rows are drawn at most."""

# A character that no label holds (it is for private use) stands for "<" until the page is made: see _safe.
_LESS_THAN = "\ue000"


def evidently_page(
    reference: "pa.Table",
    current: "pa.Table",
    *,
    numbers: Sequence[str],
    categories: Sequence[str],
    personal: Collection[str],
    title: str,
    verdict: str,
    beyond: Collection[str],
) -> str:
    """The page of two tables: our verdict, Evidently's of each column, and its drawings.

    Equal rows give an equal page, in whatever order they come, and in any process. It needs nothing from outside.

    Args:
        reference: What the version was trained on.
        current: What was scored in a period.
        numbers: Columns of numbers or booleans; what is not finite counts as null.
        categories: Columns that can be written as text.
        personal: Columns of which nothing is drawn or told but the verdict: a drawing would show values.
        title: What is compared with what.
        verdict: Our verdict, in words.
        beyond: The columns that are beyond our bar.
    """
    names = sorted(name for name in (*numbers, *categories) if name not in personal)
    frames = [_sample(side.select(names), numbers) for side in (reference, current)] if names else []
    drawn = [name for name in names if all(frame[_safe(name)].notna().any() for frame in frames)]
    snapshot = _run(frames, drawn, numbers)
    if snapshot is None:  # one column that Evidently refuses would cost all others, and its error does not name it
        drawn = [name for name in drawn if _run(frames, [name], numbers) is not None]
        snapshot = _run(frames, drawn, numbers)
    told = _verdicts(snapshot) if drawn else {}
    rows = "".join(_row(name, name in beyond, told.get(_safe(name))) for name in sorted({*numbers, *categories}))
    head = (
        f'<div style="font-family:sans-serif;margin:2em"><h1>{escape(title)}</h1><p>{escape(verdict)}</p>'
        '<table style="border-spacing:1em .2em;text-align:left"><thead><tr><th>column</th><th>ours</th>'
        f"<th>Evidently</th><th>its statistic</th><th></th></tr></thead><tbody>{rows}</tbody></table></div>"
    )
    page = _page(snapshot) if drawn else '<html lang="en"><meta charset="utf-8"><body></body></html>'
    before, body, after = page.partition("<body>")
    return f"{before}{body}{head}{after}"


def _row(name: str, ours: bool, told: tuple[str, float, float, bool] | None) -> str:
    if told is None:
        return f"<tr><td>{escape(name)}</td><td>{_says(ours)}</td><td></td><td>not told</td><td></td></tr>"
    method, score, threshold, theirs = told
    why = ""
    if ours != theirs:
        why = (
            "Evidently compares rows; by how far months lie apart, this is usual"
            if theirs
            else "as a distribution it is near; what is off stands in our verdict"
        )
    return (
        f"<tr><td>{escape(name)}</td><td>{_says(ours)}</td><td>{_says(theirs)}</td>"
        f"<td>{escape(method)} {score:.4g}, {threshold:.4g}</td><td>{why}</td></tr>"
    )


def _says(drifted: bool) -> str:
    return "drifted" if drifted else "as usual"


def _sample(rows: "pa.Table", numbers: Collection[str]) -> "pd.DataFrame":
    """Rows that depend on which there are and not on their order, with names and labels that a page can carry.

    The order after the shuffle is kept, for Evidently draws values by row number: sorted, they would show a trend.
    """
    import numpy
    import pyarrow as pa
    import pyarrow.compute as pc

    plain = pa.table(
        {
            name: doubles(finite(rows.column(name))) if name in numbers else _text(rows.column(name))
            for name in rows.column_names
        }
    )
    in_order = pc.sort_indices(plain, [(name, "ascending") for name in plain.column_names])
    chosen = numpy.random.default_rng(0).permutation(rows.num_rows)[:MAX_ROWS]
    frame: pd.DataFrame = plain.take(in_order.take(chosen)).to_pandas()
    for name in [name for name in plain.column_names if name not in numbers]:
        frame[name] = [None if text is None else _Label(_safe(text)) for text in frame[name]]
    return frame.rename(columns={name: _safe(name) for name in frame.columns})


def _text(column: "pa.ChunkedArray") -> "pa.ChunkedArray":
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.cast(decoded(column), pa.string())


class _Label(str):
    """A text with the same hash in every process.

    Evidently sums over sets: with Python's own hashes their order changes from process to process, and with it the
    last digits of a score.
    """

    __slots__ = ()

    def __hash__(self) -> int:
        return zlib.crc32(self.encode())


def _safe(text: str) -> str:
    """Evidently puts texts into a script element as they are: one with ``</script>`` would end it and run the rest."""
    return text.replace("<", _LESS_THAN)


def _run(frames: Sequence["pd.DataFrame"], names: Sequence[str], numbers: Collection[str]) -> Any:
    """Evidently's snapshot, or None where it cannot measure a column (such as 1e17 and nothing else)."""
    # In 0.7.23 only Evidently's server and collector report usage, not its reports (traced); should that change,
    # this is the switch that it reads.
    os.environ.setdefault("DO_NOT_TRACK", "1")
    import numpy
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import ValueDrift

    shown = [_safe(name) for name in names]
    definition = DataDefinition(
        numerical_columns=[_safe(name) for name in names if name in numbers],
        categorical_columns=[_safe(name) for name in names if name not in numbers],
    )
    report = Report([ValueDrift(column=name) for name in shown], include_tests=True)
    try:
        with numpy.errstate(over="ignore", invalid="ignore", divide="ignore"):
            reference, current = (Dataset.from_pandas(frame[shown], data_definition=definition) for frame in frames)
            return report.run(current, reference)
    except ValueError:
        return None


def _verdicts(snapshot: Any) -> Mapping[str, tuple[str, float, float, bool]]:
    """Method, score, threshold and verdict by column; Evidently tells the verdict only in its tests."""
    content = json.loads(snapshot.json())
    statuses = {test["metric_config"]["params"]["column"]: test["status"] for test in content["tests"]}
    return {
        metric["config"]["column"]: (
            metric["config"]["method"],
            float(metric["value"]),
            float(metric["config"]["threshold"]),
            statuses[metric["config"]["column"]] == "FAIL",
        )
        for metric in content["metrics"]
    }


def _page(snapshot: Any) -> str:
    """Evidently's page, made safe, and the same for the same data."""
    page: str = snapshot.get_html_str(as_iframe=False).replace(json.dumps(_LESS_THAN)[1:-1], "\\u003c")
    # Only ids that Evidently made: a label that looks like one stays as it is.
    made = re.findall(r'"id": "([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"', page)
    made += re.findall(r"root_metric_([0-9a-f]{32})", page)[:1]
    numbered = {random: f"evidently{number}" for number, random in enumerate(dict.fromkeys(made))}
    return re.sub("|".join(numbered), lambda match: numbered[match[0]], page) if numbered else page
