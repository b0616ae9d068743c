"""The leak certificate: features computed again without later knowledge are equal, or it is told which are not."""

from datetime import timedelta

import pytest

from mlops_assets.errors import ContractError
from mlops_assets.features.feature_tables import feature_rows, query_inputs
from mlops_assets.features.leaks import MAX_ROWS, certify, newest_certificate
from mlops_assets.features.states import append_computed
from mlops_assets.features.training_sets import build_training_set
from mlops_assets.models.training import leak_words
from mlops_assets.testing import assert_no_leakage
from mlops_assets_tests.small_line import SHOPS, Line, lived_line

pytestmark = pytest.mark.slow
AT, LEAKING = "2024-01-16", "2024-01-10"
PERSONAL = {("visits/defs.yaml", "description: Visitors}"): "description: Visitors, sensitivity: personal}"}


@pytest.fixture
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    return lived_line(tmp_path_factory, 12)


def leak(line: Line) -> None:
    """Correct a day later on, and let a feature table hold what follows as if it had been known when it was due."""
    table, period = line.platform.project.feature_tables["trend"], line.period(LEAKING)
    due = line.platform.model_as_of(line.model, period)
    line.sales(LEAKING, line.platform.clock.now() + timedelta(hours=1), s03=1)
    inputs = query_inputs(line.platform, table.inputs, period, table.history)
    rows = feature_rows(line.platform, table, period, inputs, line.platform.clock.now()).rows
    append_computed(line.platform, line.platform.table("trend"), rows, period, due)


def test_what_depends_on_nothing_later_is_certified_with_a_hash_that_repeats(line: Line) -> None:
    rows = build_training_set(line.platform, line.model, line.period(AT)).rows
    found = certify(line.platform, line.model, rows, seed="a")
    assert (found.rows, found.features, found.leaks) == (len(SHOPS), 3, ())
    assert found.words.startswith("leaks: none of 14 rows × 3 features as known at 2024-01-")
    assert certify(line.platform, line.model, rows, seed="a") == found
    everywhere = certify(line.platform, line.model, rows, moments=99)
    assert everywhere.rows == rows.num_rows <= MAX_ROWS * len(everywhere.as_of)
    # What is corrected later changes nothing of what was known.
    line.sales(LEAKING, line.platform.clock.now() + timedelta(hours=1), s03=1)
    line.features(LEAKING)
    assert certify(line.platform, line.model, rows, moments=99) == everywhere
    newest_certificate(line.platform, line.model).require_none("forecast")
    assert_no_leakage(line.platform, "forecast", moments=2)


def test_a_feature_that_knew_a_later_correction_is_named_with_both_values(line: Line) -> None:
    before = build_training_set(line.platform, line.model, line.period(AT)).rows
    leak(line)
    rows = build_training_set(line.platform, line.model, line.period(AT)).rows
    of_the_day = rows.filter([str(day) == LEAKING for day in rows["day"].to_pylist()])
    certificate = certify(line.platform, line.model, of_the_day)
    (found,) = certificate.leaks
    leaked, known = (
        next(row["level"] for row in each.to_pylist() if (str(row["day"]), row["shop"]) == (LEAKING, "s03"))
        for each in (rows, before)
    )
    assert found == f"level of shop s03, day {LEAKING} is {leaked!r}, and {known!r} by what was known"
    with pytest.raises(ContractError) as refused:
        certificate.require_none("forecast")
    assert refused.value.found.startswith(
        "a training set of 'forecast' that knows more than was known when it was predicted (leaks: 1 of "
    )
    with pytest.raises(AssertionError, match=f"level of shop s03, day {LEAKING}"):
        assert_no_leakage(line.platform, "forecast", moments=99)


def test_values_of_personal_columns_are_masked(tmp_path_factory: pytest.TempPathFactory) -> None:
    line = lived_line(tmp_path_factory, 12, PERSONAL)
    rows = build_training_set(line.platform, line.model, line.period(AT)).rows
    other = rows.set_column(rows.column_names.index("crowd"), "crowd", [range(rows.num_rows)])
    found = certify(line.platform, line.model, other)
    assert len(found.leaks) > 5 and found.words.endswith(f"; and {len(found.leaks) - 5} more")
    assert all(" is •••, and ••• by what was known" in one for one in found.leaks)


def test_what_is_too_much_or_not_there_yet_is_said_to_be_not_looked_for(line: Line) -> None:
    rows = build_training_set(line.platform, line.model, line.period(AT)).rows
    assert certify(line.platform, line.model, rows, max_states=10).words == (
        "leaks: not looked for, for that would copy more than 10 states: `mlops-assets check --leaks` does"
    )
    early = Line(line.folder.parent / "early")
    assert newest_certificate(early.platform, early.model).words == "leaks: not looked for, for no labels are known yet"
    with pytest.raises(pytest.skip.Exception):
        assert_no_leakage(early.platform, "forecast")


def test_a_training_on_tables_that_were_defined_anew_since_says_that_and_goes_on(line: Line) -> None:
    at = line.period(AT)
    rows = build_training_set(line.platform, line.model, at).rows
    assert leak_words(line.platform, line.model, at, rows, "").startswith("leaks: none of 14 rows × 3 features")
    line.files.change("trend/trend.sql", "ln(units + 1)", "ln(units + 2)")
    told = leak_words(line.open().platform, line.model, at, rows, "")
    assert told.startswith("leaks: not looked for, ") and "trend" in told
