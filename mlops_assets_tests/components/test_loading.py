"""Loading a code location."""

import gc
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.components.loading import partitions_of, while_the_clock_moves
from mlops_assets.components.private_dagster import private
from mlops_assets.definitions import platform_definitions
from mlops_assets.errors import PlatformError
from mlops_assets.lakehouse.home import Home
from mlops_assets.lakehouse.periods import Calendar
from mlops_assets.starter import write_project


@pytest.fixture(params=[True, False], ids=["on", "off"])
def collecting(request: pytest.FixtureRequest) -> Iterator[bool]:
    before = gc.isenabled()
    (gc.enable if request.param else gc.disable)()
    yield request.param
    (gc.enable if before else gc.disable)()


def test_garbage_collection_is_afterwards_as_it_was_before(
    collecting: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_project(tmp_path / "shop")
    monkeypatch.syspath_prepend(str(tmp_path / "shop"))
    platform_definitions(tmp_path / "shop" / "shop")
    assert gc.isenabled() is collecting


def test_garbage_collection_is_as_it_was_after_a_definition_that_is_refused(collecting: bool, tmp_path: Path) -> None:
    definition = tmp_path / "defs" / "sales" / "defs.yaml"
    definition.parent.mkdir(parents=True)
    definition.write_text("type: mlops_assets.Source\nattributes: {name: sales}\n")
    with pytest.raises(PlatformError):
        platform_definitions(tmp_path)
    assert gc.isenabled() is collecting


# Partitions end where the data does, and where a clock that stands has come to


MONTHS, WEEKS, DAYS = Calendar("month"), Calendar("week", "saturday"), Calendar("day")


@pytest.mark.parametrize(
    ("calendar", "first", "last", "running", "newest"),
    [
        (MONTHS, "2023-01", None, False, "2024-04"),
        (MONTHS, "2023-01", "2023-06", False, "2023-06"),
        (MONTHS, "2023-01", "2030-01", False, "2024-04"),
        (WEEKS, "2024-01-07", None, False, "2024-05-05"),
        (WEEKS, "2024-01-07", "2024-01-14", False, "2024-01-14"),
        (DAYS, "2024-01-01", None, False, "2024-05-14"),
        (DAYS, "2024-01-01", None, True, "2024-05-15"),
        (DAYS, "2024-01-01", "2024-05-10", True, "2024-05-10"),
    ],
)
def test_where_the_clock_stands_the_newest_partition_is_the_first_that_is_paged(
    home: Home, calendar: Calendar, first: str, last: str | None, running: bool, newest: str
) -> None:
    home.clock.set(datetime(2024, 5, 15, 12, tzinfo=UTC))
    end = calendar.at_key(last) if last else None
    made = partitions_of(calendar, calendar.at_key(first), end, running=running)
    assert made.get_last_partition_key() == made.get_partition_keys()[-1] == newest
    assert paged(made) == newest
    assert made.get_first_partition_key() == first


def test_of_data_that_ended_long_ago_the_last_partition_is_the_first_that_is_paged() -> None:
    made = partitions_of(DAYS, DAYS.at_key("2024-01-01"), DAYS.at_key("2024-02-29"))
    assert made.get_last_partition_key() == paged(made) == "2024-02-29"


def test_before_the_first_period_is_over_there_is_no_partition(home: Home) -> None:
    home.clock.set(datetime(2024, 1, 15, tzinfo=UTC))
    assert partitions_of(MONTHS, MONTHS.at_key("2024-01"), None).get_partition_keys() == []


def test_a_replay_asks_for_the_partitions_of_its_moments(home: Home) -> None:
    home.clock.set(datetime(2024, 1, 15, tzinfo=UTC))
    with while_the_clock_moves():
        made = partitions_of(DAYS, DAYS.at_key("2024-01-01"), DAYS.at_key("2024-02-29"))
    keys = made.get_partition_keys(current_time=datetime(2024, 2, 3, tzinfo=UTC))
    assert keys[-1] == "2024-02-02"
    assert made.get_last_partition_key() == "2024-02-29"


def paged(partitions: dg.TimeWindowPartitionsDefinition) -> str:
    """The first of what the user interface shows, from the newest backwards."""
    paging = "paging as the web server does"
    moment = private("dagster._core.definitions.temporal_context", "TemporalContext", paging)
    context = private("dagster._core.definitions.partitions.context", "PartitionLoadingContext", paging)
    present = moment(effective_dt=datetime.now(UTC), last_event_id=None)
    now = context(temporal_context=present, dynamic_partitions_store=None)
    return str(partitions.get_paginated_partition_keys(now, limit=3, ascending=False).results[0])
