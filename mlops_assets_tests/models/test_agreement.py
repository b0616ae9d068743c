"""A version goes on with new definitions where their past was computed and found the same, and nowhere else."""

import json
from pathlib import Path

import pytest

from mlops_assets.errors import ContractError, MissingDataError
from mlops_assets.lakehouse.records import read_records
from mlops_assets.models.agreement import AgreementRecord, TrainedOn, agreement
from mlops_assets.models.records import candidates
from mlops_assets.models.scoring import periods_to_score
from mlops_assets.monitoring.policy_history import policy_history
from mlops_assets.monitoring.retrain_policy import RetrainDecision, decide
from mlops_assets_tests.features.test_generations import add_cost
from mlops_assets_tests.models.test_life_of_a_version import (
    FIRST_TRAINING,
    labelled_anew,
    open_line,
    predictions,
    promote_at,
    score_at,
    train_at,
)
from mlops_assets_tests.project.small_project import GROWTH_SQL, SELLING_SQL
from mlops_assets_tests.small_line import FIRST, SHOPS, Line

pytestmark = pytest.mark.slow
SCORED = "2024-01-17"
DAYS = 14


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Line:
    """Fourteen days, and a champion that was trained on eleven of them."""
    made = open_line(tmp_path_factory)
    promote_at(made, FIRST_TRAINING)
    score_at(made, SCORED)
    made.sales("2024-01-19")
    made.visits("2024-01-19")
    made.features("2024-01-19")
    made.labels("2024-01-19")
    return made


@pytest.fixture
def line(shared: Line, tmp_path: Path) -> Line:
    return shared.copy(tmp_path / "line")


def recompute(line: Line) -> None:
    for key in line.days(DAYS + 1):
        line.features(key)


def decision(line: Line) -> RetrainDecision:
    history = policy_history(line.platform, line.model)
    assert history is not None
    return decide(line.model.retrain, history)


def ready(line: Line, *keys: str) -> set[str]:
    periods = periods_to_score(line.platform, line.model, map(line.period, keys))
    return {period.key for period in periods}


def test_a_training_records_what_it_was_on_in_parts(line: Line) -> None:
    (training,) = candidates(line.platform, line.model)
    trained = TrainedOn.from_json(training.trained_on)
    table = line.platform.project.feature_tables["trend"]
    assert trained == TrainedOn(
        FIRST, line.model.label_generation, {"trend": table.generation}, {"trend": ["crowd", "level"]}
    )


def test_a_comment_changes_nothing(line: Line) -> None:
    line.files.change("trend/trend.sql", "FROM sales", "-- of all shops\nFROM sales")
    line.open()
    assert agreement(line.platform, line.model, candidates(line.platform, line.model)[0]).outcome == "same"
    assert score_at(line, "2024-01-19").by.version == 1
    assert decision(line).cause == "none"


def test_an_added_column_makes_scoring_wait_until_the_past_is_found_the_same(line: Line) -> None:
    before = predictions(line, SCORED)
    add_cost(line)
    line.features("2024-01-19")
    assert ready(line, SCORED, "2024-01-19") == set()
    with pytest.raises(MissingDataError) as caught:
        score_at(line, "2024-01-19")
    assert caught.value.found.startswith(
        "version 1 of 'forecast' was trained on other definitions, and 14 periods (2024-01-05 to 2024-01-18) of "
        "'trend' are not computed in its present generation"
    )
    assert caught.value.cure == "run `mlops-assets backfill trend`; scoring goes on afterwards"
    waits = decision(line)
    assert waits.cause == "none"
    assert waits.reason.startswith("a training waits: 'trend' has a new definition, and 12 periods")

    recompute(line)
    assert ready(line, SCORED, "2024-01-19") == {SCORED, "2024-01-19"}
    scored = score_at(line, "2024-01-19")
    assert (scored.by.version, scored.written.rows, scored.by.agreement.outcome) == (1, len(SHOPS), "agrees")
    assert "crowd, level of 'trend'" in scored.by.agreement.reason
    assert "are the same as in" in scored.by.agreement.reason
    assert decision(line) == RetrainDecision("none", "the last training is 3 periods ago, and the cool-down 14")
    assert score_at(line, SCORED).written.appended == len(SHOPS)  # only what the features were looked up in is other
    after = predictions(line, SCORED)
    versions = [{row.pop("feature_versions") for row in rows} for rows in (before, after)]
    assert (after, len(versions[0] | versions[1])) == (before, 2)
    assert score_at(line, SCORED).written.appended == 0


def test_the_proof_is_kept_as_evidence_and_made_once(line: Line) -> None:
    add_cost(line)
    recompute(line)
    score_at(line, "2024-01-19")
    records = read_records(line.platform.records(line.model, "agreement"), AgreementRecord)
    score_at(line, SCORED)
    (record,) = read_records(line.platform.records(line.model, "agreement"), AgreementRecord)
    assert [record] == records
    (table,) = json.loads(record.tables)
    trained = candidates(line.platform, line.model)[0].key
    assert (record.training, table["columns"]) == (trained, ["crowd", "level"])
    assert (len(table["partitions"]), table["missing"], table["differs"]) == (15, [], None)


def test_another_value_of_a_column_that_is_used_asks_for_a_training_at_once(line: Line, tmp_path: Path) -> None:
    unchanged = train_at(line.copy(tmp_path / "unchanged"), "2024-01-19")[0].figure_values["champion_mae"]
    add_cost(line, level="ln(units + 2)")
    recompute(line)
    with pytest.raises(ContractError) as caught:
        score_at(line, "2024-01-19")
    assert "'trend' has in 2024-01-05 other values of 'level' than generation" in caught.value.found
    found = decision(line)
    assert (found.cause, found.retrain) == ("definitions", True)
    assert "other values of 'level'" in found.reason
    assert ready(line, SCORED, "2024-01-19") == {"2024-01-19"}  # what was scored stays; the other says why not
    record, _ = train_at(line, "2024-01-19")
    assert record.figure_values["champion_mae"] == pytest.approx(unchanged)  # it is compared on what it learned
    assert decision(line).cause == "none"


def test_a_column_that_the_model_does_not_use_may_say_what_it_likes(line: Line) -> None:
    line.files.change("forecast/defs.yaml", "[level, crowd]", "[level]")
    line.open()
    train_at(line, "2024-01-17")
    line.files.change("trend/trend.sql", "visitors AS crowd", "visitors + 1 AS crowd")
    line.open()
    recompute(line)
    training = candidates(line.platform, line.model)[-1]
    assert agreement(line.platform, line.model, training).outcome == "agrees"


def test_labels_and_population_that_rest_on_the_table_are_part_of_the_proof(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    growth = "SELECT now.shop, now.day, later.level - now.level AS growth\nFROM trend AS now\nJOIN trend AS later "
    growth += "ON later.shop = now.shop AND later.day = now.day + INTERVAL 1 DAY\n"
    selling = "SELECT shop, day FROM trend WHERE level > 0\n"
    changes = {("forecast/growth.sql", GROWTH_SQL): growth, ("forecast/selling.sql", SELLING_SQL): selling}
    line = open_line(tmp_path_factory, changes)
    labelled_anew(line)
    train_at(line, FIRST_TRAINING)
    training = candidates(line.platform, line.model)[0]
    labels = line.model.label_generation
    add_cost(line)
    assert line.model.label_generation == labels  # which do not read the cost
    line.files.change("trend/trend.sql", "ln(units + 1)", "ln(1 + units)")
    line.open()
    assert line.model.label_generation != labels
    for key in line.days(DAYS):
        line.features(key)
    waiting = agreement(line.platform, line.model, training)
    assert waiting.outcome == "waits"
    assert "of 'forecast/labels' are not computed" in waiting.reason
    waits = decision(line)
    assert "run `mlops-assets backfill forecast/labels`" in waits.reason
    for key in line.days(DAYS)[3:]:
        line.labels(key)
    found = agreement(line.platform, line.model, training)
    assert (found.outcome, [table.table for table in found.tables]) == ("agrees", ["trend", "forecast.labels"])
