"""Fair comparison: a candidate is fitted without the newest periods, and judged on them beside its rivals."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from mlops_assets.client import GateOutcome
from mlops_assets.errors import ContractError
from mlops_assets.features.labels import labelled_period
from mlops_assets.lakehouse.periods import Period
from mlops_assets.models.baseline import baseline_scores, fit_baseline
from mlops_assets.models.champion_scores import NotComparableError
from mlops_assets.models.evaluation import JudgedRows, Who, errors_by_period
from mlops_assets.models.fitting import feature_frame, fit
from mlops_assets.models.folds import Split, parts_of, period_starts, split
from mlops_assets.models.gates import Facts, outcome_of
from mlops_assets.models.intervals import interval_figures
from mlops_assets.models.metrics import Measured, measure
from mlops_assets.models.predicting import scores_of_fit, truth_of
from mlops_assets.models.records import JudgedPeriod
from mlops_assets.models.search import Chosen, Trial, choose_parameters
from mlops_assets.models.verdict import Verdict
from mlops_assets.project.definition import ModelDefinition
from mlops_assets.project.gates import ENOUGH_ROWS

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa


@dataclass(frozen=True)
class Fitted:
    """Both fits of a candidate, and how the judged one did.

    Args:
        judged: Fitted without the newest periods.
        model: Fitted on everything known; serves once the candidate won.
        split: Which periods the judged fit was fitted and judged on.
        judged_on: The rows of the validation, and what candidate, baseline and champion said of them.
        measured: Figures by who predicted: the judged fit, the baseline, learned from the same rows, and the champion's
            judged fit, if it could be asked.
        fitted_rows: Rows that the judged fit was fitted on.
        chosen: The parameters of both fits, and the trials that chose them.
        champion_lacks: Why the champion that there is could not be asked, in words; else empty.
        interval: What is recorded of its intervals, if it has any; see `mlops_assets.models.intervals`.
    """

    judged: Any
    model: Any
    split: Split
    judged_on: JudgedRows
    measured: Mapping[Who, Measured]
    fitted_rows: int
    chosen: Chosen
    champion_lacks: str = ""
    interval: Mapping[str, float] = field(default_factory=dict)


def _as_written(label: object) -> str:
    return str(label).lower() if isinstance(label, bool) else f"'{label}'"


def fit_candidate(
    model: ModelDefinition,
    rows: "pa.Table",
    at: Period,
    champion: "Callable[[pa.Table], npt.NDArray[Any]] | None",
    report: Callable[[Trial, str], None] = lambda trial, words: None,
) -> Fitted:
    """Fit a candidate twice and judge it.

    Args:
        model: The model.
        rows: Its training set.
        at: The period trained at.
        champion: What the champion's judged fit says of rows of the training set; None where there is no champion.
        report: Told of each trial of a search.

    Raises:
        ContractError: No rows are left to fit on, or none to judge on; or the champion's fit is not as it was trained.
    """
    parts = split(model, labelled_period(model, at))
    fitted, judged = parts_of(rows, period_starts(model, rows), parts)
    for name, part, periods in (
        ("fit", fitted, f"up to {parts.last_fitted.key}"),
        ("judge", judged, f"from {parts.first_judged.key} to {parts.last_judged.key}"),
    ):
        if part.num_rows == 0:
            raise ContractError(
                f"no labels of '{model.name}' to {name} on ({periods})",
                "labels before and in the validation periods",
                "train later, or shorten train.validation",
            )
    come_true = fitted.column(model.label.column).unique().to_pylist()
    if model.classes and len(come_true) < 2:
        raise ContractError(
            f"{fitted.num_rows} labels of '{model.name}' to fit on (up to {parts.last_fitted.key}), "
            f"all of them {_as_written(come_true[0])}",
            "labels of at least two classes",
            "train once another has come true, or widen train.window",
        )
    truth, frame = truth_of(model, judged), feature_frame(model, judged)
    chosen = choose_parameters(model, fitted, report)
    judged_fit = fit(model, fitted, chosen.params)

    scores: dict[Who, Any] = {
        "candidate": scores_of_fit(model, judged_fit, frame),
        "baseline": baseline_scores(model, fit_baseline(model, fitted), judged),
    }
    found = Fitted(
        judged=judged_fit,
        model=fit(model, rows, chosen.params),
        split=parts,
        judged_on=JudgedRows(judged, truth, scores),
        measured={who: measure(model.task, truth, said) for who, said in scores.items()},
        fitted_rows=fitted.num_rows,
        chosen=chosen,
        interval=interval_figures(model.intervals.coverage if model.intervals else None, truth, scores["candidate"]),
    )
    return beside_champion(model, found, champion) if champion else found


def beside_champion(
    model: ModelDefinition, fitted: Fitted, champion: "Callable[[pa.Table], npt.NDArray[Any]]"
) -> Fitted:
    """A candidate that was fitted, with what a champion's judged fit says of the rows that it was judged on."""
    judged = fitted.judged_on
    try:
        said = champion(judged.rows)
    except NotComparableError as error:
        return replace(fitted, champion_lacks=error.found)
    return replace(
        fitted,
        judged_on=replace(judged, scores={**judged.scores, "champion": said}),
        measured={**fitted.measured, "champion": measure(model.task, judged.truth, said)},
    )


def judged_periods(model: ModelDefinition, judged: JudgedRows) -> list[JudgedPeriod]:
    """How a candidate and the baseline did in each period that they were judged on, in the order of periods."""
    scores, calendar = judged.scores, model.schema.calendar
    found = errors_by_period(model, judged, scores["candidate"], scores["baseline"])
    return [JudgedPeriod(calendar.of(start).key, rows, mine, baseline) for start, rows, (mine, baseline) in found]


def judge(facts: Facts, *, min_rows: int) -> Verdict:
    """Put a candidate through its model's gates.

    Args:
        facts: What was measured, and what more can be.
        min_rows: Fewest rows that a judgement may rest on.
    """
    rows = facts.measured["candidate"].rows
    enough = GateOutcome(ENOUGH_ROWS, rows >= min_rows, f"judged on {rows} rows, {min_rows} are needed", rows, min_rows)
    return Verdict((enough, *(outcome_of(gate, facts) for gate in facts.model.gates)))
