"""A project of many shapes beside the starter: sources by day, week and month, from files, a database and pushes.

They begin and end at other times and have other keys; a model by day looks up what is kept by week and month, and one
by week, whose labels are known late, what is kept by day.
"""

import sqlite3
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

from mlops_assets_tests.project.small_project import SmallProject, write_in_starter

SHOPS = tuple(f"s{number:02d}" for number in range(12))
FIRST_DAY = date(2024, 1, 1)
DAYS = 75
DATABASE_VARIABLE = "MIXED_RETURNS_URL"

SOURCES = """\
type: mlops_assets.Source
attributes:
  name: sales
  description: Units sold by shop and day
  primary_keys: [shop]
  timestamp: day
  period: day
  first_period: 2024-01-01
  published_from: data/sales.csv
  columns:
    shop: {type: string, description: Shop}
    day: {type: date, description: Day of the sales}
    units: {type: bigint, description: Units sold, nullable: false, minimum: 0}
    price: {type: "decimal(6, 2)", description: Average price, minimum: 0.01}
---
type: mlops_assets.Source
attributes:
  name: visitors
  description: Visitors by shop and week
  primary_keys: [shop]
  timestamp: week_of
  period: week
  week_ends_on: saturday
  first_period: 2024-01-07
  publication_lag: 2 days
  published_from: data/visitors.csv
  columns:
    shop: {type: string, description: Shop}
    week_of: {type: date, description: The Wednesday of the week}
    visitors: {type: bigint, description: Visitors, nullable: false}
---
type: mlops_assets.Source
attributes:
  name: budgets
  description: Money spent on each region by month; it was given up after February
  primary_keys: [region]
  timestamp: month
  period: month
  first_period: 2023-12
  last_period: 2024-02
  publication_lag: 3 days
  published_from: data/budgets.csv
  columns:
    region: {type: string, description: Region}
    month: {type: date, description: First day of the month}
    budget: {type: double, description: Money}
---
type: mlops_assets.Source
attributes:
  name: returns
  description: Units that came back by shop and day, as the shops' database has them
  primary_keys: [shop]
  timestamp: day
  period: day
  first_period: 2024-01-10
  publication_lag: 1 day
  database: {url_variable: MIXED_RETURNS_URL, table: returned}
  columns:
    shop: {type: string, description: Shop}
    day: {type: date, description: Day}
    returned: {type: bigint, description: Units that came back}
---
type: mlops_assets.Source
attributes:
  name: tills
  description: Sales as tills push them
  primary_keys: [till]
  timestamp: sold_at
  period: day
  first_period: 2024-01-01
  push: {}
  columns:
    till: {type: bigint, description: Till}
    sold_at: {type: timestamp, description: When}
    items: {type: bigint, description: Items, nullable: false}
---
type: mlops_assets.Source
attributes:
  name: shops
  description: Shops and their regions
  primary_keys: [shop]
  static: true
  published_from: data/shops.csv
  columns:
    shop: {type: string, description: Shop}
    region: {type: string, description: Its region}
"""
TABLES = """\
type: mlops_assets.FeatureTable
attributes:
  name: trend
  description: Level and growth of sales, by day
  primary_keys: [shop]
  timestamp: day
  sql: trend.sql
  history: 8 days
  columns:
    shop: {type: string, description: Shop}
    day: {type: date, description: Day}
    level: {type: double, description: Logarithm of the units}
    growth_1w: {type: double, description: Its change since the same day of the week before}
    revenue: {type: "decimal(14, 2)", description: Units at their price}
---
type: mlops_assets.FeatureTable
attributes:
  name: crowd
  description: Visitors and their change, by week
  primary_keys: [shop]
  timestamp: week_of
  sql: crowd.sql
  history: 2 weeks
  online: true
  columns:
    shop: {type: string, description: Shop}
    week_of: {type: date, description: The Wednesday of the week}
    crowd: {type: double, description: Logarithm of the visitors}
    crowd_change: {type: double, description: Its change since the week before}
---
type: mlops_assets.FeatureTable
attributes:
  name: baskets
  description: Items of each till and day
  primary_keys: [till]
  timestamp: day
  sql: baskets.sql
  history: 1 days
  columns:
    till: {type: bigint, description: Till}
    day: {type: date, description: Day}
    items: {type: bigint, description: Items}
"""
MODELS = """\
type: mlops_assets.Model
attributes:
  name: demand
  description: Growth of units from one day to the next
  task: regression
  primary_keys: [shop]
  timestamp: day
  population: selling.sql
  history: 2 days
  label: {sql: growth.sql, column: growth, horizon: 1, unit: log ratio}
  baseline: trend.growth_1w
  features:
    - {table: trend, columns: [level, growth_1w, revenue], lookback: 3 days}
    - {table: crowd, columns: [crowd, crowd_change], lookback: 3 weeks}
    - {table: returns, columns: [returned], lookback: 2 days}
    - {table: shops, columns: [region]}
  template: {name: ridge_regressor, params: {alpha: 1.0}}
  train: {window: expanding, validation: 7 days, min_rows: 100}
  gates: [{metric: mae, better_than: baseline}]
  intervals: {coverage: 80%}
  retrain: {worse_by: 0.5, persistence: 3, cool_down: 14 days, max_age: 28 days}
---
type: mlops_assets.Model
attributes:
  name: footfall
  description: Growth of visitors from one week to the next, of which one hears a week late
  task: regression
  primary_keys: [shop]
  timestamp: week_of
  population: visited.sql
  history: 3 weeks
  label: {sql: more_visitors.sql, column: growth, horizon: 1, delay: 1, unit: log ratio}
  baseline: crowd.crowd_change
  features:
    - {table: crowd, columns: [crowd, crowd_change], lookback: 2 weeks}
    - {table: trend, columns: [level, revenue], lookback: 7 days}
  template: {name: ridge_regressor, params: {alpha: 1.0}}
  train: {window: expanding, validation: 1 week, min_rows: 12}
  gates: [{metric: mae, better_than: baseline}]
  intervals: {coverage: 90%}
  retrain: {worse_by: 5, persistence: 3, cool_down: 4 weeks, max_age: 52 weeks}
---
type: mlops_assets.Model
attributes:
  name: spending
  description: Growth of units of a shop by its region's money, for as long as that was told
  task: regression
  primary_keys: [region]
  timestamp: month
  population: budgeted.sql
  history: 2 months
  label: {sql: more_money.sql, column: growth, horizon: 1, unit: log ratio}
  baseline: budgets.budget
  features:
    - {table: budgets, columns: [budget], lookback: 1 months}
  template: {name: ridge_regressor, params: {alpha: 1.0}}
  train: {window: expanding, validation: 1 months, min_rows: 1000}
  gates: [{metric: mae, better_than: baseline}]
  retrain: {cool_down: 1 months, max_age: 12 months}
"""
FILES = {
    "sources/defs.yaml": SOURCES,
    "tables/defs.yaml": TABLES,
    "tables/trend.sql": """\
SELECT a.shop, a.day, ln(a.units + 1) AS level, ln(a.units + 1) - ln(b.units + 1) AS growth_1w,
    a.units * a.price AS revenue
FROM sales AS a
LEFT JOIN sales AS b ON b.shop = a.shop AND b.day = a.day - INTERVAL 7 DAY
""",
    "tables/crowd.sql": """\
SELECT a.shop, a.week_of, ln(a.visitors) AS crowd, ln(a.visitors) - ln(b.visitors) AS crowd_change
FROM visitors AS a
LEFT JOIN visitors AS b ON b.shop = a.shop AND b.week_of = a.week_of - INTERVAL 7 DAY
""",
    "tables/baskets.sql": """\
SELECT till, CAST(sold_at AS DATE) AS day, CAST(sum(items) AS BIGINT) AS items
FROM tills GROUP BY till, CAST(sold_at AS DATE)
""",
    "models/defs.yaml": MODELS,
    "models/selling.sql": "SELECT shop, day FROM sales WHERE units > 0\n",
    "models/growth.sql": """\
SELECT a.shop, a.day, ln((b.units + 1) / (a.units + 1)) AS growth
FROM sales AS a JOIN sales AS b ON b.shop = a.shop AND b.day = a.day + INTERVAL 1 DAY
""",
    "models/visited.sql": "SELECT shop, week_of FROM visitors\n",
    "models/more_visitors.sql": """\
SELECT a.shop, a.week_of, ln(b.visitors / a.visitors) AS growth
FROM visitors AS a JOIN visitors AS b ON b.shop = a.shop AND b.week_of = a.week_of + INTERVAL 7 DAY
""",
    "models/budgeted.sql": "SELECT region, month FROM budgets\n",
    "models/more_money.sql": """\
SELECT a.region, a.month, ln(b.budget / a.budget) AS growth
FROM budgets AS a JOIN budgets AS b ON b.region = a.region AND b.month = a.month + INTERVAL 1 MONTH
""",
}


def units(shop: str, day: date) -> int:
    """What a shop sold on a day: a weekly wave of its own, some noise, and nothing now and then."""
    number, since = SHOPS.index(shop), (day - FIRST_DAY).days
    noise = (number * 7919 + since * 104729) % 17
    return 0 if noise == 0 else 20 + 10 * number + (13 * (since + number)) % 7 * (number + 3) + noise


def price(shop: str) -> Decimal:
    """What a unit costs in a shop."""
    return 1 + Decimal(SHOPS.index(shop)) / 4


def visitors(shop: str, wednesday: date) -> int:
    """How many came to a shop in a week."""
    return 5 * sum(units(shop, wednesday + timedelta(days=offset)) for offset in range(-3, 4)) + 7


def returned(shop: str, day: date) -> int:
    """What came back to a shop on a day."""
    return units(shop, day) // 9


@dataclass(frozen=True)
class MixedProject:
    """The project in a folder.

    Args:
        folder: Its folder.
        database: The database that returns are read from.
    """

    folder: Path
    database: Path

    @property
    def files(self) -> SmallProject:
        """Its definitions, to change them."""
        return SmallProject(self.folder / self.folder.name / "defs", {})

    @property
    def variables(self) -> dict[str, str]:
        """The variables that its commands need."""
        return {DATABASE_VARIABLE: f"sqlite:///{self.database}"}


def write_mixed_project(folder: Path) -> MixedProject:
    """Write project, data and database into a folder that is named as a package may be."""
    defs = write_in_starter(folder, FILES).folder
    project = MixedProject(folder, folder.parent / "returns.db")
    days = [FIRST_DAY + timedelta(days=number) for number in range(DAYS)]
    wednesdays = [date(2024, 1, 10) + timedelta(days=7 * number) for number in range(DAYS // 7 - 1)]
    data = {
        "sales": [
            "shop,day,units,price",
            *(f"{s},{d},{units(s, d)},{price(s)}" for d in days for s in SHOPS),
        ],
        "visitors": ["shop,week_of,visitors", *(f"{s},{w},{visitors(s, w)}" for w in wednesdays for s in SHOPS)],
        "budgets": [
            "region,month,budget",
            *(
                f"{region},{month}-01,{100 + 10 * number + 5 * place}"
                for number, month in enumerate(("2023-12", "2024-01", "2024-02"))
                for place, region in enumerate(("north", "south"))
            ),
        ],
        "shops": ["shop,region", *(f"{s},{('north', 'south')[SHOPS.index(s) % 2]}" for s in SHOPS)],
    }
    for name, lines in data.items():
        file = defs / "sources" / "data" / f"{name}.csv"
        file.parent.mkdir(exist_ok=True)
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with sqlite3.connect(project.database) as connection:
        connection.execute("CREATE TABLE returned (shop TEXT, day DATE, returned INTEGER)")
        rows = [(s, str(d), returned(s, d)) for d in days[9:] for s in SHOPS]
        connection.executemany("INSERT INTO returned VALUES (?, ?, ?)", rows)
    return project
