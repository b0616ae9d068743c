"""The pages of docs/ that show a project: every file in them is written, every command and line of Python is run."""

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.lakehouse.home import HOME_VARIABLE
from mlops_assets_tests.conftest import Lived

pytestmark = pytest.mark.slow
DOCS = Path(__file__).parent.parent / "docs"
_BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the file it is written to (or empty), its text, and where it begins."""

    language: str
    file: str
    text: str
    line: int


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for found in _BLOCK.finditer(text):
        yield Block(found[1], found[2] or "", found[3], text.count("\n", 0, found.start()) + 1)


@dataclass
class Reader:
    """Does what a page says, block by block, in a project that has lived through some days."""

    lived: Lived
    names: dict[str, Any] = field(default_factory=dict)
    output: str = ""

    def follow(self, block: Block) -> None:
        if block.file:
            file = self.lived.project / block.file
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text, encoding="utf-8")
        elif block.language == "console":
            for line in block.text.splitlines():
                if line.startswith("$ "):
                    self.output = self.run(line[2:])
                else:
                    self.expect(line)
        elif block.language == "python":
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                exec(compile(block.text, f"line {block.line}", "exec"), self.names)
            self.output = printed.getvalue()
        elif block.language == "text":
            for line in block.text.splitlines():
                self.expect(line)

    def expect(self, line: str) -> None:
        """See that the last output holds a line, in which … stands for anything."""
        pattern = ".*".join(map(re.escape, line.rstrip().split("…")))
        assert re.search(f"^{pattern} *$", self.output, re.MULTILINE), f"{line!r} is not in:\n{self.output}"

    def run(self, line: str) -> str:
        """Run a command as a reader would type it, in the project's folder; it must succeed."""
        words = shlex.split(line)
        assert words[0] == "mlops-assets", line
        done = subprocess.run(
            [sys.executable, "-m", "mlops_assets", *words[1:]],
            cwd=self.lived.project,
            env={**os.environ, HOME_VARIABLE: str(self.lived.home.folder), "HOME": str(self.lived.user)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        return done.stdout


@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", ["features.md", "discovery.md"])
def test_what_a_page_says_works(page: str, lived: Lived, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = lived.copy(tmp_path)
    copy.user.mkdir(exist_ok=True)
    monkeypatch.chdir(copy.project)
    monkeypatch.syspath_prepend(str(copy.project))
    for name in [name for name in sys.modules if name.split(".")[0] == copy.project.name]:
        monkeypatch.delitem(sys.modules, name)  # another test's copy of the package
    monkeypatch.setenv(HOME_VARIABLE, str(copy.home.folder))
    reader = Reader(copy)
    found = list(blocks(DOCS / page))
    assert found
    for block in found:
        try:
            reader.follow(block)
        except Exception as error:
            raise AssertionError(f"{page}, line {block.line}: {error}") from error
