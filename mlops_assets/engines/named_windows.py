"""Windows that WINDOW names, written out where they are used."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlglot import exp


def windows_written_out(tree: "exp.Expr") -> "exp.Expr":
    """The tree, changed: each named window's definition stands where it is used."""
    from sqlglot import exp

    for select in list(tree.find_all(exp.Select)):
        named = {window.name.lower(): window for window in select.args.get("windows") or ()}
        for window in list(select.find_all(exp.Window)):
            alias = window.args.get("alias")
            if alias is None or window.arg_key == "windows" or window.find_ancestor(exp.Select) is not select:
                continue
            defined = named.get(alias.name.lower())
            if defined is None:
                continue
            window.set("alias", None)
            while defined is not None:  # one definition may build on another
                for part in ("partition_by", "order", "spec"):
                    value = defined.args.get(part)
                    if value and not window.args.get(part):
                        copied = [item.copy() for item in value] if isinstance(value, list) else value.copy()
                        window.set(part, copied)
                above = defined.args.get("alias")
                defined = named.get(above.name.lower()) if above is not None else None
        select.set("windows", None)
    return tree
