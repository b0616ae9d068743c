"""A Python function computes a partition from what SQL would have seen, in the frames that it asks for."""

import sys
from decimal import Decimal
from pathlib import Path

import pytest

from mlops_assets.errors import ContractError
from mlops_assets_tests.small_line import SHOPS, Line, hours, units_of

DAY = "2024-01-07"
TABLE = """\
type: mlops_assets.FeatureTable
attributes:
  name: recent
  description: Units of two days
  primary_keys: [shop]
  timestamp: day
  python: recent:features
  inputs: [sales, shops]
  history: 2 days
  columns:
    shop: {type: string, description: Shop}
    day: {type: date, description: Day}
    units: {type: bigint, description: Units of two days}
    region: {type: string, description: Region}
"""
ARROW = """\
import pyarrow as pa
from . import helper

def features(sales, shops, period):
    totals = sales.group_by("shop").aggregate([("units", "sum")]).join(shops, "shop")
    day = pa.array([period.start.date()] * totals.num_rows)
    return totals.rename_columns(["shop", helper.UNITS, "region"]).append_column("day", day)
"""
PANDAS = """\
import pandas as pd

def features(sales: pd.DataFrame, shops: pd.DataFrame) -> pd.DataFrame:
    from .helper import UNITS
    assert str(sales[UNITS].dtype) == "Int64" and str(sales.day.dtype).startswith("datetime64")
    totals = sales.groupby("shop", as_index=False).agg({UNITS: "sum", "day": "max"})
    return totals.merge(shops, on="shop", how="left")
"""
POLARS = """\
import polars as pl
from .helper import UNITS

def features(sales: "pl.DataFrame", shops: "pl.DataFrame"):
    totals = sales.group_by("shop").agg(pl.col(UNITS).sum(), pl.col("day").max())
    return totals.join(shops, on="shop", how="left")
"""


@pytest.fixture
def line(tmp_path: Path) -> Line:
    made = Line(tmp_path / "line")
    made.files.write("recent/defs.yaml", TABLE)
    made.files.write("recent/recent.py", ARROW)
    made.files.write("recent/helper.py", "UNITS = 'units'\n")
    made.open().shops()
    for key in made.days(3):
        made.sales(key)
    return made


def written(line: Line, text: str) -> Line:
    line.files.write("recent/recent.py", text)
    return line.open()


@pytest.mark.parametrize("text", [ARROW, PANDAS, POLARS], ids=["arrow", "pandas", "polars"])
def test_a_function_sees_the_history_as_known_then_in_the_frames_it_asks_for(line: Line, text: str) -> None:
    written(line, text).features(DAY, "recent")
    moment = line.period(DAY).end + hours(6)
    days = line.days(3)[1:]
    assert line.known("recent", moment, "units") == {
        (shop, DAY): sum(units_of(shop, day) for day in days) for shop in SHOPS
    }
    assert line.known("recent", moment, "region")["s01", DAY] == "south"
    assert line.known("recent", moment - hours(0.1), "units") == {}


def test_a_correction_reaches_what_a_function_computed(line: Line) -> None:
    before = line.features(DAY, "recent")
    late = line.period(DAY).end + hours(72)
    line.sales("2024-01-06", at=late, s03=9)
    after = line.features(DAY, "recent")
    assert (after.corrections, after.rows) == ({late: 1}, before.rows)
    assert line.known("recent", late, "units")["s03", DAY] == 9 + units_of("s03", DAY)


def test_a_function_leaves_no_module_behind_and_takes_none_of_others(line: Line) -> None:
    before = {name: module for name, module in sys.modules.items() if "helper" in name or "recent" in name}
    line.features(DAY, "recent")
    assert {name: module for name, module in sys.modules.items() if "helper" in name or "recent" in name} == before


def test_what_runs_is_what_was_read_with_the_project(line: Line) -> None:
    line.files.write("recent/helper.py", "UNITS = 'changed'\n")
    line.files.write("recent/recent.py", "raise RuntimeError('changed')\n")
    assert line.features(DAY, "recent").rows == len(SHOPS)


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("return totals.merge", "return sales and totals.merge", "'features' raised ValueError: The truth value"),
        ('return totals.merge(shops, on="shop", how="left")', "return 1", "'features' answered with int"),
        ('on="shop", how="left")', 'on="shop").drop(columns="region")', "'features' gives no column 'region'"),
        ('how="left")', 'how="left").assign(units=0.5)', "column 'units' of 'features' has type double"),
        (
            'how="left")',
            'how="left").assign(region=object())',
            "'features' answered with DataFrame: a pandas frame that",
        ),
        ('how="left")', 'how="left").assign(region=7)', "column 'region' of 'features' has type int64"),
        ('how="left")', 'how="left").assign(day=pd.Timestamp("2024-01-07 01:00"))', "column 'day' of 'features' has"),
    ],
)
def test_an_answer_that_is_not_what_was_declared(line: Line, old: str, new: str, found: str) -> None:
    assert PANDAS.count(old) == 1
    written(line, PANDAS.replace(old, new))
    with pytest.raises(ContractError) as caught:
        line.features(DAY, "recent")
    assert caught.value.found.startswith(found)
    assert caught.value.where is not None
    assert caught.value.where.file == line.files.folder / "recent" / "recent.py"
    raised = line.files.line("recent/recent.py", "return" if "raised" in found else "def features")
    assert caught.value.where.line == raised
    assert line.platform.table("recent").delta.version() is None


@pytest.mark.parametrize(
    "quarter", ["[Decimal(int(units)) / 4 for units in totals.units]", "totals.units.astype(float) / 4"]
)
def test_a_decimal_is_taken_from_decimals_and_from_doubles_that_are_one(line: Line, quarter: str) -> None:
    line.files.change("recent/defs.yaml", "units: {type: bigint", 'units: {type: "decimal(12, 2)"')
    text = f"from decimal import Decimal\n{PANDAS}".replace(
        'how="left")', f'how="left").assign(units=lambda totals: {quarter})'
    )
    written(line, text).features(DAY, "recent")
    known = line.known("recent", line.period(DAY).end + hours(6), "units")
    days = line.days(3)[1:]
    assert known == {(shop, DAY): sum(Decimal(units_of(shop, day)) for day in days) / 4 for shop in SHOPS}
    written(line, text.replace("/ 4", "/ 7"))
    line.sales("2024-01-06", at=line.period(DAY).end + hours(72), s03=9)
    with pytest.raises(ContractError) as caught:
        line.features(DAY, "recent")
    assert "(a value that no decimal(12,2) holds: round it)" in caught.value.found


def test_rows_without_a_time_are_refused_and_rows_of_other_periods_are_not_kept(line: Line) -> None:
    written(line, PANDAS.replace('how="left")', 'how="left").assign(day=pd.NaT)'))
    with pytest.raises(ContractError):
        line.features(DAY, "recent")
    written(line, PANDAS.replace('{UNITS: "sum", "day": "max"}', '{UNITS: "sum", "day": "min"}'))
    assert line.features(DAY, "recent").rows == 0
