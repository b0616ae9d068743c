"""Numbers, times and lengths of time as people read them."""

import math
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from mlops_assets.features.catalog.search import BEGIN, END, beginnings

_MATCHED = re.compile(f"{BEGIN}([^{BEGIN}{END}]*){END}")
_WORD = re.compile(r"[^\W_]+")
_MIN_PLAIN, _MAX_PLAIN = 1e-4, 1e15
_UNITS = ((timedelta(days=1), "day"), (timedelta(hours=1), "hour"), (timedelta(minutes=1), "minute"))


def number(value: float) -> str:
    """A number to four significant digits, whole ones in full, with commas between thousands."""
    if isinstance(value, int) or (math.isfinite(value) and value == int(value) and abs(value) < _MAX_PLAIN):
        return f"{int(value):,}"
    if not math.isfinite(value):
        return str(value)
    size = abs(value)
    if size < _MIN_PLAIN or size >= _MAX_PLAIN:
        return f"{value:.3e}"
    decimals = max(3 - math.floor(math.log10(size)), 0)
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def share(value: float) -> str:
    """A share as a percentage; what is neither nothing nor all never looks as if it were."""
    if 0 < value < 0.001:
        return "< 0.1 %"
    if 0.999 < value < 1:
        return "> 99.9 %"
    return f"{100 * value:.1f}".removesuffix(".0") + " %"


def moment(value: datetime) -> str:
    """A time in UTC, to the minute."""
    return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def length(value: timedelta) -> str:
    """A length of time in its largest unit, such as "3 days"."""
    for unit, name in _UNITS:
        if value >= unit:
            return counted(int(value / unit), name)
    return "less than a minute"


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """So many of something, such as "1 table" or "12 columns"."""
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


def value(item: object) -> str:
    """A value of a row as a short text."""
    if item is None:
        return "null"
    if isinstance(item, bool):
        return str(item).lower()
    if isinstance(item, int | float):
        return number(item)
    if isinstance(item, datetime):
        return moment(item)
    if isinstance(item, Decimal):
        return f"{item:,f}"
    return item.isoformat() if isinstance(item, date) else str(item)


def marked_parts(snippet: str) -> Iterator[tuple[str, bool]]:
    """The parts of a snippet of the search, and whether each was matched."""
    end = 0
    for match in _MATCHED.finditer(snippet):
        yield _without_marks(snippet[end : match.start()]), False
        yield match[1], True
        end = match.end()
    yield _without_marks(snippet[end:]), False


def marked_name(name: str, text: str) -> str:
    """A name with the beginnings that a text asked for between marks, as in a snippet of the search."""
    words = {*_WORD.findall(text), *beginnings(text)}
    asked = sorted((word for word in words if len(word) > 1), key=len, reverse=True)
    if not asked:
        return name
    pattern = "|".join(map(re.escape, asked))
    return re.sub(rf"(?<![^\W_])(?:{pattern})", lambda found: f"{BEGIN}{found[0]}{END}", name, flags=re.IGNORECASE)


def _without_marks(text: str) -> str:
    return text.replace(BEGIN, "").replace(END, "")
