"""Rows to judge, made up: a number of shops over a number of days, and what was said of each."""

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.models.evaluation import JudgedRows
from mlops_assets.project.definition import ModelDefinition
from mlops_assets.project.model_attributes import EvaluationChoice
from mlops_assets.project.tasks import DEFAULT_METRIC, Task
from mlops_assets_tests.project.small_project import SmallProject

if TYPE_CHECKING:
    import numpy.typing as npt

CLASSES = ("down", "same", "up")


def small_model(folder: Path) -> ModelDefinition:
    """The model of the small project."""
    return SmallProject(folder).load().models["forecast"]


def of_task(model: ModelDefinition, task: Task, **evaluation: Any) -> ModelDefinition:
    """The model, as if it predicted something else."""
    label = replace(model.label, classes=CLASSES if task == "multiclass" else ())
    choice = EvaluationChoice(**{"draws": 200, **evaluation})
    return replace(model, task=task, label=label, metric=DEFAULT_METRIC[task], evaluation=choice, gates=())


def made_rows(
    task: Task, shops: int = 40, days: int = 10, seed: int = 0, *, champion: bool = True, **errors: float
) -> JudgedRows:
    """Rows of shops on days in two regions; ``errors`` say how far each is off, candidate 1.0 by default."""
    import numpy as np
    import pyarrow as pa

    rng, count = np.random.default_rng(seed), shops * days
    rows = pa.table(
        {
            "shop": [f"s{number % shops:03d}" for number in range(count)],
            "day": [date(2024, 1, 1) + timedelta(days=number // shops) for number in range(count)],
            "level": rng.normal(size=count),
            "crowd": rng.integers(0, 3, count),
            "region": [("north", "south", None)[number % shops % 3] for number in range(count)],
        }
    )
    by_shop = np.tile(rng.normal(size=shops), days)
    truth: npt.NDArray[Any] = (
        rng.normal(size=count) if task == "regression" else rng.integers(0, 2 if task == "binary" else 3, count)
    )

    def said(error: float) -> "npt.NDArray[Any]":
        if task == "regression":
            noise: npt.NDArray[Any] = truth + error * (0.5 * by_shop + 0.5 * rng.normal(size=count))
            return noise
        if task == "binary":
            return 1 / (1 + np.exp(-(2 * truth - 1 + error * rng.normal(size=count))))
        logits = np.eye(3)[truth] * 2 + error * rng.normal(size=(count, 3))
        shares: npt.NDArray[Any] = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        return shares

    wrong = {"candidate": 1.0, "baseline": 2.0, **({"champion": 1.2} if champion else {}), **errors}
    return JudgedRows(rows, truth, {who: said(error) for who, error in wrong.items()})  # type: ignore[misc]
