"""The process in which the SQL of users runs: a locked DuckDB, asked over its input, answering over its output.

DuckDB cannot be interrupted within one value, and counts little of what lists and texts take. A process can be ended
at any time, and the system counts all of its memory.
"""

import os
import resource
import signal
import sys
import threading
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

from mlops_assets.engines.duckdb.framing import receive, send

_OF_DUCKDB = 0.75
"""The share of the memory of which DuckDB knows; the rest is for what it does not count."""
_SECONDS_BETWEEN_LOOKS = 0.5


def main(parent: int) -> None:
    """Answer until the input ends."""
    sys.modules["numpy"] = None  # type: ignore[assignment]  # Arrow imports it where there is one: a third of the start
    import duckdb
    import pyarrow as pa

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal, it is for the one that asks
    threading.Thread(target=_end_without, args=(parent,), daemon=True).start()
    given, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints is no answer
    connection: Any = None
    while (asked := receive(given)) is not None:
        head, rows = asked
        try:
            match head["ask"]:
                case "begin":
                    _set_memory(head["megabytes"])
                    connection = _database(head["folder"], head["megabytes"], head["spill_megabytes"]).cursor()
                    answer = None
                case "give":
                    connection.register("rows handed over", rows)  # with a space, for a user's may be called as ours
                    connection.execute(f'CREATE TEMP TABLE {head["name"]} AS SELECT * FROM "rows handed over"')
                    connection.unregister("rows handed over")
                    answer = None
                case "answer":
                    answer = connection.execute(head["sql"]).to_arrow_table()
                case "end":
                    connection.close()
                    answer = connection = None
                    pa.default_memory_pool().release_unused()
            del rows, asked
            send(answers, {}, answer)
        except (duckdb.Error, MemoryError, pa.ArrowException) as error:
            kind = type(error).__name__ if isinstance(error, duckdb.Error) else "OutOfMemoryException"
            send(answers, {"error": kind, "words": str(error)})


@lru_cache(maxsize=4)
def _database(folder: str, megabytes: int, spill_megabytes: int) -> Any:
    """A database in memory, without files, network and settings, and with one thread, so that sums of floats repeat."""
    import duckdb

    own = Path(folder) / f"sandbox-{os.getpid()}"
    database = duckdb.connect(
        ":memory:",
        config={
            "threads": 1,
            "temp_directory": str(own),
            "memory_limit": f"{int(megabytes * _OF_DUCKDB)}MB",
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "python_enable_replacements": False,
        },
    )
    database.execute(f"SET max_temp_directory_size = '{spill_megabytes}MB'")  # given with the others, it has no effect
    database.execute("SET GLOBAL TimeZone = 'UTC'")
    database.execute("SET enable_external_access = false")
    database.execute("SET lock_configuration = true")
    return database


def _set_memory(megabytes: int) -> None:
    """Let the system refuse more than so much memory beside what this process has now; on Linux it does."""
    try:
        told = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        has = int(told.partition("VmData:")[2].split()[0]) * 1024
        _, most = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (has + megabytes * 1_000_000, most))
    except (OSError, ValueError, IndexError):
        return


def _end_without(parent: int) -> None:
    """End with the process that asks, which may have been killed; also in the middle of a query."""
    while os.getppid() == parent:
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    os._exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]))
