"""Expectations from the list that a source or feature table declares."""

import re
from collections.abc import Sequence

from mlops_assets.errors import DefinitionError
from mlops_assets.lakehouse.schema import TableSchema
from mlops_assets.project import attributes as written
from mlops_assets.project.expectations import Expectation, Freshness, NullShare, RowCount, Values
from mlops_assets.project.resolving import require_sensible
from mlops_assets.project.yaml_files import Document

RULES = ("null_share", "minimum", "maximum", "allowed", "rows", "freshness")
_RANGE = ("minimum", "maximum")
TAKEN_NAMES = ("contract", "delivery_whole", "quarantine_empty")
"""Checks that the platform itself gives to tables."""


def load_expectations(
    document: Document, expected: Sequence[written.ExpectationAttributes], schema: TableSchema, *, delivers: str | None
) -> tuple[Expectation, ...]:
    """Resolve the expectations of a table.

    Args:
        document: Where they stand.
        expected: As written.
        schema: The table's.
        delivers: What a delivery of the source holds; None for a feature table.

    Raises:
        DefinitionError: One is of no rule or of several, means nothing for the table, or comes twice.
    """
    found: dict[str, Expectation] = {}
    for place, item in enumerate(expected):
        expectation = _expectation(document, place, item, schema, delivers)
        if expectation.name in (*found, *TAKEN_NAMES):
            raise DefinitionError(
                f"a second check named '{expectation.name}'",
                "each rule once for each column of a table",
                "take one of them out, or put both into one",
                where=document.at("expectations", place),
            )
        found[expectation.name] = expectation
    return tuple(found.values())


def _expectation(
    document: Document, place: int, item: written.ExpectationAttributes, schema: TableSchema, delivers: str | None
) -> Expectation:
    at = ("expectations", place)
    rules = [rule for rule in RULES if rule in item.model_fields_set]
    if not rules or (len(rules) > 1 and not set(rules) <= set(_RANGE)):
        raise DefinitionError(
            f"an expectation of {' and '.join(rules) if rules else 'no rule'}",
            "one rule: null_share, minimum and maximum, allowed, rows or freshness",
            "write each rule as an expectation of its own" if rules else "add a rule, or take the expectation out",
            where=document.at(*at),
        )
    about_column = rules[0] in ("null_share", *_RANGE, "allowed")
    if about_column != (item.column is not None):
        raise DefinitionError(
            f"an expectation of {rules[0]} with {'a' if item.column else 'no'} column",
            "a column for null_share, minimum, maximum and allowed, and for no other rule",
            "take the column out" if item.column else "add the column",
            where=document.at(*at),
        )
    name, rule = (
        _of_column(document, at, item, schema, rules[0])
        if about_column
        else _of_table(document, at, item, schema, delivers)
    )
    if isinstance(rule, Freshness) and item.severity == "block":
        raise DefinitionError(
            "an expectation of freshness that blocks",
            "severity warn: what is too old is there already, and nothing that comes would be kept out",
            "take the severity out; models wait for a late source by when_late: wait",
            where=document.at(*at, "severity"),
        )
    return Expectation(name, rule, item.severity, item.description)


def _of_column(
    document: Document, at: tuple[str | int, ...], item: written.ExpectationAttributes, schema: TableSchema, rule: str
) -> tuple[str, NullShare | Values]:
    name = str(item.column)
    found = f"an expectation of '{name}', which is not among the columns"
    document.require_among(name, schema.names, found, "correct the name, or add the column", *at, "column")
    column = schema.column(name)
    check = re.sub(r"\W", "_", name, flags=re.ASCII)  # what Dagster takes in the name of a check
    if item.null_share is not None:
        if column.required:
            raise DefinitionError(
                f"a share of nulls in '{name}', in which the contract allows none",
                "a column that may be null",
                "take the expectation out, or declare the column nullable",
                where=document.at(*at, "null_share"),
            )
        return f"{check}_null_share", NullShare(name, item.null_share)
    require_sensible(document, at, name, column.type, item)
    if rule == "allowed" and not item.allowed:
        raise DefinitionError(
            f"no allowed values for '{name}'", "the values that are expected", "name them", where=document.at(*at)
        )
    kind = "allowed" if item.allowed else "range"
    return f"{check}_{kind}", Values(name, item.minimum, item.maximum, tuple(item.allowed))


def _of_table(
    document: Document,
    at: tuple[str | int, ...],
    item: written.ExpectationAttributes,
    schema: TableSchema,
    delivers: str | None,
) -> tuple[str, RowCount | Freshness]:
    def wrong(found: str, expected: str, *place: str) -> DefinitionError:
        cure = "correct the expectation, or take it out"
        return DefinitionError(found, expected, cure, where=document.at(*at, *place))

    if item.rows is not None:
        ends = item.rows.against_last_period
        if schema.timestamp is None or delivers == "increment":
            what = "additions only" if schema.timestamp else "a table without time"
            expected = "a table that is made or delivered period by period"
            raise wrong(f"rows against the last period of {what}", expected, "rows")
        if (ends.least == 0 and ends.most is None) or (ends.most is not None and ends.least > ends.most):
            expected = "a range in which some numbers of rows lie, and others do not"
            raise wrong(str(ends).removesuffix("."), expected, "rows")
        return "rows_against_last_period", ends
    fresh = item.freshness or written.FreshnessAttributes()
    if fresh.newest_row is not None and fresh.newest_delivery is not None:
        found, expected = "a freshness of both newest_row and newest_delivery", "either newest_row or newest_delivery"
        raise wrong(found, expected, "freshness")
    expected = "newest_row of a table with a time, or newest_delivery of a source"
    if fresh.newest_row is not None:
        if schema.timestamp is None:
            raise wrong("the age of the newest row of a table without time", expected, "freshness", "newest_row")
        return "newest_row", Freshness("row", fresh.newest_row)
    if fresh.newest_delivery is None:
        raise wrong("a freshness of nothing", "either newest_row or newest_delivery", "freshness")
    if delivers is None:
        found = "the age of the newest delivery of a feature table, which is not delivered"
        raise wrong(found, expected, "freshness", "newest_delivery")
    return "newest_delivery", Freshness("delivery", fresh.newest_delivery)
