"""The content hash of a fitted estimator: the same wherever and whenever it was saved.

Model files hold addresses and times, so the hash goes over what the estimator is made of: parameters and arrays.
"""

import hashlib
from collections.abc import Iterator
from typing import Any


def estimator_hash(estimator: Any) -> str:
    """Hash a fitted estimator in a canonical form; 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for part in _parts(estimator, []):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()


def _parts(value: Any, above: list[int]) -> Iterator[bytes]:
    """Everything that a value is made of, in an order that does not depend on where it lies in memory."""
    import numpy as np
    from numpy.lib.recfunctions import repack_fields

    if value is None or isinstance(value, bool | int | str | bytes):
        yield f"{type(value).__name__}:{value!r}".encode()
    elif isinstance(value, float | np.generic):
        yield f"number:{np.asarray(value).dtype.str}".encode() + np.asarray(value).tobytes()
    elif isinstance(value, np.ndarray) and value.dtype != object:
        value = repack_fields(value)  # between the fields of a tree's nodes lie bytes that nobody wrote
        yield f"array:{value.dtype.str}:{value.shape}".encode()
        yield np.ascontiguousarray(value).tobytes()
    elif id(value) in above:
        yield f"above:{len(above) - above.index(id(value))}".encode()
    else:
        yield from _composed(value, [*above, id(value)])


def _composed(value: Any, above: list[int]) -> Iterator[bytes]:
    import numpy as np

    yield f"{type(value).__module__}.{type(value).__qualname__}".encode()
    if isinstance(value, np.ndarray):
        yield str(value.shape).encode()
        children = value.ravel().tolist()
    elif isinstance(value, dict):
        children = [item for key in sorted(value, key=repr) for item in (key, value[key])]
    elif isinstance(value, set | frozenset):
        children = sorted(value, key=repr)
    elif isinstance(value, list | tuple):
        children = list(value)
    elif isinstance(value, type) or hasattr(value, "__code__"):
        children = [f"{value.__module__}.{value.__qualname__}"]
    elif hasattr(value, "__dict__"):
        children = [dict(vars(value))]
    else:
        children = [value.__reduce__()]
    for child in children:
        yield from _parts(child, above)
