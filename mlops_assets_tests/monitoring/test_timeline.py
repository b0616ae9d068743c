"""How a model stands, and what its timeline tells, from records alone."""

from dataclasses import replace

import pytest

from mlops_assets.lakehouse.masking import MASK
from mlops_assets.models.evaluation import Interval
from mlops_assets.monitoring.attribution import AttributionRecord
from mlops_assets.monitoring.estimation import EstimateRecord
from mlops_assets.monitoring.timeline import paid, standing
from mlops_assets.monitoring.timeline_text import as_text
from mlops_assets_tests.monitoring.timelines import NOW, day, drift, moved, performance, timeline, training


def test_what_retraining_brought_is_told_over_the_periods_in_which_never_retraining_is_known() -> None:
    never = ((0, 1.0), (1, 4.0), (2, None))
    records = [replace(performance(number, 1.0), never_retrained=error) for number, error in never]
    trained = [training(0, 1), training(1, 2), training(2)]
    assert paid(timeline(records, [], trained)) == (
        "Over 2 periods the champions erred by 1, the first one alone would have by 2.5, and the baseline by 2, on the "
        "same rows: retraining made the error 60.0% smaller, by 3 trainings, of which 2 were promoted."
    )
    assert paid(timeline(records, [], trained[:1])) == ""  # it was never retrained
    assert paid(timeline(records[2:], [], trained)) == ""


def test_without_a_version_that_is_what_is_told() -> None:
    assert standing(timeline()) == ("no version yet", ["No version serves yet."])
    assert as_text(timeline()).endswith("nothing was predicted yet")


def test_a_champion_whose_labels_are_to_come_says_so() -> None:
    state, words = standing(timeline([performance(0, 1.0)], [], [training(1, 1), training(5, 2)]))
    assert state == "no labels yet"
    assert words[0] == f"Version 2 serves since {NOW:%Y-%m-%d}, and was trained at {day(5)}."


def test_fewer_periods_than_the_policy_looks_at_are_too_little_history() -> None:
    state, words = standing(timeline([performance(0, 9.0)], [], [training(0, 1)]))
    assert state == "too little history"
    assert words[1].startswith("Version 1 has 1 period with labels")


@pytest.mark.parametrize(
    ("errors", "baseline", "state"),
    [((1.0,) * 3, 2.0, "good"), ((1.1,) * 3, 1.0, "look at it"), ((1.0,) * 30 + (1.5,) * 3, 2.0, "look at it")],
)
def test_worse_than_the_baseline_or_than_its_level_allows_is_to_be_looked_at(
    errors: tuple[float, ...], baseline: float, state: str
) -> None:
    records = [performance(number, error, baseline=baseline) for number, error in enumerate(errors)]
    assert standing(timeline(records, [], [training(0, 1)]))[0] == state


def test_a_newest_period_that_drifted_is_to_be_looked_at_and_an_earlier_one_is_not() -> None:
    records, trained = [performance(number, 1.0) for number in range(3)], [training(0, 1)]
    state, words = standing(timeline(records, [drift(3, beyond=["level"])], trained))
    assert (state, words[-1]) == ("look at it", f"What it was asked in {day(3)} drifted: level distance 8, beyond 4.")
    assert standing(timeline(records, [drift(2, beyond=["level"]), drift(3)], trained))[0] == "good"


def test_the_terminal_tells_what_moved_what_was_trained_and_how_clear_it_was_in_the_order_of_periods() -> None:
    records = [performance(0, 1.0), performance(1, 2.5), performance(2, 1.0, version=2)]
    drifts = [
        drift(0),
        drift(1, beyond=["level"], segments=[moved("north")]),
        drift(2, version=2, segments=[moved("north")]),
    ]
    trained = [training(0, 1), training(1, 2, Interval(-0.1, -0.2, 0.05)), training(2, None, Interval(0.3, 0.1, 0.4))]
    lines = as_text(timeline(records, drifts, trained), policy="the cool-down is 3").splitlines()
    assert "  The retrain policy: the cool-down is 3." in lines
    body = lines[lines.index("") + 1 :]
    assert [line.split()[0] for line in body if not line.startswith(" ")] == ["period", day(0), day(1), day(2)]
    second = next(line for line in body if line.startswith(day(1)))
    assert second.split() == [day(1), "1", "2.5", "!", "2", "1", "100", "drifted;", "moved:", "shop", "north"]
    place = body.index(second)
    assert body[place + 1 : place + 6] == [
        "    drifted: level distance 8, beyond 4",
        "    moved: shop north: level mean 4.25, usually 1.5 (7 rows)",
        f"  trained at {day(1)}, asked for by the policy: its error grew",
        "    version 2, promoted: mae 1 is below 2",
        "    mae minus the champion's on the same rows -0.1 (-0.2 to 0.05): not distinguishable",
    ]
    assert body[-2:] == [
        "    refused: mae 1 is below 2",
        "    mae minus the champion's on the same rows 0.3 (0.1 to 0.4): worse",
    ]
    assert "    version 2: features are off beyond 4; of 30 past periods 2 would have been" in body


def test_a_segment_that_stays_off_is_told_without_its_figures_while_the_same_version_predicts() -> None:
    off = [drift(0, segments=[moved("north")]), drift(1, segments=[moved("north"), moved("south")])]
    text = as_text(timeline([], off, [training(0, 1)]))
    assert "moved: shop south; still off: shop north" in text
    assert text.count("shop north: level mean") == 1
    assert "still off" not in as_text(timeline([], [off[0], replace(off[1], version=2)], [training(0, 1)]))


def test_what_somebody_may_not_see_is_masked_and_segments_by_it_are_left_out() -> None:
    made = timeline([], [drift(0, segments=[moved("secret"), moved("9", by="crowd")])], [training(0, 1)])
    text = as_text(made, hidden=("shop", "level"))
    assert "secret" not in text and "4.25" not in text
    assert f"crowd 9: level mean {MASK}, usually {MASK} (7 rows)" in text


def test_predictions_that_are_made_of_other_features_than_usual_are_told() -> None:
    made = timeline([], [drift(0)], [training(0, 1)])
    found = AttributionRecord(day(0), 1, 50, True, "drifted: level mean 8, beyond 4", "{}")
    changed = replace(made, periods=(replace(made.periods[0], attribution=found),))
    assert "    what predictions are made of drifted: level mean 8, beyond 4" in as_text(changed).splitlines()


def test_a_period_that_is_not_judged_says_why_once() -> None:
    text = as_text(timeline([], [drift(0, judged=False), drift(1, judged=False)], [training(0, 1)]))
    assert text.count("shown and not judged: few") == 1
    assert text.count("not judged\n") == 1 and text.endswith("not judged")


def test_what_a_training_looked_at_are_the_newest_periods_whose_labels_were_known() -> None:
    made = timeline([performance(number, 1.0) for number in range(5)], [], [training(6, 1)])
    assert [period.key for period in made.before(made.trainings[0])] == [day(1), day(2), day(3)]
    promoted = timeline([performance(0, 1.0), performance(1, 1.0, version=2)], [], [training(6, 1)])
    assert [period.key for period in promoted.before(promoted.trainings[0])] == [day(1)]


def test_an_estimate_is_told_of_a_period_without_labels_and_how_far_past_ones_were_off() -> None:
    made = timeline([performance(0, 1.0)], [drift(0), drift(1)], [training(0, 1)])
    estimated = [EstimateRecord(day(number), 1, 100, "mae", 1.5, 1.0, None, number, "{}") for number in (0, 1)]
    periods = tuple(replace(of, estimate=one) for of, one in zip(made.periods, estimated, strict=True))
    told = as_text(replace(made, periods=periods)).splitlines()
    (header,) = [line for line in told if "Before labels come" in line]
    assert header.startswith(
        "  Before labels come: over 1 past period estimates were off by 0.5 on average, the level "
    )
    (line,) = [line for line in told if "is estimated" in line]
    assert told.index(line) > next(number for number, of in enumerate(told) if of.startswith(day(1)))
    assert line.strip() == estimated[1].words
    assert "estimate" not in as_text(made)
