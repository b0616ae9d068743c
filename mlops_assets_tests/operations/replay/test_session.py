"""A replay's runs: what a process was in the middle of is begun again however often, and what failed is kept."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from mlops_assets.lakehouse.home import Home
from mlops_assets.operations.replay.session import Session
from mlops_assets.operations.replay.state import PendingRun, ReplayState, read_state
from mlops_assets.operations.replay.telling import Telling

RUN = PendingRun("killed", ("sales",), "2024-01-05", {}, attempt=7)


def session_of(
    home: Home, monkeypatch: pytest.MonkeyPatch, *, succeeds: bool
) -> tuple[Session, list[PendingRun], list[str]]:
    """A session with a run that a process left behind, whose next attempt succeeds or fails; and what is told."""
    told: list[str] = []
    executed: list[PendingRun] = []
    known = {"killed": SimpleNamespace(is_success=False)}
    instance: Any = SimpleNamespace(get_run_by_id=known.get, all_logs=lambda *given, **how: [])
    project: Any = SimpleNamespace(models={}, sources={})
    telling = Telling(project, lambda step: told.append(step.words))
    state = ReplayState("2024-01-05", pending=(RUN,))
    definitions: Any = None
    session = Session(project, definitions, home, instance, state, telling)

    def execute(run: PendingRun) -> bool:
        executed.append(run)
        return succeeds

    monkeypatch.setattr(session, "_execute", execute)
    return session, executed, told


def test_a_run_whose_process_ended_is_begun_again_and_is_no_failure(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, executed, told = session_of(home, monkeypatch, succeeds=True)
    session._finish_pending()
    (again,) = executed
    assert again == replace(RUN, run_id=again.run_id, attempt=8)
    assert told == ["sales at 2024-01-05: begun again, for its process had ended"]
    assert (session.state.pending, session.state.failed) == ((), ())


def test_a_run_that_fails_is_kept_for_the_next_call(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    session, executed, _ = session_of(home, monkeypatch, succeeds=False)
    session._finish_pending()
    assert len(executed) == 1
    assert read_state(home, "2024-01-05") == session.state
    assert session.state.again == tuple(executed)
    assert session.state.failed == ("sales at 2024-01-05: it did not finish",)
