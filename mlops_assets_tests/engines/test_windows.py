"""Declared time windows are SQL that every engine answers alike, and that a lookup is never answered stale by."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.engines.contract import Engine
from mlops_assets.engines.duckdb import DuckDBEngine
from mlops_assets.errors import DefinitionError
from mlops_assets.features.created_training_sets import FeatureLookup, look_up
from mlops_assets.features.feature_tables import evaluate_feature_table
from mlops_assets.features.online.publishing import publish
from mlops_assets.features.online.reading import OnlineFeatures
from mlops_assets.features.online.store import open_store
from mlops_assets.lakehouse.home import Home
from mlops_assets.lakehouse.periods import ONE_MICROSECOND, Duration, Period
from mlops_assets.platform import Platform
from mlops_assets.project.load import load_project
from mlops_assets.sources.ingest import ingest
from mlops_assets.sources.pushed import accept
from mlops_assets_tests.project.test_windows import (
    BY_SHOP,
    FUNCTIONS,
    SOURCE,
    evaluated,
    expected,
    project_of,
    rounded,
)

pytestmark = pytest.mark.slow


def test_windows_of_all_functions_are_what_the_oracle_computes(engine: Engine, tmp_path: Path) -> None:
    project = project_of(tmp_path / "defs", "week")
    period = project.sources["sales"].schema.calendar.at_key("2024-03-30")
    source, rows = random.Random(7), []
    for shop, product, days in [(shop, product, days) for shop in "ab" for product in "xy" for days in range(1, 50)]:
        time = period.end - timedelta(days=days)
        row: dict[str, Any] = {"shop": shop, "product": product, "day": time.date(), "time": time}
        row |= {"kind": source.choice(["web", "web", "counter", None]), "units": source.choice([None, *range(-3, 6)])}
        rows.append(row | {"price": source.choice([None, Decimal("0.5"), Decimal("-2.25"), Decimal(7)])})
    for table in project.feature_tables.values():
        sparse = source.sample(rows, 120)
        found = evaluated(engine, tmp_path, project, table, sparse, period)
        assert found
        assert [rounded(row) for row in found] == [rounded(row) for row in expected(table, sparse, period)]


@dataclass(frozen=True)
class Sale:
    """One sale, when it happened and when it was told of."""

    shop: str
    day: date | datetime
    time: datetime
    known_at: datetime
    units: int | None
    kind: str


@dataclass
class Sold:
    """Sales that come and go, pushed one by one, also late; and declared windows over them.

    Args:
        platform: The platform.
        sales: What was told so far.
    """

    platform: Platform
    sales: list[Sale]

    @classmethod
    def of(cls, folder: Path, engine: Engine, calendar: str, type_: str, windows: str) -> "Sold":
        source = SOURCE.format(period=f"{calendar}\n  publication_lag: 30 hours\n  push: {{}}", time=type_)
        table = BY_SHOP.format(windows=windows).replace("  windows:\n", "  online: true\n  windows:\n", 1)
        (folder / "defs").mkdir(parents=True)
        (folder / "defs" / "defs.yaml").write_text(f"{source}---\n{table}", encoding="utf-8")
        home = Home(folder / "home").prepare()
        return cls(Platform(load_project(folder / "defs"), home, home.clock, engine), [])

    def live(self, count: int, seed: int, *, at_once: bool) -> list[Period]:
        """Let periods pass, with sales of some shops in some of them; compute as they come, or all at the end."""
        source, table = self.platform.project.sources["sales"], self.platform.project.feature_tables["by_shop"]
        assert source.first is not None
        calendar, chance = source.schema.calendar, random.Random(seed)
        periods = list(calendar.between(source.first, calendar.shift(source.first, count - 1)))
        for number, period in enumerate(periods):
            now = period.end + source.lag
            self.platform.home.clock.set(now)
            late = chance.choice([0, 0, 0, 1, 3])  # of a period that was computed long ago, in its middle
            told = [(shop, period) for shop in "abc" if chance.random() < (0.4 if number < count // 2 else 0.15)]
            told += [("a", periods[number - late])] if number >= late > 0 else []
            self.push([self.sale(chance, shop, of, now) for shop, of in told], now)
            due = [of for of in periods[: number + 1] if told and of >= min(of for _, of in told) or of == period]
            for of in [] if at_once else due:
                evaluate_feature_table(self.platform, table, of)
        for of in periods if at_once else []:
            evaluate_feature_table(self.platform, table, of)
        return periods

    def sale(self, chance: random.Random, shop: str, of: Period, known_at: datetime) -> Sale:
        hours = chance.choice([0, chance.randrange(int((of.end - of.start) / timedelta(hours=1)))])
        moment = of.end - ONE_MICROSECOND if hours == 0 else of.start + timedelta(hours=hours)
        dated = self.platform.project.sources["sales"].schema.column("day").type == "date"
        day: Any = moment.date() if dated else moment
        moment = datetime.combine(day, time(), UTC) if dated else moment
        kind = "counter" if shop == "c" else chance.choice(["web", "web", "counter"])
        return Sale(shop, day, moment, known_at, chance.choice([None, 1, 2, 5, -3]), kind)

    def push(self, sales: Sequence[Sale], now: datetime) -> None:
        source, number = self.platform.project.sources["sales"], len(self.sales)
        rows = [
            {"shop": sale.shop, "product": f"p{number + place}", "day": sale.day.isoformat(), "kind": sale.kind}
            | {"units": sale.units, "price": None if sale.units is None else sale.units / 2}
            for place, sale in enumerate(sales)
        ]
        self.sales += sales
        if rows:
            accept(self.platform, source, rows, now.isoformat(), now)
        for key in self.platform.pushed.waiting_periods("sales"):
            ingest(self.platform, source, source.schema.calendar.at_key(key))

    def expected(self, shop: str, anchor: datetime, as_of: datetime) -> dict[str, Any]:
        """What the windows hold at the end of the newest period that is over at the anchor, and told of by as_of."""
        table = self.platform.project.feature_tables["by_shop"]
        calendar, dated = table.schema.calendar, table.schema.column("day").type == "date"
        period = calendar.of(min(anchor, as_of - table.lag - ONE_MICROSECOND))
        last = datetime.combine(period.anchor.date(), time(), UTC) if dated else period.anchor
        if last > anchor or period.end + table.lag > as_of:
            period = calendar.shift(period, -1)
        counted = [
            sale
            for sale in self.sales
            if (sale.shop, sale.kind) == (shop, "web") and sale.time <= period.anchor and sale.known_at <= as_of
        ]
        found = {}
        for name in table.schema.value_names:
            if name.startswith("units"):
                _, function, *_, number, unit = name.replace("distinct_count", "distinct").split("_")
                begin = Duration.parse(f"{number} {unit}").before(period.anchor)
                values = [sale.units for sale in counted if sale.time > begin and sale.units is not None]
                found[name] = FUNCTIONS["distinct_count" if function == "distinct" else function](values)
        return found


CASES = {
    "day": ("period: day\n  first_period: 2024-02-25", "timestamp", "1 day, 3 days, 36 hours", 9),
    "week": ("period: week\n  week_ends_on: saturday\n  first_period: 2024-01-07", "date", "1 week, 16 days", 8),
    "month": ("period: month\n  first_period: 2023-11", "date", "1 month, 62 days", 7),
}


def test_a_lookup_is_answered_by_the_windows_as_of_its_own_row(engine: Engine, tmp_path: Path) -> None:
    on_spark = not isinstance(engine, DuckDBEngine)  # where each question takes seconds
    for unit in ["week"] if on_spark else CASES:
        calendar, type_, windows, count = CASES[unit]
        windows = "1 week" if on_spark else windows
        sold = Sold.of(tmp_path / unit, getattr(engine, "engine", engine), calendar, type_, windows)
        periods = sold.live(3 if on_spark else count, 1, at_once=on_spark)
        assert_looked_up(sold, periods)
        if not on_spark:
            assert_online(sold)


def assert_looked_up(sold: Sold, periods: Sequence[Period]) -> None:
    import pyarrow as pa

    lag, now = sold.platform.project.sources["sales"].lag, sold.platform.clock.now()
    asked = [
        (shop, anchor, as_of)
        for period in periods
        for anchor in (period.anchor, period.start + (period.end - period.start) / 2)
        for as_of in (max(anchor, period.end + lag), now)
        for shop in "abcd"
    ]
    shops, anchors, as_ofs = (pa.array(values) for values in zip(*asked, strict=True))
    rows = pa.table({"shop": shops, "anchor": anchors, "as_of": as_ofs})
    names = [*sold.expected("a", now, now)]
    lookup = FeatureLookup("by_shop", names)
    found, _ = look_up(sold.platform, rows, [lookup], timestamp=None, as_of=None, read_at=now, versions=None)
    assert [rounded(row) for row in found.to_pylist()] == [rounded(sold.expected(*row)) for row in asked]


def assert_online(sold: Sold) -> None:
    store, now = open_store(sold.platform), sold.platform.clock.now()
    publish(sold.platform, store, "by_shop")
    names = [*sold.expected("a", now, now)]
    answers = OnlineFeatures(sold.platform, store).look_up(
        [{"shop": shop} for shop in "abcd"], [FeatureLookup("by_shop", names)]
    )
    assert [rounded(one.features) for one in answers] == [rounded(sold.expected(shop, now, now)) for shop in "abcd"]


@pytest.mark.parametrize(
    ("unit", "short", "least", "enough"),
    [
        ("day", timedelta(days=2), "at least 3 days, for so long it may be the newest one that is known", "3 days"),
        ("week", "9 days", "at least 10 days, for so long it may be the newest one that is known", "10 days"),
        ("month", "1 month", "at least 34 days, for so long it may be the newest one that is known", "2 months"),
    ],
)
def test_a_lookback_that_would_hide_a_row_that_still_holds_is_refused(
    tmp_path: Path, unit: str, short: str | timedelta, least: str, enough: str
) -> None:
    import pyarrow as pa

    calendar, type_, windows, _ = CASES[unit]
    platform = Sold.of(tmp_path, DuckDBEngine(tmp_path), calendar, type_, windows).platform
    rows = pa.table({"shop": ["a"], "at": [datetime(2024, 5, 1, tzinfo=UTC)]})

    def asked(feature: str, lookback: str | timedelta) -> Any:
        lookups = [FeatureLookup("by_shop", feature, lookback=lookback)]
        now = platform.clock.now()
        return look_up(platform, rows, lookups, timestamp="at", as_of=None, read_at=now, versions=None)

    number = windows.partition(",")[0].replace(" ", "_")
    with pytest.raises(DefinitionError) as refused:
        asked(f"units_sum_{number}", short)
    assert "whose newest row may be older and still hold" in refused.value.found
    assert (refused.value.expected, refused.value.cure) == (
        least,
        "leave lookback out: a row of windows holds until the next one",
    )
    asked(f"units_max_{number}", short)  # null says that nothing is known
    assert asked(f"units_sum_{number}", enough)[0].to_pylist() == [{f"units_sum_{number}": 0}]
