"""Assertions: each passes where what it says holds, and fails in words where it does not."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from mlops_assets.project.model_attributes import DriftChoice
from mlops_assets.testing import (
    Monitored,
    SyntheticPeriods,
    assert_detection_delay,
    assert_detects_drift,
    assert_false_alarm_rate,
    assert_quiet_on_benign,
    covariate_shift,
    unit_change,
)

MADE_UP = SyntheticPeriods(("x", "y"), rows=60)


@pytest.fixture(scope="module")
def past() -> Monitored:
    return MADE_UP.monitored(range(40))


def refused(call: object) -> str:
    with pytest.raises(AssertionError) as told:
        call()  # type: ignore[operator]
    return str(told.value)


def test_a_power_is_shown_and_not_supposed(past: Monitored) -> None:
    assert_detects_drift(past, unit_change("x"), power=0.94, trials=40)
    assert refused(lambda: assert_detects_drift(past, unit_change("x"), power=0.95)) == (
        "40 trials show a power of at most 0.944, and 0.95 was asserted: assert less, or with more past periods "
        "(of synthetic periods: 40 periods)"
    )


def test_a_change_that_is_rarely_seen_fails_with_how_often_it_was(past: Monitored) -> None:
    told = refused(lambda: assert_detects_drift(past, covariate_shift("x", 0.0), power=0.5, trials=20))
    assert told.startswith("a shift of 'x' by 0 deviations was found within 1 period in ")
    assert "of 20 trials: that shows a power of at least 0" in told and "and 0.5 was asserted" in told


def test_what_one_period_hides_several_show(past: Monitored) -> None:
    shift = covariate_shift("x", 0.8)
    assert_detection_delay(past, shift, max_periods=4, power=0.6, trials=12)
    refused(lambda: assert_detects_drift(past, shift, power=0.6, trials=12))


def test_alarms_beyond_what_a_rate_explains_fail_and_are_listed(past: Monitored) -> None:
    assert_false_alarm_rate(past, max_rate=0.1)
    keen = replace(past, drift=DriftChoice(false_alarms=0.5))
    told = refused(lambda: assert_false_alarm_rate(keen, max_rate=0.05))
    assert "of 40 periods alarm, more than a rate of 0.05 explains: 2000-" in told


def test_a_verdict_that_depends_on_the_order_of_rows_and_a_season_that_always_alarms_fail(
    past: Monitored, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_quiet_on_benign(past)
    july = np.array([key.endswith("-07") for key in past.periods])
    moved = past.rows["x"].to_numpy() * np.where(july, 50, 1)
    hot = replace(past, rows=past.rows.set_column(0, "x", pa.array(moved)))
    calm = replace(past, rows=hot.rows, drift=DriftChoice(false_alarms=0.02))
    monkeypatch.setattr(Monitored, "around", lambda self, keys: frozenset(k for k in self.keys if k[-3:] == "-07"))
    assert refused(lambda: assert_quiet_on_benign(calm)).startswith(
        "3 of 3 periods of a season alarm: 2000-07, 2001-07"
    )
    judged = Monitored.judge
    monkeypatch.setattr(Monitored, "judge", lambda self, key, rows: judged(self, key, rows.slice(0, 30)))
    told = "the verdict on 2000-01 is another with rows in another order (of synthetic periods: 40 periods)"
    assert refused(lambda: assert_quiet_on_benign(past)) == told


@pytest.mark.parametrize("reference", ["all", "previous"])
def test_periods_that_are_not_judged_show_nothing(reference: object) -> None:
    few = MADE_UP.monitored(range(24), DriftChoice(reference))  # type: ignore[arg-type]
    for call in (lambda: assert_false_alarm_rate(few), lambda: assert_detects_drift(few, unit_change("x"), power=0.5)):
        assert "is not judged: there are 2" in refused(call)


def test_where_the_period_before_counts_it_is_the_changed_one_from_the_second_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    previous = MADE_UP.monitored(range(40), DriftChoice("previous"))
    assert_detects_drift(previous, unit_change("x"), power=0.85, trials=20)
    given, judged = [], Monitored.judge

    def judge(self: Monitored, key: str, rows: pa.Table, without: frozenset[str], before: pa.Table) -> object:
        given.append((rows, before))
        return judged(self, key, rows, without, before)

    monkeypatch.setattr(Monitored, "judge", judge)
    refused(lambda: assert_detection_delay(previous, covariate_shift("x", 0.0), max_periods=2, power=0.9, trials=1))
    (first, of_first), (_, of_second) = given[:2]
    assert of_first is None and of_second is first
