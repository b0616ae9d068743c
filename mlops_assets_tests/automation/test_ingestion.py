"""The sensor of deliveries over databases, and what a run that cannot read one leaves behind."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mlops_assets.automation.ingestion import delivery_sensor
from mlops_assets.components.loading import while_the_clock_moves
from mlops_assets.components.source import source_asset
from mlops_assets.lakehouse.home import Home
from mlops_assets_tests.sources.small_project import Shop, csv_of, platform_of, sales_yaml

VARIABLE = "SALES_DATABASE_URL"
TABLE = f"database: {{url_variable: {VARIABLE}, table: sales}}"


@pytest.fixture
def shop(home: Home) -> Shop:
    return Shop(platform_of(home, sales_yaml(TABLE, "last_period: 2024-12")))


def tick(shop: Shop, at: datetime, cursor: str | None = None) -> Any:
    shop.platform.home.clock.set(at)
    project = shop.platform.project
    sensor = delivery_sensor(project)
    definitions = dg.Definitions(
        [source_asset(project, source) for source in project.sources.values()], sensors=[sensor]
    )
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_sensor_context(
            instance=instance, cursor=cursor, sensor_name=sensor.name, definitions=definitions
        )
        return sensor.evaluate_tick(context)


def test_the_sensor_asks_for_what_is_due_and_remembers_that_it_did(shop: Shop) -> None:
    assert not tick(shop, datetime(2024, 1, 31, 23, tzinfo=UTC)).run_requests
    first = tick(shop, datetime(2024, 3, 1, tzinfo=UTC))
    assert [(request.partition_key, request.asset_selection) for request in first.run_requests] == [
        ("2024-01", [dg.AssetKey("sales")]),
        ("2024-02", [dg.AssetKey("sales")]),
    ]
    again = tick(shop, datetime(2024, 3, 1, 12, tzinfo=UTC), first.cursor)
    assert not again.run_requests
    assert again.skip_message == "no file arrived or changed, no period is due"
    next_day = tick(shop, datetime(2024, 3, 2, tzinfo=UTC), again.cursor)
    keys = [{request.run_key for request in ticked.run_requests} for ticked in (first, next_day)]
    assert len(keys[1]) == 2 and not keys[0] & keys[1]
    assert json.loads(next_day.cursor).keys() == {"sales"}


def test_files_and_databases_of_one_project_are_both_seen(home: Home) -> None:
    visits = sales_yaml().replace("name: sales", "name: visits")
    platform = platform_of(home, sales_yaml(TABLE), visits)
    Shop(platform, "visits").land("2024-01", csv_of(["north,2024-01-01,1"]))
    requests = tick(Shop(platform), datetime(2024, 2, 1, tzinfo=UTC)).run_requests
    assert {str(request.asset_selection[0].to_user_string()) for request in requests} == {"sales", "visits"}


def test_a_run_that_cannot_read_its_database_says_so_without_the_url(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(VARIABLE, "postgresql://keeper:s3cret-word@localhost:1/shop?application_name=example.org")
    with while_the_clock_moves():
        asset = source_asset(shop.platform.project, shop.source)
    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path / "dagster")) as instance:
        done = dg.materialize([asset], instance=instance, partition_key="2024-01", raise_on_error=False)
        told = "".join(str(entry) for entry in instance.all_logs(done.run_id))
    assert not done.success
    assert f"whose URL is in {VARIABLE}, cannot be reached" in told
    assert [secret for secret in ("s3cret-word", "keeper", "example.org") if secret in told] == []


def test_where_rows_come_from_is_shown_without_the_url(shop: Shop) -> None:
    (spec,) = source_asset(shop.platform.project, shop.source).specs
    assert spec.metadata["comes from"] == f"sales of the database in {VARIABLE}"
    assert "sql" in spec.kinds
