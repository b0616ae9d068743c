"""Performance and drift of a small model that was trained, promoted and scored; what people ask the policy for."""

import math
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.errors import MissingDataError
from mlops_assets.features.recomputing import spans_read
from mlops_assets.features.training_sets import build_training_set
from mlops_assets.models.contributions import importance_of
from mlops_assets.models.fitting import feature_frame
from mlops_assets.models.predicting import scores_of_fit
from mlops_assets.models.promotion import promote, register
from mlops_assets.models.records import candidate_of_version
from mlops_assets.models.registry import open_registry
from mlops_assets.models.scoring import score, scored_late, scored_rows
from mlops_assets.models.stored_fits import stored_fit
from mlops_assets.models.training import Request, train
from mlops_assets.models.version_changes import learned_from
from mlops_assets.monitoring import attribution, drift, period_null, segments
from mlops_assets.monitoring.attribution import attribution_of, measure_attribution
from mlops_assets.monitoring.drift import drift_history, measure_drift, write_page
from mlops_assets.monitoring.explaining import as_lines, explain, rows_without
from mlops_assets.monitoring.performance import (
    PerformanceRecord,
    labels_known_at,
    measure_performance,
    performance_history,
)
from mlops_assets.monitoring.policy_history import open_requests, policy_history, record_request
from mlops_assets.monitoring.worst_rows import worst_rows
from mlops_assets.project.model_attributes import DriftChoice
from mlops_assets_tests.local_paths import path_of
from mlops_assets_tests.models.empty_registry import copy_empty_registry
from mlops_assets_tests.models.runs import start_run
from mlops_assets_tests.small_line import REGIONS, SHOPS, Line, hours, lived_line, units_of

pytestmark = pytest.mark.slow
TRAINED_AT, SCORED = "2024-01-16", "2024-01-17"


def train_at(line: Line, key: str, request: Request) -> None:
    period, platform, model = line.period(key), line.platform, line.model
    platform.home.clock.set(max(platform.labels_as_of(model, period), platform.clock.now()))
    platform.training_sets(model).write(key, build_training_set(platform, model, period).rows)
    registry = open_registry(platform.home.mlflow)
    with start_run(registry, "test") as run_id:
        train(platform, model, period, run_id, request)
    version = register(platform, model, period)
    if version is not None:
        promote(platform, model, version.version)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Line:
    intervals = {("forecast/defs.yaml", "  retrain:"): "  intervals: {coverage: 80%}\n  retrain:"}
    line = lived_line(tmp_path_factory, 12, intervals)
    copy_empty_registry(tmp_path_factory, line.platform.home.mlflow)
    train_at(line, TRAINED_AT, Request("there is no champion yet", "policy"))
    line.live(4, first="2024-01-17")
    score(line.platform, line.model, line.period(SCORED))
    return line


@pytest.fixture
def line(shared: Line, tmp_path: Path) -> Line:
    return shared.copy(tmp_path / "line")


def test_predictions_are_compared_with_the_labels_that_became_known_later(line: Line) -> None:
    measured = measure_performance(line.platform, line.model, line.period("2024-01-20"))
    assert measured is not None
    record, version = measured
    assert (record.period, record.about, record.version, record.rows) == ("2024-01-20", SCORED, 1, len(SHOPS))
    later = line.platform.labels_as_of(line.model, line.period("2024-01-20"))
    day = line.period(SCORED)
    truth = {row["shop"]: row["growth"] for row in line.platform.engine.known_at(
        line.platform.labels(line.model), later, first=day, last=day).to_pylist()}  # fmt: skip
    made = line.platform.engine.known_at(line.platform.predictions(line.model), later, first=day, last=day).to_pylist()
    difference = [abs(row["prediction"] - truth[row["shop"]]) for row in made]
    assert record.error == record.figure_values["mae"] == pytest.approx(sum(difference) / len(difference))
    assert record.figure_values["rmse"] == pytest.approx(
        math.sqrt(sum(value**2 for value in difference) / len(difference))
    )
    assert record.baseline_error == pytest.approx(
        sum(abs(row["baseline"] - truth[row["shop"]]) for row in made) / len(made)
    )
    held = [row["lower"] <= truth[row["shop"]] <= row["upper"] for row in made]
    width = made[0]["upper"] - made[0]["lower"]
    assert record.figure_values["coverage"] == sum(held) / len(held)
    assert record.figure_values["interval_width"] == pytest.approx(width) and width > 0
    assert performance_history(line.platform, line.model) == [record]
    again = measure_performance(line.platform, line.model, line.period("2024-01-20"))
    assert again == (record, version)


def test_what_was_predicted_before_a_change_of_features_is_measured_after_it(line: Line) -> None:
    expected = measure_performance(line.platform, line.model, line.period("2024-01-20"))
    line.files.change("forecast/defs.yaml", "columns: [level, crowd]", "columns: [level]")
    changed = line.open()
    assert not changed.platform.predictions(changed.model).delta.exists()
    assert measure_performance(changed.platform, changed.model, changed.period("2024-01-20")) == expected


def test_a_key_that_nothing_is_known_of_is_no_forecast(line: Line) -> None:
    from mlops_assets.operations.replay.summary import summarize

    scored_at, *_, known_in = keys = line.days(4, first="2024-01-21")
    for number, key in enumerate(keys):
        sold = {shop: units_of(shop, key) for shop in SHOPS} | {"new": 50 + number}
        line.deliver("sales", "".join(f"{key},{shop},{units},1.5,true,web\n" for shop, units in sold.items()), key)
        line.visits(key)
        line.features(key)
        line.labels(key)
    scored = score(line.platform, line.model, line.period(scored_at))
    assert (scored.written.rows, scored.without) == (len(SHOPS) + 1, 1)
    rows = line.platform.engine.known_at(line.platform.predictions(line.model), scored.written.known_at).to_pylist()
    of_day = {row["shop"]: row["prediction"] for row in rows if str(row["day"]) == scored_at}
    assert [shop for shop, prediction in of_day.items() if prediction is None] == ["new"]
    measured = measure_performance(line.platform, line.model, line.period(known_in))
    assert measured is not None and measured[0].rows == len(SHOPS)
    assert math.isfinite(measured[0].error)
    earlier, _ = measured_at(line, "2024-01-20")
    summary = summarize(line.platform, line.model)
    assert summary is not None
    assert summary.rows == earlier.rows + len(SHOPS)
    assert math.isfinite(summary.champions)


def test_performance_tells_skill_where_the_error_is_and_what_never_retraining_would_have_brought(line: Line) -> None:
    first, _ = measured_at(line, "2024-01-20")
    assert first.never_retrained == first.error  # nothing was retrained yet
    gates = "[{metric: mae, better_than: baseline}, {metric: rmse, better_than: champion, by: 0.1}]"
    line.files.change("forecast/defs.yaml", gates, "[{metric: mae, at_most: 100.0}]\n  evaluate: {segments: [region]}")
    line.files.change("forecast/defs.yaml", "alpha: 1.0", "alpha: 100.0")
    risk = "monitor: {metrics: {risk: sum(abs(prediction - growth)) / count(level)}}\n  retrain: {worse_by"
    line.files.change("forecast/defs.yaml", "retrain: {worse_by", risk)
    line = line.open()
    train_at(line, "2024-01-20", Request("prices changed", "ana@example.com"))
    line.live(4, first="2024-01-21")
    score(line.platform, line.model, line.period("2024-01-21"))
    record, _ = measured_at(line, "2024-01-24")
    assert record.version == 2 and record.skill == pytest.approx(record.error / record.baseline_error)
    assert record.skill is not None and record.skill_low is not None and record.skill_high is not None
    assert record.skill_low < record.skill < record.skill_high
    by_region = record.segment_errors
    assert [(one.by, one.segment) for one in by_region] == [("region", region) for region in REGIONS]
    assert sum(one.rows for one in by_region) == record.rows
    assert sum(one.share for one in by_region) == pytest.approx(1)
    assert sum(one.rows * one.error for one in by_region) == pytest.approx(record.rows * record.error)
    assert record.never_retrained == pytest.approx(error_of_version(line, 1, record))
    assert record.never_retrained != record.error
    assert record.own_values["risk"][1] == pytest.approx(record.error)
    assert performance_history(line.platform, line.model) == [first, record]
    personal = replace(line.model, features=tuple(replace(one, sensitivity="personal") for one in line.model.features))
    assert performance_history(line.platform, personal)[1].segment_errors == []


def error_of_version(line: Line, version: int, record: PerformanceRecord) -> float:
    platform, model, about = line.platform, line.model, line.period(record.about)
    now = platform.clock.now()
    made = platform.engine.known_at(platform.predictions(model), now, first=about, last=about)
    truth = platform.engine.known_at(platform.labels(model), now, first=about, last=about)
    assert made.column("shop") == truth.column("shop")
    fit = stored_fit(platform, model, candidate_of_version(platform, model, version))
    said = scores_of_fit(model, fit, feature_frame(model, made))
    return sum(abs(said - truth.column("growth").to_numpy())) / len(said)  # type: ignore[no-any-return]


def test_performance_needs_predictions_and_labels(line: Line) -> None:
    with pytest.raises(MissingDataError) as no_predictions:
        measure_performance(line.platform, line.model, line.period("2024-01-19"))
    assert no_predictions.value.found == "no predictions of 'forecast' for 2024-01-16"
    line.sales("2024-01-21")
    line.visits("2024-01-21")
    line.features("2024-01-21")
    score(line.platform, line.model, line.period("2024-01-18"))
    with pytest.raises(MissingDataError) as no_labels:
        measure_performance(line.platform, line.model, line.period("2024-01-21"))
    assert no_labels.value.found == "no labels of 'forecast' for 2024-01-21"


def test_drift_is_measured_against_the_training_set_of_the_champion_that_scored(line: Line) -> None:
    measured = measure_drift(line.platform, line.model, line.period(SCORED))
    assert measured is not None
    record, training_set = measured.record, measured.training_set
    assert (record.period, record.version, record.rows) == (SCORED, 1, len(SHOPS))
    assert {one["column"] for one in record.values["findings"]} == {"", *line.model.feature_names}
    assert record.words.startswith("shown and not judged: there are ")
    assert (record.alarm, record.values["bar"], measured.page) == (False, None, None)
    assert training_set.periods == (TRAINED_AT, TRAINED_AT)
    assert training_set.data_version == line.platform.training_sets(line.model).data_version(TRAINED_AT)
    again = measure_drift(line.platform, line.model, line.period(SCORED))
    assert again == measured and drift_history(line.platform, line.model) == [record]


def test_the_summary_of_a_training_set_is_made_once_and_made_again_where_it_is_gone(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = measure_drift(line.platform, line.model, line.period(SCORED))
    (kept,) = path_of(line.platform.home.reports / line.model.name).glob("reference-*.npz")
    read = list[object]()
    monkeypatch.setattr(drift, "read_training_set", lambda *asked: read.append(asked))
    assert measure_drift(line.platform, line.model, line.period(SCORED)) == first and not read
    monkeypatch.undo()
    kept.write_bytes(b"damaged")
    assert measure_drift(line.platform, line.model, line.period(SCORED)) == first
    assert kept.stat().st_size > 1000


def test_an_alarm_names_what_is_off_and_has_a_page_of_which_the_newest_are_kept(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(period_null, "MIN_PERIODS", 3)
    (name, *_) = line.model.numbers

    def in_another_unit(*asked: Any) -> Any:
        rows = scored_rows(*asked)
        values = [None if value is None else value * 1000 + 7 for value in rows.column(name).to_pylist()]
        return rows.set_column(rows.column_names.index(name), name, [values])

    monkeypatch.setattr(drift, "scored_rows", in_another_unit)
    measured = measure_drift(line.platform, line.model, line.period(SCORED))
    assert measured is not None and measured.record.alarm
    assert name in {column for column, _ in measured.record.values["beyond"]}
    assert measured.record.words.startswith("drifted: ") and f"{name} distance" in measured.record.words
    assert (
        measured.page is not None
        and f"{line.model.name}, version 1 of {TRAINED_AT}" in measured.page.read_bytes().decode()
    )
    pages = line.platform.home.reports / line.model.name
    for day in range(1, 13):
        (pages / f"2023-12-{day:02}" / "evidently.html").write(b"an older page")
    write_page(line.platform, line.model, line.period(SCORED))
    left = [day for day in pages.names() if (pages / day / "evidently.html").exists()]
    assert len(left) == 12 and SCORED in left and "2023-12-01" not in left


def test_drift_of_a_period_that_was_not_scored(line: Line) -> None:
    with pytest.raises(MissingDataError) as caught:
        measure_drift(line.platform, line.model, line.period("2024-01-18"))
    assert caught.value.found == "no predictions of 'forecast' for 2024-01-18"
    assert caught.value.cure == "materialize forecast/predictions for 2024-01-18 first"


def test_what_predictions_are_made_of_is_kept_by_period_and_explained_again_where_what_was_kept_is_gone(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = measure_attribution(line.platform, line.model, line.period(SCORED))
    assert measured is not None
    record = measured[0]
    assert (record.period, record.version, record.rows, record.alarm) == (SCORED, 1, len(SHOPS), False)
    assert record.words.startswith("shown and not judged: there are ")
    shares = record.values["shares"]
    assert set(shares) == {*record.values["usual"]} == {*line.model.feature_names}
    assert sum(shares.values()) == pytest.approx(1, abs=1e-4)
    assert attribution_of(line.platform, line.model, line.period(SCORED)) == record
    importance = importance_of(line.platform, line.model, 1)
    assert set(importance) == {*line.model.feature_names} and sum(importance.values()) == pytest.approx(1, abs=1e-4)
    read = list[object]()
    monkeypatch.setattr(attribution, "read_training_set", lambda *asked: read.append(asked))
    assert measure_attribution(line.platform, line.model, line.period(SCORED)) == measured and not read
    monkeypatch.undo()
    for kept in path_of(line.platform.home.reports / line.model.name).glob("*.[np][pa][zr]*"):
        kept.write_bytes(b"damaged")
    assert measure_attribution(line.platform, line.model, line.period(SCORED)) == measured
    previous = replace(line.model, drift=DriftChoice(reference="previous"))
    line.live(1, first="2024-01-21")
    score(line.platform, line.model, line.period("2024-01-18"))
    second = measure_attribution(line.platform, previous, line.period("2024-01-18"))
    assert second is not None and second[0].values["scores"]


def test_what_is_beyond_the_bar_is_told_by_how_much_it_counts(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(period_null, "MIN_PERIODS", 3)
    first, second, *_ = line.model.numbers

    def in_another_unit(*asked: Any) -> Any:
        rows = scored_rows(*asked)
        for name, factor in ((first, 1e6), (second, 1e3)):
            values = [None if value is None else value * factor + 7 for value in rows.column(name).to_pylist()]
            rows = rows.set_column(rows.column_names.index(name), name, [values])
        return rows

    monkeypatch.setattr(drift, "scored_rows", in_another_unit)
    for important in (first, second):
        shares = {important: 0.9, first if important == second else second: 0.1}
        monkeypatch.setattr(drift, "importance_of", lambda *asked, shares=shares: shares)
        measured = measure_drift(line.platform, line.model, line.period(SCORED))
        assert measured is not None
        ordered = [column for column, _ in measured.record.values["beyond"] if column]
        assert ordered[0] == important and {first, second} <= set(ordered)
        assert next(one["column"] for one in measured.record.values["findings"] if one["column"]) == important
        assert measured.record.values["importance"] == shares
        assert measured.record.words.index(f"{important} distance") > 0


def test_the_policy_sees_the_champion_its_training_and_its_performance(line: Line) -> None:
    measure_performance(line.platform, line.model, line.period("2024-01-20"))
    seen = policy_history(line.platform, line.model)
    assert seen is not None
    assert (seen.at.key, seen.lacks) == ("2024-01-20", "")
    assert seen.definitions is not None and seen.definitions.outcome == "same"
    assert seen.champion is not None and seen.champion.version == 1
    assert seen.champion_training == seen.trainings[0]
    assert [record.about for record in seen.performance] == [SCORED]


def test_before_the_first_label_there_is_nothing_to_decide(tmp_path: Path) -> None:
    line = Line(tmp_path / "line")
    assert policy_history(line.platform, line.model) is None


def test_a_request_is_open_until_its_training_was_carried_out_whatever_came_of_it(line: Line) -> None:
    platform, model = line.platform, line.model
    platform.home.clock.set(platform.clock.now() + hours(1))
    second = record_request(platform, model, "b", "prices changed", "ana@example.com")
    platform.home.clock.set(platform.clock.now() + timedelta(days=1))
    first = record_request(platform, model, "a", "and again", "ben@example.com")
    assert open_requests(platform, model) == [second, first]
    train_at(line, "2024-01-20", Request(second.reason, second.requested_by, second.number))
    assert open_requests(platform, model) == [first]


def corrected(line: Line) -> None:
    """What a shop sold on a day is corrected after performance was measured, and with it two days' labels."""
    line.sales("2024-01-18", line.platform.clock.now() + hours(3), s03=units_of("s03", "2024-01-18") * 5)
    line.labels("2024-01-20")
    line.labels("2024-01-21")


def with_two_days_scored(line: Line) -> Line:
    line.live(1, first="2024-01-21")
    score(line.platform, line.model, line.period("2024-01-18"))
    return line


def measured_at(line: Line, key: str) -> tuple[PerformanceRecord, str]:
    found = measure_performance(line.platform, line.model, line.period(key))
    assert found is not None
    return found


def test_a_corrected_label_is_measured_again_for_every_period_that_it_is_about(line: Line, tmp_path: Path) -> None:
    with_two_days_scored(line)
    keys = ("2024-01-20", "2024-01-21")
    before = {key: measured_at(line, key) for key in keys}
    late = line.copy(tmp_path / "measured once")
    corrected(line)
    after = {key: measured_at(line, key) for key in keys}
    for key in keys:
        assert after[key][0].error != before[key][0].error and after[key][1] != before[key][1]
        assert after[key][0].rows == before[key][0].rows
    assert performance_history(line.platform, line.model) == [record for record, _ in after.values()]
    known_at = labels_known_at(line.platform, line.model, line.period(keys[0]))
    assert known_at == line.platform.clock.now()

    line.platform.home.clock.set(line.platform.clock.now() + hours(30))
    assert {key: measured_at(line, key) for key in keys} == after
    assert labels_known_at(line.platform, line.model, line.period(keys[0])) == known_at
    corrected(late)
    assert {key: measured_at(late, key) for key in keys} == after


def test_the_summary_of_a_replay_is_the_total_of_the_records(line: Line) -> None:
    from mlops_assets.operations.replay.summary import summarize

    with_two_days_scored(line)
    for correct in (False, True):
        if correct:
            corrected(line)
        records = [measured_at(line, key)[0] for key in ("2024-01-20", "2024-01-21")]
        summary = summarize(line.platform, line.model)
        assert summary is not None
        rows = sum(record.rows for record in records)
        assert summary.rows == rows
        assert summary.champions == pytest.approx(sum(record.error * record.rows for record in records) / rows)
        assert summary.baseline == pytest.approx(sum(record.baseline_error * record.rows for record in records) / rows)


def test_what_was_predicted_after_its_outcome_was_known_is_kept_and_is_no_forecast(line: Line) -> None:
    from mlops_assets.operations.replay.summary import summarize

    late, key = line.period("2024-01-18"), "2024-01-21"
    line.live(1, first=key)
    line.platform.home.clock.set(line.platform.labels_as_of(line.model, line.period(key)) + hours(1))
    record, _ = measured_at(line, "2024-01-20")
    scored = score(line.platform, line.model, late)
    assert scored.late and scored.written.rows == len(SHOPS)
    assert scored_late(line.platform, line.model, [line.period(SCORED), late]) == {late}
    assert measure_performance(line.platform, line.model, line.period(key)) is None
    seen = policy_history(line.platform, line.model)
    assert seen is not None and seen.performance == [record]
    summary = summarize(line.platform, line.model)
    assert summary is not None
    assert summary.rows == record.rows
    assert summary.champions == pytest.approx(record.error)


def test_what_was_scored_in_time_stays_a_forecast_when_it_is_scored_again_later(line: Line) -> None:
    before = measured_at(line, "2024-01-20")
    line.platform.home.clock.set(line.platform.clock.now() + hours(100))
    assert not score(line.platform, line.model, line.period(SCORED)).late
    assert measured_at(line, "2024-01-20") == before


def test_what_a_home_scored_before_that_was_recorded_counts_as_a_forecast(line: Line) -> None:
    before = measured_at(line, "2024-01-20")
    shutil.rmtree(path_of(line.platform.records(line.model, "scoring").delta.folder))
    line.platform.home.clock.set(line.platform.clock.now() + hours(100))
    assert measured_at(line, "2024-01-20") == before
    assert not score(line.platform, line.model, line.period(SCORED)).late


def test_a_segment_that_moved_is_told_once_as_new_and_then_as_still_there(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(period_null, "MIN_PERIODS", 3)
    monkeypatch.setattr(segments, "MIN_PERIODS", 3)
    monkeypatch.setattr(segments, "MIN_ROWS", 1)
    model = replace(line.model, drift=DriftChoice(segments=(line.model.schema.keys[0],)))
    (name, *_) = model.numbers
    (shop, *_) = SHOPS

    def one_shop_moved(*asked: Any) -> Any:
        rows = scored_rows(*asked)
        values = zip(rows.column(model.schema.keys[0]).to_pylist(), rows.column(name).to_pylist(), strict=True)
        moved = [None if value is None else value + (1e6 if key == shop else 0) for key, value in values]
        return rows.set_column(rows.column_names.index(name), name, [moved])

    monkeypatch.setattr(drift, "scored_rows", one_shop_moved)
    score(line.platform, line.model, line.period("2024-01-18"))
    first, second = (measure_drift(line.platform, model, line.period(day)) for day in (SCORED, "2024-01-18"))
    assert first is not None and second is not None
    assert first.record.moved and first.record.segment_words.startswith(f"moved: shop {shop}: {name} mean ")
    assert not second.record.moved and second.record.segment_words.startswith(f"moved: still shop {shop}: {name} mean ")


def test_the_worst_predictions_of_a_period_hold_their_share_of_its_error(line: Line) -> None:
    record, _ = measured_at(line, "2024-01-20")
    worst = worst_rows(line.platform, line.model, record, most=3)
    errors = [abs(row.values["prediction"] - row.values["growth"]) for row in worst]
    assert errors == sorted(errors, reverse=True)
    assert [row.share for row in worst] == pytest.approx([error / (record.error * record.rows) for error in errors])
    assert sum(row.share for row in worst_rows(line.platform, line.model, record, most=99)) == pytest.approx(1)
    assert set(worst[0].values) == {"shop", "day", "growth", "prediction", "baseline"}


def test_what_was_corrected_since_a_training_is_told_of_the_periods_that_it_could_see(line: Line) -> None:
    training = candidate_of_version(line.platform, line.model, 1)
    learned = learned_from(line.platform, line.model, training)
    assert (learned.rows, learned.corrected) == (int(training.figure_values["rows"]), ())
    assert learned.known_at == line.platform.labels_as_of(line.model, line.period(TRAINED_AT))
    now = line.platform.clock.now()
    for key in ("2024-01-09", "2024-01-18"):  # the second is later than what it was trained at
        line.sales(key, at=now, s03=1)
    (corrected,) = learned_from(line.platform, line.model, training).corrected
    assert (corrected.source, corrected.states, corrected.periods) == ("sales", 1, ("2024-01-09",))
    assert corrected.newest >= now


NEXT = "2024-01-21"
TWENTYFOLD = {shop: units_of(shop, NEXT) * 20 for shop in SHOPS}


def judged_with(line: Line, units: dict[str, int], corrected: dict[str, int]) -> Line:
    """The next day is sold with some units, of which some are corrected before it is scored and judged."""
    line.sales(NEXT, None, **units)
    if corrected:
        line.sales(NEXT, line.platform.clock.now() + timedelta(minutes=30), **{**units, **corrected})
    line.visits(NEXT)
    line.features(NEXT)
    score(line.platform, line.model, line.period(NEXT))
    assert measure_drift(line.platform, line.model, line.period(NEXT)) is not None
    return line


def files_of(line: Line) -> dict[str, bytes]:
    home = path_of(line.platform.home.reports).parent
    return {str(file): file.read_bytes() for file in home.rglob("*") if file.is_file()}


def test_an_alarm_by_a_correction_names_it_with_its_sources_and_goes_away_without_it(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(period_null, "MIN_PERIODS", 3)
    judged_with(line, {}, TWENTYFOLD)
    before = files_of(line)
    found = explain(line.platform, line.model, line.period(NEXT))
    assert files_of(line) == before
    assert "level" in {column for column, _ in found.record.values["beyond"]}
    assert [str(one) for one in found.sources["level"]] == ["sales.units"]
    (late,) = found.late
    assert (late.source, late.periods, late.states, late.corrects) == ("sales", (NEXT,), len(SHOPS), True)
    assert late.columns == {"units": len(SHOPS)}
    assert not found.without[0].alarm
    told = list(as_lines(found))
    assert any("level" in said and said.endswith(" distance, from sales.units") for said in told[1:])
    assert told[-2].startswith(
        f"  correction of sales {NEXT}, known from {late.known_at.isoformat()}: 14 states, units"
    )
    assert told[-1].startswith("    without it the alarm goes away: as usual: ")


def test_an_alarm_by_a_real_change_stays_without_what_was_corrected_beside_it(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(period_null, "MIN_PERIODS", 3)
    judged_with(line, TWENTYFOLD, {"s03": TWENTYFOLD["s03"] + 7})
    found = explain(line.platform, line.model, line.period(NEXT))
    assert [(late.states, late.corrects) for late in found.late] == [(1, True)]
    assert found.without[0].alarm
    assert list(as_lines(found))[-1].startswith("    without it the alarm stays: drifted: ")
    assert not any("in shop s" in said for said in as_lines(found, ["shop"]))


def test_what_is_computed_again_with_nothing_left_out_is_what_was_scored(line: Line) -> None:
    judged_with(line, {}, {})
    day, names = line.period(NEXT), [*line.model.schema.names, *line.model.feature_names]
    spans = spans_read(line.platform, line.model, day)
    again = rows_without(line.platform, line.model, day, None, spans).select(names)
    assert again.to_pylist() == drift.scored_in(line.platform, line.model, day).select(names).to_pylist()
    assert (
        list(as_lines(explain(line.platform, line.model, day)))[-1] == "  nothing is off: there is nothing to explain"
    )


def test_an_alarm_with_no_correction_came_in_time_and_no_drift_measured_is_said(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(period_null, "MIN_PERIODS", 3)
    judged_with(line, TWENTYFOLD, {})
    found = explain(line.platform, line.model, line.period(NEXT))
    assert found.record.alarm and not found.late
    in_time = "  no correction and no late delivery is among its rows: it came with deliveries in time"
    assert list(as_lines(found))[-1] == in_time
    with pytest.raises(MissingDataError) as caught:
        explain(line.platform, line.model, line.period("2024-01-19"))
    assert caught.value.found == "no drift of 'forecast' in 2024-01-19"
