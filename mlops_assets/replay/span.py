"""Which periods a replay lives through."""

from dataclasses import dataclass

from mlops_assets.errors import DefinitionError, MissingDataError
from mlops_assets.lakehouse.periods import Period
from mlops_assets.project.definition import ProjectDefinition


@dataclass(frozen=True)
class Span:
    """The first and the last period that a replay lives through."""

    first: Period
    last: Period


def span_of(project: ProjectDefinition, first: str, last: str) -> Span:
    """The span between two keys of periods.

    Raises:
        DefinitionError: The project has no model, a key is no period, or the last lies before the first.
        MissingDataError: The project's data does not reach so far.
    """
    if not project.models:
        raise DefinitionError("a project without a model", "at least one model", "declare one")
    model = next(iter(project.models.values()))
    calendar = model.schema.calendar
    span = Span(calendar.at_key(first), calendar.at_key(last))
    if span.last < span.first:
        raise DefinitionError(f"--to {last} before --from {first}", "a later period", "exchange them")
    for option, period in (("--from", span.first), ("--to", span.last)):
        if period < model.first or (model.last is not None and period > model.last):
            raise MissingDataError(
                f"{option} {period.key}, for which '{model.name}' has no data",
                f"a period from {model.first.key} {f'to {model.last.key}' if model.last else 'on'}",
                "choose one of these",
            )
    return span
