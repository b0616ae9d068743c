"""Questions to a tree of SQL as sqlglot reads it: where a node stands, what a name means, and what orders rows."""

from typing import TYPE_CHECKING

from mlops_assets.engines.allow_list import AGGREGATES, ORDERED_AGGREGATES

if TYPE_CHECKING:
    from sqlglot import exp


def line_of(node: "exp.Expr") -> int | None:
    """The first line that a node or anything below it is known to stand on."""
    lines = [below.meta["line"] for below in node.walk() if "line" in below.meta]
    return min(lines, default=None)


def cte_of(table: "exp.Table") -> "exp.CTE | None":
    """What WITH says of a table's name; None where the name means a table.

    A name in WITH hides a table only where it can be seen: not in its own text, nor in what stands before it.
    """
    from sqlglot import exp

    below: exp.Expr = table
    above = table.parent
    while above is not None:
        introduced = above if isinstance(above, exp.With) else above.args.get("with_")
        for cte in introduced.expressions if introduced and introduced is not below else ():
            if cte is below:
                break
            if cte.alias.lower() == table.name.lower():
                found: exp.CTE = cte
                return found
        below, above = above, above.parent
    return None


def window_of(function: "exp.Expr") -> "exp.Window | None":
    """The window that a function is called in; None where it is called without OVER."""
    from sqlglot import exp

    inner, around = function, function.parent
    while isinstance(around, _wrappers()):
        inner, around = around, around.parent
    return around if isinstance(around, exp.Window) and around.this is inner else None


def called_in(window: "exp.Window") -> "exp.Expr":
    """The function that is called in a window."""
    return function_of(window.this)


def function_of(call: "exp.Expr") -> "exp.Expr":
    """The function of a call with all that belongs to it, such as its FILTER; the node itself where it is none."""
    while isinstance(call, _wrappers()):
        call = call.this
    return call


def is_aggregate(node: "exp.Expr") -> bool:
    """Whether a function takes many rows, by its class or the name it was called by."""
    from sqlglot import exp

    if isinstance(node, exp.Anonymous):
        return node.name.lower() in AGGREGATES | ORDERED_AGGREGATES
    return isinstance(node, exp.AggFunc)


def aggregates(item: "exp.Expr") -> bool:
    """Whether an item of a select list holds an aggregate that is not the function of a window, nor in a subquery."""
    from sqlglot import exp

    nodes = item.walk(prune=lambda node: isinstance(node, exp.Query))
    return any(is_aggregate(node) and window_of(node) is None for node in nodes)


def definition_of(window: "exp.Window") -> "exp.Window":
    """The window itself, or the one that WINDOW defines under its name."""
    from sqlglot import exp

    name, select = window.args.get("alias"), window.find_ancestor(exp.Select)
    named = select.args.get("windows") or () if select and name else ()
    wanted = str(window.alias).lower()
    return next((other for other in named if other.name.lower() == wanted), window)


def counts_rows(window: "exp.Window") -> bool:
    """Whether the frame of a window holds some of the rows by their number, and not all of them."""
    spec = window.args.get("spec")
    if not spec or spec.args["kind"].upper() == "RANGE":
        return False
    return (spec.args.get("start"), spec.args.get("end")) != ("UNBOUNDED", "UNBOUNDED")


def meant(node: "exp.Expr", query: "exp.Query") -> "exp.Expr":
    """What a place or an alias in ORDER BY or GROUP BY stands for in a query's list of columns, or the node itself."""
    from sqlglot import exp

    if isinstance(node, exp.Literal) and node.is_int and 0 < int(node.name) <= len(query.selects):
        item: exp.Expr = query.selects[int(node.name) - 1].unalias()
        return item
    if isinstance(node, exp.Column) and not node.table:
        aliased = (item for item in query.selects if isinstance(item, exp.Alias))
        return next((item.unalias() for item in aliased if item.alias.lower() == node.name.lower()), node)
    return node


def ordered_by(node: "exp.Expr") -> "list[exp.Expr]":
    """What orders a query, the rows of a window or those that an aggregate takes; constants order nothing."""
    from sqlglot import exp

    order = node.args.get("order")
    if isinstance(node, exp.Window):
        order = order or definition_of(node).args.get("order")
    elif isinstance(node, exp.WithinGroup):
        order = node.expression
    elif isinstance(node.this, exp.Order) and not isinstance(node, exp.Query):
        order = node.this
    wanted = [item.this for item in order.expressions] if order else []
    if isinstance(node, exp.Select | exp.SetOperation) and not any(item.is_star for item in node.selects):
        wanted = [meant(item, node) for item in wanted]
    elif isinstance(node, exp.Query):  # which column a place stands for is not known
        wanted = [exp.Star() if isinstance(item, exp.Literal) and item.is_int else item for item in wanted]
    return [item for item in wanted if isinstance(item, exp.Var) or item.find(exp.Column, exp.Star)]  # ALL is a Var


def _wrappers() -> "tuple[type[exp.Expr], ...]":
    from sqlglot import exp

    return (exp.Filter, exp.IgnoreNulls, exp.RespectNulls, exp.WithinGroup)
