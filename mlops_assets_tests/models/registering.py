"""Versions to decide about, without a training for each: copies of one fit that was trained."""

import itertools
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Barrier
from typing import Any, Literal

import pytest

from mlops_assets.governance.access import AT_THE_MACHINE, ROLES, Principal
from mlops_assets.lakehouse.records import write_new_record
from mlops_assets.models.promotion import promote, register, require_promotable
from mlops_assets.models.records import CandidateRecord, TransitionRecord, VersionRecord, candidates
from mlops_assets.models.registry import Registry, open_registry
from mlops_assets.models.registry_index import STATE_TAG
from mlops_assets.models.states import State, version_states
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ModelDefinition
from mlops_assets_tests.models.test_life_of_a_version import FIRST_TRAINING, open_line, train_at

ANA = Principal("ana@example.com", ("approver",), frozenset(ROLES["approver"]))
BEN = Principal("ben@example.com", ("reader",), frozenset(ROLES["reader"]))
MACHINE = AT_THE_MACHINE
_numbers = itertools.count(1)


class Decided:
    """A model of its own name in a home that tests share; its candidates are all the same fit."""

    def __init__(self, platform: Platform, trained: CandidateRecord, model: ModelDefinition) -> None:
        self.platform = platform
        self.trained = trained
        self.model = model
        self.registry: Registry = open_registry(platform.home.mlflow)

    @classmethod
    def anew(
        cls,
        platform: Platform,
        trained: CandidateRecord,
        approval: Literal["automatic", "required"] = "automatic",
    ) -> "Decided":
        """A model that nothing was decided about."""
        (model,) = platform.project.models.values()
        return cls(platform, trained, replace(model, name=f"{model.name}{next(_numbers)}", approval=approval))

    def later(self, **length: float) -> None:
        self.platform.home.clock.set(self.platform.clock.now() + timedelta(**(length or {"hours": 1})))

    def candidate(self, *, passed: bool = True) -> CandidateRecord:
        """Another candidate, an hour later."""
        self.later()
        number = len(candidates(self.platform, self.model)) + 1
        failed = self.trained.outcomes.replace('"passed": true', '"passed": false', 1)
        made = replace(
            self.trained,
            key=f"{self.trained.at}.{number:08x}",
            trained_at=self.platform.clock.now(),
            model_uri=copy_of_fit(self.registry, self.trained.model_uri),
            judged_uri=copy_of_fit(self.registry, self.trained.judged_uri),
            passed=passed,
            outcomes=self.trained.outcomes if passed else failed,
        )
        write_new_record(self.platform.records(self.model, "candidate"), made)
        return made

    def version(self) -> VersionRecord:
        """Another version, of another candidate."""
        self.candidate()
        at = self.model.schema.calendar.at_key(self.trained.at)
        made = register(self.platform, self.model, at)
        assert made is not None
        return made

    def promoted(self) -> TransitionRecord:
        """Another version, which serves from now on."""
        return promote(self.platform, self.model, self.version().version)

    @property
    def states(self) -> dict[int, State]:
        return version_states(self.platform, self.model)

    def aliases(self) -> dict[str, int]:
        """What MLflow's aliases say."""
        return {name: int(version) for name, version in self._shown().aliases.items()}

    def tags(self) -> dict[int, str]:
        """What MLflow's tags say of the versions that it has."""
        return {int(one.version): one.tags[STATE_TAG] for one in self.versions_shown()}

    def versions_shown(self) -> list[Any]:
        return list(_client(self.registry).search_model_versions(f"name = '{self.model.name}'"))

    def _shown(self) -> Any:
        return _client(self.registry).get_registered_model(self.model.name)


def trained_line(factory: pytest.TempPathFactory) -> tuple[Platform, CandidateRecord]:
    """A home with one training, to copy its fit."""
    line = open_line(factory)
    record, _ = train_at(line, FIRST_TRAINING)
    assert record.passed
    return line.platform, record


def let_two_approvals_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on, an approval goes on once another one has looked at its version, too."""
    ready = Barrier(2)

    def look_and_wait(*given: Any) -> CandidateRecord:
        found = require_promotable(*given)
        ready.wait()
        return found

    monkeypatch.setattr("mlops_assets.models.approving.require_promotable", look_and_wait)


def files_of(registry: Registry, uri: str) -> Path:
    """Where the files of a fit lie."""
    return Path(str(_client(registry).get_logged_model(uri.removeprefix("models:/")).artifact_location))


def copy_of_fit(registry: Registry, uri: str) -> str:
    """The same fit once more, as another logged model."""
    client = _client(registry)
    source = client.get_logged_model(uri.removeprefix("models:/"))
    made = client.create_logged_model(source.experiment_id, name="copy", source_run_id=source.source_run_id)
    shutil.copytree(files_of(registry, uri), files_of(registry, f"models:/{made.model_id}"))
    client.finalize_logged_model(made.model_id, "READY")
    return f"models:/{made.model_id}"


def _client(registry: Registry) -> Any:
    import mlflow  # noqa: TID253

    return mlflow.MlflowClient(registry.tracking_uri)
