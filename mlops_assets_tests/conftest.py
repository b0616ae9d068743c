"""What all tests share: deterministic properties, a home of their own, and a last word on tests that could not run."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import hypothesis
import pytest

from mlops_assets.commands import progress
from mlops_assets.lakehouse.home import HOME_VARIABLE, Home

NOT_RUN = "NOT RUN: "
# Threads of OpenMP that wait keep a core each from the other worker, unless they sleep; read when a library is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
_LONGEST = [f"end_to_end/test_{name}.py" for name in ("replay", "mixed_project", "same_end", "life_of_a_version")]
_LONGEST += ["features/test_corrections.py", "test_backfill.py", "test_docs.py"]
hypothesis.settings.register_profile(
    "repeatable", deadline=None, derandomize=True, database=None, print_blob=True, max_examples=100
)
hypothesis.settings.register_profile("explore", deadline=None, database=None, print_blob=True, max_examples=2000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="Write the hashes of definitions anew; see project/test_identity.py.",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest first, a part of it for each worker, so that at the end none waits for another's minutes.

    Workers begin with parts of the list that lie one behind the other, and take from one another's end later.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    by_file: dict[int, list[pytest.Item]] = {}
    for item in items:
        place = next((place for place, file in enumerate(_LONGEST) if file in item.nodeid), len(_LONGEST))
        by_file.setdefault(place, []).append(item)
    rest = by_file.pop(len(_LONGEST), [])
    parts: list[list[pytest.Item]] = [[] for _ in range(workers)]
    for place in sorted(by_file):
        parts[place % workers] += by_file[place]
    size = -(-len(items) // workers)
    for part in parts:
        room = max(size - len(part), 0)
        part += rest[:room]
        del rest[:room]
    items[:] = [item for part in parts for item in part]


def require_program(name: str, install: str, *folders: Path) -> str:
    """The path of a program that a test drives; without it the test counts as not run, or fails under REQUIRE_ALL.

    It is looked for on the path, and in further folders.
    """
    path = shutil.which(name) or shutil.which(name, path=os.pathsep.join(map(str, folders)))
    if path is None:
        words = f"{NOT_RUN}needs {name}, install {install}"
        if os.environ.get("REQUIRE_ALL"):
            pytest.fail(words)
        pytest.skip(words)
    return path


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for report in terminalreporter.stats.get("skipped", []):
        words = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
        place = words.removeprefix("Skipped: ")
        if place.startswith(NOT_RUN):
            terminalreporter.write_line(f"{NOT_RUN}{report.nodeid}, {place.removeprefix(NOT_RUN)}")


@pytest.fixture(autouse=True)
def own_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing of the machine's own home or of another test's project reaches a test, nor does a test reach them."""
    if "shop" in sys.modules:
        for name in [name for name in sys.modules if name.split(".")[0] == "shop"]:
            monkeypatch.delitem(sys.modules, name)
    for name in ("DAGSTER_HOME", "MLOPS_KILL_AT_WRITE", "MLOPS_WRITE_POINT_LOG", "MLOPS_SMALLEST_FREE_MEGABYTES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    monkeypatch.setattr(progress, "MAX_SILENCE", 1e6)  # what a command prints does not depend on how slow it is
    yield


@pytest.fixture
def run_dg(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run Dagster's own command line in a project; it reports usage, and writes to HOME, unless a file says no."""
    settings = tmp_path / "dg.toml"
    settings.write_text("[cli.telemetry]\nenabled = false\n", encoding="utf-8")

    def run(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [Path(sys.executable).parent / "dg", *arguments],
            cwd=project,
            env={**os.environ, "DG_CLI_CONFIG": str(settings)},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty home, whose clock stands at the start of 2024 until a test sets it."""
    made = Home(tmp_path / "home").prepare()
    made.clock.set(datetime(2024, 1, 1, tzinfo=UTC))
    return made


@dataclass(frozen=True)
class Lived:
    """The small project that `mlops-assets init` writes, and the home of its replay."""

    project: Path
    home: Home
    first: str
    last: str

    @property
    def user(self) -> Path:
        """The user's own folder, in which a replay must not write."""
        return self.project.parent / "user"

    @property
    def told(self) -> list[str]:
        """What the replay told on its way, line by line."""
        return (self.project.parent / "done").read_text(encoding="utf-8").splitlines()

    def copy(self, folder: Path, *, home: bool = True) -> "Lived":
        """Both in a folder of one's own, to write to; without ``home`` the project alone."""
        shutil.copytree(self.project, folder / self.project.name)
        if home:
            # Beside a database lie files that come and go while another worker reads it; it holds all without them.
            passing = shutil.ignore_patterns("*-shm", "*-wal")
            shutil.copytree(self.home.folder, folder / "home", dirs_exist_ok=True, ignore=passing)
        return Lived(folder / self.project.name, Home(folder / "home"), self.first, self.last)


@pytest.fixture(scope="session")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Lived:
    """A few days of the small project, replayed once for all tests and workers; copy it to write to it."""
    from mlops_assets.starter import write_project
    from mlops_assets_tests.small_line import locked, shared_folder

    folder = shared_folder(tmp_path_factory) / "lived"
    made = Lived(folder / "shop", Home(folder / "home"), "2024-01-24", "2024-01-27")
    with locked(folder):
        if not (folder / "done").exists():
            shutil.rmtree(folder, ignore_errors=True)
            write_project(made.project)
            made.user.mkdir()
            told = run_replay_command(made, made.first, made.last).stderr
            (folder / "done").write_text(told, encoding="utf-8")
    return made


def run_replay_command(lived: Lived, first: str, last: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """`mlops-assets replay` in a process of its own; fails with its output unless it succeeds."""
    command = [sys.executable, "-m", "mlops_assets", "--project", str(lived.project), "replay"]
    done = subprocess.run(
        [*command, "--from", first, "--to", last],
        env={**os.environ, HOME_VARIABLE: str(lived.home.folder), "HOME": str(lived.user), **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done
