"""A challenger in the shadow of the champion: whose it is, what it is let see, and how the two are compared."""

import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.errors import MissingDataError
from mlops_assets.governance.approvals import Approval, Meaning
from mlops_assets.lakehouse.records import write_new_record
from mlops_assets.models.fitting import feature_frame
from mlops_assets.models.records import (
    ComparisonRecord,
    TransitionKind,
    TransitionRecord,
    candidate_of_version,
    candidates,
    comparisons,
    transitions,
)
from mlops_assets.models.registry import load_fit, open_registry
from mlops_assets.models.scoring import score
from mlops_assets.models.shadow import Shadowed, periods_to_shadow, score_in_shadow
from mlops_assets.models.shown import as_text, shown_versions
from mlops_assets.models.states import challengers_at
from mlops_assets.monitoring.comparison import SUFFIX, _figures, compare_challenger
from mlops_assets.monitoring.performance import measure_performance
from mlops_assets_tests.local_paths import path_of
from mlops_assets_tests.models.registering import Decided
from mlops_assets_tests.serving.predicting import shared_line
from mlops_assets_tests.small_line import SHOPS, Line

pytestmark = pytest.mark.slow
BEFORE, FIRST, SECOND, THIRD, LAST = "2024-01-18", "2024-01-19", "2024-01-20", "2024-01-21", "2024-01-24"
KNOWN = {FIRST: "2024-01-22", SECOND: "2024-01-23", THIRD: "2024-01-24"}
"""The day on which the labels of a day become known."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Line:
    """Version 1 serves; version 2 waits for approval since the as_of of ``BEFORE``; both scored what came since."""
    line = shared_line(tmp_path_factory).copy(tmp_path_factory.mktemp("shadow") / "line")
    line.files.change("forecast/defs.yaml", "  retrain:", "  approval: required\n  retrain:")
    line.open()
    shutil.rmtree(path_of(line.platform.records(line.model, "transition").delta.folder))
    trained_at = candidate_of_version(line.platform, line.model, 1).trained_at
    first = TransitionRecord(1, 1, "promotion", trained_at, "ana", "the first")
    write_new_record(line.platform.records(line.model, "transition"), first)
    line.live(6, FIRST)
    now, clock = line.platform.clock.now(), line.platform.home.clock
    score_at(line, BEFORE)
    for key in KNOWN:
        clock.set(line.platform.model_as_of(line.model, line.period(key)))  # later it would be no forecast
        score_at(line, key)
        in_shadow(line, key)
    clock.set(now)
    return line


@pytest.fixture
def line(shared: Line, tmp_path: Path) -> Line:
    return shared.copy(tmp_path / "line")


def score_at(line: Line, key: str) -> None:
    score(line.platform, line.model, line.period(key))


def in_shadow(line: Line, key: str) -> Shadowed:
    return score_in_shadow(line.platform, line.model, line.period(key))


def challengers(line: Line) -> dict[str, int]:
    found = challengers_at(line.platform, line.model, map(line.period, line.days(7, BEFORE)))
    return {period.key: version for period, version in found.items()}


def decide(line: Line, kind: TransitionKind, version: int, key: str) -> None:
    """Let something have become of a version at the as_of of a day."""
    made = transitions(line.platform, line.model)
    at = line.platform.model_as_of(line.model, line.period(key))
    record = TransitionRecord(len(made) + 1, version, kind, at, "ana", "why")
    write_new_record(line.platform.records(line.model, "transition"), record)


def say(line: Line, meaning: Meaning, key: str) -> None:
    """Let somebody have approved or rejected version 2 at the as_of of a day."""
    at = line.platform.model_as_of(line.model, line.period(key))
    line.platform.approvals.record(
        Approval("forecast", 2, "hash", 1, "ana", ("approver",), at, meaning, f"{meaning} {key}")
    )


def rows_of(line: Line, table: str, key: str) -> list[dict[str, Any]]:
    period = line.period(key)
    found = getattr(line.platform, table)(line.model)
    known_at = line.platform.model_as_of(line.model, period)
    rows: list[dict[str, Any]] = line.platform.engine.known_at(found, known_at, first=period, last=period).to_pylist()
    return rows


def compare(line: Line, about: str) -> ComparisonRecord:
    compared = compare_challenger(line.platform, line.model, line.period(KNOWN[about]))
    assert compared is not None
    return compared[0]


def test_the_challenger_of_a_period_was_trained_before_its_as_of(shared: Line) -> None:
    assert challengers(shared) == dict.fromkeys(shared.days(6, FIRST), 2)


def test_who_was_rejected_or_taken_out_competes_no_more_from_then_on_and_did_before(line: Line) -> None:
    say(line, "rejected", SECOND)
    assert challengers(line) == dict.fromkeys([FIRST, SECOND], 2)
    say(line, "approved", THIRD)
    assert list(challengers(line)) == [FIRST, SECOND, *line.days(3, "2024-01-22")]
    decide(line, "retirement", 2, "2024-01-22")
    assert list(challengers(line)) == [FIRST, SECOND, "2024-01-22"]


def test_who_became_champion_or_is_older_than_it_is_no_challenger(line: Line) -> None:
    decide(line, "promotion", 2, SECOND)
    assert challengers(line) == {FIRST: 2, SECOND: 2}
    decide(line, "rollback", 1, THIRD)
    assert challengers(line) == {FIRST: 2, SECOND: 2}, "it served"


def test_a_newer_version_takes_the_challenger_s_place_from_its_training_on(line: Line) -> None:
    line.platform.home.clock.set(line.platform.model_as_of(line.model, line.period(SECOND)))
    Decided(line.platform, candidates(line.platform, line.model)[1], line.model).version()  # an hour later
    assert challengers(line) == {FIRST: 2, SECOND: 2} | dict.fromkeys(line.days(4, THIRD), 3)


def test_without_a_champion_nobody_is_in_its_shadow(line: Line) -> None:
    shutil.rmtree(path_of(line.platform.records(line.model, "transition").delta.folder))
    assert challengers(line) == {}


def test_the_challenger_scores_the_champion_s_rows_with_what_it_saw_and_is_kept_apart(shared: Line) -> None:
    import pyarrow as pa

    champion, challenger = rows_of(shared, "predictions", FIRST), rows_of(shared, "challenger_predictions", FIRST)
    assert [row["shop"] for row in champion] == [row["shop"] for row in challenger] == list(SHOPS)
    assert {(row["version"], row["champion_version"]) for row in challenger} == {(2, 1)}
    assert {row["version"] for row in champion} == {1}
    assert {row["feature_versions"] for row in challenger} == {row["feature_versions"] for row in champion}
    registry = open_registry(shared.platform.home.mlflow)
    for version, rows in ((1, champion), (2, challenger)):
        fit = load_fit(registry, candidate_of_version(shared.platform, shared.model, version).model_uri)
        said = fit.predict(feature_frame(shared.model, pa.Table.from_pylist(champion)))
        assert [row["prediction"] for row in rows] == pytest.approx(said.tolist(), rel=1e-12)


def test_scored_again_nothing_changes(line: Line) -> None:
    before = line.platform.predictions(line.model).delta.version()
    again = in_shadow(line, FIRST)
    assert (again.by.version, again.champion, again.written.appended, again.written.rows) == (2, 1, 0, len(SHOPS))
    assert line.platform.predictions(line.model).delta.version() == before


def test_a_past_period_is_never_scored_by_a_later_challenger_nor_before_the_champion(shared: Line) -> None:
    with pytest.raises(MissingDataError) as none:
        in_shadow(shared, BEFORE)
    assert none.value.found == "no challenger of 'forecast' before 2024-01-21T00:00:00+00:00"
    with pytest.raises(MissingDataError) as early:
        in_shadow(shared, LAST)
    assert early.value.found == f"no predictions of 'forecast' for {LAST}"


def test_a_challenger_that_may_not_score_is_not_asked(line: Line) -> None:
    periods = [line.period(key) for key in (BEFORE, FIRST)]
    assert periods_to_shadow(line.platform, line.model, periods) == {line.period(FIRST)}
    line.files.change("forecast/defs.yaml", "lookback: 30 days", "lookback: 31 days")
    assert periods_to_shadow(line.open().platform, line.model, periods) == set()


def test_both_are_compared_on_the_same_rows_once_labels_are_known(line: Line) -> None:
    record = compare(line, FIRST)
    assert (record.period, record.about, record.champion, record.challenger) == (KNOWN[FIRST], FIRST, 1, 2)
    assert (record.rows, record.periods, record.running_rows) == (len(SHOPS), 1, len(SHOPS))
    labels = {row["shop"]: row["growth"] for row in labels_of(line, FIRST)}
    errors = {}
    for who, table in (("champion", "predictions"), ("challenger", "challenger_predictions")):
        off = [abs(row["prediction"] - labels[row["shop"]]) for row in rows_of(line, table, FIRST)]
        errors[who] = sum(off) / len(off)
        assert record.figure_values[f"{who}_mae"] == pytest.approx(errors[who])
    assert record.figure_values["difference_mae"] == pytest.approx(errors["challenger"] - errors["champion"]) != 0
    assert {name.split("_", 1)[1] for name in record.figure_values} == {
        "mae", "rmse", "median_absolute_error", "bias", "r2"
    }  # fmt: skip
    assert record.running_values == record.figure_values
    measured = measure_performance(line.platform, line.model, line.period(KNOWN[FIRST]))
    assert measured is not None and measured[0].error == record.figure_values["champion_mae"]


def labels_of(line: Line, key: str) -> list[dict[str, Any]]:
    period = line.period(key)
    found: list[dict[str, Any]] = line.platform.engine.known_at(
        line.platform.labels(line.model), line.platform.clock.now(), first=period, last=period
    ).to_pylist()
    return found


def test_the_running_figure_is_of_all_rows_of_the_pair_and_of_no_others(line: Line) -> None:
    of_period = [compare(line, key) for key in KNOWN]
    running = of_period[-1]
    assert (running.rows, running.periods, running.running_rows) == (len(SHOPS), 3, 3 * len(SHOPS))
    for who in ("champion", "challenger"):
        values = [record.figure_values[f"{who}_mae"] for record in of_period]
        assert running.running_values[f"{who}_mae"] == pytest.approx(sum(values) / 3)  # as many rows in each
        squares = [record.figure_values[f"{who}_rmse"] ** 2 for record in of_period]
        assert running.running_values[f"{who}_rmse"] == pytest.approx((sum(squares) / 3) ** 0.5)
    assert comparisons(line.platform, line.model) == of_period
    assert [compare(line, key) for key in KNOWN] == of_period, "again, it is the same"

    line.platform.home.clock.set(line.platform.model_as_of(line.model, line.period(SECOND)))
    Decided(line.platform, candidates(line.platform, line.model)[0], line.model).version()
    in_shadow(line, THIRD)
    other = compare(line, THIRD)
    assert (other.challenger, other.periods, other.running_rows) == (3, 1, len(SHOPS))
    assert other.running_values["difference_mae"] == 0, "it is the champion's fit once more"
    assert compare(line, SECOND) == of_period[1]


def test_classifications_are_compared_by_their_probabilities(shared: Line) -> None:
    import pyarrow as pa

    model = replace(shared.model, task="binary")
    said = {"": [0.9, 0.2, 0.6, 0.4], SUFFIX: [0.8, 0.2, 0.4, 0.4]}
    rows = pa.table(
        {
            model.label.column: [True, False, True, False],
            **{f"prediction{suffix}": [value > 0.5 for value in values] for suffix, values in said.items()},
            **{f"probability{suffix}": values for suffix, values in said.items()},
        }
    )
    found = _figures(model, rows)
    losses = [-sum(map(math.log, likely)) / 4 for likely in ([0.9, 0.8, 0.6, 0.6], [0.8, 0.8, 0.4, 0.6])]
    assert [found["champion_log_loss"], found["challenger_log_loss"]] == pytest.approx(losses)
    assert (found["champion_accuracy"], found["challenger_accuracy"]) == (1.0, 0.75)
    assert found["difference_accuracy"] == -0.25


def test_a_comparison_needs_the_predictions_of_both_and_labels(line: Line) -> None:
    with pytest.raises(MissingDataError) as caught:
        compare_challenger(line.platform, line.model, line.period("2024-01-21"))
    assert caught.value.found == f"no predictions of a challenger of 'forecast' for {BEFORE}"
    assert caught.value.cure == f"materialize forecast/challenger_predictions for {BEFORE} first"
    shutil.rmtree(path_of(line.platform.labels(line.model).delta.folder))
    with pytest.raises(MissingDataError, match=f"no labels of 'forecast' for {KNOWN[FIRST]}"):
        compare(line, FIRST)


def test_a_version_tells_its_newest_comparison(line: Line) -> None:
    compare(line, FIRST)
    record = compare(line, SECOND)
    champion, challenger = shown_versions(line.platform, line.model)
    assert champion.comparison is None and challenger.comparison is not None
    told = challenger.comparison
    assert (told.champion, told.until, told.periods, told.rows) == (1, SECOND, 2, 2 * len(SHOPS))
    assert told.figures == record.running_values
    mine, theirs = (record.running_values[f"{who}_mae"] for who in ("challenger", "champion"))
    assert (
        f"  in the shadow of version 1 over 2 periods with 28 rows, up to {SECOND}: mae {mine:.4f}, the champion's "
        f"{theirs:.4f}"
    ) in as_text(challenger).splitlines()
    decide(line, "promotion", 2, LAST)
    assert shown_versions(line.platform, line.model, 2)[0].comparison == told, "also once it serves"
