"""What the loading of all three components shares: columns, SQL files, durations, and where an error stands."""

import re
from collections.abc import Mapping, Sequence

from mlops_assets.engines.query import Query, parse_query
from mlops_assets.errors import DefinitionError, Location
from mlops_assets.lakehouse.content_hash import text_hash
from mlops_assets.lakehouse.periods import Calendar, Duration
from mlops_assets.lakehouse.schema import RESERVED_COLUMNS, Column, TableSchema, is_number
from mlops_assets.project import attributes as written
from mlops_assets.project.text_files import read_text
from mlops_assets.project.yaml_files import Document


def columns_of(
    document: Document,
    columns: Mapping[str, written.ContractAttributes],
    keys: Sequence[str],
    timestamp: str | None,
    owners: Sequence[str],
) -> tuple[Column, ...]:
    """The columns of a table, with the part that each plays, but not how sensitive; ``owners`` are the table's.

    Raises:
        DefinitionError: A key or timestamp is not among them, or a name, type, range or set is not allowed.
    """
    _require_key_and_time(document, columns, keys, timestamp)
    result = []
    spelled: dict[str, str] = {}
    for name, column in columns.items():
        _require_name(document, name, spelled.setdefault(name.lower(), name))
        require_sensible(document, ("columns", name), name, column.type, column)
        if "not_finite" in column.model_fields_set and not is_number(column.type):
            raise DefinitionError(
                f"not_finite for '{name}', which is of type {column.type}",
                "a column of numbers",
                "take not_finite out, or correct the type",
                where=document.at("columns", name, "not_finite"),
            )
        fixed = name in keys or name == timestamp
        result.append(
            Column(
                name=name,
                type=column.type,
                description=column.description,
                kind="key" if name in keys else "time" if name == timestamp else column.used_as,
                nullable=column.nullable and not fixed,
                minimum=column.minimum,
                maximum=column.maximum,
                allowed=tuple(column.allowed),
                owners=tuple(owners if column.owners is None else column.owners),
                not_finite=column.not_finite,
            )
        )
    return tuple(result)


def _require_key_and_time(
    document: Document, columns: Mapping[str, written.ContractAttributes], keys: Sequence[str], timestamp: str | None
) -> None:
    for field, name in [*(("primary_keys", key) for key in keys), *([("timestamp", timestamp)] if timestamp else [])]:
        what = "primary key" if field == "primary_keys" else "timestamp"
        found = f"{what} '{name}', which is not among the columns"
        document.require_among(name, columns, found, "add the column, or correct the name", field)
    if timestamp in keys:
        raise DefinitionError(
            f"the timestamp '{timestamp}' among the primary keys",
            "keys that name an entity; the time of a row is no part of them",
            "take it out of primary_keys",
            where=document.at("primary_keys"),
        )
    if timestamp and columns[timestamp].type not in ("date", "timestamp"):
        raise DefinitionError(
            f"timestamp '{timestamp}' of type {columns[timestamp].type}",
            "type date or timestamp",
            "declare it so; text such as 2001-03 is read as a date",
            where=document.at("columns", timestamp, "type"),
        )


def _require_name(document: Document, name: str, first: str) -> None:
    """See that a column may be called so; ``first`` is how the first of this name is written."""
    if first != name:
        raise DefinitionError(
            f"columns '{first}' and '{name}'",
            "names that differ in more than capital letters, which SQL and Delta take for the same",
            "rename one of them",
            where=document.at("columns", name),
        )
    if name.lower() in RESERVED_COLUMNS:
        raise DefinitionError(
            f"a column named '{name}'",
            f"any name but {', '.join(RESERVED_COLUMNS)}, which the lakehouse adds to every table",
            "rename it",
            where=document.at("columns", name),
        )


def require_sensible(
    document: Document, place: tuple[str | int, ...], name: str, type_: str, limits: written.BoundsAttributes
) -> None:
    """See that a range is one of numbers, a set one of texts, and that some value can keep them.

    Raises:
        DefinitionError: They are not, or none can.
    """
    for field in ("minimum", "maximum"):
        if getattr(limits, field) is not None and not is_number(type_):
            raise DefinitionError(
                f"a {field} for '{name}', which is of type {type_}",
                "a range of a column of numbers",
                f"take {field} out, or correct the type",
                where=document.at(*place, field),
            )
    if limits.minimum is not None and limits.maximum is not None and limits.minimum > limits.maximum:
        raise DefinitionError(
            f"a minimum of {limits.minimum:g} above the maximum of {limits.maximum:g} for '{name}'",
            "a range that some value lies in",
            "correct one of them",
            where=document.at(*place, "minimum"),
        )
    if limits.allowed and type_ != "string":
        raise DefinitionError(
            f"allowed values for '{name}', which is of type {type_}",
            "a set of values of a column of type string",
            "take allowed out, or declare a range",
            where=document.at(*place, "allowed"),
        )


def check_output(document: Document, query: Query, expected: Sequence[str], *place: str) -> None:
    """See that the SQL gives the declared columns, as far as its text tells."""
    if query.output_columns is None:
        return
    for name in expected:
        if name not in query.output_columns:
            raise DefinitionError(
                f"no column '{name}' in what {query.file.name} selects ({', '.join(query.output_columns)})",
                f"the columns {', '.join(expected)}",
                "select it in the SQL, or correct the YAML",
                where=document.at(*place, name),
            )


def read_query(document: Document, name: str, *place: str) -> Query:
    """Read and check the SQL file that a document names.

    Raises:
        DefinitionError: There is no such file, or its SQL is refused.
    """
    file = document.file.parent / name
    text = read_text(file, "a file in UTF-8 with one SELECT", document.at(*place))
    return parse_query(text, file=file)


def counted(length: Duration, calendar: Calendar, least: int = 1) -> int:
    """How many whole periods a length of time is.

    Raises:
        DefinitionError: It is not a whole number of them, or fewer than some.
    """
    periods = length.periods(calendar)
    if periods < least:
        raise DefinitionError(
            f"'{length}'", f"at least {least} {calendar.unit}", f"write, say, '{least} {calendar.unit}s'"
        )
    return periods


def unknown_table(name: str, declared: Sequence[str], query: Query) -> DefinitionError:
    """The error for a table that SQL reads and nobody declares, with its line in the SQL."""
    read = re.search(rf"\b(from|join)\s+\W?{re.escape(name)}\b", query.text, re.IGNORECASE)
    mentioned = read or re.search(rf"\b{re.escape(name)}\b", query.text, re.IGNORECASE)
    line = query.text.count("\n", 0, mentioned.end()) + 1 if mentioned else None
    return DefinitionError(
        f"the SQL reads '{name}', which no component declares",
        f"one of: {', '.join(declared)}",
        "correct the name, or declare the table",
        where=Location(query.file, line),
    )


def generation_of(parts: Mapping[str, str]) -> str:
    """The generation of a definition: the hash of its parts, whatever their order, short enough to name a folder.

    Example:
        >>> generation_of({"sql": "SELECT 1", "history": "1 day"}) == generation_of(
        ...     {"history": "1 day", "sql": "SELECT 1"}
        ... )
        True
    """
    return text_hash(*(text for name in sorted(parts) for text in (name, parts[name])))[:16]


ABSENT_AS_ZERO = "0 without rows"
"""The part of a definition that lists the columns that are 0 for a key without rows, as JSON."""


def schema_parts(schema: TableSchema) -> dict[str, str]:
    """What of a table's schema decides its rows: the order of keys and columns does not."""
    columns = {f"column {column.name}": column.type for column in schema.columns}
    return {"primary_keys": ", ".join(sorted(schema.keys)), "timestamp": schema.timestamp or "", **columns}
