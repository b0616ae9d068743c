"""From training to scoring on a real MLflow: logged, registered and promoted once, scored by its time's champion."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.errors import ContractError, MissingDataError
from mlops_assets.features.training_sets import build_training_set
from mlops_assets.governance.access import AT_THE_MACHINE
from mlops_assets.lakehouse.records import read_records
from mlops_assets.models.evaluation import Evaluation
from mlops_assets.models.promotion import promote, register, rollback
from mlops_assets.models.records import (
    CandidateRecord,
    EvaluationRecord,
    TransitionRecord,
    VersionRecord,
    candidates,
    evaluation_of,
    promotions,
    versions,
)
from mlops_assets.models.registry import (
    Registry,
    load_fit,
    open_registry,
)
from mlops_assets.models.scoring import Scored, score
from mlops_assets.models.training import Request, train
from mlops_assets.models.verdict import Verdict
from mlops_assets_tests.models.empty_registry import copy_empty_registry
from mlops_assets_tests.models.runs import start_run
from mlops_assets_tests.small_line import SHOPS, Line, hours, lived_line

pytestmark = pytest.mark.slow
BY_POLICY = Request("there is no champion yet", "policy")
FIRST_TRAINING, SECOND_TRAINING = "2024-01-16", "2024-01-18"


def open_line(factory: pytest.TempPathFactory, then: Mapping[tuple[str, str], str] | None = None) -> Line:
    """Fourteen days of the small project, trained on nothing yet; ``then`` are changes after them."""
    line = lived_line(factory, 14, then)
    copy_empty_registry(factory, line.platform.home.mlflow)
    return line


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Line:
    return open_line(tmp_path_factory)


@pytest.fixture
def line(shared: Line, tmp_path: Path) -> Line:
    return shared.copy(tmp_path / "line")


@dataclass(frozen=True)
class Trained:
    """A line that was trained once; only to be read."""

    line: Line
    record: CandidateRecord
    verdict: Verdict


@pytest.fixture(scope="module")
def trained_once(shared: Line, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    line = shared.copy(tmp_path_factory.mktemp("trained") / "line")
    return Trained(line, *train_at(line, FIRST_TRAINING))


@pytest.fixture(scope="module")
def promoted_once(trained_once: Trained, tmp_path_factory: pytest.TempPathFactory) -> Line:
    line = trained_once.line.copy(tmp_path_factory.mktemp("promoted") / "line")
    promote_at(line, FIRST_TRAINING)
    return line


@pytest.fixture
def promoted(promoted_once: Line, tmp_path: Path) -> Line:
    """A line with a champion, to write to; its fits stay where they were trained."""
    return promoted_once.copy(tmp_path / "promoted")


def registry_of(line: Line) -> Registry:
    return open_registry(line.platform.home.mlflow)


def train_at(line: Line, key: str, request: Request = BY_POLICY) -> tuple[CandidateRecord, Verdict]:
    """Build the training set of a day and train on it, when its labels are known."""
    period = line.period(key)
    line.platform.home.clock.set(line.platform.labels_as_of(line.model, period))
    rows = build_training_set(line.platform, line.model, period).rows
    line.platform.training_sets(line.model).write(key, rows)
    registry = registry_of(line)
    with start_run(registry, f"test {key}") as run_id:
        return train(line.platform, line.model, period, run_id, request)


def promote_at(line: Line, key: str) -> TransitionRecord:
    """Train, register and promote; the candidate must have passed its gates."""
    record, _ = train_at(line, key)
    assert record.passed, record.verdict
    version = register(line.platform, line.model, line.period(key))
    assert version is not None
    return promote(line.platform, line.model, version.version)


def score_at(line: Line, key: str) -> Scored:
    return score(line.platform, line.model, line.period(key))


def predictions(line: Line, key: str) -> list[dict[str, Any]]:
    period = line.period(key)
    table = line.platform.predictions(line.model)
    rows = line.platform.engine.known_at(
        table, line.platform.model_as_of(line.model, period), first=period, last=period
    )
    found: list[dict[str, Any]] = rows.to_pylist()
    return found


def test_a_training_records_why_on_what_and_how_well(trained_once: Trained) -> None:
    line, record, verdict = trained_once.line, trained_once.record, trained_once.verdict
    assert (record.at, record.reason, record.requested_by) == (FIRST_TRAINING, BY_POLICY.reason, "policy")
    assert record.trained_at == line.period(FIRST_TRAINING).end + hours(48)
    assert record.generation == line.model.generation
    assert record.passed is verdict.passed is True
    figures = record.figure_values
    assert figures["rows"] == 9 * len(SHOPS)
    assert figures["judged_rows"] == 3 * len(SHOPS)
    assert figures["fitted_rows"] == 3 * len(SHOPS)  # nine days without three to judge and three of embargo
    assert record.level == figures["candidate_mae"] < figures["baseline_mae"]


def test_mlflow_holds_parameters_metrics_and_a_model_that_runs_no_code_when_it_is_loaded(trained_once: Trained) -> None:
    import mlflow  # noqa: TID253

    line, record = trained_once.line, trained_once.record
    client = mlflow.MlflowClient(registry_of(line).tracking_uri)
    run = client.get_run(record.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["template"] == "ridge_regressor v1"
    assert (run.data.params["seed"], run.data.params["threads"], run.data.params["alpha"]) == ("7", "1", "1.0")
    assert run.data.params["last_fitted"] == "2024-01-07"
    assert run.data.metrics["candidate_mae"] == pytest.approx(record.level)
    assert run.data.tags["reason"] == BY_POLICY.reason

    information = mlflow.models.get_model_info(record.model_uri)
    assert information.flavors["sklearn"]["serialization_format"] == "skops"
    assert [column.name for column in information.signature.inputs] == list(line.model.feature_names)
    assert information.saved_input_example_info is not None
    folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=record.model_uri))
    assert not list(folder.rglob("*.pkl"))


def test_a_logged_fit_predicts_as_the_one_that_was_trained(trained_once: Trained) -> None:
    from mlops_assets.models.content import estimator_hash

    record = trained_once.record
    assert estimator_hash(load_fit(registry_of(trained_once.line), record.model_uri)) == record.model_hash


def test_a_training_that_was_carried_out_is_not_repeated(trained_once: Trained, tmp_path: Path) -> None:
    import mlflow  # noqa: TID253

    line, first = trained_once.line.copy(tmp_path / "line"), trained_once.record
    again, verdict = train_at(line, FIRST_TRAINING)
    assert again == first
    assert verdict.reason == first.verdict
    models = mlflow.search_logged_models(output_format="list")
    assert len([model for model in models if model.source_run_id == first.run_id]) == 2
    asked, _ = train_at(line, FIRST_TRAINING, Request("a person wants it", "ana@example.com", "request-1"))
    assert (asked.run_id != first.run_id, asked.model_hash) == (True, first.model_hash)


def test_the_same_rows_give_the_same_model_in_another_home(line: Line, trained_once: Trained) -> None:
    assert train_at(line, FIRST_TRAINING)[0].model_hash == trained_once.record.model_hash


def test_registering_and_promoting_twice_is_once(line: Line) -> None:
    import mlflow  # noqa: TID253

    first = promote_at(line, FIRST_TRAINING)
    line.platform.home.clock.set(line.platform.clock.now() + hours(5))
    registry = registry_of(line)
    version = register(line.platform, line.model, line.period(FIRST_TRAINING))
    assert version == VersionRecord(1, candidates(line.platform, line.model)[0].key, FIRST_TRAINING)
    assert promote(line.platform, line.model, version.version) == first
    assert (versions(line.platform, line.model), promotions(line.platform, line.model)) == ([version], [first])
    client = mlflow.MlflowClient(registry.tracking_uri)
    assert client.get_model_version_by_alias("forecast", "champion").version == 1
    (registered,) = client.search_model_versions("name = 'forecast'")
    assert registered.tags["model_hash"] == candidates(line.platform, line.model)[0].model_hash


def test_a_candidate_that_fails_a_gate_becomes_no_version_and_the_champion_stays(promoted: Line) -> None:
    line = promoted
    (first,) = promotions(line.platform, line.model)
    line.files.change(
        "forecast/defs.yaml",
        "{metric: mae, better_than: baseline}",
        "{metric: mae, better_than: baseline, by: 0.999999}",
    )
    line.open()
    record, verdict = train_at(line, SECOND_TRAINING)
    assert not record.passed
    assert "is not below the baseline's" in record.verdict
    assert [outcome.passed for outcome in verdict.outcomes][:2] == [True, False]
    assert register(line.platform, line.model, line.period(SECOND_TRAINING)) is None
    assert promotions(line.platform, line.model) == [first]


def test_the_champion_is_compared_by_its_own_judged_fit_on_the_candidate_s_rows(promoted: Line) -> None:
    from mlops_assets.models.fitting import feature_frame

    line = promoted
    judged = load_fit(registry_of(line), candidates(line.platform, line.model)[0].judged_uri)
    record, _ = train_at(line, SECOND_TRAINING)
    rows = build_training_set(line.platform, line.model, line.period(SECOND_TRAINING)).rows
    newest = rows.slice(rows.num_rows - 3 * len(SHOPS))
    difference = newest.column("growth").to_numpy() - judged.predict(feature_frame(line.model, newest))
    assert record.figure_values["champion_mae"] == pytest.approx(abs(difference).mean())


def test_a_candidate_is_held_against_the_best_that_served_before_the_champion(promoted: Line) -> None:
    line = promoted
    gates = "{metric: rmse, better_than: champion, by: 0.1}", "{metric: mae, not_worse_than: champion, by: 900%}"
    line.files.change("forecast/defs.yaml", *gates)
    promote_at(line.open(), SECOND_TRAINING)
    second = candidates(line.platform, line.model)[-1]
    assert "served before" not in second.verdict
    _, verdict = train_at(line, SECOND_TRAINING, Request("once more", "a person", "7"))
    assert verdict.outcomes[-1].reason.endswith("difference 0 (0 to 0), not distinguishable"), "it is better than both"
    line.files.change("forecast/defs.yaml", "alpha: 1.0", "alpha: 1000000.0")
    _, verdict = train_at(line.open(), SECOND_TRAINING, Request("worse each day", "a person", "9"))
    error = second.figure_values["champion_mae"]
    assert verdict.outcomes[-1].reason.endswith(
        f", nor than version 1's {error:.4f}, the best of 1 that served before and did better in each period"
    )
    rollback(line.platform, line.model, AT_THE_MACHINE, "the second was worse", 1)
    assert "served before" not in train_at(line, SECOND_TRAINING, Request("and again", "a person", "8"))[0].verdict


def test_a_period_is_scored_by_the_champion_of_its_time_and_never_by_a_later_one(promoted: Line) -> None:
    line = promoted  # what it was trained on was known two days after the day trained at
    with pytest.raises(MissingDataError) as caught:
        score_at(line, FIRST_TRAINING)
    assert caught.value.found == "no champion of 'forecast' before 2024-01-19T00:00:00+00:00"
    assert caught.value.cure.endswith("a past period is never scored by a later champion")

    assert score_at(line, "2024-01-17").by.version == 1
    gates = "{metric: rmse, better_than: champion, by: 0.1}", "{metric: rmse, better_than: baseline}"
    line.files.change("forecast/defs.yaml", *gates)
    assert promote_at(line.open(), SECOND_TRAINING).version == 2
    again = score_at(line, "2024-01-17")
    assert (again.by.version, again.written.appended) == (1, 0)
    assert {row["version"] for row in predictions(line, "2024-01-17")} == {1}


def test_intervals_that_are_declared_later_change_nothing_that_was_said_and_come_with_the_next_version(
    promoted: Line,
) -> None:
    from mlops_assets.models.shown import shown_versions

    line, day = promoted, "2024-01-17"
    before = score_at(line, day)
    gates = ", {metric: rmse, better_than: champion, by: 0.1}]\n"
    line.files.change("forecast/defs.yaml", gates, "]\n  intervals: {coverage: 80%}\n")
    again = score_at(line.open(), day)
    assert (again.written.appended, again.written.data_version) == (0, before.written.data_version)
    assert {(row["lower"], row["upper"]) for row in predictions(line, day)} == {(None, None)}
    assert promote_at(line, SECOND_TRAINING).version == 2
    line.live(1, "2024-01-19")
    training = score_at(line, "2024-01-19").by.training
    rows, reach = predictions(line, "2024-01-19"), training.half_width
    assert 0 < reach == training.figure_values["interval_half_width"]
    assert all((row["lower"], row["upper"]) == (row["prediction"] - reach, row["prediction"] + reach) for row in rows)
    first, second = (version.intervals for version in shown_versions(line.platform, line.model))
    assert first.startswith("intervals: none, ")
    assert second == f"intervals: prediction ± {reach:.4g}, to hold the truth in 80%"


def test_predictions_keep_what_was_looked_up(promoted: Line) -> None:
    line = promoted
    scored = score_at(line, "2024-01-17")
    rows = predictions(line, "2024-01-17")
    assert scored.written.rows == len(rows) == len(SHOPS)
    assert scored.written.known_at == line.period("2024-01-17").end + hours(48)
    trend = line.known("trend", scored.written.known_at, "level")
    project = line.platform.project
    for row in rows:
        assert (row["version"], row["as_of"]) == (1, scored.written.known_at)
        assert json.loads(row["feature_versions"]) == {
            name: project.table(name).generation for name in ("trend", "shops")
        }
        assert row["level"] == row["baseline"] == trend[row["shop"], "2024-01-17"]
        assert row["region"] in ("north", "south")
    assert scored.null_share == 0.0


def test_a_model_whose_own_definition_is_another_than_the_champions_scores_nothing(promoted: Line) -> None:
    line = promoted
    line.files.change("forecast/defs.yaml", "lookback: 2 days", "lookback: 3 days")
    line.open()
    with pytest.raises(ContractError) as caught:
        score_at(line, "2024-01-17")
    assert caught.value.found == (
        "version 1 of 'forecast' was trained on other definitions, and the definition of 'forecast' itself is another "
        "now"
    )


def test_a_model_that_waits_scores_nothing_before_its_features_are_there(promoted: Line) -> None:
    line = promoted
    line.sales("2024-01-19")
    with pytest.raises(MissingDataError) as caught:
        score_at(line, "2024-01-19")
    assert "trend" in caught.value.found or "visits" in caught.value.found


def test_a_model_that_does_not_wait_scores_with_what_is_known(tmp_path_factory: pytest.TempPathFactory) -> None:
    line = open_line(
        tmp_path_factory, {("forecast/defs.yaml", "task: regression"): "task: regression\n  when_late: score_without"}
    )
    promote_at(line, FIRST_TRAINING)
    day = "2024-01-20"
    for key in ("2024-01-19", day):
        line.sales(key)
    scored = score_at(line, day)
    rows = predictions(line, day)
    assert len(rows) == len(SHOPS)
    assert {row["level"] for row in rows} == {None}  # the lookback of two days has passed
    assert {row["baseline"] for row in rows} == {0.0}
    assert scored.null_share == pytest.approx(2 / 3)


def test_a_training_set_that_is_not_there(line: Line) -> None:
    registry = registry_of(line)
    with start_run(registry, "test") as run_id, pytest.raises(MissingDataError) as caught:
        train(line.platform, line.model, line.period(FIRST_TRAINING), run_id, BY_POLICY)
    assert caught.value.found == f"no training set of 'forecast' at {FIRST_TRAINING}"
    with pytest.raises(MissingDataError) as missing:
        register(line.platform, line.model, line.period(FIRST_TRAINING))
    assert missing.value.found == f"no candidate of 'forecast' at {FIRST_TRAINING}"


def test_too_short_a_history_to_fit_and_judge(tmp_path_factory: pytest.TempPathFactory) -> None:
    line = open_line(tmp_path_factory, {("forecast/defs.yaml", "validation: 3 days"): "validation: 8 days"})
    with pytest.raises(ContractError) as caught:
        train_at(line, FIRST_TRAINING)
    assert caught.value.found == "no labels of 'forecast' to fit on (up to 2024-01-02)"
    assert caught.value.cure == "train later, or shorten train.validation"


def test_a_feature_without_any_value_in_training_is_not_learned_from_and_may_hold_values_later(line: Line) -> None:
    import pyarrow as pa

    from mlops_assets.models.judging import fit_candidate
    from mlops_assets.models.predictor import Predictor

    at = line.period(FIRST_TRAINING)
    rows = build_training_set(line.platform, line.model, at).rows
    empty = rows.set_column(rows.column_names.index("crowd"), "crowd", pa.nulls(rows.num_rows, pa.int64()))
    fitted = fit_candidate(line.model, empty, at, None)
    predictor = Predictor(line.model, 1, fitted.model, "{}")
    assert predictor(rows)["prediction"] == predictor(empty)["prediction"]

    for name in ("level", "region"):
        place = empty.column_names.index(name)
        empty = empty.set_column(place, name, pa.nulls(rows.num_rows, rows.column(name).type))
    with pytest.raises(ContractError) as caught:
        fit_candidate(line.model, empty, at, None)
    assert caught.value.found.startswith("no value in any feature of 'forecast' in ")


def test_a_pickle_is_refused_and_a_model_that_is_gone_is_named(line: Line) -> None:
    import mlflow  # noqa: TID253
    from sklearn.linear_model import Ridge  # noqa: TID253

    registry = registry_of(line)
    with start_run(registry, "a pickle"):
        logged = mlflow.sklearn.log_model(
            Ridge().fit([[1.0], [2.0]], [1.0, 2.0]), name="model", serialization_format="pickle", pip_requirements=[]
        )
    with pytest.raises(ContractError) as refused:
        load_fit(registry, f"models:/{logged.model_id}")
    assert refused.value.found.startswith(f"model models:/{logged.model_id} (")
    assert refused.value.found.endswith(" in format 'pickle'")
    with pytest.raises(MissingDataError) as missing:
        load_fit(registry, "models:/m-0123456789abcdef0123456789abcdef")
    assert "no model models:/m-0123456789abcdef0123456789abcdef in sqlite:///" in missing.value.found


def labelled_anew(line: Line) -> None:
    """Compute the labels of all days under the definition that they have now."""
    for key in line.days(14)[line.model.label.known_after :]:
        line.labels(key)


CLASSES = "CASE WHEN later.units > 1.1 * now.units THEN 'up' WHEN later.units < now.units THEN 'down' ELSE 'level' END"


@pytest.mark.parametrize(
    ("task", "label", "sql", "template"),
    [
        ("binary", "delay: 2", "later.units > now.units", "hist_gradient_boosting_classifier"),
        ("multiclass", "delay: 2, classes: [down, level, up]", CLASSES, "logistic_regression"),
    ],
)
def test_a_classification_is_trained_judged_served_and_watched(
    tmp_path_factory: pytest.TempPathFactory, task: str, label: str, sql: str, template: str
) -> None:
    from mlops_assets.monitoring.estimation import estimate_performance, estimates, track_record
    from mlops_assets.monitoring.performance import measure_performance

    gates = "[{metric: mae, better_than: baseline}, {metric: rmse, better_than: champion, by: 0.1}]"
    line = open_line(
        tmp_path_factory,
        {
            ("forecast/defs.yaml", "task: regression"): f"task: {task}",
            ("forecast/defs.yaml", "delay: 2, unit: log ratio"): label,
            ("forecast/defs.yaml", "baseline: trend.level"): "baseline: shops.region",
            ("forecast/defs.yaml", "{name: ridge_regressor, params: {alpha: 1.0}, seed: 7}"): f"{{name: {template}}}",
            ("forecast/defs.yaml", gates): "[{metric: calibration_error, better_than: champion}]",
            ("forecast/growth.sql", "ln(later.units / now.units)"): sql,
        },
    )
    labelled_anew(line)
    promote_at(line, FIRST_TRAINING)
    score_at(line, "2024-01-17")
    rows = predictions(line, "2024-01-17")
    columns = [column.name for column in line.model.prediction_columns[1:]]
    for row in rows:
        assert all(0 <= row[name] <= 1 for name in columns)
        if task == "multiclass":
            assert sum(row[name] for name in columns) == pytest.approx(1)
            assert row[f"probability_{row['prediction']}"] == max(row[name] for name in columns)
        else:
            assert row["prediction"] is (row["probability"] > 0.5)
    estimated = estimate_performance(line.platform, line.model, line.period("2024-01-17"))
    assert estimated is not None
    (record, so_far), figures = estimated, json.loads(estimated[0].figures)
    assert (record.period, record.version, record.rows, record.bar, so_far.periods) == ("2024-01-17", 1, 14, None, 0)
    assert record.metric == "log_loss" and record.estimated == figures["log_loss"] > 0
    assert estimate_performance(line.platform, line.model, line.period("2024-01-17")) == estimated
    assert estimates(line.platform, line.model) == [record]
    line.live(2, "2024-01-19")
    measured = measure_performance(line.platform, line.model, line.period("2024-01-20"))
    assert measured is not None
    assert measured[0].error == measured[0].figure_values["log_loss"] > 0
    assert {"brier", "accuracy"} < set(measured[0].figure_values) & set(figures)
    found = track_record([record], [measured[0]])
    assert (found.periods, found.off) == (1, abs(record.estimated - measured[0].error))


def test_a_class_that_was_not_declared_is_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    gates = "[{metric: mae, better_than: baseline}, {metric: rmse, better_than: champion, by: 0.1}]"
    line = open_line(
        tmp_path_factory,
        {
            ("forecast/defs.yaml", "task: regression"): "task: multiclass",
            ("forecast/defs.yaml", "delay: 2, unit: log ratio"): "delay: 2, classes: [up, level]",
            ("forecast/defs.yaml", "baseline: trend.level"): "baseline: prior",
            ("forecast/defs.yaml", "{name: ridge_regressor, params: {alpha: 1.0}, seed: 7}"): (
                "{name: logistic_regression}"
            ),
            ("forecast/defs.yaml", gates): "[{metric: brier, better_than: baseline}]",
            ("forecast/growth.sql", "ln(later.units / now.units)"): CLASSES,
        },
    )
    with pytest.raises(ContractError) as caught:
        labelled_anew(line)
    assert caught.value.found.startswith("the class down in what growth.sql gives for ")
    assert caught.value.expected == "one of: up, level"


def test_the_verdict_is_kept_as_it_was_said(trained_once: Trained) -> None:
    kept = candidates(trained_once.line.platform, trained_once.line.model)[0]
    assert Verdict.from_json(kept.outcomes) == trained_once.verdict
    assert json.loads(kept.figures)["candidate_mae"] == trained_once.record.level


def test_the_report_of_a_candidate_is_kept_once_and_logged_with_its_drawings(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow  # noqa: TID253

    from mlops_assets.models import training

    def killed(*arguments: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(training, "write_new_record", killed)  # after the report, before the candidate
        train_at(line, FIRST_TRAINING)
    assert candidates(line.platform, line.model) == []
    reports = line.platform.records(line.model, "evaluation")
    (before,) = read_records(reports, EvaluationRecord)
    record, _ = train_at(line, FIRST_TRAINING)
    assert read_records(reports, EvaluationRecord) == [before]
    report = evaluation_of(line.platform, line.model, record.key)
    assert report is not None
    figures = {who: {name: one.value for name, one in of.items()} for who, of in report.figures.items()}
    assert figures["candidate"]["mae"] == record.level
    assert (report.rows, report.keys) == (record.figure_values["judged_rows"], len(SHOPS))
    assert evaluation_of(line.platform, line.model, "another") is None

    logged = Path(mlflow.artifacts.download_artifacts(run_id=record.run_id))
    assert Evaluation.from_json((logged / "evaluation.json").read_text(encoding="utf-8")) == report
    assert sorted(file.name for file in (logged / "plots").iterdir()) == ["metrics.svg", "residuals.svg"]
