"""What a backtest came to: a table for people, the same for programs, and a picture."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlops_assets.markdown import as_table
from mlops_assets.models.plots import error_lines
from mlops_assets.monitoring.drift import drift_history
from mlops_assets.monitoring.walk_forward import HARM, NEXT_PERIODS, Walk, same_periods
from mlops_assets.operations.backtest import Backtest
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ModelDefinition
from mlops_assets.storage.files import write_atomically

FORMAT = "mlops-assets/backtest/1"
HEADER = ("trainings", "promoted", "refused", "regretted")


def as_values(platform: Platform, model: ModelDefinition, done: Backtest) -> dict[str, Any]:
    """A backtest for programs: the same for the same home and policies."""
    periods = same_periods(done.walks)
    alarms = [one.period for one in drift_history(platform, model) if one.alarm]
    return {
        "format": FORMAT,
        "model": model.name,
        "metric": model.metric,
        "first": done.steps[0].at.key,
        "last": done.steps[-1].at.key,
        "periods": periods,
        "recorded_drift_alarms": [key for key in alarms if done.steps[0].at.key <= key <= done.steps[-1].at.key],
        "untrained": dict(done.untrained),
        "policies": {one.policy: _of(one, periods) for one in done.walks},
    }


def _of(one: Walk, periods: list[str]) -> dict[str, Any]:
    error, baseline = one.turned_out(periods) if periods else (None, None)
    return {
        "error": error,
        "baseline_error": baseline,
        "trainings": len(one.trainings),
        "promoted": len(one.promoted),
        "refused": len(one.trainings) - len(one.promoted),
        "regretted": one.regretted(),
        "regretted_by_more": one.regretted(HARM),
        "regretted_of": len(one.ratios),
        "errors": {record.period: record.error for record in one.performance if record.period in set(periods)},
        "trained_at": {record.at: record.reason for record in one.trainings},
    }


def as_text(values: dict[str, Any]) -> str:
    """The table, and below it what one has to know to read it."""
    metric, policies = values["metric"], values["policies"]
    rows = []
    for name, one in policies.items():
        error, counts = one["error"], [str(one[column]) for column in HEADER[:3]]
        figures = [f"{error:.5f}", f"{error / one['baseline_error']:.3f}"] if values["periods"] else ["", ""]
        regretted = f"{one['regretted']} of {one['regretted_of']}, {one['regretted_by_more']} by over {HARM:.0%}"
        rows.append([name, *figures, *counts, regretted])
    table = as_table(["policy", metric, "of the baseline's", *HEADER], rows)
    return "\n".join([table, "", *_notes(values)])


def _notes(values: dict[str, Any]) -> Iterator[str]:
    periods = values["periods"]
    if periods:
        yield (
            f"Errors are over the {len(periods)} periods from {periods[0]} to {periods[-1]} in which every policy had "
            "a champion, on the same rows, against labels as they were known first."
        )
    else:
        yield "There is no period in which every policy had a champion: no errors can be compared."
    yield (
        f"Regretted: of the promotions that {NEXT_PERIODS} periods followed, those that erred more over them than the "
        "version before would have; of near equals every other one is, by chance. "
        "Approvals count as given at once, and gates on latency as passed."
    )
    if alarms := values["recorded_drift_alarms"]:
        yield f"Drift alarms that this home recorded meanwhile, whatever the policy: {len(alarms)}."
    if untrained := values["untrained"]:
        key, words = list(untrained.items())[-1]
        yield f"In {len(untrained)} periods nothing could be trained; in the last, {key}: {words}"


def write_report(platform: Platform, folder: Path, values: dict[str, Any]) -> list[Path]:
    """Write table.json, table.md and errors.svg into a folder."""
    errors = {name: list(one["errors"].values()) for name, one in values["policies"].items()}
    texts = {
        "table.json": json.dumps(values, indent=1, sort_keys=True),
        "table.md": as_text(values) + "\n",
        "errors.svg": error_lines(values["metric"], values["periods"], errors, platform.home.scratch),
    }
    for name, text in texts.items():
        write_atomically(folder / name, text.encode())
    return [folder / name for name in texts]
