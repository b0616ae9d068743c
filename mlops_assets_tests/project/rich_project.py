"""A made-up project that says something of every kind of definition; its hashes are kept beside those of real ones."""

from pathlib import Path

from mlops_assets_tests.project.small_project import SHOPS, SmallProject

SOURCES = """\
type: mlops_assets.Source
attributes:
  name: sales
  description: Units sold by shop and day
  owners: [team:shops]
  tags: {domain: shops}
  primary_keys: [shop]
  timestamp: day
  period: day
  first_period: 2024-01-01
  last_period: 2024-12-31
  live_since: 2024-02-01
  publication_lag: 1 week
  delivers: window
  window_periods: 3
  max_bad_share: 0.1
  files: {format: json_lines, pattern: "{period}/*.jsonl", complete: "{period}/_SUCCESS"}
  expectations:
    - {column: price, null_share: 0.05, severity: block}
    - {freshness: {newest_row: 40 days}}
  columns:
    day: {type: date, description: Day of the sales}
    shop: {type: string, description: Shop}
    units: {type: bigint, description: Units sold, nullable: false, minimum: 0, maximum: 100000}
    price: {type: double, description: Average price}
    channel: {type: string, description: Where it was sold, allowed: [counter, web]}
---
type: mlops_assets.Source
attributes:
  name: visits
  description: Visitors by shop and day
  primary_keys: [shop]
  timestamp: day
  period: day
  first_period: 2024-01-01
  last_period: 2024-12-31
  database: {url_variable: VISITS_URL, query: visits.sql, check_every: 36 hours}
  columns:
    day: {type: date, description: Day of the visits}
    shop: {type: string, description: Shop, sensitivity: personal}
    visitors: {type: bigint, description: Visitors}
---
type: mlops_assets.Source
attributes:
  name: tills
  description: Sales as tills report them
  primary_keys: [shop]
  timestamp: sold_at
  period: day
  first_period: 2024-01-01
  push: {remember_keys: 2 weeks}
  columns:
    shop: {type: string, description: Shop}
    sold_at: {type: timestamp, description: When}
    units: {type: bigint, description: Units sold, nullable: false}
"""
TABLES = """\
type: mlops_assets.FeatureTable
attributes:
  name: level
  description: Level of sales
  primary_keys: [shop]
  timestamp: day
  sql: level.sql
  history: 1 week
  columns:
    shop: {type: string, description: Shop}
    day: {type: date, description: Day}
    level: {type: double, description: Logarithm of the units}
---
type: mlops_assets.FeatureTable
attributes:
  name: sold
  description: Units of a week
  primary_keys: [shop]
  timestamp: day
  windows: {source: sales, where: units > 0, aggregations: [{column: units, functions: [sum], windows: [7 days]}]}
---
type: mlops_assets.FeatureTable
attributes:
  name: place
  description: Place of a shop by its units
  primary_keys: [shop]
  timestamp: day
  python: place:features
  inputs: [sales]
  history: 7 days
  columns:
    shop: {type: string, description: Shop}
    day: {type: date, description: Day}
    place: {type: double, description: 1 is the largest}
"""
MODELS = """\
type: mlops_assets.Model
attributes:
  name: growth
  description: Growth of units from one day to the next
  task: regression
  primary_keys: [shop]
  timestamp: day
  population: selling.sql
  history: 4 days
  label: {sql: growth.sql, column: growth, horizon: 1, delay: 2, unit: log ratio}
  baseline: level.level
  features:
    - {table: level, columns: [level], lookback: 2 days, default: {level: 0}}
    - {table: sold, columns: [units_sum_7_days], rename: {units_sum_7_days: units}}
    - {table: shops, columns: [region]}
  request: {columns: {discount: {type: double, description: Discount}}}
  computed: [{name: rebate, type: double, description: Rebate, expression: level * discount}]
  template: {name: hist_gradient_boosting_regressor, version: 2, params: {learning_rate: 0.05}, seed: 7}
  train:
    window: 60 days
    validation: 1 week
    weight: units
    early_stopping: {periods: 1 week, patience: 5}
    search: {params: {learning_rate: {low: 0.02, high: 0.2, log: true}, max_leaf_nodes: [15, 31]}, trials: 3}
  gates:
    - {metric: mae, better_than: baseline}
    - {metric: rmse, better_than: champion, by: 10%}
    - {metric: bias, at_most: 0.5}
    - {metric: mae, not_worse_than: baseline, by: 5%, segments: [region]}
    - {model_size_at_most: 20 MB}
    - {latency_at_most: 5 ms}
    - {python: own:fair}
  evaluate: {segments: [region], min_rows: 20}
  monitor: {metric: rmse}
  retrain: {worse_by: 0.3, cool_down: 2 weeks, max_age: 4 weeks}
---
type: mlops_assets.Model
attributes:
  name: rises
  description: Whether units rise
  task: binary
  primary_keys: [shop]
  timestamp: day
  population: selling.sql
  history: 4 days
  label: {sql: rises.sql, column: rises, horizon: 1}
  baseline: prior
  features: [{table: level, columns: [level]}, {table: place, columns: [place]}]
  template: {name: line, python: own:line, params: {strength: 2}, allow_pickle: [own.Line]}
  train: {validation: 7 days, class_weight: {true: 3}}
  gates: [{metric: log_loss, better_than: baseline}]
  retrain: {cool_down: 7 days, max_age: 28 days}
"""
OWN = '''\
"""A template and a gate of one's own."""


def line(strength=1.0):
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=strength)


def fair(figures):
    """Whether it is fair."""
    return True, "it is"
'''
PLACE = """\
import pandas as pd


def features(sales: pd.DataFrame) -> pd.DataFrame:
    ranks = sales.groupby("day")["units"].rank(ascending=False)
    return sales.assign(place=ranks)[["shop", "day", "place"]]
"""
FILES = {
    "sources/defs.yaml": f"{SOURCES}---\n{SHOPS}",
    "sources/visits.sql": "SELECT * FROM counted WHERE day >= :period_start AND day < :period_end;\n",
    "tables/defs.yaml": TABLES,
    "tables/level.sql": "SELECT shop, day, ln(units + 1) AS level FROM sales\n",
    "tables/place.py": PLACE,
    "models/defs.yaml": MODELS,
    "models/selling.sql": "SELECT shop, day, 0.1 AS discount FROM sales WHERE units > 0\n",
    "models/growth.sql": "SELECT a.shop, a.day, ln(b.units / a.units) AS growth FROM sales AS a "
    "JOIN sales AS b ON b.shop = a.shop AND b.day = a.day + INTERVAL 1 DAY\n",
    "models/rises.sql": "SELECT a.shop, a.day, b.units > a.units AS rises FROM sales AS a "
    "JOIN sales AS b ON b.shop = a.shop AND b.day = a.day + INTERVAL 1 DAY\n",
    "models/own.py": OWN,
}


def write_rich_project(defs: Path) -> Path:
    """Write its files into a folder of definitions; gives the folder."""
    return SmallProject(defs, FILES).folder
