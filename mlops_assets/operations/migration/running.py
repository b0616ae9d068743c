"""Migrating a home: nobody else at work, a backup, the steps, and last of all the number of the home."""

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from mlops_assets.errors import UnusableEnvironmentError
from mlops_assets.lakehouse import formats
from mlops_assets.lakehouse.home import Home
from mlops_assets.lakehouse.write_points import write_point
from mlops_assets.operations.migration.backup import STATE_FILE, back_up
from mlops_assets.operations.migration.steps import STEPS, MigrationStep
from mlops_assets.storage.files import write_atomically

SHOWN = 3


@dataclass(frozen=True)
class PlannedStep:
    """What a step would do.

    Args:
        step: The step.
        changes: What it would change.
    """

    step: MigrationStep
    changes: tuple[str, ...]

    def __str__(self) -> str:
        more = f" and {len(self.changes) - SHOWN} more" if len(self.changes) > SHOWN else ""
        what = f" ({', '.join(self.changes[:SHOWN])}{more})" if self.changes else ""
        return f"{self.step.words}: {len(self.changes)}{what}"


def needs_migration(home: Home) -> int | None:
    """The format that a home is in, if it is an older one than this release's; None where there is nothing to do.

    Raises:
        UnusableEnvironmentError: It is newer.
    """
    found = formats.home_format(home.folder)
    if found is None or found.number >= formats.HOME:
        formats.require_home(home.folder)
        return None
    return found.number


def plan(home: Home) -> list[PlannedStep]:
    """What a migration would do, step by step; writes nothing."""
    number = needs_migration(home)
    if number is None:
        return []
    return [PlannedStep(step, tuple(one.what for one in step.changes(home))) for step in STEPS if step.to > number]


def migrate(home: Home, backup: Path | None = None, report: Callable[[str], None] = lambda words: None) -> None:
    """Bring a home to this release's format; goes on where an earlier call was killed, and again without effect.

    Args:
        home: The home.
        backup: The folder that the backup becomes; by default beside the home.
        report: Told of the backup and of each step.

    Raises:
        UnusableEnvironmentError: The home is newer, somebody is at work in it, or there is no room for its backup.
    """
    number = needs_migration(home)
    if number is None:
        return
    with _alone(home):
        _require_nobody_else(home)
        target = _backup_of(home, number, backup)
        if target.exists():
            report(f"backup: {target}, made before")
        else:
            try:
                made = back_up(home, target)
            except UnusableEnvironmentError:
                (home.folder / STATE_FILE).unlink()  # the next call may name another folder
                raise
            report(f"backup: {target} ({made.copied / 1e6:.1f} MB copied, {made.shared} files shared with the home)")
        for step in (step for step in STEPS if step.to > number):
            done = 0
            for change in step.changes(home):
                change.make()
                done += 1
            report(f"{step.words}: {done} done")
        write_atomically(home.folder / formats.HOME_FILE, formats.present().as_json())
        write_point("format of the home")
        (home.folder / STATE_FILE).unlink()


def _backup_of(home: Home, number: int, asked: Path | None) -> Path:
    """The folder of this migration's backup, which is there once it is whole; chosen before it is made."""
    state = home.folder / STATE_FILE
    with suppress(FileNotFoundError):
        begun = json.loads(state.read_bytes())
        if begun[formats.MEMBER] == number:  # or else of one that was killed when all was done
            return Path(begun["backup"])
    target = (asked or home.folder.with_name(f"{home.folder.name}.backup-format-{number}")).absolute()
    if target.exists():
        raise UnusableEnvironmentError(
            f"{target}, which is there", "a folder for the backup that is not there", "name another with --backup"
        )
    if target.is_relative_to(home.folder):
        raise UnusableEnvironmentError(f"a backup in the home itself ({target})", "a folder outside", "name another")
    write_atomically(state, json.dumps(formats.numbered({"backup": str(target)}, number)).encode())
    write_point("migration begun")
    return target


@contextmanager
def _alone(home: Home) -> Iterator[None]:
    """Hold the home's folder, so that of two migrations one is refused; a killed one holds nothing."""
    folder = os.open(home.folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UnusableEnvironmentError(
                f"another migration of {home.folder}, which is at work", "one at a time", "wait until it has ended"
            ) from None
        yield
    finally:
        os.close(folder)


def _require_nobody_else(home: Home) -> None:
    """See that no other process has a file of the home open, where the system tells that (Linux does)."""
    inside = f"{home.folder.resolve()}/"
    for process in Path("/proc").glob("[0-9]*"):
        if process.name == str(os.getpid()):
            continue
        with suppress(OSError):  # it has ended, or is another user's
            opened = next((file for file in (process / "fd").iterdir() if os.readlink(file).startswith(inside)), None)
            if opened:
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                raise UnusableEnvironmentError(
                    f"process {process.name} ({command[:80]}) at work in {home.folder}",
                    "a home that no server, replay or user interface uses",
                    "end it, and migrate then",
                )
