"""The verdict on a period: quiet where nothing drifts, at a rate that is told, and loud where something does."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mlops_assets.lakehouse.periods import Calendar
from mlops_assets.monitoring.period_null import PeriodNull, ReferenceKind, Verdict
from mlops_assets.monitoring.period_statistics import CONSTANT, DISTANCE, NEW, NULLS, ROWS, VANISHED
from mlops_assets.project.model_attributes import DriftChoice
from mlops_assets.testing import (
    Injector,
    Monitored,
    SyntheticPeriods,
    assert_detects_drift,
    assert_false_alarm_rate,
    assert_quiet_on_benign,
    covariate_shift,
    new_level,
    nulls,
    unit_change,
)

NUMBERS = tuple(f"x{number}" for number in range(8))
REFERENCE = range(60)


@pytest.fixture(scope="module")
def months() -> SyntheticPeriods:
    return SyntheticPeriods(NUMBERS, ("level",), seed=1)


@pytest.fixture(scope="module")
def past(months: SyntheticPeriods) -> Monitored:
    return months.monitored(REFERENCE)


def judged(past: Monitored, months: SyntheticPeriods, place: int, change: Injector | None = None) -> Verdict:
    rows = months.table(place)
    return past.judge(months.key(place), change(rows) if change else rows)


def test_months_that_differ_without_drift_alarm_as_rarely_as_is_told() -> None:
    assert_false_alarm_rate(SyntheticPeriods(NUMBERS, ("level",), seed=100).monitored(range(96)), max_rate=0.05)


def test_the_past_itself_alarms_at_the_rate_that_is_told(past: Monitored) -> None:
    null = past.null()
    assert len(null.largest) == 60
    assert 1 <= null.alarms_in_past <= 6
    assert np.mean(null.largest > null.bar) == pytest.approx(0.05, abs=0.02)
    stricter = PeriodNull.of(null.reference, past.calendar, rate=0.2)
    assert stricter.bar < null.bar and stricter.alarms_in_past > null.alarms_in_past


def column(name: str, values: Any) -> Injector:
    """A column that holds something else."""

    def change(rows: pa.Table, random: np.random.Generator) -> pa.Table:
        new = pa.array(values(rows))
        return rows.set_column(rows.column_names.index(name), name, new)

    return Injector(f"another {name}", (name,), change)


def missing(rows: pa.Table, random: np.random.Generator) -> pa.Table:
    return rows.slice(0, 90)


@pytest.mark.parametrize(
    ("change", "named", "statistic"),
    [
        pytest.param(covariate_shift("x2", 1.5), "x2", DISTANCE, id="shifted"),
        pytest.param(unit_change("x3"), "x3", DISTANCE, id="another unit"),
        pytest.param(nulls("x0"), "x0", NULLS, id="nulls"),
        pytest.param(new_level("level"), "level", NEW, id="a new level"),
        pytest.param(column("x0", lambda rows: rows["x7"].to_numpy() * 10 + 20), "x0", DISTANCE, id="swapped"),
        pytest.param(Injector("rows missing", (), missing), "", ROWS, id="rows missing"),
        pytest.param(column("level", lambda rows: ["level 0"] * len(rows)), "level", VANISHED, id="one level"),
    ],
)
def test_what_drifts_is_an_alarm_and_named_first(
    past: Monitored, months: SyntheticPeriods, change: Injector, named: str, statistic: str
) -> None:
    assert_detects_drift(past, change, power=0.9, trials=22)
    found = judged(past, months, 60, change)
    assert (found.findings[0].column, found.findings[0].statistic) == (named, statistic)
    assert found.beyond[0] == found.findings[0]


def test_one_row_of_a_new_level_is_no_drift(past: Monitored, months: SyntheticPeriods) -> None:
    quiet = [place for place in range(60, 84) if not judged(past, months, place).alarm]
    assert not any(judged(past, months, place, new_level("level", 1 / 300)).alarm for place in quiet)


def test_the_order_and_types_of_rows_and_columns_and_seasons_are_no_drift(past: Monitored) -> None:
    assert_quiet_on_benign(past)


def test_the_number_of_the_month_falls_out_by_itself(months: SyntheticPeriods) -> None:
    def numbered(places: Sequence[int]) -> Monitored:
        made = months.monitored(places)
        number = pa.array([float(key[-2:]) for key in made.periods])
        return replace(made, rows=made.rows.append_column("calendar", number), numbers=(*NUMBERS, "calendar"))

    past, following = numbered(REFERENCE), numbered(range(60, 72))
    found = [one for key in following.keys for one in past.judge(key, following.at(key)).findings]
    scores = [finding.score for finding in found if finding.column == "calendar"]
    assert scores and max(scores) < past.null().bar


def test_a_constant_that_changes_is_found(past: Monitored, months: SyntheticPeriods) -> None:
    def constant(value: float) -> Injector:
        return column("x0", lambda rows: [value] * len(rows))

    always = replace(past, rows=constant(0.1)(past.rows))
    assert not judged(always, months, 60, constant(0.1)).beyond
    assert judged(always, months, 60, constant(0.2)).findings[0].statistic == CONSTANT


def test_the_same_season_finds_what_all_of_the_reference_hides() -> None:
    months = SyntheticPeriods(("x0", "x1", "x2"), ("level",), seed=5, season=3.0, wander=0.05)
    by_all = months.monitored(REFERENCE)
    by_season = replace(by_all, drift=DriftChoice("same_season"))
    moved = column("x0", lambda rows: np.resize(months.table(66)["x0"].to_numpy(), len(rows)))
    assert not judged(by_season, months, 63).alarm and not judged(by_all, months, 63).alarm
    assert judged(by_season, months, 63, moved).beyond[0].column == "x0"
    assert not judged(by_all, months, 63, moved).alarm


def test_a_month_is_compared_with_the_one_before_where_that_is_asked(past: Monitored, months: SyntheticPeriods) -> None:
    previous, shifted = replace(past, drift=DriftChoice("previous")), covariate_shift("x1", 2.0)
    assert len(previous.null().largest) == 59 and previous.judged == previous.keys[1:]
    now, before = shifted(months.table(61)), shifted(months.table(60))
    assert previous.judge(months.key(61), now, before=before).findings[0].column != "x1"
    assert previous.judge(months.key(61), now, before=months.table(60)).findings[0].column == "x1"


@pytest.mark.parametrize(
    ("places", "kind", "words"),
    [
        (range(23), "all", "there are 23 past periods to compare, and 24 are needed to judge"),
        (range(1), "previous", "there are 0 past periods to compare, and 24 are needed to judge"),
        (
            [n for n in range(40) if n % 12 != 2],
            "same_season",
            "there are 0 past periods of this season, and 3 are needed",
        ),
    ],
)
def test_too_short_a_past_is_shown_and_not_judged(
    months: SyntheticPeriods, places: Any, kind: ReferenceKind, words: str
) -> None:
    found = judged(months.monitored(places, DriftChoice(kind)), months, 62, covariate_shift("x0", 9.0))
    assert found.why_not.startswith(words)
    assert not found.alarm and np.isnan(found.bar)
    assert kind == "previous" or found.findings[0].column == "x0"


def test_power_says_which_columns_a_shift_would_be_seen_in() -> None:
    calm = SyntheticPeriods(NUMBERS, seed=2, season=0.05, wander=0.02).monitored(REFERENCE)
    levels = np.random.default_rng(0).normal(size=60) * 6
    places = np.searchsorted(calm.keys, calm.periods)
    noisy = column("x7", lambda rows: rows["x7"].to_numpy() + levels[places])
    power = replace(calm, rows=noisy(calm.rows)).null().power
    assert power.keys() == {*NUMBERS}
    assert power["x1"] > 0.9
    assert power["x7"] < 0.2


@pytest.mark.parametrize(("unit", "expected"), [("day", 2), ("week", 1), ("month", 1)])
def test_a_season_is_a_month_and_of_days_a_day_of_the_week(unit: Any, expected: int) -> None:
    from mlops_assets.monitoring.period_null import season_of

    key = {"day": "2003-01-01", "week": "2002-12-30", "month": "2003-01"}[unit]
    assert season_of(Calendar(unit), key) == (12 if unit == "week" else expected)
