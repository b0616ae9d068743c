"""An application pushes over HTTP, the server is killed after its answer, and every row counts once and at its time."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mlops_assets.client import Client
from mlops_assets.errors import AnswerError
from mlops_assets.lakehouse.home import HOME_VARIABLE, Home
from mlops_assets.platform import Platform
from mlops_assets.project.folder import find_project
from mlops_assets.starter import write_project
from mlops_assets_tests.serving.running import served

pytestmark = pytest.mark.slow
DEFS = """
type: mlops_assets.Source
attributes:
  name: sales
  description: Sales as tills report them
  primary_keys: [shop]
  timestamp: sold_at
  period: day
  first_period: 2024-02-29
  publication_lag: 1 hours
  online: true
  push: {}
  columns:
    shop: {type: string, description: Shop}
    sold_at: {type: timestamp, description: When}
    units: {type: bigint, description: Units sold, nullable: false, minimum: 0}
---
type: mlops_assets.FeatureTable
attributes:
  name: daily
  description: Units of a day
  primary_keys: [shop]
  timestamp: day
  sql: daily.sql
  history: 1 days
  online: true
  columns:
    shop: {type: string, description: Shop}
    day: {type: date, description: Day}
    units: {type: bigint, description: Units of the day}
"""
SQL = "SELECT shop, CAST(sold_at AS DATE) AS day, CAST(sum(units) AS BIGINT) AS units FROM sales GROUP BY ALL\n"


class Live:
    """The project's code location on a real instance, ticked by hand."""

    def __init__(self, project: Path, home: Home, instance: dg.DagsterInstance) -> None:
        from mlops_assets.components.loading import while_the_clock_moves
        from mlops_assets.definitions import platform_definitions

        with while_the_clock_moves():
            self.definitions = platform_definitions(project / "shop")
        self.platform = Platform.of(find_project(project).read(), home)
        self.instance = instance
        self.seen: str | None = None
        self.conditions: Any = None

    def carry_on(self, at: datetime) -> list[tuple[str, str]]:
        """Start what sensor and conditions find due, until nothing is; what they started, but publishing."""
        self.platform.home.clock.set(at)
        sensor = self.definitions.resolve_sensor_def("deliveries")
        context = dg.build_sensor_context(
            instance=self.instance, cursor=self.seen, sensor_name="deliveries", definitions=self.definitions
        )
        ticked = sensor.evaluate_tick(context)
        self.seen = ticked.cursor
        requests: list[Any] = list(ticked.run_requests or [])
        started = [(request.asset_selection[0].to_user_string(), request.partition_key) for request in requests]
        for name, key in started:
            self.run(name, key)
        while asked := self._asked():
            for name, key in asked:
                self.run(name, key)
            started += [one for one in asked if not one[0].endswith("_online")]
        return started

    def run(self, name: str, key: str) -> None:
        job = self.definitions.resolve_implicit_global_asset_job_def()
        asset = dg.AssetKey(name.split("/"))
        done = job.execute_in_process(
            instance=self.instance, partition_key=key, asset_selection=[asset], raise_on_error=True
        )
        assert done.success

    def _asked(self) -> list[tuple[str, str]]:
        evaluated = dg.evaluate_automation_conditions(
            self.definitions, self.instance, evaluation_time=self.platform.clock.now(), cursor=self.conditions
        )
        self.conditions = evaluated.cursor
        return [
            (name, key)
            for name in ("daily", "sales/sales_online", "daily/daily_online")
            for key in sorted(map(str, evaluated.get_requested_partitions(dg.AssetKey(name.split("/")))))
        ]


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Live]:
    project = tmp_path / "shop"
    write_project(project)
    shutil.rmtree(project / "shop" / "defs")
    (project / "shop" / "defs").mkdir()
    (project / "shop" / "defs" / "defs.yaml").write_text(DEFS, encoding="utf-8")
    (project / "shop" / "defs" / "daily.sql").write_text(SQL, encoding="utf-8")
    home = Home(tmp_path / "home").prepare()
    monkeypatch.setenv(HOME_VARIABLE, str(home.folder))
    monkeypatch.setenv("DAGSTER_HOME", str(home.dagster))
    monkeypatch.syspath_prepend(str(project))
    home.dagster.mkdir(parents=True)
    with dg.DagsterInstance.ephemeral(tempdir=str(home.dagster)) as instance:
        yield Live(project, home, instance)


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2024, 3, day, hour, minute, tzinfo=UTC)


def sale(shop: str, moment: datetime, units: int) -> dict[str, object]:
    return {"shop": shop, "sold_at": moment, "units": units}


def test_what_is_pushed_is_served_at_once_and_its_features_when_the_day_is_over(live: Live) -> None:
    platform, project = live.platform, live.platform.project.folder.parent.parent
    platform.home.clock.set(at(1, 12))
    token = platform.tokens.create("till", ("application",), None, at(1, 12))
    assert live.carry_on(datetime(2024, 2, 29, 12, tzinfo=UTC)) == []
    assert live.carry_on(at(1, 12)) == [("sales", "2024-02-29"), ("daily", "2024-02-29")]  # nobody pushed yet
    first = [sale("north", at(1, 11), 3), sale("south", at(1, 11), 5)]
    with served(project, platform.home.folder) as server, Client(server.url, token) as client:
        answered = client.push("sales", first, idempotency_key="batch 1")
        server.process.kill()
    assert answered == {"source": "sales", "rows": 2, "periods": ["2024-03-01"], "repeated": False}

    with served(project, platform.home.folder) as server, Client(server.url, token) as client:

        def units(table: str) -> list[object]:
            found = client.features([{"shop": "north"}], lookups=[{"table": table, "features": ["units"]}])
            return [row.features["units"] for row in found.rows]

        assert client.push("sales", first, idempotency_key="batch 1")["repeated"]
        assert live.carry_on(at(1, 12, 1)) == [("sales", "2024-03-01")]
        assert units("sales") == [3]
        client.push("sales", [sale("north", at(1, 12), 4)], idempotency_key="batch 2")
        client.push("sales", [sale("north", at(1, 12), 6)], idempotency_key="batch 3")
        assert live.carry_on(at(1, 12, 2)) == [("sales", "2024-03-01")]
        assert units("sales") == [6]

        assert live.carry_on(at(2, 0, 59)) == []  # the day's lag has not passed
        assert live.carry_on(at(2, 1)) == [("daily", "2024-03-01")]
        assert units("daily") == [9]

        # A day without rows holds nothing up; a late row corrects the day that it is of.
        assert live.carry_on(at(3, 1)) == [("sales", "2024-03-02"), ("daily", "2024-03-02")]
        client.push("sales", [sale("north", at(1, 23), 10)], idempotency_key="batch 4")
        assert live.carry_on(at(3, 2)) == [("sales", "2024-03-01"), ("daily", "2024-03-01")]
        assert units("daily") == [19]
        assert live.carry_on(at(3, 3)) == []

        platform.tokens.revoke("till", at(3, 3))  # and the server, another process, knows it at once
        with pytest.raises(AnswerError, match="unknown, revoked or expired"):
            client.push("sales", [sale("north", at(3, 1), 1)])
    known = platform.engine.known_at(platform.table("daily"), at(2, 1)).to_pylist()
    assert [(row["shop"], row["units"]) for row in known] == [("north", 9), ("south", 5)]
