"""The assets that components make: their keys, mappings and documentation, and what a materialization records."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mlops_assets.lakehouse.home import HOME_VARIABLE
from mlops_assets.platform import Platform
from mlops_assets.project.load import load_project
from mlops_assets_tests.conftest import Lived

pytestmark = pytest.mark.slow
CHAIN = (
    "labels", "training_set", "candidate", "version", "champion", "predictions", "performance", "drift_report",
    "attribution",
)  # fmt: skip


def definitions_of(project: Path, monkeypatch: pytest.MonkeyPatch) -> dg.Definitions:
    from mlops_assets.components.loading import while_the_clock_moves
    from mlops_assets.definitions import platform_definitions

    monkeypatch.syspath_prepend(str(project))
    with while_the_clock_moves():
        return platform_definitions(project / "shop")


@pytest.fixture
def graph(lived: Lived, monkeypatch: pytest.MonkeyPatch) -> Any:
    return definitions_of(lived.project, monkeypatch).resolve_asset_graph()


def metadata_of(instance: dg.DagsterInstance, key: dg.AssetKey, partition: str | None) -> Any:
    records = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=key, asset_partitions=[partition] if partition else None), limit=1
    ).records
    materialization = records[0].asset_materialization
    assert materialization is not None
    return materialization


def test_every_step_of_a_model_is_a_documented_asset(graph: Any) -> None:
    keys = {key.to_user_string() for key in graph.get_all_asset_keys()}
    tables = {"orders", "products", "products/products_online", "order_trend", "order_trend/order_trend_online"}
    assert keys == tables | {f"orders_forecast/{step}" for step in CHAIN}
    descriptions = set()
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.owners == ["team:analytics"], key
        assert node.kinds, key
        assert node.metadata["dagster/code_references"].code_references, key
        descriptions.add(node.description)
    assert len(descriptions) == len(keys)
    assert graph.get(dg.AssetKey("orders")).group_name == "sources"
    assert graph.get(dg.AssetKey("order_trend")).group_name == "features"
    assert {graph.get(dg.AssetKey(["orders_forecast", step])).group_name for step in CHAIN} == {"orders_forecast"}


def test_tables_show_their_columns_with_type_and_description(graph: Any) -> None:
    columns = graph.get(dg.AssetKey("order_trend")).metadata["dagster/column_schema"].columns
    shown = {column.name: (column.type, column.description, column.tags) for column in columns}
    assert shown["growth_7d"] == (
        "double",
        "Log change of units against the same weekday last week",
        {"kind": "number", "sensitivity": "internal", "owners": "team:analytics"},
    )
    assert {"event_time", "known_at", "seq", "removed"} <= set(shown)


def test_partitions_are_the_source_s_and_end_where_its_data_ends(graph: Any) -> None:
    for name in ("orders", "order_trend"):
        keys = graph.get(dg.AssetKey(name)).partitions_def.get_partition_keys()
        assert (keys[0], keys[-1], len(keys)) == ("2024-01-01", "2024-02-29", 60)
    assert graph.get(dg.AssetKey("products")).partitions_def is None


def test_a_feature_table_depends_on_the_periods_of_its_history(graph: Any) -> None:
    node = graph.get(dg.AssetKey("order_trend"))
    mapping = node.partition_mappings[dg.AssetKey("orders")]
    assert (mapping.start_offset, mapping.end_offset) == (-7, 0)


def test_performance_depends_on_the_predictions_that_lie_the_horizon_before(graph: Any) -> None:
    node = graph.get(dg.AssetKey(["orders_forecast", "performance"]))
    mapping = node.partition_mappings[dg.AssetKey(["orders_forecast", "predictions"])]
    assert (mapping.start_offset, mapping.end_offset) == (-1, -1)


def test_every_materialization_records_what_it_read_and_its_content_as_data_version(
    lived: Lived, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(lived.home.dagster))
    platform = Platform.of(load_project(lived.project / "shop" / "defs"), lived.home)
    calendar = platform.project.sources["orders"].schema.calendar
    with dg.DagsterInstance.get() as instance:
        for name in ("orders", "order_trend"):
            made = metadata_of(instance, dg.AssetKey(name), "2024-01-26")
            expected = platform.table(name).data_version(calendar.at_key("2024-01-26"))
            assert made.tags["dagster/data_version"] == expected
        evidence = made.metadata["mlops/evidence"].value
        assert [item["name"] for item in evidence["inputs"]] == ["orders"]
        assert evidence["inputs"][0]["periods"] == ["2024-01-19", "2024-01-26"]
        assert evidence["known_at"] == "2024-01-27T06:00:00+00:00"
        assert {len(evidence[name]) for name in ("code_hash", "environment_hash")} == {64}
        assert evidence["definition_hash"] == platform.project.feature_tables["order_trend"].generation
        assert made.metadata["dagster/row_count"].value == 24

        trained = metadata_of(instance, dg.AssetKey(["orders_forecast", "candidate"]), "2024-01-24")
        assert trained.metadata["mlops/evidence"].value["seed"] == 0
        assert trained.metadata["mlops/reason"].value == "there is no champion yet"
        version = metadata_of(instance, dg.AssetKey(["orders_forecast", "version"]), "2024-01-24")
        for made in (trained, version):
            assert made.metadata["evaluation in brief"].value.startswith("mae of the candidate 0.")
            shown = made.metadata["evaluation"].value
            assert "| mae by | level | rows | candidate | baseline |" in shown
            for name in ("metrics", "segments", "residuals"):
                assert f"\n\n![{name}](data:image/svg+xml;base64," in shown
        scored = metadata_of(instance, dg.AssetKey(["orders_forecast", "predictions"]), "2024-01-26")
        read = [item["name"] for item in scored.metadata["mlops/evidence"].value["inputs"]]
        assert read == ["orders", "order_trend", "products", "orders_forecast version 1"]


def test_what_is_materialized_says_where_its_columns_come_from(lived: Lived, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(lived.home.dagster))

    def shown(*key: str, partition: str) -> tuple[dict[str, set[str]], str]:
        made = metadata_of(instance, dg.AssetKey(key), partition)
        deps = made.metadata["dagster/column_lineage"].value.deps_by_column
        by_column = {
            name: {f"{dep.asset_key.to_user_string()}.{dep.column_name}" for dep in found}
            for name, found in deps.items()
        }
        return by_column, made.metadata["column lineage"].value

    with dg.DagsterInstance.get() as instance:
        deps, table = shown("order_trend", partition="2024-01-26")
        assert deps["growth_7d"] == {"orders.units"}
        assert "| growth_7d | orders.units | aggregated |" in table
        assert "Which rows are used depends on: orders.day" in table
        deps, _ = shown("orders_forecast", "labels", partition="2024-01-26")
        assert deps == {
            "region": {"orders.region"},
            "product": {"orders.product"},
            "day": {"orders.day"},
            "growth": {"orders.units"},
        }
        deps, _ = shown("orders_forecast", "training_set", partition="2024-01-24")
        assert deps["growth"] == {"orders_forecast/labels.growth"}
        assert deps["family"] == {"products.family"}
        deps, table = shown("orders_forecast", "predictions", partition="2024-01-26")
        assert {"order_trend.growth_1d", "orders_forecast/training_set.growth"} < deps["prediction"]
        assert deps["baseline"] == {"order_trend.next_growth_last_week"}
        assert "| version |  | none: a constant, a count of rows, or set by the platform |" in table


def test_a_refused_delivery_stops_also_a_later_run_of_what_follows_alone(
    lived: Lived, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = lived.copy(tmp_path / "copy")
    monkeypatch.setenv(HOME_VARIABLE, str(copy.home.folder))
    monkeypatch.setenv("DAGSTER_HOME", str(copy.home.dagster))
    definitions = definitions_of(copy.project, monkeypatch)
    landed = copy.home.landing / "orders"
    text = (landed / "2024-01-27.csv").read_text(encoding="utf-8").replace("2024-01-27", "2024-01-28")
    header, first, *rest = text.splitlines()
    (landed / "2024-01-28.csv").write_text("\n".join([header, first, first, *rest]) + "\n", encoding="utf-8")

    with dg.DagsterInstance.get() as instance:

        def run(name: str) -> dg.ExecuteInProcessResult:
            return definitions.resolve_implicit_global_asset_job_def().execute_in_process(
                instance=instance,
                partition_key="2024-01-28",
                asset_selection=[dg.AssetKey(name)],
                raise_on_error=False,
            )

        def told(done: dg.ExecuteInProcessResult) -> str:
            (failure,) = [event for event in done.all_events if event.event_type_value == "STEP_FAILURE"]
            assert failure.step_failure_data.user_failure_data is not None
            return str(failure.step_failure_data.user_failure_data.description)

        refused = run("orders")
        assert not refused.success
        assert "1 duplicate keys, such as" in told(refused)
        (check,) = [item for item in refused.get_asset_check_evaluations() if item.check_name == "contract"]
        assert not check.passed
        assert check.partition == "2024-01-28"

        alone = run("order_trend")
        assert not alone.success
        assert "Found: no accepted delivery of source 'orders' for 2024-01-28." in told(alone)
        assert not instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=dg.AssetKey("order_trend"), asset_partitions=["2024-01-28"]), limit=1
        ).records

        (landed / "2024-01-28.csv").write_text("\n".join([header, first, *rest]) + "\n", encoding="utf-8")
        assert run("orders").success
        assert run("order_trend").success


def test_another_dg_project_finds_the_components_through_the_registry(
    lived: Lived, run_dg: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    listed = run_dg(lived.project, "list", "components", "--json")
    assert listed.returncode == 0, listed.stderr
    keys = {component["key"] for component in json.loads(listed.stdout)["items"]}
    assert {"mlops_assets.Source", "mlops_assets.FeatureTable", "mlops_assets.Model"} <= keys


def test_two_runs_in_one_process_log_into_runs_of_their_own(
    lived: Lived, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow  # noqa: TID253

    from mlops_assets.components.mlflow_tracking import mlflow_tracking
    from mlops_assets.lakehouse.home import Home

    home = Home(tmp_path / "home").prepare()
    monkeypatch.setenv(HOME_VARIABLE, str(home.folder))
    seen = []

    @dg.asset(required_resource_keys={"mlflow"})
    def logging_asset(context: dg.AssetExecutionContext) -> None:
        seen.append(context.resources.mlflow.active_run().info.run_id)
        if len(seen) == 1:
            raise ValueError("in the middle")

    for _ in range(2):
        dg.materialize([logging_asset], resources={"mlflow": mlflow_tracking}, raise_on_error=False)

    assert len(set(seen)) == 2
    client = mlflow.MlflowClient(f"sqlite:///{home.mlflow / 'mlflow.db'}")
    assert [client.get_run(run_id).info.status for run_id in seen] == ["FAILED", "FINISHED"]
    assert mlflow.active_run() is None
