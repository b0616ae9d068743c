"""Writing a file whole or not at all."""

import os
import threading
from pathlib import Path


def write_atomically(file: Path, content: bytes) -> None:
    """Write a whole file or leave the old one: to a neighbour first, then renamed over it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    neighbour = file.with_name(f".{file.name}.{os.getpid()}-{threading.get_ident()}.partial")
    try:
        with open(neighbour, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(neighbour, file)
    finally:
        neighbour.unlink(missing_ok=True)


def write_new(file: Path, content: bytes) -> None:
    """Write a whole file that nobody else may have written.

    Raises:
        FileExistsError: Somebody has; theirs stays as it is.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    neighbour = file.with_name(f".{file.name}.{os.getpid()}-{threading.get_ident()}.new")
    try:
        write_atomically(neighbour, content)
        os.link(neighbour, file)
    finally:
        neighbour.unlink(missing_ok=True)
