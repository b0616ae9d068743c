"""Drift of inputs and predictions against a reference: Evidently's tests and Evidently's report.

Evidently lives behind this module. What it cannot say is added here and named as ours: the null share of a
column, of which its scores see nothing, columns without values, on which it raises, and verdicts that depend
on the unit or on a single row (`mlops_assets.monitoring.drift_statistics`).
"""

import json
import os
import re
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from html import escape
from math import nan
from typing import TYPE_CHECKING, Any, Literal

from mlops_assets.errors import ContractError, DefinitionError
from mlops_assets.lakehouse.exact import decoded, doubles, finite
from mlops_assets.lakehouse.write_points import write_point
from mlops_assets.monitoring.drift_statistics import (
    FEW_ROWS,
    MAX_DISTANCE,
    MIN_CHANCE,
    SMALLEST_DEVIATION,
    chance,
    distance,
    normed_distance,
    shares_differ,
)
from mlops_assets.storage.path import StoragePath

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

NOT_APPLICABLE = "not applicable"
NULL_SHARE = "null share"

_CHANCE = "chi-square p_value by permutation"
_DISTANCE = "Jensen-Shannon distance"
_NORMED = "Wasserstein distance (normed)"
_FEW_LEVELS = 5
"""As Evidently has it: numbers of so many values at most are compared as levels."""

_JSON_NAME = "drift.json"
_HTML_NAME = "drift.html"
# A character that no label holds (it is for private use) stands for "<" until the page is made: see _page.
_LESS_THAN = "\ue000"


@dataclass(frozen=True)
class ColumnDrift:
    """What was found for one column.

    Attributes:
        column: Its name.
        method: Evidently's name of the statistic; ``"null share"`` where more values are missing than chance makes,
            which is then what is judged; ``"not applicable"`` where the reference holds none or Evidently cannot
            measure the values.
        score: A p-value or a distance, as the method says; of ``"null share"`` of whether there is a value, as of
            a category, or 1 where the current data hold none any more; NaN where not applicable.
        threshold: Where drift begins: below it for a p-value, from it on for the rest; NaN where not
            applicable.
        drifted: The verdict; true for ``"null share"``, false where not applicable. Distances between shares of
            levels that chance alone would make are none.
        reference_null_share: Share (0 to 1) of all reference rows that are null, NaN or infinite: Evidently
            leaves these out.
        current_null_share: The same of the current data.
        new_levels: Levels that the current data have and the reference has not.
        rows_of_new_levels: Rows of the current data with one of them.
    """

    column: str
    method: str
    score: float
    threshold: float
    drifted: bool
    reference_null_share: float
    current_null_share: float
    new_levels: int = 0
    rows_of_new_levels: int = 0

    @property
    def in_new_levels(self) -> str:
        """What there is of new levels, in words; empty where there are none."""
        if not self.new_levels:
            return ""
        rows, levels = self.rows_of_new_levels, self.new_levels
        return f"{rows} row{'s' * (rows > 1)} of {levels} new level{'s' * (levels > 1)}"


@dataclass(frozen=True)
class DriftReport:
    """What was found for all columns of two tables.

    Attributes:
        columns: One for each declared column, sorted by name.
        drifted_share: Share (0 to 1) of the declared columns that drifted.
        dataset_drifted: Whether that share reached the declared one.
        reference_rows: Rows of the reference, before sampling.
        current_rows: Rows of the current data, before sampling.
        sampled: Whether either side was sampled.
        json: What Evidently's ``save_json`` writes. It holds no time and no random id, so nothing was taken
            out. Columns that Evidently could not measure are missing in it; ``columns`` has them.
        html: Evidently's page, below a table of ``columns``; None where it was not asked for. Its random
            widget ids are replaced by numbered ones.
    """

    columns: tuple[ColumnDrift, ...]
    drifted_share: float
    dataset_drifted: bool
    reference_rows: int
    current_rows: int
    sampled: bool
    json: str = field(repr=False)
    html: str | None = field(repr=False)

    @property
    def drifted(self) -> list[str]:
        """The columns that drifted, by name."""
        return [column.column for column in self.columns if column.drifted]


def drift_report(
    reference: "pa.Table",
    current: "pa.Table",
    *,
    numbers: Sequence[str],
    categories: Sequence[str],
    drift_share: float = 0.5,
    max_rows: int = 10_000,
    seed: int = 0,
    html_on: Literal["dataset", "column"] = "dataset",
    personal: Collection[str] = (),
) -> DriftReport:
    """Compare two tables column by column with Evidently's ``ValueDrift``, and its default statistics where they hold.

    The order of rows and of columns does not matter: rows are sorted by the declared columns, then shuffled
    by the seed, and the first ``max_rows`` of each side are compared. Equal inputs give equal JSON and HTML,
    in any process. The statistic depends on how many values the reference has: up to 1,000 KS, or of levels
    chi-square over permutations, at p 0.05; above, Wasserstein by standard deviation, or of levels
    Jensen-Shannon distance, at 0.1. The p-values are not corrected for the number of columns. A category of n
    labels costs n squared: 10,000 of them 5 seconds.

    Args:
        reference: What the model was trained on, or what else counts as normal. At least one row.
        current: What is compared with it. At least one row.
        numbers: Columns of numbers or booleans. Null, NaN and infinite values count as null.
        categories: Columns that can be written as text. An empty text is a category, null is none.
        drift_share: Share of drifted columns from which the dataset drifted; above 0, at most 1.
        max_rows: Most rows of each side that are compared; null shares are taken over all rows.
        seed: Of the sample.
        html_on: Whether the page is made when the dataset drifted, or already when any column did.
        personal: Columns that are judged as all others, and of which the page draws nothing: it would show values.

    Returns:
        The report. Where Evidently cannot measure a column, the others are measured nevertheless.

    Raises:
        DefinitionError: A column is declared twice, or a setting lies outside its range.
        ContractError: No column is declared, a table has no row, or a column is missing or of the wrong type.
    """
    _check_settings(numbers, categories, drift_share, max_rows)
    _check_tables(reference, current, [*numbers, *categories])
    names = sorted([*numbers, *categories])
    values, labels = _values(reference, current, numbers, categories)
    new = {name: _new_levels(*(side.column(name) for side in values)) for name in categories}
    null_shares = [{name: side.column(name).null_count / side.num_rows for name in names} for side in values]
    compared = [_sample(side.select(names), max_rows, seed) for side in values]

    unmeasured: dict[str, tuple[str, float, float, bool]] = {}
    for name in names:
        if compared[0].column(name).null_count == compared[0].num_rows:
            unmeasured[name] = (NOT_APPLICABLE, nan, nan, False)
        elif compared[1].column(name).null_count == compared[1].num_rows:
            unmeasured[name] = (NULL_SHARE, 1.0, 1.0, True)
    frames = [_labelled(side.to_pandas(), labels) for side in compared]
    by_nulls = [name for name in names if name not in unmeasured and _nulls_differ(compared, name)]
    for frame in frames:
        for name in by_nulls:
            frame[_safe(name)] = frame[_safe(name)].isna().map({True: _Label("null"), False: _Label("a value")})
    labels |= dict.fromkeys(by_nulls, ["a value", "null"])
    measurable = [name for name in names if name not in unmeasured]
    snapshot = _run(frames, measurable, labels)
    if snapshot is None:
        # One column that Evidently refuses would cost all the others, and its error does not name the column.
        refused = [name for name in measurable if _run(frames, [name], labels) is None]
        unmeasured |= dict.fromkeys(refused, (NOT_APPLICABLE, nan, nan, False))
        measurable = [name for name in measurable if name not in refused]
        snapshot = _run(frames, measurable, labels)
    text: str = snapshot.json().replace(json.dumps(_LESS_THAN)[1:-1], "<")

    found = unmeasured | _verdicts(text)
    found |= {name: (NULL_SHARE, *found[name][1:]) for name in by_nulls if found[name][3]}
    columns = tuple(
        ColumnDrift(name, *found[name], *(shares[name] for shares in null_shares), *new.get(name, ())) for name in names
    )
    drifted = sum(column.drifted for column in columns)
    dataset_drifted = drifted / len(columns) >= drift_share
    wants_page = dataset_drifted if html_on == "dataset" else drifted > 0
    drawn = [name for name in measurable if name not in personal]
    if wants_page and drawn != measurable:
        snapshot = _run(frames, drawn, labels)
    return DriftReport(
        columns=columns,
        drifted_share=drifted / len(columns),
        dataset_drifted=dataset_drifted,
        reference_rows=reference.num_rows,
        current_rows=current.num_rows,
        sampled=max(reference.num_rows, current.num_rows) > max_rows,
        json=text,
        html=_page(snapshot, columns) if wants_page else None,
    )


def write_report(report: DriftReport, folder: StoragePath) -> StoragePath:
    """Write ``drift.json``, and ``drift.html`` where the report has a page; a page from before is removed.

    Each file is written whole or not at all. A page of another report goes first and a new one comes last, so
    that no page ever lies beside the JSON of another report. Files that are the same already are left alone.

    Args:
        report: What to write.
        folder: Where; made if it is not there.

    Returns:
        The JSON file.
    """
    json_file, html_file = folder / _JSON_NAME, folder / _HTML_NAME
    page = None if report.html is None else report.html.encode()
    if html_file.exists() and html_file.read_bytes() != page:
        html_file.delete()
        write_point("drift report")
    for file, content in ((json_file, report.json.encode()), (html_file, page)):
        if content is not None and not (file.exists() and file.read_bytes() == content):
            file.write(content)
            write_point("drift report")
    return json_file


def _check_settings(numbers: Sequence[str], categories: Sequence[str], drift_share: float, max_rows: int) -> None:
    names = [*numbers, *categories]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DefinitionError(
            f"columns declared twice for drift: {', '.join(twice)}",
            "each column once, as a number or as a category",
            "take it out of one of the two",
        )
    if not 0 < drift_share <= 1:
        raise DefinitionError(
            f"a drift share of {drift_share}", "a share above 0 and at most 1", "correct it, for example 0.5"
        )
    if max_rows < 1:
        raise DefinitionError(f"max_rows of {max_rows}", "at least one row", "correct it, for example 10000")


def _check_tables(reference: "pa.Table", current: "pa.Table", names: Sequence[str]) -> None:
    if not names:
        raise ContractError(
            "no column to compare for drift",
            "at least one number or category",
            "declare columns, or switch drift monitoring off for this model",
        )
    for side, table in (("reference", reference), ("current", current)):
        missing = sorted(set(names) - set(table.column_names))
        if missing:
            raise ContractError(
                f"the {side} data have no column {', '.join(missing)}",
                f"the columns {', '.join(sorted(names))}",
                "correct the names that are monitored, or deliver the columns",
            )
    if reference.num_rows == 0:
        raise ContractError(
            "the reference data have 0 rows",
            "at least one row to compare with",
            "choose a reference that has rows, such as the training set of the version in service",
        )
    if current.num_rows == 0:
        raise ContractError(
            "the current data have 0 rows",
            "at least one row to compare with the reference",
            "find out why nothing was delivered or scored for this partition, and run it again",
        )


def _values(
    reference: "pa.Table", current: "pa.Table", numbers: Sequence[str], categories: Sequence[str]
) -> tuple[list["pa.Table"], dict[str, list[str]]]:
    """Both tables as doubles: numbers as they are, categories as positions in the sorted labels of both.

    Positions, because Arrow sorts and shuffles them faster than texts.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    columns: list[dict[str, Any]] = [{}, {}]
    labels: dict[str, list[str]] = {}
    for name in numbers:
        for side, table in enumerate((reference, current)):
            column = table.column(name)
            kind = column.type
            if not (_is_number(kind) or pa.types.is_boolean(kind) or pa.types.is_null(kind)):
                raise _wrong_type(name, kind, "a column of numbers or booleans")
            columns[side][name] = doubles(finite(column))
    for name in categories:
        pair = [decoded(table.column(name)) for table in (reference, current)]
        # The same level is 1 in a table of integers and 1.0 once nulls made it a table of doubles.
        if all(_is_number(column.type) for column in pair) and any(
            pa.types.is_floating(column.type) for column in pair
        ):
            pair = [doubles(finite(column)) for column in pair]
        try:
            texts = [pc.cast(column, pa.string()) for column in pair]
        except (pa.ArrowNotImplementedError, pa.ArrowInvalid) as error:
            raise _wrong_type(name, pair[0].type, "a column that can be written as text") from error
        known = {text for column in texts for text in pc.unique(column).to_pylist()} - {None}
        labels[name] = sorted(known)
        value_set = pa.array(labels[name], pa.string())
        for side, column in enumerate(texts):
            columns[side][name] = pc.cast(pc.index_in(column, value_set=value_set), pa.float64())
    return [pa.table(side) for side in columns], labels


def _new_levels(reference: "pa.ChunkedArray", current: "pa.ChunkedArray") -> tuple[int, int]:
    """How many levels only the current positions have, and how many rows."""
    import pyarrow.compute as pc

    known = pc.is_in(current, value_set=pc.unique(reference), skip_nulls=True)
    new = current.filter(pc.invert(known)).drop_null()
    return len(pc.unique(new)), len(new)


def _nulls_differ(compared: "Sequence[pa.Table]", name: str) -> bool:
    """Whether a greater share of a column's values is missing, as shares of levels are judged.

    A smaller one is no drift: the first periods of a reference lack what looks back, which would alarm always.
    """
    import numpy as np

    nulls = [side.column(name).null_count for side in compared]
    reference, current = (np.array([side.num_rows - null, null]) for side, null in zip(compared, nulls, strict=True))
    more = nulls[1] / compared[1].num_rows > nulls[0] / compared[0].num_rows
    return more and shares_differ(reference, current)


def _is_number(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _wrong_type(name: str, kind: object, expected: str) -> ContractError:
    return ContractError(
        f"column '{name}' is of type {kind}",
        expected,
        "monitor it as the other kind, or leave it out of drift",
    )


def _sample(table: "pa.Table", max_rows: int, seed: int) -> "pa.Table":
    """A sample that depends on which rows there are, not on their order.

    Not by a hash of each row, which would need no sorting: equal rows would then be taken all or not at all.
    The order after the shuffle is kept, because Evidently draws values by row number: sorted, they would show
    a trend.
    """
    import numpy
    import pyarrow.compute as pc

    in_order = pc.sort_indices(table, [(name, "ascending") for name in table.column_names])
    chosen = numpy.random.default_rng(seed).permutation(table.num_rows)[:max_rows]
    return table.take(in_order.take(chosen))


def _labelled(frame: "pd.DataFrame", labels: Mapping[str, list[str]]) -> "pd.DataFrame":
    """The sample with the labels of categories in place of their positions, and names that a page can carry."""
    import numpy

    for name, known in labels.items():
        texts = numpy.array([*(_Label(_safe(label)) for label in known), None], dtype=object)
        frame[name] = texts[frame[name].fillna(len(known)).astype(int).to_numpy()]
    return frame.rename(columns={name: _safe(name) for name in frame.columns})


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


def _run(
    frames: Sequence["pd.DataFrame"],
    names: Sequence[str],
    categories: Mapping[str, object],
) -> Any:
    """Evidently's snapshot, or None where it cannot measure a column (such as 1e17 and nothing else)."""
    # In 0.7.23 only Evidently's server and collector report usage, not its reports (traced); should that
    # change, this is the switch that it reads.
    os.environ.setdefault("DO_NOT_TRACK", "1")
    import numpy
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import ValueDrift

    shown = [_safe(name) for name in names]
    definition = DataDefinition(
        numerical_columns=[_safe(name) for name in names if name not in categories],
        categorical_columns=[_safe(name) for name in names if name in categories],
    )
    _register()
    # One ValueDrift for each column gives the verdicts of DataDriftPreset in half its time or less: the
    # preset computes all columns again for its overview tables.
    # Squares of 1e300 overflow, of the deviation and in the drawing.
    with numpy.errstate(over="ignore", invalid="ignore"):
        methods = {
            name: _method([frame[_safe(name)].dropna() for frame in frames], name in categories) for name in names
        }
        report = Report([ValueDrift(column=_safe(name), method=methods[name]) for name in names], include_tests=True)
        try:
            reference, current = (Dataset.from_pandas(frame[shown], data_definition=definition) for frame in frames)
            return report.run(current, reference)
        except ValueError:
            return None


@cache
def _register() -> None:
    """Make Evidently know the statistics that stand in for its own, by the names that it shows."""
    from evidently.legacy.calculations.stattests import StatTest, register_stattest
    from evidently.legacy.core import ColumnType

    kinds = [ColumnType.Numerical, ColumnType.Categorical]
    register_stattest(StatTest(_CHANCE, _CHANCE, kinds, MIN_CHANCE), _chance_of_levels)
    register_stattest(StatTest(_DISTANCE, _DISTANCE, kinds, MAX_DISTANCE), _distance_of_levels)
    register_stattest(StatTest(_NORMED, _NORMED, kinds, MAX_DISTANCE), _distance_of_numbers)


def _method(compared: "Sequence[pd.Series]", is_category: bool) -> str | None:
    """The statistic that stands in for the one that Evidently would take; None where that holds."""
    import numpy

    reference, current = compared
    few = len(reference) <= FEW_ROWS
    if is_category or len({*reference.unique(), *current.unique()}) <= _FEW_LEVELS:
        return _CHANCE if few else _DISTANCE
    holds = few or SMALLEST_DEVIATION <= numpy.std(reference) < numpy.inf
    return None if holds else _NORMED


def _levels_of(reference: "pd.Series", current: "pd.Series") -> "list[Any]":
    counts = [side.value_counts() for side in (reference, current)]
    levels = sorted({*counts[0].index, *counts[1].index})
    return [side.reindex(levels, fill_value=0).to_numpy() for side in counts]


def _chance_of_levels(reference: "pd.Series", current: "pd.Series", *_: object) -> tuple[float, bool]:
    found = chance(*_levels_of(reference, current))
    return found, found < MIN_CHANCE


def _distance_of_levels(reference: "pd.Series", current: "pd.Series", *_: object) -> tuple[float, bool]:
    counts = _levels_of(reference, current)
    return distance(*counts), shares_differ(*counts)


def _distance_of_numbers(reference: "pd.Series", current: "pd.Series", *_: object) -> tuple[float, bool]:
    found = normed_distance(reference.to_numpy(), current.to_numpy())
    return found, found >= MAX_DISTANCE


def _verdicts(text: str) -> dict[str, tuple[str, float, float, bool]]:
    """Method, score, threshold and verdict by column; Evidently tells the verdict only in its tests."""
    content = json.loads(text)
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


def _page(snapshot: Any, columns: Sequence[ColumnDrift]) -> str:
    """Evidently's page, made safe, and the same for the same data."""
    page: str = snapshot.get_html_str(as_iframe=False).replace(json.dumps(_LESS_THAN)[1:-1], "\\u003c")

    # Only ids that Evidently made: a label that looks like one stays as it is.
    made = re.findall(r'"id": "([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"', page)
    made += re.findall(r"root_metric_([0-9a-f]{32})", page)[:1]
    numbered = {random: f"evidently{number}" for number, random in enumerate(dict.fromkeys(made))}
    if numbered:
        page = re.sub("|".join(numbered), lambda match: numbered[match[0]], page)
    head, body, tail = page.partition("<body>")
    return f"{head}{body}{_overview(columns)}{tail}"


def _overview(columns: Sequence[ColumnDrift]) -> str:
    rows = "".join(
        f"<tr><td>{escape(column.column)}</td><td>{escape(column.method)}</td><td>{column.score:.4g}</td>"
        f"<td>{column.threshold:.4g}</td><td>{'yes' if column.drifted else 'no'}</td>"
        f"<td>{column.reference_null_share:.1%}</td><td>{column.current_null_share:.1%}</td>"
        f"<td>{column.in_new_levels}</td></tr>"
        for column in columns
    )
    heads = ("column", "method", "score", "threshold", "drifted", "null in reference", "null in current", "new levels")
    return (
        '<table style="font-family:sans-serif;margin:2em;border-spacing:1em .2em;text-align:left"><thead><tr>'
        + "".join(f"<th>{head}</th>" for head in heads)
        + f"</tr></thead><tbody>{rows}</tbody></table>"
    )
