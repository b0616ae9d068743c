"""What is remembered of a model: its trainings, versions and champions, one row for each period trained at."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from mlops_assets.lakehouse.periods import Period
from mlops_assets.lakehouse.records import read_records
from mlops_assets.project.definition import ModelDefinition
from mlops_assets.project.platform import Platform


@dataclass(frozen=True)
class CandidateRecord:
    """One training and its judgement.

    Args:
        period: Key of the period trained at.
        trained_at: Platform clock, UTC.
        reason: Why it was asked for, in words.
        requested_by: The policy, or a person.
        request: Which recorded request of a person it answers; empty for the policy's.
        inputs_hash: Hash of the training set and of all that decided how it was trained.
        run_id: MLflow run.
        model_uri: The fit on everything known, which serves once it won.
        judged_uri: The fit without the newest periods, which is judged.
        model_hash: Content hash of the fit that serves.
        level: Error of the judged fit on the validation, by the model's metric: what performance is held against.
        verdict: What the gates said, in words.
        outcomes: What each gate said, as JSON.
        passed: Whether it may become a version.
        generation: The model's generation: its own definition.
        trained_on: Generations of labels and tables, and the columns of them that it uses, as JSON.
        baseline: What the baseline learned from everything known, as JSON.
        figures: Metrics by who predicted, and rows, as JSON.
        template: Name and version of the template.
        template_hash: Hash of its recipe.
        params: The template's parameters that both fits were given, chosen ones among them, as JSON.
    """

    period: str
    trained_at: datetime
    reason: str
    requested_by: str
    request: str
    inputs_hash: str
    run_id: str
    model_uri: str
    judged_uri: str
    model_hash: str
    level: float
    verdict: str
    outcomes: str
    passed: bool
    generation: str
    trained_on: str
    baseline: str
    figures: str
    template: str
    template_hash: str
    params: str

    @property
    def figure_values(self) -> Mapping[str, float]:
        """The figures, by name."""
        return dict(json.loads(self.figures))


@dataclass(frozen=True)
class ChampionRecord:
    """One promotion: from ``promoted_at`` on, until the next, this version serves."""

    period: str
    promoted_at: datetime
    version: int


@dataclass(frozen=True)
class VersionRecord:
    """One registered version of a candidate trained at a period."""

    period: str
    version: int


def candidates(platform: Platform, model: ModelDefinition) -> list[CandidateRecord]:
    """Every training of a model, in the order of periods."""
    return read_records(platform.records(model, "candidate"), CandidateRecord)


def versions(platform: Platform, model: ModelDefinition) -> list[VersionRecord]:
    """Every registered version of a model, in the order of periods."""
    return read_records(platform.records(model, "version"), VersionRecord)


def champions(platform: Platform, model: ModelDefinition) -> list[ChampionRecord]:
    """Every promotion of a model, in the order of time."""
    records = read_records(platform.records(model, "champion"), ChampionRecord)
    return sorted(records, key=lambda record: (record.promoted_at, record.version))


def champion_at(platform: Platform, model: ModelDefinition, period: Period) -> ChampionRecord | None:
    """The champion that a period is scored by: the last one promoted before its as_of.

    Strictly before, for at one moment of the clock a period is scored first, then judged, then trained on.
    """
    as_of = platform.model_as_of(model, period)
    earlier = [record for record in champions(platform, model) if record.promoted_at < as_of]
    return earlier[-1] if earlier else None


def periods_with_champion(platform: Platform, model: ModelDefinition, periods: Iterable[Period]) -> set[Period]:
    """Those of the periods that have a champion to be scored by (see `champion_at`)."""
    promoted = champions(platform, model)
    if not promoted:
        return set()
    return {period for period in periods if promoted[0].promoted_at < platform.model_as_of(model, period)}


def present_champion(platform: Platform, model: ModelDefinition) -> ChampionRecord | None:
    """The champion now."""
    promoted = champions(platform, model)
    return promoted[-1] if promoted else None


def candidate_of_version(platform: Platform, model: ModelDefinition, version: int) -> CandidateRecord:
    """The training that a version came from; KeyError where there is no such version."""
    period = {record.version: record.period for record in versions(platform, model)}[version]
    return {record.period: record for record in candidates(platform, model)}[period]
