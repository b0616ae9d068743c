"""Policies that walk through history: who trains, who serves, what is regretted, and what a choice by the past sees."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from mlops_assets.lakehouse.periods import Period
from mlops_assets.models.records import CandidateRecord
from mlops_assets.monitoring.performance import PerformanceRecord
from mlops_assets.monitoring.walk_forward import (
    NEXT_PERIODS,
    Policy,
    Step,
    Walk,
    same_periods,
    tune,
    walk,
    yardsticks,
)
from mlops_assets.project.definition import ModelDefinition
from mlops_assets.project.gates import ComparisonGate
from mlops_assets_tests.monitoring.test_retrain_policy import MONTHS, POLICY, START, month, training
from mlops_assets_tests.project.small_project import SmallProject

GATE = (ComparisonGate("mae", "champion"),)


@pytest.fixture
def model(tmp_path: Path) -> ModelDefinition:
    """A model whose periods are months, which is all that a walk asks of it."""
    made = SmallProject(tmp_path / "shop" / "defs").load().models["forecast"]
    return replace(made, schema=replace(made.schema, calendar=MONTHS))


def step(number: int) -> Step:
    at, about = MONTHS.shift(START, number), MONTHS.shift(START, number - 1)
    return Step(at, at.end, about, about.end)


@dataclass(frozen=True)
class MadeUpPast:
    """A past in which what was trained at a month errs as a function says.

    Args:
        error: Of the training's month, and the month in which the error is known; counted from the first.
        passes: Of the training's month.
        first: The first month in which anything can be trained.
    """

    error: Callable[[int, int], float]
    passes: Callable[[int], bool] = lambda at: True
    first: int = 0

    def trained(self, at: Period) -> CandidateRecord | str:
        number = MONTHS.distance(START, at)
        return training(number) if number >= self.first else "10 labels are known, and 100 are needed"

    def judged(
        self, training: CandidateRecord, policy: Policy, champions: Sequence[CandidateRecord]
    ) -> CandidateRecord:
        at = MONTHS.distance(START, MONTHS.at_key(training.at))
        return replace(training, passed=policy.gates is None or self.passes(at))

    def performance(self, training: CandidateRecord, at: Period) -> PerformanceRecord | None:
        made, known = (MONTHS.distance(START, period) for period in (MONTHS.at_key(training.at), at))
        return PerformanceRecord(at.key, month(known - 1), 0, 10 + known, self.error(made, known), 2.0, 1.0, "{}")


def test_what_is_trained_in_a_month_serves_from_the_next_prediction_on(model: ModelDefinition) -> None:
    monthly = walk(model, [step(number) for number in range(5)], MadeUpPast(lambda made, known: made), Policy("m", 1))
    assert [record.at for record in monthly.trainings] == [month(number) for number in range(5)]
    # What is known in month 2 was predicted in month 1, before anything was trained there.
    assert {record.period: record.error for record in monthly.performance} == {month(2): 0, month(3): 1, month(4): 2}
    assert [record.version for record in monthly.performance] == [1, 2, 3]


def test_the_calendar_trains_once_each_year_or_each_period_and_first_when_it_can(model: ModelDefinition) -> None:
    past, steps = MadeUpPast(lambda made, known: 1.0, first=2), [step(number) for number in range(30)]
    never, yearly, monthly = (walk(model, steps, past, policy) for policy in yardsticks(model))
    assert [record.at for record in never.trainings] == [month(2)]
    assert [record.at for record in yearly.trainings] == [month(2), month(14), month(26)]
    assert len(monthly.trainings) == len(monthly.promoted) == 28
    assert [never.policy, yearly.policy, monthly.policy] == ["never again", "every year", "every month"]


def test_the_policy_of_production_decides_by_what_was_known_then(model: ModelDefinition) -> None:
    past = MadeUpPast(lambda made, known: 1.5 if known >= 6 and made < 6 else 1.0)
    ours = walk(model, [step(number) for number in range(12)], past, Policy("ours", POLICY, GATE))
    assert [record.at for record in ours.trainings] == [month(0), month(6)]
    assert ours.trainings[1].reason.startswith("version 1 errs by 0.616 of the baseline over its newest 2 periods")


def test_who_fails_the_gates_does_not_serve(model: ModelDefinition) -> None:
    past, steps = MadeUpPast(lambda made, known: made, passes=lambda at: at != 3), [step(at) for at in range(9)]
    gated, ungated = (walk(model, steps, past, Policy("", 3, gates)) for gates in (GATE, None))
    assert [record.passed for record in gated.trainings] == [True, False, True]
    assert [one.error for one in gated.performance] == [0, 0, 0, 0, 0, 0, 6]
    assert [one.error for one in ungated.performance] == [0, 0, 0, 3, 3, 3, 6]


def test_the_baseline_serves_in_the_place_of_who_is_worse_until_a_candidate_passes(model: ModelDefinition) -> None:
    past = MadeUpPast(lambda made, known: 3.0 if made == 0 and known >= 4 else 1.0, passes=lambda at: at not in (4, 8))
    steps, falling = [step(at) for at in range(15)], replace(POLICY, fallback="baseline")
    kept, fell = (walk(model, steps, past, Policy("", retrain, GATE)) for retrain in (POLICY, falling))
    assert [(record.at, record.passed) for record in fell.trainings] == [
        (month(0), True), (month(4), False), (month(8), False), (month(12), True)
    ]  # fmt: skip
    assert [one.error for one in fell.performance] == [1.0] * 2 + [3.0] * 2 + [2.0] * 8 + [1.0]
    assert [one.error for one in kept.performance] == [1.0] * 2 + [3.0] * 10 + [1.0]
    assert [one.version for one in fell.promoted] == [1, 2, 3] and len(kept.promoted) == 2


def test_a_promotion_is_regretted_where_the_one_before_would_have_erred_less(model: ModelDefinition) -> None:
    past = MadeUpPast(lambda made, known: {0: 1.0, 12: 1.1, 24: 0.9}[made])
    steps = [step(number) for number in range(24 + NEXT_PERIODS + 2)]
    yearly = walk(model, steps, past, Policy("yearly", 12))
    assert yearly.ratios == pytest.approx([1.1, 0.9 / 1.1])
    assert (yearly.regretted(), yearly.regretted(0.09), yearly.regretted(0.11)) == (1, 1, 0)
    too_early = steps[: 24 + NEXT_PERIODS]  # of the last promotion one period is not known yet
    assert walk(model, too_early, past, Policy("yearly", 12)).ratios == pytest.approx([1.1])


def test_all_are_measured_on_the_periods_in_which_each_had_a_champion(model: ModelDefinition) -> None:
    steps = [step(number) for number in range(6)]
    early = walk(model, steps, MadeUpPast(lambda made, known: 1.0), Policy("early", None))
    late = walk(model, steps, MadeUpPast(lambda made, known: 3.0, first=2), Policy("late", None))
    periods = same_periods([early, late])
    assert periods == [month(4), month(5)]
    assert (early.turned_out(periods), late.turned_out(periods)) == ((1.0, 2.0), (3.0, 2.0))


def made_walk(name: str, errors: Sequence[float], trainings: int = 1) -> Walk:
    """A walk with these errors, month by month."""
    measured = [PerformanceRecord(month(at), "", 1, 10, error, 2.0, 1.0, "{}") for at, error in enumerate(errors)]
    return Walk(name, [training(at) for at in range(trainings)], [], measured, [])


def test_a_choice_never_sees_the_year_that_judges_it() -> None:
    good_then_bad = made_walk("a", [1.0] * 12 + [9.0] * 12 + [1.0] * 12)
    steady = made_walk("b", [2.0] * 36)
    tuned = tune([good_then_bad, steady], 12)
    assert tuned.years == {"2002": "a", "2003": "b"}
    assert tuned.periods == tuple(month(number) for number in range(12, 36))
    assert tuned.error == pytest.approx((9.0 + 2.0) / 2)
    changed = made_walk("a", [1.0] * 12 + [0.1] * 12 + [1.0] * 12)
    assert tune([changed, steady], 12).years["2002"] == "a"


def test_of_policies_that_err_about_the_same_the_one_with_fewer_trainings_is_chosen() -> None:
    often, seldom = made_walk("often", [1.0] * 24, trainings=12), made_walk("seldom", [1.004] * 24, trainings=2)
    assert tune([often, seldom], 12).chosen == "seldom"
    assert tune([often, made_walk("worse", [1.006] * 24, trainings=2)], 12).chosen == "often"


def test_too_few_periods_choose_nothing_that_could_be_judged() -> None:
    assert tune([made_walk("a", [1.0] * 6)], 12).periods == ()
