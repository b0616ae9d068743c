"""A source from its document."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from mlops_assets.errors import DefinitionError
from mlops_assets.lakehouse.periods import Calendar, Period
from mlops_assets.lakehouse.schema import TableSchema
from mlops_assets.project import attributes as written
from mlops_assets.project.attributes import Database, Push
from mlops_assets.project.definition import SUFFIXES, Files, SourceDefinition
from mlops_assets.project.file_patterns import FilePattern
from mlops_assets.project.load_expectations import load_expectations
from mlops_assets.project.one_select import what_is_no_select, without_quotes
from mlops_assets.project.resolving import columns_of
from mlops_assets.project.text_files import read_text
from mlops_assets.project.written import as_written
from mlops_assets.project.yaml_files import Document


def load_source(document: Document, parsed: written.SourceAttributes) -> SourceDefinition:
    """Resolve a source.

    Raises:
        DefinitionError: A name, period or duration in it is wrong.
    """
    columns = tuple(
        replace(column, sensitivity=parsed.columns[column.name].sensitivity)
        for column in columns_of(document, parsed.columns, [*parsed.primary_keys], parsed.timestamp, parsed.owners)
    )
    _require_time(document, parsed)
    calendar = Calendar(parsed.period or "day", parsed.week_ends_on)
    first, last, live_since = _span(document, parsed, calendar)
    origin = _origin(document, parsed, calendar, first, last)
    schema = TableSchema(tuple(parsed.primary_keys), parsed.timestamp, columns, calendar)
    delivers = "snapshot" if parsed.static else "increment" if parsed.push else parsed.delivers
    return SourceDefinition(
        name=parsed.name,
        documentation=parsed.documentation,
        location=document.at(),
        schema=schema,
        lag=parsed.publication_lag,
        first=first,
        last=last,
        live_since=live_since,
        delivers=delivers,
        window_periods=parsed.window_periods,
        max_removed_share=parsed.max_removed_share,
        min_rows_share=parsed.min_rows_share,
        max_bad_share=parsed.max_bad_share,
        overdue_after=parsed.overdue_after,
        origin=origin,
        published_from=_published_from(document, parsed),
        expectations=load_expectations(document, parsed.expectations, schema, delivers=delivers),
        written=_written(parsed, origin),
        online=parsed.online,
    )


def _require_time(document: Document, parsed: written.SourceAttributes) -> None:
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
            f"no {missing}", "period and first_period in a source with a time", f"add {missing}", where=document.at()
        )


def _span(
    document: Document, parsed: written.SourceAttributes, calendar: Calendar
) -> tuple[Period | None, Period | None, Period | None]:
    """Its first period and its last, and the first that arrived live."""

    def period(field: str, key: str | None) -> Period | None:
        with document.located(field):
            return calendar.at_key(key) if key else None

    first, last = period("first_period", parsed.first_period), period("last_period", parsed.last_period)
    if first and last and last < first:
        raise DefinitionError(
            f"last_period {last.key} before first_period {first.key}",
            "a last period that is not before the first",
            "swap them, or leave last_period out",
            where=document.at("last_period"),
        )
    return first, last, period("live_since", parsed.live_since)


def _origin(
    document: Document, parsed: written.SourceAttributes, calendar: Calendar, first: Period | None, last: Period | None
) -> Files | Database | Push:
    if parsed.push:
        return _push(document, parsed, parsed.push)
    if parsed.database:
        return _database(document, parsed, parsed.database)
    return _files(document, parsed, None if parsed.static else calendar, first, last)


def _published_from(document: Document, parsed: written.SourceAttributes) -> Path | None:
    published_from = document.file.parent / parsed.published_from if parsed.published_from else None
    if published_from and not published_from.is_file():
        raise DefinitionError(
            f"no file {published_from}", "the data file that is published from", "put it there, or correct the name",
            where=document.at("published_from"),
        )  # fmt: skip
    return published_from


def _written(parsed: written.SourceAttributes, origin: Files | Database | Push) -> Mapping[str, object]:
    """What the user wrote of what it brings in, with the text of a query where the YAML names its file."""
    found = {name: value for name, value in as_written(parsed).items() if name != "online"}
    if isinstance(origin, Database) and origin.query:
        found["database"] = {**found["database"], "query": origin.query}
    return found


def _files(
    document: Document,
    parsed: written.SourceAttributes,
    calendar: Calendar | None,
    first: Period | None,
    last: Period | None,
) -> Files:
    given = parsed.files or written.FilesAttributes()

    def pattern(field: str, text: str) -> FilePattern:
        made = FilePattern(text, calendar)
        with document.located("files", field):
            made.require_periods(first, last)
        return made

    names = pattern("pattern", given.pattern or f"{{period}}{SUFFIXES[given.format]}")
    complete = pattern("complete", given.complete) if given.complete else None
    published = parsed.published_from is not None

    def wrong(field: str, found: str, expected: str) -> DefinitionError:
        cure = "correct the files' fields, or take them out"
        return DefinitionError(found, expected, cure, where=document.at("files", field))

    if given.format == "parquet" and names.text.endswith(".gz"):
        raise wrong("pattern", "Parquet files whose name ends with .gz", "Parquet as it is: it is compressed inside")
    if names.several and complete is None:
        found = f"a pattern that several files match ('{names.text}'), and nothing that says when all are there"
        raise wrong("pattern", found, "complete: a file that is written last, such as {period}/_SUCCESS")
    if complete is not None and complete.several:
        raise wrong("complete", f"a wildcard in complete ('{complete.text}')", "the path of one file")
    if given.escape is not None and given.format != "csv":
        raise wrong("escape", f"an escape in files of format {given.format}", "an escape in CSV alone")
    if published and (given.format != "csv" or names.several or complete is not None or given.escape is not None):
        found = "published_from with other files than one CSV a period"
        raise wrong("format", found, "plain CSV, which the publisher writes")
    landing = (document.file.parent / parsed.landing).resolve() if parsed.landing else None
    return Files(given.format, names, complete, landing, given.escape)


def _database(document: Document, parsed: written.SourceAttributes, given: Database) -> Database:
    for field in ("files", "landing", "published_from"):
        if getattr(parsed, field) is not None:
            raise DefinitionError(
                f"{field} beside database",
                "one place where rows come from",
                "take one of the two out",
                where=document.at(field),
            )
    if (given.table is None) == (given.query is None):
        raise DefinitionError(
            f"{'both' if given.table else 'neither'} table {'and' if given.table else 'nor'} query",
            "either the table to read or a file with a query",
            "give one of them",
            where=document.at("database", "query" if given.query else "url_variable"),
        )
    query = _query(document, parsed, given.query) if given.query else None
    return replace(given, query=query)


_NOT_WITH_PUSH = {
    "files": "what is pushed is no file",
    "database": "rows come from one place",
    "landing": "what is pushed lands nowhere",
    "published_from": "what is pushed is not published",
    "static": "a row that is pushed has a time",
    "window_periods": "a batch holds additions only",
    "max_removed_share": "a batch removes nothing",
    "min_rows_share": "a batch may be small",
    "max_bad_share": "a batch with a bad row is refused whole, and the application told",
    "overdue_after": "a period without rows is not late; expect freshness instead",
}
"""Fields that mean nothing beside ``push``, and why."""


def _push(document: Document, parsed: written.SourceAttributes, given: Push) -> Push:
    for field, why in _NOT_WITH_PUSH.items():
        if field in parsed.model_fields_set:
            raise DefinitionError(f"{field} beside push", why, f"take {field} or push out", where=document.at(field))
    if "delivers" in parsed.model_fields_set and parsed.delivers != "increment":
        raise DefinitionError(
            f"delivers: {parsed.delivers} beside push",
            "delivers: increment, for a batch holds additions only",
            "take delivers out",
            where=document.at("delivers"),
        )
    for place, expectation in enumerate(parsed.expectations):
        if expectation.severity == "block":
            raise DefinitionError(
                "an expectation that blocks beside push",
                "severity warn: rows that were accepted are never kept out",
                "take the severity out, or put the rule into the contract of the column, which batches must keep",
                where=document.at("expectations", place, "severity"),
            )
    return given


BOUNDS = ("period_start", "period_end")


def _query(document: Document, parsed: written.SourceAttributes, name: str) -> str:
    """The text of a query's file, which must be a SELECT, and use the bounds that it is given and no other."""
    file: Path = document.file.parent / name
    where = document.at("database", "query")
    text = read_text(file, "a file in UTF-8 with one SELECT", where).strip().removesuffix(";")
    if wrong := what_is_no_select(text):
        raise DefinitionError(
            f"{file.name}, which is not one SELECT that changes nothing: {wrong}",
            "one SELECT in the database's SQL",
            "correct the query; where a column is called so, put its name between quotation marks",
            where=where,
        )
    used = set(re.findall(r"(?<![:\w]):(\w+)", without_quotes(text)))
    needed = set() if parsed.static else {"period_end"} if parsed.delivers == "snapshot" else set(BOUNDS)
    if needed - used or used - (set() if parsed.static else set(BOUNDS)):
        listed = " and ".join(f":{name}" for name in BOUNDS if name in needed) or "no parameter: it has no time"
        raise DefinitionError(
            f"{file.name} with {', '.join(f':{name}' for name in sorted(used)) or 'no parameter'}",
            f"a query that uses {listed}",
            "ask for the rows of the period alone, from its start to before its end",
            where=where,
        )
    return text
