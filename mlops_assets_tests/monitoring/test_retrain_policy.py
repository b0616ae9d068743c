"""The retrain policy: what decides, in which order, with the figures in its words."""

import json
from copy import deepcopy
from dataclasses import asdict, replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.lakehouse.periods import Calendar
from mlops_assets.models.agreement import Agreement
from mlops_assets.models.records import CandidateRecord, JudgedPeriod, TransitionRecord
from mlops_assets.monitoring.drift import DriftRecord
from mlops_assets.monitoring.estimation import EstimateRecord
from mlops_assets.monitoring.performance import PerformanceRecord
from mlops_assets.monitoring.retrain_policy import History, RetrainDecision, decide
from mlops_assets.project.model_parts import RetrainPolicy

MONTHS = Calendar("month")
POLICY = RetrainPolicy(worse_by=0.2, persistence=2, cool_down=3, max_age=12)
START = MONTHS.at_key("2001-01")


def month(number: int) -> str:
    return MONTHS.shift(START, number).key


def training(number: int) -> CandidateRecord:
    """One whose judged fit erred by half of the baseline's error in each of the six months before."""
    periods = [JudgedPeriod(month(number - 6 + place), 100, 1.0, 2.0) for place in range(6)]
    return CandidateRecord(
        key=month(number),
        at=month(number),
        trained_at=datetime(2001, 1, 1, tzinfo=UTC),
        reason="",
        requested_by="",
        request="",
        inputs_hash="",
        run_id="",
        model_uri="",
        judged_uri="",
        model_hash="",
        level=1.0,
        verdict="",
        outcomes="[]",
        passed=True,
        generation="g1",
        trained_on="{}",
        baseline="{}",
        figures="{}",
        template="",
        template_hash="",
        params="{}",
        training_set="",
        fitting="{}",
        environment="",
        files="{}",
        judged_by_period=json.dumps([asdict(one) for one in periods]),
    )


def performance(number: int, error: float, version: int = 1, rows: int = 100) -> PerformanceRecord:
    return PerformanceRecord(month(number), month(number - 1), version, rows, error, 2.0, 1.0, "{}")


def history(at: int, *errors: float, trained: tuple[int, ...] = (0,), champion: int | None = 0) -> History:
    """A champion trained at ``champion``, and errors of the newest months up to ``at``."""
    moment = datetime(2001, 1, 1, tzinfo=UTC)
    promoted = None if champion is None else TransitionRecord(1, 1, "promotion", moment, "the gates", "it passed")
    return History(
        at=MONTHS.shift(START, at),
        calendar=MONTHS,
        definitions=Agreement("same", "the definitions are those that it was trained on"),
        lacks="",
        trainings=[training(number) for number in trained],
        champion=promoted,
        champion_training=None if champion is None else training(champion),
        performance=[performance(at - len(errors) + 1 + place, error) for place, error in enumerate(errors)],
    )


def test_without_a_champion_it_trains_but_for_the_cool_down_of_one_that_failed() -> None:
    assert decide(POLICY, history(5, trained=(), champion=None)) == RetrainDecision("first", "there is no champion yet")
    waiting = decide(POLICY, history(5, trained=(3,), champion=None))
    assert (waiting.cause, waiting.reason) == ("none", "the last training is 2 periods ago, and the cool-down 3")
    assert decide(POLICY, history(6, trained=(3,), champion=None)).cause == "first"


FALLING = replace(POLICY, fallback="baseline")


def beaten(at: int = 7, *, refused_at: int = 6) -> History:
    """The champion errs more than the baseline, and the last training was refused."""
    known = history(at, 2.1, 2.3)
    return replace(known, trainings=[training(0), replace(training(refused_at), passed=False)])


def baseline(number: int) -> CandidateRecord:
    return replace(training(number), kind="baseline")


def test_where_the_last_training_was_refused_and_the_baseline_does_better_it_is_to_serve() -> None:
    found = decide(FALLING, beaten())
    assert (found.cause, found.retrain) == ("fallback", True)
    assert found.reason == (
        "version 1 errs by 2.2 over its newest 2 periods, the baseline by 2 on the same rows, and the last training, "
        "at 2001-07, was refused"
    )
    assert decide(FALLING, beaten(6)).cause == "fallback"  # at once, in the period of the refusal
    assert decide(POLICY, beaten()).cause == "none"


def test_the_baseline_is_not_to_serve_before_a_training_was_tried_or_while_one_waits_for_approval() -> None:
    assert decide(FALLING, history(7, 2.1, 2.3)).cause == "performance"
    assert decide(FALLING, replace(beaten(), trainings=[training(0), training(6)])).cause == "none"


def test_a_champion_that_does_as_well_as_the_baseline_stays() -> None:
    assert decide(FALLING, replace(beaten(), performance=[performance(6, 2.0), performance(7, 2.0)])).cause == "none"
    assert decide(FALLING, replace(beaten(), performance=[performance(7, 9.0)])).cause == "none"


def test_a_fallback_waits_for_the_past_and_for_definitions_as_a_training_does() -> None:
    assert decide(FALLING, replace(beaten(), lacks="'sales' lacks 3 periods")).cause == "none"
    changed = replace(beaten(), definitions=Agreement("differs", "'sales' has other values"))
    assert decide(FALLING, changed).cause == "definitions"


def test_a_fallback_that_nobody_approved_is_asked_for_once_after_each_refusal() -> None:
    waiting = beaten(8)
    waiting = replace(waiting, trainings=[*waiting.trainings, baseline(7)])
    assert decide(FALLING, waiting).cause == "none"
    later = datetime(2001, 9, 1, tzinfo=UTC)
    refused = replace(training(9), passed=False, trained_at=later)
    again = replace(beaten(9), trainings=[*waiting.trainings, refused])
    assert decide(FALLING, again).cause == "fallback"


def test_while_the_baseline_serves_a_training_is_asked_for_as_soon_as_one_may_follow_the_last_of_its_own() -> None:
    serving = replace(beaten(8), validation=6, champion_training=baseline(7))
    serving = replace(serving, trainings=[*serving.trainings, baseline(7)])
    waits = decide(FALLING, serving)
    assert (waits.cause, waits.reason.split(", and ")[0]) == ("none", "the last training is 2 periods ago")
    due = decide(FALLING, replace(serving, at=MONTHS.shift(START, 9)))
    assert due == RetrainDecision("performance", "the baseline serves, until a candidate passes")


def test_at_one_period_it_trains_once() -> None:
    found = decide(POLICY, history(5, trained=(5,)))
    assert (found.retrain, found.reason) == (False, "it was trained at 2001-06 already")


def test_new_definitions_are_trained_on_at_once_whatever_the_cool_down() -> None:
    changed = replace(history(5, trained=(4,)), definitions=Agreement("differs", "'sales' has other values"))
    assert decide(POLICY, changed) == RetrainDecision(
        "definitions", "the last training was on other definitions, and 'sales' has other values"
    )


def test_new_definitions_that_say_the_same_ask_for_no_training() -> None:
    proven = replace(history(5, trained=(4,)), definitions=Agreement("agrees", "'sales' is the same"))
    assert decide(POLICY, proven) == decide(POLICY, history(5, trained=(4,)))
    assert decide(POLICY, proven).cause == "none"


def test_a_training_waits_until_the_past_was_computed_under_new_definitions() -> None:
    worse = history(9, 2.0, 2.0)
    assert decide(POLICY, worse).cause == "performance"
    lacking = decide(POLICY, replace(worse, lacks="'sales' lacks 3 periods; run this"))
    assert (lacking.cause, lacking.reason) == ("none", "a training waits: 'sales' lacks 3 periods; run this")
    unknown = decide(POLICY, replace(worse, definitions=Agreement("waits", "3 periods are not computed")))
    assert (unknown.cause, unknown.reason) == ("none", "the definitions are new, and 3 periods are not computed")


def test_a_champion_that_is_too_old_is_replaced_however_well_it_does() -> None:
    assert decide(POLICY, history(11, 0.5, 0.5)).cause == "none"
    found = decide(POLICY, history(12, 0.5, 0.5))
    assert found == RetrainDecision("age", "the champion was trained 12 periods ago, and the maximum age is 12")


def test_performance_decides_by_the_mean_over_the_newest_periods() -> None:
    found = decide(POLICY, history(5, 1.0, 1.5))
    assert found == RetrainDecision(
        "performance",
        "version 1 errs by 0.612 of the baseline over its newest 2 periods; 0.5 is expected of the season, and 0.6 is "
        "the bar (of 5 stretches of past periods, and 24 are needed to judge)",
    )
    assert decide(POLICY, history(5, 1.0, 1.0, 1.4)).cause == "none"


def test_one_odd_period_alone_does_not_decide() -> None:
    assert decide(POLICY, history(5, 9.0)).reason == "version 1 has 1 period with labels, and 2 are looked at together"


def test_periods_count_by_their_rows() -> None:
    few_rows = replace(history(5), performance=[performance(4, 9.0, rows=1), performance(5, 1.0, rows=99)])
    assert decide(POLICY, few_rows).cause == "none"
    many_rows = replace(history(5), performance=[performance(4, 9.0, rows=99), performance(5, 1.0, rows=1)])
    assert decide(POLICY, many_rows).cause == "performance"


def test_the_performance_of_an_earlier_champion_says_nothing_of_this_one() -> None:
    mixed = replace(history(5), performance=[performance(4, 9.0, version=2), performance(5, 9.0)])
    assert decide(POLICY, mixed).reason == "version 1 has 1 period with labels, and 2 are looked at together"


@given(
    errors=st.lists(st.floats(0.1, 10), min_size=16, max_size=16),
    cool_down=st.integers(1, 6),
    max_age=st.integers(6, 12),
    persistence=st.integers(1, 4),
)
def test_a_policy_that_is_never_satisfied_still_keeps_the_cool_down_and_the_maximum_age(
    errors: list[float], cool_down: int, max_age: int, persistence: int
) -> None:
    policy = RetrainPolicy(worse_by=0.0, persistence=persistence, cool_down=cool_down, max_age=max_age)
    trained: list[int] = []
    records: list[PerformanceRecord] = []
    for number, error in enumerate(errors):
        version = len(trained)
        if version:
            records.append(performance(number, error, version=version))
        seen = history(number, trained=tuple(trained), champion=trained[-1] if trained else None)
        champion = seen.champion and replace(seen.champion, version=version)
        if decide(policy, replace(seen, champion=champion, performance=records)).retrain:
            trained.append(number)
    gaps = [later - earlier for earlier, later in zip(trained, trained[1:], strict=False)]
    assert trained[0] == 0
    assert all(cool_down <= gap <= max(max_age, cool_down) for gap in gaps)


@given(st.lists(st.floats(0.1, 10), min_size=2, max_size=6), st.integers(3, 11), st.floats(0, 5))
def test_worse_newest_errors_never_stop_a_training(errors: list[float], at: int, worse: float) -> None:
    if decide(POLICY, history(at, *errors)).retrain:
        worsened = (error + worse for error in errors[-POLICY.persistence :])
        assert decide(POLICY, history(at, *errors[: -POLICY.persistence], *worsened)).retrain


def test_a_champion_that_errs_more_than_the_baseline_is_replaced_whatever_its_level() -> None:
    bad = replace(training(0), judged_by_period="[]")
    worse = replace(history(5, 2.1, 2.1), trainings=[bad], champion_training=bad)
    found = decide(POLICY, worse)
    words = "version 1 errs by 2.1 over its newest 2 periods, the baseline by 2 on the same rows"
    assert found == RetrainDecision("performance", words)


def test_the_cool_down_lasts_until_labels_about_the_last_training_are_known() -> None:
    worse = replace(history(4, 3.0, 3.0), known_after=5)
    words = (
        "the last training is 4 periods ago, and the cool-down 6, for no label about what it predicted is known sooner"
    )
    assert decide(POLICY, worse) == RetrainDecision("none", words)
    assert decide(POLICY, replace(history(6, 3.0, 3.0), known_after=5)).cause == "performance"


def test_after_a_refusal_it_waits_until_half_of_what_judges_is_new() -> None:
    refused = [training(0), replace(training(4), passed=False)]
    seen = replace(history(8, 3.0, 3.0), trainings=refused, validation=9)
    assert decide(POLICY, seen).reason == (
        "the last training is 4 periods ago, and was refused: until 5 of the 9 periods that a candidate is judged on "
        "are new, another would be, too"
    )
    assert decide(POLICY, replace(seen, at=MONTHS.shift(START, 9))).cause == "performance"
    assert decide(POLICY, replace(seen, trainings=refused[:1])).cause == "performance"


def test_drift_decides_only_where_the_features_that_drifted_matter_as_much_as_was_declared() -> None:
    policy = replace(POLICY, drift_importance=0.3)
    found = {
        "beyond": [["price", "distance"], ["price", "nulls"], ["", "rows"]],
        "importance": {"price": 0.4, "age": 0.6},
    }
    drifted = DriftRecord("2001-06", 1, 100, True, False, "", "", json.dumps(found))
    seen = replace(history(5, 1.0, 1.0), drift=drifted)
    words = "what drifted in 2001-06 (price) holds 40% of the importance, and 30% decides"
    assert decide(policy, seen) == RetrainDecision("drift", words)
    assert decide(POLICY, seen).cause == "none"
    assert decide(replace(policy, drift_importance=0.5), seen).cause == "none"
    assert decide(policy, replace(seen, drift=replace(drifted, alarm=False))).cause == "none"
    unknown = replace(drifted, found=json.dumps({"beyond": found["beyond"]}))
    assert decide(policy, replace(seen, drift=unknown)).cause == "none"


def test_an_estimate_that_is_worse_than_usual_decides_where_drift_does_and_only_of_the_version_that_serves() -> None:
    policy = replace(POLICY, drift_importance=0.3)
    worse = EstimateRecord("2001-06", 1, 100, "log_loss", 0.5, 0.2, 0.4, 30, "{}")
    seen = replace(history(5, 1.0, 1.0), estimate=worse)
    assert decide(policy, seen) == RetrainDecision("drift", f"in 2001-06 {worse.words}")
    assert decide(POLICY, seen).cause == "none"
    for other in (replace(worse, bar=0.6), replace(worse, bar=None), replace(worse, version=2)):
        assert decide(policy, replace(seen, estimate=other)).cause == "none"


def test_what_is_decided_follows_from_the_history_alone() -> None:
    for seen in (history(5, 1.0, 1.5), history(12, 0.5, 0.5), history(5, 9.0)):
        assert decide(POLICY, seen) == decide(POLICY, deepcopy(seen))
