"""What is different between two definitions, part by part, for people."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import unified_diff

SQL_PARTS = ("sql", "population", "label")


@dataclass(frozen=True)
class Difference:
    """One part of a definition that is another than it was.

    Args:
        part: Which, such as ``sql`` or ``column units``.
        lines: The text before and after: lines that begin with ``-``, ``+`` or a space.
    """

    part: str
    lines: tuple[str, ...]

    def as_lines(self) -> list[str]:
        """For people: its name, and the lines below it."""
        return [f"{self.part}:", *(f"  {line}" for line in self.lines)]


def differences(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[Difference]:
    """The parts that differ between two definitions, in the order of their names; SQL is laid out by clause."""
    for part in sorted({*before, *now}):
        old, new = before.get(part), now.get(part)
        if old == new:
            continue
        lines = list(unified_diff(_lines(part, old), _lines(part, new), n=1, lineterm=""))
        yield Difference(part, tuple(line for line in lines[2:] if not line.startswith("@@")))


def _lines(part: str, text: str | None) -> list[str]:
    if text is None:
        return []
    if part not in SQL_PARTS:
        return text.splitlines()
    import sqlglot
    from sqlglot import exp

    tree = sqlglot.parse_one(text, dialect="duckdb")
    for name in tree.find_all(exp.Identifier):
        name.set("quoted", not name.name.isidentifier())
    return tree.sql(dialect="duckdb", pretty=True).splitlines()
