"""Contracts: rows keep what was declared of them, or a check says so."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import ContractError
from mlops_assets.lakehouse.schema import TableSchema

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class CheckOutcome:
    """What a contract check found.

    Args:
        name: Name of the check, the same for every table.
        passed: Whether the contract holds.
        found: What was found, in words.
        failures: How many rows break it.
    """

    name: str
    passed: bool
    found: str
    failures: int


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
        failed = "; ".join(outcome.found for outcome in outcomes if not outcome.passed)
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
    return [_moment(value) for value in rows.column(schema.timestamp).to_pylist()]


def contract_checks(rows: "pa.Table", schema: TableSchema) -> list[CheckOutcome]:
    """Check rows against their contract; one outcome for each of `CONTRACT_CHECKS`."""
    typed = CheckOutcome("columns_and_types", True, f"{len(schema.columns)} columns as declared", 0)
    return [typed, _keys_unique(rows, schema), _values_not_null(rows, schema), _values_allowed(rows, schema)]


def require_contract(rows: "pa.Table", schema: TableSchema, table: str) -> list[CheckOutcome]:
    """See that the contract holds, and say what each check found.

    Raises:
        ContractError: It does not; says every check that failed.
    """
    outcomes = contract_checks(rows, schema)
    broken = [outcome for outcome in outcomes if not outcome.passed]
    if broken:
        raise BrokenContractError.of(
            outcomes,
            table,
            " ".join(CONTRACT_CHECKS[outcome.name] for outcome in broken),
            "correct the data, or the contract in YAML; nothing was written",
        )
    return outcomes


def _keys_unique(rows: "pa.Table", schema: TableSchema) -> CheckOutcome:
    names = [*schema.keys, *([schema.timestamp] if schema.timestamp else [])]
    counted = rows.group_by(names).aggregate([([], "count_all")])
    twice = [row for row in counted.to_pylist() if row["count_all"] > 1]
    if not twice:
        return CheckOutcome("keys_unique", True, f"{rows.num_rows} rows, each key once", 0)
    example = ", ".join(f"{name}={twice[0][name]}" for name in names)
    return CheckOutcome("keys_unique", False, f"{len(twice)} duplicate keys, such as {example}", len(twice))


def _values_not_null(rows: "pa.Table", schema: TableSchema) -> CheckOutcome:
    nulls = {
        column.name: rows.column(column.name).null_count
        for column in schema.columns
        if not column.nullable or column.kind in ("key", "time")
    }
    broken = {name: count for name, count in nulls.items() if count}
    found = ", ".join(f"{count} nulls in '{name}'" for name, count in broken.items())
    return CheckOutcome("values_not_null", not broken, found or "no nulls where none are allowed", sum(broken.values()))


def _values_allowed(rows: "pa.Table", schema: TableSchema) -> CheckOutcome:
    import pyarrow.compute as pc

    found: list[str] = []
    failures = 0
    for column in schema.columns:
        values = rows.column(column.name)
        outside: list[tuple[Any, str]] = []
        if column.minimum is not None:
            outside.append((pc.less(values, column.minimum), f"below {column.minimum:g}"))
        if column.maximum is not None:
            outside.append((pc.greater(values, column.maximum), f"above {column.maximum:g}"))
        if column.allowed:
            named = pc.is_in(values, value_set=_array(column.allowed))
            outside.append((pc.and_(pc.invert(named), pc.is_valid(values)), f"not in {', '.join(column.allowed)}"))
        for mask, words in outside:
            count = pc.sum(mask).as_py() or 0
            if count:
                example = values.filter(mask)[0].as_py()
                found.append(f"{count} values of '{column.name}' {words}, such as {example}")
                failures += count
    return CheckOutcome("values_allowed", not found, "; ".join(found) or "all values allowed", failures)


def _array(values: Sequence[str]) -> "pa.Array":
    import pyarrow as pa

    return pa.array(values, pa.string())


def _moment(value: datetime | date | None) -> datetime | None:
    if value is None or isinstance(value, datetime):
        return value
    return datetime(value.year, value.month, value.day, tzinfo=UTC)
