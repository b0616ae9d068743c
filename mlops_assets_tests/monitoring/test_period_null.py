"""The verdict on a period: quiet where nothing drifts, at a rate that is told, and loud where something does."""

from typing import Any

import numpy as np
import pytest

from mlops_assets.lakehouse.periods import Calendar
from mlops_assets.monitoring.period_null import PeriodNull, ReferenceKind, Verdict
from mlops_assets.monitoring.period_statistics import CONSTANT, DISTANCE, NEW, NULLS, ROWS, VANISHED
from mlops_assets_tests.monitoring.worlds import MONTHS, Change, World

Columns = dict[str, np.ndarray]
REFERENCE = range(60)


@pytest.fixture(scope="module")
def world() -> World:
    return World(seed=1)


@pytest.fixture(scope="module")
def null(world: World) -> PeriodNull:
    return PeriodNull.of(world.months(REFERENCE), MONTHS)


def judged(null: PeriodNull, world: World, number: int, change: Change | None = None) -> Verdict:
    return null.judge(world.months([number], change))


def test_months_that_differ_without_drift_alarm_as_rarely_as_is_told() -> None:
    alarms = []
    for seed in range(4):
        world = World(seed=100 + seed)
        null = PeriodNull.of(world.months(REFERENCE), MONTHS)
        alarms += [judged(null, world, number).alarm for number in range(60, 108)]
    assert 0.01 <= np.mean(alarms) <= 0.12  # of 192 at 5 %, plus what 60 past months know of their own bar


def test_the_past_itself_alarms_at_the_rate_that_is_told(null: PeriodNull) -> None:
    assert len(null.largest) == 60
    assert 1 <= null.alarms_in_past <= 6
    assert np.mean(null.largest > null.bar) == pytest.approx(0.05, abs=0.02)
    stricter = PeriodNull.of(null.reference, MONTHS, rate=0.2)
    assert stricter.bar < null.bar and stricter.alarms_in_past > null.alarms_in_past


def shifted(column: str, by: float) -> Change:
    return lambda part: {**part, column: part[column] + by * part[column].std()}


def with_nulls(part: Columns) -> Columns:
    return {**part, "x0": np.where(np.arange(len(part["x0"])) % 2, part["x0"], np.nan)}


def new_level(share: float) -> Change:
    def change(part: Columns) -> Columns:
        level = part["level"].astype(object)
        level[: max(int(share * len(level)), 1)] = "new"
        return {**part, "level": level}

    return change


def swapped(part: Columns) -> Columns:
    return {**part, "x0": part["x1"] * 10 + 20, "x1": part["x0"]}


@pytest.mark.parametrize(
    ("change", "column", "statistic"),
    [
        pytest.param(shifted("x2", 1.5), "x2", DISTANCE, id="shifted"),
        pytest.param(lambda part: {**part, "x3": part["x3"] * 100}, "x3", DISTANCE, id="another unit"),
        pytest.param(with_nulls, "x0", NULLS, id="nulls"),
        pytest.param(new_level(0.05), "level", NEW, id="a new level"),
        pytest.param(swapped, "x0", DISTANCE, id="swapped"),
        pytest.param(lambda part: {name: values[:90] for name, values in part.items()}, "", ROWS, id="rows missing"),
        pytest.param(lambda part: {**part, "level": np.full(len(part["x0"]), "L0")}, "level", VANISHED, id="one level"),
    ],
)
def test_what_drifts_is_named_first(
    null: PeriodNull, world: World, change: Change, column: str, statistic: str
) -> None:
    for number in (60, 63, 66):
        found = judged(null, world, number, change)
        assert found.alarm
        assert (found.findings[0].column, found.findings[0].statistic) == (column, statistic)
        assert found.beyond[0] == found.findings[0]


def test_one_row_of_a_new_level_is_no_drift(null: PeriodNull, world: World) -> None:
    quiet = [number for number in range(60, 84) if not judged(null, world, number).alarm]
    assert not any(judged(null, world, number, new_level(0.0)).alarm for number in quiet)


def test_the_number_of_the_month_falls_out_by_itself(null: PeriodNull, world: World) -> None:
    found = [finding for number in range(60, 72) for finding in judged(null, world, number).findings]
    scores = [finding.score for finding in found if finding.column == "calendar"]
    assert scores and max(scores) < null.bar


def test_a_constant_that_changes_is_found(world: World) -> None:
    def constant(value: float) -> Change:
        return lambda part: {**part, "x0": np.full(len(part["x0"]), value)}

    null = PeriodNull.of(world.months(REFERENCE, constant(0.1)), MONTHS)
    assert not null.judge(world.months([60], constant(0.1))).beyond
    assert null.judge(world.months([60], constant(0.2))).findings[0].statistic == CONSTANT


def test_the_same_season_finds_what_all_of_the_reference_hides() -> None:
    world = World(seed=5, columns=3, season=3.0, wander=0.05)

    reference = world.months(REFERENCE)
    by_all, by_season = (PeriodNull.of(reference, MONTHS, kind) for kind in ("all", "same_season"))
    usual_in_another = world.values(66)["x0"]

    def moved(part: Columns) -> Columns:
        return {**part, "x0": np.resize(usual_in_another, len(part["x0"]))}

    assert not judged(by_season, world, 63).alarm and not judged(by_all, world, 63).alarm
    assert judged(by_season, world, 63, moved).beyond[0].column == "x0"
    assert not judged(by_all, world, 63, moved).alarm


def test_a_month_is_compared_with_the_one_before_where_that_is_asked(world: World) -> None:
    null = PeriodNull.of(world.months(REFERENCE), MONTHS, "previous")
    assert len(null.largest) == 59
    before = world.months([60], shifted("x1", 2.0))
    assert null.judge(world.months([61], shifted("x1", 2.0)), before).findings[0].column != "x1"
    assert null.judge(world.months([61]), before).findings[0].column == "x1"


@pytest.mark.parametrize(
    ("periods", "kind", "words"),
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
def test_too_short_a_past_is_shown_and_not_judged(world: World, periods: Any, kind: ReferenceKind, words: str) -> None:
    null = PeriodNull.of(world.months(periods), MONTHS, kind)
    found = null.judge(world.months([62], shifted("x0", 9.0)))
    assert found.why_not.startswith(words)
    assert not found.alarm and np.isnan(found.bar)
    assert kind == "previous" or found.findings[0].column == "x0"


def test_power_says_which_columns_a_shift_would_be_seen_in(world: World) -> None:
    def noisy(part: Columns) -> Columns:
        level = np.random.default_rng(int(abs(part["x0"][0]) * 1e9)).normal() * 3
        return {**part, "x7": part["x7"] + level * 2}

    quiet = PeriodNull.of(World(seed=2, season=0.05, wander=0.02).months(REFERENCE, noisy), MONTHS)
    assert quiet.power.keys() == {*world.numbers, "calendar"}
    assert quiet.power["x1"] > 0.9
    assert quiet.power["x7"] < 0.2


@pytest.mark.parametrize(("unit", "expected"), [("day", 2), ("week", 1), ("month", 1)])
def test_a_season_is_a_month_and_of_days_a_day_of_the_week(unit: Any, expected: int) -> None:
    from mlops_assets.monitoring.period_null import season_of

    key = {"day": "2003-01-01", "week": "2002-12-30", "month": "2003-01"}[unit]
    assert season_of(Calendar(unit), key) == (12 if unit == "week" else expected)
