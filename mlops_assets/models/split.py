"""Which periods are judged on, by fits that have not seen them."""

from dataclasses import dataclass

from mlops_assets.lakehouse.periods import Period
from mlops_assets.project.definition import ModelDefinition


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
