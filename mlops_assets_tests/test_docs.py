"""The pages of docs/ that show a project: every file in them is written, every command and line of Python is run."""

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.governance.tokens import TOKEN_VARIABLE
from mlops_assets.lakehouse.home import HOME_VARIABLE
from mlops_assets_tests import forks
from mlops_assets_tests.conftest import Lived, require_program
from mlops_assets_tests.serving.running import Served, served

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


SERVER = "http://127.0.0.1:8000"
"""The address that a page gives the server; the test's is on a free port."""


@dataclass
class Reader:
    """Does what a page says, block by block, in a project that has lived through some days."""

    lived: Lived
    server: Served | None = None
    running: ExitStack = field(default_factory=ExitStack)
    names: dict[str, Any] = field(default_factory=dict)
    output: str = ""

    def follow(self, block: Block) -> None:
        if block.file:
            file = self.lived.project / block.file
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text, encoding="utf-8")
        elif block.language == "console":
            for line in re.split(r"\n(?=\$ )", block.text.rstrip("\n")):
                command, shown = _command_and_output(line)
                self.output = self.run(command)
                for expected in shown:
                    self.expect(expected)
        elif block.language == "python":
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                exec(compile(self.at_server(block.text), f"line {block.line}", "exec"), self.names)
            self.output = printed.getvalue()
        elif block.language == "text":
            for line in block.text.splitlines():
                self.expect(line)

    def expect(self, line: str) -> None:
        """See that the last output holds a line, in which … stands for anything."""
        pattern = ".*".join(map(re.escape, line.rstrip().split("…")))
        assert re.search(f"^{pattern} *$", self.output, re.MULTILINE), f"{line!r} is not in:\n{self.output}"

    def at_server(self, text: str) -> str:
        """A text of the page with the address that the server has here."""
        return text.replace(SERVER, self.server.url) if self.server else text

    def serve(self) -> str:
        """Start the server, on the port of the one before it, which is stopped; gives what it printed."""
        self.running.close()
        port = str(self.server.address[1] if self.server else 0)
        self.server = self.running.enter_context(served(self.lived.project, self.lived.home.folder, "--port", port))
        return "\n".join(self.server.printed).replace(self.server.url, SERVER)

    def run(self, line: str) -> str:
        """Run a command as a reader would type it, in the project's folder; it must succeed."""
        words = shlex.split(line)
        if words == ["mlops-assets", "serve"]:
            return self.serve()
        if words[0] == "export":
            name, _, value = words[1].partition("=")
            assert value == "mlops_…", "what was printed last"
            os.environ[name] = self.output.strip()
            return ""
        if words[0] in ("curl", "pytest"):
            command = [require_program("bash", "bash"), "-c", self.at_server(line)]
            if words == ["pytest"]:  # without plugins of this machine's that write, or take long to load
                given = ["-p", "mlops_assets.pytest_plugin", "-p", "no:cacheprovider", "-p", "no:schemathesis"]
                command = [sys.executable, "-m", "pytest", *given]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        else:
            assert words[0] == "mlops-assets", line
            variables = {HOME_VARIABLE: str(self.lived.home.folder), "HOME": str(self.lived.user)}
            done = forks.run(words[1:], folder=self.lived.project, **variables)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        return done.stdout


def _command_and_output(text: str) -> tuple[str, list[str]]:
    """A command with the lines that go on with it (after a backslash, or inside quotes), and what it shows."""
    lines = text.removeprefix("$ ").split("\n")
    for count in range(1, len(lines) + 1):
        command = "\n".join(lines[:count])
        with contextlib.suppress(ValueError):
            shlex.split(command)
            if not command.endswith("\\"):
                return command, lines[count:]
    raise AssertionError(f"a command that does not end: {text}")


def test_the_page_about_testing_names_tests_that_are_there() -> None:
    rows = re.findall(r"^\| ([a-z].*?) \|", (DOCS / "testing.md").read_text(encoding="utf-8"), re.MULTILINE)
    named = [name for row in rows for name in _files_of(row)]
    assert len(named) > 25
    assert [name for name in named if not (DOCS.parent / "mlops_assets_tests" / name).exists()] == []


def _files_of(row: str) -> Iterator[str]:
    """The files of a row; those after the first may lie in its folder."""
    folder = ""
    for name in row.split(", "):
        if name.endswith((".py", "/")):
            found = name if "/" in name else f"{folder}{name}"
            folder = found[: found.rfind("/") + 1]
            yield found


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", ["features.md", "serving.md", "discovery.md", "models.md", "monitoring.md"])
def test_what_a_page_says_works(page: str, lived: Lived, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = lived.copy(tmp_path)
    copy.user.mkdir(exist_ok=True)
    monkeypatch.chdir(copy.project)
    monkeypatch.syspath_prepend(str(copy.project))
    monkeypatch.setenv(HOME_VARIABLE, str(copy.home.folder))
    monkeypatch.setenv(TOKEN_VARIABLE, "")  # the page sets it
    reader = Reader(copy)
    found = list(blocks(DOCS / page))
    assert found
    with reader.running:
        for block in found:
            try:
                reader.follow(block)
            except Exception as error:
                raise AssertionError(f"{page}, line {block.line}: {error}") from error
