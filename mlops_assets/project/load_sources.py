"""A source from its document."""

from mlops_assets.errors import DefinitionError
from mlops_assets.lakehouse.periods import Calendar, Period
from mlops_assets.lakehouse.schema import TableSchema
from mlops_assets.project import attributes as written
from mlops_assets.project.definition import (
    SourceDefinition,
)
from mlops_assets.project.load_expectations import load_expectations
from mlops_assets.project.resolving import columns_of, documentation_of, fixed_duration, located
from mlops_assets.project.yaml_files import Document


def load_source(document: Document, parsed: written.SourceAttributes) -> SourceDefinition:
    """Resolve a source.

    Raises:
        DefinitionError: A name, period or duration in it is wrong.
    """
    columns = columns_of(document, parsed.columns, [*parsed.primary_keys], parsed.timestamp, parsed.owners)
    if parsed.static != (parsed.timestamp is None):
        raise DefinitionError(
            f"static: {str(parsed.static).lower()} with {'a' if parsed.timestamp else 'no'} timestamp",
            "a timestamp, or static: true",
            "add the timestamp, or declare the table static",
            where=document.at("static"),
        )
    if not parsed.static and (parsed.period is None or parsed.first_period is None):
        missing = "period" if parsed.period is None else "first_period"
        raise DefinitionError(
            f"no {missing}",
            "period and first_period in a source with a time",
            f"add {missing}",
            where=document.at(),
        )
    calendar = Calendar(parsed.period or "day", parsed.week_ends_on)

    def period(field: str, key: str | None) -> Period | None:
        return located(document, field, lambda: calendar.at_key(key)) if key else None

    lag = located(document, "publication_lag", lambda: fixed_duration(parsed.publication_lag))
    overdue = located(document, "overdue_after", lambda: fixed_duration(parsed.overdue_after))
    published_from = document.file.parent / parsed.published_from if parsed.published_from else None
    if published_from and not published_from.exists():
        raise DefinitionError(
            f"no file {published_from}", "the data file that is published from", "put it there, or correct the name",
            where=document.at("published_from"),
        )  # fmt: skip
    schema = TableSchema(tuple(parsed.primary_keys), parsed.timestamp, columns, calendar)
    delivers = "snapshot" if parsed.static else parsed.delivers
    return SourceDefinition(
        name=parsed.name,
        documentation=documentation_of(parsed),
        location=document.at(),
        schema=schema,
        lag=lag,
        first=period("first_period", parsed.first_period),
        last=period("last_period", parsed.last_period),
        live_since=period("live_since", parsed.live_since),
        delivers=delivers,
        window_periods=parsed.window_periods,
        most_removed_share=parsed.most_removed_share,
        least_rows_share=parsed.least_rows_share,
        most_bad_share=parsed.most_bad_share,
        overdue_after=overdue,
        landing=(document.file.parent / parsed.landing).resolve() if parsed.landing else None,
        published_from=published_from,
        expectations=load_expectations(document, parsed.expectations, schema, delivers=delivers),
    )
