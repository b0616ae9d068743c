"""Corrections reach features: random histories of deliveries, against recomputing, and against building anew."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mlops_assets.features.corrections import Computed, moments_due
from mlops_assets.features.feature_tables import evaluate_feature_table, feature_rows, query_inputs
from mlops_assets.lakehouse.home import Home
from mlops_assets.lakehouse.periods import Period
from mlops_assets.lakehouse.tables import StateMoment
from mlops_assets.platform import Platform
from mlops_assets.sources.pushed import accept
from mlops_assets_tests.sources.small_project import Shop, platform_of, sales_yaml

MONTHS = ("2024-01", "2024-02", "2024-03")
TREND = """
type: mlops_assets.FeatureTable
attributes:
  name: trend
  description: Units of two months
  primary_keys: [shop]
  timestamp: day
  sql: trend.sql
  history: 2 months
  columns:
    shop: {type: string, description: Shop}
    day: {type: date, description: Month}
    total: {type: bigint, description: Units of two months}
"""
TREND_SQL = """
SELECT shop, day, CAST(sum(units) OVER (
    PARTITION BY shop ORDER BY day RANGE BETWEEN INTERVAL 1 MONTH PRECEDING AND CURRENT ROW) AS BIGINT) AS total
FROM sales
"""
FURTHER = TREND.replace("name: trend", "name: further").replace("trend.sql", "further.sql")
FURTHER_SQL = "SELECT shop, day, total * 10 AS total FROM trend"
RECENT = """
type: mlops_assets.FeatureTable
attributes:
  name: recent
  description: Units of the month
  primary_keys: [shop]
  timestamp: day
  windows: {source: sales, aggregations: [{column: units, functions: [sum], windows: [1 month]}]}
"""
TABLES = ("trend", "further", "recent")


SHOPS = ("east", "north", "south", "west")


@dataclass(frozen=True)
class Step:
    """A delivery of a month, so many hours after the last: units of each shop, None for no row."""

    place: int
    hours_later: int
    units: tuple[int | None, ...]
    before: tuple[int | None, ...]


UNITS = st.tuples(*[st.one_of(st.none(), st.integers(1, 3))] * len(SHOPS))
steps = st.builds(
    Step, place=st.integers(0, 2), hours_later=st.sampled_from([1, 30, 100, 800]), units=UNITS, before=UNITS
)
OUT_OF_ORDER = [
    Step(1, 800, (1, 2, None, 3), (2, 2, 2, None)),
    Step(1, 30, (1, 3, None, None), (2, 2, 1, None)),  # of its rows one is corrected and one removed
    Step(0, 100, (1, 2, 3, 1), (1, 1, 1, 1)),  # the month before comes later, and was known before both
    Step(2, 800, (None, 1, 2, 3), (1, 2, None, 3)),
    Step(0, 100, (1, 3, None, 1), (1, 1, 1, 1)),
]


class History:
    """A source, a feature table over two months of it, another on top, and what the platform does on a delivery."""

    def __init__(self, folder: Path, delivers: str) -> None:
        project = folder / "project"
        project.mkdir(parents=True)
        (project / "trend.sql").write_text(TREND_SQL, encoding="utf-8")
        (project / "further.sql").write_text(FURTHER_SQL, encoding="utf-8")
        fields = ["publication_lag: 3 days", "live_since: 2024-02"]
        if delivers == "push":
            fields += ["push: {}"]
        else:
            fields += ["max_removed_share: 1.0", "min_rows_share: 0.0", f"delivers: {delivers}"]
        fields += ["window_periods: 2"] if delivers == "window" else []
        source = sales_yaml(*fields)
        self.platform = platform_of(Home(folder / "home").prepare(), source, TREND, FURTHER, RECENT)
        self.shop = Shop(self.platform)
        self.delivers = delivers
        self.clock = datetime(2024, 2, 1, tzinfo=UTC)
        self.computed: set[str] = set()

    def periods(self) -> list[Period]:
        return [self.shop.period(key) for key in MONTHS]

    def live(self, step: Step) -> None:
        self.clock += timedelta(hours=step.hours_later)
        period = self.shop.period(MONTHS[step.place])
        if self.delivers == "push":
            self.push(step, period)
            return
        if self.clock < period.end:  # nothing is delivered before its month is over
            self.clock = period.end
        months = [(period.key, step.units)]
        if self.delivers == "window" and step.place:
            months.insert(0, (MONTHS[step.place - 1], step.before))
        rows = [
            f"{shop},{key}-01,{units}"
            for key, sold in months
            for shop, units in zip(SHOPS, sold, strict=True)
            if units is not None
        ]
        self.shop.deliver(period.key, rows, at=self.clock)
        self.carry_on()

    def push(self, step: Step, period: Period) -> None:
        """Push into a month that may still run and into the one before it, and ingest what waits for the first."""
        self.clock = max(self.clock, period.start)
        self.platform.home.clock.set(self.clock)
        months = [(period.key, step.units), *([(MONTHS[step.place - 1], step.before)] if step.place else [])]
        rows = [
            {"shop": shop, "day": f"{key}-01", "units": units}
            for key, sold in months
            for shop, units in zip(SHOPS, sold, strict=True)
            if units is not None
        ]
        if rows:
            accept(self.platform, self.shop.source, rows, self.clock.isoformat(), self.clock)
        if period.key in self.platform.pushed.waiting_periods("sales"):
            self.shop.ingest(period.key)
        self.carry_on()

    def carry_on(self) -> None:
        """Compute every partition that is due, as conditions ask for those behind a delivery."""
        now = self.platform.clock.now()
        for name in TABLES:
            table = self.platform.project.feature_tables[name]
            for period in self.periods():
                pushed = self.shop.source.pushed
                first = pushed or self.platform.deliveries.first_accepted("sales", period.key)
                if first and self.platform.feature_table_as_of(table, period) <= now:
                    evaluate_feature_table(self.platform, table, period)
                    self.computed.add(period.key)

    def versions(self) -> dict[str, list[str]]:
        return {
            name: [self.platform.table(name).data_version(self.shop.period(key)) for key in sorted(self.computed)]
            for name in TABLES
        }

    def built_anew(self, folder: Path) -> dict[str, list[str]]:
        """The data versions of feature tables that are built from the same states, once, at the end."""
        shutil.copytree(self.platform.home.folder, folder)
        for made in folder.joinpath("lakehouse", "tables").iterdir():
            if made.name.split(".")[0] in TABLES:
                shutil.rmtree(made)
        anew = object.__new__(History)
        anew.platform = Platform.of(self.platform.project, Home(folder))
        anew.shop = Shop(anew.platform)
        anew.computed = set()
        anew.carry_on()
        assert anew.computed == self.computed
        return anew.versions()

    def rows(self, name: str, moment: datetime, period: Period) -> list[tuple[Any, ...]]:
        known = self.platform.engine.known_at(self.platform.table(name), moment, first=period, last=period)
        value = "units_sum_1_month" if name == "recent" else "total"
        return [(row["shop"], str(row["day"]), row[value]) for row in known.to_pylist()]

    def of_the_month(self, moment: datetime, period: Period) -> list[tuple[Any, ...]]:
        """What a month's window holds by hand: also of shops that had a row in the month before."""
        known = self.platform.engine.known_at(self.shop.table, moment).to_pylist()
        sold = {(row["shop"], str(row["day"])[:7]): row["units"] for row in known}
        before, last = self.shop.source.schema.calendar.shift(period, -1).key, str(period.anchor.date())
        keys = sorted({shop for shop, month in sold if month in (before, period.key)})
        return [(shop, last, sold.get((shop, period.key), 0)) for shop in keys]

    def recomputed(self, moment: datetime, period: Period) -> list[tuple[Any, ...]]:
        table = self.platform.project.feature_tables["trend"]
        inputs = query_inputs(self.platform, table.inputs, period, table.history)
        rows = feature_rows(self.platform, table, period, inputs, moment).rows.to_pylist()
        return [(row["shop"], str(row["day"]), row["total"]) for row in rows]


@pytest.mark.slow
@pytest.mark.parametrize("delivers", ["period", "window", "increment"])
@given(history=st.lists(steps, min_size=3, max_size=4))
@example(history=OUT_OF_ORDER)
@settings(max_examples=3)
def test_whatever_was_delivered_when_features_are_as_computed_from_what_was_known_and_the_same_when_built_anew(
    tmp_path_factory: pytest.TempPathFactory, delivers: str, history: list[Step]
) -> None:
    assert_as_recomputed(tmp_path_factory.mktemp("history"), delivers, history)


@pytest.mark.slow
@given(history=st.lists(steps, min_size=3, max_size=4))
@example(history=OUT_OF_ORDER)
@settings(max_examples=2)
def test_whatever_was_pushed_when_features_are_as_computed_from_what_was_known_and_the_same_when_built_anew(
    tmp_path_factory: pytest.TempPathFactory, history: list[Step]
) -> None:
    assert_as_recomputed(tmp_path_factory.mktemp("history"), "push", history)


def assert_as_recomputed(folder: Path, delivers: str, history: list[Step]) -> None:
    lived = History(folder, delivers)
    for step in history:
        lived.live(step)
    lived.platform.home.clock.set(datetime(2024, 12, 1, tzinfo=UTC))  # what was delivered early speaks now
    for key in lived.platform.pushed.waiting_periods("sales"):
        lived.shop.ingest(key)
    lived.carry_on()

    table = lived.platform.project.feature_tables["trend"]
    moments = {row["known_at"] for row in lived.shop.table.states().to_pylist()} if lived.computed else set()
    for key in lived.computed:
        period = lived.shop.period(key)
        as_of = lived.platform.feature_table_as_of(table, period)
        for moment in sorted({as_of, *(moment for moment in moments if moment > as_of)}):
            expected = lived.recomputed(moment, period)
            assert lived.rows("trend", moment, period) == expected, (key, moment)
            assert lived.rows("recent", moment, period) == lived.of_the_month(moment, period)
            assert lived.rows("further", moment, period) == [(*row[:2], row[2] * 10) for row in expected]
        assert lived.rows("trend", as_of - timedelta(microseconds=1), period) == []
    assert lived.built_anew(folder / "anew") == lived.versions()
    shutil.rmtree(folder)


FIRST, LATER, LAST = (datetime(2024, 2, day, tzinfo=UTC) for day in (3, 9, 20))


def states(*moments: StateMoment) -> Mapping[str, Mapping[str, tuple[StateMoment, ...]]]:
    return {"sales": {"2024-01": moments}}


def test_a_partition_that_was_never_corrected_is_computed_at_its_as_of() -> None:
    assert moments_due(states(StateMoment(FIRST, 1)), FIRST, LAST, None) == [FIRST]


def test_a_correction_that_is_not_known_yet_waits() -> None:
    both = states(StateMoment(FIRST, 1), StateMoment(LAST, 2))
    assert moments_due(both, FIRST, LATER, None) == [FIRST]
    seen = Computed({"sales": {"2024-01": 2}}, LATER)
    assert moments_due(both, FIRST, LAST, seen) == [LAST]


def test_only_what_is_new_is_computed_and_all_that_follows_a_change_in_the_past() -> None:
    seen = Computed({"sales": {"2024-01": 3}}, LAST)
    before = [StateMoment(FIRST, 1), StateMoment(LATER, 2), StateMoment(LAST, 3)]
    assert moments_due(states(*before), FIRST, LAST, seen) == [LAST]
    assert moments_due(states(*before, StateMoment(LATER, 4)), FIRST, LAST, seen) == [LATER, LAST]
    assert moments_due(states(*before, StateMoment(FIRST, 4)), FIRST, LAST, seen) == [FIRST, LATER, LAST]
