"""The level: what error to expect by season, and when the newest periods are beyond what past ones strayed."""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from math import exp, log
from pathlib import Path
from random import Random

import pytest

from mlops_assets.engines.contract import ComputedFeature
from mlops_assets.engines.expression import parse_aggregate
from mlops_assets.lakehouse.periods import Calendar
from mlops_assets.models.records import CandidateRecord, JudgedPeriod
from mlops_assets.monitoring.level import LevelVerdict, level_of, own_as_usual, with_levels
from mlops_assets.monitoring.performance import PerformanceRecord
from mlops_assets.project.model_parts import RetrainPolicy
from mlops_assets_tests.monitoring.test_retrain_policy import MONTHS, month, training
from mlops_assets_tests.monitoring.timelines import project

POLICY = RetrainPolicy(worse_by=0.1, persistence=2, cool_down=3, max_age=12)


def lived(skills: Sequence[float], baseline: float = 2.0, version: int = 1) -> list[PerformanceRecord]:
    return [
        PerformanceRecord(month(at + 1), month(at), version, 100, skill * baseline, baseline, 9.0, "{}")
        for at, skill in enumerate(skills)
    ]


def judged(at: int, skills: Sequence[float]) -> CandidateRecord:
    """A training whose judged fit had these skills in the months before it."""
    periods = [JudgedPeriod(month(at - len(skills) + n), 100, skill * 3, 3.0) for n, skill in enumerate(skills)]
    return replace(training(at), judged_by_period=json.dumps([asdict(one) for one in periods]))


def verdict(skills: Sequence[float], trainings: Sequence[CandidateRecord] = ()) -> LevelVerdict:
    return level_of(lived(skills), trainings, MONTHS, POLICY)


def wave(months: int) -> list[float]:
    """Years of skill with a season: December is as bad as the baseline."""
    random = Random(1)
    return [(1.0 if at % 12 == 11 else 0.8) * exp(random.gauss(0, 0.02)) for at in range(months)]


def restless(months: int, random: Random) -> list[float]:
    return [0.8 * exp(random.gauss(0, 0.3)) for _ in range(months)]


def test_what_is_usual_for_the_season_is_within_the_level_and_the_same_at_another_time_is_not() -> None:
    december = verdict(wave(71) + [1.0])
    assert december.judged and december.within and december.level == pytest.approx(0.89, abs=0.02)
    june = verdict(wave(65) + [1.1])
    assert june.judged and not june.within and june.above
    assert june.level == pytest.approx(0.8, abs=0.02)
    assert "is expected of the season, and " in june.words and "(of 63 stretches of past periods 5% or" in june.words


def test_a_period_counts_as_the_newest_fit_judged_on_it_did_and_not_as_an_old_champion_did() -> None:
    decayed = [0.8] * 24 + [1.2] * 12
    assert verdict([*decayed, 1.1, 1.1]).level == pytest.approx(0.8 ** (2 / 3) * 1.2 ** (1 / 3))
    fresh = judged(36, [0.8] * 12)
    found = verdict([*decayed, 1.1, 1.1], [fresh])
    assert found.level == pytest.approx(0.8) and found.above


def test_with_little_past_it_is_shown_and_not_judged_and_at_once_told_by_the_fit_that_was_judged() -> None:
    found = verdict([1.2, 1.2], [judged(0, [0.8] * 6)])
    assert (found.judged, found.within, found.above) == (False, True, True)
    assert found.level == pytest.approx(0.8) and found.bar == pytest.approx(0.88)
    assert found.words == (
        "version 1 errs by 1.2 of the baseline over its newest 2 periods; 0.8 is expected of the season, and 0.88 is "
        "the bar (of 5 stretches of past periods, and 24 are needed to judge)"
    )
    alone = verdict([1.2, 1.2])
    assert (alone.within, alone.above) == (True, False)
    assert verdict([1.2]).words == "version 1 has 1 period with labels, and 2 are looked at together"


def test_the_bar_is_where_past_stretches_strayed_to_and_at_least_the_share_that_is_declared() -> None:
    assert verdict([0.8] * 42).bar == pytest.approx(0.88)
    assert verdict([*restless(40, Random(2)), 0.8, 0.8]).bar > 1.0


def test_of_periods_that_are_as_the_past_one_in_twenty_or_fewer_is_beyond() -> None:
    random = Random(3)
    beyond = sum(not verdict(restless(62, random)).within for _ in range(100))
    assert beyond <= 13  # 5 are expected; more are there in one of 1,000 cases


def test_periods_without_an_error_say_nothing_of_the_level() -> None:
    assert verdict([0.0] * 30).within
    assert verdict([0.8] * 30 + [0.0] * 3 + [0.8, 0.8]).level == pytest.approx(0.8)


def test_each_record_is_drawn_with_the_level_that_was_known_before_it() -> None:
    skills = wave(40)
    history, trainings = lived(skills), [judged(0, [0.7] * 6), judged(20, [0.75] * 6)]
    leveled = with_levels(history, trainings, MONTHS)
    assert [replace(one, level=9.0) for one in leveled] == history
    for at in (0, 5, 19, 25, 39):
        expected = level_of(
            [*history[:at], replace(history[at], version=2)],
            [one for one in trainings if one.at < history[at].period],
            MONTHS,
            replace(POLICY, persistence=1),
        )
        assert log(leveled[at].level / 2.0) == pytest.approx(log(expected.level))
    assert with_levels(lived([0.8]), [], MONTHS)[0].level == 9.0  # nothing is known: that of its training


def test_days_have_the_season_of_the_week() -> None:
    days = Calendar("day")
    start = days.at_key("2024-01-01")
    keys = [days.shift(start, number).key for number in range(60)]
    skills = [1.2 if number % 7 == 6 else 0.8 for number in range(60)]
    history = [
        PerformanceRecord(key, key, 1, 100, skill, 1.0, 1.0, "{}") for key, skill in zip(keys, skills, strict=True)
    ]
    assert all(level_of(history[:at], [], days, POLICY).within for at in range(30, 60))


def test_a_metric_of_the_users_own_is_held_against_what_it_was_in_past_periods() -> None:
    metric = ComputedFeature("risk", "double", parse_aggregate("sum(abs(prediction - growth))", file=Path("defs.yaml")))
    model = replace(project().models["forecast"], own_metrics=(metric,))
    random, days = Random(4), Calendar("day")
    start = days.at_key("2024-01-01")

    def record(number: int, value: float, expression: str = metric.expression.canonical) -> PerformanceRecord:
        key = days.shift(start, number).key
        own = json.dumps({"risk": {"expression": expression, "value": value}})
        return PerformanceRecord(key, key, 1, 100, 1.0, 2.0, 1.0, "{}", own=own)

    past = [record(number, random.gauss(100, 5)) for number in range(40)]
    assert own_as_usual(model, [*past, record(40, 101.0)])[0]
    passed, words = own_as_usual(model, [*past, record(40, 150.0)])
    assert not passed and words.startswith("risk is 150, where ") and "5% of 40 past periods were beyond 10" in words
    assert own_as_usual(model, [*past[:10], record(40, 150.0)]) == (
        True,
        "risk is 150, not judged: of 10 past periods 24 are needed",
    )
    before = [record(number, 1.0, "sum(units)") for number in range(40)]
    other = own_as_usual(model, [*before, record(40, 150.0)])
    assert other == (True, "risk is 150, not judged: of 0 past periods 24 are needed")
    assert own_as_usual(model, [*past, replace(past[0], about="2024-03-01", own="{}")]) == (True, "risk has no value")
