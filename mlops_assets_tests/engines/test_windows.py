"""Declared time windows are SQL that every engine answers alike."""

import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.engines.contract import Engine
from mlops_assets_tests.project.test_windows import evaluated, expected, project_of, rounded


@pytest.mark.slow
def test_windows_of_all_functions_are_what_the_oracle_computes(engine: Engine, tmp_path: Path) -> None:
    project = project_of(tmp_path / "defs", "week")
    period = project.sources["sales"].schema.calendar.at_key("2024-03-30")
    source, rows = random.Random(7), []
    for shop, product, days in [(shop, product, days) for shop in "ab" for product in "xy" for days in range(1, 50)]:
        time = period.end - timedelta(days=days)
        row: dict[str, Any] = {"shop": shop, "product": product, "day": time.date(), "time": time}
        row |= {"kind": source.choice(["web", "web", "counter", None]), "units": source.choice([None, *range(-3, 6)])}
        rows.append(row | {"price": source.choice([None, 0.5, -2.25, 7.0])})
    for table in project.feature_tables.values():
        sparse = source.sample(rows, 120)
        found = evaluated(engine, tmp_path, project, table, sparse, period)
        assert found
        assert [rounded(row) for row in found] == [rounded(row) for row in expected(table, sparse, period)]
