"""The content hash of rows: the same for the same rows, in whatever order, file or engine they came.

Each row is written in one canonical form and hashed with SHA-256; the row hashes are added up modulo 2**256. A sum
does not depend on the order, counts duplicates, and can be made piece by piece where the rows are. (The idea of
hashing a multiset by adding up hashes: Bellare and Micciancio, "A new paradigm for collision-free hashing", 1997.)
"""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

_MODULUS = 1 << 256


def content_hash(rows: "pa.Table", columns: Sequence[str]) -> str:
    """Hash the rows of a table over some of its columns.

    Args:
        rows: Any number of rows; nulls are values of their own, ``-0.0`` equals ``0.0``, all NaN are one value.
        columns: Which columns count, and in which order.

    Returns:
        64 hexadecimal digits.
    """
    total = 0
    texts = [_canonical(rows.column(name)) for name in columns]
    for row in zip(*texts, strict=True):
        digest = hashlib.sha256("".join(row).encode("utf-8", "surrogatepass")).digest()
        total = (total + int.from_bytes(digest)) % _MODULUS
    header = "\x1f".join(columns)
    return hashlib.sha256(f"{header}\x1e{rows.num_rows}\x1e{total:x}".encode()).hexdigest()


def text_hash(*parts: str) -> str:
    """Hash texts in their order; ``("ab", "c")`` and ``("a", "bc")`` differ."""
    joined = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(joined.encode()).hexdigest()


def _canonical(column: "pa.ChunkedArray") -> Iterable[str]:
    """Each value with its length before it, so that no two rows of different values read the same."""
    for value in column.to_pylist():
        text = _text(value)
        yield f"{len(text)}:{text}"


def _text(value: object) -> str:
    if value is None:
        return "n"
    if isinstance(value, bool):
        return f"b{int(value)}"
    if isinstance(value, int):
        return f"i{value}"
    if isinstance(value, float):
        return "fnan" if value != value else f"f{value + 0.0!r}"
    if isinstance(value, datetime):
        return f"t{value.isoformat(timespec='microseconds')}"
    if isinstance(value, date):
        return f"d{value.isoformat()}"
    return f"s{value}"
