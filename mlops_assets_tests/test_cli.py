"""The command line: every fault of the environment or of the project is one message and a non-zero exit."""

import json
import os
import shutil
import socket
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mlops_assets.cli import main
from mlops_assets.lakehouse.home import HOME_VARIABLE, Home
from mlops_assets.operations.replay.state import ReplayState, write_state
from mlops_assets.starter import write_project


def run(project: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["--project", str(project), *arguments])


def refused(project: Path, *arguments: str) -> str:
    """What a command says that ends with exit code 1; nothing else may reach the terminal."""
    done = run(project, *arguments)
    assert done.exit_code == 1, done.output
    assert isinstance(done.exception, SystemExit), done.exception
    assert done.output.startswith("Error: ") and done.output.count("\n") == 1, done.output
    return done.output.strip()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write_project(tmp_path / "shop")
    return tmp_path / "shop"


def change(project: Path, file: str, old: str, new: str) -> Path:
    path = project / "shop" / "defs" / file
    text = path.read_text(encoding="utf-8")
    assert text.count(old) >= 1, f"{old!r} is not in {file}"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path


def line_of(file: Path, text: str) -> int:
    lines = file.read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, start=1) if text in line)


def test_help_lists_every_command_with_what_it_does() -> None:
    listed = CliRunner().invoke(main, ["--help"]).output
    for command in ("backfill", "check", "compact", "dev", "init", "lineage", "replay"):
        assert f"\n  {command} " in listed
    assert "Validate a whole project without running anything." in listed


def test_check_counts_what_a_sound_project_declares(project: Path) -> None:
    done = run(project, "check")
    assert (done.exit_code, done.output) == (0, "ok: 2 sources, 1 feature tables, 1 models\n")
    assert not (project / ".mlops").exists()


def test_check_names_file_and_line_of_an_unknown_column_in_a_lookup(project: Path) -> None:
    file = change(project, "orders_forecast/defs.yaml", "growth_7d", "growth_8d")
    told = refused(project, "check")
    assert told.startswith(f"Error: {file}:{line_of(file, 'growth_8d')}: Found: ")
    assert "growth_8d" in told and "growth_7d" in told


@pytest.mark.parametrize("call", ["now()", "random()", "read_csv('secret.csv')"])
def test_check_refuses_sql_that_asks_for_the_clock_for_randomness_or_for_a_file(project: Path, call: str) -> None:
    file = project / "shop" / "defs" / "orders" / "order_trend.sql"
    file.write_text(f"SELECT *, {call} AS extra FROM orders\n", encoding="utf-8")
    told = refused(project, "check")
    assert told.startswith(f"Error: {file}:1: Found: ")
    assert call.split("(")[0] in told.lower()


def test_check_refuses_sql_that_does_not_parse(project: Path) -> None:
    file = project / "shop" / "defs" / "orders" / "order_trend.sql"
    file.write_text("SELECT region\nFROM (orders WHERE\n", encoding="utf-8")
    assert refused(project, "check").startswith(f"Error: {file}:2: Found: ")


def test_check_runs_the_sql_and_finds_a_wrong_type(project: Path) -> None:
    file = change(project, "orders/defs.yaml", "growth_7d: {type: double", "growth_7d: {type: boolean")
    told = refused(project, "check")
    assert "growth_7d" in told and "boolean" in told, told
    assert file.exists()


def test_check_refuses_a_parameter_that_the_template_does_not_take(project: Path) -> None:
    change(project, "orders_forecast/defs.yaml", "params: {", "params: {depth: 3, ")
    assert "Found: parameter depth of template" in refused(project, "check")


def test_check_refuses_a_history_that_is_too_short_with_the_one_that_would_do(project: Path) -> None:
    file = change(project, "orders/defs.yaml", "history: 8 days", "history: 3 days")
    told = refused(project, "check")
    assert told.startswith(
        f"Error: {file}:{line_of(file, 'history')}: Found: feature table 'order_trend' gives another "
    )
    assert told.endswith("Expected: a history of at least 8 days. What to do: write 'history: 8 days'.")


def test_check_warns_of_frames_that_count_rows(project: Path) -> None:
    change(project, "orders/defs.yaml", "history: 8 days", "history: 9 days")
    file = project / "shop" / "defs" / "orders" / "order_trend.sql"
    text = file.read_text(encoding="utf-8")
    file.write_text(
        f"SELECT * REPLACE (growth_7d + 0 * lag(growth_7d, 1, 0) OVER (ORDER BY day) AS growth_7d) FROM ({text})",
        encoding="utf-8",
    )
    done = run(project, "check")
    assert done.exit_code == 0, done.output
    assert done.output.startswith("warning: ")
    assert "write max(growth_7d) OVER (ORDER BY day RANGE BETWEEN INTERVAL (1) DAY PRECEDING AND" in done.output


def test_lineage_of_a_column_is_a_tree_of_both_directions(project: Path) -> None:
    done = run(project, "lineage", "order_trend.growth_1d")
    assert done.exit_code == 0, done.output
    assert (
        done.output
        == """\
order_trend.growth_1d
  comes from
  └─ orders.units  aggregated
  goes into
  ├─ orders_forecast.training_set.growth_1d  copied
  │  └─ orders_forecast.predictions.prediction  learned
  └─ orders_forecast.predictions.growth_1d  copied
     └─ orders_forecast.predictions.prediction  computed
"""
    )
    assert "goes into" not in run(project, "lineage", "order_trend.growth_1d", "--up").output
    assert "comes from" not in run(project, "lineage", "order_trend.growth_1d", "--down").output
    assert "orders.region  rows" in run(project, "lineage", "order_trend.growth_1d", "--rows").output
    assert not (project / ".mlops").exists()


def test_lineage_for_programs_and_as_a_drawing_in_a_file(project: Path, tmp_path: Path) -> None:
    document = json.loads(run(project, "lineage", "orders.units", "--format", "json").output)
    assert document["format"] == "mlops-assets/lineage/1"
    assert {edge["how"] for edge in document["edges"]} == {"copied", "computed", "aggregated", "learned"}
    drawing = tmp_path / "lineage.svg"
    done = run(project, "lineage", "orders", "--format", "svg", "-o", str(drawing))
    assert (done.exit_code, done.output) == (0, f"Wrote {drawing}\n")
    assert drawing.read_text(encoding="utf-8").startswith("<svg ")
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    told = refused(project, "lineage", "orders", "-o", str(tmp_path / "file" / "tree.txt"))
    assert told.endswith("Expected: a file that can be written. What to do: name another file with -o.")


def test_lineage_of_an_unknown_column(project: Path) -> None:
    assert refused(project, "lineage", "order_trend.growth_1") == (
        "Error: Found: no column 'growth_1' in 'order_trend'. Expected: a column such as: growth_1d, growth_7d. "
        "What to do: correct the name."
    )
    assert refused(project, "lineage", "order_trends.units").startswith("Error: Found: no table 'order_trends' in")


def test_a_missing_primary_key(project: Path) -> None:
    file = change(project, "orders/defs.yaml", "  primary_keys: [region, product]\n", "")
    told = refused(project, "check")
    assert told.startswith(f"Error: {file}:")
    assert "primary_keys" in told


def test_a_missing_data_file(project: Path) -> None:
    data = project / "shop" / "defs" / "orders" / "data" / "orders.csv"
    data.unlink()
    assert f"Found: no file {data}." in refused(project, "replay", "--from", "2024-01-24", "--to", "2024-01-25")


def test_a_folder_without_a_project(tmp_path: Path) -> None:
    assert refused(tmp_path, "check") == (
        f"Error: Found: no {tmp_path / 'pyproject.toml'}. Expected: a project's folder. "
        "What to do: go to the project's folder, or make a project with `mlops-assets init DIR`."
    )
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'other'\n", encoding="utf-8")
    assert "root_module (it says None)" in refused(tmp_path, "check")
    (tmp_path / "pyproject.toml").write_text("[tool.dg.project]\nroot_module = ['shop']\n", encoding="utf-8")
    assert "root_module (it says ['shop'])" in refused(tmp_path, "check")


def test_init_leaves_a_folder_that_holds_something_as_it_is(project: Path, tmp_path: Path) -> None:
    before = sorted(project.rglob("*"))
    told = refused(tmp_path, "init", str(project))
    assert told == (
        f"Error: Found: {project} is there already. Expected: a folder that is empty or new. "
        "What to do: name another folder."
    )
    assert sorted(project.rglob("*")) == before


def test_a_replay_refuses_a_home_that_holds_anything_else(project: Path, home: Home) -> None:
    for name in ("clock.json", "newest_moment.json"):
        (home.folder / name).unlink()
    (home.folder / "thesis.doc").write_text("x", encoding="utf-8")
    told = refused(project, "replay", "--from", "2024-01-24", "--to", "2024-01-25")
    assert told == (
        f"Error: Found: {home.folder} holds thesis.doc. Expected: a home with a replay, or none. "
        f"What to do: choose an empty folder with MLOPS_HOME, or delete {home.folder}."
    )
    assert sorted(path.name for path in home.folder.iterdir()) == ["format.json", "thesis.doc"]


def test_a_replay_refuses_the_home_of_a_replay_from_another_period(project: Path, home: Home) -> None:
    write_state(home, ReplayState("2024-01-20"))
    told = refused(project, "replay", "--from", "2024-01-24", "--to", "2024-01-25")
    assert f"Found: a replay from 2024-01-20 in {home.folder}. Expected: a replay from 2024-01-24." in told


def test_a_replay_of_a_partition_that_does_not_exist(project: Path) -> None:
    told = refused(project, "replay", "--from", "2024-02-30", "--to", "2024-03-01")
    assert "2024-02-30" in told
    told = refused(project, "replay", "--from", "2024-02-10", "--to", "2024-03-01")
    assert "Found: --to 2024-03-01, for which 'orders_forecast' has no data." in told
    assert "Expected: a period from 2024-01-01 to 2024-02-29." in told
    assert not Home.find(project).folder.exists()


def test_a_replay_that_ends_before_it_begins(project: Path) -> None:
    told = refused(project, "replay", "--from", "2024-01-24", "--to", "2024-01-20")
    assert "Found: --to 2024-01-20 before --from 2024-01-24." in told
    assert not Home.find(project).folder.exists()  # or the corrected command would find another replay there


@pytest.mark.parametrize("command", [["replay", "--from", "2024-01-24", "--to", "2024-01-25"], ["dev"]])
def test_a_home_that_cannot_be_written(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path / "file" / "home"))
    told = refused(project, *command)
    assert told.startswith(f"Error: Found: the home {tmp_path}/file/home cannot be written (")
    assert told.endswith("What to do: set MLOPS_HOME to such a folder.")


@pytest.mark.parametrize("command", [["replay", "--from", "2024-01-24", "--to", "2024-01-25"], ["dev"]])
def test_too_little_disk(project: Path, home: Home, monkeypatch: pytest.MonkeyPatch, command: list[str]) -> None:
    shutil.rmtree(home.folder)
    monkeypatch.setenv("MLOPS_SMALLEST_FREE_MEGABYTES", "999999999")
    told = refused(project, *command)
    assert f"MB free on the disk of {home.folder}. Expected: at least 999999999 MB." in told


def test_a_port_in_use(project: Path) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        told = refused(project, "dev", "--port", str(port))
    assert told.startswith(f"Error: Found: port {port} is in use (")
    assert told.endswith("Expected: a free port. What to do: choose another with --port.")


def test_a_folder_that_cannot_be_written_for_a_new_project(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    told = refused(tmp_path, "init", str(tmp_path / "file" / "shop"))
    assert f"Found: {tmp_path / 'file' / 'shop'} cannot be written (" in told


def test_a_project_is_written_with_ordinary_permissions(project: Path) -> None:
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE((project / "pyproject.toml").stat().st_mode) == 0o666 & ~mask


def test_compact_says_what_it_did_and_that_nothing_is_left(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlops_assets_tests.lakehouse.shop import append, sales_table

    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    assert run(project, "compact").output == "all tables: nothing to compact\n"
    assert "Expected: one of: none was written yet." in refused(project, "compact", "sales")
    table = sales_table(Home(tmp_path / "home").prepare().folder / "lakehouse" / "tables" / "sales" / "source")
    for number in range(9):
        append(table, "2024-01", {"north": float(number)})
    assert run(project, "compact", "sales").output == "sales: 1 periods compacted, 9 files became 1\n"
    assert run(project, "compact", "sales").output == "sales: nothing to compact\n"
