"""A small project of shops as a user writes it; tests change one thing in it and load it."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from mlops_assets.errors import DefinitionError
from mlops_assets.project.definition import ProjectDefinition
from mlops_assets.project.load import load_project
from mlops_assets.starter import write_project

SALES = """\
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
  publication_lag: 6 hours
  columns:
    day: {type: date, description: Day of the sales}
    shop: {type: string, description: Shop}
    units: {type: bigint, description: Units sold, nullable: false, minimum: 0, maximum: 100000}
    price: {type: double, description: Average price, kind: category}
    open: {type: boolean, description: Whether the shop was open}
    channel: {type: string, description: Where it was sold, allowed: [counter, web]}
"""
SHOPS = """\
type: mlops_assets.Source
attributes:
  name: shops
  description: Shops and their regions
  static: true
  primary_keys: [shop]
  columns:
    shop: {type: string, description: Shop}
    region: {type: string, description: Its region}
"""
VISITS = """\
type: mlops_assets.Source
attributes:
  name: visits
  description: Visitors by shop and day
  primary_keys: [shop]
  timestamp: day
  period: day
  first_period: 2024-01-05
  publication_lag: 2 days
  columns:
    day: {type: date, description: Day of the visits}
    shop: {type: string, description: Shop}
    visitors: {type: bigint, description: Visitors}
"""
TREND = """\
type: mlops_assets.FeatureTable
attributes:
  name: trend
  description: Level of sales
  primary_keys: [shop]
  timestamp: day
  sql: trend.sql
  history: 8 days
  columns:
    shop: {type: string, description: Shop}
    day: {type: date, description: Day}
    level: {type: double, description: Logarithm of the units}
    crowd: {type: bigint, description: Visitors}
"""
TREND_SQL = """\
SELECT
    sales.shop,
    sales.day,
    ln(units + 1) AS level,
    visitors AS crowd
FROM sales
JOIN visits USING (shop, day)
"""
FORECAST = """\
type: mlops_assets.Model
attributes:
  name: forecast
  description: Growth of units from one day to the next
  task: regression
  primary_keys: [shop]
  timestamp: day
  population: selling.sql
  history: 4 days
  label: {sql: growth.sql, column: growth, horizon: 1, delay: 2, unit: log ratio}
  baseline: trend.level
  features:
    - {table: trend, columns: [level, crowd], lookback: 2 days}
    - {table: shops, columns: [region]}
  template: {name: ridge_regressor, params: {alpha: 1.0}, seed: 7}
  train: {window: 60 days, validation: 7 days, min_rows: 100}
  gates: [{metric: mae, better_than: baseline}, {metric: rmse, better_than: champion, by: 0.1}]
  retrain: {worse_by: 0.3, persistence: 3, cool_down: 2 weeks, max_age: 4 weeks}
"""
SELLING_SQL = "SELECT shop, day FROM sales WHERE units > 0\n"
GROWTH_SQL = """\
SELECT now.shop, now.day, ln(later.units / now.units) AS growth
FROM sales AS now
JOIN sales AS later ON later.shop = now.shop AND later.day = now.day + INTERVAL 1 DAY
"""
FILES = {
    "sales/defs.yaml": f"{SALES}---\n{SHOPS}",
    "visits/defs.yaml": VISITS,
    "trend/defs.yaml": TREND,
    "trend/trend.sql": TREND_SQL,
    "forecast/defs.yaml": FORECAST,
    "forecast/selling.sql": SELLING_SQL,
    "forecast/growth.sql": GROWTH_SQL,
}


def write_in_starter(folder: Path, files: Mapping[str, str]) -> "SmallProject":
    """Write the starter into a folder, whose name a package may have, with these definitions in place of its own."""
    write_project(folder)
    defs = folder / folder.name / "defs"
    shutil.rmtree(defs)
    return SmallProject(defs, files)


class SmallProject:
    """The files of the project, or of another, in a folder."""

    def __init__(self, folder: Path, files: Mapping[str, str] = FILES) -> None:
        self.folder = folder
        for name, text in files.items():
            self.write(name, text)

    def write(self, name: str, text: str | bytes) -> None:
        """Write a whole file."""
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode() if isinstance(text, str) else text)

    def change(self, name: str, old: str, new: str) -> None:
        """Change the one place where a text stands."""
        text = (self.folder / name).read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {name}"
        self.write(name, text.replace(old, new))

    def load(self) -> ProjectDefinition:
        """Read it as the platform does."""
        return load_project(self.folder)

    def line(self, name: str, text: str) -> int:
        """The line on which a text stands first."""
        lines = (self.folder / name).read_text(encoding="utf-8").splitlines()
        return next(number for number, line in enumerate(lines, start=1) if text in line)

    def refusal(self) -> DefinitionError:
        """The error that loading it gives."""
        try:
            self.load()
        except DefinitionError as error:
            return error
        raise AssertionError("the project was loaded")
