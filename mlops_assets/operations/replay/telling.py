"""What a replay tells of its periods: in few words per model what its runs did, the interesting first."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import dagster as dg

from mlops_assets.components import constants
from mlops_assets.operations.in_process import is_logged_error, news_of
from mlops_assets.progress import Progress, Step
from mlops_assets.project.definition import ModelDefinition, ProjectDefinition

MAX_NAMES = 4
"""How many tables are named where no model has anything to tell."""


class Telling:
    """Tells of the part of a replay that is under way, by what is seen of its runs.

    Args:
        project: What is replayed.
        progress: Told of it.
    """

    def __init__(self, project: ProjectDefinition, progress: Progress) -> None:
        self._project = project
        self._progress = progress
        self._under_way = Step("replay", 0, 1)
        self._happened = Happened()

    def begins(self, of: str, number: int, total: int, part: str) -> None:
        """A part begins, which is the so manieth of all."""
        if of != self._under_way.of:
            self._happened = Happened()
        self._under_way = Step(of, number - 1, total, part)

    def see(self, entry: dg.EventLogEntry) -> None:
        """Take in an event of a run."""
        self._happened.see(entry)
        news = news_of(entry).removesuffix(f" {self._under_way.part}")
        if news:
            is_error = is_logged_error(entry)
            self._progress(replace(self._under_way, words=news, minor=not is_error, failed=is_error))

    def news(self, words: str) -> None:
        """Something happened that is worth a word."""
        self._progress(replace(self._under_way, words=words))

    def fails(self, words: str) -> None:
        """A run failed."""
        self._progress(replace(self._under_way, words=words, failed=True))

    def ends(self, *, minor: bool = False) -> None:
        """The part is done; a minor one tells of what happened in all of them so far."""
        words = self._happened.in_words(self._project)
        self._progress(replace(self._under_way, done=self._under_way.done + 1, words=words, minor=minor))
        if not minor:
            self._happened = Happened()


class Happened:
    """What some runs did, by asset: what they recorded last, how often, and which checks failed."""

    def __init__(self) -> None:
        self._recorded: dict[tuple[str, ...], dict[str, Any]] = {}
        self._times: Counter[tuple[str, ...]] = Counter()
        self._failed_checks: dict[tuple[str, ...], dict[str, str]] = {}

    def see(self, entry: dg.EventLogEntry) -> None:
        """Take in an event of a run."""
        event = entry.dagster_event
        if event and event.event_type == dg.DagsterEventType.ASSET_MATERIALIZATION:
            made = event.step_materialization_data.materialization
            path = tuple(made.asset_key.path)
            self._recorded[path] = {name: value.value for name, value in made.metadata.items()}
            self._times[path] += 1
        elif event and event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            check = event.asset_check_evaluation_data
            if not check.passed:
                failed = self._failed_checks.setdefault(tuple(check.asset_key.path), {})
                failed[check.check_name] = check.description or "failed"

    def in_words(self, project: ProjectDefinition) -> str:
        """All of it: each model of which there is something to tell, else the tables that changed."""
        told = {model.name: self._of_model(model) for model in project.models.values()}
        told |= {source: self._of_source(source) for source in project.sources}
        words = "; ".join(f"{name}: {', '.join(of)}" for name, of in told.items() if of)
        return words or self._tables()

    def _of_model(self, model: ModelDefinition) -> list[str]:
        return [*self._training(model), *self._performance(model), *self._drift(model), *self._scored(model)]

    def _training(self, model: ModelDefinition) -> Iterator[str]:
        candidate = self._recorded.get((model.name, "candidate"))
        version = self._recorded.get((model.name, "version"))
        champion = self._recorded.get((model.name, "champion"))
        if candidate:
            yield "trained"
        if champion:
            yield f"version {champion['version']} promoted{_figures(model, candidate or {})}"
        elif version:
            waits = "waits for approval" if version["awaits approval"] else "registered"
            yield f"version {version['version']} {waits}{_figures(model, candidate or {})}"
        elif candidate:
            yield f"refused ({'; '.join(self._failed_checks.get((model.name, 'candidate'), {}).values())})"

    def _performance(self, model: ModelDefinition) -> Iterator[str]:
        measured = self._recorded.get((model.name, "performance"))
        if measured and model.metric in measured:
            baseline = measured[f"baseline {model.metric}"]
            yield f"{model.metric} {measured[model.metric]:.4f} (baseline {baseline:.4f})"

    def _drift(self, model: ModelDefinition) -> Iterator[str]:
        found = self._failed_checks.get((model.name, "drift_report"), {})
        yield from (words.partition(";")[0] for words in found.values())  # what else there is, the report says

    def _scored(self, model: ModelDefinition) -> Iterator[str]:
        path = (model.name, "predictions")
        if self._times[path] > 1:
            yield f"scored {self._times[path]} periods"
        elif self._times[path]:
            recorded = self._recorded[path]
            yield f"scored {recorded[constants.ROW_COUNT]} rows"
            if recorded.get("rows without a prediction"):
                yield f"{recorded['rows without a prediction']} of them without a prediction"

    def _of_source(self, source: str) -> list[str]:
        recorded = self._recorded.get((source,), {})
        aside, corrects = recorded.get("rows put aside"), "reaches" in recorded
        return [
            *(["corrected"] if corrects else []),
            *([f"{aside} rows put aside"] if aside else []),
            *self._failed_checks.get((source,), {}).values(),
        ]

    def _tables(self) -> str:
        told = [f"{'/'.join(path)}{f' {times} times' if times > 1 else ''}" for path, times in self._times.items()]
        return ", ".join([*told[:MAX_NAMES], *(["…"] if len(told) > MAX_NAMES else [])])


def _figures(model: ModelDefinition, candidate: dict[str, Any]) -> str:
    """The candidate's figure and the champion's, or the baseline's where there was no champion."""
    mine, theirs = (
        next((candidate[name] for name in names if name in candidate), None)
        for names in (
            (f"candidate_{model.metric}",),
            (f"champion_{model.metric}", f"baseline_{model.metric}"),
        )
    )
    return f" ({model.metric} {mine:.4f} against {theirs:.4f})" if mine is not None and theirs is not None else ""
