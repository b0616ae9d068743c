"""Markdown made from data: a text of a user, or of a row, stands in it as that text and does nothing else."""

import re
from collections.abc import Iterable, Sequence


def as_text(text: str) -> str:
    """A text that shows as itself, on one line: no table's cell ends in it, and nothing of it is markup or a link.

    Characters that could be markup are written as references, which no reader takes for structure. What readers make
    links of by themselves is parted by a space without width.

    Example:
        >>> as_text("a|b <img> [x](y)")
        'a&#124;b &#60;img&#62; &#91;x&#93;(y)'
    """
    shown = _CONTROL.sub("\ufffd", " ".join(text.split()))
    parted = _LINKS.sub(lambda found: f"{found[0]}\u200b", shown)
    return _MARKUP.sub(lambda found: f"&#{ord(found[0])};", parted)


def as_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of texts, each shown as itself.

    Example:
        >>> print(as_table(["shop", "units"], [["s|1", "3"]]))
        | shop | units |
        |---|---|
        | s&#124;1 | 3 |
    """
    lines = [f"| {' | '.join(map(as_text, cells))} |" for cells in (header, *rows)]
    return "\n".join([lines[0], f"|{'---|' * len(header)}", *lines[1:]])


def as_code(text: str, language: str) -> str:
    """A block of code, which ends where the text ends, whatever it holds."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_LINKS = re.compile(r"https?:|ftp:|www|@|mailto:|xmpp:", re.IGNORECASE)
_MARKUP = re.compile(
    r"[|`\[\]<>*~&\\!$#{}^]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|^[-+=:](?=[-+=:\s]|$)|^\d(?=\d{0,8}[.)](?:\s|$))"
)
