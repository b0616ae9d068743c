"""One replay, backfill or migration of a home at a time, told by a lock that is gone with its process."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from mlops_assets.cli import main
from mlops_assets.errors import ConflictError
from mlops_assets.lakehouse.home import HOME_VARIABLE, Home
from mlops_assets.lakehouse.working_alone import who_works_alone, working_alone, working_beside
from mlops_assets.starter import write_project
from mlops_assets_tests import forks
from mlops_assets_tests.serving.running import until


def work_there(folder: Path, work: str) -> None:
    with working_alone(Home(folder), work):
        os.write(1, b"begun")
        time.sleep(600)


def write_there(folder: Path, work: str) -> None:
    with working_beside(Home(folder), work):
        os.write(1, b"begun")
        time.sleep(600)


@contextmanager
def elsewhere(home: Home, work: str, how: "object" = work_there) -> Iterator[forks.Command]:
    started = forks.start_work(how, home.folder, work)  # type: ignore[arg-type]
    try:
        until(lambda: started.printed == "begun" or started.poll() is not None, seconds=60)
        yield started
    finally:
        started.kill()
        started.wait(60)


def test_who_works_alone_is_named_and_forgotten_with_its_process(home: Home) -> None:
    assert who_works_alone(home) == ""
    with elsewhere(home, "a replay") as started:
        assert who_works_alone(home) == f"a replay (process {started.pid})"
        with pytest.raises(ConflictError) as refused, working_alone(home, "a backfill of 'trend'"):
            pass
        assert refused.value.found == f"a replay (process {started.pid}) at work in {home.folder}"
        assert refused.value.expected == "a home that a backfill of 'trend' has to itself"
        with pytest.raises(ConflictError), working_beside(home, "an ingestion"):
            pass
    assert who_works_alone(home) == ""
    with working_alone(home, "a replay"):
        assert who_works_alone(home) == "", "it is this process"


def test_those_who_work_beside_one_another_keep_out_who_would_be_alone(home: Home) -> None:
    with elsewhere(home, "a training", write_there), working_beside(home, "an ingestion"):
        assert who_works_alone(home) == ""
        with pytest.raises(ConflictError) as refused, working_alone(home, "a replay"):
            pass
        assert refused.value.found == f"another command that writes at work in {home.folder}"


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [["replay", "--from", "2024-01-24", "--to", "2024-01-25"], ["backfill", "order_trend"], ["ingest", "orders"]],
)
def test_a_command_beside_a_replay_is_refused_and_sensors_stand_aside(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    import dagster as dg

    from mlops_assets.definitions import platform_definitions

    write_project(tmp_path / "shop")
    other = Home(tmp_path / "other")
    monkeypatch.setenv(HOME_VARIABLE, str(other.folder))
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "shop")])
    with elsewhere(other, "a replay") as started:
        refused = CliRunner().invoke(main, ["--project", str(tmp_path / "shop"), *command])
        assert refused.exit_code == 1
        assert f"Found: a replay (process {started.pid}) at work in {other.folder}." in refused.output
        definitions = platform_definitions(tmp_path / "shop" / "shop")
        with dg.DagsterInstance.ephemeral() as instance:
            for name in ("publisher", "deliveries", "retrain_policy", "promotions", "automation_conditions"):
                context = dg.build_sensor_context(instance=instance, sensor_name=name, definitions=definitions)
                ticked = definitions.resolve_sensor_def(name).evaluate_tick(context)
                assert ticked.skip_message == f"a replay (process {started.pid}) is at work", name
                assert not ticked.run_requests
