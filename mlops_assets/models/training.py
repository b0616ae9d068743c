"""Training a candidate: fitted once to be judged and once to serve, logged, and put through its gates."""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import ContractError, MissingDataError, PlatformError
from mlops_assets.features.generations import record_generation
from mlops_assets.features.leaks import MAX_STATES, certify
from mlops_assets.features.training_sets import require_training_history
from mlops_assets.governance.evidence import environment_hash
from mlops_assets.lakehouse.content_hash import definition_hash
from mlops_assets.lakehouse.periods import Period
from mlops_assets.lakehouse.records import write_new_record, write_record
from mlops_assets.models.agreement import TrainedOn
from mlops_assets.models.baseline import fit_baseline
from mlops_assets.models.calibration import fit_calibration
from mlops_assets.models.champion_scores import earlier_figures, judged_scores
from mlops_assets.models.contributions import background_of, explained, sampled
from mlops_assets.models.evaluation import evaluate
from mlops_assets.models.fallback import baseline_model, unasked
from mlops_assets.models.fitting import fitting_of
from mlops_assets.models.gates import Facts
from mlops_assets.models.intervals import HALF_WIDTH
from mlops_assets.models.judging import Fitted, fit_candidate, judge, judged_periods
from mlops_assets.models.logged import Contents, contents_of, logged_fits
from mlops_assets.models.model_folder import LoggedFit
from mlops_assets.models.plots import report_files
from mlops_assets.models.records import (
    CandidateRecord,
    EvaluationRecord,
    candidate_key,
    candidate_of_version,
    candidates,
    present_champion,
)
from mlops_assets.models.registry import git_commit, log_candidate, log_files, log_trial, registry_of
from mlops_assets.models.search import Trial
from mlops_assets.models.used_templates import record_recipe, require_same_recipe
from mlops_assets.models.verdict import Verdict
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ModelDefinition
from mlops_assets.project.gates import ProtectionGate

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

ROWS_TO_EXPLAIN = 200
"""Of the judged rows so many at most are explained, to tell how much each feature counts."""

SHARE_OF_ROWS_TO_JUDGE = 10
"""A judgement rests on at least a tenth of the rows that a training needs."""


@dataclass(frozen=True)
class Request:
    """Why a training was asked for, and by whom.

    Args:
        reason: In words.
        requested_by: The policy, or a person.
        number: A person's recorded request, if it was one.
        baseline: Whether the baseline is to serve, and not what the model's template fits.
    """

    reason: str
    requested_by: str
    number: str = ""
    baseline: bool = False


@dataclass(frozen=True)
class Trained:
    """A training before it is recorded: at which period, on which rows, and what came of it."""

    at: Period
    rows: "pa.Table"
    training_set: str
    request: Request
    fitted: Fitted
    fits: Mapping[str, LoggedFit]
    verdict: Verdict

    @property
    def figures(self) -> dict[str, float]:
        """Metrics by who predicted, and rows."""
        fitted = self.fitted
        return {
            "rows": self.rows.num_rows,
            "fitted_rows": fitted.fitted_rows,
            "judged_rows": fitted.measured["candidate"].rows,
            **({"trials": len(fitted.chosen.trials)} if fitted.chosen.trials else {}),
            **fitted.interval,
            **{f"{who}_{name}": value for who, of in fitted.measured.items() for name, value in of.values.items()},
        }


def train(
    platform: Platform,
    model: ModelDefinition,
    at: Period,
    run_id: str,
    request: Request,
    progress: Callable[[str], None] = lambda words: None,
) -> tuple[CandidateRecord, Verdict]:
    """Train a candidate on its training set, log it into an MLflow run, judge and record it.

    A request that was carried out already, on the same rows, gives the candidate that was trained then: a run that
    was killed later on and is run again registers the same model, not its twin.

    Raises:
        MissingDataError: The training set of the period was not built.
        DefinitionError: The template changed since its version was used first.
    """
    model = baseline_model(model) if request.baseline else model
    require_same_recipe(platform, model)
    rows = read_training_set(platform, model, at)
    training_set = platform.training_sets(model).data_version(at.key) or ""
    asked: dict[str, object] = {
        "reason": request.reason, "requested_by": request.requested_by, "number": request.number
    }  # fmt: skip
    if request.baseline:
        asked["baseline"] = True
    inputs_hash = definition_hash({"training_set": training_set, "trained_by": model.trained_by, "request": asked})
    for record in candidates(platform, model):
        if record.key == candidate_key(at, inputs_hash):
            return record, Verdict.from_json(record.outcomes)

    registry = registry_of(platform)

    def report(trial: Trial, words: str) -> None:
        log_trial(registry, run_id, trial.number, trial.params, model.metric, trial.error)
        progress(words)

    fitted = fit_candidate(model, rows, at, _champion_scores(platform, model), report)
    evaluation = replace(evaluate(model, fitted.judged_on), importance=_importance(model, fitted, rows))
    fits = logged_fits(model, {"judged": fitted.judged, "model": fitted.model}, fitted.interval.get(HALF_WIDTH))
    size = len(fits["model"].data)
    facts = Facts(
        model, fitted.judged_on, fitted.measured, fitted.model, size, fitted.champion_lacks, evaluation.differences,
        earlier_figures(platform, model, at, fitted.judged_on) if asks_earlier(model) else {},
    )  # fmt: skip
    verdict = judge(facts, min_rows=model.min_rows // SHARE_OF_ROWS_TO_JUDGE)
    if request.baseline:
        verdict = unasked(verdict, request.reason)
    trained = Trained(at, rows, training_set, request, fitted, fits, verdict)
    uris = log_candidate(registry, run_id, _contents(platform, model, trained))
    log_files(registry, run_id, report_files(evaluation, platform.home.scratch))
    record = replace(
        candidate_record(platform, model, trained, inputs_hash, run_id, uris),
        leaks=leak_words(platform, model, at, rows, inputs_hash),
    )
    record_recipe(platform, model)
    record_generation(platform, model)
    # First the report, so that no candidate is without one; killed between, it is written again the same.
    write_record(platform.records(model, "evaluation"), EvaluationRecord(record.key, evaluation.to_json()))
    write_new_record(platform.records(model, "candidate"), record)
    return record, verdict


def leak_words(platform: Platform, model: ModelDefinition, at: Period, rows: "pa.Table", seed: str) -> str:
    """Whether features of some rows of a training set know more than was known; what fails here stops no training."""
    try:
        require_training_history(platform, model, at)  # of tables that were defined anew since, nothing can be said
        return certify(platform, model, rows, seed=seed, max_states=MAX_STATES).words
    except PlatformError as error:
        return f"leaks: not looked for, {error.found}"


def _champion_scores(platform: Platform, model: ModelDefinition) -> "Callable[[pa.Table], npt.NDArray[Any]] | None":
    """What the champion's judged fit says of rows; None where there is no champion."""
    champion = present_champion(platform, model)
    if champion is None:
        return None
    return partial(judged_scores, platform, model, candidate_of_version(platform, model, champion.version))


def asks_earlier(model: ModelDefinition) -> bool:
    """Whether a gate holds a candidate against those that served before the champion."""
    return any(isinstance(gate, ProtectionGate) and gate.not_worse_than == "champion" for gate in model.gates)


def _importance(model: ModelDefinition, fitted: Fitted, rows: "pa.Table") -> Mapping[str, float]:
    """How much each feature counts for what the judged fit says of the judged rows; empty where it cannot be asked."""
    judged = sampled(model, fitted.judged_on.rows, ROWS_TO_EXPLAIN)
    with suppress(ContractError):  # an estimator of the user's own that takes no rows that are mixed of others
        return explained(model, fitted.judged, judged, background_of(model, fitted.judged, rows)).importance
    return {}


def _contents(platform: Platform, model: ModelDefinition, trained: Trained) -> Contents:
    """What is logged of a training."""
    fitted, request = trained.fitted, trained.request
    split = {"last_fitted": fitted.split.last_fitted.key, "first_judged": fitted.split.first_judged.key}
    return contents_of(
        platform, model, trained.at, trained.rows, trained.training_set, trained.fits,
        params={**fitted.chosen.params, **split},
        metrics=trained.figures,
        tags={"reason": request.reason, "requested_by": request.requested_by, "verdict": trained.verdict.reason},
        commit=git_commit(model.location.file.parent),
    )  # fmt: skip


def candidate_record(
    platform: Platform,
    model: ModelDefinition,
    trained: Trained,
    inputs_hash: str,
    run_id: str,
    uris: Mapping[str, str],
) -> CandidateRecord:
    """What is recorded of a training."""
    fitted, fits, judged = trained.fitted, trained.fits, trained.fitted.judged_on
    return CandidateRecord(
        key=candidate_key(trained.at, inputs_hash),
        at=trained.at.key,
        trained_at=platform.clock.note(),
        reason=trained.request.reason,
        requested_by=trained.request.requested_by,
        request=trained.request.number,
        inputs_hash=inputs_hash,
        run_id=run_id,
        model_uri=uris["model"],
        judged_uri=uris["judged"],
        model_hash=fits["model"].content,
        level=fitted.measured["candidate"].of(model.metric),
        verdict=trained.verdict.reason,
        outcomes=trained.verdict.as_json(),
        passed=trained.verdict.passed,
        generation=model.generation,
        trained_on=TrainedOn.of(platform, model, trained.at).as_json(),
        baseline=fit_baseline(model, trained.rows).as_json(),
        figures=json.dumps(trained.figures, sort_keys=True),
        template=f"{model.template.name} v{model.template.version}",
        template_hash=model.template.definition_hash,
        params=json.dumps(dict(fitted.chosen.params), sort_keys=True),
        training_set=trained.training_set,
        fitting=fitting_of(model),
        environment=environment_hash(),
        files=json.dumps({name: asdict(fit.file) for name, fit in fits.items()}, sort_keys=True),
        calibration=fit_calibration(model.task, judged.truth, judged.scores["candidate"]).as_json(),
        kind="baseline" if trained.request.baseline else "template",
        judged_by_period=json.dumps([asdict(one) for one in judged_periods(model, fitted.judged_on)]),
    )


def read_training_set(platform: Platform, model: ModelDefinition, at: Period) -> "pa.Table":
    """The rows of a training set that was built.

    Raises:
        MissingDataError: It was not.
    """
    rows = platform.training_sets(model).read([at.key])
    if rows is None or rows.num_rows == 0:
        raise MissingDataError(
            f"no training set of '{model.name}' at {at.key}",
            "a training set that was built",
            f"materialize {model.name}/training_set for {at.key} first",
        )
    return rows
