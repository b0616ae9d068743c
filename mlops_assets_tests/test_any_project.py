"""Projects unlike the starter from the command line: without a model, with a delivery that is refused, ended early."""

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mlops_assets.cli import main
from mlops_assets.lakehouse.home import HOME_VARIABLE, Home
from mlops_assets.operations.replay.state import read_state, write_state
from mlops_assets.platform import Platform
from mlops_assets.project.folder import find_project
from mlops_assets_tests.project.small_project import write_in_starter

pytestmark = pytest.mark.slow
SOURCES = """\
type: mlops_assets.Source
attributes:
  name: sales
  description: Units sold by shop and day
  primary_keys: [shop]
  timestamp: day
  period: day
  first_period: 2024-01-01
  published_from: sales.csv
  columns:
    shop: {type: string, description: Shop}
    day: {type: date, description: Day}
    units: {type: bigint, description: Units, nullable: false, minimum: 0}
---
type: mlops_assets.Source
attributes:
  name: visits
  description: Visits by shop and week
  primary_keys: [shop]
  timestamp: week
  period: week
  first_period: 2024-01-01
  columns:
    shop: {type: string, description: Shop}
    week: {type: date, description: Monday of the week}
    visits: {type: bigint, description: Visits}
"""
TABLES = """\
type: mlops_assets.FeatureTable
attributes:
  name: level
  description: Level of sales
  primary_keys: [shop]
  timestamp: day
  sql: level.sql
  history: 1 days
  columns:
    shop: {type: string, description: Shop}
    day: {type: date, description: Day}
    level: {type: double, description: Logarithm of the units}
---
type: mlops_assets.FeatureTable
attributes:
  name: crowd
  description: Level of visits
  primary_keys: [shop]
  timestamp: week
  sql: crowd.sql
  history: 1 weeks
  columns:
    shop: {type: string, description: Shop}
    week: {type: date, description: Monday of the week}
    crowd: {type: double, description: Logarithm of the visits}
"""
FILES = {
    "sources/defs.yaml": SOURCES,
    "tables/defs.yaml": TABLES,
    "tables/level.sql": "SELECT shop, day, ln(units + 1) AS level FROM sales\n",
    "tables/crowd.sql": "SELECT shop, week, ln(visits + 1) AS crowd FROM visits\n",
    "sources/sales.csv": "shop,day,units\n" + "".join(f"a,2024-01-{day:02},{day}\n" for day in range(1, 15)),
}


class Features:
    """A project of features alone, and the commands on it."""

    def __init__(self, folder: Path, run: Callable[..., Result]) -> None:
        self.files = write_in_starter(folder, FILES)
        self.folder, self.defs = folder, self.files.folder
        self.home = Home(folder.parent / "home")
        self.run = partial(run, "--project", str(folder))

    def platform(self) -> Platform:
        return Platform.of(find_project(self.folder).read(), self.home)

    def days(self, table: str) -> list[str]:
        platform = self.platform()
        rows = platform.engine.known_at(platform.table(table), platform.clock.now()).to_pylist()
        return sorted(str(row.get("day") or row["week"]) for row in rows)


@pytest.fixture
def features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Features:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    monkeypatch.setattr(sys, "path", list(sys.path))
    return Features(tmp_path / "shop", lambda *arguments: CliRunner().invoke(main, list(arguments)))


def land(features: Features, source: str, key: str, text: str) -> None:
    file = features.home.landing / source / f"{key}.csv"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def test_features_alone_are_replayed_ingested_and_backfilled(features: Features) -> None:
    checked = features.run("check")
    assert checked.stdout == "ok: 2 sources, 2 feature tables, 0 models\n", checked.output
    done = features.run("replay", "--from", "2024-01-03", "--to", "2024-01-05")
    assert done.exit_code == 0, done.output
    assert features.days("level")[-1] == "2024-01-05"

    land(features, "visits", "2024-01-01", "shop,week,visits\na,2024-01-01,70\n")
    features.home.clock.set(features.platform().project.sources["visits"].schema.calendar.at_key("2024-01-15").start)
    ingested = features.run("ingest", "visits")
    assert ingested.stdout == "visits 2024-01-01: 1 rows, 1 states appended\n", ingested.output
    assert features.run("ingest", "visits").stdout == "visits: nothing waits\n"
    assert features.run("backfill", "crowd").stdout.startswith("crowd: 1 computed, 0 were current, 1 wait")
    assert features.days("crowd") == ["2024-01-01"]


def test_a_period_to_ingest_is_named_over_and_there(features: Features) -> None:
    features.home.prepare().clock.set(
        features.platform().project.sources["sales"].schema.calendar.at_key("2024-01-05").start
    )
    running = features.run("ingest", "sales", "2024-01-05")
    assert "Found: 2024-01-05 of source 'sales', which is not over at 2024-01-05T00:00:00+00:00." in running.output
    missing = features.run("ingest", "sales", "2024-01-04")
    assert missing.exit_code == 1
    assert "for period 2024-01-04 of source 'sales'" in missing.output
    land(features, "sales", "2024-01-02", "shop,day,units\na,2024-01-02,-5\n")
    land(features, "sales", "2024-01-03", "shop,day,units\na,2024-01-03,5\n")
    both = features.run("ingest", "sales")
    assert both.exit_code == 1
    assert "sales 2024-01-03: 1 rows, 1 states appended" in both.stdout
    assert both.stdout.count("sales 2024-01-02: Found: ") == 1
    end = "Error: 1 of 2 periods of 'sales' were not ingested; correct what is told above, then run it again\n"
    assert both.stderr.endswith(end), both.stderr
    assert features.days("sales") == ["2024-01-03"]


def test_check_reads_what_is_published_against_its_contract(features: Features) -> None:
    features.files.change("sources/sales.csv", "a,2024-01-07,7\n", "a,2024-01-07,-7\n")
    checked = features.run("check")
    assert checked.exit_code == 1
    assert "sources/defs.yaml:" in checked.output
    assert "units" in checked.output


def test_check_says_what_dagster_does_not_load(features: Features) -> None:
    with (features.folder / "shop" / "definitions.py").open("a", encoding="utf-8") as code:
        code.write("\nraise RuntimeError('no such thing')\n")
    checked = features.run("check")
    assert checked.exit_code == 1
    assert "Found: definitions that Dagster does not load (RuntimeError: no such thing)." in checked.output
    assert "Traceback" not in checked.output


def test_what_was_refused_stops_nothing_else_is_told_and_forgotten_once_it_is_mended(features: Features) -> None:
    # Only its delivery shows what is wrong: check reads the whole file, and may be passed over.
    features.files.change("sources/sales.csv", "a,2024-01-04,4\n", "a,2024-01-04,-4\n")
    begun = features.run("replay", "--from", "2024-01-03", "--to", "2024-01-06")
    assert begun.exit_code == 1
    assert begun.stderr.count("replay 1/4 2024-01-04 failed: sales at 2024-01-04: ") == 1, "tried once"
    message = begun.output.partition("Error: ")[2]
    assert message.startswith(
        "1 of the replay's runs failed; mend the cause, then run the same command again: it begins with "
    )
    assert [message.count(part) for part in ("Found: ", "Expected: ", "What to do: ", "\n")] == [1, 1, 1, 1]
    overdue = "due 2024-01-05, and the one delivery of it was refused; for it wait: level"
    assert f"failed: sales 2024-01-04 is overdue: {overdue}" in begun.stderr
    assert features.days("level") == ["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-05", "2024-01-06"]

    again = features.run("replay", "--from", "2024-01-03", "--to", "2024-01-06")
    assert again.exit_code == 1, "nothing was mended"
    features.files.change("sources/sales.csv", "a,2024-01-04,-4\n", "a,2024-01-04,4\n")
    # As a kill leaves it: what failed is tried again however the call before ended.
    write_state(features.home, replace(read_state(features.home, "2024-01-03"), finished=False))
    mended = features.run("replay", "--from", "2024-01-03", "--to", "2024-01-06")
    assert mended.exit_code == 0, mended.output
    assert features.days("level") == [f"2024-01-0{day}" for day in range(1, 7)]
    state = read_state(features.home, "2024-01-03")
    assert (state.failed, state.again) == ((), ())
