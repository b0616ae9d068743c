"""Full text search over the catalog, with facets.

An index lives in memory (SQLite's FTS5) and is built anew when the project is read: some milliseconds for a thousand
columns. Tables and columns are found by their names (split into words), descriptions, tags and owners; a column
also by further words that are said of its table.
"""

import re
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock

from mlops_assets.features.catalog.entries import Catalog, ColumnEntry, TableEntry

FACETS = ("owner", "sensitivity", "freshness", "model")
"""What hits can be counted and chosen by."""

BEGIN, END = "\x02", "\x03"
"""Around each matched word of a snippet."""

NEVER = "never"
"""The freshness of a table that nothing is known of."""

MAX_WORDS, MAX_LETTERS = 8, 40
"""How much of what somebody types is looked for; the rest is left alone."""

_SMALL_WORDS = frozenset(re.findall("[a-z]+", "a an and as at by for from in is it of on or per than that the to with"))
"""Words that say nothing beside others."""

SNIPPET_WORDS = 24
_WORD = re.compile(r"[^\W_]+")
_WEIGHTS = {"name": 10.0, "description": 3.0, "labels": 2.0, "context": 1.0}
_ITSELF = ("name", "description", "labels")
"""Where a word at least must be found; what is said of its table alone does not make a column a hit."""

_IN_NAME, _IS_NAME, _IS_TABLE = 1_000.0, 2_000.0, 3_000.0
"""What is added to the score where all words are in the name, or are the name: more than a description can weigh."""


@dataclass(frozen=True)
class Hit:
    r"""One table, one model, or one column.

    Args:
        table: The table, or the model.
        column: The column; None where the table itself was found, or a model.
        score: The higher, the better; 0 where nothing was asked for.
        snippet: Plain text of the description, with each matched word between ``\x02`` and ``\x03``.
    """

    table: str
    column: str | None
    score: float
    snippet: str


@dataclass(frozen=True)
class Found:
    """One page of the answer.

    Args:
        hits: Best first; of equal ones tables before columns, in the order of names.
        total: How many there are on all pages.
        facets: For each of `FACETS`, how many of all hits have each value, the most frequent first.
    """

    hits: tuple[Hit, ...]
    total: int
    facets: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class _Labels:
    """The values by which an entry is counted and chosen; few entries differ in them."""

    owner: tuple[str, ...]
    sensitivity: tuple[str, ...]
    freshness: tuple[str, ...]
    model: tuple[str, ...]


@dataclass(frozen=True)
class _Matched:
    """What a text matches.

    Args:
        pattern: What FTS5 was asked; empty where everything matches.
        places: The entries.
        named: The score of those of them that have every word in their name, above that of any other.
    """

    pattern: str
    places: Sequence[int]
    named: Mapping[int, float]


class CatalogIndex:
    """The catalog, to be searched; safe to use from several threads."""

    def __init__(self, catalog: Catalog, freshness: Mapping[str, str]) -> None:
        """Read the whole catalog.

        Args:
            catalog: What there is to find.
            freshness: ``fresh``, ``late`` or ``never`` by table; a table that is not in it counts as ``never``.
        """
        self._lock = Lock()
        self._entries: list[TableEntry | ColumnEntry] = []
        self._labels: list[_Labels] = []
        self._names: list[list[str]] = []
        self._database = sqlite3.connect(":memory:", check_same_thread=False)
        self._database.execute(
            f"CREATE VIRTUAL TABLE entries USING fts5({', '.join(_WEIGHTS)}, "
            "tokenize = 'unicode61 remove_diacritics 2', prefix = '1 2 3')"
        )
        self._database.executemany("INSERT INTO entries VALUES (?, ?, ?, ?)", self._rows(catalog, freshness))

    def search(
        self,
        text: str,
        *,
        owner: str | None = None,
        sensitivity: str | None = None,
        freshness: str | None = None,
        model: str | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> Found:
        """What has every word of a text, or begins with it; where nothing has, what has any of them.

        Args:
            text: Whatever somebody types; there is no syntax. No word at all finds everything.
            owner: Only what this owner answers for.
            sensitivity: Only columns that are so, and tables that have such a column.
            freshness: Only tables that are so, and their columns.
            model: Only what this model uses.
            limit: How many hits to give.
            offset: How many of the best to leave out.
        """
        chosen = {"owner": owner, "sensitivity": sensitivity, "freshness": freshness, "model": model}
        asked = {facet: value for facet, value in chosen.items() if value is not None}
        offset, end = max(offset, 0), max(offset, 0) + max(limit, 0)
        with self._lock:
            matched = self._matched(_words(text))
            kept = self._chosen(matched.places, asked)
            ranked = self._ranked(kept, matched, end)
            page = ranked[offset:end]
            snippets = self._snippets([place for place, _ in page], matched.pattern)
        hits = tuple(self._hit(place, score, snippets[place]) for place, score in page)
        return Found(hits, len(kept), self._facets(kept))

    def _rows(self, catalog: Catalog, freshness: Mapping[str, str]) -> Iterator[tuple[str, str, str, str]]:
        """The texts of each entry; tables in the order of names, each before its columns, then models."""
        known: dict[_Labels, _Labels] = {}

        def add(entry: TableEntry | ColumnEntry, labels: _Labels) -> None:
            self._entries.append(entry)
            self._names.append(_WORD.findall(entry.name.lower()))
            self._labels.append(known.setdefault(labels, labels))

        for name in (*sorted(catalog.tables), *sorted(catalog.models)):
            table = catalog.entry(name)
            fresh = (freshness.get(name, NEVER),) if name in catalog.tables else ()
            tags = [word for pair in table.tags.items() for word in pair]
            within = tuple(dict.fromkeys(column.sensitivity for column in table.columns))
            add(table, _Labels(table.owners, within, fresh, table.used_by))
            yield table.name, _plain(table.description), _plain(" ".join([*table.owners, *tags])), ""
            for column in table.columns:
                add(column, _Labels(column.owners, (column.sensitivity,), fresh, column.used_by))
                labels = " ".join([*column.owners, *tags])
                yield column.name, _plain(column.description), _plain(labels), f"{name} {_plain(table.description)}"

    def _matched(self, words: list[str]) -> _Matched:
        if not words:
            return _Matched("", range(len(self._entries)), {})
        parts = [f'"{_stem(word)}"*' for word in words]
        itself = f"{{{' '.join(_ITSELF)}}} : ({' OR '.join(parts)})"
        every = " AND ".join(parts)
        pattern = f"({every}) AND {itself}" if len(parts) > 1 else itself
        places = self._places(pattern)
        if not places and len(parts) > 1:
            return _Matched(itself, self._places(itself), {})
        named = {place: self._name_score(place, words) for place in self._places(f"{{name}} : ({every})")}
        return _Matched(pattern, places, named)

    def _name_score(self, place: int, words: list[str]) -> float:
        """Of a name that has every word, the higher the larger a part of it they are."""
        named = self._names[place]
        if named == words:
            return _IS_TABLE if isinstance(self._entries[place], TableEntry) else _IS_NAME
        return _IN_NAME + 100 * min(len(words) / max(len(named), 1), 1)

    def _places(self, pattern: str) -> list[int]:
        found = self._database.execute("SELECT rowid - 1 FROM entries WHERE entries MATCH ?", (pattern,))
        return [place for (place,) in found]

    def _scores(self, pattern: str) -> dict[int, float]:
        weights = ", ".join(map(str, _WEIGHTS.values()))
        query = f"SELECT rowid - 1, -bm25(entries, {weights}) FROM entries WHERE entries MATCH ?"
        return dict(self._database.execute(query, (pattern,)))

    def _ranked(self, places: list[int], matched: _Matched, count: int) -> list[tuple[int, float]]:
        """At least the best so many of some places with their scores, in their order; scoring all takes long."""
        if not matched.pattern:
            return [(place, 0.0) for place in places]
        scores = {place: matched.named[place] for place in places if place in matched.named}
        if len(scores) < min(count, len(places)):
            scored = self._scores(matched.pattern)
            scores = {place: matched.named.get(place, scored[place]) for place in places}
        return sorted(scores.items(), key=lambda item: (-item[1], item[0]))

    def _chosen(self, places: Sequence[int], asked: Mapping[str, str]) -> list[int]:
        if not asked:
            return list(places)
        suits = {
            labels: all(value in getattr(labels, facet) for facet, value in asked.items())
            for labels in set(self._labels)
        }
        return [place for place in places if suits[self._labels[place]]]

    def _facets(self, places: Iterable[int]) -> dict[str, dict[str, int]]:
        together = Counter(map(self._labels.__getitem__, places))
        counted: dict[str, Counter[str]] = {facet: Counter() for facet in FACETS}
        for labels, count in together.items():
            for facet, counts in counted.items():
                for value in getattr(labels, facet):
                    counts[value] += count
        return {
            facet: dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
            for facet, counts in counted.items()
        }

    def _snippets(self, places: list[int], pattern: str) -> dict[int, str]:
        if not pattern:
            return {place: _plain(self._entries[place].description) for place in places}
        column = list(_WEIGHTS).index("description")
        query = f"SELECT snippet(entries, {column}, ?, ?, '…', ?) FROM entries WHERE entries MATCH ? AND rowid = ?"
        return {
            place: self._database.execute(query, (BEGIN, END, SNIPPET_WORDS, pattern, place + 1)).fetchone()[0]
            for place in places
        }

    def _hit(self, place: int, score: float, snippet: str) -> Hit:
        entry = self._entries[place]
        if isinstance(entry, TableEntry):
            return Hit(entry.name, None, round(score, 6), snippet)
        return Hit(entry.table, entry.name, round(score, 6), snippet)


def beginnings(text: str) -> list[str]:
    """What words begin with that a text looks for."""
    return [_stem(word) for word in _words(text)]


def _words(text: str) -> list[str]:
    """The words that somebody typed, in lower case, without those that say nothing beside the others."""
    words = [word[:MAX_LETTERS] for word in _WORD.findall(text.lower())]
    return [word for word in words if word not in _SMALL_WORDS][:MAX_WORDS] or words[:MAX_WORDS]


def _stem(word: str) -> str:
    """What words must begin with to be found: a plural finds its singular."""
    stem = re.sub("(ie|e)?s$", "", word) if len(word) > 3 and not word.endswith("ss") else word
    return stem if len(stem) > 2 else word


def _plain(text: str) -> str:
    return text.replace(BEGIN, "").replace(END, "")
