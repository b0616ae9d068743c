"""What the pages for readers of the code name is there: files, functions, commands, and places in other pages."""

import ast
import builtins
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import pytest

from mlops_assets_tests.engines import oracle

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
FOR_READERS_OF_CODE = ("docs/architecture.md", "docs/concepts.md", "CONTRIBUTING.md", "SECURITY.md")
OF_OTHERS = {"dagster", "sqlglot"}
"""What else names with dots begin with."""


def pages() -> list[Path]:
    return sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])


def papers() -> list[Path]:
    return sorted([*(ROOT / name for name in FOR_READERS_OF_CODE), *(DOCS / "decisions").glob("*.md")])


def without_blocks(page: Path) -> str:
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def headings(page: Path) -> set[str]:
    """The addresses of a page's headings, as GitHub makes them."""
    found = re.findall(r"^#+ (.*)$", without_blocks(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in found}


def is_there(page: Path, target: str) -> bool:
    file, _, place = target.partition("#")
    found = (page.parent / file).resolve() if file else page
    return found.exists() and (not place or place in headings(found))


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_each_link_of_a_page_leads_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", without_blocks(page))
    assert [one for one in targets if "://" not in one and not is_there(page, one)] == []


def test_the_code_names_places_in_pages_that_are_there() -> None:
    named = [
        (str(file.relative_to(ROOT)), target)
        for folder in ("mlops_assets", "mlops_assets_tests", "benchmarks")
        for file in (ROOT / folder).rglob("*.py")
        for target in re.findall(r"\bdocs/[\w/-]+\.md(?:#[\w-]+)?", file.read_text(encoding="utf-8"))
    ]
    assert len(named) > 10
    assert [one for one in named if not is_there(ROOT / "README.md", one[1])] == []


@pytest.mark.parametrize("page", papers(), ids=lambda page: str(page.relative_to(ROOT)))
def test_each_file_function_and_command_that_a_page_names_is_there(page: Path) -> None:
    assert [name for name in named_in_code(page) if not is_known(name)] == []


def test_pages_name_what_this_looks_up() -> None:
    found = {name for page in papers() for name in named_in_code(page)}
    assert len([name for name in found if "/" in name]) > 40
    assert len([name for name in found if is_dotted(name)]) > 60
    unknown = (
        "sources/nowhere.py",
        "sources.ingest.nothing",
        "engines.contract.Engine.nothing",
        "make nothing",
        "_NOTHING",
    )
    assert [name for name in unknown if is_known(name)] == []
    lost = ("LICENCE", "README.md#nowhere")
    assert [target for target in lost if is_there(ROOT / "README.md", target)] == []


def named_in_code(page: Path) -> Iterator[str]:
    """What stands between backticks and looks like a file, a name of the code, or targets of make."""
    for name in re.findall(r"`([^`\n]+)`", without_blocks(page)):
        is_file = re.fullmatch(r"[\w./-]+(/|\.(py|md|toml|json))", name)
        if is_file or is_dotted(name) or is_name(name) or name.startswith("make "):
            yield name


def is_dotted(name: str) -> bool:
    return bool(re.fullmatch(r"[a-z_]+(\.\w+)+", name)) and not name.endswith((".py", ".md", ".toml", ".json"))


def is_name(name: str) -> bool:
    """Whether it can only be of the code: what users write is small, and their variables begin with MLOPS."""
    return bool(re.fullmatch(r"_\w+|(?!MLOPS_)[A-Z]\w+", name)) and not hasattr(builtins, name)


def is_known(name: str) -> bool:
    if name.startswith("make "):
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        return all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in name.split()[1:])
    if is_name(name):
        return bool(re.search(rf"^(?:def |class )?{name}\b", code(), re.MULTILINE))
    if is_dotted(name):
        return name.split(".")[0] in OF_OTHERS or is_defined(name.split("."))
    return (ROOT / name).exists() or (ROOT / "mlops_assets" / name).exists()


def is_defined(parts: list[str]) -> bool:
    """Whether a module of the package, or what is defined in it, has these parts as its name."""
    path = ROOT / "mlops_assets"
    for place, part in enumerate(parts):
        if (path / f"{part}.py").exists():
            return not parts[place + 1 :] or ".".join(parts[place + 1 :]) in definitions(path / f"{part}.py")
        path /= part
    return path.is_dir()


@lru_cache
def code() -> str:
    """The text of all modules and tests."""
    files = [file for folder in ("mlops_assets", "mlops_assets_tests") for file in (ROOT / folder).rglob("*.py")]
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


@lru_cache
def definitions(file: Path) -> frozenset[str]:
    """The names that a module defines at its top level and in its classes."""
    return frozenset(_definitions(ast.parse(file.read_text(encoding="utf-8")), ""))


def _definitions(node: ast.Module | ast.ClassDef, before: str) -> Iterator[str]:
    for part in node.body:
        if isinstance(part, ast.ClassDef):
            yield before + part.name
            yield from _definitions(part, f"{before}{part.name}.")
        elif isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef):
            yield before + part.name
        elif isinstance(part, ast.Assign | ast.AnnAssign):
            targets = part.targets if isinstance(part, ast.Assign) else [part.target]
            yield from (before + target.id for target in targets if isinstance(target, ast.Name))


def test_the_example_in_numbers_follows_from_the_rule() -> None:
    states, lookups = tables_below("An example in numbers")
    held = [
        {
            **state,
            **{name: moment(state[name]) for name in ("event_time", "known_at")},
            "removed": state["removed"] == "yes",
        }
        for state in states
    ]
    assert len(lookups) == 6
    for asked in lookups:
        label = {"shop": "north", "anchor": moment(asked["anchor"]), "as_of": moment(asked["as_of"])}
        found = oracle.lookup(held, label, ["shop"], 2)
        assert (found["units"] if found else "none") == asked["units"], asked


def tables_below(heading: str) -> Iterator[list[dict[str, str]]]:
    """The tables of the page on concepts below a heading, each row by the names of its columns."""
    text = (DOCS / "concepts.md").read_text(encoding="utf-8").partition(f"## {heading}\n")[2]
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        names, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
        yield [dict(zip(names, row, strict=True)) for row in rows]


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
