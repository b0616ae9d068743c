"""Where files arrive: which of them are a period's delivery, and of which period a file is."""

import re
from collections.abc import Iterator
from pathlib import Path

from mlops_assets.errors import DefinitionError, MissingDataError
from mlops_assets.lakehouse.periods import Period
from mlops_assets.lakehouse.schema import STATIC_PERIOD
from mlops_assets.platform import Platform
from mlops_assets.project.definition import Files, SourceDefinition


def files_of(source: SourceDefinition) -> Files:
    """How a source's files look.

    Raises:
        DefinitionError: It is read from a database.
    """
    if isinstance(source.origin, Files):
        return source.origin
    raise DefinitionError(
        f"source '{source.name}', which is read from a database", "a source of files", "materialize it: nothing lands"
    )


def landing_folder(platform: Platform, source: SourceDefinition) -> Path:
    """Where the files of a source arrive."""
    return files_of(source).landing or platform.home.landing / source.name


def landing_file(platform: Platform, source: SourceDefinition, period: Period | None) -> Path:
    """The file in which the delivery of a period (None: of a static table) arrives; with ``*`` where several do."""
    return landing_folder(platform, source) / files_of(source).pattern.path(period)


def landed_files(platform: Platform, source: SourceDefinition, period: Period | None) -> list[Path]:
    """The files of a period's delivery, all of them, in the order of their names.

    Raises:
        MissingDataError: There is none, or not yet the one that says that it is complete.
    """
    files, folder = files_of(source), landing_folder(platform, source)
    if files.complete:
        _require_file(folder / files.complete.path(period), source, period, "the file that says that all are there")
    key = period.key if period else STATIC_PERIOD
    found = [file for file, of in _named(files, folder, files.pattern.glob(period)) if of == key]
    if not found:
        _require_file(
            landing_file(platform, source, period), source, period, "a delivery in the source's landing folder"
        )
    return found


def landed_periods(platform: Platform, source: SourceDefinition) -> Iterator[tuple[Period | None, list[Path]]]:
    """Every period (None: of a static table) with a complete delivery in the landing folder, and its files."""
    files, folder = files_of(source), landing_folder(platform, source)
    by_period: dict[Period | None, list[Path]] = {}
    for file, key in _named(files, folder, files.pattern.glob()):
        by_period.setdefault(None if source.static else source.schema.calendar.at_key(key), []).append(file)
    for period, found in by_period.items():
        inside = period is None or (
            (source.first is None or period >= source.first) and (source.last is None or period <= source.last)
        )
        if inside and (files.complete is None or (folder / files.complete.path(period)).exists()):
            yield period, found


MAX_TOLD = 20
"""Files that a message names; of more it says how many."""


def passed_over(platform: Platform, source: SourceDefinition) -> list[tuple[str, str]]:
    """The files in a source's landing folder that nothing will ever read, each with why.

    Such a file is of no period by its name, or of one that the source does not have. Marks of completeness, files of
    other sources that arrive in the same folder, and those whose names begin with a dot or an underscore are none.

    Returns:
        Paths below the landing folder in their order, and what is wrong with each.
    """
    files, folder = files_of(source), landing_folder(platform, source)
    patterns = [files.pattern, *([files.complete] if files.complete else [])]
    deepest = max(pattern.glob().count("/") for pattern in patterns)
    example = files.pattern.path(source.first)
    named = example if source.static else f"{files.pattern.text}, such as {example}"
    found = []
    for file in (file for depth in range(deepest + 1) for file in folder.glob("/".join("*" * (depth + 1)))):
        name = file.relative_to(folder).as_posix()
        if re.search(r"(^|/)[._]", name) or not file.is_file():
            continue
        key = files.pattern.period_of(name)
        if key is None or (files.complete and files.complete.period_of(name)):
            if not any(_is_of(platform, other, file) for other in platform.project.sources.values()):
                found.append((name, f"a file is called {named}"))
        elif not source.static:
            period = source.schema.calendar.at_key(key)
            if source.first and period < source.first:
                found.append((name, f"it is before first_period, {source.first.key}"))
            elif source.last and period > source.last:
                found.append((name, f"it is after last_period, {source.last.key}"))
    return sorted(found)


def passed_over_in_words(platform: Platform, source: SourceDefinition) -> str:
    """What `passed_over` finds of a source, in a sentence; empty where there is nothing, or nothing lands."""
    if not isinstance(source.origin, Files):
        return ""
    found = passed_over(platform, source)
    told = [f"{name} ({reason})" for name, reason in found[:MAX_TOLD]]
    more = [f"{len(found) - MAX_TOLD} more"] if len(found) > MAX_TOLD else []
    return f"{source.name} passes over files in its landing folder: {'; '.join([*told, *more])}" if found else ""


def _is_of(platform: Platform, source: SourceDefinition, file: Path) -> bool:
    """Whether a file is one of a source's by its name, or says that all are there."""
    if not isinstance(source.origin, Files):
        return False
    folder = landing_folder(platform, source)
    if not file.is_relative_to(folder):
        return False
    name = file.relative_to(folder).as_posix()
    patterns = (source.origin.pattern, source.origin.complete)
    return any(pattern is not None and pattern.period_of(name) is not None for pattern in patterns)


def _named(files: Files, folder: Path, glob: str) -> Iterator[tuple[Path, str]]:
    """The files whose names are of a period, with its key; the one that says that all are there is not one of them."""
    for file in sorted(folder.glob(glob)):
        name = file.relative_to(folder).as_posix()
        key = files.pattern.period_of(name)
        if key is not None and not (files.complete and files.complete.period_of(name)) and file.is_file():
            yield file, key


def _require_file(file: Path, source: SourceDefinition, period: Period | None, expected: str) -> None:
    if not file.exists():
        raise MissingDataError(
            f"no file {file} for period {period.key if period else STATIC_PERIOD} of source '{source.name}'",
            expected,
            "deliver the file, or choose a period that was delivered",
        )
