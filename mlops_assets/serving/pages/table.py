"""The page of a table: all that helps to decide whether to use it, and how."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote

from mlops_assets.errors import DefinitionError
from mlops_assets.features.catalog.duplicates import Repeat
from mlops_assets.features.catalog.entries import ColumnEntry, TableEntry, lines_to_paste
from mlops_assets.features.catalog.shown import masked, masked_columns
from mlops_assets.features.catalog.statistics import ColumnStatistics, TableStatistics
from mlops_assets.features.lineage import LineageGraph
from mlops_assets.features.lineage_drawing import as_svg
from mlops_assets.governance.access import ANONYMOUS
from mlops_assets.models.shown_generations import ShownGeneration
from mlops_assets.project.definition import TableDefinition
from mlops_assets.serving.checks import CheckState
from mlops_assets.serving.pages import words
from mlops_assets.serving.pages.distribution import MOST_FREQUENT, Distribution, distribution
from mlops_assets.serving.pages.rendering import Frame, render
from mlops_assets.serving.pages.search import address_of, model_address

if TYPE_CHECKING:
    from markupsafe import Markup

MAX_SAMPLES = 3
"""So many different values of a column are shown."""

SHORT = 60
"""An expression of so many letters is read at a glance."""

WIDE = 960
"""Drawings wider than this, in pixels, are not made smaller than it: a narrow screen scrolls them."""

MAX_ARROWS = 400
"""A drawing of more arrows than this is left to the command that writes it to a file."""


_COLUMN = re.compile(r"[\w.\"]+")


@dataclass(frozen=True)
class TableContent:
    """All that the page of a table is made of.

    Args:
        definition: The table as declared.
        entry: What the catalog says of it.
        statistics: What its newest period looks like.
        checks: Its checks as they stand.
        generations: Its generations, the oldest first; none of a source.
        repeats: Its columns that compute what another column does already.
        lineage: The part of the lineage around it.
    """

    definition: TableDefinition
    entry: TableEntry
    statistics: TableStatistics
    checks: tuple[CheckState, ...]
    generations: tuple[ShownGeneration, ...]
    repeats: tuple[Repeat, ...]
    lineage: LineageGraph


@dataclass(frozen=True)
class _ShownColumn:
    entry: ColumnEntry
    masked: bool
    computed: Literal["long", "short"] | None
    owners: tuple[str, ...]
    null_share: float | None
    distribution: Distribution | None
    samples: tuple[str, ...]


@dataclass(frozen=True)
class _ShownCheck:
    name: str
    state: str
    found: str | None
    blocks: bool
    when: datetime | None
    partition: str | None


def table_page(content: TableContent, frame: Frame) -> str:
    """The page of a table, as one text; values of personal columns are masked unless its reader may see them."""
    entry = content.entry
    hidden = masked_columns(content.definition.schema, frame.principal or ANONYMOUS)
    statistics = masked(content.statistics, hidden)
    return render(
        "table",
        frame,
        entry=entry,
        statistics=statistics,
        columns=[_shown(entry, column, statistics, hidden) for column in entry.columns],
        masked=hidden,
        lines=_lines(entry),
        inputs=_links(entry.inputs),
        readers=_links(entry.readers),
        models=[
            (model, [column.name for column in entry.columns if model in column.used_by]) for model in entry.used_by
        ],
        picture=picture_of(content.lineage, entry.name),
        checks=[_shown_check(check, bool(hidden)) for check in content.checks],
        generations=tuple(reversed(content.generations)),
        repeats=content.repeats,
        address_of=address_of,
        model_address=model_address,
        dagster=f"{frame.dagster.rstrip('/')}/assets/{quote(entry.name, safe='')}",
    )


def _shown(
    table: TableEntry, column: ColumnEntry, statistics: TableStatistics, hidden: Collection[str]
) -> _ShownColumn:
    found = statistics.columns[column.name]
    seen = column.name not in hidden
    return _ShownColumn(
        column,
        masked=not seen,
        computed=_computed(column),
        owners=column.owners if column.owners != table.owners else (),
        null_share=found.null_share,
        distribution=distribution(found, statistics.rows) if seen else None,
        samples=_samples(found, statistics.sample) if seen else (),
    )


def _computed(column: ColumnEntry) -> Literal["long", "short"] | None:
    """How much there is to say of a column's expression; nothing of one that only hands a column on."""
    if column.expression is None or _COLUMN.fullmatch(column.expression):
        return None
    return "long" if len(column.expression) > SHORT or "\n" in column.expression else "short"


def _shown_check(check: CheckState, masked: bool) -> _ShownCheck:
    """A check; what a failed one found may quote values, and is kept back where some of them are masked."""
    if check.passed is None:
        state = "never"
    elif check.passed:
        state = "passed"
    else:
        state = "failed" if check.severity == "block" else "warned"
    found = None if masked and check.passed is False else check.description
    return _ShownCheck(check.name, state, found, check.severity == "block", check.when, check.partition)


def _samples(column: ColumnStatistics, sample: Iterable[Mapping[str, object]]) -> tuple[str, ...]:
    """Some different values; none where the most frequent ones are all that there are."""
    if column.frequent and column.distinct <= MOST_FREQUENT:
        return ()
    values = (words.value(row[column.name]) for row in sample if row[column.name] is not None)
    return tuple(dict.fromkeys(values))[:MAX_SAMPLES]


def _lines(entry: TableEntry) -> str | None:
    """What to paste into a model; None of a table that holds nothing to look up."""
    try:
        return lines_to_paste(entry)
    except DefinitionError:
        return None


def _links(names: Iterable[str]) -> list[tuple[str, str]]:
    return [(name, address_of(name)) for name in names]


@dataclass(frozen=True)
class Picture:
    """A drawing of lineage; a ``wide`` one is scrolled on narrow screens."""

    svg: "Markup"
    wide: bool


def picture_of(lineage: LineageGraph, table: str) -> Picture | None:
    """The drawing; None where it would be too large for a page."""
    from markupsafe import Markup

    if len(lineage.edges) > MAX_ARROWS:
        return None
    svg = as_svg(lineage, lineage.named(table))
    width = re.search(r' width="(\d+)"', svg)
    return Picture(Markup(svg), wide=width is not None and int(width[1]) > WIDE)
