"""Sensors, conditions and the schedule on a real instance: once for each reason, however often they tick."""

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mlops_assets.errors import MissingDataError
from mlops_assets.features.online.publishing import publish
from mlops_assets.features.online.store import open_store
from mlops_assets.lakehouse.home import HOME_VARIABLE, Home
from mlops_assets.models.records import candidate_of_version, present_champion
from mlops_assets.monitoring.policy_history import policy_history
from mlops_assets.monitoring.retrain_policy import History, RetrainDecision, decide
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ModelDefinition
from mlops_assets.project.load import load_project
from mlops_assets.project.model_parts import RetrainPolicy
from mlops_assets_tests import staleness
from mlops_assets_tests.conftest import Lived
from mlops_assets_tests.local_paths import path_of

pytestmark = pytest.mark.slow
NEXT_DAY = "2024-01-28"
CANDIDATE = dg.AssetKey(["orders_forecast", "candidate"])


@dataclass
class Shop:
    """A code location on a home and its instance."""

    definitions: dg.Definitions
    platform: Platform
    instance: dg.DagsterInstance

    def tick(self, name: str, cursor: str | None = None) -> Any:
        sensor = self.definitions.resolve_sensor_def(name)
        context = dg.build_sensor_context(
            instance=self.instance, cursor=cursor, sensor_name=name, definitions=self.definitions
        )
        return sensor.evaluate_tick(context)

    def run(self, request: Any) -> dg.ExecuteInProcessResult:
        return self.definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=self.instance,
            partition_key=request.partition_key,
            asset_selection=list(request.asset_selection),
            tags=request.tags,
            raise_on_error=False,
        )


def open_shop(lived: Lived, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    monkeypatch.setenv(HOME_VARIABLE, str(lived.home.folder))
    monkeypatch.setenv("DAGSTER_HOME", str(lived.home.dagster))
    monkeypatch.syspath_prepend(str(lived.project))
    package = lived.project / "shop"
    with dg.DagsterInstance.get() as instance:
        yield Shop(definitions_in(package), Platform.of(load_project(package / "defs"), lived.home), instance)


@cache
def definitions_in(package: Path) -> dg.Definitions:
    from mlops_assets.components.loading import while_the_clock_moves
    from mlops_assets.definitions import platform_definitions

    with while_the_clock_moves():
        return platform_definitions(package)


def on_a_home_of_its_own(lived: Lived, folder: Path) -> Lived:
    """The lived project as it stands, which is read once for all tests, and a home to write to."""
    return replace(lived, home=Home(shutil.copytree(lived.home.folder, folder)))


@pytest.fixture
def shop(lived: Lived, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    yield from open_shop(on_a_home_of_its_own(lived, tmp_path / "copy"), monkeypatch)


def arrive(shop: Shop) -> Any:
    """Let the next day's file be published, and tick the sensor that sees it."""
    shop.platform.home.clock.set(datetime(2024, 1, 29, 6, tzinfo=UTC))
    seen = shop.tick("deliveries").cursor
    assert f"{NEXT_DAY}.csv" in shop.tick("publisher").skip_message
    return shop.tick("deliveries", seen)


def test_the_publisher_writes_what_is_due_and_starts_nothing(shop: Shop) -> None:
    assert shop.tick("publisher").skip_message == "nothing is due"
    shop.platform.home.clock.set(datetime(2024, 1, 29, 5, 59, tzinfo=UTC))
    assert shop.tick("publisher").skip_message == "nothing is due"
    shop.platform.home.clock.set(datetime(2024, 1, 29, 6, tzinfo=UTC))
    ticked = shop.tick("publisher")
    assert f"{NEXT_DAY}.csv" in ticked.skip_message
    assert not ticked.run_requests


def test_a_delivery_is_asked_for_once_for_each_content(shop: Shop) -> None:
    arrived = arrive(shop)
    assert [(request.partition_key, request.asset_selection) for request in arrived.run_requests] == [
        (NEXT_DAY, [dg.AssetKey("orders")])
    ]
    again = shop.tick("deliveries", arrived.cursor)
    assert not again.run_requests
    file = shop.platform.home.landing / "orders" / f"{NEXT_DAY}.csv"
    file.write_text(file.read_text(encoding="utf-8").replace("north,alpha,", "north,alpha,1"), encoding="utf-8")
    changed = shop.tick("deliveries", again.cursor)
    assert [request.partition_key for request in changed.run_requests] == [NEXT_DAY]
    assert changed.run_requests[0].run_key != arrived.run_requests[0].run_key


def test_a_content_that_comes_back_after_another_is_asked_for_again(shop: Shop) -> None:
    arrived = arrive(shop)
    (first,) = arrived.run_requests
    assert shop.run(first).success
    file = shop.platform.home.landing / "orders" / f"{NEXT_DAY}.csv"
    original = file.read_text(encoding="utf-8")
    file.write_text(original.replace("north,alpha,", "north,alpha,1"), encoding="utf-8")
    corrected = shop.tick("deliveries", arrived.cursor)
    (second,) = corrected.run_requests
    assert shop.run(second).success

    file.write_text(original, encoding="utf-8")
    taken_back = shop.tick("deliveries", corrected.cursor)
    (third,) = taken_back.run_requests
    assert len({first.run_key, second.run_key, third.run_key}) == 3
    assert shop.run(third).success
    assert len(shop.platform.deliveries.of("orders", NEXT_DAY)) == 3
    assert [request.run_key for request in shop.tick("deliveries", corrected.cursor).run_requests] == [third.run_key]


def test_files_that_are_not_named_by_a_period_are_left_alone(shop: Shop) -> None:
    seen = shop.tick("deliveries").cursor
    for name in ("notes.csv", "2024-13-01.csv", "2031-01-01.csv", "2024-01-28.csv.part"):
        (shop.platform.home.landing / "orders" / name).write_text("x\n", encoding="utf-8")
    ticked = shop.tick("deliveries", seen)
    assert not ticked.run_requests
    assert ticked.skip_message == (
        "no file arrived or changed, no period is due\norders passes over files in its landing folder: "
        "2024-01-28.csv.part ({called}); 2024-13-01.csv ({called}); "
        "2031-01-01.csv (it is after last_period, 2024-02-29); notes.csv ({called})"
    ).replace("{called}", "a file is called {period}.csv, such as 2024-01-01.csv")


def test_conditions_carry_a_new_period_to_all_that_follows_in_one_tick_and_rest_then(shop: Shop) -> None:
    def requested(cursor: Any) -> tuple[set[tuple[str, str]], Any]:
        evaluated = dg.evaluate_automation_conditions(
            shop.definitions, shop.instance, evaluation_time=shop.platform.clock.now(), cursor=cursor
        )
        keys = shop.definitions.resolve_asset_graph().toposorted_asset_keys
        return {
            (key.to_user_string(), str(partition))
            for key in keys
            for partition in evaluated.get_requested_partitions(key)
        }, evaluated.cursor

    _, cursor = requested(None)
    (request,) = arrive(shop).run_requests
    assert shop.run(request).success
    found, cursor = requested(cursor)
    steps = ("labels", "predictions", "performance", "drift_report", "attribution")
    tables = {("order_trend", NEXT_DAY), ("order_trend/order_trend_online", NEXT_DAY)}
    expected = {(f"orders_forecast/{step}", NEXT_DAY) for step in steps} | tables
    assert found == expected
    assert (
        shop.definitions.resolve_implicit_global_asset_job_def()
        .execute_in_process(
            instance=shop.instance,
            partition_key=NEXT_DAY,
            asset_selection=[dg.AssetKey.from_user_string(name) for name, _ in expected],
        )
        .success
    )
    found, cursor = requested(cursor)
    assert found == set()


def test_conditions_rest_while_nothing_happens_and_miss_nothing_that_does(shop: Shop) -> None:
    at_rest = "nothing happened since the last look"
    ticks = [shop.tick("automation_conditions")]
    for _ in range(3):
        ticks.append(shop.tick("automation_conditions", ticks[-1].cursor))
    assert not any(tick.run_requests for tick in ticks)
    assert [tick.skip_message == at_rest for tick in ticks] == [False, False, True, True]
    assert ticks[1].cursor == ticks[2].cursor == ticks[3].cursor
    assert shop.tick("automation_conditions").skip_message != at_rest  # its cursor was lost

    cursor = shop.tick("automation_conditions", ticks[3].cursor).cursor
    (request,) = arrive(shop).run_requests  # sets the clock to when a period is due
    came_due = shop.tick("automation_conditions", cursor)
    assert not came_due.run_requests and came_due.skip_message != at_rest
    cursor = came_due.cursor
    assert shop.run(request).success
    found = shop.tick("automation_conditions", cursor)
    asked = {(key.to_user_string(), run.partition_key) for run in found.run_requests for key in run.asset_selection}
    steps = ("labels", "predictions", "performance", "drift_report", "attribution")
    follow = {"order_trend", "order_trend/order_trend_online", *(f"orders_forecast/{step}" for step in steps)}
    assert asked == {(name, NEXT_DAY) for name in follow}
    assert shop.tick("automation_conditions", found.cursor).skip_message != at_rest


def test_the_policy_reads_a_model_s_history_again_only_once_it_may_have_changed(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []

    def reading(platform: Platform, model: ModelDefinition) -> History | None:
        read.append(model.name)
        return policy_history(platform, model)

    monkeypatch.setattr("mlops_assets.automation.retraining.policy_history", reading)
    first = shop.tick("retrain_policy")
    second = shop.tick("retrain_policy", first.cursor)
    assert (second.skip_message, second.cursor, len(read)) == (first.skip_message, first.cursor, 1)

    (request,) = arrive(shop).run_requests
    assert shop.run(request).success
    shop.tick("retrain_policy")
    assert len(read) == 2


def test_the_policy_says_in_words_why_it_does_not_retrain(shop: Shop) -> None:
    ticked = shop.tick("retrain_policy")
    assert not ticked.run_requests
    assert "orders_forecast: " in ticked.skip_message
    assert "cool-down" in ticked.skip_message


def test_a_person_s_request_is_recorded_and_starts_one_training(shop: Shop) -> None:
    job = shop.definitions.resolve_job_def("retrain")
    config = {"model": "orders_forecast", "reason": "new price list", "requested_by": "ana@example.com"}
    assert job.execute_in_process(
        instance=shop.instance, run_config={"ops": {"request_retrain": {"config": config}}}
    ).success

    (request,) = shop.tick("retrain_policy").run_requests
    (again,) = shop.tick("retrain_policy").run_requests
    assert request.run_key == again.run_key
    assert request.partition_key == "2024-01-27"
    assert request.tags["mlops/model"] == "orders_forecast"
    assert request.tags["mlops/reason"] == "new price list"
    assert request.tags["mlops/requested_by"] == "ana@example.com"
    assert shop.run(request).success
    assert not shop.tick("retrain_policy").run_requests
    event = shop.instance.get_latest_materialization_event(dg.AssetKey(["orders_forecast", "candidate"]))
    assert event is not None and event.asset_materialization is not None
    assert event.asset_materialization.metadata["mlops/reason"].value == "new price list"


def test_where_the_policy_falls_back_one_run_trains_registers_and_promotes_the_baseline(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = shop.platform.project.models["orders_forecast"]
    falling = replace(model.retrain, fallback="baseline")

    def as_if_beaten(policy: RetrainPolicy, history: History) -> RetrainDecision:
        worse = [replace(history.performance[-1], error=9.0)] * falling.persistence
        refused = [replace(record, passed=False) for record in history.trainings]
        own = [record for record in history.trainings if record.is_baseline]
        return decide(falling, replace(history, performance=worse, trainings=[*refused[:1], *own]))

    monkeypatch.setattr("mlops_assets.automation.retraining.decide", as_if_beaten)
    (request,) = shop.tick("retrain_policy").run_requests
    assert request.run_key == "orders_forecast|2024-01-27|fallback" and request.tags["mlops/baseline"] == "serves"
    assert shop.run(request).success
    champion = present_champion(shop.platform, model)
    assert champion is not None and champion.version == 2
    training = candidate_of_version(shop.platform, model, 2)
    assert (training.kind, training.template) == ("baseline", "seasonal_naive_regressor v1")
    assert training.reason.startswith("version 1 errs by 9 over its newest")
    checks = shop.instance.event_log_storage.get_latest_asset_check_execution_by_key(
        [key for key in shop.definitions.resolve_asset_graph().asset_check_keys if key.asset_key == CANDIDATE]
    )
    assert checks and {record.status.value for record in checks.values()} == {"SUCCEEDED"}


def test_a_request_for_a_model_that_does_not_exist_fails_in_words(shop: Shop) -> None:
    done = shop.definitions.resolve_job_def("retrain").execute_in_process(
        instance=shop.instance,
        run_config={"ops": {"request_retrain": {"config": {"model": "sales_forecast", "reason": "x"}}}},
        raise_on_error=False,
    )
    assert not done.success
    (failure,) = [event for event in done.all_events if event.event_type_value == "STEP_FAILURE"]
    told = failure.step_failure_data.user_failure_data
    assert told is not None
    assert "Found: model 'sales_forecast'. Expected: one of: orders_forecast." in str(told.description)


def test_the_schedule_reports_what_is_overdue_and_starts_nothing_else(shop: Shop) -> None:
    schedule = shop.definitions.resolve_schedule_def("overdue")

    def evaluate() -> Any:
        context = dg.build_schedule_context(
            instance=shop.instance, scheduled_execution_time=datetime(2024, 2, 10, 6, tzinfo=UTC)
        )
        return schedule.evaluate_tick(context)

    assert evaluate().skip_message == "nothing is overdue or stale"
    stray = shop.platform.home.landing / "orders" / "Orders.CSV"
    stray.write_text("x", encoding="utf-8")
    assert len(evaluate().run_requests) == 1
    job = shop.definitions.resolve_job_def("report_overdue")
    told = [event.message for event in shop.instance.all_logs(job.execute_in_process(instance=shop.instance).run_id)]
    assert any(words.startswith("orders passes over files in its landing folder: Orders.CSV") for words in told)
    stray.unlink()
    shop.platform.home.clock.set(datetime(2024, 2, 6, tzinfo=UTC))
    assert len(evaluate().run_requests) == 1
    done = shop.definitions.resolve_job_def("report_overdue").execute_in_process(instance=shop.instance)
    observed = [
        event.asset_observation_data.asset_observation
        for event in done.all_events
        if event.event_type_value == "ASSET_OBSERVATION"
    ]
    assert [item.partition for item in observed] == ["2024-02-01"]
    assert observed[0].description == (
        "orders 2024-02-01 is overdue: due 2024-02-02; for it wait: order_trend, orders_forecast"
    )


def test_a_version_that_needs_approval_waits_as_challenger(
    lived: Lived, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow  # noqa: TID253

    from mlops_assets.models.records import promotions
    from mlops_assets.models.registry import open_registry

    copy = lived.copy(tmp_path / "copy")
    model_file = copy.project / "shop" / "defs" / "orders_forecast" / "defs.yaml"
    model_file.write_text(model_file.read_text(encoding="utf-8") + "  approval: required\n", encoding="utf-8")
    for shop in open_shop(copy, monkeypatch):
        (model,) = shop.platform.project.models.values()
        before = promotions(shop.platform, model)
        keys = [dg.AssetKey([model.name, step]) for step in ("training_set", "candidate", "version", "champion")]
        for record in ("version", "transition"):
            shutil.rmtree(path_of(shop.platform.home.tables / f"{model.name}.{record}"), ignore_errors=True)
        done = shop.definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=shop.instance, partition_key="2024-01-27", asset_selection=keys
        )
        assert done.success
        assert before
        assert promotions(shop.platform, model) == []
        client = mlflow.MlflowClient(open_registry(shop.platform.home.mlflow).tracking_uri)
        assert client.get_model_version_by_alias(model.name, "challenger").version == 2


def test_a_source_that_is_late_is_waited_for(shop: Shop) -> None:
    shop.platform.home.clock.set(datetime(2024, 1, 29, 12, tzinfo=UTC))
    evaluated = dg.evaluate_automation_conditions(
        shop.definitions, shop.instance, evaluation_time=shop.platform.clock.now()
    )
    assert evaluated.total_requested == 0


def test_the_cursor_of_the_policy_holds_every_model_s_reason(shop: Shop) -> None:
    reasons = json.loads(shop.tick("retrain_policy").cursor)
    assert list(reasons) == ["orders_forecast"]


def requested(shop: Shop, cursor: Any) -> tuple[dict[str, list[str]], Any]:
    """What conditions ask for at a tick: partitions by asset."""
    evaluated = dg.evaluate_automation_conditions(
        shop.definitions, shop.instance, evaluation_time=shop.platform.clock.now(), cursor=cursor
    )
    keys = shop.definitions.resolve_asset_graph().toposorted_asset_keys
    found = {key.to_user_string(): sorted(map(str, evaluated.get_requested_partitions(key))) for key in keys}
    return {name: partitions for name, partitions in found.items() if partitions}, evaluated.cursor


def materialize(shop: Shop, partition: str, *names: str) -> dg.ExecuteInProcessResult:
    job = shop.definitions.resolve_implicit_global_asset_job_def()
    keys = [dg.AssetKey.from_user_string(name) for name in names]
    return job.execute_in_process(instance=shop.instance, partition_key=partition, asset_selection=keys)


def materialize_all(shop: Shop, name: str, partitions: Sequence[str]) -> None:
    """One run over partitions that follow each other."""
    ends = {"dagster/asset_partition_range_start": partitions[0], "dagster/asset_partition_range_end": partitions[-1]}
    job = shop.definitions.resolve_implicit_global_asset_job_def()
    done = job.execute_in_process(instance=shop.instance, asset_selection=[dg.AssetKey(name)], tags=ends)
    assert [event.partition for event in done.asset_materializations_for_node(name)] == list(partitions)


def stale(shop: Shop, name: str, partitions: list[str]) -> list[str]:
    return staleness.stale(shop.definitions, shop.instance, dg.AssetKey.from_user_string(name), partitions)


def test_a_correction_makes_the_partitions_that_rest_on_it_stale_and_only_those_until_they_were_computed_again(
    shop: Shop,
) -> None:
    shop.platform.home.clock.set(datetime(2024, 1, 28, 12, tzinfo=UTC))
    days = [f"2024-01-{day:02d}" for day in range(10, 28)]
    table = shop.platform.table("order_trend")
    calendar = table.schema.calendar
    before = table.data_versions([calendar.at_key(day) for day in days])
    _, cursor = requested(shop, None)
    seen = shop.tick("deliveries").cursor
    assert stale(shop, "order_trend", days) == []

    file = shop.platform.home.landing / "orders" / "2024-01-18.csv"
    lines = file.read_text(encoding="utf-8").splitlines()
    first_row = lines[1].rsplit(",", 1)
    lines[1] = f"{first_row[0]},{int(first_row[1]) + 40}"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    (request,) = shop.tick("deliveries", seen).run_requests
    done = shop.run(request)
    assert done.success
    (event,) = done.asset_materializations_for_node("orders")
    assert "| order_trend | 2024-01-18 | 2024-01-25 |" in str(event.metadata["reaches"].value)
    assert event.metadata["reaches models"].value == "orders_forecast"

    affected = days[8:16]
    assert stale(shop, "order_trend", days) == affected
    found, cursor = requested(shop, cursor)
    assert found["order_trend"] == affected
    materialize_all(shop, "order_trend", affected)
    after = table.data_versions([calendar.at_key(day) for day in days])
    changed = [day for day in days if before[day] != after[day]]
    assert changed == ["2024-01-18", "2024-01-19", "2024-01-24", "2024-01-25"]  # SQL looks 1, 6 and 7 days back
    assert stale(shop, "order_trend", days) == []
    found, _ = requested(shop, cursor)
    assert "order_trend" not in found


def test_the_schedule_of_compaction_leaves_every_data_version_as_it_was(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlops_assets.lakehouse import compaction

    table = shop.platform.table("orders")
    (request,) = arrive(shop).run_requests
    assert shop.run(request).success
    file = shop.platform.home.landing / "orders" / f"{NEXT_DAY}.csv"
    file.write_text(file.read_text(encoding="utf-8").replace("north,alpha,", "north,alpha,1"), encoding="utf-8")
    assert shop.run(request).success
    period = table.schema.calendar.at_key(NEXT_DAY)
    before, files = table.data_version(period), len(table.files(period, period))
    monkeypatch.setattr(compaction, "MAX_FILES_OF_PERIOD", 1)
    job = shop.definitions.resolve_schedule_def("compaction").job
    assert shop.definitions.resolve_job_def(job.name).execute_in_process(instance=shop.instance).success
    assert (files, len(table.files(period, period))) == (2, 1)
    assert table.data_version(period) == before


def served_columns(shop: Shop) -> list[str]:
    """What applications read of order_trend."""
    space = open_store(shop.platform).served("order_trend")
    assert space is not None
    return sorted(name for name, _ in space.layout.columns)


def test_what_rests_on_a_new_definition_waits_until_its_past_was_computed_and_then_follows(
    lived: Lived, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlops_assets.features.generations import missing_history

    copy = lived.copy(tmp_path / "copy")
    folder = copy.project / "shop" / "defs" / "orders"
    for name, old, new in (
        ("order_trend.sql", "level AS log_units,", "level AS log_units,\n    orders AS placed,"),
        ("defs.yaml", "    growth_1d: {", "    placed: {type: bigint, description: Orders}\n    growth_1d: {"),
    ):
        text = (folder / name).read_text(encoding="utf-8")
        assert text.count(old) == 1
        (folder / name).write_text(text.replace(old, new), encoding="utf-8")
    for shop in open_shop(copy, monkeypatch):
        _, cursor = requested(shop, None)
        (request,) = arrive(shop).run_requests
        assert shop.run(request).success
        found, cursor = requested(shop, cursor)
        follow = ("order_trend", "orders_forecast/labels", "orders_forecast/performance")
        assert found == dict.fromkeys(follow, [NEXT_DAY])
        assert materialize(shop, NEXT_DAY, *follow).success
        found, cursor = requested(shop, cursor)
        assert not {"orders_forecast/predictions", "order_trend/order_trend_online"} & set(found)
        with pytest.raises(MissingDataError, match="'order_trend' has a new definition, and"):
            publish(shop.platform, open_store(shop.platform), "order_trend")
        assert served_columns(shop) == ["growth_1d", "growth_7d", "log_units", "next_growth_last_week"]
        ticked = shop.tick("retrain_policy")
        assert not ticked.run_requests
        assert "orders_forecast: a training waits: 'order_trend' has a new definition" in ticked.skip_message

        table = shop.platform.table("order_trend")
        calendar = table.schema.calendar
        days = missing_history(table, calendar.at_key("2024-01-01"), calendar.at_key(NEXT_DAY))
        materialize_all(shop, "order_trend", list(days))
        found, _ = requested(shop, cursor)
        assert found["orders_forecast/predictions"] == [NEXT_DAY]  # those before read nothing of the column that came
        assert "orders_forecast/labels" not in found
        assert NEXT_DAY in found["order_trend/order_trend_online"]
        assert materialize(shop, NEXT_DAY, "order_trend/order_trend_online").success
        assert "placed" in served_columns(shop)
        done = materialize(shop, NEXT_DAY, "orders_forecast/predictions")
        assert done.success
        (event,) = done.get_asset_materialization_events()
        words = str(event.materialization.metadata["definitions"].value)
        assert words.startswith("growth_1d, growth_7d, log_units, next_growth_last_week of 'order_trend'")
        assert "are the same as in" in words
        assert not shop.tick("retrain_policy").run_requests
