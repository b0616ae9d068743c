"""Judging rows by their contract and by what else is expected of them, from figures that one pass over them gives."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mlops_assets.engines.contract import Engine, Rows
from mlops_assets.engines.figures import count_where, is_null, largest, smallest
from mlops_assets.lakehouse.schema import TableSchema
from mlops_assets.project.expectations import Expectation, Freshness, NullShare, RowCount, Values
from mlops_assets.quality.contract import (
    CheckOutcome,
    RowRule,
    contract_figures,
    judge_contract,
    require_kept,
    rule_figures,
    rule_found,
    value_rules,
)


def require_expected(
    engine: Engine,
    rows: Rows,
    measured: Mapping[str, Any],
    schema: TableSchema,
    table: str,
    expectations: Sequence[Expectation],
    *,
    count: int | None = None,
    last_count: Callable[[], int | None],
) -> list[CheckOutcome]:
    """See that rows keep their contract and every expectation that blocks, and say what each check found.

    Args:
        engine: The engine that the rows belong to.
        rows: The rows of a period, or all that a delivery holds.
        measured: Their `expected_figures`.
        schema: Their contract.
        table: The table's name, for messages.
        expectations: What else is expected; how fresh the table is, is not looked at here.
        count: How many rows the period has; None where ``rows`` are all of them.
        last_count: Says how many rows the last period has; None where there is none to compare with.

    Raises:
        ContractError: A check that blocks failed; says every one that did.
    """
    outcomes = judge_contract(engine, rows, schema, measured)
    for expectation in expectations:
        match expectation.rule:
            case NullShare():
                outcomes.append(_null_share(expectation, expectation.rule, measured))
            case Values():
                outcomes.append(_values(expectation, expectation.rule, schema, measured))
            case RowCount():
                now = int(measured["rows"]) if count is None else count
                outcomes.append(_row_count(expectation, expectation.rule, now, last_count()))
            case Freshness():
                pass
    return require_kept(outcomes, table)


def outcome_of(
    expectation: Expectation, passed: bool, found: str, failures: int, figures: Mapping[str, float | None]
) -> CheckOutcome:
    """What an expectation's check found; a figure that there is none of is left out."""
    return CheckOutcome(
        expectation.name,
        passed,
        found,
        failures,
        expected=expectation.description,
        blocks=expectation.severity == "block",
        figures={name: value for name, value in figures.items() if value is not None},
    )


def expected_figures(schema: TableSchema, expectations: Sequence[Expectation]) -> dict[str, str]:
    """What `require_expected` must be told of rows, for `Engine.measure`."""
    figures = contract_figures(schema)
    for expectation in expectations:
        name = expectation.name
        if isinstance(expectation.rule, NullShare):
            figures[f"{name} nulls"] = count_where(is_null(expectation.rule.column))
        if isinstance(expectation.rule, Values):
            for place, rule in enumerate(_rules(expectation.rule, schema)):
                figures |= rule_figures(rule, f"{name} {place}")
            column = expectation.rule.column
            if not expectation.rule.allowed and not schema.column(column).is_personal:
                figures |= {f"{name} smallest": smallest(column), f"{name} largest": largest(column)}
    return figures


def _rules(values: Values, schema: TableSchema) -> list[RowRule]:
    return value_rules(schema.column(values.column), values.minimum, values.maximum, values.allowed)


def _null_share(expectation: Expectation, rule: NullShare, measured: Mapping[str, Any]) -> CheckOutcome:
    nulls, rows = int(measured[f"{expectation.name} nulls"]), int(measured["rows"])
    share = nulls / rows if rows else 0.0
    found = f"{nulls} of {rows} values of '{rule.column}' are null ({share:.1%})"
    figures = {"null share": share, "most": rule.most}
    return outcome_of(expectation, share <= rule.most, found, nulls if share > rule.most else 0, figures)


def _values(expectation: Expectation, rule: Values, schema: TableSchema, measured: Mapping[str, Any]) -> CheckOutcome:
    broken = [
        rule_found(one, f"{expectation.name} {place}", measured)
        for place, one in enumerate(_rules(rule, schema))
        if measured[f"broken {expectation.name} {place}"]
    ]
    failures = sum(count for count, _ in broken)
    figures = {"values outside": failures, "least": rule.minimum, "most": rule.maximum}
    figures |= {end: measured.get(f"{expectation.name} {end}") for end in ("smallest", "largest")}
    found = "; ".join(words for _, words in broken) or f"all values of '{rule.column}' are as expected"
    return outcome_of(expectation, not broken, found, failures, figures)


def _row_count(expectation: Expectation, rule: RowCount, rows: int, last_rows: int | None) -> CheckOutcome:
    if not last_rows:
        found = f"{rows} rows, and no last period to compare them with"
        return outcome_of(expectation, True, found, 0, {"rows": rows})
    share = rows / last_rows
    passed = share >= rule.least and (rule.most is None or share <= rule.most)
    found = f"{rows} rows after {last_rows} in the last period ({share:.2f} times as many)"
    figures = {"rows": rows, "rows in last period": last_rows, "against last period": share}
    return outcome_of(
        expectation,
        passed,
        found,
        0 if passed else abs(rows - last_rows),
        figures | {"least": rule.least, "most": rule.most},
    )
