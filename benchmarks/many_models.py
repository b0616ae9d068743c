"""A project of many models: loading it, against as many bare assets of Dagster, and the ticks of its sensors."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import Figure
from mlops_assets.lakehouse.home import HOME_VARIABLE

MODELS = 500
MAX_TIMES, MAX_SECONDS = 2.5, 5.0
PACKAGE = "many"
ROOT = Path(__file__).parent.parent
SHOW = "\nprint(loaded - begun)\n"

TABLES = """\
type: mlops_assets.Source
attributes:
  name: sales
  description: Units sold by shop and day
  owners: [team:shops]
  primary_keys: [shop]
  timestamp: day
  period: day
  first_period: 2024-01-01
  last_period: 2024-12-31
  publication_lag: 6 hours
  columns:
    day: {type: date, description: Day of the sales}
    shop: {type: string, description: Shop}
    units: {type: bigint, description: Units sold}
---
type: mlops_assets.FeatureTable
attributes:
  name: trend
  description: Level of sales
  owners: [team:shops]
  primary_keys: [shop]
  timestamp: day
  sql: trend.sql
  history: 8 days
  columns:
    shop: {type: string, description: Shop}
    day: {type: date, description: Day}
    level: {type: double, description: Logarithm of the units}
    change: {type: double, description: Change of it against the day before}
"""
TREND_SQL = """\
SELECT shop, day, ln(units + 1) AS level,
    ln(units + 1) - lag(ln(units + 1)) OVER (PARTITION BY shop ORDER BY day) AS change
FROM sales
"""
MODEL = """\
type: mlops_assets.Model
attributes:
  name: forecast_{number}
  description: Growth of units from one day to the next, number {number}
  owners: [team:shops]
  task: regression
  primary_keys: [shop]
  timestamp: day
  population: selling.sql
  history: 4 days
  label: {{sql: growth.sql, column: growth, horizon: 1, unit: log ratio}}
  baseline: trend.level
  features:
    - {{table: trend, columns: [level, change], lookback: 2 days}}
  template: {{name: ridge_regressor, params: {{alpha: {number}.5}}}}
  train: {{window: 60 days, validation: 7 days, min_rows: 100}}
  gates: [{{metric: mae, better_than: baseline}}, {{metric: rmse, better_than: champion, by: 0.1}}]
  approval: {approval}
  retrain: {{worse_by: 0.3, persistence: 3, cool_down: 2 weeks, max_age: 4 weeks}}
"""
SELLING_SQL = "SELECT shop, day FROM sales WHERE units > {number}\n"
GROWTH_SQL = """\
SELECT now.shop, now.day, ln(later.units / now.units) AS growth
FROM sales AS now
JOIN sales AS later ON later.shop = now.shop AND later.day = now.day + INTERVAL 1 DAY
WHERE now.units > {number}
"""
PROJECT = f'[tool.dg]\ndirectory_type = "project"\n[tool.dg.project]\nroot_module = "{PACKAGE}"\n'

OURS = """
from pathlib import Path
from mlops_assets.definitions import platform_definitions
definitions = platform_definitions(Path({package!r}))
graph = definitions.get_repository_def().asset_graph
loaded = time.time()
import json
keys = graph.get_all_asset_keys()
listed = [[key.path, [parent.path for parent in graph.get(key).parent_keys if parent != key]] for key in keys]
Path({listed!r}).write_text(json.dumps(listed), encoding="utf-8")
"""
TICKS = """
import warnings
import dagster as dg
warnings.simplefilter("ignore")
sensors = definitions.get_repository_def().sensor_defs
cursors = {}
with dg.DagsterInstance.ephemeral() as instance:
    for _ in range(3):  # nothing happens meanwhile: conditions are settled after the second look
        ticked = time.time()
        for sensor in sensors:
            context = dg.build_sensor_context(
                instance=instance, cursor=cursors.get(sensor.name), sensor_name=sensor.name, definitions=definitions
            )
            cursors[sensor.name] = sensor.evaluate_tick(context).cursor
        print(time.time() - ticked)
"""
BARE = """
import json
import dagster as dg
partitions = dg.DailyPartitionsDefinition("2024-01-01", end_date="2025-01-01")

def bare(key, deps):
    @dg.asset(key=dg.AssetKey(key), deps=[dg.AssetDep(dg.AssetKey(dep)) for dep in deps],
              partitions_def=partitions if key[-1] != "champion" else None)
    def asset():
        pass
    return asset

assets = [bare(key, deps) for key, deps in json.load(open({listed!r}))]
definitions = dg.Definitions(assets=assets)
definitions.get_repository_def().asset_graph
loaded = time.time()
"""


def models_500() -> Figure:
    """Seconds from the start of a process until its assets are loaded, and of ticks of every sensor after it.

    The first look is at everything; a tick is one with nothing to do, as all are while nothing happens.

    The peer is a code location of assets of the same keys, dependencies and partitions, and nothing else.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        package, listed = write_many_models(folder), folder / "assets.json"
        ours, first, _, ticks = _seconds(OURS.format(package=str(package), listed=str(listed)) + SHOW + TICKS, folder)
        (bare,) = _seconds(BARE.format(listed=str(listed)) + SHOW, folder)
    return Figure(
        "models-500",
        {"load": round(ours, 2), "first look": round(first, 2), "ticks": round(ticks, 2)},
        round(bare, 2),
        round(ours / bare, 2),
        f"load under {MAX_TIMES} x as many bare assets; ticks of all sensors under {MAX_SECONDS} s (seconds)",
        ours / bare < MAX_TIMES and ticks < MAX_SECONDS,
    )


def _seconds(code: str, folder: Path) -> list[float]:
    """What a process printed: the seconds until it had loaded, and what else it took."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", f"import time; begun = time.time()\n{code}"],
        cwd=folder,
        env={
            **os.environ,
            HOME_VARIABLE: str(folder / "home"),
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(folder)]),
        },
        check=True,
        capture_output=True,
        text=True,
    )
    return [float(line) for line in done.stdout.splitlines()]


def write_many_models(folder: Path, models: int = MODELS) -> Path:
    """Write a project of so many models, each with SQL of its own; gives its package.

    Args:
        folder: Where.
        models: How many; every fifth awaits approval.
    """
    files = {
        "pyproject.toml": PROJECT,
        f"{PACKAGE}/__init__.py": "",
        f"{PACKAGE}/defs/sales/defs.yaml": TABLES,
        f"{PACKAGE}/defs/sales/trend.sql": TREND_SQL,
    }
    for number in range(models):
        place = f"{PACKAGE}/defs/forecast_{number}"
        approval = "automatic" if number % 5 else "required"
        files[f"{place}/defs.yaml"] = MODEL.format(number=number, approval=approval)
        files[f"{place}/selling.sql"] = SELLING_SQL.format(number=number)
        files[f"{place}/growth.sql"] = GROWTH_SQL.format(number=number)
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder / PACKAGE
