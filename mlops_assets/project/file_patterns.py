"""Names of files with the period in them: ``sales_{period}.csv``, ``{period:%Y%m}/part-*.parquet``."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from mlops_assets.errors import DefinitionError
from mlops_assets.lakehouse.periods import Calendar, Period
from mlops_assets.lakehouse.schema import STATIC_PERIOD

_DIGITS = {"%Y": r"\d{4}", "%y": r"\d{2}", "%m": r"\d{2}", "%d": r"\d{2}", "%j": r"\d{3}"}
_PARTS = re.compile(r"(\{[^{}]*\})|([*?])|([{}])|([^*?{}]+)")
PERIODS_TRIED = 40
"""Periods from the first that are seen to have a name of their own; a format that lacks a part repeats sooner."""


@dataclass(frozen=True)
class FilePattern:
    """The path of a period's files below a landing folder; with ``*`` or ``?`` in it there may be several.

    Args:
        text: As written. ``{period}`` is the period's key, ``{period:%Y%m}`` its first day in a format of
            `datetime.strftime`, of digits only; a static table's period is called ``static``.
        calendar: How the table is cut into periods; None for a static table.
    """

    text: str
    calendar: Calendar | None

    @property
    def several(self) -> bool:
        """Whether more than one file can be of one period."""
        return "*" in self.text or "?" in self.text

    def path(self, period: Period | None) -> str:
        """The path of a period's files, with ``*`` and ``?`` as written."""
        return self._put_together(lambda form: period.start.strftime(form) if period else STATIC_PERIOD)

    def glob(self, period: Period | None = None) -> str:
        """What finds the files of a period, or (None) of all, for `pathlib.Path.glob`."""
        if period or self.calendar is None:
            return self.path(period).replace("[", "[[]")
        return self._put_together(
            lambda form: "/".join("*" * len(form.split("/"))), lambda text: text.replace("[", "[[]")
        )

    def period_of(self, path: str) -> str | None:
        """The key of the period that a file is of by its path below the landing folder; None if it is of none."""
        seen: set[str] = set()
        pattern = self._put_together(lambda form: _named_digits(form, seen), re.escape, _WILD.__getitem__)
        match = re.fullmatch(pattern, path)
        if match is None:
            return None
        if self.calendar is None:
            return STATIC_PERIOD
        said = match.groupdict()
        try:
            start = datetime.strptime(" ".join(said.values()), " ".join(f"%{name}" for name in said)).replace(
                tzinfo=UTC
            )
        except ValueError:
            return None
        period = self.calendar.of(start)
        names_it = all(period.start.strftime(f"%{name}") == text for name, text in said.items())
        return period.key if names_it else None

    def require_periods(self, first: Period | None, last: Period | None) -> None:
        """See that the pattern is one, and names each period of a table by a path of its own.

        Raises:
            DefinitionError: It is none, or a path is of two periods or cannot be read back.
        """
        if self.text.startswith("/") or ".." in self.text.split("/"):
            raise DefinitionError(
                f"the pattern '{self.text}'", "a path below the landing folder", "take the folder out of it"
            )
        for group, _, brace, _ in _PARTS.findall(self.text):
            form = group[1:-1].removeprefix("period")
            bare = re.sub("|".join(_DIGITS), "", form)
            if brace or (group and (not group.startswith("{period") or form == ":" or form[:1] not in ("", ":"))):
                raise DefinitionError(f"'{group or brace}' in the pattern '{self.text}'", _EXPECTED, "correct it")
            if "%" in bare or (form and self.calendar is None):
                allowed = (
                    f"{_EXPECTED} (of {', '.join(_DIGITS)})" if self.calendar else "{period} alone: it has no time"
                )
                raise DefinitionError(f"'{group}' in the pattern '{self.text}'", allowed, "correct it")
        if self.calendar is None or first is None:
            return
        tried = [self.calendar.shift(first, number) for number in range(PERIODS_TRIED)]
        for period in [*tried, *([last] if last else [])]:
            path = self.path(period).replace("*", "x").replace("?", "x")
            if self.period_of(path) != period.key:
                raise DefinitionError(
                    f"the pattern '{self.text}', in which '{path}' does not tell the period {period.key}",
                    "a name that no other period has, such as {period} or {period:%Y%m%d}",
                    "put the whole period into it",
                )

    def _put_together(
        self, period: Callable[[str], str], literal: Callable[[str], str] = str, wildcard: Callable[[str], str] = str
    ) -> str:
        parts = []
        for group, wild, _, text in _PARTS.findall(self.text):
            if group:
                form = group[1:-1].removeprefix("period").removeprefix(":")
                parts.append(period(form or (self.calendar.key_format if self.calendar else STATIC_PERIOD)))
            else:
                parts.append(wildcard(wild) if wild else literal(text))
        return "".join(parts)


_EXPECTED = "{period}, or {period:FORMAT} with a format of digits such as %Y%m"
_WILD = {"*": r"(?!(?<![^/])\.)[^/]*", "?": r"(?!(?<![^/])\.)[^/]"}
"""No wildcard stands for a dot that begins a name: such files are hidden, or half written."""


def _named_digits(form: str, seen: set[str]) -> str:
    """What matches a period in a format: each part of a date by its name, and where it is said again, the same."""

    def digits(found: re.Match[str]) -> str:
        name, again = found.group()[1:], found.group() in seen
        seen.add(found.group())
        return f"(?P={name})" if again else f"(?P<{name}>{_DIGITS[found.group()]})"

    return re.sub("%[a-zA-Z]", digits, re.sub(r"[^%\w]", lambda found: re.escape(found.group()), form))
