"""The catalog as text for the terminal."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta

from mlops_assets.features.catalog.entries import Catalog, TableEntry, lines_to_paste
from mlops_assets.features.catalog.search import BEGIN, END, Found, Hit
from mlops_assets.features.catalog.shown import masked_columns
from mlops_assets.features.catalog.statistics import TableFreshness, TableStatistics
from mlops_assets.governance.access import Principal
from mlops_assets.lakehouse.masking import MASK
from mlops_assets.lakehouse.schema import TableSchema

MAX_SHOWN, MAX_LETTERS = 3, 20
"""How many sample values of a column are shown, and how much of each."""


def found_as_text(found: Found, catalog: Catalog, marked: Callable[[str], str] = str) -> str:
    """A page of a search: a line for each hit, the number of all, and what they have in common.

    Args:
        found: What was found.
        catalog: Where it was found.
        marked: What is done to each matched word.
    """
    rows = [(_name(hit), _what(catalog, hit), _snippet(hit, marked)) for hit in found.hits]
    shown = f", the best {len(found.hits)} shown" if len(found.hits) < found.total else ""
    counts = [
        f"  {facet}: {', '.join(f'{value} {count}' for value, count in values.items())}"
        for facet, values in found.facets.items()
        if values
    ]
    return "\n".join([*_aligned(rows), f"{found.total} found{shown}", *counts])


def table_as_text(
    entry: TableEntry,
    statistics: TableStatistics,
    repeats: Mapping[str, Sequence[str]],
    schema: TableSchema,
    principal: Principal,
) -> str:
    """A table with its columns, as somebody may see it."""
    period = f" in {statistics.period}" if statistics.period else ""
    time = f", by {entry.timestamp}" if entry.timestamp else ""
    facts = [
        ("owners", ", ".join(entry.owners)),
        ("tags", ", ".join(f"{name}: {value}" for name, value in entry.tags.items())),
        ("keys", f"{', '.join(entry.keys)}{time}"),
        ("computed from", ", ".join(entry.inputs)),
        ("read by", ", ".join(entry.readers)),
        ("used by", ", ".join(entry.used_by)),
        ("online", "yes" if entry.online else ""),
        ("freshness", freshness_as_text(statistics.freshness)),
        ("rows", f"{statistics.rows}{period}"),
    ]
    hidden = masked_columns(schema, principal)
    columns = [
        (
            f"  {column.name}",
            column.type,
            column.kind,
            column.sensitivity,
            _share(statistics.columns[column.name].null_share),
            MASK if column.name in hidden and statistics.sample else _values(statistics, column.name),
            column.description,
        )
        for column in entry.columns
    ]
    lines = [f"{entry.name}, a {entry.kind}", entry.description, ""]
    lines += _aligned([(f"{what}:", said) for what, said in facts if said])
    lines += ["", *_aligned([("  column", "type", "kind", "sensitivity", "null", "such as", "description"), *columns])]
    lines += [
        f"{column.name} is {column.sensitivity}, for: {column.sensitivity_reason}"
        for column in entry.columns
        if column.sensitivity_reason
    ]
    lines += [f"warning: {column} is the same as {', '.join(others)}" for column, others in repeats.items()]
    if entry.features:
        lines += ["", "To paste below features: in a model's YAML:", lines_to_paste(entry).rstrip("\n")]
    return "\n".join(lines)


def freshness_as_text(freshness: TableFreshness) -> str:
    """How fresh a table is, in words."""
    if freshness.state == "never":
        return "never, nothing is known of it yet"
    words: list[str] = [freshness.state]
    if freshness.newest_period and freshness.age is not None:
        words.append(f"the newest period {freshness.newest_period} ended {_ago(freshness.age)}")
    if freshness.due_at:
        words.append(f"the next is due {freshness.due_at:%Y-%m-%d %H:%M} UTC")
    return ", ".join(words)


def _ago(length: timedelta) -> str:
    hours = length // timedelta(hours=1)
    number, unit = (hours // 24, "day") if hours >= 48 else (hours, "hour")
    return f"{number} {unit}{'' if number == 1 else 's'} ago"


def _name(hit: Hit) -> str:
    return hit.table if hit.column is None else f"{hit.table}.{hit.column}"


def _what(catalog: Catalog, hit: Hit) -> str:
    table = catalog.entry(hit.table)
    return table.kind if hit.column is None else table.column(hit.column).type


def _snippet(hit: Hit, marked: Callable[[str], str]) -> str:
    first, *parts = hit.snippet.split(BEGIN)
    return first + "".join(marked(word) + after for word, _, after in (part.partition(END) for part in parts))


def _share(share: float | None) -> str:
    """A share in percent; never 0 where there is any."""
    if share is None:
        return "-"
    return f"{max(share * 100, 0.1):.1f} %" if share and share < 0.1 else f"{share:.0%}".replace("%", " %")


def _values(statistics: TableStatistics, column: str) -> str:
    values = [_value(row[column]) for row in statistics.sample if row[column] is not None]
    return ", ".join(list(dict.fromkeys(values))[:MAX_SHOWN])


def _value(value: object) -> str:
    text = f"{value:.6g}" if isinstance(value, float) and math.isfinite(value) else str(value)
    text = " ".join(text.split())
    return text if len(text) <= MAX_LETTERS else f"{text[: MAX_LETTERS - 1]}…"


def _aligned(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
