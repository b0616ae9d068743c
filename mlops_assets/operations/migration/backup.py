"""The backup of a home: a copy beside it, which shares with it the files that are never changed."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from mlops_assets.errors import UnusableEnvironmentError
from mlops_assets.lakehouse.home import Home
from mlops_assets.lakehouse.write_points import write_point

STATE_FILE = ".migration.json"
"""Says which backup belongs to a migration that is at work, or was killed; no part of the home."""


@dataclass(frozen=True)
class Backup:
    """What a backup took.

    Args:
        folder: Where it lies.
        shared: Files that it shares with the home.
        copied: Bytes of the others.
    """

    folder: Path
    shared: int
    copied: int


def back_up(home: Home, target: Path) -> Backup:
    """Copy a home, whole or not at all; what killed copying left behind is made anew.

    Files of the lakehouse that are only ever written whole are linked, where the file system can: a file that takes the
    place of one leaves the other as it was.

    Raises:
        UnusableEnvironmentError: There is too little room for it.
    """
    partial = target.with_name(f"{target.name}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(partial, ignore_errors=True)
        links = _can_link(home.folder, target.parent)
        _require_room(home, target, links=links)
        made = _copy(home, partial, links=links)
        os.replace(partial, target)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise UnusableEnvironmentError(
            f"a backup that cannot be written to {target} ({error.strerror})",
            "a folder that this user can write, on a disk with room",
            "name another with --backup; the home is as it was",
        ) from error
    write_point("backup")
    return Backup(target, *made)


def _copy(home: Home, target: Path, *, links: bool) -> tuple[int, int]:
    """Copy the home; says how many files are shared, and how many bytes were copied."""
    shared = copied = 0
    for folder, folders, files in os.walk(home.folder):
        here = target / Path(folder).relative_to(home.folder)
        here.mkdir()
        at_the_top = Path(folder) == home.folder
        if at_the_top:
            folders[:] = [name for name in folders if name != home.scratch.name]
        for name in [*files, *(name for name in folders if (Path(folder) / name).is_symlink())]:
            file = Path(folder) / name
            if at_the_top and name == STATE_FILE:
                continue
            if file.is_symlink():
                os.symlink(os.readlink(file), here / name)
            elif links and _is_never_changed(home, file):
                os.link(file, here / name)
                shared += 1
            else:
                shutil.copy2(file, here / name)
                copied += file.stat().st_size
        shutil.copystat(folder, here)
        if Path(folder).parent == home.folder:
            write_point("backup of a folder")
    return shared, copied


def _is_never_changed(home: Home, file: Path) -> bool:
    """Whether a file is only ever written whole: in the lakehouse all but what SQLite keeps."""
    return file.is_relative_to(home.folder / "lakehouse") and not file.is_relative_to(home.pushed)


def _can_link(folder: Path, beside: Path) -> bool:
    """Whether files of a folder can have a second name in another: on one file system, where it allows it."""
    probe, second = folder / f".probe.{os.getpid()}", beside / f".probe.{os.getpid()}.link"
    try:
        probe.write_bytes(b"")
        os.link(probe, second)
    except OSError:
        return False
    finally:
        probe.unlink(missing_ok=True)
        second.unlink(missing_ok=True)
    return True


def _require_room(home: Home, target: Path, *, links: bool) -> None:
    files = (Path(folder) / name for folder, _, names in os.walk(home.folder) for name in names)
    needed = sum(file.lstat().st_size for file in files if not (links and _is_never_changed(home, file)))
    free = shutil.disk_usage(target.parent).free
    if free < needed:
        raise UnusableEnvironmentError(
            f"{free // 1_000_000} MB free on the disk of {target.parent}",
            f"{needed // 1_000_000 + 1} MB for a backup of the home",
            "make room, or name a folder on another disk with --backup",
        )
