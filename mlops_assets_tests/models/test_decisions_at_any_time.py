"""Decisions killed anywhere, by several processes at once, and in any order."""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mlops_assets.errors import ConflictError, PlatformError
from mlops_assets.lakehouse.home import Home
from mlops_assets.lakehouse.write_points import KILL_AT_VARIABLE, LOG_VARIABLE
from mlops_assets.models.approving import approve, reject
from mlops_assets.models.promotion import decide, rollback, sync_aliases
from mlops_assets.models.records import (
    PROMOTIONS,
    CandidateRecord,
    TransitionKind,
    candidate_of_version,
    transitions,
    versions,
)
from mlops_assets.models.retirement import delete, finish_deletions, retire
from mlops_assets.platform import Platform
from mlops_assets.project.load import load_project
from mlops_assets_tests.forks import CONTEXT
from mlops_assets_tests.models.registering import ANA, Decided, files_of

pytestmark = pytest.mark.slow


def waiting(trained: tuple[Platform, CandidateRecord]) -> Decided:
    """A champion, and a version that waits for approval."""
    made = Decided.anew(*trained, approval="required")
    made.version()
    approve(made.platform, made.model, 1, ANA, "the first")
    made.version()
    return made


@dataclass(frozen=True)
class Elsewhere:
    """A model as another process opens it."""

    home: Path
    name: str
    approval: Literal["automatic", "required"]
    trained: CandidateRecord

    @classmethod
    def of(cls, made: Decided) -> "Elsewhere":
        return cls(made.platform.home.folder, made.model.name, made.model.approval, made.trained)

    def open(self) -> Decided:
        platform = Platform.of(load_project(self.home.parent / "project"), Home(self.home))
        model = replace(platform.project.models["forecast"], name=self.name, approval=self.approval)
        return Decided(platform, self.trained, model)


def work_there(place: Elsewhere, work: Callable[..., object], variables: dict[str, str]) -> None:
    os.environ.update(variables)
    made = place.open()
    work(made.platform, made.model, 2, ANA, "well considered")


def in_process(made: Decided, work: Callable[..., object], **variables: str) -> int:
    """Decide about version 2 in a process of its own; gives how that ended."""
    process = CONTEXT.Process(target=work_there, args=(Elsewhere.of(made), work, variables))
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def killed_everywhere(begin: Callable[[], Decided], work: Callable[..., object], log: Path) -> list[Decided]:
    """What is left where the work is killed after the first of each kind of its writes, of a model each."""
    assert in_process(begin(), work, **{LOG_VARIABLE: str(log)}) == 0
    points: dict[tuple[str, ...], str] = {}
    for line in log.read_text(encoding="utf-8").splitlines():
        number, *words = line.split()
        points.setdefault(tuple(words[:2]), number)
    left = []
    for point, number in points.items():
        made = begin()
        assert in_process(made, work, **{KILL_AT_VARIABLE: number}) == -signal.SIGKILL, point
        left.append(made)
    return left


def test_killed_after_any_write_and_run_again_an_approval_promotes_once(
    trained: tuple[Platform, CandidateRecord], tmp_path: Path
) -> None:
    left = killed_everywhere(lambda: waiting(trained), approve, tmp_path / "points")
    assert len(left) >= 4  # the approval, the promotion, and what MLflow shows
    for made in left:
        approve(made.platform, made.model, 2, ANA, "well considered")
        assert [one.version for one in transitions(made.platform, made.model)] == [1, 2]
        assert [one.version for one in made.platform.approvals.of(made.model.name)] == [1, 2]
        assert made.aliases() == {"previous": 1, "champion": 2}
        assert made.tags() == made.states == {1: "previous", 2: "champion"}


def test_killed_after_any_write_a_deletion_is_finished_and_deletes_nothing_else(
    trained: tuple[Platform, CandidateRecord], tmp_path: Path
) -> None:
    for made in killed_everywhere(lambda: waiting(trained), delete, tmp_path / "points"):
        finish_deletions(made.platform, made.model)
        sync_aliases(made.platform, made.model)
        assert [one.kind for one in transitions(made.platform, made.model)] == ["promotion", "deletion"]
        assert [int(one.version) for one in made.versions_shown()] == [1]
        assert made.aliases() == {"champion": 1}
        kept = candidate_of_version(made.platform, made.model, 1)
        assert all(list(files_of(made.registry, uri).rglob("*.skops")) for uri in (kept.model_uri, kept.judged_uri))


def decide_there(place: Elsewhere, version: int, kind: TransitionKind, ready: Any, told: Any) -> None:
    made = place.open()
    seen = transitions(made.platform, made.model)
    ready.wait()
    try:
        decide(made.platform, made.model, seen, version, kind, f"process {version} {kind}", "why")
    except ConflictError as error:
        told.put(str(error))


def test_of_processes_that_decide_at_once_one_wins_and_each_other_is_told(
    trained: tuple[Platform, CandidateRecord],
) -> None:
    made = waiting(trained)
    made.version()
    ready, told = CONTEXT.Barrier(3), CONTEXT.SimpleQueue()
    attempts: list[tuple[int, TransitionKind]] = [(2, "promotion"), (3, "promotion"), (2, "deletion")]
    processes = [CONTEXT.Process(target=decide_there, args=(Elsewhere.of(made), *one, ready, told)) for one in attempts]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    (_, won) = transitions(made.platform, made.model)
    assert won.number == 2
    words = [told.get(), told.get()]
    assert told.empty() and all(f"by {won.by}: why" in text for text in words)


class Decisions(RuleBasedStateMachine):
    """Registering, approving, rejecting, rolling back, retiring and deleting, in any order."""

    trained: tuple[Platform, CandidateRecord]

    @initialize(approval=st.sampled_from(["automatic", "required"]))
    def begin(self, approval: str) -> None:
        self.made = Decided.anew(*self.trained, approval=approval)  # type: ignore[arg-type]
        self.serving: list[int] = []

    @property
    def numbers(self) -> list[int]:
        return [one.version for one in versions(self.made.platform, self.made.model)]

    @precondition(lambda self: len(self.numbers) < 5)
    @rule()
    def register(self) -> None:
        self.made.version()

    @rule(
        work=st.sampled_from([approve, reject, retire, delete, rollback]),
        version=st.integers(1, 5),
        newest=st.booleans(),
    )
    def decide(self, work: Callable[..., object], version: int, newest: bool) -> None:
        chosen = max(self.numbers, default=1) if newest else version
        before = transitions(self.made.platform, self.made.model)
        place = (self.made.platform, self.made.model)
        try:
            if work is rollback:
                rollback(*place, ANA, "why", chosen)
            else:
                work(*place, chosen, ANA, "why")
        except PlatformError as error:
            assert "Found: " in str(error)
            assert transitions(self.made.platform, self.made.model) == before
        self.made.later(minutes=1)

    @invariant()
    def what_is_recorded_holds_together(self) -> None:
        made = transitions(self.made.platform, self.made.model)
        assert [one.number for one in made] == list(range(1, len(made) + 1))
        assert [one.happened_at for one in made] == sorted(one.happened_at for one in made)
        states = self.made.states
        served = {one.version for one in made if one.kind in PROMOTIONS}
        assert list(states.values()).count("champion") == (1 if served else 0)
        assert not served & {version for version, state in states.items() if state == "deleted"}
        if states:
            sync_aliases(self.made.platform, self.made.model)
            shown = ("champion", "challenger", "previous")
            assert self.made.aliases() == {state: version for version, state in states.items() if state in shown}
            assert self.made.tags() == {version: state for version, state in states.items() if state != "deleted"}


def test_decisions_in_any_order_leave_one_champion_and_mlflow_showing_it(
    trained: tuple[Platform, CandidateRecord],
) -> None:
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(
        type("OnThisHome", (Decisions,), {"trained": trained}),
        settings=settings(max_examples=4, stateful_step_count=12, deadline=None, derandomize=True, database=None),
    )
