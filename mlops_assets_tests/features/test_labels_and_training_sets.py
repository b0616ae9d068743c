"""Labels become known after they are predicted; training sets hold what was known at the time of each prediction."""

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.errors import ContractError, MissingDataError
from mlops_assets.features.labels import labelled_period, newest_labelled, require_not_early
from mlops_assets.features.states import append_computed
from mlops_assets.features.training_sets import build_training_set, label_window
from mlops_assets_tests.small_line import FIRST, SHOPS, Line, hours, lived_line, units_of

QUICK = """\
---
type: mlops_assets.FeatureTable
attributes:
  name: quick
  description: Growth of sales, known before the visits
  primary_keys: [shop]
  timestamp: day
  sql: quick.sql
  history: 2 days
  columns:
    shop: {type: string, description: Shop}
    day: {type: date, description: Day}
    growth_now: {type: double, description: Log change against the day before}
"""
QUICK_SQL = """\
SELECT now.shop, now.day, ln(now.units / before.units) AS growth_now
FROM sales AS now
JOIN sales AS before ON before.shop = now.shop AND before.day = now.day - INTERVAL 1 DAY
"""


def growth(shop: str, day: str, line: Line) -> float:
    later = line.model.schema.calendar.shift(line.period(day), 1).key
    return math.log(units_of(shop, later) / units_of(shop, day))


def training_rows(line: Line, at: str) -> dict[tuple[str, str], dict[str, Any]]:
    rows = build_training_set(line.platform, line.model, line.period(at)).rows.to_pylist()
    return {(row["shop"], str(row["day"])): row for row in rows}


@pytest.fixture
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    return lived_line(tmp_path_factory, 12)


def test_labels_become_known_horizon_and_delay_later_in_the_as_of_of_that_period(line: Line) -> None:
    assert labelled_period(line.model, line.period("2024-01-16")).key == "2024-01-13"
    known = line.period("2024-01-16").end + hours(48)
    labels = line.platform.labels(line.model)
    at = line.platform.engine.known_at(labels, known, first=line.period("2024-01-13"), last=line.period("2024-01-13"))
    assert {row["known_at"] for row in at.to_pylist()} == {known}
    assert {row["predicted_at"] for row in at.to_pylist()} == {line.period("2024-01-13").end + hours(48)}
    assert {row["shop"]: row["growth"] for row in at.to_pylist()} == pytest.approx(
        {shop: growth(shop, "2024-01-13", line) for shop in SHOPS}
    )
    newest = newest_labelled(line.platform, line.model)
    assert newest is not None and newest.key == "2024-01-16"


def test_a_source_with_a_short_lag_never_shows_its_next_period_to_a_slow_one(line: Line) -> None:
    line.files.write("quick/defs.yaml", QUICK.removeprefix("---\n"))
    line.files.write("quick/quick.sql", QUICK_SQL)
    line.files.change(
        "forecast/defs.yaml",
        "    - {table: shops,",
        "    - {table: quick, columns: [growth_now]}\n    - {table: shops,",
    )
    line.open()
    keys = line.days(10)
    for key in keys:
        line.features(key, "quick")

    # When the model speaks about a day, the next day's growth (its label) is known already.
    day, following = keys[4], keys[5]
    as_of = line.platform.model_as_of(line.model, line.period(day))
    assert ("s01", following) in line.known("quick", as_of, "growth_now")

    rows = training_rows(line, keys[-1])
    assert len(rows) == 7 * len(SHOPS)
    for (shop, key), row in rows.items():
        if key == FIRST:
            assert row["growth_now"] is None
        else:
            before = line.model.schema.calendar.shift(line.period(key), -1).key
            assert row["growth_now"] == pytest.approx(growth(shop, before, line))
        assert row["growth"] == pytest.approx(growth(shop, key, line))


def test_a_training_set_holds_every_label_known_then_with_its_features_in_order(line: Line) -> None:
    made = build_training_set(line.platform, line.model, line.period("2024-01-14"))
    assert (made.first.key, made.last.key) == (line.model.first.key, "2024-01-11")
    assert made.known_at == line.period("2024-01-14").end + hours(48)
    rows = made.rows.to_pylist()
    assert [(str(row["day"]), row["shop"]) for row in rows] == [(day, shop) for day in line.days(7) for shop in SHOPS]
    assert made.rows.column_names == ["shop", "day", "predicted_at", "growth", "level", "crowd", "region"]
    assert rows[0]["level"] == pytest.approx(math.log(units_of("s00", FIRST) + 1))
    assert {row["region"] for row in rows} == {"north", "south"}


def test_the_same_training_set_is_built_later_whatever_was_corrected_since(line: Line) -> None:
    before = build_training_set(line.platform, line.model, line.period("2024-01-14")).rows
    line.sales("2024-01-10", at=datetime(2024, 3, 1, tzinfo=UTC), s03=9)
    for key in line.days(12):
        line.features(key)
    assert build_training_set(line.platform, line.model, line.period("2024-01-14")).rows.equals(before)


def test_a_label_is_taken_in_its_latest_state_known_at_the_training(line: Line) -> None:
    day = line.period("2024-01-10")
    labels = line.platform.labels(line.model)
    asked_at = line.period("2024-01-14").end + hours(48)
    rows = line.platform.engine.known_at(labels, asked_at, first=day, last=day).select(list(labels.schema.names))
    changed = rows.set_column(3, "growth", [[9.0] * rows.num_rows])
    append_computed(line.platform, labels, changed, day, asked_at + hours(24))

    at_that_time = {row["growth"] for (_, key), row in training_rows(line, "2024-01-14").items() if key == day.key}
    later = {row["growth"] for (_, key), row in training_rows(line, "2024-01-15").items() if key == day.key}
    assert 9.0 not in at_that_time
    assert later == {9.0}


def test_rows_that_never_got_a_label_are_counted_and_left_out(tmp_path_factory: pytest.TempPathFactory) -> None:
    line = lived_line(tmp_path_factory, 4)
    keys = line.days(10)
    for key in keys[4:]:
        line.sales(key, **({"s03": None} if key == keys[4] else {}))
        line.visits(key)
        line.features(key)
        line.labels(key)
    made = build_training_set(line.platform, line.model, line.period(keys[-1]))
    found = {(row["shop"], str(row["day"])) for row in made.rows.to_pylist()}
    # The shop is not in the population of the day without its row, and the day before never gets a label.
    assert made.without_label == 1
    assert {(shop, key) for key in keys[:7] for shop in SHOPS} - found == {("s03", keys[3]), ("s03", keys[4])}


def test_too_few_labels_to_train(line: Line) -> None:
    with pytest.raises(ContractError) as caught:
        build_training_set(line.platform, line.model, line.period("2024-01-11"))
    assert caught.value.found == "56 labels of 'forecast' known at 2024-01-14T00:00:00+00:00"
    assert caught.value.expected == "at least 60 (train.min_rows)"
    assert caught.value.cure == "train later, widen the window, or lower min_rows"


def test_labels_that_were_not_computed(line: Line) -> None:
    with pytest.raises(MissingDataError) as caught:
        build_training_set(line.platform, line.model, line.period("2024-01-17"))
    assert caught.value.found == "the labels of 'forecast' that become known in 2024-01-17 were not computed"


def test_the_window_counts_the_newest_labelled_periods(tmp_path: Path) -> None:
    line = Line(tmp_path / "line", {("forecast/defs.yaml", "window: 60 days"): "window: 7 days"})
    first, last = label_window(line.model, line.period("2024-01-16"))
    assert (first.key, last.key) == ("2024-01-07", "2024-01-13")
    assert label_window(line.model, line.period("2024-01-10"))[0] == line.model.first


def test_a_key_with_two_labels_is_refused(line: Line) -> None:
    line.files.change("forecast/growth.sql", "FROM sales AS now\n", "FROM sales AS now CROSS JOIN (VALUES (1), (2))\n")
    line.open()
    with pytest.raises(ContractError) as caught:
        line.labels(line.days(4)[-1])
    assert caught.value.found == "growth.sql gives a key of 'forecast' more than one label in 2024-01-05"
    assert caught.value.cure == "aggregate, or join on the whole key"


def test_a_label_known_when_it_is_predicted_is_refused(line: Line) -> None:
    moment = datetime(2024, 1, 9, tzinfo=UTC)
    require_not_early(line.model, line.period("2024-01-08"), moment + hours(1), moment)
    with pytest.raises(ContractError) as caught:
        require_not_early(line.model, line.period("2024-01-08"), moment, moment)
    assert caught.value.found == (
        "labels of 'forecast' for 2024-01-08 are known at 2024-01-09 00:00:00+00:00, "
        "and predicted at 2024-01-09 00:00:00+00:00"
    )


def test_computing_labels_again_appends_nothing(line: Line) -> None:
    version = line.platform.labels(line.model).data_version(line.period("2024-01-13"))
    again = line.labels("2024-01-16")
    assert (again.appended, again.data_version) == (0, version)
