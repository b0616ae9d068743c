"""What DuckDB itself reads in the SQL of a user: the last word on what is called, whoever read the text before.

The filter reads with a parser of its own. Wherever the two read differently, something could pass the one that the
other then runs. So DuckDB is asked for its tree of what it is to run, and anything in it that is not known is refused.
"""

import atexit
import json
import re
import sys
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from mlops_assets.engines.allow_list import BARE_WORDS, ENGINE_TABLES, FUNCTIONS, words
from mlops_assets.engines.query import called_and_named
from mlops_assets.errors import DefinitionError, Location

_KINDS = words("""
    BASE_TABLE DESCENDING ASCENDING DISTINCT_MODIFIER EMPTY EXPRESSION_LIST JOIN LIMIT_MODIFIER LIMIT_PERCENT_MODIFIER
    ORDER_DEFAULT ORDER_MODIFIER SELECT_NODE SET_OPERATION_NODE SUBQUERY TABLE_FUNCTION""")
_EXPRESSIONS = words("""
    BETWEEN CASE CAST COLUMN_REF COMPARISON CONJUNCTION CONSTANT FUNCTION LAMBDA STAR SUBQUERY TYPE WINDOW""")
_OPERATORS = words("""
    ARRAY_CONSTRUCTOR ARRAY_EXTRACT ARRAY_SLICE STRUCT_EXTRACT COMPARE_IN COMPARE_NOT_IN GROUPING_FUNCTION
    OPERATOR_COALESCE OPERATOR_IS_NOT_NULL OPERATOR_IS_NULL OPERATOR_NOT OPERATOR_NULLIF""")
_WITHOUT_A_NAME = words("""
    + - * / // % ** ^ & | ~ << >> || @ ->> ~~ !~~ ~~* !~~* ~~~ like_escape not_like_escape ilike_escape
    not_ilike_escape count_star date_part first_value json_extract json_extract_string last_value list_apply
    list_filter list_value ltrim map overlay position quantile_cont quantile_disc regexp_full_match regexp_matches
    row rtrim string_agg struct_extract struct_pack substring timezone to_centuries to_days to_decades to_hours
    to_microseconds to_millennia to_milliseconds to_minutes to_months to_quarters to_seconds to_weeks to_years trim
    trunc unnest""")
"""What DuckDB makes of signs and of syntax, without that its name is written."""
_ELEMENT = "elem"
"""What DuckDB calls an element of a list where a comprehension chooses some."""
_MAX_DEPTH = 10_000
"""How deep a tree may be: some hundred bytes of the thread's stack for each level."""
_PLACES = re.compile(r'"query_location(_length)?":\d+,?')
_WITHIN_NUMBERS = re.compile(r"(?<=\d)_(?=\d)")


@lru_cache(maxsize=4096)
def require_same_reading(canonical: str, text: str, where: Location | None = None) -> None:
    """See that DuckDB calls and reads what the filter saw, and takes what it runs for what the user wrote.

    It is asked before each answer, and computed once for each text.

    Args:
        canonical: What DuckDB is to run.
        text: What the user wrote.
        where: Where that stands, for the message of an error.

    Raises:
        DefinitionError: DuckDB reads something else than the filter.
        duckdb.ParserException: DuckDB cannot read ``canonical``.
    """
    import duckdb

    serialized = _serialized(canonical)
    tree = _tree(serialized, where)
    if tree["error"]:
        raise duckdb.ParserException(tree["error_message"])
    called, named = called_and_named(canonical)
    for found in _unknown(tree["statements"], called, named):
        raise _refused(f"{found} in what DuckDB reads", where)
    written = _serialized(text)
    if '"error":false' in written and _shape(written) != _shape(serialized):
        raise _refused("SQL that DuckDB reads in another way than it is run", where)


def statements(text: str) -> list[str]:
    """The kinds of the statements that DuckDB reads in a text.

    Raises:
        duckdb.ParserException: It cannot.
    """
    return [statement.type.name for statement in _parser().extract_statements(text)]


def _unknown(tree: Any, called: frozenset[str], named: frozenset[str]) -> Iterator[str]:
    """Whatever is not on the lists in a tree of DuckDB's, in its order."""
    waiting = [tree]  # a sum of a thousand columns is a thousand levels deep
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting += reversed(node)
        elif isinstance(node, dict):
            yield from _unknown_here(node, called, named)
            waiting += reversed(node.values())


def _unknown_here(node: dict[str, Any], called: frozenset[str], named: frozenset[str]) -> Iterator[str]:
    kind, type_ = node.get("class"), node.get("type")
    known = type_ in _OPERATORS if kind == "OPERATOR" else kind in _EXPRESSIONS
    if not (known if kind else not isinstance(type_, str) or type_ in _KINDS):
        yield str(type_)
    if "sample" in node:
        yield "a sample"
    path = node.get("qualified_name", {}).get("path", [])
    if "function_name" in node:
        name = node["function_name"].lower()
        by_name = name in FUNCTIONS and name in called
        if not by_name and (len(path) > 1 or name not in _WITHOUT_A_NAME):
            yield f"the function {'.'.join(path) or name}()"
    elif type_ == "BASE_TABLE":
        if len(path) != 1 or path[0].lower() not in named or ENGINE_TABLES.fullmatch(path[0].lower()):
            yield f"the table {'.'.join(path)}"
    elif kind == "COLUMN_REF":
        names = [name.lower() for name in node["column_names"]]
        seen = named.issuperset(names) or names[0] == _ELEMENT
        if not seen or names[-1] == "rowid" or (len(names) == 1 and names[0] in BARE_WORDS):
            yield f"the column {'.'.join(names)}"


def _tree(serialized: str, where: Location | None) -> dict[str, Any]:
    """DuckDB's tree. Up to Python 3.11 the depth of JSON counts as depth of calls, of which there may be a thousand."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(limit + min(serialized.count("{") + serialized.count("["), _MAX_DEPTH))
    try:
        tree: dict[str, Any] = json.loads(serialized)
    except RecursionError:
        raise _refused("SQL that is nested too deep to be read", where) from None
    finally:
        sys.setrecursionlimit(limit)
    return tree


def _shape(serialized: str) -> str:
    """A tree without places; keywords and types that stand in it are written in either case."""
    return _WITHIN_NUMBERS.sub("", _PLACES.sub("", serialized)).casefold()


def _serialized(text: str) -> str:
    with _parser().cursor() as connection:
        answer = connection.execute(
            "SELECT json_serialize_sql(?, skip_default := true, skip_empty := true, skip_null := true)", [text]
        )
        return str(answer.fetchone()[0])


@lru_cache(maxsize=1)
def _parser() -> Any:
    """A database that holds nothing, for reading only."""
    import duckdb

    atexit.register(_parser.cache_clear)  # DuckDB complains of what is left when the process ends
    return duckdb.connect(":memory:", config={"threads": 1, "enable_external_access": False})


def _refused(found: str, where: Location | None) -> DefinitionError:
    return DefinitionError(
        found, "SQL in which DuckDB and the platform's filter read the same", "write it in a plainer way", where=where
    )
