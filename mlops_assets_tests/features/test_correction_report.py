"""What a correction changed, and how far it reached, on the small project of shops."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from mlops_assets.features.correction_report import Effect, as_text, corrections_of, effects_of, reach_of
from mlops_assets_tests.small_line import Line, lived_line, units_of

CORRECTED, AT = "2024-01-10", datetime(2024, 1, 20, tzinfo=UTC)
INCOMPLETE = "2024-01-17"
"""All about it is known at the correction's very moment, and the corrected day lies in its history."""


@pytest.fixture(scope="module")
def corrected(tmp_path_factory: pytest.TempPathFactory) -> Line:
    """Twelve days, of which one is corrected later: a value and a row too many; and one that lacked a row at first."""
    line = lived_line(tmp_path_factory, 12)
    line.sales(INCOMPLETE, s02=None)
    line.sales(INCOMPLETE)
    sold = units_of("s01", CORRECTED)
    line.sales(CORRECTED, at=AT, s01=sold + 5, s03=None)
    line.visits(INCOMPLETE)
    for key in line.days(13):
        line.features(key)
    return line


def test_a_correction_says_which_rows_and_columns_changed(corrected: Line) -> None:
    (found,) = corrections_of(corrected.platform, "sales", AT)
    assert (found.table, found.period, found.known_at) == ("sales", CORRECTED, AT)
    assert (found.changed, found.added, found.removed) == (1, 0, 1)
    assert dict(found.columns) == {"units": 1}


def test_a_row_that_a_correction_adds_counts_as_added(corrected: Line) -> None:
    first = corrections_of(corrected.platform, "sales")[0]
    assert (first.period, first.changed, first.added, first.removed) == (INCOMPLETE, 0, 1, 0)


def test_a_correction_has_effects_in_the_partitions_whose_history_holds_it_and_in_no_others(corrected: Line) -> None:
    (found,) = corrections_of(corrected.platform, "sales", AT)
    effects = effects_of(corrected.platform, found)
    trend = corrected.platform.project.feature_tables["trend"]
    calendar = trend.schema.calendar
    last = calendar.shift(corrected.period(CORRECTED), trend.history - 1).key
    assert last == INCOMPLETE, "which was computed for the first time"
    assert {effect.table for effect in effects} == {"trend"}  # labels were not computed again
    assert {effect.period for effect in effects} <= set(corrected.days(12))
    assert all(CORRECTED <= effect.period <= last for effect in effects)
    assert Effect("trend", CORRECTED, 2) in effects


def test_the_reach_follows_histories_through_tables_to_labels_and_models(corrected: Line) -> None:
    project = corrected.platform.project
    reach = reach_of(project, "sales", CORRECTED)
    trend, model = project.feature_tables["trend"], corrected.model
    calendar = trend.schema.calendar
    assert reach.tables["trend"] == (CORRECTED, calendar.shift(corrected.period(CORRECTED), trend.history - 1).key)
    first_label = calendar.shift(corrected.period(CORRECTED), -model.label.known_after).key
    assert reach.tables["forecast/labels"][0] == first_label
    assert reach.models == ("forecast",)


def test_what_rests_on_a_static_table_has_no_end(corrected: Line) -> None:
    reach = reach_of(corrected.platform.project, "shops", "static")
    assert all(last is None for _, last in reach.tables.values())


def test_a_table_that_was_never_corrected_has_no_corrections(corrected: Line) -> None:
    assert corrections_of(corrected.platform, "visits") == []
    assert corrections_of(corrected.platform, "shops") == []


def test_a_correction_is_told_in_words(corrected: Line) -> None:
    (found,) = corrections_of(corrected.platform, "sales", AT)
    lines = as_text(corrected.platform, found).splitlines()
    assert lines[0] == (
        "sales 2024-01-10, known from 2024-01-20T00:00:00+00:00: 1 rows changed (units in 1), 0 added, 1 removed"
    )
    assert lines[1].startswith("  trend: new states in 2024-01-10 (2)")
    assert lines[-1] == "  models that use it: forecast"


def test_a_line_that_was_copied_tells_the_same(corrected: Line, tmp_path: Path) -> None:
    copy = corrected.copy(tmp_path / "copy")
    assert corrections_of(copy.platform, "sales") == corrections_of(corrected.platform, "sales")
