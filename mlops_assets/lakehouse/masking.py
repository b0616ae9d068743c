"""What messages, which anybody may read, say of values: nothing of those of personal columns.

Errors, outcomes of checks and reasons of the quarantine are kept in event logs and shown to people of whom nothing is
known then. So they never hold a value that somebody of them may not see, whoever caused them.
"""

import re
from collections.abc import Iterable

from mlops_assets.lakehouse.schema import Column

MASK = "•••"
"""What a value is shown as to people who may not see it."""

LEFT_OUT = "its words may quote values of personal columns, and are left out"


def told(column: Column, value: object) -> object:
    """A value as a message tells it."""
    return MASK if column.is_personal else value


def words_about(columns: Iterable[Column], words: str) -> str:
    """What an engine, a library or a user's code says went wrong while it worked on some columns.

    What is said before any row is read holds no value, and stays; of else, beside personal columns, only what kind of
    error it is.

    Example:
        >>> name = Column("name", "string", sensitivity="personal")
        >>> words_about([name], "Conversion Error: Could not convert string 'Ana' to INT32")
        'Conversion Error (its words may quote values of personal columns, and are left out)'
        >>> words_about([name], "Binder Error: no column nom")
        'Binder Error: no column nom'
    """
    if not any(column.is_personal for column in columns) or _BEFORE_ROWS.match(words):
        return words
    kind = _KIND.match(words)
    return f"{kind[1] if kind else 'an error'} ({LEFT_OUT})"


_BEFORE_ROWS = re.compile(r"(Binder|Catalog|Parser) Error:|\[(UNRESOLVED_|PARSE_|DATATYPE_MISMATCH)")
_KIND = re.compile(r"((?:[a-z]+ ){0,2}[a-z_.]*(?:error|exception)|\[[a-z_.]+\])(?![a-z])", re.IGNORECASE)
