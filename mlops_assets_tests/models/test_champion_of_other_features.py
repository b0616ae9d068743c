"""A candidate is compared with the champion on the same rows, whatever features each of them has."""

from pathlib import Path

import pytest

from mlops_assets.features.training_sets import build_training_set
from mlops_assets.models.fitting import feature_frame
from mlops_assets.models.promotion import register
from mlops_assets.models.records import CandidateRecord, candidates, promotions
from mlops_assets.models.registry import load_fit
from mlops_assets_tests.features.test_generations import add_cost
from mlops_assets_tests.models.test_life_of_a_version import (
    FIRST_TRAINING,
    SECOND_TRAINING,
    open_line,
    promote_at,
    registry_of,
    train_at,
)
from mlops_assets_tests.small_line import SHOPS, Line

pytestmark = pytest.mark.slow
BOTH, ONE = "columns: [level, crowd]", "columns: [level]"
NO_MARGIN = {
    ("forecast/defs.yaml", "{metric: rmse, better_than: champion, by: 0.1}"): "{metric: mae, better_than: champion}"
}
NEXT_DAY, LATER = "2024-01-19", "2024-01-22"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Line:
    """A champion that looks two columns up."""
    made = open_line(tmp_path_factory, NO_MARGIN)
    promote_at(made, FIRST_TRAINING)
    return made


@pytest.fixture
def line(shared: Line, tmp_path: Path) -> Line:
    return shared.copy(tmp_path / "line")


def drop_crowd(line: Line) -> None:
    """Take a column out of the model and out of its table."""
    line.files.change("forecast/defs.yaml", BOTH, ONE)
    line.files.change("trend/defs.yaml", "    crowd: {type: bigint, description: Visitors}\n", "")
    line.files.change("trend/trend.sql", ",\n    visitors AS crowd", "")
    line.open()


def recompute(line: Line) -> None:
    for key in line.days(14):
        line.features(key)


def expected_error(shared: Line) -> float:
    """What the champion's judged fit does on the rows that a second training is judged on, by its own features."""
    judged = load_fit(registry_of(shared), candidates(shared.platform, shared.model)[0].judged_uri)
    rows = build_training_set(shared.platform, shared.model, shared.period(SECOND_TRAINING)).rows
    newest = rows.slice(rows.num_rows - 3 * len(SHOPS))
    predicted = judged.predict(feature_frame(shared.model, newest))
    return float(abs(newest.column("growth").to_numpy() - predicted).mean())


def require_kept(line: Line, record: CandidateRecord, key: str) -> None:
    assert not record.passed and "no champion" not in record.verdict
    assert register(line.platform, line.model, line.period(key)) is None
    assert len(promotions(line.platform, line.model)) == 1


def test_a_change_to_worse_features_keeps_the_champion(line: Line, shared: Line) -> None:
    line.files.change("forecast/defs.yaml", BOTH, ONE)
    line.open()
    record, _ = train_at(line, SECOND_TRAINING)
    require_kept(line, record, SECOND_TRAINING)
    assert "is not below the champion's" in record.verdict
    assert record.figure_values["champion_mae"] == pytest.approx(expected_error(shared))


def test_a_change_to_better_features_replaces_the_champion(tmp_path_factory: pytest.TempPathFactory) -> None:
    line = open_line(tmp_path_factory, {**NO_MARGIN, ("forecast/defs.yaml", BOTH): ONE})
    promote_at(line, FIRST_TRAINING)
    line.files.change("forecast/defs.yaml", ONE, BOTH)
    line.open()
    assert promote_at(line, SECOND_TRAINING).version == 2
    record = candidates(line.platform, line.model)[-1]
    assert "is below the champion's" in record.verdict


def test_a_column_that_is_gone_is_looked_up_in_the_generation_that_was_trained_on(line: Line, shared: Line) -> None:
    drop_crowd(line)
    recompute(line)
    record, _ = train_at(line, SECOND_TRAINING)
    require_kept(line, record, SECOND_TRAINING)
    assert record.figure_values["champion_mae"] == pytest.approx(expected_error(shared))


def test_what_the_generation_lacks_is_looked_up_in_the_present_one(line: Line) -> None:
    before = line.copy(line.folder.parent / "before")
    before.live(4, NEXT_DAY)
    expected, _ = train_at(before, LATER)
    line.files.change("forecast/defs.yaml", BOTH, ONE)
    add_cost(line)
    recompute(line)
    line.live(4, NEXT_DAY)
    record, _ = train_at(line, LATER)
    assert record.figure_values["champion_mae"] == pytest.approx(expected.figure_values["champion_mae"])


def test_a_champion_whose_column_is_gone_for_good_stays_and_the_reason_says_what_to_do(line: Line) -> None:
    drop_crowd(line)
    generation = candidates(line.platform, line.model)[0].trained_on
    recompute(line)
    line.live(4, NEXT_DAY)
    record, verdict = train_at(line, LATER)
    require_kept(line, record, LATER)
    reason = verdict.outcomes[-1].reason
    assert reason.startswith(
        "the champion stays, for it cannot be compared on these rows: table 'trend', which it looks up, has no crowd "
        "any more, or of another type, and generation "
    )
    assert "of it lacks 1 period (2024-01-19); to replace it all the same, take mae_better_than_champion out" in reason
    assert reason.split("generation ")[1].split(" ")[0] in generation
