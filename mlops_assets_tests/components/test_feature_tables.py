"""Feature tables of all three kinds in Dagster: partition mappings, kinds, what computes them; nothing is imported."""

import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mlops_assets.definitions import platform_definitions
from mlops_assets.starter import write_project

pytestmark = pytest.mark.slow
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


@pytest.fixture
def graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    write_project(tmp_path / "shop")
    orders = tmp_path / "shop" / "shop" / "defs" / "orders"
    (orders / "defs.yaml").write_text((orders / "defs.yaml").read_text(encoding="utf-8") + TABLES, encoding="utf-8")
    (orders / "mix.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path / "shop"))
    for name in [name for name in sys.modules if name.split(".")[0] == "shop"]:
        monkeypatch.delitem(sys.modules, name)  # another test's copy of the package
    return platform_definitions(tmp_path / "shop" / "shop").resolve_asset_graph()


def test_each_kind_of_definition_depends_on_the_periods_of_its_history(graph: Any) -> None:
    assert not [name for name in sys.modules if name.rpartition(".")[2] == "mix"]
    for name, inputs in {
        "order_trend": {"orders": -7},
        "order_sums": {"orders": -27},
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
    assert 'FILTER (WHERE seen."day" >= window_end.moment - INTERVAL 28 DAY)' in sums.metadata["sql"].value
    assert mix.metadata["python"].value.startswith("```python\ndef features(orders: pd.DataFrame")
    files = {Path(reference.file_path).name for reference in mix.metadata["dagster/code_references"].code_references}
    assert files == {"defs.yaml", "mix.py"}
    columns = {column.name: column for column in sums.metadata["dagster/column_schema"].columns}
    assert columns["units_mean_28_days"].description == "Units ordered: mean over the last 28 days"
