"""Windows that count rows where periods are meant."""

from typing import TYPE_CHECKING

from mlops_assets.engines.query import Query, parsed_tree
from mlops_assets.engines.sql_tree import called_in, definition_of, line_of
from mlops_assets.errors import Location
from mlops_assets.lakehouse.periods import Unit

if TYPE_CHECKING:
    from sqlglot import exp


def row_based_frames(query: Query, unit: Unit = "month") -> list[str]:
    """Warnings, one sentence each, of windows that count rows and so go wrong wherever a period is missing.

    Args:
        query: What ``parse_query`` gave.
        unit: The period of what it reads, in which the form that is shown counts.
    """
    from sqlglot import exp

    tree = parsed_tree(query)
    warnings = []
    for window in sorted(tree.find_all(exp.Window), key=lambda window: line_of(window) or 0):
        called, definition, spec = called_in(window), definition_of(window), window.args.get("spec")
        if isinstance(called, exp.Lag | exp.Lead):
            side = "PRECEDING" if isinstance(called, exp.Lag) else "FOLLOWING"
            offset = called.args.get("offset") or exp.Literal.number(1)
            bound = f"INTERVAL ({offset.sql('duckdb')}) {unit.upper()} {side}"
            found, value = called.sql("duckdb"), f"max({called.this.sql('duckdb')})"
            frame = f"RANGE BETWEEN {bound} AND {bound}"
        elif spec and spec.args["kind"].upper() != "RANGE" and (_counts(spec, "start") or _counts(spec, "end")):
            found = f"a {spec.args['kind'].upper()} frame"
            value = window.this.sql("duckdb") if window.args.get("over") else "…"
            frame = f"RANGE BETWEEN {_bound(spec, 'start', unit)} AND {_bound(spec, 'end', unit)}"
        else:
            continue
        partition = ", ".join(part.sql("duckdb") for part in definition.args.get("partition_by") or ())
        order = definition.args.get("order")
        parts = (
            f"PARTITION BY {partition}" if partition else "",
            _ordered_by_period(order, unit) if order else "",
            frame,
        )
        over = " ".join(filter(None, parts))
        warnings.append(
            f"{Location(query.file, line_of(window))}: {found} counts rows, not periods, and reads the wrong "
            f"one after a gap: write {value} OVER ({over})."
        )
    return warnings


def _ordered_by_period(order: "exp.Order", unit: Unit) -> str:
    """An order in which a month before is the month before: of a month's last day, a month earlier need not be one."""
    if unit != "month":
        return order.sql("duckdb").strip()
    directions = [" DESC" if term.args.get("desc") else "" for term in order.expressions]
    terms = [f"date_trunc('month', {term.this.sql('duckdb')})" for term in order.expressions]
    return f"ORDER BY {', '.join(map(str.__add__, terms, directions))}"


def _counts(spec: "exp.WindowSpec", side: str) -> bool:
    from sqlglot import exp

    return isinstance(spec.args.get(side), exp.Expr)


def _bound(spec: "exp.WindowSpec", side: str, unit: Unit) -> str:
    bound = spec.args.get(side)
    if bound is None:
        return "CURRENT ROW"
    if not _counts(spec, side):
        return f"{bound} {spec.args.get(f'{side}_side') or ''}".strip()
    return f"INTERVAL ({bound.sql('duckdb')}) {unit.upper()} {spec.args[f'{side}_side'].upper()}"
