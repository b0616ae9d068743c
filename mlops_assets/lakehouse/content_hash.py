"""The content hash of rows: the same for the same rows, in whatever order, file or engine they came.

Each row is written in one canonical form and hashed with SHA-256; the row hashes are added up modulo 2**256. A sum
does not depend on the order, counts duplicates, and can be made piece by piece where the rows are. (The idea of
hashing a multiset by adding up hashes: Bellare and Micciancio, "A new paradigm for collision-free hashing", 1997.)
"""

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa
    import rfc8785

_MODULUS = 1 << 256
_EXACT = (1 << 53) - 1
"""The largest whole number that JSON holds exactly."""


def content_hash(rows: "pa.Table", columns: Sequence[str]) -> str:
    """Hash the rows of a table over some of its columns.

    Args:
        rows: Any number of rows; nulls are values of their own, ``-0.0`` equals ``0.0``, all NaN are one value.
        columns: Which columns count, and in which order.

    Returns:
        64 hexadecimal digits.
    """
    return whole_hash(rows.schema, columns, [hashed_piece(rows, columns)])


def hashed_piece(rows: "pa.Table", columns: Sequence[str]) -> tuple[int, int]:
    """Hash some of the rows of a table, for `whole_hash`.

    Returns:
        How many they are, and the sum of their hashes modulo 2**256.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = [_canonical(rows.column(name)) for name in columns]
    joined = pc.binary_join_element_wise(*texts, pa.scalar("", pa.large_string())) if texts else pa.chunked_array([[]])
    total = 0
    for row in joined.cast(pa.large_binary()).to_pylist():
        total += int.from_bytes(hashlib.sha256(row).digest())
    return rows.num_rows, total % _MODULUS


def whole_hash(schema: "pa.Schema", columns: Sequence[str], pieces: Iterable[tuple[int, int]]) -> str:
    """The content hash of rows that were hashed in pieces, whichever way they were cut.

    Args:
        schema: The types of the columns.
        columns: As for each of the pieces.
        pieces: What `hashed_piece` gave.
    """
    count, total = 0, 0
    for rows, sum_ in pieces:
        count, total = count + rows, total + sum_
    kinds = "\x1f".join(f"{name} {_kind(schema.field(name).type)}" for name in columns)
    return hashlib.sha256(f"{kinds}\x1e{count}\x1e{total % _MODULUS:x}".encode()).hexdigest()


def text_hash(*parts: str) -> str:
    """Hash texts in their order; ``("ab", "c")`` and ``("a", "bc")`` differ."""
    joined = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(joined.encode()).hexdigest()


def definition_hash(written: Mapping[str, object]) -> str:
    """Hash what somebody wrote, and nothing of how this code holds it: from canonical JSON (RFC 8785).

    The order of members and the spelling of a number change nothing.

    Returns:
        64 hexadecimal digits.
    """
    return hashlib.sha256(canonical_json(written)).hexdigest()


def canonical_json(written: Mapping[str, object]) -> bytes:
    """Plain values as the one JSON text that RFC 8785 gives them; dates as text."""
    import rfc8785

    return rfc8785.dumps(_as_json(written))


def _as_json(value: object) -> "rfc8785._impl._Value":
    """A value as JSON has it; numbers that JSON cannot hold stand as text, apart from a text like them."""
    if isinstance(value, Mapping):
        return {str(name): _as_json(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(one) for one in value]
    if isinstance(value, date):
        return value.isoformat()
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int | float):
        held = abs(value) <= _EXACT if isinstance(value, int) else math.isfinite(value)
        return value if held else {"number": str(value)}
    raise TypeError(f"{type(value).__name__} in a definition")


def _canonical(column: "pa.ChunkedArray") -> "pa.ChunkedArray":
    """Each value with its length in bytes before it, so that no two rows of different values read the same."""
    import pyarrow as pa
    import pyarrow.compute as pc

    text = pa.large_string()
    kind = _kind(column.type)
    if kind == "time":
        values = column.cast(pa.timestamp("us", column.type.tz)).cast(pa.int64()).cast(text)
    elif kind == "float":
        values = pc.add(column, pa.scalar(0.0, column.type)).cast(text)  # -0.0 becomes 0.0
    else:
        values = column.cast(text)
    lengths = pc.binary_length(values).cast(text)
    return pc.fill_null(pc.binary_join_element_wise(lengths, values, pa.scalar(":", text)), pa.scalar("n", text))


def _kind(type_: "pa.DataType") -> str:
    """What kind of value a type holds: 1 and 1.0 and "1" are different values, a wider integer is not."""
    import pyarrow as pa

    kinds = {
        "time": pa.types.is_timestamp,
        "float": pa.types.is_floating,
        "integer": pa.types.is_integer,
        "text": lambda kind: pa.types.is_string(kind) or pa.types.is_large_string(kind),
    }
    return next((name for name, holds in kinds.items() if holds(type_)), str(type_))
