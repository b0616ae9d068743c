"""Skew: requests computed again from the lakehouse as known at their moment, and why some were answered otherwise."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner

from mlops_assets.cli import main
from mlops_assets.components.loading import partitions_of
from mlops_assets.components.model_skew import skew_asset
from mlops_assets.features.online.reading import OnlineFeatures
from mlops_assets.models.requests import append_requests
from mlops_assets.monitoring.skew import SkewRecord, measure_skew, skew_history
from mlops_assets_tests.serving.conftest import Shop, publish_all
from mlops_assets_tests.serving.predicting import as_project
from mlops_assets_tests.small_line import Line, hours, units_of

KEYS: list[dict[str, Any]] = [{"shop": f"s{number:02d}", "sister": "s00", "asked": number} for number in range(14)]
EVERY_FEATURE = 8


@pytest.fixture
def line(shop: Shop, tmp_path: Path) -> Line:
    """The published line, whose requests are kept with what is personal."""
    own = shop.line.copy(tmp_path / "line")
    own.files.change("forecast/defs.yaml", "  retrain:", "  serve: {log_share: 1, log_personal: true}\n  retrain:")
    return own.open()


def ask(line: Line, name: str, keys: Sequence[dict[str, Any]] = KEYS, **changed: Any) -> None:
    """Answer a request as the server does, and keep it, with values in place of those answered."""
    now, model = line.platform.clock.now(), line.model
    answers = OnlineFeatures.open(line.platform).of_model(model.name, keys)
    head = {"request_id": name, "asked_at": now, "asked_by": "a test", "version": 1, "prediction": 0.5}
    kept = [
        {**head, "request_row": number, **key, **answer.features, **changed}
        for number, (key, answer) in enumerate(zip(keys, answers, strict=True))
    ]
    append_requests(line.platform, model, kept)


def measured(line: Line) -> SkewRecord:
    found = measure_skew(line.platform, line.model, line.model.schema.calendar.of(line.platform.clock.now()))
    assert found is not None
    return found[0]


def test_what_was_answered_as_the_lakehouse_knew_it_is_equal_to_the_last_bit(line: Line) -> None:
    ask(line, "first")
    line.platform.home.clock.advance(line.platform.clock.now() + timedelta(minutes=5))
    ask(line, "unknown", [{"shop": "nowhere", "sister": "s00", "asked": None}])
    record = measured(line)
    assert (record.rows, record.compared, record.equal, record.features) == (15, 15, 15, EVERY_FEATURE - 2)
    assert record.words == "15 rows computed again are equal in 6 features"
    assert record.within(0)
    assert skew_history(line.platform, line.model) == [record]


def test_a_period_without_requests_has_no_record(line: Line) -> None:
    assert measure_skew(line.platform, line.model, line.period("2024-01-05")) is None


def test_what_is_personal_and_not_kept_is_not_compared_nor_what_is_computed_from_it(line: Line) -> None:
    line.files.change("forecast/defs.yaml", "log_personal: true", "log_personal: false")
    line.open()
    ask(line, "first")
    record = measured(line)
    assert (record.compared, record.equal, record.features) == (14, 14, 4)


def test_features_that_were_given_are_counted_and_not_compared(line: Line) -> None:
    ask(line, "by key", KEYS[:2])
    ask(line, "given", KEYS[:3], shop=None, sister=None, level=0.5)
    assert measured(line).words == (
        "2 rows computed again are equal in 6 features; 3 could not be, for their keys were not kept or their features "
        "were given"
    )


def test_a_row_that_was_known_and_not_published_yet_is_a_late_publish(line: Line) -> None:
    day = line.days(11)[-1]
    line.live(1, day)
    ask(line, "too early")
    record = measured(line)
    assert (record.compared, record.equal, dict(record.causes)) == (14, 0, {"late publish": 14})
    first = record.differences[0]
    assert (first.request_id, first.request_row, first.feature, first.cause) == (
        "too early", 0, "level", "late publish"
    )  # fmt: skip
    assert first.why == f"trend {day}, known at {line.platform.clock.now().isoformat()}, was not published"
    assert record.words == "14 of 14 rows computed again differ (14 late publish)"
    assert record.within(1)
    assert not record.within(0.9)


def test_a_correction_that_was_known_and_not_published_yet_is_told_as_such(line: Line) -> None:
    day = line.days(10)[-1]
    known = line.platform.clock.now() + hours(1)
    line.sales(day, known, s03=units_of("s03", day) + 7)
    line.features(day)
    ask(line, "between")
    record = measured(line)
    assert (record.equal, dict(record.causes)) == (13, {"correction": 1})
    (one,) = record.differences
    assert (one.request_row, one.feature) == (3, "level")
    assert one.why == f"a correction of trend {day}, known at {known.isoformat()}, was not published"
    publish_all(line.platform)
    line.platform.home.clock.advance(known + timedelta(minutes=1))
    ask(line, "after")
    assert measured(line).equal == 13 + 14


def test_what_no_moment_answers_is_unexplained_and_never_within_the_limit(line: Line) -> None:
    ask(line, "right")
    ask(line, "wrong", KEYS[:1], level=0.1, region="nowhere")
    record = measured(line)
    assert (record.equal, dict(record.causes)) == (14, {"unexplained": 1})
    assert not record.within(1)
    (one,) = record.differences
    assert (one.feature, one.answered, one.why) == ("level", "0.1", "it is no answer of any moment before")


def test_a_personal_value_that_differs_is_told_masked(line: Line) -> None:
    ask(line, "wrong", KEYS[:1], region="nowhere")
    (one,) = measured(line).differences
    assert (one.feature, one.answered, one.known) == ("region", "•••", "•••")


def test_a_table_that_was_defined_otherwise_when_it_was_asked_is_the_cause(line: Line) -> None:
    ask(line, "before")
    line.files.change("trend/trend.sql", "ln(units + 1)", "ln(units + 2)")
    line.open()
    clock = line.platform.home.clock
    clock.advance(clock.now() + hours(1))
    for day in line.days(10):
        line.features(day)
    record = measured(line)
    assert dict(record.causes) == {"another generation": 14}
    assert record.differences[0].why == "trend was defined otherwise then"


def test_the_asset_and_the_command_tell_of_the_share_and_of_the_first_that_differ(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(line, "right")
    ask(line, "wrong", KEYS[:1], level=0.1)
    day, clock = line.model.schema.calendar.of(line.platform.clock.now()), line.platform.home.clock
    clock.advance(day.end + timedelta(minutes=11))
    monkeypatch.setenv("MLOPS_HOME", str(line.folder / "home"))
    project, model = line.platform.project, line.model
    asset = skew_asset(project, model, partitions_of(model.schema.calendar, model.first, model.last))
    done = dg.materialize([asset], partition_key=day.key)
    (check,) = done.get_asset_check_evaluations()
    assert (check.passed, check.description) == (False, "1 of 15 rows computed again differ (1 unexplained)")
    (made,) = done.asset_materializations_for_node("forecast__skew")
    assert made.metadata["share equal"].value == 14 / 15
    assert "unexplained" in str(made.metadata["the first that differ"].value)
    told = CliRunner().invoke(main, ["--project", str(as_project(line)), "monitor", "skew", "forecast"]).output
    assert told.startswith(f"{day.key} 1 of 15 rows computed again differ (1 unexplained)\n    2024-")
    assert "wrong row 0: level answered 0.1, known " in told
