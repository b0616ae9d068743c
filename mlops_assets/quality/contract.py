"""Contracts: rows keep what was declared of them, or a check says so."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mlops_assets.engines.contract import Engine, Rows
from mlops_assets.engines.figures import (
    COUNT,
    above,
    below,
    count_distinct,
    count_where,
    is_null,
    largest,
    most_frequent,
    not_among,
    smallest,
)
from mlops_assets.errors import ContractError
from mlops_assets.lakehouse.masking import told
from mlops_assets.lakehouse.schema import Column, TableSchema, arrow_type

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class CheckOutcome:
    """What a check of a contract or an expectation found.

    Args:
        name: Name of the check.
        passed: Whether what is declared holds.
        found: What was found, in words.
        failures: How many rows break it.
        expected: What is declared, as a sentence.
        blocks: Whether rows that fail it are kept out.
        figures: Numbers to plot, by name.
    """

    name: str
    passed: bool
    found: str
    failures: int
    expected: str = ""
    blocks: bool = True
    figures: Mapping[str, float] = field(default_factory=dict)


CONTRACT_CHECKS = {
    "columns_and_types": "The columns are the declared ones, of the declared types.",
    "keys_unique": "No two rows have the same key and time.",
    "values_not_null": "Keys, timestamps and columns declared not null have no nulls.",
    "values_allowed": "Values lie in the declared ranges and sets.",
}
"""The contract's checks, by name, with what they see to."""


class BrokenContractError(ContractError):
    """Rows break their contract; ``outcomes`` says which checks found what."""

    outcomes: tuple[CheckOutcome, ...] = ()

    @classmethod
    def of(cls, outcomes: Sequence[CheckOutcome], table: str, expected: str, cure: str) -> "BrokenContractError":
        """The error that failed checks add up to."""
        failed = "; ".join(outcome.found for outcome in outcomes if outcome.blocks and not outcome.passed)
        error = cls(f"in '{table}': {failed}", expected, cure)
        error.outcomes = tuple(outcomes)
        return error


def wrong_structure(found: str, table: str, expected: str, cure: str) -> BrokenContractError:
    """The error of a delivery that is no table of the declared columns and types."""
    return BrokenContractError.of([CheckOutcome("columns_and_types", False, found, 1)], table, expected, cure)


def moments(rows: "pa.Table", schema: TableSchema) -> list[datetime | None]:
    """The event_time of each row, in UTC; None where it is null or the table is static."""
    if schema.timestamp is None:
        return [None] * rows.num_rows
    times: list[datetime | None] = rows.column(schema.timestamp).cast(arrow_type("timestamp")).to_pylist()
    return times


@dataclass(frozen=True)
class RowRule:
    """Something that each row must keep by itself.

    Args:
        check: The one of `CONTRACT_CHECKS` that it belongs to.
        column: The column that it is about.
        broken: The condition that holds for a row that breaks it, in DuckDB's dialect.
        fault: What is wrong with such a value: ``below 0``.
        words: The same after a number of them: ``values of 'units' below 0``.
        example: Aggregate expression for one such value; None where a value says nothing.
    """

    check: str
    column: str
    broken: str
    fault: str
    words: str
    example: str | None


def row_rules(schema: TableSchema) -> list[RowRule]:
    """The rules of a contract that each row keeps or breaks by itself."""
    rules = [
        RowRule("values_not_null", column.name, is_null(column.name), "null", f"nulls in '{column.name}'", None)
        for column in schema.columns
        if column.required
    ]
    for column in schema.columns:
        rules += value_rules(column, column.minimum, column.maximum, column.allowed)
    return rules


def value_rules(column: Column, minimum: float | None, maximum: float | None, allowed: Sequence[str]) -> list[RowRule]:
    """The rules of a range and of a set of values; of a personal column none gives an example."""
    name, quotable = column.name, not column.is_personal
    found = []
    if minimum is not None:
        found.append((below(name, minimum), f"below {minimum:g}", smallest))
    if maximum is not None:
        found.append((above(name, maximum), f"above {maximum:g}", largest))
    if allowed:
        found.append((not_among(name, allowed), f"not in {', '.join(allowed)}", smallest))
    return [
        RowRule(
            "values_allowed",
            name,
            broken,
            fault,
            f"values of '{name}' {fault}",
            example(name, broken) if quotable else None,
        )  # fmt: skip
        for broken, fault, example in found
    ]


def contract_figures(schema: TableSchema) -> dict[str, str]:
    """What `judge_contract` must be told of rows, for `Engine.measure`."""
    figures = {"rows": COUNT, "different keys": count_distinct(schema.identity)}
    for place, rule in enumerate(row_rules(schema)):
        figures |= rule_figures(rule, place)
    return figures


def rule_figures(rule: RowRule, place: int | str) -> dict[str, str]:
    """How many rows break a rule, and one of their values; ``place`` tells rules apart."""
    return {f"broken {place}": count_where(rule.broken), **({f"example {place}": rule.example} if rule.example else {})}


def rule_found(rule: RowRule, place: int | str, measured: Mapping[str, Any]) -> tuple[int, str]:
    """How many rows break a rule, and that in words."""
    count = int(measured[f"broken {place}"])
    return count, f"{count} {rule.words}" + (f", such as {measured[f'example {place}']}" if rule.example else "")


def judge_contract(engine: Engine, rows: Rows, schema: TableSchema, measured: Mapping[str, Any]) -> list[CheckOutcome]:
    """What the rows' `contract_figures` say; one outcome for each of `CONTRACT_CHECKS`."""
    by_check: dict[str, list[tuple[int, str]]] = {"values_not_null": [], "values_allowed": []}
    for place, rule in enumerate(row_rules(schema)):
        count, found = rule_found(rule, place, measured)
        if count:
            by_check[rule.check].append((count, found))

    def outcome(check: str, between: str, kept: str) -> CheckOutcome:
        broken = by_check[check]
        words = between.join(found for _, found in broken)
        return CheckOutcome(check, not broken, words or kept, sum(count for count, _ in broken))

    return [
        CheckOutcome("columns_and_types", True, f"{len(schema.columns)} columns as declared", 0),
        _keys_unique(engine, rows, schema, measured),
        outcome("values_not_null", ", ", "no nulls where none are allowed"),
        outcome("values_allowed", "; ", "all values allowed"),
    ]


def require_kept(outcomes: list[CheckOutcome], table: str) -> list[CheckOutcome]:
    """See that no check that blocks failed.

    Raises:
        ContractError: Says every check that did.
    """
    broken = [outcome for outcome in outcomes if outcome.blocks and not outcome.passed]
    if broken:
        raise BrokenContractError.of(
            outcomes,
            table,
            " ".join(CONTRACT_CHECKS.get(outcome.name, outcome.expected) for outcome in broken),
            "correct the data, or the contract in YAML; nothing was written",
        )
    return outcomes


def key_in_words(schema: TableSchema, key: Mapping[str, Any]) -> str:
    """Some values by column, as messages tell them."""
    return ", ".join(f"{name}={told(schema.column(name), value)}" for name, value in key.items())


def _keys_unique(engine: Engine, rows: Rows, schema: TableSchema, measured: Mapping[str, Any]) -> CheckOutcome:
    repeated = int(measured["rows"]) - int(measured["different keys"])
    if not repeated:
        return CheckOutcome("keys_unique", True, f"{measured['rows']} rows, each key once", 0)
    names = schema.identity
    values = engine.measure(rows, {"example": most_frequent(names)})["example"].values()
    example = key_in_words(schema, dict(zip(names, values, strict=True)))
    return CheckOutcome("keys_unique", False, f"{repeated} duplicate keys, such as {example}", repeated)
