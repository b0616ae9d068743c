"""Feature tables of all three kinds in Dagster: partition mappings, kinds, what computes them; nothing is imported."""

import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mlops_assets.components.feature_table import feature_table_asset
from mlops_assets.definitions import platform_definitions
from mlops_assets.lakehouse.home import HOME_VARIABLE
from mlops_assets.starter import write_project
from mlops_assets_tests.small_line import SHOPS, Line, units_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::dagster_shared.utils.warnings.PreviewWarning"),  # checks with partitions
]
TABLES = """
---
type: mlops_assets.FeatureTable
attributes:
  name: order_sums
  description: Orders of the last weeks
  primary_keys: [region]
  timestamp: day
  windows:
    source: orders
    aggregations:
      - {column: units, functions: [sum, mean], windows: [7 days, 28 days]}
---
type: mlops_assets.FeatureTable
attributes:
  name: order_mix
  description: Orders by family
  primary_keys: [region, product]
  timestamp: day
  python: mix:features
  inputs: [orders, order_sums, products]
  history: 3 days
  columns:
    region: {type: string, description: Region}
    product: {type: string, description: Product}
    day: {type: date, description: Day}
    units: {type: bigint, description: Units}
"""
MODULE = '''\
"""Order mix."""

import pandas as pd

import not_installed

def features(orders: pd.DataFrame, order_sums: pd.DataFrame, products: pd.DataFrame) -> pd.DataFrame:
    return orders
'''

MORE = """
type: mlops_assets.FeatureTable
attributes:
  name: sums
  description: Units of two days
  primary_keys: [shop]
  timestamp: day
  windows:
    source: sales
    aggregations: [{column: units, functions: [sum], windows: [2 days]}]
---
type: mlops_assets.FeatureTable
attributes:
  name: twice
  description: The same again
  primary_keys: [shop]
  timestamp: day
  python: twice:features
  inputs: [sums]
  history: 1 days
  columns:
    shop: {type: string, description: Shop}
    day: {type: date, description: Day}
    units_sum_2_days: {type: bigint, description: Units of two days}
"""


@pytest.fixture
def graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    write_project(tmp_path / "shop")
    orders = tmp_path / "shop" / "shop" / "defs" / "orders"
    (orders / "defs.yaml").write_text((orders / "defs.yaml").read_text(encoding="utf-8") + TABLES, encoding="utf-8")
    (orders / "mix.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path / "shop"))
    return platform_definitions(tmp_path / "shop" / "shop").resolve_asset_graph()


def test_each_kind_of_definition_depends_on_the_periods_of_its_history(graph: Any) -> None:
    assert not [name for name in sys.modules if name.rpartition(".")[2] == "mix"]
    for name, inputs in {
        "order_trend": {"orders": -7},
        "order_sums": {"orders": -28},
        "order_mix": {"orders": -2, "order_sums": -2},
    }.items():
        mappings = graph.get(dg.AssetKey(name)).partition_mappings
        offsets = {
            key.to_user_string(): (mapping.start_offset, mapping.end_offset) for key, mapping in mappings.items()
        }
        assert offsets == {upstream: (first, 0) for upstream, first in inputs.items()}
    assert dg.AssetKey("products") in graph.get(dg.AssetKey("order_mix")).parent_keys


def test_each_kind_of_definition_shows_what_computes_it(graph: Any) -> None:
    trend, sums, mix = (graph.get(dg.AssetKey(name)) for name in ("order_trend", "order_sums", "order_mix"))
    assert trend.kinds == sums.kinds == {"sql", "duckdb", "deltalake"}
    assert mix.kinds == {"python", "deltalake"}
    assert 'FILTER (WHERE seen."day" >= _period."end" - INTERVAL 28 DAY)' in sums.metadata["sql"].value
    assert mix.metadata["python"].value.startswith("```python\ndef features(orders: pd.DataFrame")
    files = {Path(reference.file_path).name for reference in mix.metadata["dagster/code_references"].code_references}
    assert files == {"defs.yaml", "mix.py"}
    columns = {column.name: column for column in sums.metadata["dagster/column_schema"].columns}
    assert columns["units_mean_28_days"].description == "Units ordered: mean over the last 28 days"


def test_windows_and_functions_are_materialized_with_evidence_of_what_they_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = Line(tmp_path / "line")
    line.files.write("more/defs.yaml", MORE)
    line.files.write("more/twice.py", "def features(sums):\n    return sums\n")
    line.open()
    for key in line.days(3):
        line.sales(key)
    project, last = line.platform.project, line.days(3)[-1]
    monkeypatch.setenv(HOME_VARIABLE, str(line.platform.home.folder))
    with dg.DagsterInstance.ephemeral() as instance:
        for name, read in (("sums", ["sales"]), ("twice", ["sums"])):
            table = project.feature_tables[name]
            done = dg.materialize([feature_table_asset(project, table)], instance=instance, partition_key=last)
            (materialization,) = done.asset_materializations_for_node(name)
            evidence: Any = materialization.metadata["mlops/evidence"].value
            assert [item["name"] for item in evidence["inputs"]] == read
            assert evidence["definition_hash"] == table.generation
    totals = line.known("twice", line.platform.clock.now(), "units_sum_2_days")
    assert totals == {(shop, last): units_of(shop, line.days(2)[1]) + units_of(shop, last) for shop in SHOPS}
