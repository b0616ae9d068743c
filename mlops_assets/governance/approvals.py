"""Approvals of versions: who said yes or no, to exactly what, when and why; part of the evidence trail."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from mlops_assets.governance.trail import Trail
from mlops_assets.lakehouse.periods import in_utc

Meaning = Literal["approved", "rejected"]


@dataclass(frozen=True)
class Approval:
    """What somebody decided about one version.

    Args:
        model: The model.
        version: The version.
        model_hash: Content hash of the fit that was decided about.
        replaces: The champion at that time, which it was compared with; None where there was none.
        by: Who.
        roles: The roles that they decided in.
        at: Platform clock, UTC.
        meaning: What was decided.
        reason: Why, in words.
        signature: Over all of this; None where none is asked for.
    """

    model: str
    version: int
    model_hash: str
    replaces: int | None
    by: str
    roles: tuple[str, ...]
    at: datetime
    meaning: Meaning
    reason: str
    signature: str | None = None

    def decides_as(self, other: "Approval") -> bool:
        """Whether it says the same of the same fit in the same place, whoever said it."""
        return (self.meaning, self.model_hash, self.replaces) == (other.meaning, other.model_hash, other.replaces)


class ApprovalStore:
    """The approvals of one home; safe to use from several processes and threads.

    Args:
        file: The file of events; made with the first.
    """

    def __init__(self, file: Path) -> None:
        self._trail: Trail[Approval] = Trail(file, "approval", ("approved", "rejected"), _apply)

    def record(self, approval: Approval) -> Approval:
        """Record a decision, durably; one that says what the last one about the version said is that one.

        Raises:
            UnusableEnvironmentError: The file cannot be written or read.
        """
        with self._trail.locked() as append:
            last = self.last(approval.model, approval.version)
            if last is not None and last.decides_as(approval):
                return last
            values = asdict(approval)
            append({"event": values.pop("meaning"), **values, "at": approval.at.isoformat()})
        return approval

    def all(self) -> list[Approval]:
        """All decisions, in the order in which they were made."""
        return list(self._trail.records().values())

    def of(self, model: str) -> list[Approval]:
        """All decisions about a model's versions, in the order in which they were made."""
        return [approval for approval in self.all() if approval.model == model]

    def last(self, model: str, version: int) -> Approval | None:
        """The last decision about a version: the one that holds."""
        return next((one for one in reversed(self.of(model)) if one.version == version), None)


def _apply(records: dict[str, Approval], event: Mapping[str, Any]) -> None:
    values = {name: value for name, value in event.items() if name != "event"}
    at, roles = in_utc(datetime.fromisoformat(event["at"])), tuple(event["roles"])
    records[str(len(records))] = Approval(**{**values, "at": at, "roles": roles, "meaning": event["event"]})
