"""The page on which features are found."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import quote, urlencode

from mlops_assets.features.catalog.entries import Catalog, ColumnEntry, TableEntry
from mlops_assets.features.catalog.search import FACETS, Found, Hit
from mlops_assets.serving.pages.rendering import Frame, render
from mlops_assets.serving.pages.words import marked_name

HITS_ON_A_PAGE = 25
MODELS = "/models"
FACET_TITLES = {"owner": "Owner", "sensitivity": "Sensitivity", "freshness": "Freshness", "model": "Used by model"}
FRESHNESS = {"fresh": "Fresh", "late": "Late", "never": "No data yet"}
MAX_VALUES = 12
"""So many values of a facet are offered; the chosen one is among them."""


@dataclass(frozen=True)
class Asked:
    """What somebody asked for: the fields of the address.

    Args:
        text: The words.
        chosen: The value of each facet that was chosen.
        page: Which page of the answer, from 1.
    """

    text: str = ""
    chosen: Mapping[str, str] | None = None
    page: int = 1

    @classmethod
    def of(cls, query: Mapping[str, str]) -> "Asked":
        """What an address asks for; what it does not understand is left alone."""
        chosen = {facet: query[facet] for facet in FACETS if query.get(facet)}
        page = query.get("page", "")
        number = int(page) if page.isascii() and page.isdigit() and len(page) < 7 else 1
        return cls(query.get("q", "").strip(), chosen, max(number, 1))

    @property
    def values(self) -> Mapping[str, str]:
        """The chosen values, by facet."""
        return self.chosen or {}

    @property
    def everything(self) -> bool:
        """Whether nothing was asked for."""
        return not self.text and not self.values

    @property
    def offset(self) -> int:
        """How many hits stand on the pages before."""
        return (self.page - 1) * HITS_ON_A_PAGE

    @property
    def address(self) -> str:
        """The path and query of this page."""
        fields = {"q": self.text, **self.values, "page": str(self.page) if self.page > 1 else ""}
        query = urlencode({name: value for name, value in fields.items() if value})
        return f"/features?{query}" if query else "/features"

    def with_value(self, facet: str, value: str | None) -> "Asked":
        """The same with another value of a facet, or None, on its first page."""
        others = {name: kept for name, kept in self.values.items() if name != facet}
        return Asked(self.text, {**others, facet: value} if value is not None else others)


@dataclass(frozen=True)
class _Choice:
    name: str
    count: int
    chosen: bool
    address: str


@dataclass(frozen=True)
class _Facet:
    title: str
    choices: tuple[_Choice, ...]


@dataclass(frozen=True)
class _ShownHit:
    table: TableEntry
    column: ColumnEntry | None
    name: str
    snippet: str
    address: str
    freshness: str


def address_of(table: str, column: str | None = None) -> str:
    """The address of a table's page, or of the place on it where a column is."""
    return f"/features/{quote(table, safe='')}" + (f"#column-{quote(column)}" if column else "")


def model_address(name: str, period: str = "") -> str:
    """The address of a model's page, or of the place on it where a period is told."""
    asked = f"?{urlencode({'period': period})}#period" if period else ""
    return f"{MODELS}/{quote(name, safe='')}{asked}"


def search_page(catalog: Catalog, freshness: Mapping[str, str], found: Found, asked: Asked, frame: Frame) -> str:
    """The page of an answer.

    Args:
        catalog: What there is.
        freshness: ``fresh``, ``late`` or ``never`` of each table.
        found: The hits on this page of the answer. Where nothing was asked for, tables are listed instead.
        asked: What was asked for.
        frame: For whom, and where.
    """
    if asked.everything:
        tables = sorted(catalog.tables.values(), key=lambda entry: (entry.kind == "source", entry.name))
        shown = tables[asked.offset : asked.offset + HITS_ON_A_PAGE]
        hits, total = [Hit(entry.name, None, 0, entry.description) for entry in shown], len(tables)
    else:
        hits, total = list(found.hits), found.total
    last = max((total - 1) // HITS_ON_A_PAGE + 1, 1)
    return render(
        "search",
        frame,
        asked=asked,
        total=total,
        tables=len(catalog.tables),
        columns=sum(len(entry.columns) for entry in catalog.tables.values()),
        models=len(catalog.models),
        model_address=model_address,
        hits=[_shown(catalog, freshness, hit, asked) for hit in hits],
        facets=[_facet(facet, title, found, asked) for facet, title in FACET_TITLES.items()],
        titles=FACET_TITLES,
        before=replace(asked, page=min(asked.page - 1, last)).address if asked.page > 1 else None,
        after=replace(asked, page=asked.page + 1).address if asked.page < last else None,
        last=last,
    )


def _shown(catalog: Catalog, freshness: Mapping[str, str], hit: Hit, asked: Asked) -> _ShownHit:
    table = catalog.entry(hit.table)
    column = table.column(hit.column) if hit.column else None
    return _ShownHit(
        table=table,
        column=column,
        name=marked_name(hit.column or hit.table, asked.text),
        snippet=hit.snippet,
        address=model_address(hit.table) if table.kind == "model" else address_of(hit.table, hit.column),
        freshness=freshness.get(hit.table, "never"),
    )


def _facet(facet: str, title: str, found: Found, asked: Asked) -> _Facet:
    chosen = asked.values.get(facet)
    counts = dict(found.facets.get(facet, {}))
    names = list(counts)[:MAX_VALUES]
    if chosen is not None and chosen not in names:
        names.append(chosen)
    return _Facet(
        title,
        tuple(
            _Choice(
                name=FRESHNESS[name] if facet == "freshness" and name in FRESHNESS else name,
                count=counts.get(name, 0),
                chosen=name == chosen,
                address=asked.with_value(facet, None if name == chosen else name).address,
            )
            for name in names
        ),
    )
