"""Writing a file of this machine whole or not at all.

For what the home keeps beside its tables, and for files that people ask for; the lakehouse writes through
`mlops_assets.storage.path.StoragePath`.
"""

import errno
import os
import threading
from pathlib import Path

from mlops_assets.errors import cannot_open


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


def require_looking_into(*folders: Path) -> None:
    """See that this user may look into each of some folders, as far as they are there.

    Raises:
        UnusableEnvironmentError: They may not.
    """
    for folder in folders:
        if folder.is_dir() and not os.access(folder, os.R_OK | os.X_OK):
            raise cannot_open(folder, os.strerror(errno.EACCES))
