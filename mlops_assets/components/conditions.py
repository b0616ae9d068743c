"""Automation conditions: what carries on by itself once a period was ingested."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import dagster as dg
from dagster import AutomationCondition

from mlops_assets.components.loading import platform_of
from mlops_assets.components.read_before import newest_materializations, reads_the_same
from mlops_assets.errors import PlatformError
from mlops_assets.governance.evidence import InputEvidence
from mlops_assets.lakehouse.periods import Calendar, Period
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ProjectDefinition

Due = Callable[[Iterable[str]], set[str]]
"""Says of partition keys which of them are due."""

Read = Callable[[str], Sequence[InputEvidence]]
"""Says of a partition key what it would be computed from."""


def due_periods(
    project: ProjectDefinition, calendar: Calendar, due: Callable[[Platform, datetime, list[Period]], Iterable[Period]]
) -> Due:
    """What says of partition keys which are due, from what says so of periods on the project's platform, now."""

    def due_keys(keys: Iterable[str]) -> set[str]:
        platform = platform_of(project)
        return {period.key for period in due(platform, platform.clock.now(), list(map(calendar.at_key, keys)))}

    return due_keys


class _Ours(AutomationCondition[dg.AssetKey]):
    """A condition with code of ours, shown under its label."""

    label: str

    @property
    def name(self) -> str:
        """Its name in the user interface."""
        return self.label

    def get_label(self) -> str:
        """Its name in the user interface."""
        return self.label


class OnlyWhere(_Ours):
    """True for the partitions of which a plain function says so; asks for nothing but the candidates.

    Args:
        label: What it stands for, shown in the user interface.
        due: Says which of the candidates.
    """

    due: Due

    def __init__(self, label: str, due: Due) -> None:
        object.__setattr__(self, "label", label)
        object.__setattr__(self, "due", due)

    def evaluate(self, context: dg.AutomationContext[dg.AssetKey]) -> dg.AutomationResult[dg.AssetKey]:
        """Keep the candidates that are due."""
        candidates = context.candidate_subset
        kept = self.due(candidates.expensively_compute_partition_keys())
        return dg.AutomationResult(context, candidates.compute_intersection_with_partition_keys(kept))


class ReadsChanged(_Ours):
    """True for the partitions that were computed by another definition, or from what has changed since.

    Args:
        definition: Hash of the definition.
        read: What a partition would be computed from, by its key.
    """

    definition: str
    read: Read

    def __init__(self, definition: str, read: Read) -> None:
        object.__setattr__(self, "label", "what it reads of its inputs has changed")
        object.__setattr__(self, "definition", definition)
        object.__setattr__(self, "read", read)

    def evaluate(self, context: dg.AutomationContext[dg.AssetKey]) -> dg.AutomationResult[dg.AssetKey]:
        """Keep the candidates whose newest materialization read something else."""
        candidates = context.candidate_subset
        keys = set(candidates.expensively_compute_partition_keys())
        events = newest_materializations(context.asset_graph_view.instance, context.key, keys) if keys else {}
        same = {key for key, event in events.items() if self._reads_the_same(key, event)}
        return dg.AutomationResult(context, candidates.compute_intersection_with_partition_keys(keys - same))

    def _reads_the_same(self, key: str, event: dg.AssetMaterialization) -> bool:
        try:
            return reads_the_same(event, self.definition, self.read(key))
        except PlatformError:  # computing it says what is wrong, and stops nothing else
            return False


def carry_on(
    due: Due | None,
    label: str,
    *ignored: dg.AssetKey,
    sees_to: Sequence[dg.AssetKey] = (),
    reads: ReadsChanged | None = None,
) -> AutomationCondition[dg.AssetKey]:
    """Materialize a partition when what it needs is there and has changed, however far back it lies.

    What was materialized again with the data version that it had before starts nothing: a correction runs as far as
    it changes something, and no further.

    Args:
        due: Says which partitions' time has come; None where it has always come.
        label: What that stands for.
        ignored: Upstream assets whose changes start nothing, such as the champion: a new champion scores what comes,
            never what was.
        sees_to: Upstream assets whose partitions ``due`` itself requires. Those with other periods belong here: of a
            week that overlaps a day only a part may be over, and the day does not wait for it.
        reads: Tells changes of what is read from others, such as a column that came to an input; None where all count.
    """
    changed = _read_changed(reads) if reads else _changed()
    if sees_to:
        missing = AutomationCondition.any_deps_missing()
        changed = changed.replace(missing, missing.ignore(dg.AssetSelection.assets(*sees_to)))
    if ignored:
        changed = changed.ignore(dg.AssetSelection.assets(*ignored))
    return changed & OnlyWhere(label, due) if due else changed


@lru_cache(maxsize=1)
def _changed() -> Any:  # a type that Dagster does not export
    """One for all assets: to build it takes longer than all else of a condition."""
    eager = AutomationCondition.eager().without(AutomationCondition.in_latest_time_window())
    return eager.replace("newly_updated", AutomationCondition.data_version_changed())


def _read_changed(reads: ReadsChanged) -> Any:
    """As `_changed`, but what counts is what is read, and what was computed by hand counts only if it read that.

    A partition that somebody computed just before an input changed would count as handled, if both are seen at once.
    """
    updated, handled, ready = _parts_of_changed()
    return (updated & reads).since(handled | AutomationCondition.newly_updated() & ~reads) & ready


@lru_cache(maxsize=1)
def _parts_of_changed() -> tuple[Any, Any, Any]:
    updated = AutomationCondition.newly_missing() | AutomationCondition.any_deps_updated().replace(
        "newly_updated", AutomationCondition.data_version_changed()
    )
    handled = AutomationCondition.newly_requested() | AutomationCondition.initial_evaluation()
    ready = (
        ~AutomationCondition.any_deps_missing()
        & ~AutomationCondition.any_deps_in_progress()
        & ~AutomationCondition.in_progress()
    )
    return updated, handled, ready


def at_its_time(due: Due, label: str) -> AutomationCondition[dg.AssetKey]:
    """Materialize a partition once its time has come, whatever of its inputs is there."""
    return (
        (
            AutomationCondition.missing().newly_true().since(AutomationCondition.newly_requested())
            | AutomationCondition.missing() & ~AutomationCondition.newly_requested()
        )
        & ~AutomationCondition.in_progress()
        & OnlyWhere(label, due)
    )
