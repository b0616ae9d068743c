"""Rows of a training set in the order of time: what is fitted lies before what is judged, with an embargo between."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import ContractError
from mlops_assets.models.split import Split, split_before
from mlops_assets.project.definition import ModelDefinition

if TYPE_CHECKING:
    import pyarrow as pa


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
