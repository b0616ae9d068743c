"""Searching a catalog of 10,000 columns as one types, against a scan of the same texts in plain Python."""

import random
import re
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence

from benchmarks import Figure
from mlops_assets.features.catalog.entries import Catalog, ColumnEntry, TableEntry
from mlops_assets.features.catalog.search import CatalogIndex

TABLES, COLUMNS = 200, 50
WORDS, SEARCHES = 2_000, 30
MAX_MILLISECONDS = 50
_WORD = re.compile(r"[^\W_]+")


def search() -> Figure:
    """Milliseconds of each search, at every letter of what is typed: hits, ranked, with the counts of all facets."""
    source = random.Random(11)
    made, words = _catalog(source)
    freshness = {name: source.choice(["fresh", "fresh", "late", "never"]) for name in made.tables}
    begun = time.perf_counter()
    index = CatalogIndex(made, freshness)
    built = time.perf_counter() - begun
    scan = _Scan(made, freshness)
    typed = list(_typed(source, made, words))
    for text in typed[:: len(typed) // 20]:
        if not scan.search(text) <= index.search(text, limit=10**6).total:
            raise RuntimeError(f"the scan finds more: {text!r}")
    ours, peer = _milliseconds(index.search, typed), _milliseconds(scan.search, typed[::5])
    return Figure(
        "search",
        {**_shown(ours), "searches": len(ours), "index built in seconds": round(built, 2)},
        {"a scan in Python": _shown(peer)},
        round(statistics.median(ours) / statistics.median(peer), 3),
        f"{TABLES * COLUMNS} columns: 99 of 100 searches under {MAX_MILLISECONDS} milliseconds",
        _share(ours, 0.99) < MAX_MILLISECONDS,
    )


def _catalog(source: random.Random) -> tuple[Catalog, list[str]]:
    """Tables of columns whose words are as unequally frequent as those of a language."""
    letters = "aeioubcdfglmnprstv"
    words = sorted({"".join(source.choices(letters, k=source.randint(3, 9))) for _ in range(WORDS)})
    source.shuffle(words)
    weights = [1 / (place + 10) for place in range(len(words))]

    def some(count: int) -> list[str]:
        return source.choices(words, weights, k=count)

    tables = {}
    for number in range(TABLES):
        name, owners = f"{'_'.join(some(2))}_{number}", (f"team:{words[number % 30]}",)
        users = tuple(f"{words[number % 40 + place]}_forecast" for place in range(number % 3))
        columns = tuple(
            ColumnEntry(
                name, f"{'_'.join(some(3))}_{place}", "double", "number", " ".join(some(12)), owners,
                source.choice(["internal", "internal", "personal"]), None, (), users,
            )
            for place in range(COLUMNS)
        )  # fmt: skip
        tables[name] = TableEntry(
            name, "feature table", " ".join(some(10)), owners, {"domain": some(1)[0]}, (), None, columns,
            False, users, (), (), "generation",
        )  # fmt: skip
    return Catalog(tables), words


def _typed(source: random.Random, made: Catalog, words: Sequence[str]) -> list[str]:
    """Names of columns and words of descriptions, at every letter; among them the most frequent words of all."""
    columns = [column for table in made.tables.values() for column in table.columns]
    chosen = source.sample(columns, SEARCHES // 3)
    texts = [column.name for column in chosen]
    texts += [" ".join(column.description.split()[:2]) for column in chosen]
    texts += list(words[: SEARCHES // 3])
    return [text[:length] for text in texts for length in range(1, len(text) + 1)]


class _Scan:
    """What one would write without an index: every word of every text is looked at."""

    def __init__(self, made: Catalog, freshness: dict[str, str]) -> None:
        self.entries = []
        for table in made.tables.values():
            tags = " ".join(word for pair in table.tags.items() for word in pair)
            facets = (table.owners, (freshness[table.name],), table.used_by)
            entries: list[TableEntry | ColumnEntry] = [table, *table.columns]
            for entry in entries:
                text = f"{entry.name} {entry.description} {' '.join(entry.owners)} {tags}"
                self.entries.append((set(_WORD.findall(text.lower())), entry.name, facets))

    def search(self, text: str) -> int:
        """How many entries have, for each word, one that begins with it; ranked and counted too."""
        asked = _WORD.findall(text.lower())
        hits = [
            (sum(word in name for word in asked), name, facets)
            for words, name, facets in self.entries
            if all(any(word.startswith(part) for word in words) for part in asked)
        ]
        hits.sort(key=lambda hit: (-hit[0], hit[1]))
        Counter(value for _, _, facets in hits for facet in facets for value in facet)
        return len(hits)


def _milliseconds(search: Callable[[str], object], texts: Sequence[str]) -> list[float]:
    taken = []
    for text in texts:
        begun = time.perf_counter()
        search(text)
        taken.append((time.perf_counter() - begun) * 1000)
    return taken


def _share(taken: Sequence[float], share: float) -> float:
    return sorted(taken)[int(len(taken) * share)]


def _shown(taken: Sequence[float]) -> dict[str, float]:
    return {"p50 ms": round(statistics.median(taken), 2), "p99 ms": round(_share(taken, 0.99), 2)}
