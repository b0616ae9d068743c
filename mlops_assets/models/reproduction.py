"""Making a version again from what was known then, and comparing it with what was recorded; writes nothing."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_assets.errors import ContractError
from mlops_assets.features.differences import differences
from mlops_assets.features.generations import asset_of, generations
from mlops_assets.features.labels import labelled_period
from mlops_assets.features.training_sets import build_training_set
from mlops_assets.governance.evidence import environment_hash
from mlops_assets.lakehouse.content_hash import content_hash, text_hash
from mlops_assets.models.agreement import TrainedOn
from mlops_assets.models.content import estimator_hash
from mlops_assets.models.fallback import as_trained
from mlops_assets.models.fitting import feature_frame, fit, fitting_of
from mlops_assets.models.folds import parts_of, period_starts, split
from mlops_assets.models.intervals import COVERAGE, HALF_WIDTH, interval_figures
from mlops_assets.models.predicting import scores_of_fit, truth_of
from mlops_assets.models.promotion import require_version
from mlops_assets.models.records import CandidateRecord, candidate_of_version
from mlops_assets.models.stored_fits import stored_hash
from mlops_assets.platform import Platform
from mlops_assets.progress import Progress, Step, untold
from mlops_assets.project.definition import ModelDefinition

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Compared:
    """One thing that was made again.

    Args:
        name: What it is.
        recorded: Its hash when the version was trained; of the file that serves, that of the fit made again.
        found: Its hash now.
    """

    name: str
    recorded: str
    found: str

    @property
    def is_equal(self) -> bool:
        """Whether it is the same."""
        return self.recorded == self.found


@dataclass(frozen=True)
class Reproduction:
    """What came of making a version again.

    Args:
        model: The model's name.
        version: The version.
        training_set: Its training set, by the content of all rows.
        fit: The fit that serves, by its parameters and arrays.
        stored: The file of it that lies there, against the fit that was made again; None where none does.
        intervals: How far its intervals reach, by the judged fit made again; None where it has none.
        same_environment: Whether the installed distributions are those that it was trained with.
    """

    model: str
    version: int
    training_set: Compared
    fit: Compared
    stored: Compared | None
    intervals: Compared | None
    same_environment: bool

    @property
    def is_equal(self) -> bool:
        """Whether everything is the same, bit for bit."""
        return all(one.is_equal for one in self._compared)

    @property
    def _compared(self) -> tuple[Compared, ...]:
        return (self.training_set, self.fit, *(one for one in (self.stored, self.intervals) if one))

    def as_text(self) -> str:
        """For people."""
        lines = [
            f"{one.name}: {'equal' if one.is_equal else 'DIFFERENT, expected'} {one.recorded[:16]}…"
            + ("" if one.is_equal else f", found {one.found[:16]}…")
            for one in self._compared
        ]
        if self.stored is None:
            lines.append("the file that serves is not there")
        if not self.same_environment:
            lines.append("the environment is another than it was trained in (its requirements are with the model)")
        said = "was reproduced bit for bit" if self.is_equal else "was not reproduced"
        return "\n".join([*lines, f"{self.model}: version {self.version} {said}"])


def reproduce(platform: Platform, model: ModelDefinition, version: int, progress: Progress = untold) -> Reproduction:
    """Build a version's training set as it was known then, fit again with what was recorded, and compare.

    Later corrections do not matter, for they were not known then; nor does it whether the version's files are there.

    Raises:
        ContractError: A definition, the template or how it is fitted is another than then; says which.
        MissingDataError: There is no such version, or what it was made of is gone.
    """
    require_version(platform, model, version)
    training = candidate_of_version(platform, model, version)
    model = as_trained(model, training)
    changed = list(_changed(platform, model, training))
    if changed:
        raise ContractError(
            f"version {version} of '{model.name}' was trained by other definitions: {'; '.join(changed)}",
            "the definitions that it was trained by",
            "take the project as it was then (MLflow's run names its commit), and run this there with the same home",
        )
    progress(Step("reproduce", 0, 2, training.at, "training set", minor=True))
    rows = build_training_set(platform, model, model.schema.calendar.at_key(training.at)).rows
    progress(Step("reproduce", 1, 2, training.at, f"fit on {rows.num_rows} rows", minor=True))
    made = estimator_hash(fit(model, rows, json.loads(training.params)))
    stored = stored_hash(platform, model, training)
    progress(Step("reproduce", 2, 2, training.at, minor=True))
    return Reproduction(
        model.name,
        version,
        Compared("training set", training.training_set, content_hash(rows, rows.column_names)),
        Compared("fit", training.model_hash, made),
        Compared("file that serves", made, stored) if stored else None,
        _intervals(model, training, rows),
        training.environment == environment_hash(),
    )


def _intervals(model: ModelDefinition, training: CandidateRecord, rows: "pa.Table") -> Compared | None:
    """The recorded reach of a version's intervals, and that by its judged fit, made again from the same rows."""
    recorded = {name: training.figure_values.get(name) for name in (COVERAGE, HALF_WIDTH)}
    if recorded[HALF_WIDTH] is None:
        return None
    at = model.schema.calendar.at_key(training.at)
    fitted, judged = parts_of(rows, period_starts(model, rows), split(model, labelled_period(model, at)))
    scores = scores_of_fit(model, fit(model, fitted, json.loads(training.params)), feature_frame(model, judged))
    found = interval_figures(recorded[COVERAGE], truth_of(model, judged), scores)
    return Compared("intervals", *(text_hash(json.dumps(one, sort_keys=True)) for one in (recorded, found)))


def _changed(platform: Platform, model: ModelDefinition, training: CandidateRecord) -> Iterator[str]:
    """What is defined otherwise than it was for a training, in words."""
    if training.generation != model.generation:
        known = {record.generation: record.definition for record in generations(platform, model.name)}
        parts = [one.part for one in differences(known.get(training.generation, {}), model.parts)]
        yield f"'{model.name}' itself is another now ({', '.join(parts)})"
    trained = TrainedOn.from_json(training.trained_on)
    if trained.labels != model.label_generation:
        yield f"its labels were {trained.labels} and are {model.label_generation} now"
    for name, generation in trained.tables.items():
        now = platform.table(name).delta.folder.name
        if now != generation:
            yield f"'{asset_of(name)}' was {generation} and is {now} now"
    template = f"{model.template.name} v{model.template.version}"
    if (training.template, training.template_hash) != (template, model.template.definition_hash):
        yield (
            f"its template was {training.template} ({training.template_hash[:8]}) and is {template} "
            f"({model.template.definition_hash[:8]}) now"
        )
    before, now_fitted = json.loads(training.fitting), json.loads(fitting_of(model))
    for name in sorted({*before, *now_fitted}):
        if before.get(name) != now_fitted.get(name):
            yield f"{name} was {before.get(name)} and is {now_fitted.get(name)} now"
