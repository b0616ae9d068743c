"""Rows of a training set in the order of time: what is fitted lies before what is judged, with an embargo between."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import ContractError
from mlops_assets.lakehouse.periods import Period
from mlops_assets.project.definition import ModelDefinition

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Split:
    """Which periods a judged fit is trained on, and which it is judged on; an embargo lies between.

    Args:
        last_fitted: Last period that the judged fit sees.
        first_judged: First period of the validation.
        last_judged: Last period of the validation.
    """

    last_fitted: Period
    first_judged: Period
    last_judged: Period


def split(model: ModelDefinition, last: Period) -> Split:
    """Split the labels that end with period ``last``: the newest ``validation`` periods are judged on.

    Between lie horizon + delay periods, so that no label of the fit reaches into a period that is judged.
    """
    return split_before(model, model.schema.calendar.shift(last, 1 - model.validation), last)


def split_before(model: ModelDefinition, first: Period, last: Period) -> Split:
    """The split that judges the periods from first to last, with the embargo before them."""
    return Split(model.schema.calendar.shift(first, -1 - model.label.known_after), first, last)


def period_starts(model: ModelDefinition, rows: "pa.Table") -> Any:
    """The start of each row's period, as an array of moments in UTC."""
    import numpy as np

    from mlops_assets.quality.contract import moments

    calendar = model.schema.calendar
    starts = {moment: calendar.of(moment).start for moment in set(moments(rows, model.schema)) if moment}
    return np.array([starts[moment] for moment in moments(rows, model.schema) if moment], dtype=object)


def newest(model: ModelDefinition, rows: "pa.Table", periods: int) -> tuple["pa.Table", "pa.Table"]:
    """The rows of the newest periods apart: those to fit on before them, and they themselves.

    Rows whose label reaches into the newest periods are in neither.
    """
    if rows.num_rows == 0:
        return rows, rows
    starts, calendar = period_starts(model, rows), model.schema.calendar
    last = calendar.of(max(starts))
    return parts_of(rows, starts, split_before(model, calendar.shift(last, 1 - periods), last))


def expanding_folds(model: ModelDefinition, rows: "pa.Table", folds: int) -> Iterator[tuple["pa.Table", "pa.Table"]]:
    """So many folds: each judged on as many periods, and fitted on all before them.

    Raises:
        ContractError: There are too few periods.
    """
    starts, calendar = period_starts(model, rows), model.schema.calendar
    first, last = calendar.of(min(starts)), calendar.of(max(starts))
    count = calendar.distance(first, last) + 1
    length = count // (folds + 1)
    if length <= 0 or count - folds * length <= model.label.known_after:
        raise ContractError(
            f"{count} periods of '{model.name}' to search in, with {folds} folds",
            f"more than {model.label.known_after} periods before the first fold, and one for each fold",
            "train later, or lower train.search.folds",
        )
    for number in range(folds, 0, -1):
        judged = calendar.shift(last, 1 - number * length)
        yield parts_of(rows, starts, split_before(model, judged, calendar.shift(judged, length - 1)))


def parts_of(rows: "pa.Table", starts: Any, split: Split) -> tuple["pa.Table", "pa.Table"]:
    """The rows that a split fits on, and those that it judges on.

    Args:
        rows: Rows of a training set.
        starts: What `period_starts` says of them.
        split: The split.
    """
    import pyarrow as pa

    judged = (starts >= split.first_judged.start) & (starts <= split.last_judged.start)
    fitted = starts <= split.last_fitted.start
    return rows.filter(pa.array(fitted.astype(bool))), rows.filter(pa.array(judged.astype(bool)))
