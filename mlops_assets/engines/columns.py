"""Which columns of its inputs a query may look at, as far as its text tells."""

from mlops_assets.engines.query import Query


def columns_named(query: Query) -> frozenset[str] | None:
    """Every name in a query, in lower case: what is not among them, it does not look at.

    Returns:
        The names of columns, tables and all else; None where it takes whatever columns a table has (``*``, ``NATURAL
        JOIN``, a table's name in the place of a column).
    """
    import sqlglot
    from sqlglot import exp

    tree = sqlglot.parse_one(query.canonical, dialect="duckdb")
    tables = {name.lower() for table in tree.find_all(exp.Table) for name in (table.name, table.alias)}
    whole = (
        any(not isinstance(star.parent, exp.Count) for star in tree.find_all(exp.Star))
        or any(str(join.args.get("method") or "").upper() == "NATURAL" for join in tree.find_all(exp.Join))
        or any(column.name.lower() in tables for column in tree.find_all(exp.Column))
    )
    return None if whole else frozenset(name.name.lower() for name in tree.find_all(exp.Identifier))
