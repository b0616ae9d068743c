"""Where a replay stands: enough to go on after the process was killed at any point."""

import json
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from mlops_assets.errors import UnusableEnvironmentError
from mlops_assets.lakehouse import formats
from mlops_assets.lakehouse.home import HOME_VARIABLE, Home
from mlops_assets.lakehouse.write_points import write_point
from mlops_assets.storage.files import write_atomically

STATE_FILE = "replay.json"
_NO_STATE = (formats.HOME_FILE, "newest_moment.json")
"""What may lie in a home before anything happened in it."""


@dataclass(frozen=True)
class PendingRun:
    """A run that a sensor asked for and that is not finished; its id was chosen before it was started.

    Args:
        run_id: Dagster's id of the present attempt.
        assets: Asset keys as text.
        partition: Partition key, the first one of a range; None for assets without.
        tags: Tags of the run.
        attempt: How often it was begun: again, where its process ended in the middle of it.
        last: Key of the last partition of a range that is one run; None for a partition alone.
    """

    run_id: str
    assets: tuple[str, ...]
    partition: str | None
    tags: dict[str, str]
    attempt: int = 1
    last: str | None = None

    @property
    def words(self) -> str:
        """Which assets, and at which partitions."""
        at = f"{self.partition} to {self.last}" if self.last else self.partition
        return f"{', '.join(self.assets)}{f' at {at}' if at else ''}"


@dataclass(frozen=True)
class ReplayState:
    """What a replay has done.

    Args:
        started_from: Key of the first period that is lived through.
        moment: The moment that the clock stands at; None before the first.
        finished: Whether everything due at that moment was done.
        published: The moment of which the online store holds the newest answers; None before the first publishing.
        cursors: Cursors of the sensors, by name.
        pending: Runs asked for and not finished.
        failed: What failed, in words.
        again: The runs that failed; the next call begins with them, and forgets the words of those that succeed.
    """

    started_from: str
    moment: datetime | None = None
    finished: bool = True
    published: datetime | None = None
    cursors: dict[str, str] = field(default_factory=dict)
    pending: tuple[PendingRun, ...] = ()
    failed: tuple[str, ...] = ()
    again: tuple[PendingRun, ...] = ()


def read_state(home: Home, started_from: str) -> ReplayState:
    """The state of the replay in a home, or a new one in an empty home.

    Raises:
        UnusableEnvironmentError: The home holds something else, or a replay from another period.
    """
    home.require_format()
    file = _file(home)
    cure = f"choose an empty folder with {HOME_VARIABLE}, or delete {home.folder}"
    if not file.exists():
        others = (
            [path.name for path in home.folder.iterdir() if path.name[0] != "." and path.name not in _NO_STATE]
            if home.folder.exists()
            else []
        )
        if others:
            raise UnusableEnvironmentError(
                f"{home.folder} holds {', '.join(sorted(others)[:5])}", "a home with a replay, or none", cure
            )
        return ReplayState(started_from)
    state = kept_state(home)
    if state.started_from != started_from:
        raise UnusableEnvironmentError(
            f"a replay from {state.started_from} in {home.folder}", f"a replay from {started_from}", cure
        )
    return state


def kept_state(home: Home) -> ReplayState:
    """The state of the replay in a home that holds one.

    Raises:
        DamagedStateError: It cannot be read.
    """
    what = f"the replay's state {_file(home)}"
    content = formats.read_numbered(_file(home), formats.REPLAY, what)
    try:
        return _from_json(content)
    except (KeyError, TypeError, ValueError) as error:
        raise formats.damaged(what, str(error)) from None


def write_state(home: Home, state: ReplayState) -> ReplayState:
    """Keep the state, atomically; gives it back."""
    values = formats.numbered(asdict(state), formats.REPLAY)
    write_atomically(_file(home), json.dumps(values, default=datetime.isoformat).encode())
    write_point("replay state")
    return state


def without(state: ReplayState, run: PendingRun, *more: PendingRun) -> ReplayState:
    """The state with a pending run taken out, and others in its place."""
    rest = tuple(pending for pending in state.pending if pending.run_id != run.run_id)
    return replace(state, pending=(*more, *rest))


def _file(home: Home) -> Path:
    return home.folder / STATE_FILE


def _from_json(content: dict[str, Any]) -> ReplayState:
    return ReplayState(
        started_from=content["started_from"],
        moment=_moment(content["moment"]),
        finished=content["finished"],
        published=_moment(content.get("published")),  # homes from before it was kept have none
        cursors=content["cursors"],
        pending=_runs(content["pending"]),
        failed=tuple(content["failed"]),
        again=_runs(content.get("again", [])),
    )


def _runs(content: list[dict[str, Any]]) -> tuple[PendingRun, ...]:
    return tuple(PendingRun(**{**run, "assets": tuple(run["assets"])}) for run in content)


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
