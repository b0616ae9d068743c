"""The SQL of each column of a query."""

from mlops_assets.engines.query import Query, parsed_tree


def written_expressions(query: Query) -> dict[str, str]:
    """The expression of each column that the query's own select list names, by name in lower case."""
    tree = parsed_tree(query)
    if type(tree).__name__ != "Select":
        return {}
    return {item.alias_or_name.lower(): item.unalias().sql("duckdb") for item in tree.expressions if item.alias_or_name}
