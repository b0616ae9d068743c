"""Counted places after each durable write, so that a test can end the process at any one of them.

A partition may be killed anywhere and run again (docs/concepts.md#what-always-holds). That is only worth saying if it
is tried at every write, so every module that makes something durable calls `write_point` once it is.
"""

import os
import signal

KILL_AT_VARIABLE = "MLOPS_KILL_AT_WRITE"
LOG_VARIABLE = "MLOPS_WRITE_POINT_LOG"
STOP_VARIABLE = "MLOPS_STOP_AT_WRITES"

_count = 0


def write_point(name: str) -> None:
    """Count one durable write; end the process here, or let it wait to be continued, if a test asked for it.

    Args:
        name: What was just made durable, for the log that a test reads to learn how many points there are.
    """
    global _count
    _count += 1
    log = os.environ.get(LOG_VARIABLE)
    if log:
        with open(log, "a", encoding="utf-8") as file:
            file.write(f"{_count} {name}\n")
    kill_at = os.environ.get(KILL_AT_VARIABLE)
    if kill_at and _count == int(kill_at):
        os.kill(os.getpid(), signal.SIGKILL)
    if os.environ.get(STOP_VARIABLE):
        os.kill(os.getpid(), signal.SIGSTOP)
