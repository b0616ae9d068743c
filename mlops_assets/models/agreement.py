"""Whether a version may go on with the definitions as they stand: they say of what it uses the same as those before.

A version was trained on generations of tables. A new generation is another definition; what it says of the columns
that the version uses is compared with what the earlier one said, in every period that matters, before anything is
scored on it. Equal is what was recomputed and found equal, and nothing else.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from mlops_assets.errors import ConflictError, ContractError, MissingDataError
from mlops_assets.features.generations import TableAgreement, compare_generations, to_compute
from mlops_assets.features.training_sets import first_looked_up, label_window
from mlops_assets.lakehouse.content_hash import text_hash
from mlops_assets.lakehouse.delta import DeltaFolder
from mlops_assets.lakehouse.periods import Period
from mlops_assets.lakehouse.records import read_records, write_new_record
from mlops_assets.lakehouse.tables import StateTable
from mlops_assets.models.records import CandidateRecord
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ModelDefinition, SourceDefinition
from mlops_assets.project.reads import model_reads

Outcome = Literal["same", "agrees", "waits", "differs"]


@dataclass(frozen=True)
class TrainedOn:
    """What a candidate was trained on, beside its model's own definition.

    Args:
        first: Key of the first period that it learned from.
        labels: Generation of the labels.
        tables: Generation of each feature table that features or population come from.
        columns: Which of each table's columns are used; None for all.
    """

    first: str
    labels: str
    tables: Mapping[str, str]
    columns: Mapping[str, Sequence[str] | None]

    @classmethod
    def of(cls, platform: Platform, model: ModelDefinition, at: Period) -> "TrainedOn":
        """What a training at a period is on, by the definitions as they stand."""
        tables, columns = {}, {}
        for name, used in model_reads(platform.project, model).items():
            table = platform.project.table(name)
            if isinstance(table, SourceDefinition):
                continue
            tables[name] = table.generation
            columns[name] = None if used is None else sorted(used.intersection(table.schema.value_names))
        return cls(label_window(model, at)[0].key, model.label_generation, tables, columns)

    @classmethod
    def from_json(cls, text: str) -> "TrainedOn":
        """What `as_json` wrote."""
        return cls(**json.loads(text))

    def as_json(self) -> str:
        """As text for a record."""
        return json.dumps(asdict(self), sort_keys=True)


@dataclass(frozen=True)
class AgreementRecord:
    """Evidence that present definitions say the same as those of a training.

    Args:
        key: Hash of what was compared.
        training: Key of the candidate that was trained.
        proven_at: Platform clock, UTC.
        tables: What was compared, as JSON.
    """

    key: str
    training: str
    proven_at: datetime
    tables: str


@dataclass(frozen=True)
class Agreement:
    """How the definitions as they stand relate to those that a version was trained on.

    Args:
        outcome: ``same`` definitions; others that say the same (``agrees``) or not (``differs``); or not known yet,
            for they must be computed first (``waits``).
        reason: Why, in words.
        tables: What was compared, table by table.
        key: Hash of what was compared, under which a proof is recorded.
    """

    outcome: Outcome
    reason: str
    tables: tuple[TableAgreement, ...] = ()
    key: str = ""

    @property
    def may_score(self) -> bool:
        """Whether a version may score on the definitions as they stand."""
        return self.outcome in ("same", "agrees")


def agreement(platform: Platform, model: ModelDefinition, training: CandidateRecord) -> Agreement:
    """Compare the definitions as they stand with those of a training, unless that was done and recorded."""
    if training.generation != model.generation:
        return Agreement("differs", f"the definition of '{model.name}' itself is another now")
    trained = TrainedOn.from_json(training.trained_on)
    changed = list(_changed(platform, model, trained))
    if not changed:
        return Agreement("same", "the definitions are those that it was trained on")
    # The version of Delta tells whether the earlier generation was computed further since.
    compared = (
        f"{now.delta.name} {before.folder.name} {before.version()} {now.delta.folder.name}"
        for before, now, *_ in changed
    )
    key = text_hash(training.key, *compared)[:16]
    for record in read_records(platform.records(model, "agreement"), AgreementRecord):
        if record.key == key:
            return _agreement([_from_json(table) for table in json.loads(record.tables)], key)
    return _agreement([compare_generations(platform, *comparison) for comparison in changed], key)


def record_agreement(platform: Platform, model: ModelDefinition, training: CandidateRecord, agreed: Agreement) -> None:
    """Record a proof that definitions agree, as evidence and so that it is not made again."""
    if agreed.outcome != "agrees":
        return
    tables = json.dumps([asdict(table) for table in agreed.tables], sort_keys=True)
    records = platform.records(model, "agreement")
    with suppress(ConflictError):  # it was recorded before, or another run records the same at the same time
        write_new_record(records, AgreementRecord(agreed.key, training.key, platform.clock.now(), tables))


def _changed(
    platform: Platform, model: ModelDefinition, trained: TrainedOn
) -> Iterator[tuple[DeltaFolder, StateTable, Sequence[str] | None, Period]]:
    """What `compare_generations` takes for each table, labels among them, that has another generation now."""
    first = model.schema.calendar.at_key(trained.first)
    for name, generation in trained.tables.items():
        now = platform.table(name)
        if now.delta.folder.name != generation:
            start = first_looked_up(platform, model, name, first)
            yield platform.generation_folder(name, generation), now, trained.columns[name], start
    labels = platform.labels(model)
    if trained.labels != model.label_generation:
        yield platform.generation_folder(labels.name, trained.labels), labels, None, first


def _agreement(tables: Sequence[TableAgreement], key: str) -> Agreement:
    missing = [table.words for table in tables if table.missing]
    differing = [table.words for table in tables if table.differs]
    outcome: Outcome = "waits" if missing else "differs" if differing else "agrees"
    return Agreement(outcome, "; ".join(missing or differing or [table.words for table in tables]), tuple(tables), key)


def _from_json(values: Mapping[str, Any]) -> TableAgreement:
    kept: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    return TableAgreement(**kept)


def require_agreement(agreed: Agreement, model: ModelDefinition, version: int) -> None:
    """See that a version may score on the definitions as they stand.

    Raises:
        MissingDataError: That is not known yet: they must be computed first.
        ContractError: They say something else than those that it was trained on.
    """
    found = f"version {version} of '{model.name}' was trained on other definitions, and {agreed.reason}"
    if agreed.outcome == "waits":
        behind = [table.table for table in agreed.tables if table.missing]
        raise MissingDataError(
            found,
            "every period that the version rests on, computed under the present definitions and compared",
            f"{to_compute(*behind)}; scoring goes on afterwards",
        )
    if not agreed.may_score:
        raise ContractError(
            found,
            "definitions that say the same as those that the version was trained on",
            "let the retrain sensor train on the new definitions, or take the change back",
        )
