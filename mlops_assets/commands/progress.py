"""Showing how far a command is: by a bar on a terminal, and by lines everywhere else."""

import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

import click

from mlops_assets.progress import Progress, Step

MAX_SILENCE = 5.0
"""Seconds after which a minor step is told in a line, too."""

A_WHILE = 1.0
"""Seconds after which there is a bar for minor steps, too."""

BAR_WIDTH = 20
BESIDE_THE_BAR = BAR_WIDTH + 30
"""What brackets, position and time left take at most, beside the label."""


@contextmanager
def shown_progress() -> Iterator[Progress]:
    """Show what is told of steps on the standard error output, until the block ends.

    Whoever sends either output to a file or another program wants text to keep or to read: there a bar is none.
    """
    shown = ProgressBar(sys.stderr) if sys.stdout.isatty() and sys.stderr.isatty() else Lines(sys.stderr)
    try:
        yield shown
    finally:
        shown.close()


class Lines:
    """A line for each step; a minor one has it where nothing else was told for a while.

    Args:
        stream: Where they are written.
        clock: Seconds that go by.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._told_at = clock()
        self._told: Step | None = None
        self._waiting: Step | None = None
        self._lock = threading.Lock()
        self._ended = threading.Event()
        # A minor step may be the beginning of something long, and nothing comes after it for minutes.
        self._watch = threading.Thread(target=self._tell_what_waits, daemon=True)
        self._watch.start()

    def __call__(self, step: Step) -> None:
        """Tell of a step, or keep it until there has been silence for long."""
        with self._lock:
            self._waiting = step if step != self._told else None
            if not step.minor or (step.done == step.total and self._told and step.of == self._told.of):
                self._tell()
        self.tell_after_silence()

    def close(self) -> None:
        """Tell nothing any more."""
        self._ended.set()
        self._watch.join()

    def tell_after_silence(self) -> None:
        """Tell of the newest step where nothing was told for long."""
        with self._lock:
            if self._waiting and self._clock() - self._told_at >= MAX_SILENCE:
                self._tell()

    def _tell(self) -> None:
        if self._waiting:
            with suppress(OSError):  # nobody reads any more, and the work goes on
                print(in_a_line(self._waiting), file=self._stream, flush=True)
            self._told_at, self._told, self._waiting = self._clock(), self._waiting, None

    def _tell_what_waits(self) -> None:
        while not self._ended.wait(MAX_SILENCE / 5):
            self.tell_after_silence()


class ProgressBar:
    """A bar with position, time left and the newest step, for what takes a while; failures stay above it.

    Args:
        stream: A terminal.
        clock: Seconds that go by.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._began_at = clock()
        self._of = ""
        self._open = False

    def __call__(self, step: Step) -> None:
        """Move the bar, or begin the next one."""
        with suppress(OSError):
            if step.failed:
                print(f"\r\033[K{in_a_line(step)}", file=self._stream, flush=True)
            if not self._open or step.of != self._of:
                self.close()
                if step.minor and self._clock() - self._began_at < A_WHILE:
                    return
                self._begin(step)
            self._bar.current_item = None if step.failed else step
            self._bar.length = step.total
            self._bar.update(step.done - self._bar.pos)
            self._bar.render_progress()
            if step.done >= step.total:
                self.close()

    def close(self) -> None:
        """End the bar's line."""
        if self._open:
            self._bar.render_finish()
            self._open = False

    def _begin(self, step: Step) -> None:
        self._bar = click.progressbar(
            length=step.total,
            label=step.of,
            show_pos=True,
            item_show_func=self._item,
            width=BAR_WIDTH,
            file=self._stream,
        )
        self._of, self._open = step.of, True

    def _item(self, step: Step | None) -> str:
        room = max(shutil.get_terminal_size().columns - len(self._of) - BESIDE_THE_BAR, 10)
        text = f"{step.part} {step.words}".strip() if step else ""
        return text if len(text) <= room else f"{text[: room - 1]}…"


def in_a_line(step: Step) -> str:
    """A step as one line of text.

    Example:
        >>> in_a_line(Step("replay", 3, 7, "2024-01-26", "orders_forecast: scored"))
        'replay 3/7 2024-01-26 orders_forecast: scored'
    """
    failed = "failed:" if step.failed else ""
    return " ".join(filter(None, [f"{step.of} {step.done}/{step.total}", step.part, failed, step.words]))
