"""A home that an earlier release left: refused everywhere, migrated whole however often it is killed, and then used."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from mlops_assets.cli import main
from mlops_assets.errors import UnusableEnvironmentError
from mlops_assets.lakehouse import formats, write_points
from mlops_assets.lakehouse.delta import table_format
from mlops_assets.lakehouse.home import HOME_VARIABLE, Home
from mlops_assets.notebook import Project
from mlops_assets.operations.in_process import open_instance
from mlops_assets.operations.migration import running
from mlops_assets.operations.migration.backup import STATE_FILE
from mlops_assets.operations.migration.steps import STEPS
from mlops_assets.serving.app import create_app
from mlops_assets.serving.settings import ServingSettings
from mlops_assets.storage.opening import storage_at
from mlops_assets_tests.end_to_end.replaying import data_versions
from mlops_assets_tests.homes.make_home import KEYS, MODEL
from mlops_assets_tests.local_paths import path_of
from mlops_assets_tests.operations.migration.old_homes import OldHome, contents
from mlops_assets_tests.serving.running import until

COMMANDS = (
    ["check"],
    ["plan"],
    ["compact"],
    ["generations", "order_trend"],
    ["corrections", "orders"],
    ["quarantine", "list", "orders"],
    ["quarantine", "replay", "orders"],
    ["backfill", "order_trend"],
    ["replay", "--from", "2024-01-24", "--to", "2024-01-28"],
    ["models", "list"],
    ["models", "train", MODEL, "2024-01-27"],
    ["features", "show", "order_trend"],
    ["tokens", "list"],
    ["tokens", "create", "somebody", "--role", "reader"],
    ["serve", "--port", "0"],
    ["dev"],
)


def run(old: OldHome, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["--project", str(old.project), *arguments])


def words(home: Home) -> str:
    return (
        f"Found: the home {home.folder} in format 1, of an earlier release. Expected: a home in format {formats.HOME}. "
        "What to do: run `mlops-assets migrate`, with --dry-run to see what it will do; a backup is made first."
    )


def test_every_command_refuses_a_home_that_was_not_migrated_and_leaves_it_as_it_was(old: OldHome) -> None:
    before = contents(old.home.folder)
    refusals = {" ".join(command): run(old, *command) for command in COMMANDS}
    assert {name: (done.exit_code, done.output) for name, done in refusals.items()} == {
        name: (1, f"Error: {words(old.home)}\n") for name in refusals
    }
    assert contents(old.home.folder) == before


def test_notebooks_and_the_server_refuse_it(old: OldHome) -> None:
    for opened in (lambda: Project.open(old.project), lambda: create_app(old.platform, ServingSettings())):
        with pytest.raises(UnusableEnvironmentError) as refused:
            opened()
        assert str(refused.value) == words(old.home)


@pytest.mark.slow
def test_sensors_and_assets_refuse_it(old: OldHome, monkeypatch: pytest.MonkeyPatch) -> None:
    import dagster as dg

    from mlops_assets.definitions import platform_definitions

    monkeypatch.syspath_prepend(str(old.project))
    definitions, before = platform_definitions(old.project / "shop"), contents(old.home.folder)
    with dg.DagsterInstance.ephemeral() as instance:
        for sensor in ("deliveries", "retrain_policy"):
            with pytest.raises(Exception, match="in format 1, of an earlier release") as refused:
                context = dg.build_sensor_context(instance=instance, sensor_name=sensor, definitions=definitions)
                definitions.resolve_sensor_def(sensor).evaluate_tick(context)
            assert "run `mlops-assets migrate`" in str(refused.value.__cause__ or refused.value)
        for key, period in ((["orders"], "2024-01-27"), ([MODEL, "candidate"], "2024-01-27")):
            with pytest.raises(Exception, match="format 1, of an earlier release|resource_fn") as refused:
                definitions.resolve_implicit_global_asset_job_def().execute_in_process(
                    instance=instance, partition_key=period, asset_selection=[dg.AssetKey(key)]
                )
            assert "run `mlops-assets migrate`" in str(refused.value.__cause__ or refused.value)
    assert contents(old.home.folder) == before


def test_a_dry_run_says_what_would_be_done_and_does_nothing(old: OldHome) -> None:
    before = contents(old.folder)
    done = run(old, "migrate", "--dry-run")
    assert contents(old.folder) == before
    first, tables, deliveries, clock, mlflow, replay, dagster = done.output.splitlines()
    assert first == f"{old.home.folder}: from format 1 to {formats.HOME}"
    assert tables.startswith("would give each table the number of its format: 18 (order_trend/6617c2bf3bf40561, ")
    assert tables.endswith(" and 15 more)")
    assert deliveries.startswith("would give each delivery the number of its format: 28 (lakehouse/deliveries/orders/")
    assert clock.endswith(": 2 (clock.json, replay.json)")
    assert mlflow.startswith("would let MLflow look for its files where the home is now: 1 (files that lay in /")
    assert replay == "would let a replay go on under the new name of the sensor of conditions: 1 (replay.json)"
    assert dagster == "would let Dagster go on under the new name of the sensor of conditions: 0"


def test_a_home_that_is_migrated_or_empty_has_nothing_to_do(old: OldHome, home: Home) -> None:
    assert run(old, "migrate").exit_code == 0
    before = contents(old.home.folder)
    assert run(old, "migrate").output == f"{old.home.folder}: in format {formats.HOME}, nothing to do\n"
    assert contents(old.home.folder) == before
    assert running.plan(home) == []


@pytest.mark.slow
def test_what_was_true_of_a_home_is_true_of_it_migrated_and_it_goes_on(
    old: OldHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(old.home.dagster))
    monkeypatch.syspath_prepend(str(old.project))
    done = run(old, "migrate")
    assert done.exit_code == 0, done.output
    assert_true(old)
    shutil.rmtree(old.folder / "home.backup-format-1")
    done = run(old, "replay", "--from", "2024-01-24", "--to", "2024-01-28")
    assert done.exit_code == 0, done.output
    assert data_versions(old.home) != old.truth["data_versions"]
    listed = run(old, "models", "list").output
    assert listed == f"{MODEL}: champion version 2, previous version 1; 2 versions\n"


@pytest.mark.slow
def test_sensors_of_a_home_of_format_2_go_on_from_their_cursors_under_their_new_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kill_at: Callable[[int], None]
) -> None:
    old = OldHome.unpack(2, tmp_path)
    monkeypatch.setenv(HOME_VARIABLE, str(old.home.folder))
    monkeypatch.setenv("DAGSTER_HOME", str(old.home.dagster))
    before, replayed = cursors(old.home), kept_cursors(old.home)
    for write in range(1, 5):  # of the backup, of the replay's state, of the new sensor and of the old one
        kill_at(write if write == 1 else 1)
        with pytest.raises(Killed):
            running.migrate(old.home)
    kill_at(1_000)
    running.migrate(old.home)

    expected = {("automation_conditions" if name == "carry_on" else name): at for name, at in before.items()}
    assert before["carry_on"] and cursors(old.home) == expected
    assert kept_cursors(old.home)["automation_conditions"] == replayed["carry_on"]
    assert_true(old)


def cursors(home: Home) -> dict[str, str | None]:
    """The cursor that Dagster keeps of each sensor of a home."""
    with open_instance(home) as instance:
        states = instance.all_instigator_state()
    return {one.instigator_name: getattr(one.instigator_data, "cursor", None) for one in states}


def kept_cursors(home: Home) -> dict[str, str]:
    """The cursors of a replay."""
    cursors: dict[str, str] = json.loads((home.folder / "replay.json").read_bytes())["cursors"]
    return cursors


def assert_true(old: OldHome) -> None:
    """What was recorded of the home before it was migrated holds."""
    assert data_versions(old.home) == old.truth["data_versions"]
    platform, token = old.platform, old.truth["application_token"]
    now = platform.clock.now()
    assert sorted(record.name for record in platform.tokens.records().values() if record.valid(now)) == [
        "application",
        "approver",
    ]
    assert [(approval.version, approval.by) for approval in platform.approvals.of(MODEL)] == [(2, "approver")]
    assert len(platform.pushed.waiting("visits", "2024-01-28").rows) == 1
    assert '"units": "-213"' in run(old, "quarantine", "list", "orders").output
    assert len(run(old, "generations", "order_trend", "--format", "json").output.split('"definition"')) == 3
    from fastapi.testclient import TestClient

    app = create_app(platform, ServingSettings())
    with TestClient(app, headers={"Authorization": f"Bearer {token}"}) as client:
        until(lambda: "being loaded" not in client.get("/readyz").text)
        answer = client.post(f"/v1/models/{MODEL}/predict", json={"rows": KEYS}).json()
        asked = client.post("/v1/features", json={"rows": KEYS, "model": MODEL}).json()
    assert answer["version"] == old.truth["champion"]
    assert [row["prediction"] for row in answer["rows"]] == old.truth["predictions"]
    assert [row["features"] for row in asked["rows"]] == old.truth["features"]


class Killed(BaseException):
    """What a test throws in place of a signal; nothing of ours catches it."""


@pytest.fixture
def kill_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let the process "die" at a write, counted from now on."""

    def kill(process: int, number: int) -> None:
        raise Killed

    monkeypatch.setattr(os, "kill", kill)

    def set_(number: int) -> None:
        monkeypatch.setattr(write_points, "_count", 0)
        monkeypatch.setenv(write_points.KILL_AT_VARIABLE, str(number))

    return set_


@pytest.mark.slow
def test_a_migration_that_is_killed_at_every_write_and_run_again_ends_the_same(
    old: OldHome, unpacked: OldHome, tmp_path: Path, kill_at: Callable[[int], None]
) -> None:
    killed, backup = 0, old.folder / "home.backup-format-1"
    while True:
        kill_at(1 if backup.exists() else killed + 1)  # a backup that was killed is made anew
        try:
            running.migrate(old.home)
            break
        except Killed:
            killed += 1
            if formats.home_format(old.home.folder) != formats.present():
                with pytest.raises(UnusableEnvironmentError, match="run `mlops-assets migrate`"):
                    old.home.require_format()
    assert killed > 18 + 28 + 3, "each table, each delivery, clock and replay, its cursor, and the backup"
    whole = unpacked.copy(tmp_path / "whole")
    kill_at(1_000)
    running.migrate(whole.home)
    assert known(old.home) == known(whole.home)
    assert contents(backup) == contents(unpacked.home.folder)
    assert not list(old.folder.glob("*.partial"))


def known(home: Home) -> dict[str, Any]:
    """What of a home does not depend on when and where it was migrated."""
    same = {
        name: content
        for name, content in contents(home.folder).items()
        if "_delta_log" not in name and name != STATE_FILE and not name.startswith("mlflow/mlflow.db")
    }
    with sqlite3.connect(home.mlflow / "mlflow.db") as database:
        rows = database.execute("SELECT artifact_location FROM experiments WHERE experiment_id > 0").fetchall()
    numbers = {log.parent: table_format(storage_at(log.parent)) for log in path_of(home.tables).rglob("_delta_log")}
    return {
        **same,
        "tables": data_versions(home),
        "numbers": sorted(map(str, numbers.values())),
        "commits": sorted(len(list(folder.glob("_delta_log/*.json"))) for folder in numbers),
        "mlflow": [row[0].replace(str(home.folder), "HOME") for row in rows],
    }


def test_what_a_migration_left_that_was_killed_at_its_very_end_is_not_taken_for_the_next_ones(old: OldHome) -> None:
    stale = old.folder / "stale"
    stale.mkdir()
    left = json.dumps({"format": 0, "backup": str(stale)})
    (old.home.folder / STATE_FILE).write_text(left, encoding="utf-8")
    running.migrate(old.home)
    assert (old.folder / "home.backup-format-1" / "lakehouse").is_dir() and not list(stale.iterdir())


@pytest.mark.slow
def test_the_command_goes_on_after_a_kill_and_makes_no_second_backup(old: OldHome, unpacked: OldHome) -> None:
    command = [sys.executable, "-m", "mlops_assets", "--project", str(old.project), "migrate"]
    killed = subprocess.run(command, env={**os.environ, write_points.KILL_AT_VARIABLE: "20"}, check=False)
    assert killed.returncode == -signal.SIGKILL
    done = run(old, "migrate")
    backup = old.folder / "home.backup-format-1"
    assert f"backup: {backup}, made before\n" in done.output
    assert [path.name for path in sorted(old.folder.iterdir()) if "home" in path.name] == ["home", backup.name]
    assert contents(backup) == contents(unpacked.home.folder)


def test_a_backup_in_the_place_of_the_home_is_the_home_as_it_was(old: OldHome, unpacked: OldHome) -> None:
    running.migrate(old.home)
    old.home.clock.set(old.home.clock.now())  # work goes on in what shares its files with the backup
    run(old, "tokens", "create", "another", "--role", "reader")
    shutil.rmtree(old.home.folder)
    (old.folder / "home.backup-format-1").rename(old.home.folder)
    assert contents(old.home.folder) == contents(unpacked.home.folder)
    running.migrate(old.home)
    assert data_versions(old.home) == old.truth["data_versions"]


def test_a_backup_copies_what_is_changed_in_its_place_and_shares_the_rest(old: OldHome) -> None:
    told = list[str]()
    (old.home.folder / "landing" / "elsewhere").symlink_to(old.folder / "shop")
    running.migrate(old.home, old.folder / "safe" / "backup", told.append)
    backup = old.folder / "safe" / "backup"
    assert told[0].startswith(f"backup: {backup} (") and told[0].endswith(" files shared with the home)")
    assert (backup / "landing" / "elsewhere").readlink() == old.folder / "shop"
    file = next(path_of(old.home.tables).rglob("*.parquet")).relative_to(old.home.folder)
    assert (old.home.folder / file).samefile(backup / file)
    for name in ("trail/tokens.jsonl", "online.sqlite", "mlflow/mlflow.db", "lakehouse/pushed/visits.sqlite"):
        assert not (old.home.folder / name).samefile(backup / name)
    secret = "trail/tokens.jsonl"
    assert (backup / secret).stat().st_mode == (old.home.folder / secret).stat().st_mode


def test_where_nothing_can_be_shared_all_is_copied(old: OldHome, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    before, told = contents(old.home.folder), list[str]()
    running.migrate(old.home, report=told.append)
    assert "0 files shared" in told[0]
    assert contents(old.folder / "home.backup-format-1") == before


@pytest.mark.parametrize(
    ("backup", "found"),
    [
        ("shop", "{folder}/shop, which is there"),
        ("home/backup", "a backup in the home itself ("),
        ("shop/README.md/backup", "a backup that cannot be written to {folder}/shop/README.md/backup (File exists)"),
    ],
)
def test_a_backup_that_cannot_be_is_refused_before_anything_is_changed(old: OldHome, backup: str, found: str) -> None:
    before = contents(old.home.folder)
    done = run(old, "migrate", "--backup", str(old.folder / backup))
    assert (done.exit_code, found.format(folder=old.folder) in done.output) == (1, True), done.output
    assert contents(old.home.folder) == before
    assert run(old, "migrate").exit_code == 0


def test_a_disk_without_room_for_the_backup_is_named(old: OldHome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(9, 8, 1_000_000))
    with pytest.raises(UnusableEnvironmentError) as refused:
        running.migrate(old.home)
    assert refused.value.found == f"1 MB free on the disk of {old.folder}"
    assert refused.value.expected.endswith(" MB for a backup of the home")
    assert refused.value.cure.endswith("--backup")


def test_of_two_migrations_one_is_refused(old: OldHome) -> None:
    def report(words: str) -> None:
        with pytest.raises(UnusableEnvironmentError) as refused:
            running.migrate(old.home)
        assert refused.value.found == f"another migration of {old.home.folder}, which is at work"

    running.migrate(old.home, report=report)
    assert old.home.require_format()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="NOT RUN: needs Linux, which says who has a file open")
def test_a_home_that_somebody_works_in_is_not_migrated(old: OldHome) -> None:
    with (old.home.folder / "online.sqlite").open() as opened:
        server = subprocess.Popen(["sleep", "100"], stdin=opened)
    try:
        done = run(old, "migrate")
    finally:
        server.kill()
        server.wait()
    assert f"Found: process {server.pid} (sleep 100) at work in {old.home.folder}. " in done.output
    assert "Expected: a home that no server, replay or user interface uses. " in done.output
    assert not list(old.folder.glob("*backup*"))
    assert run(old, "migrate").exit_code == 0


def test_a_home_of_a_newer_release_names_the_release_and_is_not_migrated(old: OldHome) -> None:
    (old.home.folder / "format.json").write_text('{"format": 9, "release": "0.9.1"}', encoding="utf-8")
    for command in (["models", "list"], ["migrate"], ["migrate", "--dry-run"]):
        done = run(old, *command)
        assert done.exit_code == 1
        assert done.output == (
            f"Error: Found: the home {old.home.folder} in format 9, written by mlops-assets 0.9.1. "
            f"Expected: a home up to format {formats.HOME}: this is mlops-assets {formats.release()}. "
            "What to do: use release 0.9.1 or a newer one.\n"
        )


def test_a_table_that_is_copied_from_a_home_that_was_not_migrated_is_refused(old: OldHome, unpacked: OldHome) -> None:
    running.migrate(old.home)
    table = path_of(old.home.tables) / "order_trend" / "66d3a22103211fc4"
    shutil.rmtree(table)
    shutil.copytree(path_of(unpacked.home.tables / "order_trend" / "66d3a22103211fc4"), table)
    with pytest.raises(UnusableEnvironmentError) as refused:
        old.platform.table("order_trend").states()
    assert refused.value.found == f"the table {table} without the number of a format"
    assert refused.value.cure == (
        "run `mlops-assets migrate` in the home that it comes from; what is copied from one home into another is "
        "migrated there first"
    )


def test_steps_stand_in_the_order_of_the_formats_that_they_lead_to() -> None:
    numbers = [step.to for step in STEPS]
    assert numbers == sorted(numbers) and numbers[-1] <= formats.HOME
    assert set(range(2, formats.HOME + 1)) == set(numbers)
