"""Gates: each says what it measured, the limit and its verdict; what cannot be measured passes none."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np  # noqa: TID253
import pytest

from mlops_assets.client import GateOutcome
from mlops_assets.models.champion_scores import best_judged, better_throughout
from mlops_assets.models.evaluation import Interval, JudgedRows
from mlops_assets.models.footprint import TIMED, UNTIMED, seconds_for_one_row
from mlops_assets.models.gates import Facts
from mlops_assets.models.judging import judge
from mlops_assets.models.metrics import Measured, measure
from mlops_assets.models.records import CandidateRecord
from mlops_assets.models.verdict import Verdict
from mlops_assets.project.definition import ModelDefinition
from mlops_assets.project.gates import (
    ComparisonGate,
    CustomGate,
    Gate,
    LatencyGate,
    LimitGate,
    ProtectionGate,
    Rival,
    SegmentGate,
    SizeGate,
)
from mlops_assets.project.python_function import GATE, read_function_for
from mlops_assets.project.tasks import Task
from mlops_assets_tests.models.judged import made_rows, of_task, small_model
from mlops_assets_tests.monitoring.test_retrain_policy import training

BETTER_THAN_BASELINE = ComparisonGate("mae", "baseline")
BETTER_THAN_CHAMPION = ComparisonGate("mae", "champion")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelDefinition:
    return of_task(small_model(tmp_path_factory.mktemp("project")), "regression")


@pytest.fixture(scope="module")
def rows() -> JudgedRows:
    return made_rows("regression")


class Steady:
    """An estimator that says the same of every row."""

    def predict(self, frame: Any) -> Any:
        return [1.0] * len(frame)


def figures(rows: int = 100, **values: float) -> Measured:
    return Measured(rows, values)


def put_through(
    model: ModelDefinition,
    *gates: Gate,
    candidate: Measured,
    baseline: Measured | None = None,
    champion: Measured | None = None,
    min_rows: int = 1,
    champion_lacks: str = "",
    **more: Any,
) -> Verdict:
    """The verdict on figures alone."""
    measured: Any = {"candidate": candidate, "baseline": baseline or figures(mae=2.0, rmse=3.0)}
    measured |= {"champion": champion} if champion else {}
    nothing = made_rows("regression", 1, 1)
    facts = Facts(replace(model, gates=gates), nothing, measured, Steady(), SIZE, champion_lacks, **more)
    return judge(facts, min_rows=min_rows)


SIZE = 2500


def outcome_of(model: ModelDefinition, gate: Gate, judged: JudgedRows, fit: Any = None) -> GateOutcome:
    """What a gate says of judged rows."""
    measured: Any = {who: measure(model.task, judged.truth, scores) for who, scores in judged.scores.items()}
    facts = Facts(replace(model, gates=(gate,)), judged, measured, fit or Steady(), SIZE)
    return judge(facts, min_rows=1).outcomes[-1]


def test_a_candidate_must_be_strictly_better_than_the_baseline(model: ModelDefinition) -> None:
    for mae, passed in ((1.999, True), (2.0, False), (2.1, False)):
        verdict = put_through(model, BETTER_THAN_BASELINE, candidate=figures(mae=mae))
        assert verdict.passed is passed
    assert verdict.reason == "judged on 100 rows, 1 are needed; mae 2.1000 is not below the baseline's 2.0000"
    assert (verdict.outcomes[-1].measured, verdict.outcomes[-1].limit) == (2.1, 2.0)


def test_how_much_better_is_a_share_of_the_champion_s_error(model: ModelDefinition) -> None:
    gate, champion = ComparisonGate("mae", "champion", 0.1), figures(mae=1.0)
    for mae, passed in ((0.89, True), (0.9, False), (0.95, False)):
        verdict = put_through(model, gate, candidate=figures(mae=mae), champion=champion)
        assert verdict.passed is passed, mae
    assert verdict.outcomes[-1].name == "mae_better_than_champion"
    assert verdict.outcomes[-1].reason == "mae 0.9500 is not below the champion's 1.0000 by 10%"


NOT_WORSE = ProtectionGate("mae", "champion", 0.02)


def test_what_is_worse_by_no_more_than_the_share_passes(model: ModelDefinition) -> None:
    for mae, passed in ((0.9, True), (1.0, True), (1.02, True), (1.021, False)):
        verdict = put_through(model, NOT_WORSE, candidate=figures(mae=mae), champion=figures(mae=1.0))
        assert verdict.passed is passed, mae
    outcome = verdict.outcomes[-1]
    assert (outcome.name, outcome.measured, outcome.limit) == ("mae_not_worse_than_champion", 1.021, 1.02)
    assert outcome.reason == "mae 1.0210 is worse than the champion's 1.0000 by more than 2%"
    for auc, passed in ((0.69, True), (0.68, False)):
        gate, theirs = ProtectionGate("roc_auc", "champion", 0.02), figures(roc_auc=0.7)
        assert put_through(model, gate, candidate=figures(roc_auc=auc), champion=theirs).passed is passed, auc


def test_small_losses_do_not_add_up(model: ModelDefinition) -> None:
    champion, earlier = figures(mae=1.02), {1: figures(mae=1.01), 3: figures(mae=1.0), 4: figures(rmse=0.1)}
    for mae, passed, how in ((1.02, True, ", nor"), (1.03, False, ", but it is"), (1.05, False, "")):
        verdict = put_through(model, NOT_WORSE, candidate=figures(mae=mae), champion=champion, earlier=earlier)
        assert verdict.passed is passed, mae
        outcome = verdict.outcomes[-1]
        assert outcome.reason == (
            f"mae {mae:.4f} is {'not ' * bool(how)}worse than the champion's 1.0200 by more than 2%"
            + f"{how} than version 3's 1.0000, the best of 2 that served before and did better in each period"
            * bool(how)
        )
        assert outcome.limit == (1.02 if how else 1.02 * 1.02)
    better = put_through(model, NOT_WORSE, candidate=figures(mae=1.03), champion=figures(mae=1.04), earlier=earlier)
    assert not better.passed and better.outcomes[-1].limit == 1.02
    auc, gate = {1: figures(roc_auc=0.8)}, ProtectionGate("roc_auc", "champion", 0.02)
    for mine, passed in ((0.785, True), (0.78, False)):
        verdict = put_through(model, gate, candidate=figures(roc_auc=mine), champion=figures(roc_auc=0.78), earlier=auc)
        assert verdict.passed is passed, mine
    baseline = replace(NOT_WORSE, not_worse_than="baseline")
    assert put_through(model, baseline, candidate=figures(mae=1.03), earlier=earlier).passed


@pytest.mark.parametrize("task", ["regression", "binary"])
def test_a_version_of_before_holds_a_candidate_up_only_if_it_did_better_in_each_period(
    model: ModelDefinition, task: Task
) -> None:
    made = made_rows(task, days=6, candidate=0.5)
    its = of_task(model, task)
    better, truth = made.truth + (0.5 - made.truth) * 0.01, made.truth
    assert better_throughout(its, made, better) and not better_throughout(its, made, made.scores["candidate"])
    last_day = np.array([day == max(days) for days in [made.rows.column("day").to_pylist()] for day in days])
    but_once = np.where(last_day, truth + (0.5 - truth) * 1.9 if task == "binary" else truth + 9, better)
    assert not better_throughout(its, made, but_once)


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (-0.01, 0.03, "difference 0.01 (-0.01 to 0.03), not distinguishable"),
        (0.001, 0.03, "difference 0.01 (0.001 to 0.03)"),
        (None, None, "difference 0.01"),
    ],
)
def test_a_comparison_tells_the_interval_of_the_paired_difference(
    model: ModelDefinition, low: float | None, high: float | None, words: str
) -> None:
    for gate, theirs in ((NOT_WORSE, figures(mae=1.0)), (BETTER_THAN_CHAMPION, figures(mae=1.0))):
        differences = {"champion": {"mae": Interval(0.01, low, high)}}
        verdict = put_through(model, gate, candidate=figures(mae=1.01), champion=theirs, differences=differences)
        assert verdict.outcomes[-1].reason.endswith(f", {words}")


def test_of_a_metric_that_grows_with_quality_more_is_better(model: ModelDefinition) -> None:
    gate = ComparisonGate("roc_auc", "baseline", 0.1)
    for theirs, passed in ((0.69, True), (0.7, False), (0.9, False)):
        verdict = put_through(model, gate, candidate=figures(roc_auc=0.77), baseline=figures(roc_auc=theirs))
        assert verdict.passed is passed, theirs
    assert verdict.outcomes[-1].reason == "roc_auc 0.7700 is not above the baseline's 0.9000 by 10%"


def test_a_share_of_a_negative_figure_still_asks_for_more(model: ModelDefinition) -> None:
    gate, baseline = ComparisonGate("r2", "baseline", 0.1), figures(r2=-1.0)
    for mine, passed in ((-0.85, True), (-0.9, False), (-0.95, False), (-1.05, False)):
        assert put_through(model, gate, candidate=figures(r2=mine), baseline=baseline).passed is passed, mine


def test_a_metric_that_could_not_be_measured_passes_no_gate(model: ModelDefinition) -> None:
    gate, nothing, some = ComparisonGate("roc_auc", "baseline"), figures(), figures(roc_auc=0.9)
    for candidate, baseline, who in ((nothing, some, "candidate"), (some, nothing, "baseline")):
        verdict = put_through(model, gate, candidate=candidate, baseline=baseline)
        assert not verdict.passed
        assert verdict.outcomes[-1].reason == f"roc_auc could not be measured of the {who} on these rows"
    limited = put_through(model, LimitGate("roc_auc", 0.5), candidate=nothing).outcomes[-1]
    assert (limited.passed, limited.reason) == (False, "roc_auc could not be measured of the candidate on these rows")


def test_without_a_champion_there_is_nothing_to_beat(model: ModelDefinition, rows: JudgedRows) -> None:
    segments = SegmentGate("mae", "champion", 0.1, ("region",), 1)
    verdict = put_through(model, BETTER_THAN_CHAMPION, segments, candidate=figures(mae=9.0))
    assert verdict.passed
    assert {outcome.reason for outcome in verdict.outcomes[1:]} == {"there is no champion to compare with"}


def test_a_champion_that_cannot_be_compared_stays(model: ModelDefinition) -> None:
    segments = SegmentGate("mae", "champion", 0.1, ("region",), 1)
    gates = BETTER_THAN_CHAMPION, segments
    verdict = put_through(model, *gates, candidate=figures(mae=0.0), champion_lacks="table 'trend' is gone")
    assert [outcome.passed for outcome in verdict.outcomes] == [True, False, False]
    assert verdict.outcomes[1].reason == (
        "the champion stays, for it cannot be compared on these rows: table 'trend' is gone; to replace it all the "
        "same, take mae_better_than_champion out of the model's gates and train once by hand with a reason"
    )


def test_too_few_rows_are_no_judgement(model: ModelDefinition) -> None:
    verdict = put_through(model, candidate=figures(9, mae=0.1), min_rows=10)
    assert not verdict.passed
    assert verdict.reason == "judged on 9 rows, 10 are needed"


def test_one_gate_that_fails_is_enough(model: ModelDefinition) -> None:
    verdict = put_through(
        model,
        BETTER_THAN_BASELINE,
        ComparisonGate("rmse", "champion"),
        candidate=figures(mae=1.0, rmse=5.0),
        champion=figures(mae=2.0, rmse=4.0),
    )
    assert [outcome.passed for outcome in verdict.outcomes] == [True, True, False]
    assert not verdict.passed


@pytest.mark.parametrize(
    ("metric", "limit", "value", "passed", "reason"),
    [
        ("mae", 0.12, 0.12, True, "mae 0.1200 is at most 0.12"),
        ("mae", 0.12, 0.13, False, "mae 0.1300 is not at most 0.12"),
        ("roc_auc", 0.7, 0.7, True, "roc_auc 0.7000 is at least 0.7"),
        ("roc_auc", 0.7, 0.69, False, "roc_auc 0.6900 is not at least 0.7"),
        ("bias", 0.1, -0.05, True, "bias -0.0500 is within 0.1 of 0"),
        ("bias", 0.1, -0.2, False, "bias -0.2000 is not within 0.1 of 0"),
        ("bias", 0.1, 0.2, False, "bias 0.2000 is not within 0.1 of 0"),
    ],
)
def test_an_absolute_limit(
    model: ModelDefinition, metric: str, limit: float, value: float, passed: bool, reason: str
) -> None:
    outcome = put_through(model, LimitGate(metric, limit), candidate=Measured(100, {metric: value})).outcomes[-1]
    assert (outcome.passed, outcome.reason, outcome.measured, outcome.limit) == (passed, reason, value, limit)


def worse_in_the_south(rows: JudgedRows) -> JudgedRows:
    """The candidate says what the champion says, and is off by half as much again in the south."""
    import numpy as np

    south = np.array([region == "south" for region in rows.rows.column("region").to_pylist()])
    champion = rows.scores["champion"]
    candidate = np.where(south, rows.truth + 1.5 * (champion - rows.truth), champion)
    return replace(rows, scores={**rows.scores, "candidate": candidate})


@pytest.mark.parametrize("than", ["champion", "baseline"])
def test_no_segment_may_be_worse_by_more_than_a_share(model: ModelDefinition, rows: JudgedRows, than: Rival) -> None:
    import numpy as np

    judged = worse_in_the_south(rows)
    if than == "baseline":
        judged = replace(judged, scores={**judged.scores, "baseline": judged.scores["champion"]})
    for share, passed in ((0.4, False), (0.6, True)):
        outcome = outcome_of(model, SegmentGate("mae", than, share, ("shop", "region"), 50), judged)
        assert outcome.passed is passed
        assert outcome.measured == pytest.approx(0.5)
        assert outcome.limit == share
    places = np.array([region == "south" for region in rows.rows.column("region").to_pylist()])
    mine, theirs = (np.abs(judged.scores[who] - rows.truth)[places].mean() for who in ("candidate", than))
    assert outcome.reason == (
        f"mae is worse than the {than}'s by more than 60% in none of 3 segments, nearest to it in region south: "
        f"{mine:.4f} against {theirs:.4f}"
    )


def test_the_same_predictions_are_worse_in_no_segment(model: ModelDefinition, rows: JudgedRows) -> None:
    same = replace(rows, scores={**rows.scores, "champion": rows.scores["candidate"]})
    assert outcome_of(model, SegmentGate("mae", "champion", 1e-9, ("region", "level"), 1), same).passed


def test_a_gate_on_segments_of_which_none_is_large_enough_fails(model: ModelDefinition, rows: JudgedRows) -> None:
    outcome = outcome_of(model, SegmentGate("mae", "champion", 0.1, ("shop",), 50), rows)
    assert (outcome.passed, outcome.reason) == (False, "no segment by shop has 50 rows")


def test_a_segment_in_which_the_metric_is_not_defined_passes_no_gate(model: ModelDefinition) -> None:
    import numpy as np

    judged = made_rows("binary")
    south = np.array([region == "south" for region in judged.rows.column("region").to_pylist()])
    one_class = replace(judged, truth=np.where(south, 1, judged.truth))
    gate = SegmentGate("roc_auc", "champion", 9.0, ("region",), 50)
    outcome = outcome_of(of_task(model, "binary"), gate, one_class)
    assert not outcome.passed
    words = "roc_auc could not be measured of the candidate and the champion in the segment region south of 130 rows"
    assert outcome.reason == words


def test_a_model_may_be_too_large(model: ModelDefinition, rows: JudgedRows) -> None:
    assert outcome_of(model, SizeGate(SIZE), rows).passed
    outcome = outcome_of(model, SizeGate(SIZE - 1), rows)
    assert (outcome.passed, outcome.measured, outcome.limit) == (False, SIZE, SIZE - 1)
    assert outcome.reason == "the model's file has 2.5 KB, 2.499 KB are allowed"


def test_the_latency_is_the_median_of_predicting_one_row(model: ModelDefinition) -> None:
    from mlops_assets.models.fitting import feature_frame

    seen: list[Any] = []

    class Counting(Steady):
        def predict(self, frame: Any) -> Any:
            seen.append(frame.index.unique().tolist())
            return super().predict(frame)

    first = UNTIMED + TIMED // 2  # half of the timed ones are slower than the median
    ticks = iter([tick for n in range(UNTIMED + TIMED) for tick in (0.0, 0.001 if UNTIMED <= n <= first else 0.5)])
    frame = feature_frame(model, made_rows("regression", 2, 2).rows)
    assert seconds_for_one_row(model, Counting(), frame, lambda: next(ticks)) == 0.001
    assert seen == [[number % 4] for number in range(UNTIMED + TIMED)]
    assert next(ticks, None) is None


def test_a_model_may_be_too_slow(model: ModelDefinition, rows: JudgedRows) -> None:
    for limit, passed in ((100.0, True), (1e-9, False)):
        outcome = outcome_of(model, LatencyGate(limit), rows)
        assert (outcome.passed, outcome.limit) == (passed, limit)
        assert outcome.measured is not None and outcome.measured > 0
        assert outcome.reason.startswith("predicting one row takes ")


def own_gate(folder: Path, text: str) -> CustomGate:
    (folder / "rules.py").write_text(text, encoding="utf-8")
    function = read_function_for("rules:rule", GATE, beside=folder, root=folder)
    return CustomGate("rule", function.definition_hash, function)


def test_a_function_of_the_project_is_given_figures_rows_truth_and_scores(
    model: ModelDefinition, rows: JudgedRows, tmp_path: Path
) -> None:
    gate = own_gate(
        tmp_path,
        "def rule(figures, rows, truth, scores):\n"
        "    error = abs(scores['candidate'] - truth)[(rows['region'] == 'north').to_numpy()].mean()\n"
        "    truth[:] = 0\n"
        "    scores['candidate'][:] = 0\n"
        "    return error < figures['baseline']['mae'], f'{error:.3f} on {len(rows)} rows'\n",
    )
    before = rows.truth.copy(), rows.scores["candidate"].copy()
    outcome = outcome_of(model, gate, rows)
    assert outcome.name == "rule"
    assert outcome.passed
    assert outcome.reason.endswith("on 400 rows")
    assert (before[0] == rows.truth).all() and (before[1] == rows.scores["candidate"]).all()  # it was given copies


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def rule():\n    raise KeyError('no such shop')\n", "'rule' raised KeyError: 'no such shop'"),
        ("1 / 0\ndef rule():\n    return True, ''\n", "'rule' raised ZeroDivisionError: division by zero"),
        ("def rule():\n    return True\n", "'rule' answered with True, and not with (passed, words)"),
        (
            "def rule():\n    return 'yes', 'fine'\n",
            "'rule' answered with ('yes', 'fine'), and not with (passed, words)",
        ),
        ("def rule():\n    return True, None\n", "'rule' answered with (True, None), and not with (passed, words)"),
    ],
)
def test_a_function_that_fails_fails_its_gate(
    model: ModelDefinition, rows: JudgedRows, tmp_path: Path, text: str, words: str
) -> None:
    outcome = outcome_of(model, own_gate(tmp_path, text), rows)
    assert not outcome.passed
    assert words in outcome.reason


def test_a_function_that_talks_for_long_is_cut_short(model: ModelDefinition, rows: JudgedRows, tmp_path: Path) -> None:
    outcome = outcome_of(model, own_gate(tmp_path, "def rule():\n    return False, 'x' * 10_000\n"), rows)
    assert len(outcome.reason) == 500


def test_of_those_that_served_before_the_best_within_the_window_are_asked(model: ModelDefinition) -> None:
    days = model.schema.calendar
    at = days.at_key("2024-03-01")

    def judged(days_ago: int, error: float, baseline: float = 2.0) -> CandidateRecord:
        figures = json.dumps({"candidate_mae": error, "baseline_mae": baseline})
        return replace(training(0), at=days.shift(at, -days_ago).key, figures=figures)

    trainings = {number: judged(number, 1 - number / 100) for number in range(1, 9)}
    trainings |= {
        20: judged(11, 0.1),
        21: judged(-1, 0.1),
        22: judged(2, 0.1, 0.1),
        23: replace(judged(2, 0.1), figures="{}"),
    }
    assert best_judged(replace(model, window=10), at, trainings) == [8, 7, 6, 5, 4]
    assert best_judged(replace(model, window=None), at, trainings)[:2] == [20, 8]
    assert best_judged(replace(model, window=10), at, {22: trainings[22], 23: trainings[23]}) == [22, 23]
